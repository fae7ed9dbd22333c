"""What a job is: its status, why it ended, what was asked for, what one execution of it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from api.utils.secrets import secrets_of


class JobStatus(StrEnum):
    """Where a job is. A stop request is a flag beside the status, not one of these."""

    QUEUED = "queued"  # accepted, waits for resources
    RUNNING = "running"  # claimed by a worker; its child starts, runs or is being ended
    COMPLETED = "completed"  # exit code 0 and the engine's own proof
    FAILED = "failed"  # anything else that nobody asked for
    STOPPED = "stopped"  # ended because a user asked

    @property
    def is_terminal(self) -> bool:
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED)


class EndReason(StrEnum):
    """Why an attempt ended. The job's status follows from it, and from nothing else."""

    DONE = "done"
    STOPPED_BY_USER = "stopped_by_user"
    EXIT_CODE = "exit_code"  # a code other than 0, or 0 without the engine's proof
    OUT_OF_MEMORY = "out_of_memory"  # the kernel or the keeper killed it for memory
    LAUNCH_FAILED = "launch_failed"  # nothing was started
    LOST = "lost"  # its processes vanished with the machine; the code is unknown
    TIMED_OUT = "timed_out"  # ended by the service: hung, or over its max_runtime

    @property
    def status(self) -> JobStatus:
        if self is EndReason.DONE:
            return JobStatus.COMPLETED
        return JobStatus.STOPPED if self is EndReason.STOPPED_BY_USER else JobStatus.FAILED


class Phase(StrEnum):
    """What a live job does at the moment, as the training v1 contract names it."""

    QUEUED = "queued"
    STARTING = "starting"
    CACHING = "caching"
    LOADING = "loading"
    TRAINING = "training"
    EVALUATING = "evaluating"
    SAVING = "saving"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job needs to start. `gpu_ids` fixes the devices; else `gpus` says how many."""

    gpus: int = 0
    gpu_ids: tuple[int, ...] = ()
    cpus: int | None = None  # cores to lease; None: it leases none, and without a GPU takes one of the workers' places
    memory: int | None = None  # bytes; leased together with cores
    cpu_ids: tuple[int, ...] = ()  # the cores that were leased, for an executor; nobody asks for certain ones

    @property
    def needs_gpu(self) -> bool:
        return self.gpus > 0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A request, as its dialect understood it. Never changed after it was accepted."""

    engine: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] | None = None
    resources: Resources = Resources()
    priority: int = 0  # as asked for; the job's own may have been changed since
    description: str | None = None
    tags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    output_dir: str | None = None  # chosen by the user; else one under the service's outputs
    max_runtime: int | None = None  # seconds
    max_retries: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)  # what a dialect echoes and the core does not know

    @property
    def secrets(self) -> frozenset[str]:
        """What the request holds under keys that are never shown; log lines are scrubbed of it too."""
        return secrets_of([self.params, self.dataset, self.env, self.extra])


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, so that a person can act: the class, what to do, and the line that shows it."""

    kind: str
    hint: str
    line: str | None = None


#: contract 1's classes of failure
FAILURE_KINDS = (
    "cuda_oom",
    "nccl",
    "port_busy",
    "no_gpu",
    "missing_file",
    "bad_config",
    "dataset_empty",
    "disk_full",
    "killed_by_oom",
    "signal",
    "stalled",
    "incomplete",
    "lost",
    "timed_out",
    "import_error",
    "unknown",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job. `series` is the number of the attempt that began its metric series."""

    job_id: str
    number: int
    series: int
    output_dir: str
    resume_from: str | None = None  # checkpoint name, for an attempt that continues another
    pid: int | None = None
    started_at: float | None = None  # Unix seconds; None until its child was started
    ended_at: float | None = None
    exit_code: int | None = None
    reason: EndReason | None = None
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """What a user asked for: one row, which keeps its id through resumes and restarts."""

    id: str
    seq: int  # order of submission; never reused
    dialect: str
    spec: JobSpec
    status: JobStatus
    owner_id: int
    team_id: int | None
    created_at: float
    updated_at: float
    priority: int = 0  # 0 to 10, larger first
    held: bool = False  # waits until somebody releases it
    not_before: float = 0.0  # Unix seconds: a retry waits for this
    retries: int = 0  # attempts that the service made by itself since a user last asked for one
    attempt: int = 1  # number of the current or last one
    series: int = 1
    started_at: float | None = None
    ended_at: float | None = None
    reason: EndReason | None = None
    stop_requested_at: float | None = None
    stop_forced: bool = False
    failure: Failure | None = None
    error_message: str | None = None
    warnings: tuple[str, ...] = ()
    gpu_ids: tuple[int, ...] = ()  # leased now, or by the last attempt
    core_ids: tuple[int, ...] = ()  # likewise
    progress: Mapping[str, Any] = field(default_factory=dict)  # see api.models.progress.Progress

    @property
    def engine(self) -> str:
        return self.spec.engine

    @property
    def is_alive(self) -> bool:
        return self.status is JobStatus.RUNNING

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Command:
    """The only thing that an engine hands an executor. `env` is complete, not an addition.

    `errors_apart`: standard error has a file of its own too, besides its marked lines in the log.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    errors_apart: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Something a trainer saved. `state` can be resumed from; `weights` is the product."""

    name: str
    kind: str  # "state" | "weights"
    path: str
    epoch: int | None
    step: int | None
    timestamp: float
    size_bytes: int
    loss: float | None = None


def ordered_unique(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
