"""Which paths a client may name: absolute, and with every symlink followed still under an allowed root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from api.utils.errors import Forbidden, Invalid

PATH_MAX = 4096  # bytes, as Linux has it


class PathPolicy(Protocol):
    """Decides about a path of a request."""

    def resolve(self, field: str, value: str) -> Path:
        """The path with symlinks followed; it need not exist. Raises Invalid naming the field, or Forbidden."""
        ...


@dataclass(frozen=True, slots=True)
class AllowedRoots:
    """Everything under these directories (and they themselves), wherever their own symlinks lead."""

    roots: Sequence[Path]

    def resolve(self, field: str, value: str) -> Path:
        path = real_path(field, value)
        if not any(path.is_relative_to(os.path.realpath(root)) for root in self.roots):
            raise Forbidden(
                f"{field}: {value} lies outside the allowed directories",
                data={"field": field, "allowed_roots": [str(root) for root in self.roots]},
            )
        return path


def real_path(field: str, value: object) -> Path:
    """An absolute path with its symlinks followed. Raises Invalid naming the field."""
    text = path_text(field, value)
    if not text.startswith("/"):
        raise Invalid(field, f"must be an absolute path, not {shortened(text)!r}")
    try:
        return Path(os.path.realpath(text))
    except (OSError, ValueError, RuntimeError) as problem:
        raise Invalid(field, f"is not a usable path: {problem}") from None


def path_text(field: str, value: object) -> str:
    """A string that the file system could know. Raises Invalid naming the field."""
    if not isinstance(value, str):
        raise Invalid(field, "must be a path (a string)")
    if not value:
        raise Invalid(field, "must not be empty")
    if "\0" in value:
        raise Invalid(field, "must not contain a NUL character")
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise Invalid(field, "must be valid Unicode") from None
    if length >= PATH_MAX:
        raise Invalid(field, f"must be shorter than {PATH_MAX} bytes")
    return value


def shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
