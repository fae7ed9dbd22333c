"""Streams that stand at the same place of the feed share one read of it, and miss nothing by that."""

from __future__ import annotations

from pathlib import Path

from api.services.history import SHARED, History
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.workspaces import Workspaces
from tests.unit.toys import START, add_job


def test_one_read_for_each_version_and_place(db: Database) -> None:
    history = History(db, Workspaces(*[Path("/nowhere")] * 4))
    assert history.events(None, 0, (), 1) == []
    with db.write() as connection:
        job = add_job(connection)
    assert history.events(None, 0, (), 1) == []  # nobody was told yet
    assert [one.job_id for one in history.events(None, 0, (), None)] == [job.id]  # who must know reads anew
    first = history.events(None, 0, ("status",), 2)
    assert [one.job_id for one in first] == [job.id]
    assert history.events(None, 0, ("status",), 2) is first
    assert history.events(None, first[-1].seq, ("status",), 2) == []
    assert history.events(job, 0, ("log",), 2) == []


def test_few_reads_are_kept(db: Database) -> None:
    history = History(db, Workspaces(*[Path("/nowhere")] * 4))
    with db.write() as connection:
        store.publish_status(connection, add_job(connection), START)
    for version in range(3 * SHARED):
        assert len(history.events(None, 0, (), version)) == 2
    assert len(history._shared) <= SHARED
