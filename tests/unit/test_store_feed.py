"""The feed of events: their order, what is kept of them, and how a client finds out that it missed some."""

from __future__ import annotations

import threading

from sqlalchemy import Connection

from api.models.job import Job, JobStatus
from api.services.feed import Feed
from api.services.store import events
from api.services.store import jobs as store
from api.services.store.database import Database
from tests.unit.toys import START, add_job


def publish(connection: Connection, job: Job, number: int, kind: str = "metric", start: int = 0) -> list[int]:
    return [events.publish(connection, job.seq, kind, {"n": start + n}, START + n) for n in range(number)]


def test_events_come_in_order_and_after_a_number(db: Database) -> None:
    with db.write() as connection:
        one, two = add_job(connection), add_job(connection, owner=2, team=3)
        first, second, third = publish(connection, one, 1) + publish(connection, two, 1) + publish(connection, one, 1)
        every = events.since(connection, 0)
        assert [e.seq for e in every] == sorted(e.seq for e in every)
        assert [e.kind for e in every] == ["status", "status", "metric", "metric", "metric"]
        assert [e.seq for e in events.since(connection, first)] == [second, third]
        assert [e.seq for e in events.since(connection, first, job_seq=one.seq)] == [third]
        assert [e.seq for e in events.since(connection, 0, limit=1)] == [every[0].seq]
        assert [e.kind for e in events.since(connection, 0, kinds=("status", "log"))] == ["status", "status"]
        shown = events.since(connection, first)[0]
        assert (shown.job_id, shown.owner_id, shown.team_id, shown.data, shown.at) == (two.id, 2, 3, {"n": 0}, START)
        assert events.newest(connection) == third


def test_an_empty_feed(db: Database) -> None:
    with db.read() as connection:
        assert (events.newest(connection), events.since(connection, 0)) == (0, [])
        assert events.oldest_kept(connection, 1) == 0


def test_pruning_keeps_the_newest_and_every_status(db: Database) -> None:
    with db.write(durable=False) as connection:
        job, other = add_job(connection), add_job(connection)
        foreign = publish(connection, other, 3)
        old = publish(connection, job, 10, "log")
        job = store.transition(connection, job, JobStatus.RUNNING, START)
        events.prune(connection, job.seq)
        assert events.oldest_kept(connection, job.seq) == old[0]  # there are fewer than are kept
        new = publish(connection, job, events.KEPT - 4)
        events.prune(connection, job.seq)
        kept = events.since(connection, 0, job_seq=job.seq, limit=10_000)
        assert [e.seq for e in kept if e.kind != "status"] == old[6:] + new
        assert [e.data["status"] for e in kept if e.kind == "status"] == ["queued", "running"]
        assert [e.seq for e in events.since(connection, 0, job_seq=other.seq)][1:] == foreign
        assert events.oldest_kept(connection, job.seq) == old[6]


def test_a_client_that_missed_events_can_tell(db: Database) -> None:
    with db.write(durable=False) as connection:
        job = add_job(connection)
        assert not events.missed(connection, job.seq, 0)
        numbers = publish(connection, job, events.KEPT)
        assert not events.missed(connection, job.seq, numbers[0] - 1)  # has seen the status before
        numbers += publish(connection, job, 2)
        events.prune(connection, job.seq)
        assert events.oldest_kept(connection, job.seq) == numbers[2]
        assert events.missed(connection, job.seq, numbers[0])  # has not seen numbers[1], which is gone
        assert not events.missed(connection, job.seq, numbers[1])


def test_numbers_of_events_are_never_given_again(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        last = publish(connection, job, 3)[-1]
        store.remove(connection, job)
        assert events.since(connection, 0) == []
        assert publish(connection, add_job(connection), 1)[0] > last


def test_a_rolled_back_event_never_was(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
    before = events_of(db)
    try:
        with db.write() as connection:
            publish(connection, job, 2)
            raise KeyError
    except KeyError:
        pass
    assert events_of(db) == before


def events_of(db: Database) -> list[int]:
    with db.read() as connection:
        return [e.seq for e in events.since(connection, 0)]


def test_waiting_for_the_next_change() -> None:
    feed = Feed()
    seen = feed.version
    assert feed.wait(seen, 0.0) == seen
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.append(feed.wait(seen, 30.0)))
    waiter.start()
    feed.notify()
    waiter.join(30.0)
    assert found == [seen + 1] and feed.wait(seen, 30.0) == seen + 1  # what was missed is not waited for
