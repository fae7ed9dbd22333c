"""Label files of prepared datasets: rows hold the boxes, and the files, which trainers read, follow them.

A save marks its row as unwritten in its own transaction; then the file is written and the mark taken off. A crash in
between leaves the mark, and the file is written at the next start, or before anybody trains on the version or exports
it, whichever comes first.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path, PurePosixPath

from api.models.annotation import Key, yolo_lines
from api.models.yolo import Dataset, Version
from api.services.store import annotations as store
from api.services.store import yolo_datasets
from api.services.store.database import Database
from api.services.yolo_files import YoloFiles
from api.utils.disks import sync_directory
from api.utils.errors import Insufficient, NotFound
from api.utils.faults import fault
from api.utils.yolo_labels import data_yaml

log = logging.getLogger(__name__)
BATCH = 50  # files that are written while others wait


class LabelFiles:
    def __init__(self, db: Database, files: YoloFiles) -> None:
        self._db = db
        self._files = files
        self._lock = threading.Lock()  # else an older save could be written over a newer one

    def write(self, dataset: Dataset, version: Version) -> None:
        """All that was saved of a version is in its labels/ and data.yaml when this returns. Raises Insufficient."""
        key, place = Key.of(dataset, version), self._files.of(dataset.id) / version.name
        try:
            while self._write_some(key, place):
                pass
            with self._lock:
                self._write_names(dataset, version, key, place)
        except OSError as problem:
            raise Insufficient(f"the boxes are saved, but their label files cannot be written: {problem}") from None

    def follow(self, dataset: Dataset, version: Version) -> None:
        """The same after a save, which has happened even where no file can be written now."""
        try:
            self.write(dataset, version)
        except Insufficient as problem:
            log.warning("labels of %s %s: %s", dataset.id, version.name, problem)

    def recover(self) -> None:
        """At the start: what a crash has left unwritten."""
        with self._db.read() as connection:
            behind = store.behind(connection)
        for dataset_id, number in behind:
            with self._db.read() as connection:
                dataset = yolo_datasets.get(connection, dataset_id)
            version = dataset.version(f"v{number}")
            if version is not None:
                self.follow(dataset, version)

    def _write_some(self, key: Key, place: Path) -> bool:
        """Whether there may be more."""
        with self._lock:
            with self._db.read() as connection:
                found = store.unwritten(connection, key, BATCH)
            if not found or not place.is_dir():  # it may have been removed just now
                return False
            self._replace({label_file(image.path): yolo_lines(image.boxes, image.size) for image in found}, place)
            fault("annotation.written")
            with self._db.write(durable=False) as connection:  # a mark too many costs nothing
                store.written(connection, key, found)
            return len(found) == BATCH

    def _write_names(self, dataset: Dataset, version: Version, key: Key, place: Path) -> None:
        with self._db.read() as connection:
            if not store.names_unwritten(connection, key) or not place.is_dir():
                return
            found = yolo_datasets.get(connection, dataset.id).version(version.name)
        if found is None:
            raise NotFound(f"dataset {dataset.id} has no version {version.name!r}")
        classes, has_test = found.summary["classes"], (place / "images" / "test").is_dir()
        texts = {
            "data.yaml": data_yaml(str(place), classes, has_test),
            "portable.yaml": data_yaml(".", classes, has_test),
        }
        self._replace(texts, place)
        with self._db.write(durable=False) as connection:
            now = yolo_datasets.get(connection, dataset.id).version(version.name)
            if now is not None and now.summary["classes"] == classes:
                store.names_changed(connection, key, unwritten=False)

    def _replace(self, texts: dict[str, str], place: Path) -> None:
        """Each file whole, old or new, whatever happens; all of them on the disk afterwards."""
        with self._files.draft() as draft:
            for number, (name, text) in enumerate(texts.items()):
                part = draft / str(number)
                with open(part, "x", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(place / name)
        for folder in {(place / name).parent for name in texts}:
            sync_directory(folder)


def label_file(image: str) -> str:
    """`images/train/0001.jpg` -> `labels/train/0001.txt`."""
    _, split, name = PurePosixPath(image).parts
    return f"labels/{split}/{PurePosixPath(name).stem}.txt"
