"""A job's log, read as it grows: bytes to logical lines, restartable at any byte.

`\\n` ends a line. Within a line `\\r` starts it anew, as a progress bar does: the line's text is its last segment that
is not empty. ANSI escapes and control characters are taken out; invalid UTF-8 becomes U+FFFD.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, NamedTuple, Self

LONGEST = 64 * 1024  # bytes of a segment that are kept
MARK = " …[cut]"

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|[\x80-\x9f]")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
PLAIN_BYTES = bytes(range(0x20, 0x7F)) + b"\t\n"
REDRAW = re.compile(rb"(?:\d+%\||\d+/\d+ \[|\d+it \[)[^\]]*\]?\s*$")


class Line(NamedTuple):
    """One logical line. [start, end) are the bytes that `text` was made of. `segments` are the texts to read things
    out of that were not given before; None: `text` alone."""

    number: int
    start: int
    end: int
    text: str
    segments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where reading goes on. `number` lines are complete; the open one has a segment at [seg_start, seg_end);
    `held`: where a segment began that is too long and is being skipped."""

    offset: int = 0
    number: int = 0
    seg_start: int = 0
    seg_end: int = 0
    held: int | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Chunk(NamedTuple):
    """What one read gave. `open`: the line that has not ended, as it looks now."""

    lines: list[Line]
    open: Line | None
    cursor: Cursor
    behind: bool  # there is more to read
    truncated: bool = False


def clean_line(raw: bytes) -> str:
    """The text of a line's bytes."""
    text = raw.decode("utf-8", "replace")
    if not text.isprintable():
        text = CONTROLS.sub("", ESCAPES.sub("", text))
    return text + MARK if len(raw) >= LONGEST else text


def read(descriptor: int, cursor: Cursor, *, limit: int = 4 << 20, final: bool = False) -> Chunk:
    """The lines after a cursor, at most `limit` bytes of them. `final`: what is unfinished is a line too."""
    size = os.fstat(descriptor).st_size
    truncated = size < cursor.offset
    if truncated:
        cursor = Cursor(number=cursor.number)
    data = os.pread(descriptor, limit, cursor.offset)
    behind = cursor.offset + len(data) < size
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    reader = _Reader(descriptor, cursor)
    reader.complete(data[:end])
    reader.rest(data[end:], final and not behind)
    return Chunk(reader.lines, reader.open, reader.cursor(), behind, truncated)


class _Reader:
    def __init__(self, descriptor: int, cursor: Cursor) -> None:
        self.descriptor = descriptor
        self.lines: list[Line] = []
        self.open: Line | None = None
        self.offset, self.number = cursor.offset, cursor.number
        self.seg = (cursor.seg_start, cursor.seg_end)
        self.held = cursor.held
        self.texts: list[str] = []  # of the open line, to be read out

    def cursor(self) -> Cursor:
        return Cursor(self.offset, self.number, *self.seg, self.held)

    def complete(self, data: bytes) -> None:
        """Segments that have their terminator."""
        if not data:
            return
        first = data.find(b"\n") + 1
        if self.held is not None or self.seg[1] or not first:  # the open line's end
            first = first or len(data)
            self._part(data[:first])
            data = data[first:]
        last = data.rfind(b"\n") + 1
        body, tail = data[:last], data[last:]
        if not body.translate(None, PLAIN_BYTES):
            self._plain(body)
        else:
            for part in body.splitlines(keepends=True) if b"\r" not in body else _by_newline(body):
                self._part(part)
        if tail:
            self._part(tail)

    def _plain(self, body: bytes) -> None:
        texts = body.decode("ascii").split("\n")[:-1]
        lengths = list(map(len, texts))
        if lengths and max(lengths) >= LONGEST:
            for part in body.splitlines(keepends=True):
                self._part(part)
            return
        ends = list(accumulate((n + 1 for n in lengths), initial=self.offset))
        number = self.number
        self.lines += [
            Line(number + index, start, start + length, text)
            for index, (text, length, start) in enumerate(zip(texts, lengths, ends, strict=False), 1)
        ]
        self.number += len(texts)
        self.offset = ends[-1]

    def _part(self, part: bytes) -> None:
        """Segments of one logical line; it ends with the part when that ends with a line feed."""
        ends = part.endswith(b"\n")
        redraw: str | None = None
        for segment in re.split(rb"[\r\n]", part)[:-1]:
            start = self.offset if self.held is None else self.held
            self.offset += len(segment) + 1
            raw = segment if self.held is None else os.pread(self.descriptor, LONGEST, start)
            self.held = None
            raw = raw[:LONGEST]
            if not raw.strip():
                continue
            self.seg = (start, start + len(raw))
            text = clean_line(raw)
            if REDRAW.search(raw):
                redraw = text
                continue
            if redraw is not None:
                self.texts.append(redraw)
                redraw = None
            self.texts.append(text)
        if redraw is not None:
            self.texts.append(redraw)
        if ends:
            self._end()

    def _end(self) -> None:
        start, end = self.seg
        text = clean_line(os.pread(self.descriptor, end - start, start)) if not self.texts and end else ""
        text = self.texts[-1] if self.texts else text
        self.number += 1
        if not end:
            start = end = self.offset - 1
        self.lines.append(Line(self.number, start, end, text, tuple(self.texts)))
        self.seg, self.texts = (0, 0), []

    def rest(self, data: bytes, final: bool) -> None:
        """What has no terminator yet."""
        if self.held is not None or len(data) >= LONGEST:
            self.held = self.offset if self.held is None else self.held
            self.offset += len(data)
        begun = data if self.held is None else os.pread(self.descriptor, LONGEST, self.held)
        start = self.offset if self.held is None else self.held
        if begun.strip():
            shown = (start, start + len(begun))
            text = clean_line(begun)
        elif self.seg[1]:
            shown = self.seg
            text = clean_line(os.pread(self.descriptor, shown[1] - shown[0], shown[0]))
        else:
            return
        if not final:
            self.open = Line(self.number + 1, *shown, text, tuple(self.texts))
            return
        self.number += 1
        unread = (text,) if begun.strip() else ()
        self.lines.append(Line(self.number, *shown, text, (*self.texts, *unread)))
        self.offset += len(data) if self.held is None else 0
        self.seg, self.held, self.texts = (0, 0), None, []
