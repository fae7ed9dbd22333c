"""Labels from elsewhere: a zip of YOLO label files becomes the boxes of the images that have their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.annotation import MOST_BOXES, Box, Image
from api.services.annotations import Annotations, TaskView
from api.services.store import annotations as store
from api.services.store.database import Database
from api.services.yolo_files import is_label
from api.services.yolo_labels import LabelFiles
from api.utils.batches import batches
from api.utils.errors import Malformed
from api.utils.faults import fault
from api.utils.yolo_labels import BadLabel, Label, corners, parse
from api.utils.zips import BadZip, SafeZip, ZipLimits, read_zip

BATCH = 100  # images that are saved while other writers wait
HEAVIEST = 100_000  # numbers of their labels
MOST_BYTES = 2 * 1024**2  # of a label file
MOST_TOLD = 100
SPLITS = frozenset({"train", "val", "test"})


@dataclass
class Taken:
    """`skipped`: images that had boxes already. Of the issues the first are told."""

    imported: int = 0
    skipped: int = 0
    issue_count: int = 0
    issues: list[dict[str, str]] = field(default_factory=list)

    def add_issue(self, file: str, problem: str) -> None:
        self.issue_count += 1
        if len(self.issues) < MOST_TOLD:
            self.issues.append({"file": file, "problem": problem})


class LabelUpload:
    def __init__(
        self,
        db: Database,
        annotations: Annotations,
        files: LabelFiles,
        limits: ZipLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._annotations = annotations
        self._files = files
        self._limits = limits
        self._clock = clock

    def run(self, actor: Actor, task_id: str, file: BinaryIO, *, overwrite: bool) -> Taken:
        """Image by image: what is wrong with one file is told, and keeps none of the others out. Raises Malformed."""
        view, taken = self._annotations.mine(actor, task_id), Taken()
        try:
            with read_zip(file, self._limits) as archive:
                self._take(view, archive, overwrite, taken)
        except BadZip as problem:
            raise Malformed(f"file: the archive {problem}") from None
        finally:
            self._files.follow(view.dataset, view.version)
        return taken

    def _take(self, view: TaskView, archive: SafeZip, overwrite: bool, taken: Taken) -> None:
        for batch in batches(_labels(archive, len(view.classes), taken), BATCH, _weight, HEAVIEST):
            with self._db.write() as connection:
                for name, labels in batch:
                    self._save(connection, view, name, labels, overwrite, taken)
            fault("annotation.saved")

    def _save(
        self,
        connection: Connection,
        view: TaskView,
        name: str,
        labels: tuple[Label, ...],
        overwrite: bool,
        taken: Taken,
    ) -> None:
        found = store.matching(connection, view.key, _stem(name))
        if len(found) != 1:
            why = "there are several images of this name; put it into a folder train, val or test"
            taken.add_issue(name, why if found else "there is no image of this name")
        elif found[0].annotated and not overwrite:
            taken.skipped += 1
        else:
            store.save(connection, view.key, found[0], _boxes(labels, found[0]), self._clock())
            taken.imported += 1


def _labels(archive: SafeZip, classes: int, taken: Taken) -> Iterator[tuple[str, tuple[Label, ...]]]:
    for name in archive.names:
        if not is_label(name) or not name.lower().endswith(".txt"):
            continue
        try:
            labels = parse(archive.read(name, MOST_BYTES).decode("utf-8-sig"), classes)
        except (BadLabel, BadZip, UnicodeDecodeError) as problem:
            taken.add_issue(name, str(problem))
            continue
        if len(labels) > MOST_BOXES:
            taken.add_issue(name, f"has more than {MOST_BOXES} boxes")
            continue
        yield name, labels


def _weight(read: tuple[str, tuple[Label, ...]]) -> int:
    return sum(len(label.numbers) for label in read[1])


def _stem(name: str) -> str:
    """`labels/train/0001.txt` -> `train/0001`; without a split's folder the name alone."""
    path = PurePosixPath(name)
    split = next((part for part in reversed(path.parts[:-1]) if part in SPLITS), None)
    return f"{split}/{path.stem}" if split else path.stem


def _boxes(labels: tuple[Label, ...], image: Image) -> list[Box]:
    found = ((label.index, corners(label, image.size)) for label in labels)
    return [Box(index, *box) for index, box in found if box is not None]
