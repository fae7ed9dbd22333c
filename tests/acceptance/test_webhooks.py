"""A real service and real jobs: who listens is told, and a service is none the slower for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.acceptance.harness import Service, wait_for
from tests.unit.receivers import receiving

ROOT = Path(__file__).resolve().parents[2]
Maker = Callable[..., Service]
HOOKS = "/api/v1/webhooks"
LOOPBACK = {"TRAINYARD_WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}


@pytest.fixture
def service(make_service: Maker) -> Service:
    return make_service(environ=LOOPBACK).start()


def test_a_job_from_start_to_end(service: Service) -> None:
    with receiving() as receiver:
        made = service.call("POST", HOOKS, {"url": receiver.url}).expect(201)
        done = service.submit(epochs=1, steps_per_second=0)
        service.wait_status(done, "completed")
        started, completed = receiver.wait(2)
        assert [started.type, completed.type] == ["job.started", "job.completed"]
        told = Webhook(made["secret"]).verify(completed.body, completed.headers)["data"]
        detail = service.detail(done)
        assert (told["job_id"], told["exit_code"], told["attempt"]) == (done, 0, 1)
        assert (told["started_at"], told["ended_at"]) == (detail["started_at"], detail["completed_at"])
        shown = detail["progress"]
        assert {name: told["progress"][name] for name in ("current_step", "total_steps", "current_epoch")} == {
            name: shown[name] for name in ("current_step", "total_steps", "current_epoch")
        }
        assert told["progress"]["current_step"] > 0 and told["progress"]["current_loss"] is not None

        stopped = service.submit(epochs=1000, steps_per_second=50)
        service.wait_step(stopped, 2)
        service.call("POST", f"/stop/{stopped}", params={"wait": 20}).expect(200)
        assert [got.type for got in receiver.wait(4)[2:]] == ["job.started", "job.stopped"]
        failed = service.submit(epochs=1, exit_code=3)
        service.wait_status(failed, "failed")
        last = receiver.wait(6)[-1]
        assert (last.type, last.data["reason"], last.data["exit_code"]) == ("job.failed", "exit_code", 3)
        assert last.data["failure"]["kind"] == service.detail(failed)["failure"]["kind"]


def test_a_receiver_that_hangs_slows_no_job(service: Service) -> None:
    over = threading.Event()
    with receiving(*[lambda _: over.wait(30) and None] * 4) as receiver:  # type: ignore[func-returns-value]
        service.call("POST", HOOKS, {"url": receiver.url}).expect(201)
        service.submit(epochs=1, steps_per_second=0)
        receiver.wait(1)
        began = service.submit(epochs=1, steps_per_second=0)
        service.wait_status(began, "completed", deadline=8)
        assert len(receiver.got) == 1
        assert service.terminate() == 0  # within ten seconds, though somebody is still being waited for
        over.set()


def test_loopback_is_refused_unless_permitted(make_service: Maker) -> None:
    """At once where the URL says so, and when it is sent whatever was permitted before."""
    service = make_service(environ=LOOPBACK).start()
    with receiving() as receiver:
        hook = service.call("POST", HOOKS, {"url": receiver.url}).expect(201)["id"]
        assert service.terminate() == 0
        service.environ = {}
        service.start()
        refused = service.call("POST", HOOKS, {"url": receiver.url})
        assert refused.code == 422 and "TRAINYARD_WEBHOOK_ALLOWED_HOSTS" in refused.body["message"]
        service.submit(epochs=1, steps_per_second=0)
        path = f"{HOOKS}/{hook}/deliveries"
        first = wait_for(lambda: [each for each in service.get(path)["deliveries"] if each["attempts"]])[0]
        assert first["state"] == "pending" and "not on the public internet" in first["error"]
        assert receiver.connections == 0


def test_a_setting_that_makes_no_sense_stops_the_start(make_service: Maker) -> None:
    service = make_service(environ={"TRAINYARD_WEBHOOK_ALLOWED_HOSTS": "10.0.0.0/33"})
    service.start(ready=False)
    assert service.wait_dead() == 1
    assert "TRAINYARD_WEBHOOK_ALLOWED_HOSTS" in service.errors() and "Traceback" not in service.errors()


def test_the_documents_receiver_believes_what_is_true(service: Service, tmp_path: Path) -> None:
    """The snippet of docs/webhooks.md, as it stands there."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with receiving() as receiver:
        made = service.call("POST", HOOKS, {"url": receiver.url}).expect(201)
        service.call("POST", f"{HOOKS}/{made['id']}/test").expect(200)
    (got,) = receiver.got
    script = tmp_path / "receiver.py"
    script.write_text(snippet + "\nimport json, sys\ngiven = json.load(sys.stdin)\nprint(verify(*given))\n")

    def verdict(secret: str, body: str) -> str:
        given = json.dumps([secret, got.headers, body])
        return subprocess.run(
            [sys.executable, str(script)], input=given, capture_output=True, text=True, check=True
        ).stdout

    body = got.body.decode()
    assert verdict(made["secret"], body) == "True\n"
    assert verdict(made["secret"], body + " ") == "False\n"
    assert verdict("whsec_" + "A" * 32, body) == "False\n"


def test_the_lines_to_copy(service: Service, tmp_path: Path) -> None:
    """The curl lines of docs/webhooks.md, one after the other."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    with receiving() as receiver:
        script = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
        assert script.count("curl") >= 6
        environ = {"PATH": "/usr/bin:/bin", "BASE": service.url, "RECEIVER": receiver.url, "HOME": str(tmp_path)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert [got.type for got in receiver.wait(2)] == ["webhook.test", "webhook.test"]
        assert len({got.id for got in receiver.got}) == 1
    wait_for(lambda: service.get(HOOKS)["webhooks"] == [], 5)
