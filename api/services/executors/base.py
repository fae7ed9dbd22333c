"""The seam behind which a place to run is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from api.models.cluster import ClusterState
from api.models.job import Command, Resources
from api.models.workspace import Workspace


class RunState(StrEnum):
    """What an executor can say about a launch."""

    ABSENT = "absent"  # nothing was ever started for it
    PENDING = "pending"  # handed to an engine with a queue of its own, which has not begun it
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
    timed_out: bool = False  # the engine ended it at its time limit
    note: str | None = None  # what the engine says, in words: why it is pending, or how it came to its end


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an attempt runs. An executor heeds what it can: one machine knows no priority."""

    resources: Resources = field(default_factory=Resources)
    name: str = ""
    priority: int = 0  # 0 to 10, larger first
    held: bool = False
    max_runtime: int | None = None  # seconds
    placement: Mapping[str, str] = field(default_factory=dict)  # which of the engine's queues and the like, by name


@dataclass(frozen=True, slots=True)
class Traits:
    """What whoever uses an executor must know about it.

    `queues`: the engine has the queue. Jobs are handed over as soon as they are asked for and stay `queued` here until
    it starts them; leases and order are its business. Otherwise the queue is ours, and a launch means a start.
    `remote`: not this machine. The engine picks cores and GPUs (leases are mere numbers), and a pid means nothing here.
    """

    queues: bool = False
    remote: bool = False


THIS_MACHINE = Traits()


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

    @property
    def traits(self) -> Traits: ...

    def handle(self, workspace: Workspace) -> str: ...

    def launch(self, command: Command, workspace: Workspace, terms: Terms) -> None:
        """Starts it or hands it over, at most once however often it is called for one workspace.

        Raises LaunchError, or Unavailable when it is to be tried again.
        """
        ...

    def poll(self, handle: str) -> Observation:
        """From files and memory: it asks no engine, and may be called in a request."""
        ...

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


@runtime_checkable
class ClusterExecutor(Executor, Protocol):
    """One that is not this machine. It asks its engine in a thread of its own, for all jobs at once.

    Only that thread writes of its own accord. Before `start` and after `close`, in a service that stands by, the files
    beside the jobs are all that is known.
    """

    def start(self) -> None:
        """Begins to ask. May come again, also after a `close` that was true."""
        ...

    def close(self) -> bool:
        """Asks no more, and forgets what it heard; jobs go on. Whether that is so: a question may be under way."""
        ...

    def state(self) -> ClusterState:
        """As last heard."""
        ...

    def problem(self) -> str | None:
        """Why nothing is heard of the engine; None while it answers."""
        ...

    def amend(self, handle: str, terms: Terms) -> None:
        """Another priority, or held back or released, for what is pending. May be called again and again."""
        ...

    def check_placement(self, placement: Mapping[str, str]) -> None:
        """Raises Invalid or Forbidden for what a job may not choose."""
        ...

    def check(self) -> Iterator[tuple[bool | None, str]]:
        """For the doctor: what is there (True), missing (False) or worth knowing (None). May take a while."""
        ...


class LaunchError(Exception):
    """Nothing was started; the message says why."""
