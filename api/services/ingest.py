"""From a job's log and event files into the store: read, parse, add up, commit once a turn.

The offset and all that was read up to it are one transaction, so that nothing is lost or doubled by any crash.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from api.models.events import (
    PLAIN,
    Advance,
    Axis,
    Done,
    Event,
    Fault,
    Metric,
    Note,
    Parsed,
    Reading,
    Saved,
    Warn,
)
from api.models.job import Attempt, Job, Phase
from api.models.progress import Progress
from api.models.reading import Readings
from api.models.workspace import Workspace
from api.services.engines.base import Engine
from api.services.log_spans import LogSpans
from api.services.store import events as feed
from api.services.store import jobs as store
from api.services.store import logs
from api.services.store.database import Database
from api.services.store.metric_writer import SeriesWriter
from api.services.telemetry import LINES, POINTS
from api.utils.faults import fault
from api.utils.logreader import LIMITS, Chunk, Cursor, Line, read, split_span
from api.utils.logsource import LogSource
from api.utils.secrets import scrub
from api.utils.tensorboard import read_events

TAIL = 50  # last lines that an explanation of a failure may look at
WARNINGS = 50  # that a job keeps
FILES_EVERY = 2.0  # seconds between two looks at event files
LIVE_LINES = 200  # log lines that one event carries; a client reads the rest by the cursor
LIVE_BYTES = 16 * 1024
LIVE_POINTS = 200

_STEP = Axis.STEP  # a look into an Enum is a slow one


@dataclass(frozen=True, slots=True)
class News:
    """What a turn did. `behind`: there is more to read at once."""

    written: bool
    behind: bool


class Ingestor:
    """One attempt's reader. What it remembers between turns can be read back from the database."""

    def __init__(self, db: Database, engine: Engine, job: Job, attempt: Attempt, workspace: Workspace) -> None:
        self._db = db
        self._engine = engine
        self._job = job
        self._attempt = attempt
        self._workspace = workspace
        self._log = LogSource(workspace.log)
        self._secrets = job.spec.secrets
        self._series = SeriesWriter(job.seq, attempt.number)
        self._looked_at_files = 0.0
        self.last_output: float | None = None
        self.reset()

    def reset(self) -> None:
        """As the database has it: at the start, and after a turn whose transaction failed."""
        self._series.reset()
        with self._db.read() as connection:
            job = store.get(connection, self._job.id)
            position = store.extras(connection, job.seq).log_position
            self._offsets = logs.file_offsets(connection, job.seq)
            spans = logs.newest(connection, job.seq, logs.SpanFilter(), TAIL)
        self._cursor = Cursor(**position)
        self._tail = deque(self._lines_of(spans), TAIL)
        self._warnings = list(job.warnings)
        stored = self.progress = Progress.from_dict(job.progress)
        if self.progress.phase is Phase.QUEUED:
            self.progress = self.progress.evolve(phase=Phase.STARTING)
            for event in self._engine.totals(job, self._workspace):
                if isinstance(event, Advance):
                    self.progress = self.progress.advance(event)
        self._untold = self.progress != stored  # what is known before the first line
        self._open: Line | None = None

    def tail(self) -> tuple[str, ...]:
        return tuple(self._tail)

    def turn(self, now: float, *, final: bool = False, pid: int | None = None) -> News:
        """Reads what is new and commits it. `final`: the writer, process `pid`, is gone, so an unfinished line is a
        line too."""
        batch = _Batch(self.progress, tuple(self._warnings))
        chunk = self._read_log(final, pid)
        if chunk is not None:
            self._take_log(chunk, batch, now)
            batch.close(now)
        behind = chunk is not None and not chunk.at_end
        if not behind and (final or now - self._looked_at_files >= FILES_EVERY or now < self._looked_at_files):
            self._looked_at_files = now
            behind = self._take_files(batch, final)
        changed = self._untold or batch.has_news(self.progress) or (chunk is not None and chunk.cursor != self._cursor)
        opened = chunk is not None and chunk.open != self._open
        if not changed and not opened:
            return News(False, behind)
        fault("ingest.before_commit")
        self._commit(batch, chunk, now)
        fault("ingest.after_commit")
        return News(True, behind)

    # ---- reading

    def _lines_of(self, spans: Iterable[logs.Span]) -> list[str]:
        """The texts of this attempt's last complete lines, from the file."""
        mine = [s for s in spans if s.attempt == self._attempt.number and s.last_line <= self._cursor.line]
        try:
            descriptor = os.open(self._workspace.log, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            raw = [(os.pread(descriptor, s.byte_end - s.byte_start, s.byte_start), s.line_count) for s in mine]
        finally:
            os.close(descriptor)
        cut = [lines == 1 and len(data) == LIMITS.line for data, lines in raw]
        return [text for (data, _), long in zip(raw, cut, strict=True) for text in split_span(data, cut=long)[-TAIL:]]

    def close(self) -> None:
        """Lets go of the log."""
        self._log.close()

    def _read_log(self, final: bool, pid: int | None) -> Chunk | None:
        descriptor = self._log.descriptor(pid)
        return None if descriptor is None else read(descriptor, self._cursor, final=final)

    def _take_log(self, chunk: Chunk, batch: _Batch, now: float) -> None:
        if chunk.truncated:
            batch.warn("the log file was cut from outside; reading goes on at its new beginning")
        if self._log.removed:
            batch.warn("the log file was deleted from outside; what is printed is still read, its text is not kept")
        if chunk.lines or (chunk.open is not None and chunk.open != self._open):
            self.last_output = now
        parse = self._engine.parse
        spans = LogSpans(self._attempt.number, now)
        for line in chunk.lines:
            if line.bar:
                spans.add(line, self._understand(chunk.parts.get(line.number, ()), batch, now), batch.progress)
                continue
            parsed = parse(line.text)
            for event in parsed.events:
                batch.add(event, now)
            spans.add(line, parsed, batch.progress)
        if chunk.open is not None:
            spans.close()
            told = self._understand(chunk.parts.get(chunk.open.number, ()), batch, now)
            spans.add(chunk.open, told, batch.progress)
        spans.close()
        batch.spans = spans.done
        batch.lines = len(chunk.lines)
        self._tail.extend(line.text for line in chunk.lines[-TAIL:])
        batch.live = _newest([*chunk.lines[-LIVE_LINES:], *([chunk.open] if chunk.open else [])])

    def _understand(self, segments: Iterable[str], batch: _Batch, now: float) -> Parsed:
        """What the segments of a bar say; its level is that of the most severe."""
        found = PLAIN
        for text in segments:
            parsed = self._engine.parse(text)
            for event in parsed.events:
                batch.add(event, now)
            if parsed.level >= found.level:
                found = parsed
        return found

    def _take_files(self, batch: _Batch, final: bool) -> bool:
        """Scalars of the TensorBoard files; True when there is more."""
        behind = False
        for path in self._engine.event_files(self._workspace):
            name = str(path)
            before = self._offsets.get(name, 0)
            try:
                scalars, after, corrupt = read_events(path, before)
            except FileNotFoundError:
                continue
            except OSError as problem:
                batch.warn(f"the event file {path.name} cannot be read: {problem.strerror}")
                continue
            for scalar in scalars:
                given = (scalar.tag, scalar.step, scalar.value, scalar.wall_time, path.parent.name)
                for event in self._engine.from_tensorboard(self._job.spec, *given):
                    batch.add(event, scalar.wall_time)
            if corrupt:
                batch.warn(f"the event file {path.name} is damaged at byte {after}; what follows is not read")
            if after != before:
                batch.offsets[name] = after
                behind = True
        return behind

    # ---- writing

    def _commit(self, batch: _Batch, chunk: Chunk | None, now: float) -> None:
        progress = batch.progress.evolve(updated_at=now)
        with self._db.write(durable=False) as connection:
            fresh = self._series.write(connection, batch.metrics, now)
            progress = progress.measure(fresh)
            values: dict[str, Any] = {"progress": progress.to_dict(), "warnings": batch.warnings}
            if chunk is not None:
                logs.write(connection, self._job.seq, batch.spans)
                values["log_position"] = asdict(chunk.cursor)
                values["total_lines"] = chunk.cursor.line + (1 if chunk.open is not None else 0)
            for path, position in batch.offsets.items():
                logs.save_file_offset(connection, self._job.seq, path, position)
            store.save(connection, self._job, now, **values)
            self._publish(connection, batch, fresh, progress, now)
        if chunk is not None:
            self._cursor, self._open = chunk.cursor, chunk.open
        self._untold = False
        self._offsets.update(batch.offsets)
        self._warnings = list(batch.warnings)
        self.progress = progress
        LINES.inc(batch.lines)
        POINTS.inc(len(fresh))

    def _publish(self, connection: Any, batch: _Batch, fresh: list[Metric], progress: Progress, now: float) -> None:
        seq = self._job.seq
        if batch.live:
            data = {
                "lines": [{"line_number": x.number, "message": scrub(x.text, self._secrets)} for x in batch.live],
                "cursor": batch.live[-1].end,
            }
            feed.publish(connection, seq, "log", data, now)
        if fresh:
            rows = [{"name": m.name, **_shown(m)} for m in fresh[-LIVE_POINTS:]]
            feed.publish(connection, seq, "metric", {"points": rows, "left_out": max(0, len(fresh) - LIVE_POINTS)}, now)
        if self._untold or progress != self.progress:
            feed.publish(connection, seq, "progress", summary(progress), now)
        feed.prune(connection, seq)


def _newest(lines: list[Line]) -> list[Line]:
    """The last lines, as many as one event may carry; at least one."""
    left = LIVE_BYTES
    for index in range(len(lines) - 1, -1, -1):
        left -= lines[index].end - lines[index].start
        if left < 0:
            return lines[min(index + 1, len(lines) - 1) :]
    return lines


def _shown(metric: Metric) -> dict[str, Any]:
    return {"type": metric.axis, "step": metric.step, "epoch": metric.epoch, "value": metric.value}


def summary(progress: Progress) -> dict[str, Any]:
    """What a progress event carries."""
    return {
        "phase": progress.phase,
        "current_epoch": progress.shown_epoch(),
        "total_epochs": progress.total_epochs,
        "current_step": progress.step,
        "total_steps": progress.total_steps,
        "current_loss": progress.loss,
        "learning_rate": progress.learning_rate,
        "time_per_step": progress.time_per_step,
    }


class _Batch:
    """What one turn found, before it is committed."""

    def __init__(self, progress: Progress, warnings: tuple[str, ...]) -> None:
        self.before = progress
        self.progress = progress
        self.metrics: list[Metric] = []
        self._readings = Readings()
        self.warnings = list(warnings)
        self._known_warnings = len(warnings)
        self.spans: list[logs.Span] = []
        self.offsets: dict[str, int] = {}
        self.live: list[Line] = []
        self.lines = 0

    def has_news(self, progress: Progress) -> bool:
        return bool(
            self.metrics or self.offsets or self.progress != progress or len(self.warnings) > self._known_warnings
        )

    def add(self, event: Event, now: float) -> None:
        if isinstance(event, Metric):
            here = event.epoch is None and event.axis is _STEP
            self.metrics.append(self._placed(event) if here else event)
            if event.at is not None:
                self.progress = self.progress.filed(event)
        elif isinstance(event, Advance):
            self._advance(event, now)
        elif isinstance(event, Reading):
            self._read(lambda: self._readings.take(self.progress, event, now))
        elif isinstance(event, Fault):
            since = now if event.fatal else self.progress.fatal_since
            self.progress = self.progress.evolve(faults=(*self.progress.faults, event.line)[-5:], fatal_since=since)
        elif isinstance(event, Warn):
            self.warn(event.text)
        elif isinstance(event, Note):
            self.progress = self.progress.evolve(notes={**self.progress.notes, event.key: event.value})
        elif isinstance(event, Saved):
            self.progress = self.progress.evolve(phase=Phase.SAVING, saving_since=now)
        elif isinstance(event, Done):
            self.progress = self.progress.evolve(finished=True)

    def close(self, now: float) -> None:
        """The log of this turn is read to its end."""
        self._read(lambda: self._readings.flush(self.progress, now))

    def _read(self, placed: Callable[[], tuple[Progress, list[Metric]]]) -> None:
        before = self.progress
        self.progress, metrics = placed()
        self.metrics += metrics
        self._moved(before)

    def _placed(self, metric: Metric) -> Metric:
        name, value, step, _, axis, at = metric
        return Metric(name, value, step, self._epoch_of(step, at), axis, at)

    def _epoch_of(self, step: int | None, at: float | None) -> int | None:
        """A log line is of the epoch that it stands in. An event file comes late: there the step tells, if it can,
        and surely so where no resume has put a step more into an epoch."""
        progress = self.progress
        current, length = progress.epoch or 1, progress.steps_per_epoch
        if at is None or step is None or current == 1:
            return current
        resumed = bool(progress.base_step) and not progress.steps_apart
        if resumed and step == progress.step:
            return current
        return max(0, step - 1) // length + 1 if length else None

    def _advance(self, event: Advance, now: float) -> None:
        before = self.progress
        after = before.advance(event)
        if before.saving_since is not None and event.phase not in (None, Phase.SAVING):
            seconds = max(0.0, now - before.saving_since)
            after = after.evolve(saving_since=None, last_save_seconds=round(seconds, 3))
        self.progress = after
        if after.fatal_since is not None:
            self._moved(before)

    def _moved(self, before: Progress) -> None:
        """A step after a traceback: it was caught."""
        if self.progress.fatal_since is not None and self.progress.step != before.step:
            self.progress = self.progress.evolve(fatal_since=None)

    def warn(self, text: str) -> None:
        if text not in self.warnings and len(self.warnings) < WARNINGS:
            self.warnings.append(text)
