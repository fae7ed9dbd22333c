"""Boxes, proposals and annotation tasks: the only SQL that touches them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.sql.dml import Insert

from api.models.accounts import Viewer
from api.models.annotation import AnnotationTask, Box, Image, Item, Key, LabelSet, Proposal, boxes_text
from api.services.store.annotation_tables import yolo_images as images
from api.services.store.annotation_tables import yolo_label_sets as sets
from api.services.store.annotation_tables import yolo_tasks as tasks
from api.services.store.bulk import insert_rows
from api.services.store.jsons import json_length
from api.services.store.viewers import seen_by
from api.services.store.yolo_tables import yolo_datasets as datasets
from api.utils.errors import NotFound

#: an image as it is imported: position, image_id, path, width, height, annotated, boxes as JSON, updated_at
NewImage = tuple[int, str, str, int, int, bool, str, float | None]


def _in(key: Key) -> ColumnElement[bool]:
    return and_(images.c.dataset_seq == key.dataset_seq, images.c.number == key.number)


def _of(key: Key) -> ColumnElement[bool]:
    return and_(sets.c.dataset_seq == key.dataset_seq, sets.c.number == key.number)


# ---- the boxes of a version


def label_set(connection: Connection, key: Key) -> LabelSet | None:
    row = connection.execute(select(sets.c.total, sets.c.imported).where(_of(key))).first()
    return None if row is None else LabelSet(row.total, row.imported)


def begin(connection: Connection, key: Key, total: int) -> None:
    values = {"dataset_seq": key.dataset_seq, "number": key.number, "total": total, "names_unwritten": False}
    connection.execute(insert(sets).values(values))


def finish(connection: Connection, key: Key) -> None:
    """All its images are there."""
    connection.execute(update(sets).where(_of(key)).values(imported=count(connection, key, annotated=True)))


def add_images(connection: Connection, key: Key, rows: Sequence[NewImage]) -> None:
    made = [(*key, *row[:7], 0, False, row[7], None, None) for row in rows]
    insert_rows(connection, _new_images, made)


def _new_images(_: Connection) -> Insert:
    return insert(images)


def count(connection: Connection, key: Key, *, annotated: bool | None = None) -> int:
    wanted = _in(key) if annotated is None else and_(_in(key), images.c.annotated.is_(annotated))
    return connection.execute(select(func.count()).select_from(images).where(wanted)).scalar_one()


_ITEM = (
    images.c.position,
    images.c.image_id,
    images.c.path,
    images.c.width,
    images.c.height,
    images.c.annotated,
    json_length(images.c.boxes).label("box_count"),
    images.c.proposals.is_not(None).label("proposed"),
)


def page(
    connection: Connection, key: Key, *, start: int = 0, offset: int = 0, limit: int, annotated: bool | None = None
) -> list[Item]:
    """By position, from `start` on, less the first `offset` of those that are wanted."""
    wanted = [_in(key), images.c.position >= start]
    if annotated is not None:
        wanted.append(images.c.annotated.is_(annotated))
    found = select(*_ITEM).where(*wanted).order_by(images.c.position).limit(limit).offset(offset)
    return [Item(**row._mapping) for row in connection.execute(found)]


def _image(row: Row[Any]) -> Image:
    return Image(
        position=row.position,
        image_id=row.image_id,
        path=row.path,
        width=row.width,
        height=row.height,
        annotated=row.annotated,
        boxes=tuple(Box(*box) for box in json.loads(row.boxes)),
        revision=row.revision,
        updated_at=row.updated_at,
        proposals=None if row.proposals is None else tuple(Proposal(*each) for each in json.loads(row.proposals)),
        proposed_by=row.proposed_by,
    )


def image(connection: Connection, key: Key, image_id: str) -> Image:
    row = connection.execute(select(images).where(_in(key), images.c.image_id == image_id)).first()
    if row is None:
        raise NotFound(f"there is no image {image_id!r} in this task")
    return _image(row)


def by_path(connection: Connection, key: Key, path: str) -> Image | None:
    row = connection.execute(select(images).where(_in(key), images.c.path == path)).first()
    return None if row is None else _image(row)


def matching(connection: Connection, key: Key, stem: str) -> list[Image]:
    """Images of this name without its suffix: one in each split at most. `stem` as `train/0001`, or `0001`."""
    split, _, name = stem.rpartition("/")
    found = []
    for each in (split,) if split else ("train", "val", "test"):
        low = f"images/{each}/{name}."
        rows = select(images).where(_in(key), images.c.path >= low, images.c.path < low[:-1] + "/")
        found += [_image(row) for row in connection.execute(rows) if "." not in row.path[len(low) :]]
    return found


def save(connection: Connection, key: Key, before: Image, boxes: Sequence[Box], now: float) -> Image:
    """What was proposed for it has been decided on with that."""
    connection.execute(
        update(images)
        .where(_in(key), images.c.position == before.position)
        .values(
            annotated=True,
            boxes=boxes_text(boxes),
            revision=before.revision + 1,
            unwritten=True,
            updated_at=now,
            proposals=None,
            proposed_by=None,
        )
    )
    return image(connection, key, before.image_id)


def propose(connection: Connection, key: Key, position: int, found: Sequence[Proposal], model_id: str) -> None:
    """Beside its boxes, of which it has none; in place of what was proposed before."""
    undecided = (_in(key), images.c.position == position, images.c.annotated.is_(False))
    connection.execute(update(images).where(*undecided).values(proposals=boxes_text(found), proposed_by=model_id))


# ---- what files do not say yet


def unwritten(connection: Connection, key: Key, limit: int) -> list[Image]:
    rows = connection.execute(select(images).where(_in(key), images.c.unwritten).limit(limit))
    return [_image(row) for row in rows]


def written(connection: Connection, key: Key, found: Sequence[Image]) -> None:
    """Their files say what they said; one that was saved again meanwhile is written again."""
    for each in found:
        same = (_in(key), images.c.position == each.position, images.c.revision == each.revision)
        connection.execute(update(images).where(*same).values(unwritten=False))


def names_changed(connection: Connection, key: Key, *, unwritten: bool) -> None:
    connection.execute(update(sets).where(_of(key)).values(names_unwritten=unwritten))


def names_unwritten(connection: Connection, key: Key) -> bool:
    return bool(connection.execute(select(sets.c.names_unwritten).where(_of(key))).scalar())


def behind(connection: Connection) -> list[tuple[str, int]]:
    """Versions, by dataset and number, whose files are not written."""
    some = select(images.c.position).where(
        images.c.dataset_seq == sets.c.dataset_seq, images.c.number == sets.c.number, images.c.unwritten
    )
    rows = (
        select(datasets.c.id, sets.c.number)
        .join(datasets, datasets.c.seq == sets.c.dataset_seq)
        .where(or_(sets.c.names_unwritten, some.exists()))
    )
    return [(row.id, row.number) for row in connection.execute(rows)]


# ---- tasks

_TASK = select(tasks.c.seq, tasks.c.id, datasets.c.id.label("dataset_id"), tasks.c.number, tasks.c.created_at).join(
    datasets, datasets.c.seq == tasks.c.dataset_seq
)


def task(connection: Connection, task_id: str) -> AnnotationTask:
    row = connection.execute(_TASK.where(tasks.c.id == task_id)).first()
    if row is None:
        raise NotFound(f"there is no annotation task {task_id!r}")
    return AnnotationTask(**row._mapping)


def tasks_of(connection: Connection, viewer: Viewer, dataset_id: str | None) -> list[AnnotationTask]:
    """Of the datasets that the viewer may see, newest first."""
    wanted = () if dataset_id is None else (datasets.c.id == dataset_id,)
    rows = connection.execute(_TASK.where(*wanted, *seen_by(viewer, datasets)).order_by(tasks.c.seq.desc()))
    return [AnnotationTask(**row._mapping) for row in rows]


def add_task(connection: Connection, key: Key, make: Callable[[], str], now: float) -> AnnotationTask:
    while True:
        candidate = make()
        if connection.execute(select(tasks.c.seq).where(tasks.c.id == candidate)).first() is None:
            break
    values = {"id": candidate, "dataset_seq": key.dataset_seq, "number": key.number, "created_at": now}
    connection.execute(insert(tasks).values(values))
    return task(connection, candidate)


def remove_task(connection: Connection, found: AnnotationTask) -> None:
    """The boxes are the dataset's, and stay."""
    connection.execute(delete(tasks).where(tasks.c.seq == found.seq))
