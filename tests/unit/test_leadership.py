"""Who supervises: both locks, taken, lost, taken again, and given up only when nothing of ours works any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.services.leadership import Leadership
from api.utils.locks import DataDirectoryBusy, DirectoryLock


class Lock:
    """The database's: what `take` will say."""

    def __init__(self) -> None:
        self.says: bool | None = True
        self.released = 0

    def take(self) -> bool | None:
        return self.says

    def release(self) -> None:
        self.released += 1


class Service:
    """A leadership whose turns are the test's, and what it began and ended."""

    def __init__(self, data_dir: Path, lock: Lock | None) -> None:
        self.lock = lock
        self.did: list[str] = []
        self.stops = True
        self.leadership = Leadership(
            data_dir, lock, standing_by=[lambda: self.did.append("stood by")], always=[lambda: None]
        )
        self.leadership._begin = lambda: self.did.append("began")
        self.leadership._end = self._end

    def _end(self) -> bool:
        self.did.append("ended")
        return self.stops

    def turn(self) -> bool:
        self.leadership.turn()
        return self.leadership.leads


def is_free(data_dir: Path) -> bool:
    try:
        DirectoryLock.take(data_dir).release()
    except DataDirectoryBusy:
        return False
    return True


@pytest.fixture
def lock() -> Lock:
    return Lock()


def test_alone_on_sqlite(tmp_path: Path) -> None:
    one = Service(tmp_path, None)
    assert one.leadership.leads, "a service that was not started either is nobody's standby"
    one.leadership.start(one.leadership._begin, one.leadership._end)
    one.leadership.close()
    assert one.did == ["began", "ended"]


def test_the_directory_decides_between_two_on_a_host(tmp_path: Path) -> None:
    """Also where the database gives its lock to both, as one that was restarted may."""
    first, second = Service(tmp_path, Lock()), Service(tmp_path, Lock())
    assert first.turn() and not second.turn()
    assert first.turn() and not second.turn()
    assert first.did == ["began"] and second.did == ["stood by", "stood by"]
    first.leadership.close()
    assert second.turn() and second.did[-1] == "began"
    second.leadership.close()


@pytest.mark.parametrize("says", [False, None])
def test_the_directory_alone_is_not_enough(tmp_path: Path, lock: Lock, says: bool | None) -> None:
    one = Service(tmp_path, lock)
    lock.says = says
    assert not one.turn() and one.did == ["stood by"] and not is_free(tmp_path)
    lock.says = True
    assert one.turn() and one.did == ["stood by", "began"]
    one.leadership.close()
    assert is_free(tmp_path)


def test_a_database_that_is_away_changes_nothing(tmp_path: Path, lock: Lock) -> None:
    one = Service(tmp_path, lock)
    for says in (True, None, None, True):
        lock.says = says
        assert one.turn()
    assert one.did == ["began"] and not is_free(tmp_path)
    one.leadership.close()


def test_half_of_a_leader_leads_no_more(tmp_path: Path, lock: Lock) -> None:
    """The lock is free again before all has ended: first the rest of it ends, then all of it begins."""
    one = Service(tmp_path, lock)
    assert one.turn()
    lock.says, one.stops = False, False
    assert one.turn()
    lock.says, one.stops = True, True
    assert not one.turn() and one.turn()
    assert one.did == ["began", "ended", "ended", "stood by", "began"]
    one.leadership.close()


def test_somebody_else_has_the_databases(tmp_path: Path, lock: Lock) -> None:
    one = Service(tmp_path, lock)
    assert one.turn()
    lock.says, one.stops = False, False
    assert one.turn() and not is_free(tmp_path), "a thread of ours still works: nobody else may begin"
    one.stops = True
    assert not one.turn() and is_free(tmp_path) and lock.released
    lock.says = True
    assert one.turn(), "and again"
    assert one.did == ["began", "ended", "ended", "stood by", "began"]
    one.leadership.close()
