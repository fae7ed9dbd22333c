"""Server-sent events as bytes.

A stream's generator asks `disconnected(request.environ)` at least every half second: a client that leaves is noticed
only so while nothing is written, and until then the stream holds its thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_LINE_END = re.compile(r"\r\n|\r|\n")  # all that the format knows; a line of ours must not smuggle one in
_FORBIDDEN = re.compile(r"[\r\n\0]")


def event(data: str | Mapping[str, Any], *, event: str | None = None, id: str | int | None = None) -> bytes:
    """One event. A mapping is sent as JSON; text of several lines arrives with its lines ended by a newline."""
    lines = []
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            if _FORBIDDEN.search(str(value)):
                raise ValueError(f"the {name} of an event cannot contain a line end or NUL: {value!r}")
            lines.append(f"{name}: {value}")
    text = data if isinstance(data, str) else _json(data)
    lines += [f"data: {line}" for line in _LINE_END.split(text)]
    return _bytes(lines)


def comment(text: str = "") -> bytes:
    """A line that clients ignore; keeps the connection alive and shows a lost one."""
    return _bytes([f": {line}" for line in _LINE_END.split(text)])


def disconnected(environ: Mapping[str, Any]) -> bool:
    """Whether the client of a request has gone; under another server than ours, never."""
    gone = environ.get("waitress.client_disconnected")
    return bool(gone is not None and gone())


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _bytes(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")
