"""The seam behind which a place to run is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from api.models.job import Command, Resources
from api.models.workspace import Workspace


class RunState(StrEnum):
    """What an executor can say about a launch."""

    ABSENT = "absent"  # nothing was ever started for it
    RUNNING = "running"  # its keeper or engine follows it
    ORPHAN = "orphan"  # the keeper is gone, the trainer is alive: its exit code will never be known
    EXITED = "exited"  # gone, with a record of how
    VANISHED = "vanished"  # gone without a record: the machine or somebody took it


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of a launch. Times in Unix seconds; `exit_code` negative for a signal, None if unknown.

    EXITED means that *no* process of the attempt is left, grandchildren in sessions of their own included.
    """

    state: RunState
    pid: int | None = None
    exit_code: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    error: str | None = None  # why nothing could be started (strerror)
    oom_killed: bool = False
    peak_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole tree of a launch uses. `cpu_seconds` is cumulative, of the processes alive now."""

    cpu_seconds: float
    rss_bytes: int
    pids: tuple[int, ...]


class Executor(Protocol):
    """Handles are strings that survive a restart of the service; equal workspaces give equal handles."""

    @property
    def name(self) -> str: ...

    def handle(self, workspace: Workspace) -> str: ...

    def launch(self, command: Command, workspace: Workspace, resources: Resources) -> None:
        """Starts it, at most once however often it is called for one workspace. Raises LaunchError."""
        ...

    def poll(self, handle: str) -> Observation: ...

    def stop(self, handle: str, grace: float) -> None:
        """SIGTERM to the whole group now, SIGKILL to what is left of the tree after `grace` seconds. Returns at
        once; idempotent; a smaller grace than before shortens the wait."""
        ...

    def usage(self, handle: str) -> Usage | None:
        """None when nothing runs."""
        ...

    def forget(self, handle: str) -> None:
        """Removes what was kept about an attempt that has ended."""
        ...


class LaunchError(Exception):
    """Nothing was started; the message says why."""
