"""The images and labels of a prepared version as rows, read from its files once, a few at a time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from api.models.annotation import Box, Key, boxes_text, image_id
from api.models.yolo import Dataset, Version
from api.services.store import annotations as store
from api.services.store import yolo_datasets
from api.services.store.annotations import NewImage
from api.services.store.database import Database
from api.services.yolo_files import YoloFiles
from api.services.yolo_labels import label_file
from api.utils.batches import batches
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Unavailable
from api.utils.faults import fault
from api.utils.yolo_labels import MOST_BYTES, BadLabel, corners, parse

BATCH = 500  # rows that are added while other writers wait
HEAVIEST = 4 * 1024**2  # characters of their boxes
PATIENCE = 5.0  # seconds that a request waits for another one that reads


class LabelImport:
    """Cut short by a crash, it goes on where it was: nobody can change a row before all are there."""

    def __init__(self, db: Database, files: YoloFiles, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()

    def run(self, dataset: Dataset, version: Version) -> None:
        """Raises Conflict where files of the version are gone or damaged, Unavailable while another request reads."""
        key, place = Key.of(dataset, version), self._files.of(dataset.id) / version.name
        if self._is_done(key):
            return
        if not self._lock.acquire(timeout=PATIENCE):
            raise Unavailable(
                "the labels of a dataset are being read; the same request later finds them", retry_after=5
            )
        try:
            if not self._is_done(key):
                self._read(dataset, version, place)
        except (OSError, ValueError, KeyError) as problem:
            raise Conflict(f"the labels of {dataset.id} {version.name} cannot be read: {problem}") from None
        finally:
            self._lock.release()

    def _read(self, dataset: Dataset, version: Version, place: Path) -> None:
        key = Key.of(dataset, version)
        with self._db.write() as connection:
            yolo_datasets.get(connection, dataset.id)  # raises NotFound where it was removed meanwhile
            if store.label_set(connection, key) is None:
                store.begin(connection, key, version.summary["image_count"])
            known = store.count(connection, key)
        for rows in batches(self._rows(place, known, len(version.summary["classes"])), BATCH, _weight, HEAVIEST):
            with self._db.write(durable=False) as connection:
                yolo_datasets.get(connection, dataset.id)
                store.add_images(connection, key, rows)
            fault("annotation.importing")
        with self._db.write() as connection:
            store.finish(connection, key)

    def _is_done(self, key: Key) -> bool:
        with self._db.read() as connection:
            found = store.label_set(connection, key)
        return found is not None and found.imported is not None

    def _rows(self, place: Path, start: int, classes: int) -> Iterator[NewImage]:
        now = self._clock()
        with open(place / "manifest.jsonl", encoding="utf-8") as file:
            for position, text in enumerate(islice(file, start, None), start):
                line = json.loads(text)
                labelled = line["boxes"] is not None
                boxes = _boxes(place, line, classes) if line["boxes"] else []
                size = (line["width"], line["height"])
                named = (position, image_id(position, line["image"]), line["image"])
                yield (*named, *size, labelled, boxes_text(boxes), now if labelled else None)


def _boxes(place: Path, line: dict[str, Any], classes: int) -> list[Box]:
    """Of a polygon the box around it, as a detector is trained on it."""
    name = label_file(line["image"])
    with open_beneath(place, name) as file:
        text = file.read(MOST_BYTES).decode("ascii")
    size = (line["width"], line["height"])
    try:
        labels = parse(text, classes)
    except BadLabel as problem:
        raise ValueError(f"{name}: {problem}") from None
    found = ((label.index, corners(label, size)) for label in labels)
    return [Box(index, *box) for index, box in found if box is not None]


def _weight(row: NewImage) -> int:
    return len(row[6])
