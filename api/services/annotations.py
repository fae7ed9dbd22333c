"""What people do with boxes on images: make a task, look, save, import and export labels.

Who may read a dataset may read its boxes; only who may change it, its owner or an admin, may change them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.models.accounts import Actor
from api.models.annotation import AnnotationTask, Box, Image, Item, Key, checked, extended
from api.models.dialect import dated_id
from api.models.yolo import Dataset, Preparation, Version
from api.services.label_import import LabelImport
from api.services.store import annotations as store
from api.services.store import yolo_datasets
from api.services.store.database import Database
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_labels import LabelFiles
from api.utils.errors import NotFound, Outdated
from api.utils.faults import fault

if TYPE_CHECKING:
    from sqlalchemy import Connection

PAGE = 1000  # items that are read at a time


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with what its version says of it."""

    task: AnnotationTask
    dataset: Dataset
    version: Version
    total: int
    imported: int
    annotated: int

    @property
    def classes(self) -> list[str]:
        return list(self.version.summary["classes"])

    def count(self, annotated: bool | None) -> int:
        """Of its images, those that are annotated, those that are not, or all."""
        if annotated is None:
            return self.total
        return self.annotated if annotated else self.total - self.annotated

    @property
    def key(self) -> Key:
        return Key.of(self.dataset, self.version)


class Annotations:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self,
        db: Database,
        yolo: YoloDatasets,
        importer: LabelImport,
        files: LabelFiles,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._yolo = yolo
        self._importer = importer
        self._files = files
        self._clock = clock

    # ---- tasks

    def create(self, actor: Actor, dataset_id: str, version: str, classes: Sequence[str] | None = None) -> TaskView:
        """A dataset that was never prepared is prepared first. `classes`: see models.annotation.extended."""
        if not self._yolo.mine(actor, dataset_id).versions:
            self._yolo.prepare(actor, dataset_id, Preparation())
        dataset, found = self._yolo.version(actor, dataset_id, version)
        if classes is not None:
            extended(found.summary["classes"], classes)  # before anything is read
        self._importer.run(dataset, found)
        with self._db.write() as connection:
            yolo_datasets.get(connection, dataset_id)  # raises NotFound where it was removed meanwhile
            if classes is not None:
                _name_classes(connection, dataset, found, classes)
            task = store.add_task(connection, Key.of(dataset, found), lambda: dated_id("task"), self._clock())
        fault("annotation.named")
        self._files.follow(dataset, found)
        return self._view(actor, task)

    def all_of(self, actor: Actor, dataset_id: str | None = None) -> list[TaskView]:
        actor.require_read()
        with self._db.read() as connection:
            viewer = actor.viewer
            tasks = store.tasks_of(connection, viewer, dataset_id)
        return [self._view(actor, task) for task in tasks]

    def get(self, actor: Actor, task_id: str) -> TaskView:
        with self._db.read() as connection:
            task = store.task(connection, task_id)
        return self._view(actor, task)

    def mine(self, actor: Actor, task_id: str) -> TaskView:
        """One whose boxes the caller may change."""
        view = self.get(actor, task_id)
        self._yolo.mine(actor, view.dataset.id)
        return view

    def _view(self, actor: Actor, task: AnnotationTask) -> TaskView:
        dataset, version = self._yolo.version(actor, task.dataset_id, task.version)
        key = Key.of(dataset, version)
        with self._db.read() as connection:
            found = store.label_set(connection, key)
            if found is None or found.imported is None:
                raise NotFound(f"there is no annotation task {task.id!r}")  # removed with its dataset just now
            return TaskView(
                task, dataset, version, found.total, found.imported, store.count(connection, key, annotated=True)
            )

    def delete(self, actor: Actor, task_id: str) -> None:
        """The boxes are the dataset's, and stay."""
        view = self.mine(actor, task_id)
        with self._db.write() as connection:
            store.remove_task(connection, view.task)

    # ---- images and their boxes

    def page(self, view: TaskView, *, offset: int, limit: int, annotated: bool | None = None) -> list[Item]:
        with self._db.read() as connection:
            if annotated is None:  # an image's number is its place
                return store.page(connection, view.key, start=offset, limit=limit)
            return store.page(connection, view.key, offset=offset, limit=limit, annotated=annotated)

    def every_item(self, view: TaskView, annotated: bool | None = None) -> Iterator[Item]:
        """All of them; a page at a time is held."""
        start = 0
        while True:
            with self._db.read() as connection:
                page = store.page(connection, view.key, start=start, limit=PAGE, annotated=annotated)
            yield from page
            if len(page) < PAGE:
                return
            start = page[-1].position + 1

    def image(self, view: TaskView, image_id: str) -> Image:
        with self._db.read() as connection:
            return store.image(connection, view.key, image_id)

    def save(
        self,
        actor: Actor,
        task_id: str,
        image_id: str,
        boxes: Sequence[Box],
        wanted: Callable[[str], bool] | None = None,
    ) -> Image:
        """All boxes of an image in place of those it had. `wanted` says of the image's tag whether it is the one that
        the caller has seen; if not, Outdated."""
        view = self.mine(actor, task_id)
        with self._db.write() as connection:
            before = store.image(connection, view.key, image_id)
            if wanted is not None and not wanted(before.tag):
                raise Outdated(f"image {image_id} was changed meanwhile; read it again")
            kept = checked(boxes, before.size, len(view.classes))
            saved = store.save(connection, view.key, before, kept, self._clock())
        fault("annotation.saved")
        self._files.follow(view.dataset, view.version)
        return saved

    # ---- files

    def write_labels(self, dataset: Dataset, version: Version) -> None:
        """Before anybody trains on a version or exports it: its labels/ and data.yaml say what is saved."""
        self._files.write(dataset, version)

    def export(self, actor: Actor, task_id: str) -> TaskView:
        view = self.get(actor, task_id)
        self._files.write(view.dataset, view.version)
        return view


def _name_classes(connection: Connection, dataset: Dataset, version: Version, classes: Sequence[str]) -> None:
    """Those of a task become those of its version: for all its tasks, and for who trains on it."""
    now = yolo_datasets.get(connection, dataset.id).version(version.name)
    if now is None:
        raise NotFound(f"dataset {dataset.id} has no version {version.name!r}")
    found = extended(now.summary["classes"], classes)
    if found != now.summary["classes"]:
        yolo_datasets.name_classes(connection, dataset, now, found)
        store.names_changed(connection, Key.of(dataset, version), unwritten=True)
