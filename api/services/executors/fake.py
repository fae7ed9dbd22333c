"""An executor without processes, for tests of whoever uses one: attempts do what the test says, when it says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from api.models.cluster import ClusterState, Node
from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors.base import THIS_MACHINE, LaunchError, Observation, RunState, Terms, Traits, Usage
from api.utils.errors import Forbidden

GONE = (RunState.EXITED, RunState.VANISHED)


@dataclass(slots=True)
class FakeRun:
    """What the fake knows about one attempt, for a test to look at."""

    command: Command
    workspace: Workspace
    terms: Terms
    seen: Observation
    stubborn: bool = False  # ignores SIGTERM
    usage: Usage = field(default=Usage(cpu_seconds=0.0, rss_bytes=0, pids=()))


class FakeExecutor:
    """`clock` gives Unix seconds. A run lives until the test ends it, or until a stop takes effect at a poll:
    at once (-15), or for a stubborn one when its grace is over (-9). With the traits of an engine that queues, what is
    launched is pending until the test begins it."""

    name = "fake"

    def __init__(self, clock: Callable[[], float] = time.time, traits: Traits = THIS_MACHINE) -> None:
        self.clock = clock
        self.traits = traits
        self.runs: dict[str, FakeRun] = {}
        self.launches: list[Command] = []  # in order; a repeated launch of one workspace is not in it
        self.stops: list[tuple[str, float]] = []  # every call of stop
        self.deadlines: dict[str, float] = {}  # handle -> when what ignores SIGTERM is killed
        self._refusals: list[str] = []
        self._errors: list[str] = []
        self._exits: list[int] = []

    # --- the script -------------------------------------------------------------------------------------------

    def refuse_next(self, message: str) -> None:
        """The next launch raises LaunchError."""
        self._refusals.append(message)

    def break_next(self, error: str) -> None:
        """The next launch returns, and its run has ended with `error`: there was nothing that could be started."""
        self._errors.append(error)

    def exit_next(self, code: int) -> None:
        """The next launch returns, and its run has ended with `code`."""
        self._exits.append(code)

    def begin(self, handle: str) -> None:
        """The engine starts what was pending."""
        run = self.runs[handle]
        run.seen = replace(run.seen, state=RunState.RUNNING, started_at=self.clock(), note=None)

    def write(self, handle: str, text: str | bytes) -> None:
        """Appends to the log, as the trainer would."""
        with self.runs[handle].workspace.log.open("ab") as log:
            log.write(text if isinstance(text, bytes) else text.encode())

    def exit(self, handle: str, code: int, *, oom_killed: bool = False, peak_rss_bytes: int | None = None) -> None:
        self._end(handle, exit_code=code, oom_killed=oom_killed, peak_rss_bytes=peak_rss_bytes)

    def vanish(self, handle: str) -> None:
        """The machine took it: no record of how it ended."""
        run = self.runs[handle]
        run.seen = replace(run.seen, state=RunState.VANISHED)

    def orphan(self, handle: str) -> None:
        """Its keeper was killed: it lives on, and will be seen to vanish."""
        run = self.runs[handle]
        run.seen = replace(run.seen, state=RunState.ORPHAN)

    def forget_everything(self) -> None:
        """As if nothing had ever been launched: a service that died between its claim and the spawn."""
        self.runs.clear()

    # --- the executor -----------------------------------------------------------------------------------------

    def handle(self, workspace: Workspace) -> str:
        return str(workspace.control)

    def launch(self, command: Command, workspace: Workspace, terms: Terms) -> None:
        handle = self.handle(workspace)
        if handle in self.runs:
            return
        if self._refusals:
            raise LaunchError(self._refusals.pop(0))
        pid = 1000 + len(self.launches)
        self.launches.append(command)
        born = Observation(RunState.RUNNING, pid=pid, started_at=self.clock())
        if self.traits.queues:
            born = Observation(RunState.PENDING, note="waits for resources")
        self.runs[handle] = FakeRun(command, workspace, terms, born, usage=Usage(0.0, 0, (pid,)))
        Path(workspace.log).touch()
        if handle in self.deadlines:
            self._end(handle, error="stopped before start", started_at=None, pid=None)
        elif self._errors:
            self._end(handle, error=self._errors.pop(0), started_at=None)
        elif self._exits:
            self._end(handle, exit_code=self._exits.pop(0))

    def poll(self, handle: str) -> Observation:
        run = self.runs.get(handle)
        if run is None:
            return Observation(RunState.ABSENT)
        if run.seen.state not in GONE and handle in self.deadlines:
            overdue = self.clock() >= self.deadlines[handle]
            if overdue or not run.stubborn:
                begun = run.seen.state is not RunState.PENDING
                code = -9 if run.stubborn else -15
                self._end(handle, exit_code=code if begun else None, error=None if begun else "stopped before start")
        return run.seen

    def stop(self, handle: str, grace: float) -> None:
        self.stops.append((handle, grace))
        run = self.runs.get(handle)
        if run is None or run.seen.state not in GONE:
            deadline = self.clock() + grace
            self.deadlines[handle] = min(deadline, self.deadlines.get(handle, deadline))

    def usage(self, handle: str) -> Usage | None:
        run = self.runs.get(handle)
        return run.usage if run and run.seen.state not in GONE else None

    def forget(self, handle: str) -> None:
        if self.poll(handle).state in (RunState.PENDING, RunState.RUNNING, RunState.ORPHAN):
            raise RuntimeError(f"an attempt that runs cannot be forgotten: {handle}")
        self.runs.pop(handle, None)
        self.deadlines.pop(handle, None)

    def _end(self, handle: str, **how: object) -> None:
        run = self.runs[handle]
        if run.seen.state is RunState.ORPHAN:
            self.vanish(handle)
        elif run.seen.state in (RunState.RUNNING, RunState.PENDING):
            changes = {"state": RunState.EXITED, "ended_at": self.clock(), **how}
            run.seen = replace(run.seen, **changes)  # type: ignore[arg-type]


class FakeCluster(FakeExecutor):
    """An engine with a queue of its own, on nodes that a test puts there."""

    name = "fakecluster"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock, Traits(queues=True, remote=True))
        self.nodes: tuple[Node, ...] = ()
        self.away: str | None = None  # why it cannot be reached
        self.amended: list[tuple[str, int, bool]] = []  # handle, priority, held

    def start(self) -> None:
        pass

    def close(self) -> bool:
        return True

    def state(self) -> ClusterState:
        return ClusterState(self.nodes, self.clock(), self.away)

    def problem(self) -> str | None:
        return self.away

    def amend(self, handle: str, terms: Terms) -> None:
        known = self.runs[handle].terms
        if (known.priority, known.held) != (terms.priority, terms.held):
            self.runs[handle].terms = replace(known, priority=terms.priority, held=terms.held)
            self.amended.append((handle, terms.priority, terms.held))

    def check_placement(self, placement: Mapping[str, str]) -> None:
        if placement:
            raise Forbidden(f"this cluster lets nobody choose: {', '.join(placement)}")

    def check(self) -> Iterator[tuple[bool | None, str]]:
        yield self.away is None, self.away or "the cluster answers"
