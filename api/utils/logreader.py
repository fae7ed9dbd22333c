"""A job's log file as lines, read on from where the last turn stopped.

`\\n` and `\\r\\n` end a line. A lone `\\r` ends a *segment* of it: the line is then a bar, which replaces
itself; its text is its last segment that is not blank. The cursor stays before what a turn could not take, so
that the same bytes give the same lines however the turns fall.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, count, repeat
from operator import add
from typing import NamedTuple

CUT_MARK = " …[cut]"

_CONTROLS = bytes(c for c in (*range(32), 127) if c not in b"\t\n")
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    # OSC and other strings, where they end: a broken one must not swallow the line
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\n-\x1f\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_LONGEST_BAR = 1024
_TQDM = re.compile(rb"%\||/\d[^\s/]* \[|\dit \[")  # `50%|##  | 5/10 [00:01<..]`, `5/10 [..`, `5it [..`
_TIMES = re.compile(rb"\[(?:\d+:)?\d+:\d\d[<,]")
_RULE = re.compile(  # ultralytics: `50% ━━━━──── 5/10 1.2it/s 0.6s<2.5s`
    rb"% (?:\xe2[\x94\x95].)+ [^\s/]+/\S+ +(?:[\w.]+/\w+ +)?[\d:.smh<]+$", re.DOTALL
)


class Line(NamedTuple):
    """`number` counts from 1. The file's bytes from `start` to `end` are those that `text` was made of.

    `bar`: `\\r` stood in it. `cut`: it was longer than the limit; the text ends with CUT_MARK.
    """

    number: int
    start: int
    end: int
    text: str
    bar: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where reading goes on. Survives as JSON: `asdict(cursor)`, `Cursor(**fields)`."""

    offset: int = 0
    line: int = 0  # complete lines so far
    bar: bool = False  # the unfinished line has had an `\r`
    start: int = -1  # its text so far is these bytes; -1: none
    end: int = -1
    cut: bool = False
    skipping: bool = False  # inside a segment that is too long: its rest is passed over


@dataclass(frozen=True, slots=True)
class Limits:
    """What one turn may take into memory."""

    chunk: int = 2**20  # bytes read; larger ones are no faster
    line: int = 64 * 2**10  # bytes kept of a segment
    records: int = 65_536  # lines and segments given

    def __post_init__(self) -> None:
        if self.line < 1 or self.chunk < self.line + 2 or self.records < 1:
            raise ValueError(f"a chunk must hold a whole line and its end: {self}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one turn gave.

    `parts`: by line number, for the bars among `lines` and the open one: the segments completed in this
    turn, to be parsed one by one (of redraws in a row only the first of a line and the last are there). A
    line that is no bar has none: its text is all there is to parse.
    """

    lines: list[Line]
    open: Line | None  # the unfinished last line, as it looks now
    parts: dict[int, list[str]]
    cursor: Cursor
    at_end: bool  # nothing is left to read now
    truncated: bool  # the file was shorter than the cursor; reading began anew, numbers go on


LIMITS = Limits()


def read(fd: int, cursor: Cursor, *, final: bool = False, limits: Limits = LIMITS) -> Chunk:
    """One turn. `final`: nobody writes any more, what has no end at the end of the file is a line too."""
    truncated = os.fstat(fd).st_size < cursor.offset
    if truncated:
        cursor = Cursor(line=cursor.line)
    turn = _Turn(lambda start, size: os.pread(fd, size, start), cursor, limits)
    return turn.run(os.pread(fd, limits.chunk, cursor.offset), final, truncated)


def split_span(data: bytes, *, cut: bool = False) -> list[str]:
    """The texts of lines that follow one another, from the bytes of the first's start to the last's end.

    A bar or a cut line (say `cut`) can only be a span of its own.
    """
    limits = Limits(chunk=len(data) + 3, line=len(data) + 1, records=len(data) + 2)
    turn = _Turn(lambda start, size: data[start : start + size], Cursor(), limits)
    texts = [line.text for line in turn.run(data + b"\n", False, False).lines]
    if cut:
        texts[-1] += CUT_MARK
    return texts


def clean(raw: bytes) -> str:
    """Text that JSON, a database and a terminal can bear: valid, no escape sequences, no controls but tab."""
    text = raw.decode("utf-8", "replace")
    return text if text.isprintable() else _ESCAPES.sub("", text)


class _Turn:
    """What is known of the line being read, and what was found so far."""

    def __init__(self, pread: Callable[[int, int], bytes], cursor: Cursor, limits: Limits) -> None:
        self.pread, self.limits, self.base = pread, limits, cursor.offset
        self.number = cursor.line + 1
        self.bar, self.skipping = cursor.bar, cursor.skipping
        self.start, self.end, self.cut = cursor.start, cursor.end, cursor.cut
        self.raw: bytes | None = None  # of start..end, where this turn read it
        self.redraw: bytes | None = None  # a part, unless another redraw follows
        self.lines: list[Line] = []
        self.parts: dict[int, list[str]] = {}
        self.given = 0

    def run(self, data: bytes, final: bool, truncated: bool) -> Chunk:
        pos = self._walk(data)
        full = self.given >= self.limits.records
        at_end = len(data) < self.limits.chunk and not full
        rest = b"" if full else data[pos:].removesuffix(b"\r")  # the next byte tells what this \r ends
        if final and at_end and (data[pos:] or self.bar or self.skipping):
            self._finish(self.base + pos, rest)
            pos, rest = len(data), b""
        elif self.skipping or len(rest) > self.limits.line:
            self._skip(self.base + pos, rest)
            pos, rest = pos + len(rest), b""
        self._flush()
        kept = (self.bar, self.start, self.end, self.cut, self.skipping)
        cursor = Cursor(self.base + pos, self.number - 1, *kept)
        shown = self._open(self.base + pos, rest)
        return Chunk(self.lines, shown, self.parts, cursor, at_end, truncated)

    def _walk(self, data: bytes) -> int:
        """Takes all that is complete, or as much as a turn may. Returns where what is left begins."""
        pos, before = 0, -1
        while before < pos < len(data) and self.given < self.limits.records:
            before = pos
            if not (self.bar or self.skipping):
                stop = data.find(b"\r", pos)
                pos = self._plain(data, pos, len(data) if stop < 0 else stop)
            if self.given < self.limits.records:
                pos = self._line(data, pos)
        return pos

    def _plain(self, data: bytes, pos: int, stop: int) -> int:
        """The fast way: the lines between `pos` and `stop`, where no `\\r` is, up to one that is too long."""
        last = data.rfind(b"\n", pos, stop)
        if last < 0:
            return pos
        room = self.limits.records - self.given
        lengths = list(map(len, data[pos:last].split(b"\n", room)[:room]))
        if max(lengths) > self.limits.line:
            del lengths[next(i for i, size in enumerate(lengths) if size > self.limits.line) :]
        taken = sum(lengths) + len(lengths)
        if not taken:
            return pos
        starts = list(accumulate(map((1).__add__, lengths[:-1]), initial=self.base + pos))
        texts = _clean_lines(data[pos : pos + taken - 1])
        ends = map(add, starts, lengths)
        fields = zip(count(self.number), starts, ends, texts, repeat(False), repeat(False))
        self.lines += map(Line._make, fields)
        self.number += len(lengths)
        self.given += len(lengths)
        return pos + taken

    def _line(self, data: bytes, pos: int) -> int:
        """One line with bars, or what is complete of it. Returns where what is left begins."""
        newline = data.find(b"\n", pos)
        *segments, last = data[pos : newline if newline >= 0 else None].removesuffix(b"\r").split(b"\r")
        for raw in segments:
            self.bar = True
            if raw or self.start < 0 or self.skipping:
                self._segment(self.base + pos, raw)
            pos += len(raw) + 1
            if self.given >= self.limits.records:
                return pos
        if newline < 0:
            return pos
        self._finish(self.base + pos, last)
        return newline + 1

    def _finish(self, start: int, raw: bytes) -> None:
        """A line is complete with this segment."""
        if self.bar:
            self._segment(start, raw)
            self._flush()
        elif self.skipping or len(raw) > self.limits.line:
            self._skip(start, raw)
        else:
            self._keep(start, raw)
        self.lines.append(Line(self.number, self.start, self.end, self._text(), self.bar, self.cut))
        self.number += 1
        self.given += 1
        self.start = self.end = -1
        self.bar = self.cut = self.skipping = False
        self.raw = None

    def _segment(self, start: int, raw: bytes) -> None:
        """A segment of a bar is complete."""
        if self.skipping or len(raw) > self.limits.line:
            self._skip(start, raw)
            self.skipping = False
            self._part(self._text())
        elif _is_redraw(raw):
            self._keep(start, raw)
            if self.number in self.parts:
                self.redraw = raw
            else:  # tqdm redraws its bar after a text that it let through: this one is of the same moment
                self._part(clean(raw))
        else:
            text = clean(raw)
            if text and not text.isspace():
                self._keep(start, raw)
                self._part(text)
            elif self.start < 0:
                self._keep(start, raw)

    def _keep(self, start: int, raw: bytes) -> None:
        self.start, self.end, self.raw, self.cut = start, start + len(raw), raw, False

    def _skip(self, start: int, raw: bytes) -> None:
        if not self.skipping:
            self._keep(start, raw[: self.limits.line])
            self.skipping = self.cut = True

    def _text(self) -> str:
        if self.raw is None:
            self.raw = self.pread(self.start, self.end - self.start)
        return clean(self.raw) + CUT_MARK if self.cut else clean(self.raw)

    def _part(self, text: str) -> None:
        self._flush()
        self.parts.setdefault(self.number, []).append(text)
        self.given += 1

    def _flush(self) -> None:
        if self.redraw is not None:
            text, self.redraw = clean(self.redraw), None
            if self.parts[self.number][-1] != text:
                self._part(text)

    def _open(self, start: int, rest: bytes) -> Line | None:
        text = clean(rest)
        if self.start < 0 or (text and not text.isspace()):
            if not rest and not self.bar:
                return None
            return Line(self.number, start, start + len(rest), text, self.bar)
        return Line(self.number, self.start, self.end, self._text(), self.bar, self.cut)


def _clean_lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace")
    simple = len(data.translate(None, _CONTROLS)) == len(data)
    if not (simple and (data.isascii() or b"\xc2" not in data)):
        text = _ESCAPES.sub("", text)
    return text.split("\n")


def _is_redraw(raw: bytes) -> bool:
    """Whether this is a progress bar and nothing else: no log line is glued to it."""
    if len(raw) > _LONGEST_BAR:
        return False
    body = raw.removesuffix(b"\x1b[A").removesuffix(b"\x1b[K").rstrip()
    if body.find(b"]") == len(body) - 1:
        return _TIMES.match(body, body.rfind(b"[")) is not None and _TQDM.search(body) is not None
    return _RULE.match(body, body.rfind(b"% ")) is not None
