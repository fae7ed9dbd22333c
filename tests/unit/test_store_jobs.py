"""Jobs in the store: ids, the queue and its claims, status edges, attempts, lists."""

from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError

from api.models.accounts import Viewer
from api.models.events import Metric
from api.models.job import EndReason, Failure, Job, JobStatus, Resources
from api.services.store import events, leases, logs, queue, queue_tables, schema
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.store.metric_writer import SeriesWriter
from api.utils.errors import Conflict, NotFound
from tests.postgres import sqlite_only
from tests.unit.toys import START, add_job, claim

ALL = Viewer(0, everything=True)


def at(connection: Connection, status: JobStatus, reason: EndReason | None = None) -> Job:
    """A job that came to a status by the usual way."""
    job = add_job(connection)
    if status is JobStatus.QUEUED:
        return job
    job = store.transition(connection, job, JobStatus.RUNNING, START)
    return job if status is JobStatus.RUNNING else store.transition(connection, job, status, START)


# ---- rows


def test_a_job_reads_back_as_it_was_given(db: Database) -> None:
    given = {
        "params": {"a": [1, 2.5, None, "ü"]}, "dataset": {"d": 1}, "priority": 3, "description": "x",
        "tags": ("a", "b"), "env": {"K": "v"}, "output_dir": "/x", "max_runtime": 5, "max_retries": 1,
        "extra": {"framework": "y"},
    }  # fmt: skip
    with db.write() as connection:
        job = add_job(connection, gpus=(1, 0), team=7, **given)
    with db.read() as connection:
        assert store.get(connection, job.id) == job
        assert store.attempt(connection, job).output_dir == f"/out/{job.id}"
        assert events.since(connection, 0, job_seq=job.seq)[0].data["status"] == "queued"
    assert job.spec.resources == Resources(gpus=2, gpu_ids=(1, 0))
    for name, value in given.items():
        assert getattr(job.spec, name) == value
    assert (job.status, job.attempt, job.series, job.started_at) == (JobStatus.QUEUED, 1, 1, None)


def test_order_numbers_are_never_given_again(db: Database) -> None:
    with db.write() as connection:
        first, second = add_job(connection), add_job(connection)
        store.remove(connection, second)
        store.remove(connection, first)
        third = add_job(connection)
    assert first.seq < second.seq < third.seq
    with db.write() as connection:
        store.remove(connection, third)
    with db.write() as connection:
        assert add_job(connection).seq > third.seq


def test_a_taken_id_is_drawn_again(db: Database) -> None:
    draws = iter(["one", "one", "one", "two"])
    with db.write() as connection:
        new = store.NewJob(add_job(connection).spec, "d", 1, None, lambda i: i, lambda: next(draws))
        assert [store.add(connection, new, START).id for _ in range(2)] == ["one", "two"]


def test_what_is_not_there(db: Database) -> None:
    with db.read() as connection:
        with pytest.raises(NotFound):
            store.get(connection, "nobody")
    with db.write() as connection:
        job = add_job(connection)
        with pytest.raises(NotFound):
            store.attempt(connection, job, 2)


# ---- the queue


def test_priority_then_first_come(db: Database) -> None:
    with db.write() as connection:
        jobs = [add_job(connection, priority=p) for p in (0, 5, 0, 5)]
        assert [queue.position(connection, job) for job in jobs] == [3, 1, 4, 2]
        taken = [claim(connection, places=5) for _ in range(5)]
        assert [job and job.id for job in taken] == [jobs[1].id, jobs[3].id, jobs[0].id, jobs[2].id, None]
        assert queue.position(connection, store.get(connection, jobs[0].id)) is None
        assert not queue.any_queued(connection)


def test_the_oldest_goes_first_whatever_it_needs(db: Database) -> None:
    with db.write() as connection:
        gpu, cpu, urgent = add_job(connection, gpus=1), add_job(connection), add_job(connection, priority=1)
        order = [claim(connection, (0,), 2) for _ in range(3)]
        assert [job and job.id for job in order] == [urgent.id, gpu.id, cpu.id]


def test_cpu_places(db: Database) -> None:
    with db.write() as connection:
        add_job(connection)
        assert claim(connection, (0, 1), 0) is None
        assert claim(connection, (), 1) is not None


def test_leases_in_the_order_of_the_offer(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=2)
        job = claim(connection, (3, 0, 1))
        assert job is not None and job.gpu_ids == (3, 0) and job.started_at == START
        assert leases.gpu_holders(connection) == {3: (job.id, "toy"), 0: (job.id, "toy")}
        add_job(connection, gpus=1)
        other = claim(connection, (3, 0, 1))  # the offer may be stale: leases are looked up
        assert other is not None and other.gpu_ids == (1,)


def test_a_double_lease_is_impossible(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=1)
        held, other = claim(connection, (0,)), add_job(connection)
        assert held is not None
        with pytest.raises(IntegrityError):
            connection.execute(queue_tables.gpu_leases.insert().values(gpu_id=0, job_seq=other.seq))


def test_explicit_gpus_wait_for_just_these(db: Database) -> None:
    with db.write() as connection:
        held = add_job(connection, gpus=(1,))
        assert claim(connection, (0, 1, 2)) is not None
        pair, single = add_job(connection, gpus=(0, 1)), add_job(connection, gpus=1)
        assert queue.gpu_claimant(connection, 1) == held.id
        assert queue.gpu_claimant(connection, 0) == pair.id  # nobody holds it, but it is waited for
        assert queue.gpu_claimant(connection, 2) is None
        first = claim(connection, (0, 2))
        assert first is not None and (first.id, first.gpu_ids) == (single.id, (2,))  # 0 is kept for the pair
        assert claim(connection, (0,)) is None
        store.finish(connection, store.get(connection, held.id), EndReason.DONE, START, exit_code=0, failure=None)
        second = claim(connection, (0, 1))
        assert second is not None and (second.id, second.gpu_ids) == (pair.id, (0, 1))


def test_a_large_job_is_not_starved_by_later_small_ones(db: Database) -> None:
    with db.write() as connection:
        large = add_job(connection, gpus=3)
        for _ in range(4):
            add_job(connection, gpus=1)
        assert claim(connection, (0,)) is None
        assert claim(connection, (0, 1)) is None
        job = claim(connection, (2, 0, 1))
        assert job is not None and (job.id, job.gpu_ids) == (large.id, (2, 0, 1))


def test_a_waiting_gpu_job_does_not_hold_up_the_cpu(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=2, priority=9)
        cpu = add_job(connection)
        job = claim(connection, (0,), 1)
        assert job is not None and job.id == cpu.id


@sqlite_only
def test_a_claim_reads_few_rows_of_a_long_queue(db: Database) -> None:
    with db.write(durable=False) as connection:
        for _ in range(300):
            add_job(connection, gpus=1)
        asked: list[tuple[str, tuple[object, ...]]] = []
        event.listen(connection, "before_cursor_execute", lambda c, cur, sql, given, *rest: asked.append((sql, given)))
        assert claim(connection, (0,)) is not None
        queues = [(sql, given) for sql, given in asked if "ORDER BY jobs.priority" in sql]
        plans = [connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, given).all() for sql, given in queues]
    assert plans and all("ix_jobs_queue" in str(plan) and "B-TREE" not in str(plan) for plan in plans)


# ---- edges

LEGAL = {
    (JobStatus.QUEUED, JobStatus.RUNNING), (JobStatus.QUEUED, JobStatus.STOPPED), (JobStatus.QUEUED, JobStatus.FAILED),
    (JobStatus.RUNNING, JobStatus.COMPLETED), (JobStatus.RUNNING, JobStatus.FAILED),
    (JobStatus.RUNNING, JobStatus.STOPPED),
    (JobStatus.RUNNING, JobStatus.QUEUED),  # a retry
    # a resume or a restart: requeue() comes through here too
    (JobStatus.COMPLETED, JobStatus.QUEUED),
    (JobStatus.FAILED, JobStatus.QUEUED),
    (JobStatus.STOPPED, JobStatus.QUEUED),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), list(product(JobStatus, JobStatus)))
def test_edges(db: Database, before: JobStatus, after: JobStatus) -> None:
    with db.write() as connection:
        job = at(connection, before)
        if (before, after) in LEGAL:
            fresh = store.transition(connection, job, after, START + 1)
            assert (fresh.status, fresh.updated_at) == (after, START + 1)
            newest = events.since(connection, 0, job_seq=job.seq)[-1]
            assert newest.kind == "status" and newest.data["status"] == after
        else:
            with pytest.raises(Conflict):
                store.transition(connection, job, after, START + 1)
            assert store.get(connection, job.id) == job


def test_a_lost_race_is_a_conflict_and_changes_nothing(db: Database) -> None:
    with db.write() as connection:
        seen = at(connection, JobStatus.RUNNING)
        done = store.finish(connection, seen, EndReason.DONE, START, exit_code=0, failure=None)
    with pytest.raises(Conflict), db.write() as connection:
        store.finish(connection, seen, EndReason.EXIT_CODE, START + 5, exit_code=1, failure=None)
    with db.read() as connection:
        assert store.get(connection, seen.id) == done
        assert store.attempt(connection, done).exit_code == 0


def test_an_end_of_an_attempt_that_is_no_longer_current(db: Database) -> None:
    with db.write() as connection:
        seen = at(connection, JobStatus.RUNNING)
        ended = store.finish(connection, seen, EndReason.LOST, START, exit_code=None, failure=None)
        again = store.requeue(connection, ended, START, resume_from="c", output_dir="/o", new_series=False)
        store.transition(connection, again, JobStatus.RUNNING, START)
        with pytest.raises(Conflict):
            store.transition(connection, seen, JobStatus.FAILED, START)


@pytest.mark.parametrize("reason", list(EndReason))
def test_finish(db: Database, reason: EndReason) -> None:
    failure = Failure("unknown", "do this", "that line") if reason.status is JobStatus.FAILED else None
    with db.write() as connection:
        add_job(connection, gpus=2)
        job = claim(connection, (0, 1))
        assert job is not None
        store.save(connection, job, START, progress={"step": 7, "phase": "training"})
        job = store.get(connection, job.id)
        done = store.finish(connection, job, reason, START + 9, exit_code=3, failure=failure, ended_at=START + 8)
        assert leases.gpu_holders(connection) == {}
        attempt = store.attempt(connection, done)
    assert (done.status, done.reason, done.ended_at) == (reason.status, reason, START + 8)
    assert (attempt.reason, attempt.ended_at, attempt.exit_code) == (reason, START + 8, 3)
    assert done.progress == {"step": 7, "phase": "done"} and done.gpu_ids == (0, 1)
    assert done.failure == failure and done.error_message == (failure and failure.hint)


def test_leases_go_back_in_the_transaction_that_ends_the_job(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=1)
        job = claim(connection, (0,))
        assert job is not None
    with pytest.raises(RuntimeError), db.write() as connection:
        store.finish(connection, job, EndReason.DONE, START, exit_code=0, failure=None)
        raise RuntimeError("power cut")
    with db.read() as connection:
        assert leases.gpu_holders(connection) == {0: (job.id, "toy")}
        assert store.get(connection, job.id).status is JobStatus.RUNNING


def test_a_second_stop_request_can_only_add_force(db: Database) -> None:
    with db.write() as connection:
        job = store.request_stop(connection, at(connection, JobStatus.RUNNING), START + 1, force=False)
        job = store.request_stop(connection, job, START + 2, force=True)
        job = store.request_stop(connection, job, START + 3, force=False)
    assert (job.stop_requested_at, job.stop_forced, job.status) == (START + 1, True, JobStatus.RUNNING)


def test_rebuilt_leases_are_those_of_the_running(db: Database) -> None:
    with db.write() as connection:
        for _ in range(2):
            add_job(connection, gpus=1)
        one, two = claim(connection, (0, 1)), claim(connection, (0, 1))
        assert one is not None and two is not None
        leases.rebuild(connection, [two])
        assert leases.gpu_holders(connection) == {1: (two.id, "toy")}


def test_the_status_is_not_for_save(db: Database) -> None:
    with db.write() as connection:
        with pytest.raises(ValueError, match="transition"):
            store.save(connection, add_job(connection), START, status=JobStatus.COMPLETED)


# ---- again


def ended(connection: Connection) -> Job:
    job = at(connection, JobStatus.RUNNING)
    store.save(connection, job, START, progress={
        "step": 30, "epoch": 3, "total_steps": 100, "total_epochs": 10, "total_steps_estimated": True, "loss": 0.5,
        "steps_per_epoch": 10, "best_loss": 0.4, "finished": True, "faults": ["x"], "ending": "stalled",
    }, warnings=["w"], usage={"pids": [1]})  # fmt: skip
    failure = Failure("unknown", "hint")
    job = store.get(connection, job.id)
    job = store.request_stop(connection, job, START, force=True)
    return store.finish(connection, job, EndReason.EXIT_CODE, START, exit_code=1, failure=failure)


def test_a_resume_carries_what_stays_true(db: Database) -> None:
    with db.write() as connection:
        job = ended(connection)
        again = store.requeue(connection, job, START + 5, resume_from="c1", output_dir="/o", new_series=False)
        first, second = store.attempts_of(connection, again)
    assert (again.status, again.attempt, again.series) == (JobStatus.QUEUED, 2, 1)
    cleared = (again.started_at, again.ended_at, again.reason, again.stop_requested_at, again.failure)
    assert cleared == (None,) * 5 and not again.stop_forced and again.error_message is None and again.warnings == ()
    assert dict(again.progress) == {
        "total_epochs": 10, "total_steps": 100, "total_steps_estimated": True, "steps_per_epoch": 10, "best_loss": 0.4,
    }  # fmt: skip
    assert (first.exit_code, first.reason, first.series) == (1, EndReason.EXIT_CODE, 1)
    assert (second.number, second.series, second.resume_from, second.output_dir) == (2, 1, "c1", "/o")


def test_a_restart_carries_nothing(db: Database) -> None:
    with db.write() as connection:
        again = store.requeue(connection, ended(connection), START, resume_from=None, output_dir="/n", new_series=True)
        assert (again.attempt, again.series, again.progress) == (2, 2, {})
        assert store.attempt(connection, again).series == 2


def test_two_resumes_at_once_are_one_and_a_conflict(db: Database) -> None:
    with db.write() as connection:
        job = ended(connection)
        store.requeue(connection, job, START, resume_from=None, output_dir="/a", new_series=False)
    with pytest.raises(Conflict), db.write() as connection:
        store.requeue(connection, job, START, resume_from=None, output_dir="/b", new_series=True)
    with db.read() as connection:
        assert [attempt.output_dir for attempt in store.attempts_of(connection, job)] == [f"/out/{job.id}", "/a"]


# ---- removal


@pytest.mark.parametrize("status", list(JobStatus))
def test_remove(db: Database, status: JobStatus) -> None:
    with db.write() as connection:
        job = at(connection, status)
        if status is JobStatus.RUNNING:
            with pytest.raises(Conflict):
                store.remove(connection, job)
            return
        store.remove(connection, job)
        with pytest.raises(NotFound):
            store.remove(connection, job)


def test_removal_takes_all_that_hangs_on_a_job(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=1, tags=("a",))
        job = claim(connection, (0,))
        assert job is not None
        writer = SeriesWriter(job.seq, 1)
        writer.write(connection, [Metric("loss", 1.0, x, 1) for x in range(1, 20)], START)
        logs.write(connection, job.seq, [logs.Span(1, 1, 0, 5, START, 20, "train", 1, None, None)])
        logs.save_file_offset(connection, job.seq, "/f", 3)
        kept = add_job(connection, tags=("a",))
        store.finish(connection, job, EndReason.DONE, START, exit_code=0, failure=None)
        store.remove(connection, job)
        left = {table.name: connection.execute(select(table)).all() for table in schema.metadata.sorted_tables}
    rows = {name: len(found) for name, found in left.items() if found and name not in ("users", "alembic_version")}
    assert rows == {"jobs": 1, "job_tags": 1, "attempts": 1, "events": 1}
    assert left["jobs"][0].id == kept.id
