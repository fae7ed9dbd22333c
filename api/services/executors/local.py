"""Runs attempts on this machine, each under a keeper (api/utils/training_wrapper.py) that outlives the service.

Everything known about an attempt lies in its control directory, so a restarted service knows as much as the one
that started it. A handle is the path of that directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import Any

from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.base import THIS_MACHINE, LaunchError, Observation, RunState, Terms, Usage
from api.utils import training_wrapper as keeper
from api.utils.faults import fault

#: the interpreter itself: no shim of a version manager, no virtual environment to be rebuilt under a running job
PYTHON: str = getattr(sys, "_base_executable", None) or sys.executable
Record = dict[str, Any]


class LocalExecutor:
    """`linger`: seconds that processes which outlive their trainer get between SIGTERM and SIGKILL."""

    name = "local"
    traits = THIS_MACHINE

    def __init__(self, *, linger: float = 10.0, python: str = PYTHON) -> None:
        self._linger = linger
        self._python = python
        self._mutex = threading.Lock()
        self._keepers: dict[int, str] = {}  # our children, to be reaped: pid -> handle
        self._broken: dict[str, str] = {}  # handle -> how its keeper ended before it recorded anything
        self._told: dict[str, set[tuple[int, int]]] = {}  # handle -> orphans that got their SIGTERM

    def handle(self, workspace: Workspace) -> str:
        return str(workspace.control.absolute())

    def launch(self, command: Command, workspace: Workspace, terms: Terms) -> None:
        handle = self.handle(workspace)
        fault("launch.before_lock")
        try:
            records.make(handle)
            lock = _claim(handle)
            if lock is None:
                return
            try:
                self._launch(lock, command, workspace, terms)
            finally:
                os.close(lock)  # the keeper has its own
        except OSError as error:
            raise LaunchError(f"{error.strerror}: {error.filename or handle}") from error

    def _launch(self, lock: int, command: Command, workspace: Workspace, terms: Terms) -> None:
        handle = self.handle(workspace)
        if records.read(handle, keeper.EXIT) or records.read(handle, keeper.PID):
            return  # it ran, once is enough
        for name in (keeper.PID, keeper.EXIT, keeper.STOP):
            keeper.reserve(handle, name)
        description = records.launch(command, workspace, terms, self._linger)
        description["affinity"] = list(terms.resources.cpu_ids) or None
        keeper.put(handle, keeper.LAUNCH, description, durable=False)  # after a power cut it is written anew
        fault("launch.after_lock")
        with self._mutex:
            self._broken.pop(handle, None)
            self._keepers[self._spawn(handle, lock)] = handle
        fault("launch.after_spawn")

    def _spawn(self, handle: str, lock: int) -> int:
        """posix_spawn and not Popen: nothing of ours runs between fork and exec, which threads would endanger."""
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        lock_too = (os.POSIX_SPAWN_DUP2, lock, lock)  # onto itself: inheritable, and in the child alone
        return os.posix_spawn(
            self._python,
            [self._python, "-I", "-S", str(Path(keeper.__file__).absolute()), handle, str(lock)],
            {},
            file_actions=[*null, lock_too],
            setsid=True,
            setsigmask=(),
        )

    def poll(self, handle: str) -> Observation:
        self._reap()
        seen = self._look(handle)
        if seen.state is not RunState.RUNNING and seen.state is not RunState.EXITED and _held(handle):
            return self._look(handle)  # a launch overtook us
        if seen.state is RunState.ORPHAN:
            self._press(handle)
        if seen.state is RunState.ABSENT and handle in self._broken:
            return Observation(RunState.EXITED, error=self._broken[handle])
        return seen

    def _look(self, handle: str) -> Observation:
        held = _held(handle)  # first: a keeper writes its verdict before it lets go
        started = records.read(handle, keeper.PID)
        if held:
            return records.observed(RunState.RUNNING, started)
        verdict = records.read(handle, keeper.EXIT)
        if verdict:
            return records.ended(verdict, started)
        if not started:
            return Observation(RunState.ABSENT)
        return records.observed(RunState.ORPHAN if _survivors(started) else RunState.VANISHED, started)

    def _reap(self) -> None:
        """Keepers are our children while we live: collects the ended ones, and what a broken one left unsaid."""
        with self._mutex:
            for pid, handle in list(self._keepers.items()):
                try:
                    ended, status = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    ended, status = pid, 0
                if ended:
                    del self._keepers[pid]
                    code = os.waitstatus_to_exitcode(status)
                    if code > 0:
                        self._broken[handle] = f"the keeper ended with code {code} and left no record"

    def stop(self, handle: str, grace: float) -> None:
        state = self.poll(handle).state
        if state in (RunState.EXITED, RunState.VANISHED):
            return
        with self._mutex:
            records.intend(handle, grace)
        if state is RunState.ORPHAN:
            self._press(handle)

    def _press(self, handle: str) -> None:
        """Does for an orphan what its keeper would have done, a step at each call."""
        intent, started = records.read(handle, keeper.STOP), records.read(handle, keeper.PID)
        if not intent or not started:
            return
        overdue = keeper.clock() >= intent.get("clock", 0) + intent.get("grace", self._linger)
        told = self._told.setdefault(handle, set())
        for each in _survivors(started):
            if overdue:
                keeper.send(each, signal.SIGKILL)
            elif (each.pid, each.starttime) not in told:
                told.add((each.pid, each.starttime))
                keeper.send(each, signal.SIGTERM)
                keeper.send(each, signal.SIGCONT)

    def usage(self, handle: str) -> Usage | None:
        started = records.read(handle, keeper.PID)
        if not started:
            return None
        tree = keeper.descendants(started["keeper"]) if _held(handle) else _survivors(started)
        tree = [each for each in tree if not each.zombie]
        if not tree:
            return None
        return Usage(
            cpu_seconds=sum(each.cpu_seconds for each in tree),
            rss_bytes=sum(keeper.resident(each.pid) for each in tree),
            pids=tuple(each.pid for each in tree),
        )

    def forget(self, handle: str) -> None:
        if _held(handle):
            raise RuntimeError(f"an attempt that runs cannot be forgotten: {handle}")
        self._broken.pop(handle, None)
        self._told.pop(handle, None)
        shutil.rmtree(handle, ignore_errors=True)


# The lock is an open-file-description lock. Like flock it belongs to the open file, so it passes to the keeper with
# the descriptor and the kernel drops it when the last holder dies. Unlike flock it can be *asked about* without being
# taken: a poll that tried flock would hold it for a moment, and a launch in that moment would believe itself late.


def _flock(handle: int, command: int) -> int:
    answer = fcntl.fcntl(handle, command, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return int(struct.unpack("hhqqi0q", answer)[0])


def _claim(control: str) -> int | None:
    """The descriptor that holds the lock, or None if somebody else does."""
    opened = os.open(f"{control}/{keeper.LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
    try:  # clear of 0, 1 and 2, which a service without standard streams would get, and the keeper uses
        lock = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(opened)
    try:
        _flock(lock, fcntl.F_OFD_SETLK)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError | PermissionError):  # POSIX allows EAGAIN and EACCES
            return None
        raise
    return lock


def _held(control: str) -> bool:
    try:
        lock = os.open(f"{control}/{keeper.LOCK}", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return _flock(lock, fcntl.F_OFD_GETLK) != fcntl.F_UNLCK
    finally:
        os.close(lock)


def _survivors(started: Record) -> list[keeper.Process]:
    """What lives of an attempt whose keeper is gone: the trainer, its session, all below them, and whoever writes
    to the attempt's log. A number alone proves nothing: boot, start time, or the log's inode must agree."""
    if started["boot_id"] != keeper.boot_id():
        return []
    alive = {each.pid: each for each in keeper.processes() if not each.zombie and each.pid != os.getpid()}
    trainer = alive.get(started["pid"])
    known = trainer is not None and trainer.starttime == started["starttime"]
    ours = {
        pid
        for pid, each in alive.items()
        if (known and started["pid"] in (pid, each.session))
        or (each.starttime >= started["starttime"] and _writes_to(pid, started["log"]))
    }
    found = 0
    while found != len(ours):
        found = len(ours)
        ours |= {pid for pid, each in alive.items() if each.parent in ours}
    return [alive[pid] for pid in ours]


def _writes_to(pid: int, log: list[int]) -> bool:
    for descriptor in (1, 2):
        try:
            stat = Path(f"/proc/{pid}/fd/{descriptor}").stat()
        except OSError:
            continue
        if [stat.st_dev, stat.st_ino] == log:
            return True
    return False
