"""Logs of the YOLO platform: every example of its document, bare and enveloped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.models.job import EndReason
from api.routes import yolo_logs
from tests.dialects.conftest import Site
from tests.dialects.test_yolo_datasets import BARE, OWNER, STRANGER, V1, Platform
from tests.dialects.test_yolo_training import Trainings


@pytest.fixture(scope="module")
def prepared(shared_site: Site) -> str:
    return Platform(shared_site, BARE).prepared()


@pytest.fixture(params=[BARE, V1], ids=["bare", "enveloped"])
def trainings(site: Site, prepared: str, request: pytest.FixtureRequest) -> Trainings:
    made = Trainings(site, request.param)
    made.dataset = prepared
    return made


def printed(trainings: Trainings, text: str) -> tuple[str, Path]:
    """A running job that has printed so much, and its log."""
    job = trainings.begun(trainings.create())
    log = trainings.site.services.settings.log_dir / f"{job.id}.log"
    log.write_text(text)
    return job.id, log


def ended(trainings: Trainings, job: str) -> None:
    trainings.site.ended(EndReason.STOPPED_BY_USER, job=trainings.site.job(job))


def test_tail(trainings: Trainings) -> None:
    job, log = printed(trainings, "".join(f"Zeile {number} ä\n" for number in range(120)) + "hal")
    offset, seen = 0, []
    sizes = []
    while True:
        answer = trainings.ok("GET", "/logs/tail", query_string={"job_id": job, "offset": offset})
        assert set(answer) == {"offset", "lines"}
        if answer["offset"] == offset:
            break
        assert log.read_bytes()[:offset].count(b"\n") == len(seen)
        seen += answer["lines"]
        sizes.append(len(answer["lines"]))
        offset = answer["offset"]
    assert seen == [f"Zeile {number} ä" for number in range(120)] and sizes == [50, 50, 20]
    assert log.read_bytes()[offset:] == b"hal" and answer["lines"] == []
    ended(trainings, job)
    answer = trainings.ok("GET", "/logs/tail", query_string={"job_id": job, "offset": offset})
    assert answer == {"offset": log.stat().st_size, "lines": ["hal"]}


def test_lines(trainings: Trainings) -> None:
    job, _ = printed(trainings, "".join(f"line {number}\n" for number in range(300)) + "half")
    lines = [f"line {number}" for number in range(300)]

    def asked(**query: int) -> object:
        return trainings.ok("GET", "/logs/lines", query_string={"job_id": job, **query})

    assert asked() == {"lines": lines[-100:], "total": 300, "returned": 100}
    assert asked(n=2) == {"lines": lines[-2:], "total": 300, "returned": 2}
    assert asked(n=0) == asked(n=999) == {"lines": lines, "total": 300, "returned": 300}
    ended(trainings, job)
    assert asked(n=1) == {"lines": ["half"], "total": 301, "returned": 1}


def test_a_long_log_is_sent_as_it_is_read(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo_logs, "MANY", 5)
    job, _ = printed(trainings, '"quoted"\n\udc80\n'.encode("utf-8", "replace").decode() + "x\n" * 7)
    whole = trainings.ok("GET", "/logs/lines", query_string={"job_id": job, "n": 0})
    assert whole == {"lines": ['"quoted"', "?", *"xxxxxxx"], "total": 9, "returned": 9}
    few = trainings.ok("GET", "/logs/lines", query_string={"job_id": job, "n": 3})
    assert few == {"lines": [*"xxx"], "total": 9, "returned": 3}


def test_stream(trainings: Trainings) -> None:
    job, log = printed(trainings, "eins\nzwei\n\ndrei")
    ended(trainings, job)

    def events(**headers: str) -> list[str]:
        response = trainings.call("GET", "/logs/stream", query_string={"job_id": job}, headers=headers)
        assert response.status_code == 200 and response.mimetype == "text/event-stream"
        opened, *found = response.text.split("\n\n")[:-1]
        assert opened == ": open"
        return found

    end = 'event: end\ndata: {"status":"stopped"}'
    lines = ["id: 5\ndata: eins", "id: 10\ndata: zwei", "id: 11\ndata: ", "id: 15\ndata: drei"]
    assert events() == [*lines, end] and log.stat().st_size == 15
    assert events(**{"Last-Event-ID": "10"}) == [*lines[2:], end]
    assert events(**{"Last-Event-ID": "15"}) == [end]
    trainings.detail("GET", "/logs/stream", 422, query_string={"job_id": job}, headers={"Last-Event-ID": "x"})


def test_before_anything_is_printed(trainings: Trainings) -> None:
    query = {"job_id": trainings.create()}
    assert trainings.ok("GET", "/logs/tail", query_string=query) == {"offset": 0, "lines": []}
    assert trainings.ok("GET", "/logs/lines", query_string=query) == {"lines": [], "total": 0, "returned": 0}


def test_control_characters_and_bars(trainings: Trainings) -> None:
    job, _ = printed(trainings, "\x1b[1mbold\x1b[0m\r\n 10%\r 50%\r100%\n")
    answer = trainings.ok("GET", "/logs/lines", query_string={"job_id": job})
    assert answer["lines"] == ["bold", "100%"]
    assert json.dumps(answer)


def test_refusals(trainings: Trainings) -> None:
    job, _ = printed(trainings, "x\n")
    other = trainings.site.queued().id
    for path in ("/logs/stream", "/logs/tail", "/logs/lines"):
        assert "job_id" in trainings.detail("GET", path, 422)
        for unknown in ("job_20240115_123456_0000", "../../etc/passwd", other):
            query = {"job_id": unknown}
            trainings.detail("GET", path, 404, query_string=query, who=trainings.site.operator)
        trainings.detail("GET", path, 403, query_string={"job_id": job}, who=STRANGER)
    for path, query in (("/logs/tail", {"offset": -1}), ("/logs/lines", {"n": -1}), ("/logs/lines", {"n": "1e3"})):
        trainings.detail("GET", path, 422, query_string={"job_id": job, **query}, who=OWNER)
