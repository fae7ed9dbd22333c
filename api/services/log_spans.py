"""Log lines into runs that share what a filter asks for: level, kind, epoch and step."""

from __future__ import annotations

from typing import Any

from api.models.events import LineType, Metric, Parsed
from api.models.progress import Progress
from api.services.store import logs
from api.utils.logreader import Line

SPAN_LINES = 512
SPAN_BYTES = 64 * 1024
_TYPES = {kind: kind.value for kind in LineType}


def _step_of(parsed: Parsed, progress: Progress) -> int | None:
    """The step that a line's value is of, which may be told before the line that makes progress; else the last one."""
    first = parsed.events[0] if parsed.events else None
    return progress.step if not isinstance(first, Metric) or first.step is None else first.step


class LogSpans:
    """Lines into runs that share what a filter asks for."""

    def __init__(self, attempt: int, now: float) -> None:
        self._attempt = attempt
        self._now = now
        self._open: list[Any] | None = None  # key, first line, count, start, end
        self.done: list[logs.Span] = []

    def add(self, line: Line, parsed: Parsed, progress: Progress) -> None:
        key = (parsed.level, parsed.type, progress.epoch, _step_of(parsed, progress))
        run = self._open
        if (
            run is not None
            and run[0] == key
            and not (line.bar or line.cut)
            and 1 <= line.start - run[4] <= 2
            and run[2] < SPAN_LINES
            and line.end - run[3] <= SPAN_BYTES
        ):
            run[2] += 1
            run[4] = line.end
            return
        self.close()
        self._open = [key, line.number, 1, line.start, line.end]
        if line.bar or line.cut:
            self.close()

    def close(self) -> None:
        if self._open is None:
            return
        (level, kind, epoch, step), first, count, start, end = self._open
        self.done.append(
            logs.Span(first, count, start, end, self._now, int(level), _TYPES[kind], self._attempt, epoch, step)
        )
        self._open = None
