"""What only a running service shows: streams that live, a stop that saves, refusals before the application.

Answers of real jobs are held against the description, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.acceptance.harness import BASE, Service, parse_events


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    one = Service(tmp_path_factory.mktemp("live"))
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture(scope="module")
def spec(service: Service) -> Any:
    return service.call("GET", "/api/v1/openapi.json").body


def fits(spec: Any, path: str, answer: Any, method: str = "get", status: str = "200") -> None:
    content = spec["paths"][path][method]["responses"][status]["content"]
    schema = content["application/json"]["schema"] | {"components": spec["components"]}
    errors = [f"{list(e.absolute_path)}: {e.message}" for e in Draft202012Validator(schema).iter_errors(answer.body)]
    assert (answer.code, errors) == (int(status), [])


def test_a_whole_life(service: Service, spec: Any) -> None:
    started = service.call("POST", "/start", service.request(epochs=2, steps_per_epoch=4, steps_per_second=50))
    fits(spec, f"{BASE}/start", started, "post", "201")
    job = started.data["task_id"]
    with service.stream(f"/{job}/events") as events:
        seen = list(events)
    kinds = [event.kind for event in seen]
    shapes = [set(event.data) for event in seen if event.kind == "progress"]
    assert shapes[0] >= shapes[-1] >= {"task_id", "phase", "current_epoch", "current_step", "current_loss"}
    assert kinds[-1] == "end" and {"progress", "status", "metric", "log"} <= set(kinds)
    with service.stream(f"/{job}/logs/stream") as events:
        *lines, end = list(events)
    assert end.kind == "end" and end.data == {"status": "completed"}
    numbers = [int(line.id or "") for line in lines]
    assert numbers == sorted(set(numbers)) and lines[-1].data["message"] == "TRAINING COMPLETE!"
    for path in ("", "/progress", "/metrics", "/metrics/names", "/logs", "/checkpoints", "/artifacts"):
        fits(spec, f"{BASE}/{{task_id}}{path}", service.call("GET", f"/{job}{path}"))
    fits(spec, f"{BASE}/{{task_id}}/logs/search", service.call("GET", f"/{job}/logs/search?keyword=loss"))
    fits(spec, f"{BASE}/list", service.call("GET", "/list"))
    detail = service.detail(job)
    assert detail["command"] and detail["environment"]["PYTHONUNBUFFERED"] == "1"
    assert detail["attempts"][0]["pid"] and detail["attempts"][0]["exit_code"] == 0
    weights = next(a for a in service.get(f"/{job}/artifacts")["artifacts"] if a["path"].endswith(".safetensors"))
    part = service.client.get(f"{BASE}/{job}/artifacts/{weights['path']}", headers={"Range": "bytes=0-0"})
    assert part.status_code == 206 and part.headers["Content-Range"] == f"bytes 0-0/{weights['size_bytes']}"


def test_stop_resume_and_force(service: Service, spec: Any) -> None:
    job = service.submit(epochs=100, steps_per_epoch=8, steps_per_second=50)
    service.wait_step(job, 2)
    assert service.call("DELETE", f"/{job}").code == 409
    stopped = service.call("POST", f"/stop/{job}?wait=20")
    fits(spec, f"{BASE}/stop/{{task_id}}", stopped, "post")
    assert stopped.data["status"] == "stopped" and stopped.data["checkpoint_saved"] is True
    assert service.call("POST", f"/stop/{job}").code == 409
    resumed = service.call("POST", f"/resume/{job}")
    fits(spec, f"{BASE}/resume/{{task_id}}", resumed, "post")
    service.wait_step(job, int(stopped.data["last_checkpoint"].removeprefix("global_step")) + 2)
    forced = service.call("POST", f"/stop/{job}?wait=20", {"force": True})
    assert (forced.data["status"], service.detail(job)["attempts"][1]["reason"]) == ("stopped", "stopped_by_user")
    fits(spec, f"{BASE}/restart/{{task_id}}", service.call("POST", f"/restart/{job}"), "post")
    service.call("POST", f"/stop/{job}?wait=20", {"force": True})
    fits(spec, f"{BASE}/{{task_id}}", service.call("DELETE", f"/{job}?files=true"), "delete")
    assert service.call("GET", f"/{job}").code == 404


def test_the_stream_of_all_jobs(service: Service) -> None:
    with service.client.stream("GET", f"{BASE}/events") as answer:
        assert answer.headers["cache-control"] == "no-store" and answer.headers["x-accel-buffering"] == "no"
        chunks = answer.iter_raw()
        assert next(chunks).startswith(b": open")
        job = service.submit(epochs=1, steps_per_epoch=2, steps_per_second=100)
        for event in parse_events(chunks):
            assert event.kind in ("status", "progress") and int(event.id or "") > 0
            if event.data["task_id"] == job and event.data.get("status") == "completed":
                break


def test_heads_of_streams_end(service: Service) -> None:
    job = service.jobs()[0]["task_id"]
    for path in ("/events", f"/{job}/events", f"/{job}/logs/stream"):
        assert service.client.head(BASE + path, timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("headers", "content", "code"),
    [
        ({"Host": "evil.example"}, b"{}", 400),
        ({"Authorization": "Token ty_1_wrong"}, b"{}", 401),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, b"{}", 403),
        ({}, b" " * (16 * 1024 * 1024 + 1), 413),
        ({}, b"[" * 100_000, 400),
        ({}, b'{"dataset":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, 400),
    ],
)
def test_refusals(service: Service, headers: dict[str, str], content: bytes, code: int) -> None:
    """Most of them before the application sees the request: enveloped, and with an id, all the same."""
    sent = {"Content-Type": "application/json", "X-Request-ID": "mine-1", **headers}
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        answer = client.post(f"{BASE}/start", headers=sent, content=content)
    body = json.loads(answer.content)
    assert (answer.status_code, body["code"], set(body)) == (code, code, {"code", "message", "data", "timestamp"})
    assert answer.headers["X-Request-ID"] == "mine-1"
