"""Which jobs a list shows to whom, and a model of the queue that every claim is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from api.models.job import EndReason, Job, JobStatus
from api.services.store import jobs as store
from api.services.store import schema
from api.services.store.database import Database
from api.services.store.jobs import JobFilter, Room, Viewer
from tests.unit.toys import START, add_job

ALL = Viewer(0, everything=True)


def listed(
    connection: Connection, viewer: Viewer = ALL, limit: int = 50, offset: int = 0, **wanted: object
) -> list[str]:
    jobs, total = store.page(connection, viewer, JobFilter(**wanted), limit=limit, offset=offset)  # type: ignore[arg-type]
    assert total >= len(jobs) and (offset or limit < total or total == len(jobs))
    return [job.id for job in jobs]


def test_newest_first_in_pages(db: Database) -> None:
    with db.write() as connection:
        ids = [add_job(connection).id for _ in range(5)][::-1]
        assert listed(connection) == ids
        assert listed(connection, limit=2) + listed(connection, limit=2, offset=2) == ids[:4]
        assert listed(connection, limit=2, offset=4) == ids[4:]
        assert listed(connection, offset=5) == []
        assert store.page(connection, ALL, JobFilter(), limit=2, offset=9) == ([], 5)


def test_what_a_viewer_sees(db: Database) -> None:
    with db.write() as connection:
        mine, shared, other = add_job(connection), add_job(connection, owner=2, team=5), add_job(connection, owner=2)
        assert listed(connection, Viewer(1)) == [mine.id]
        assert listed(connection, Viewer(1, frozenset({5, 6}))) == [shared.id, mine.id]
        assert listed(connection, Viewer(2)) == [other.id, shared.id]
        assert listed(connection, Viewer(3)) == []
        assert listed(connection, ALL) == [other.id, shared.id, mine.id]
        assert store.page(connection, Viewer(1), JobFilter(), limit=1, offset=0)[1] == 1


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
        assert store.claim(connection, Room((3,), 0), START) is not None
        add_job(connection, tags=("goodness",), team=5)
        assert listed(connection, **wanted) == [chosen.id]
        assert listed(connection, Viewer(77), **wanted) == []


def test_a_gpu_that_a_job_once_had(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=1)
        job = store.claim(connection, Room((0,), 0), START)
        assert job is not None
        job = store.finish(connection, job, EndReason.LOST, START, exit_code=None, failure=None)
        again = store.requeue(connection, job, START, resume_from=None, output_dir="/n", new_series=True)
        assert store.claim(connection, Room((1,), 0), START) is not None
        assert listed(connection, gpu_id=0) == listed(connection, gpu_id=1) == [again.id]
        assert listed(connection, gpu_id=2) == []


def test_counts(db: Database) -> None:
    with db.write() as connection:
        assert store.oldest_queued(connection) is None
        add_job(connection, now=START + 5)
        add_job(connection, now=START + 9, engine="kraken")
        assert store.oldest_queued(connection) == START + 5
        assert store.claim(connection, Room((), 1), START) is not None
        counts = store.counts(connection)
        assert counts.keys() == set(JobStatus)
        assert (counts[JobStatus.QUEUED], counts[JobStatus.RUNNING], counts[JobStatus.FAILED]) == (1, 1, 0)
        by_engine = sorted(store.counts_by_engine(connection))
        assert by_engine == [("kraken", "queued", 1), ("toy", "running", 1)]


# ---- the model


@dataclass
class Waiting:
    id: str
    priority: int
    number: int
    gpus: int
    ids: tuple[int, ...]


@dataclass
class Model:
    """The rule of the queue, said plainly: in order of priority and age, each job takes what it needs or keeps what it
    could use from those behind it; CPU jobs need a place only."""

    waiting: list[Waiting] = field(default_factory=list)
    held: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def next(self, offer: tuple[int, ...], places: int) -> tuple[str, tuple[int, ...]] | None:
        taken = {gpu for gpus in self.held.values() for gpu in gpus}
        left = [gpu for gpu in offer if gpu not in taken]
        for job in sorted(self.waiting, key=lambda job: (-job.priority, job.number)):
            if job.gpus == 0:
                if places > 0:
                    return job.id, ()
            elif job.ids:
                if set(job.ids) <= set(left):
                    return job.id, job.ids
                left = [gpu for gpu in left if gpu not in job.ids]
            elif job.gpus <= len(left):
                return job.id, tuple(left[: job.gpus])
            else:
                left = []
        return None


gpu_numbers = st.integers(0, 3)
submissions = st.tuples(
    st.just("submit"),
    st.integers(0, 2),
    st.one_of(
        st.integers(0, 4), st.lists(gpu_numbers, min_size=1, max_size=3, unique=True).map(tuple)
    ),
)  # fmt: skip
claims = st.tuples(st.just("claim"), st.permutations(range(4)).map(tuple), st.integers(0, 4), st.integers(0, 1))
ends = st.tuples(st.just("end"), st.integers(0, 20))
steps = st.lists(st.one_of(submissions, claims, claims, ends), max_size=40)


@given(steps)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_claims_follow_the_model(db: Database, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with db.write(durable=False) as connection:
        connection.execute(delete(schema.jobs))
        model = Model()
        do: dict[str, Callable[..., None]] = {"submit": _submit, "claim": _claim, "end": _end}
        for kind, *values in steps:
            do[kind](connection, model, *values)
            leases = {gpu: job for job, gpus in model.held.items() for gpu in gpus}
            assert {gpu: job for gpu, (job, _) in store.leases(connection).items()} == leases


def _submit(connection: Connection, model: Model, priority: int, gpus: int | tuple[int, ...]) -> None:
    job = add_job(connection, priority=priority, gpus=gpus)
    wanted = job.spec.resources
    model.waiting.append(Waiting(job.id, priority, job.seq, wanted.gpus, wanted.gpu_ids))


def _claim(connection: Connection, model: Model, order: tuple[int, ...], offered: int, places: int) -> None:
    expected = model.next(order[:offered], places)
    job = store.claim(connection, Room(order[:offered], places), START)
    assert (job and (job.id, job.gpu_ids)) == expected
    if job is not None:
        assert job.status is JobStatus.RUNNING
        model.waiting = [waiting for waiting in model.waiting if waiting.id != job.id]
        model.held[job.id] = job.gpu_ids


def _end(connection: Connection, model: Model, index: int) -> None:
    if model.held:
        job_id = sorted(model.held)[index % len(model.held)]
        job: Job = store.get(connection, job_id)
        store.finish(connection, job, EndReason.DONE, START, exit_code=0, failure=None)
        del model.held[job_id]
