"""Why weights are refused."""

from __future__ import annotations


class Refused(Exception):
    """The text goes to whoever sent the file."""


def shown(value: object, most: int = 200) -> str:
    """What a stranger's file says, on one line of printable characters."""
    text = "".join(char if char.isprintable() else "?" for char in str(value))
    return text if len(text) <= most else text[: most - 3] + "..."
