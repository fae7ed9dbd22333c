"""Captions of a preprocessed dataset: the texts beside its items, read, replaced one by one or all at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from api.models.accounts import Actor
from api.models.prepared import Item, Prepared
from api.services.prepared import PreparedDatasets
from api.utils.downloads import open_beneath
from api.utils.errors import Invalid

LONGEST = 10_000  # characters
READ = 64 * 1024  # bytes of a file


@dataclass(frozen=True, slots=True)
class Replaced:
    """`left_empty`: items that the change would have left without a caption; they keep theirs."""

    items: int
    changed: int
    left_empty: tuple[int, ...]


class Captions:
    def __init__(self, datasets: PreparedDatasets) -> None:
        self._datasets = datasets

    def read(self, found: Prepared, item: Item) -> str | None:
        """None where somebody took the file away."""
        try:
            with open_beneath(self._datasets.whole(found), f"{item.number}.txt") as file:
                return file.read(READ).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return None

    def write(self, actor: Actor, name: str, number: int, caption: str) -> tuple[Prepared, Item]:
        found = self._datasets.mine(actor, name)
        item = self._datasets.item(found, number)
        text = one_line(caption)
        if not text:
            raise Invalid("caption", "must not be blank: trainers pass over items without a caption")
        with self._datasets.changing(found) as directory:
            _put(directory, f"{number}.txt", text)
            _sync(directory)
        return found, item

    def replace(self, actor: Actor, name: str, change: Callable[[str], str]) -> Replaced:
        """Every caption; each file is whole before and after, and a change that was cut short can be made again."""
        found = self._datasets.mine(actor, name)
        items = self._datasets.items(found)
        changed, empty = 0, []
        with self._datasets.changing(found) as directory:
            for item in items:
                before = self.read(found, item)
                after = one_line(change(before)) if before is not None else ""
                if before is None or after == before:
                    continue
                if not after:
                    empty.append(item.number)
                    continue
                _put(directory, f"{item.number}.txt", after)
                changed += 1
            _sync(directory)
        return Replaced(len(items), changed, tuple(empty))


def replacing(find: str, replace: str, *, whole_words: bool, ignore_case: bool) -> Callable[[str], str]:
    """`whole_words`: `cat` is not found in `catalogue`."""
    pattern = re.escape(find)
    if whole_words:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    return lambda caption: compiled.sub(lambda _: replace, caption)


def one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST]


def _put(directory: Path, name: str, text: str) -> None:
    """Aside, then renamed. No link that lies there is followed."""
    draft = directory / "meta" / f".{name}.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, directory / name)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
