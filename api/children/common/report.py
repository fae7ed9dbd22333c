"""What the child says: a line of JSON an event for the service, plain lines for people, both on standard output."""

from __future__ import annotations

import json
import math
from typing import Any


class Problem(Exception):
    """Why it cannot be done; `kind` is one of the service's classes of failure."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def event(name: str, /, **fields: Any) -> None:
    shown = {"event": name, **{key: plain(value) for key, value in fields.items()}}
    print(json.dumps(shown, ensure_ascii=False), flush=True)


def say(text: str) -> None:
    print(one_line(text), flush=True)


def one_line(text: str) -> str:
    """What strangers wrote may stand in a message: it must not begin a line of its own."""
    return " ".join(text.splitlines())


def plain(value: Any) -> Any:
    """A number that is none becomes null: JSON knows no NaN. Those of numpy and torch become Python's."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
