"""Reading back what was recorded: metric lines and log lines. Nothing here writes, parses or waits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.models.events import Axis, Level, LineType
from api.models.job import Attempt, Job
from api.services.store import events as feed_store
from api.services.store import jobs as store
from api.services.store import logs, metrics
from api.services.store.database import Database
from api.services.workspaces import Workspaces
from api.utils.logreader import CUT_MARK, LIMITS, clean
from api.utils.patterns import compiled
from api.utils.secrets import scrub
from api.utils.training_wrapper import ERROR_MARK

SEARCH_SECONDS = 10.0  # a search that takes longer answers with what it found
BATCH = 1000  # spans
ERRORS = 4 * 1024**2  # bytes of standard error that are looked at
MOST_LOOKED = 16  # lines of a log that are looked at for one of standard output
SHARED = 64  # reads of the feed that are kept for other streams


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as people see it. [start, end) are its bytes in the file, its terminator not included."""

    number: int
    at: float  # Unix seconds when it was read
    level: Level
    type: LineType
    text: str
    epoch: int | None
    step: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LogPage:
    total_lines: int
    next_cursor: int
    lines: list[LogLine]


@dataclass(frozen=True, slots=True)
class Match:
    line: LogLine
    matched: str


@dataclass(frozen=True, slots=True)
class Found:
    """`complete` False: the search was ended by its time limit; there may be more, from `next_line` on."""

    total: int
    complete: bool
    matches: list[Match]
    next_line: int | None = None


class History:
    """The readers of one service."""

    def __init__(self, db: Database, workspaces: Workspaces) -> None:
        self._db = db
        self._workspaces = workspaces
        self._sharing = threading.Lock()
        self._shared: dict[object, list[feed_store.FeedEvent]] = {}

    # ---- metrics

    def names(self, job: Job, attempt: int | None) -> list[dict[str, object]]:
        with self._db.read() as connection:
            return metrics.names(connection, job, self._series(job, attempt))

    def line(
        self,
        job: Job,
        name: str,
        axis: Axis,
        *,
        limit: int,
        since: int | None = None,
        newest: bool = False,
        attempt: int | None = None,
    ) -> metrics.Line:
        """The whole line in at most `limit` points, or its newest ones. Epochs: the trainer's own values where it
        reports some, else the means of their steps."""
        with self._db.read() as connection:
            series = self._series(job, attempt)
            parts = metrics.segments(connection, job, series, axis, name, upto=attempt)
            if axis is Axis.EPOCH and not parts:
                steps = metrics.segments(connection, job, series, Axis.STEP, name, upto=attempt)
                points = [p for p in metrics.epoch_means(connection, steps) if since is None or p.x >= since]
                return metrics.Line(len(points), len(points) > limit, points[-limit:])
            read = metrics.last_points if newest else metrics.thinned
            return read(connection, parts, limit, since)

    def points_at(self, job: Job, name: str, steps: Sequence[int]) -> dict[int, metrics.Point]:
        """What a metric was at some steps; steps without a value are left out."""
        if not steps:
            return {}
        with self._db.read() as connection:
            parts = metrics.segments(connection, job, job.series, Axis.STEP, name)
            return {point.x: point for point in metrics.at(connection, parts, sorted(steps))}

    def _series(self, job: Job, attempt: int | None) -> int:
        if attempt is None:
            return job.series
        with self._db.read() as connection:
            return store.attempt(connection, job, attempt).series

    def attempts(self, job: Job) -> list[Attempt]:
        with self._db.read() as connection:
            return store.attempts_of(connection, job)

    # ---- logs

    def log_path(self, job: Job) -> str:
        return str(self._workspaces.log_file(job.id))

    def tail(self, job: Job, wanted: logs.SpanFilter, lines: int, before: int | None = None) -> LogPage:
        """The last `lines` that match, or the last before a line, oldest first."""
        with self._db.read() as connection:
            known = store.extras(connection, job.seq)
            spans = logs.newest(connection, job.seq, wanted, lines, before)
        kept: list[LogLine] = []
        for span in reversed(spans):
            read = self._lines(job, [span])
            kept = (read if before is None else [line for line in read if line.number < before]) + kept
            if len(kept) >= lines:
                break
        kept = kept[-lines:] if lines else []
        return LogPage(known.total_lines, kept[-1].end if kept else known.log_position.get("offset", 0), kept)

    def streams(self, job: Job, lines: int) -> tuple[list[str], list[str]]:
        """The last lines of standard output and of standard error; the latter are none where both are one."""
        asked = lines
        while True:
            page = self.tail(job, logs.SpanFilter(), asked)
            printed = [line.text for line in page.lines if not line.text.startswith(ERROR_MARK)]
            if len(printed) >= lines or len(page.lines) < asked or asked >= MOST_LOOKED * lines:
                return printed[-lines:], self._errors(job, lines)
            asked *= 2

    def _errors(self, job: Job, lines: int) -> list[str]:
        try:
            with open(self._workspaces.errors_file(job.id), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                raw = os.pread(file.fileno(), ERRORS, max(0, size - ERRORS))
        except FileNotFoundError:
            return []
        whole = raw if size <= ERRORS else raw.partition(b"\n")[2]
        split = [line for line in whole.replace(b"\r", b"\n").split(b"\n") if line]
        return [scrub(clean(line[: LIMITS.line]), job.spec.secrets) for line in split[-lines:]]

    def has_log(self, job: Job) -> bool:
        return self._workspaces.log_file(job.id).exists()

    def page(self, job: Job, wanted: logs.SpanFilter, *, offset: int, limit: int) -> LogPage:
        """Up to `limit` matching lines that end after a byte offset, oldest first."""
        with self._db.read() as connection:
            total = store.extras(connection, job.seq).total_lines
            spans = logs.after_byte(connection, job.seq, wanted, offset, limit + 1)
        lines = [line for line in self._lines(job, spans) if line.end > offset][:limit]
        return LogPage(total, lines[-1].end if lines else offset, lines)

    def from_line(self, job: Job, wanted: logs.SpanFilter, first: int, limit: int) -> LogPage:
        """Up to `limit` matching lines from a line on, oldest first."""
        with self._db.read() as connection:
            total = store.extras(connection, job.seq).total_lines
            spans = logs.from_line(connection, job.seq, wanted, first, limit + 1)
        lines = [line for line in self._lines(job, spans) if line.number >= first][:limit]
        return LogPage(total, lines[-1].end if lines else 0, lines)

    def search(
        self, job: Job, wanted: logs.SpanFilter, keyword: str, *, is_regex: bool, limit: int, first: int = 1
    ) -> Found:
        """Lines from `first` on that contain a keyword (letter case aside), or match a regular expression."""
        pattern = compiled("keyword", keyword, is_regex=is_regex)
        deadline = time.monotonic() + SEARCH_SECONDS
        matches: list[Match] = []
        total = 0
        for line in self._every(job, wanted, first):
            left = deadline - time.monotonic()
            if left <= 0:
                return Found(total, False, matches, line.number)
            try:
                hit = pattern.search(line.text, timeout=left)
            except TimeoutError:
                return Found(total, False, matches, max(line.number, first + 1))  # or it would never get past this one
            if hit:
                total += 1
                if len(matches) < limit:
                    matches.append(Match(line, hit.group(0)))
        return Found(total, True, matches)

    def _every(self, job: Job, wanted: logs.SpanFilter, first: int) -> Iterator[LogLine]:
        with self._db.read() as connection:
            spans = logs.from_line(connection, job.seq, wanted, first, BATCH)
        while spans:
            yield from (line for line in self._lines(job, spans) if line.number >= first)
            with self._db.read() as connection:
                spans = logs.after_line(connection, job.seq, wanted, spans[-1].first_line, BATCH)

    def _lines(self, job: Job, spans: Sequence[logs.Span]) -> list[LogLine]:
        """The texts of spans, from the file. A file that is gone or was cut gives what it has."""
        try:
            descriptor = os.open(self._workspaces.log_file(job.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            secrets = job.spec.secrets
            return [line for span in spans for line in _split(descriptor, span, secrets)]
        finally:
            os.close(descriptor)

    # ---- events

    def events(
        self, job: Job | None, after: int, kinds: Sequence[str], version: int | None = None
    ) -> list[feed_store.FeedEvent]:
        """`version`: the feed's, from before this call. Streams that stand at the same place share one read of it, so
        that a change costs the same for one client and for a hundred, and none of them reads while nothing changes.
        None: read anew, also what was committed and not yet told."""
        place = (job.seq if job else None, after, tuple(kinds), version)
        with self._sharing:
            if version is None or place not in self._shared:
                with self._db.read() as connection:
                    found = feed_store.since(connection, after, job_seq=place[0], kinds=kinds)
                if len(self._shared) >= SHARED:
                    self._shared.clear()
                self._shared[place] = found
            return self._shared[place]

    def newest_event(self) -> int:
        with self._db.read() as connection:
            return feed_store.newest(connection)

    def missed_events(self, job: Job, after: int) -> bool:
        with self._db.read() as connection:
            return feed_store.missed(connection, job.seq, after)


def _split(descriptor: int, span: logs.Span, secrets: frozenset[str]) -> Iterator[LogLine]:
    """A span of several lines holds only whole ones that end with a line feed."""
    raw = os.pread(descriptor, span.byte_end - span.byte_start, span.byte_start)
    start = span.byte_start
    parts = raw.split(b"\n")[: span.line_count] if span.line_count > 1 else [raw]
    for index, part in enumerate(parts):
        yield LogLine(
            number=span.first_line + index,
            at=span.at,
            level=Level(span.level),
            type=LineType(span.type),
            text=scrub(clean(part) + (CUT_MARK if len(part) == LIMITS.line else ""), secrets),
            epoch=span.epoch,
            step=span.step,
            start=start,
            end=start + len(part.removesuffix(b"\r")),
        )
        start += len(part) + 1
