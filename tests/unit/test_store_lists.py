"""Which jobs a list shows to whom, and a model of the queue that every claim is held against."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from api.models.accounts import Viewer
from api.models.job import EndReason, JobStatus
from api.services.store import job_lists, queue
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.store.job_lists import JobFilter
from tests.unit.toys import START, add_job, claim

ALL = Viewer(0, everything=True)


def listed(
    connection: Connection, viewer: Viewer = ALL, limit: int = 50, offset: int = 0, **wanted: object
) -> list[str]:
    jobs, total = job_lists.page(connection, viewer, JobFilter(**wanted), limit=limit, offset=offset)  # type: ignore[arg-type]
    assert total >= len(jobs) and (offset or limit < total or total == len(jobs))
    return [job.id for job in jobs]


def test_newest_first_in_pages(db: Database) -> None:
    with db.write() as connection:
        ids = [add_job(connection).id for _ in range(5)][::-1]
        assert listed(connection) == ids
        assert listed(connection, limit=2) + listed(connection, limit=2, offset=2) == ids[:4]
        assert listed(connection, limit=2, offset=4) == ids[4:]
        assert listed(connection, offset=5) == []
        assert job_lists.page(connection, ALL, JobFilter(), limit=2, offset=9) == ([], 5)


def test_what_a_viewer_sees(db: Database) -> None:
    with db.write() as connection:
        mine, shared, other = add_job(connection), add_job(connection, owner=2, team=5), add_job(connection, owner=2)
        assert listed(connection, Viewer(1)) == [mine.id]
        assert listed(connection, Viewer(1, frozenset({5, 6}))) == [shared.id, mine.id]
        assert listed(connection, Viewer(2)) == [other.id, shared.id]
        assert listed(connection, Viewer(3)) == []
        assert listed(connection, ALL) == [other.id, shared.id, mine.id]
        assert job_lists.page(connection, Viewer(1), JobFilter(), limit=1, offset=0)[1] == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": JobStatus.RUNNING}, {"engine": "kraken"}, {"dialect": "ocr"}, {"tag": "good"}, {"team_id": 4},
        {"gpu_id": 3}, {"q": "VIDEO"}, {"q": "100%_sure"}, {"q": "job", "tag": "good", "status": JobStatus.RUNNING},
    ],
)  # fmt: skip
def test_filters(db: Database, wanted: dict[str, object]) -> None:
    with db.write() as connection:
        add_job(connection, tags=("other",), name="100 not so sure", gpus=(1,))
        chosen = add_job(
            connection, engine="kraken", dialect="ocr", tags=("good", "other"), team=4, gpus=(3,), priority=9,
            name="my video 100%_sure job",
        )  # fmt: skip
        assert claim(connection, (3,)) is not None
        add_job(connection, tags=("goodness",), team=5)
        assert listed(connection, **wanted) == [chosen.id]
        assert listed(connection, Viewer(77), **wanted) == []


def test_a_gpu_that_a_job_once_had(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=1)
        job = claim(connection, (0,))
        assert job is not None
        job = store.finish(connection, job, EndReason.LOST, START, exit_code=None, failure=None)
        again = store.requeue(connection, job, START, resume_from=None, output_dir="/n", new_series=True)
        assert claim(connection, (1,)) is not None
        assert listed(connection, gpu_id=0) == listed(connection, gpu_id=1) == [again.id]
        assert listed(connection, gpu_id=2) == []


def test_counts(db: Database) -> None:
    with db.write() as connection:
        assert queue.oldest(connection) is None
        add_job(connection, now=START + 5)
        add_job(connection, now=START + 9, engine="kraken")
        assert queue.oldest(connection) == START + 5
        assert claim(connection, places=1) is not None
        counts = job_lists.counts(connection)
        assert counts.keys() == set(JobStatus)
        assert (counts[JobStatus.QUEUED], counts[JobStatus.RUNNING], counts[JobStatus.FAILED]) == (1, 1, 0)
        by_engine = sorted(job_lists.counts_by_engine(connection))
        assert by_engine == [("kraken", "queued", 1), ("toy", "running", 1)]
