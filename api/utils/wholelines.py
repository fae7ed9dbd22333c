"""A log as its whole lines, with true byte offsets: an offset is always where a line begins, or the end of the last.

A line ends with a line feed. What follows the last one is half a line while somebody still writes, and a line as well
once nobody does (`final`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from api.utils.logreader import CUT_MARK, LIMITS, clean

BLOCK = 1 << 20


def open_log(path: str) -> BinaryIO:
    """Empty where there is none yet."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return open(os.devnull, "rb")


def after(file: BinaryIO, offset: int, most: int, *, final: bool) -> tuple[list[tuple[str, int]], int]:
    """Up to `most` lines from the first that begins at `offset` or later, each with the offset behind it; and the
    offset where to go on. One beyond the end (the log was cut from outside) becomes the end."""
    position = _line_start(file, offset)
    file.seek(position)
    found: list[tuple[str, int]] = []
    while len(found) < most and (raw := _next(file, final=final)) is not None:
        position = file.tell()
        found.append((_shown(raw), position))
    return found, position


def count(file: BinaryIO, *, final: bool) -> tuple[int, int]:
    """How many lines there are now, and the offset behind the last."""
    file.seek(0)
    lines = end = position = 0
    last = b""
    while block := file.read(BLOCK):
        lines += block.count(b"\n")
        if (newest := block.rfind(b"\n")) >= 0:
            end = position + newest + 1
        position += len(block)
        last = block
    if final and last and not last.endswith(b"\n"):
        return lines + 1, position
    return lines, end


def between(file: BinaryIO, skip: int, end: int) -> Iterator[str]:
    """The lines before the offset `end`, without the first `skip`."""
    file.seek(0)
    while file.tell() < end and (raw := _next(file, final=True)) is not None:
        if skip > 0:
            skip -= 1
        else:
            yield _shown(raw)


def _line_start(file: BinaryIO, offset: int) -> int:
    """The first that is not before `offset`; of an offset beyond the end, the end."""
    size = file.seek(0, os.SEEK_END)
    if offset <= 0 or offset >= size:
        return min(max(offset, 0), size)
    file.seek(offset - 1)
    _skip(file)
    return file.tell()


def _next(file: BinaryIO, *, final: bool) -> bytes | None:
    """Without its end; of an overlong one the beginning. None: no whole line is left."""
    raw = file.readline(LIMITS.line)
    if raw.endswith(b"\n"):
        return raw
    if len(raw) == LIMITS.line:
        return raw if _skip(file) or final else None
    return raw if raw and final else None


def _skip(file: BinaryIO) -> bool:
    """To the end of the line; whether it has one."""
    while part := file.readline(BLOCK):
        if part.endswith(b"\n"):
            return True
    return False


def _shown(raw: bytes) -> str:
    """A bar's last redraw, and no controls. An overlong line says that it was cut."""
    cut = CUT_MARK if len(raw) == LIMITS.line and not raw.endswith(b"\n") else ""
    text = raw.rstrip(b"\r\n").rpartition(b"\r")[2]
    return clean(text) + cut
