"""All that is wrong with a request, said at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.services.engines.diffusion_pipe.toml_text import Unwritable
from api.utils.errors import Invalid

REPORTED_MAX = 20


class Problems:
    """Collects (field, message); raises them together as one Invalid. Forbidden passes through."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, field: str, message: str | None) -> None:
        if message is not None:
            self._found.append((field, message))

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What is Invalid inside is added, not raised."""
        try:
            yield
        except Invalid as problem:
            self._found.extend(problem.errors)
        except Unwritable as problem:
            self._found.append((problem.field, problem.problem))

    def check(self) -> None:
        if self._found:
            field, message = self._found[0]
            raise Invalid(field, message, more=self._found[1:REPORTED_MAX])
