"""The index of a job's log: runs of lines that share level, type, epoch and step. The text stays in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.sql import Select
from sqlalchemy.sql.dml import Insert

from api.models.events import Level, LineType
from api.services.store.bulk import insert_rows
from api.services.store.schema import file_positions, log_spans
from api.services.store.upsert import upsert


class Span(NamedTuple):
    """`line_count` lines from `first_line` on (from 1), in bytes [byte_start, byte_end) of the log file."""

    first_line: int
    line_count: int
    byte_start: int
    byte_end: int
    at: float  # Unix seconds when they were read
    level: int
    type: str
    attempt: int
    epoch: int | None
    step: int | None

    @property
    def last_line(self) -> int:
        return self.first_line + self.line_count - 1


def write(connection: Connection, job_seq: int, spans: Sequence[Span]) -> None:
    """Adds spans; one that begins at a known line replaces it (a progress bar that went on)."""
    insert_rows(connection, _new_spans, [(job_seq, *span) for span in spans])


def _new_spans(connection: Connection) -> Insert:
    statement = upsert(connection, log_spans)
    names = ("line_count", "byte_start", "byte_end", "at", "level", "type", "attempt", "epoch", "step")
    new = statement.excluded
    made: Insert = statement.on_conflict_do_update(
        index_elements=["job_seq", "first_line"], set_={name: new[name] for name in names}
    )
    return made


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """Which lines: at least `level`, of `type`, read between two moments, of one attempt."""

    level: Level | None = None
    type: LineType | None = None
    since: float | None = None
    until: float | None = None


def _select(job_seq: int, wanted: SpanFilter) -> Select[Any]:
    query = select(log_spans).where(log_spans.c.job_seq == job_seq)
    if wanted.level is not None:
        query = query.where(log_spans.c.level >= int(wanted.level))
    if wanted.type is not None:
        query = query.where(log_spans.c.type == wanted.type.value)
    if wanted.since is not None:
        query = query.where(log_spans.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(log_spans.c.at <= wanted.until)
    return query


def _spans(connection: Connection, query: Select[Any]) -> list[Span]:
    return [Span(*row[1:]) for row in connection.execute(query)]


def newest(
    connection: Connection, job_seq: int, wanted: SpanFilter, spans: int, before: int | None = None
) -> list[Span]:
    """The last `spans` spans that match and begin before a line, oldest first. Each holds at least one line."""
    query = _select(job_seq, wanted)
    if before is not None:
        query = query.where(log_spans.c.first_line < before)
    return _spans(connection, query.order_by(log_spans.c.first_line.desc()).limit(spans))[::-1]


def after_byte(connection: Connection, job_seq: int, wanted: SpanFilter, byte: int, spans: int) -> list[Span]:
    """Spans that reach beyond a byte offset, oldest first."""
    query = _select(job_seq, wanted).where(log_spans.c.byte_end > byte)
    return _spans(connection, query.order_by(log_spans.c.byte_end).limit(spans))


def after_line(connection: Connection, job_seq: int, wanted: SpanFilter, line: int, spans: int) -> list[Span]:
    """Spans that begin after a line, oldest first."""
    query = _select(job_seq, wanted).where(log_spans.c.first_line > line)
    return _spans(connection, query.order_by(log_spans.c.first_line).limit(spans))


def from_line(connection: Connection, job_seq: int, wanted: SpanFilter, line: int, spans: int) -> list[Span]:
    """Spans that hold a line or begin after it, oldest first."""
    holding = select(func.max(log_spans.c.first_line)).where(
        log_spans.c.job_seq == job_seq, log_spans.c.first_line <= line
    )
    return after_line(connection, job_seq, wanted, (connection.execute(holding).scalar() or 1) - 1, spans)


def file_offsets(connection: Connection, job_seq: int) -> dict[str, int]:
    """How far each TensorBoard file was read."""
    query = select(file_positions.c.path, file_positions.c.position).where(file_positions.c.job_seq == job_seq)
    return {path: position for path, position in connection.execute(query)}


def save_file_offset(connection: Connection, job_seq: int, path: str, position: int) -> None:
    statement = upsert(connection, file_positions).values(job_seq=job_seq, path=path, position=position)
    connection.execute(statement.on_conflict_do_update(index_elements=["job_seq", "path"], set_={"position": position}))
