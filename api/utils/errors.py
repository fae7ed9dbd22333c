"""What can be wrong with a request. Domain errors: they know no HTTP; the edge maps type to code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class TrainyardError(Exception):
    """Base of everything that is a caller's business to know. `data` helps whoever reads the answer."""

    def __init__(self, message: str, *, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Invalid(TrainyardError):
    """A field has a value that cannot be used. `field` is its dotted path in the request."""

    def __init__(self, field: str, message: str, *, more: Sequence[tuple[str, str]] = ()) -> None:
        self.errors = ((field, message), *more)
        text = "; ".join(f"{name}: {problem}" for name, problem in self.errors)
        super().__init__(text, data={"errors": [{"field": n, "message": m} for n, m in self.errors]})
        self.field = field


class Malformed(TrainyardError):
    """What was sent is not of the kind that it must be: a file that is no archive, or a hostile one."""


class NotFound(TrainyardError):
    """There is no such thing, or not for this caller."""


class Conflict(TrainyardError):
    """The thing is not in a state that allows this now."""


class Outdated(TrainyardError):
    """The thing has changed since the caller saw it."""


class Forbidden(TrainyardError):
    """A valid caller without the right, or a path outside the roots."""


class Unauthenticated(TrainyardError):
    """No credentials, or bad ones."""


class Insufficient(TrainyardError):
    """More was asked for than the machine has."""


class Unavailable(TrainyardError):
    """Cannot be answered now; try again later. `retry_after` in seconds."""

    def __init__(self, message: str, *, retry_after: int = 5, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, data=data)
        self.retry_after = retry_after


class TooMany(Unavailable):
    """The caller asked too often."""
