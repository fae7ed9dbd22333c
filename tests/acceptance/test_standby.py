"""Two services on one host, one PostgreSQL, one data directory: one supervises, the other is there when it is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.acceptance.conftest import Maker
from tests.acceptance.harness import Service, losses, wait_for
from tests.unit.test_ray_executor import Dashboard

pytestmark = pytest.mark.postgres


@pytest.fixture
def pair(make_service: Maker) -> tuple[Service, Service]:
    """The leader and the one that stands by, both started."""
    server = postgres.cluster()
    environ = {"TRAINYARD_DATABASE_URL": server.url(server.database())}
    first, second = make_service(environ=environ), make_service(environ=environ)
    second.data, second.images = first.data, first.images
    return first.start(), second.start()


def role(service: Service) -> str:
    answer = service.call("GET", "/readyz")
    assert answer.code == 200, answer.raw
    return str(answer.body["status"])


def test_the_second_takes_over_a_training_when_the_first_is_killed(pair: tuple[Service, Service]) -> None:
    first, second = pair
    assert (role(first), role(second)) == ("ok", "standby")
    well = first.submit(epochs=6, steps_per_second=10)
    ill = first.submit(epochs=6, steps_per_second=10, exit_at_step=30, exit_code=7)
    first.wait_step(well, 5)
    first.wait_step(ill, 5)
    before = first.detail(well)["attempts"]
    assert second.status(well) == "running", "the second serves reads"
    first.kill()
    wait_for(lambda: role(second) == "ok", 20, "the second to supervise")
    done, failed = second.wait_status(well, "completed", deadline=60), second.wait_status(ill, "failed", deadline=60)
    assert [a["exit_code"] for a in done["attempts"]] == [0] and [a["exit_code"] for a in failed["attempts"]] == [7]
    assert done["attempts"][0]["started_at"] == before[0]["started_at"], "adopted, not started again"
    assert second.points(well) == losses(48) and second.points(ill) == losses(30), "each step once"
    assert len(second.log_pages(well)) == len(second.log_file(well).read_text().splitlines())

    first.start()
    assert (role(first), role(second)) == ("standby", "ok"), "who comes back stands by"
    assert first.points(well) == losses(48)


def test_what_the_second_takes(pair: tuple[Service, Service]) -> None:
    """Jobs and stops, which are rows and which the first finds; nothing that writes files."""
    first, second = pair
    job = second.submit(epochs=1000, steps_per_second=20)
    second.wait_step(job, 3)
    upload = {"files": {"file": ("a.zip", b"PK\x05\x06" + bytes(18))}}
    for service, code in ((first, 400), (second, 503)):
        answer = service.call("POST", "/api/v1/datasets/upload", **upload)
        assert answer.code == code, answer.raw
    assert answer.headers["Retry-After"] and "stands by" in answer.body["message"]
    assert second.call("DELETE", f"/{job}").code == 503
    with second.stream(f"/{job}/events") as events:
        second.call("POST", f"/stop/{job}", {"force": True}).expect(200)
        statuses = (event.data["status"] for event in events if event.kind == "status")
        wait_for(lambda: next(statuses) == "stopped", 20, "the stream of the second to tell the end")
    assert first.status(job) == "stopped"


def test_never_two_at_once(pair: tuple[Service, Service]) -> None:
    """The first is frozen: it holds its locks, and the second waits, however long."""
    first, second = pair
    os.kill(first.pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert role(second) == "standby"
            time.sleep(0.5)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert first.terminate() == 0
    wait_for(lambda: role(second) == "ok", 20, "the second to supervise after the first has gone in peace")


def test_only_the_leader_asks_the_cluster(make_service: Maker, tmp_path: Path) -> None:
    """A Ray whose GPU is somebody else's: what the second does not know it says."""
    server, ray = postgres.cluster(), Dashboard()
    ray.has_nodes(cpus=64.0, gpus=1.0)
    ray.says("GET", "/api/jobs/", [])
    used = {"time": time.time(), "loadMetricsReport": {"usageByNode": {"id": {"GPU": [1.0, 1.0]}}}}
    ray.says("GET", "/api/cluster_status", {"data": {"clusterStatus": used}})
    environ = {
        "TRAINYARD_DATABASE_URL": server.url(server.database()),
        "TRAINYARD_EXECUTOR": "ray",
        "TRAINYARD_RAY_ADDRESS": ray.address,
        "TRAINYARD_SHARED_DIR": str(tmp_path),
    }
    first, second = make_service(environ=environ), make_service(environ=environ)
    second.data, second.images = first.data, first.images
    try:
        first.start()
        wait_for(lambda: first.call("GET", "/readyz").code == 200)
        second.start()
        assert role(second) == "standby"
        job = first.submit(epochs=1)
        assert "waits for" in wait_for(lambda: first.detail(job)["queue_reason"])
        silence = "this service stands by and does not ask Ray"
        assert second.detail(job)["queue_reason"] == silence
        assert second.get("/api/v1/gpu/status")["gpus"] == []
        refused = second.call("POST", "/start", second.request(epochs=1))
        assert refused.code == 503 and silence in refused.body["message"], refused.raw
        first.kill()
        wait_for(lambda: role(second) == "ok", 20, "the second to supervise, and to ask")
        assert "waits for" in wait_for(lambda: second.detail(job)["queue_reason"])
    finally:
        ray.close()


@pytest.fixture
def own_server() -> Iterator[postgres.Cluster]:
    """One that a test may stop."""
    made = postgres.Cluster.make()
    yield made.start()
    made.remove()


def test_the_server_goes_away_and_comes_back(make_service: Maker, own_server: postgres.Cluster) -> None:
    service = make_service(environ={"TRAINYARD_DATABASE_URL": own_server.url(own_server.database())}).start()
    job = service.submit(epochs=30, steps_per_second=20)
    service.wait_step(job, 10)
    own_server.stop(signal.SIGQUIT)
    away = wait_for(lambda: (a := service.call("GET", "/readyz")).code == 503 and a, 20, "503")
    assert "does not answer" in away.body["status"]
    for path in ("/list", f"/{job}"):
        refused = service.call("GET", path)
        assert refused.code == 503 and refused.headers["Retry-After"], refused.raw
    assert service.call("GET", "/healthz").code == 200
    own_server.start()
    wait_for(lambda: service.call("GET", "/readyz").code == 200, 30, "the service to find it again")
    done = service.wait_status(job, "completed", deadline=60)
    assert [a["exit_code"] for a in done["attempts"]] == [0]
    assert service.points(job) == losses(240), "nothing lost, nothing twice"
    assert service.submit(epochs=1)
