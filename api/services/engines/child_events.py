"""What a child of ours says (api.children.common.report): a line of JSON is an event, the others are for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from api.models.events import PLAIN, Advance, Done, Event, Fault, Level, LineType, Parsed, Warn
from api.models.job import Phase

LINE_MAX = 2000  # characters of a message that are kept

_START = '{"event": "'
_LEVELS = re.compile(r"\s*(?:(WARNING)\b|(ERROR|CRITICAL)\b|(Traceback \(most recent call last\)))")
_WARNING, _ERROR = Parsed(Level.WARNING, LineType.SYSTEM), Parsed(Level.ERROR, LineType.SYSTEM)

Fields = Mapping[str, Any]
Reader = Callable[[Fields], Iterable[Event]]


class ChildEvents:
    """`readers` say what the events of one child mean, besides those that every child has; `types` of which kind their
    lines are, where they are not the system's."""

    def __init__(self, readers: Mapping[str, Reader], types: Mapping[str, LineType]) -> None:
        self._readers = {**_COMMON, **readers}
        self._types = types

    def parse(self, line: str) -> Parsed:
        """Pure. A line that is cut short, or that somebody else printed, is text."""
        if not line.startswith(_START):
            return _plain(line)
        try:
            fields = json.loads(line)
            name = fields["event"]
            events = tuple(self._readers[name](fields))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _plain(line)
        level = Level.ERROR if name == "error" else Level.WARNING if name == "warning" else Level.INFO
        return Parsed(level, self._types.get(name, LineType.SYSTEM), events)


def number(value: Any) -> float | None:
    return None if value is None else float(value)


def _plain(line: str) -> Parsed:
    found = _LEVELS.match(line)
    if found is None:
        return PLAIN
    return _WARNING if found[1] else _ERROR


def _phase(fields: Fields) -> Iterable[Event]:
    yield Advance(phase=Phase(fields["phase"]))


def _warning(fields: Fields) -> Iterable[Event]:
    yield Warn(str(fields["message"])[:LINE_MAX])


def _error(fields: Fields) -> Iterable[Event]:
    """The class stands first, where an engine's `explain` finds it."""
    kind = fields["kind"]
    yield Fault((f"[{kind}] " if kind else "") + str(fields["message"])[:LINE_MAX])


def _done(fields: Fields) -> Iterable[Event]:
    yield Advance(phase=Phase.DONE)
    yield Done()


_COMMON: Mapping[str, Reader] = {"phase": _phase, "warning": _warning, "error": _error, "done": _done}
