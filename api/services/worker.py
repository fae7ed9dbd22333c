"""The worker: follows one attempt from its launch to its end, and is the only one to write that end."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from api.models.job import EndReason, Failure, Job, JobStatus
from api.models.workspace import Workspace
from api.services.engines.base import Ending
from api.services.executors.base import LaunchError, Observation, RunState, Usage
from api.services.ingest import Ingestor
from api.services.launching import free_ports, launch
from api.services.store import jobs as store
from api.utils.errors import TrainyardError, Unavailable
from api.utils.faults import fault
from api.utils.secrets import scrub

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from api.services.supervisor import Parts

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 5.0  # between two looks at what the tree uses
HUNG_CPU_SHARE = 0.02  # of one core: a hung trainer's idle threads stay under it
HUNG_CPU_SECONDS = 0.5  # that it may use at once beyond that; less where patience is short, see HangWatch
ALIVE = (RunState.PENDING, RunState.RUNNING, RunState.ORPHAN)


class Worker:
    """Turns of one attempt. State that matters is in the database; what is kept here can be made again from it."""

    def __init__(self, parts: Parts, job: Job, *, clock: Callable[[], float], ports: Callable[[], set[int]]) -> None:
        self.job = job
        self.parts = parts
        self.ports: tuple[int, ...] = ()
        self.behind = False
        self.broken = False  # the last turn failed: the next one reads again what was not committed
        self._ports_in_use = ports
        self._clock = clock
        self._engine = parts.engines[job.engine]
        self._wake = threading.Event()
        self._watch = HangWatch(parts.limits.stall_seconds)
        self._growth = GrowthWatch()
        self._sampled_at: float | None = None
        self._last_usage: Usage | None = None
        self._killing = False
        self._pid: int | None = None
        with parts.db.read() as connection:
            self.attempt = store.attempt(connection, job)
        self.workspace: Workspace = parts.workspaces.of(self.attempt)
        self.handle = parts.executor.handle(self.workspace)
        self.ingest = Ingestor(parts.db, self._engine, job, self.attempt, self.workspace)

    @property
    def pids(self) -> tuple[int, ...]:
        """Its processes, as last sampled."""
        return self._last_usage.pids if self._last_usage is not None else ()

    def wake(self) -> None:
        self._wake.set()

    def wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def turn(self, now: float) -> bool:
        """Looks once, writes what is new, does what is due. True when the job has ended."""
        with self.parts.db.read() as connection:
            self.job = store.get(connection, self.job.id)
        if self.job.status is not JobStatus.RUNNING or self.job.attempt != self.attempt.number:
            return True
        if self.broken:
            self.ingest.reset()
            self.broken = False
        seen = self.parts.executor.poll(self.handle)
        if seen.state is RunState.ABSENT:
            return self._begin(now)
        if seen.pid is not None and self._pid is None:
            self._note_start(seen, now)
        alive = seen.state in ALIVE
        here = not self.parts.executor.traits.remote
        news = self.ingest.turn(now, final=not alive, pid=seen.pid if here else None)
        self.behind = news.behind
        if news.written:
            self.parts.feed.notify()
        if alive:  # also while behind: a flood of output must not keep a stop from being acted on
            self._attend(seen, now)
        if alive or news.behind:
            return False
        self._end(self._verdict(seen), seen, now)
        return True

    # ---- beginning

    def _begin(self, now: float) -> bool:
        if self.job.stop_requested_at is not None:
            if self.parts.executor.traits.remote:
                self.parts.executor.stop(self.handle, 0)  # a launch that was cut short must begin nothing
            self._finish(EndReason.STOPPED_BY_USER, None, now, exit_code=None)
            return True
        try:
            self._launch()
        except Unavailable:  # the database cannot be written now, which is not the job's fault: tried again
            raise
        except (TrainyardError, LaunchError, OSError) as problem:
            failure = Failure("bad_config" if isinstance(problem, TrainyardError) else "unknown", str(problem))
            self._finish(EndReason.LAUNCH_FAILED, failure, now, exit_code=None)
            return True
        return False

    def _launch(self) -> None:
        self.ports = free_ports(2, self._ports_in_use())
        launch(self.parts, self._engine, self.job, self.attempt, self.workspace, self.ports)

    def _note_start(self, seen: Observation, now: float) -> None:
        started = seen.started_at if seen.started_at is not None else now
        with self.parts.db.write() as connection:
            store.save_start(connection, self.job, seen.pid, started)
            store.save(connection, self.job, now, started_at=started)
        self._pid = seen.pid

    # ---- while it lives

    def _attend(self, seen: Observation, now: float) -> None:
        self._sample(now)
        if self.job.stop_requested_at is not None:
            self._stop(now, self.job.stop_requested_at)
            return
        limit = self.job.spec.max_runtime
        started = seen.started_at or self.job.started_at or now
        if limit is not None and now - started > limit:
            self._kill(now, "timed_out")
        elif self._watch.hung(self.ingest.progress.fatal_since, self.ingest.last_output, self._last_usage, now):
            self._kill(now, "stalled")

    def _sample(self, now: float) -> None:
        pause = SAMPLE_SECONDS
        if self.ingest.progress.fatal_since is not None:  # a few looks before the patience with a hang ends
            pause = min(pause, self._watch.seconds / 4)
        if self._sampled_at is not None and 0 <= now - self._sampled_at < pause:
            return
        usage = self.parts.executor.usage(self.handle)
        before, elapsed = self._last_usage, now - (self._sampled_at or now)
        self._sampled_at, self._last_usage = now, usage
        if usage is None:
            return
        percent = None
        if before is not None and elapsed > 0:
            percent = round(max(0.0, usage.cpu_seconds - before.cpu_seconds) / elapsed * 100, 1)
        shown = {"cpu_percent": percent, "rss_bytes": usage.rss_bytes, "pids": list(usage.pids), "at": now}
        with self.parts.db.write(durable=False) as connection:
            store.save(connection, self.job, now, usage=shown)

    def _stop(self, now: float, requested: float) -> None:
        """Soft stop, then SIGTERM to the group, then SIGKILL; the keeper does the last two."""
        if self.job.stop_forced:
            self.parts.executor.stop(self.handle, self.parts.limits.force_grace)
        elif self._killing or not self._engine.soft_stop(self.workspace):
            self._killing = True  # nothing is saved before the first step: there is nothing to wait for
            self.parts.executor.stop(self.handle, self.parts.limits.kill_grace)
        elif now > requested + stop_grace(self.job, self.parts.limits.stop_grace):
            if not self._growth.grows(Path(self.attempt.output_dir), now):
                self._killing = True
                self.parts.executor.stop(self.handle, self.parts.limits.kill_grace)

    def _kill(self, now: float, kind: str) -> None:
        if self.ingest.progress.ending is None:
            log.warning("job %s: ending it (%s)", self.job.id, kind)
            self.ingest.progress = replace(self.ingest.progress, ending=kind)
            with self.parts.db.write() as connection:
                store.save(connection, self.job, now, progress=self.ingest.progress.to_dict())
        self.parts.executor.stop(self.handle, self.parts.limits.kill_grace)

    # ---- the end

    def _verdict(self, seen: Observation) -> EndReason:
        stop = self.job.stop_requested_at
        if stop is not None and (seen.ended_at is None or seen.ended_at >= stop):
            return EndReason.STOPPED_BY_USER
        if self.ingest.progress.ending is not None or seen.timed_out:
            return EndReason.TIMED_OUT
        if seen.state is RunState.VANISHED:
            return EndReason.LOST
        if seen.error is not None:
            return EndReason.LAUNCH_FAILED
        if seen.oom_killed:
            return EndReason.OUT_OF_MEMORY
        proven = self.ingest.progress.finished or self._engine.exit_code_is_proof
        return EndReason.DONE if seen.exit_code == 0 and proven else EndReason.EXIT_CODE

    def _end(self, reason: EndReason, seen: Observation, now: float) -> None:
        failure = None
        if reason.status is JobStatus.FAILED:
            told = self._explain(reason, seen)
            failure = replace(told, line=scrub(told.line, self.job.spec.secrets) if told.line else None)
        if reason is EndReason.DONE:
            self.parts.endings.settle(self.job)
        self._finish(reason, failure, now, exit_code=seen.exit_code, ended_at=seen.ended_at)

    def _explain(self, reason: EndReason, seen: Observation) -> Failure:
        if reason is EndReason.LOST:
            gone = "its processes vanished with the machine or were killed from outside"
            return Failure("lost", f"{seen.note or gone}; resume it")
        if reason is EndReason.LAUNCH_FAILED:
            return Failure("missing_file", f"could not be started: {seen.error}")
        ending = self.ingest.progress.ending
        told = self._engine.explain(
            Ending(
                seen.exit_code if ending is None else None,  # the signal was ours: it explains nothing
                self.ingest.progress.finished,
                self.ingest.progress.faults,
                self.ingest.tail(),
                seen.oom_killed,
            )
        )
        if seen.timed_out:
            return Failure("timed_out", seen.note or "the engine ended it at its time limit", told.line)
        if ending == "timed_out":
            return Failure("timed_out", f"ran longer than its max_runtime of {self.job.spec.max_runtime} s", told.line)
        if seen.note is not None and told.kind in ("signal", "killed_by_oom"):  # who ended it, the engine knows best
            return replace(told, hint=seen.note)
        if ending == "stalled" and told.kind in ("unknown", "signal", "incomplete"):
            hint = "it printed an error and then hung, so it was ended; the line tells why"
            return Failure("stalled", hint, told.line)
        return told

    def _finish(
        self,
        reason: EndReason,
        failure: Failure | None,
        now: float,
        *,
        exit_code: int | None,
        ended_at: float | None = None,
    ) -> None:
        fault("worker.before_finish")
        with self.parts.db.write() as connection:
            latest = store.get(connection, self.job.id)  # with the progress that this very turn has committed
            if is_retried(latest, reason):
                self.job = self._retry(connection, latest, reason, now, exit_code=exit_code, ended_at=ended_at)
            else:
                self.job = self.parts.finish(
                    connection, latest, reason, now, exit_code=exit_code, failure=failure, ended_at=ended_at
                )
        fault("worker.after_finish")
        self.ingest.close()
        self.parts.feed.notify()
        level = logging.WARNING if self.job.status is JobStatus.FAILED else logging.INFO
        log.log(level, "job %s %s (%s, exit code %s)", self.job.id, self.job.status, reason, exit_code)

    def _retry(
        self,
        connection: Connection,
        job: Job,
        reason: EndReason,
        now: float,
        *,
        exit_code: int | None,
        ended_at: float | None,
    ) -> Job:
        """Another attempt, after a pause that grows: from the newest checkpoint if there is one, else from nothing."""
        store.end_attempt(connection, job, reason, exit_code=exit_code, ended_at=now if ended_at is None else ended_at)
        states = [saved for saved in self._engine.checkpoints(self.workspace) if saved.kind == "state"]
        number = job.attempt + 1
        return store.requeue(
            connection,
            job,
            now,
            resume_from=states[-1].name if states else None,
            output_dir=self.attempt.output_dir
            if states
            else self.parts.workspaces.output_of(job.id, number, job.spec.output_dir),
            new_series=not states,
            retries=job.retries + 1,
            not_before=now + self.parts.limits.retry_pause * 2**job.retries,
        )


#: ends that another attempt may better
RETRIED = (EndReason.EXIT_CODE, EndReason.OUT_OF_MEMORY, EndReason.LOST, EndReason.TIMED_OUT)


def is_retried(job: Job, reason: EndReason) -> bool:
    """Never once somebody wants it to stop, even if it ended by itself just before."""
    return reason in RETRIED and job.retries < job.spec.max_retries and job.stop_requested_at is None


def stop_grace(job: Job, least: float) -> float:
    """Seconds a soft stop may take: the setting, or three measured steps and the last save if those are longer."""
    step = job.progress.get("time_per_step") or 0.0
    return float(max(least, 3 * step + (job.progress.get("last_save_seconds") or 0.0)))


class HangWatch:
    """Tells a trainer that hangs after its final traceback from one that prints a caught one before a long step."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        #: a trainer that works must use more than this and the share within `seconds`, on a machine so busy that it
        #: gets a small part of a core
        self._allowance = min(HUNG_CPU_SECONDS, HUNG_CPU_SHARE * seconds)
        self._since: float | None = None
        self._cpu = 0.0

    def hung(self, fatal_since: float | None, last_output: float | None, usage: Usage | None, now: float) -> bool:
        """`fatal_since`: when the traceback's last line was read, if nothing but it explains the silence."""
        if fatal_since is None or usage is None:
            self._since = None
            return False
        start = max(fatal_since, last_output or fatal_since)
        if self._since is None or self._since < start:
            self._since, self._cpu = now, usage.cpu_seconds  # from now on: what it used before was not seen
        used = usage.cpu_seconds - self._cpu
        ended_one = used < 0  # a process of the tree
        if ended_one or used > HUNG_CPU_SHARE * (now - self._since) + self._allowance:
            self._since, self._cpu = now, usage.cpu_seconds
        return now - self._since >= self.seconds


class GrowthWatch:
    """Whether files under a directory still grow: a save that is under way is not cut short."""

    QUIET = 5.0

    def __init__(self) -> None:
        self._size = -1
        self._changed_at = 0.0
        self._looked_at = 0.0

    def grows(self, directory: Path, now: float) -> bool:
        if self._size < 0 or now - self._looked_at >= 1.0:
            self._looked_at = now
            size = tree_size(directory)
            if size != self._size:
                self._size, self._changed_at = size, now
        return now - self._changed_at < self.QUIET


def tree_size(directory: Path) -> int:
    """Bytes in regular files below a directory."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # a temporary file of a save that was just renamed
                continue
    return total
