"""The service dies at each named point, once; a restart mends what was half done."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.utils import faults
from tests.acceptance.harness import Service, losses, wait_for
from tests.unit.receivers import receiving

Maker = Callable[..., Service]
#: test_ocr_import.py, test_yolo_datasets.py, test_annotations.py, test_yolo_training.py and test_yolo_models.py,
#: tests/unit/test_backup.py, tests/infer/test_life.py
ELSEWHERE = ("import.", "dataset.", "annotation.", "model.", "backup.", "restore.", "inference.")
POINTS = {point for point in faults.POINTS if not point.startswith(ELSEWHERE)}
STEPS = 16


def dies_at(service: Service, point: str, drive: Callable[[], Any]) -> None:
    """Starts it with this point armed and drives it there; a point that is not passed is a failure."""
    service.start(fault=point)
    with contextlib.suppress(httpx.TransportError):  # the answer dies with the service
        drive()
    assert service.wait_dead() == -signal.SIGKILL


def check_one_run(service: Service, job: str) -> None:
    (attempt,) = service.detail(job)["attempts"]
    assert (attempt["number"], attempt["exit_code"], attempt["reason"]) == (1, 0, "done")
    text = service.log_file(job).read_text()
    assert text.count("Global batch size") == 1, "it was started once"
    assert service.points(job) == losses(STEPS)
    assert [line["message"] for line in service.log_pages(job)] == text.splitlines()
    assert sorted(os.listdir(service.data / "attempts" / job)) == ["1"]
    assert service.processes() == []


def outlives(service: Service, point: str) -> None:
    """A training that is under way, or about to be."""
    dies_at(service, point, lambda: service.call("POST", "/start", service.request(epochs=2, steps_per_second=200)))
    service.start()
    found = service.jobs()
    if point == "submit.before_insert":
        assert found == [] and service.processes() == []
        assert [name for name in service.files() if re.search(r"train_\d", name)] == []
        return
    (job,) = (job["task_id"] for job in found)
    service.wait_status(job, "completed")
    check_one_run(service, job)


def stops(service: Service, point: str) -> None:
    def drive() -> None:
        service.wait_step(service.submit(epochs=1000, steps_per_second=50), 2)
        service.call("POST", f"/stop/{service.jobs()[0]['task_id']}")

    dies_at(service, point, drive)
    service.start()
    (job,) = (job["task_id"] for job in service.jobs())
    detail = service.wait_status(job, "stopped")
    assert [a["reason"] for a in detail["attempts"]] == ["stopped_by_user"]
    points = service.points(job)
    assert points == losses(len(points))
    assert service.processes() == []


def deletes(service: Service, point: str) -> None:
    jobs: list[str] = []

    def drive() -> None:
        jobs.extend(service.submit(epochs=2, steps_per_second=0) for _ in range(2))
        for job in jobs:
            service.wait_status(job, "completed")
        service.call("DELETE", f"/{jobs[0]}", params={"files": "true"})

    dies_at(service, point, drive)
    service.start()
    gone, other = jobs
    check_one_run(service, other)
    if service.call("GET", f"/{gone}").code == 200:  # not deleted: then all of it is there
        assert point == "delete.after_note"
        check_one_run(service, gone)
        assert len(service.get(f"/{gone}/checkpoints")["checkpoints"]) == 4
        service.call("DELETE", f"/{gone}", params={"files": "true"}).expect(200)
    assert [name for name in service.files() if gone in name] == []
    assert os.listdir(service.data / "trash") == []
    check_one_run(service, other)


def notifies(service: Service, point: str) -> None:
    """A message is never lost nor made up; one that went out unrecorded goes out again, with its id."""
    with receiving() as receiver:
        service.environ = {"TRAINYARD_WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}

        def drive() -> None:
            service.call("POST", "/api/v1/webhooks", {"url": receiver.url})
            service.call("POST", "/start", service.request(epochs=2, steps_per_second=200))

        dies_at(service, point, drive)
        service.start()
        (job,) = (job["task_id"] for job in service.jobs())
        service.wait_status(job, "completed")
        check_one_run(service, job)
        wait_for(lambda: "job.completed" in [got.type for got in receiver.got], what="the message of the end")
        told = [got.id for got in receiver.got]
        assert len(set(told)) == 2, "one message for each change"
        assert told.count(told[0]) == (2 if point == "webhook.after_send" else 1)
        assert receiver.got[0].type == "job.started"
        hook = service.get("/api/v1/webhooks")["webhooks"][0]["id"]
        wait_for(lambda: service.get(f"/api/v1/webhooks/{hook}/deliveries?state=delivered")["pagination"]["total"] == 2)


def story(point: str) -> Callable[[Service, str], None]:
    return {"stop": stops, "delete": deletes, "webhook": notifies}.get(point.partition(".")[0], outlives)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """One a point, each on a data directory of its own, some at a time: most of their time is the service's start."""

    def tell(point: str) -> None:
        service = Service(tmp_path_factory.mktemp(point))
        try:
            story(point)(service, point)
        except BaseException as problem:
            problem.add_note(f"stderr of the service:\n{service.errors()}")
            raise
        finally:
            service.close()

    tmp_path_factory.getbasetemp()  # made once, and not by several threads at a time
    with ThreadPoolExecutor(3) as pool:
        futures = {point: pool.submit(tell, point) for point in sorted(POINTS)}
        yield futures
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("point", sorted(POINTS))
def test_a_crash_is_mended(stories: dict[str, Future[None]], point: str) -> None:
    stories[point].result(100)


def test_a_name_that_is_none_stops_the_start(make_service: Maker) -> None:
    service = make_service()
    service.start(fault="no.such.point", ready=False)
    assert service.wait_dead() == 1
    assert "Traceback" not in service.errors() and "no.such.point" in service.errors()
