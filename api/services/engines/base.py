"""The seam behind which a trainer is known: spec -> Command; one log line -> events; soft stop; what it left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.models.events import Event, Parsed
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec
from api.models.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Launch:
    """What an engine must know to prepare an attempt."""

    job: Job
    workspace: Workspace
    gpu_ids: tuple[int, ...]  # leased; () means CPU
    ports: Sequence[int]  # free on this machine and held by no other live job
    base_env: Mapping[str, str]  # the child's environment so far (service's own less TRAINYARD_*, plus the job's)
    resume_from: str | None = None  # a checkpoint's name: continue from it
    placed: bool = False  # on a cluster: `gpu_ids` is only a count, which devices they are the node says at the start


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an engine can train here, and why not."""

    available: bool
    version: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known about an attempt whose processes are gone."""

    exit_code: int | None  # negative: killed by that signal; None: unknown
    done: bool  # the engine's proof was seen
    faults: tuple[str, ...]  # lines of `Fault` events, oldest first
    tail: tuple[str, ...]  # last log lines
    oom_killed: bool = False


class Engine(Protocol):
    """One trainer. Pure but for `validate` (looks at inputs), `prepare` (writes configs), `soft_stop` and
    the readers of what a run left on disk."""

    @property
    def name(self) -> str: ...

    @property
    def exit_code_is_proof(self) -> bool:
        """Whether exit code 0 alone means that a run came to its end; else a `Done` must have been read."""
        ...

    def availability(self) -> Availability: ...

    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of the parameters, for forms and for /engines."""
        ...

    def validate(self, spec: JobSpec) -> JobSpec:
        """The spec with defaults filled in. Raises Invalid naming the field, Forbidden; starts, writes nothing."""
        ...

    def prepare(self, launch: Launch) -> Command:
        """Writes the attempt's configs into the workspace; says how to start it. May raise TrainyardError."""
        ...

    def parse(self, line: str) -> Parsed:
        """Pure: what one log line (without its terminator, ANSI stripped) says."""
        ...

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        """What is known about totals before the first line (epochs asked for, steps if they can be computed)."""
        ...

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        """TensorBoard event files that this attempt may write."""
        ...

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        """What a scalar of an event file in the directory `run` means; () for what the log lines carry already."""
        ...

    def soft_stop(self, workspace: Workspace) -> bool:
        """Asks the trainer to save and quit in its own way. False: it has none, or cannot be asked now."""
        ...

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        """What is complete on disk now, oldest first."""
        ...

    def explain(self, ending: Ending) -> Failure:
        """The class of a failure and a hint that a user can act on."""
        ...
