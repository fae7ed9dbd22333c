"""What the service and people read: plain lines, and lines that begin with @event and hold JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

MARK = "@event "
ERRORS = 50  # that are kept with the job; the log has them all
ERROR_TEXT = 200  # characters


class Report:
    """Writes to standard output, a line at a time. `hidden`: what must never stand there."""

    def __init__(self, hidden: Iterable[str | None] = ()) -> None:
        self._hidden = tuple(text for text in hidden if text)
        self._errors: list[dict[str, str]] = []
        self._warned: set[str] = set()

    def say(self, text: str) -> None:
        """A line for people. Names of files are strangers' text: no line of theirs can pass for one of ours."""
        shown = printable(text)
        self._write(f" {shown}" if shown.startswith("@") else shown)

    def event(self, kind: str, **fields: Any) -> None:
        self._write(MARK + json.dumps({"event": kind, **fields}))

    def warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.say(f"WARNING {text}")
            self.event("warning", text=self._clean(text)[:500])

    def error(self, file: str, problem: str) -> None:
        """Of one source file, which is passed over."""
        self.say(f"ERROR {file}: {problem}")
        if len(self._errors) < ERRORS:
            self._errors.append({"file": printable(file)[:ERROR_TEXT], "error": self._clean(problem)[:ERROR_TEXT]})
            self.event("errors", errors=self._errors)

    def fault(self, text: str) -> None:
        """Why the whole run ends without a dataset."""
        self.say(f"ERROR {text}")
        self.event("fault", text=self._clean(text)[:500])

    def _clean(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def _write(self, line: str) -> None:
        print(self._clean(line).encode("utf-8", "replace").decode(), file=sys.stdout, flush=True)


def printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
