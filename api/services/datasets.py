"""Datasets by name, whoever keeps them: what a training asks for when it names one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from api.models.accounts import Actor
from api.utils.errors import Invalid

#: The directory of a dataset that the caller may read; None: it knows no such name. Raises Forbidden.
Finder = Callable[[Actor, str], Path | None]


class Datasets:
    """Asks each keeper of datasets in turn."""

    def __init__(self, finders: Sequence[Finder] = ()) -> None:
        self._finders = tuple(finders)

    def directory(self, actor: Actor, field: str, name: str) -> str:
        """The absolute directory of a dataset. Raises Invalid naming the field, Forbidden."""
        for find in self._finders:
            if (found := find(actor, name)) is not None:
                return str(found)
        raise Invalid(field, "there is no such dataset")
