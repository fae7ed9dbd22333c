"""Datasets of the YOLO platform and their versions: the only SQL that touches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from api.models.accounts import Viewer
from api.models.yolo import Dataset, Version
from api.services.store.viewers import seen_by
from api.services.store.yolo_tables import yolo_datasets as datasets
from api.services.store.yolo_tables import yolo_versions as versions
from api.utils.errors import NotFound


def _dataset(row: Row[Any], found: Sequence[Version]) -> Dataset:
    fields = dict(row._mapping)
    return Dataset(**{**fields, "tags": tuple(fields["tags"])}, versions=tuple(found))


def _versions(connection: Connection, seq: int) -> list[Version]:
    rows = connection.execute(select(versions).where(versions.c.dataset_seq == seq).order_by(versions.c.number))
    return [Version(row.number, row.key, row.summary, row.created_at) for row in rows]


def find(connection: Connection, dataset_id: str) -> Dataset | None:
    row = connection.execute(select(datasets).where(datasets.c.id == dataset_id)).first()
    return None if row is None else _dataset(row, _versions(connection, row.seq))


def named(connection: Connection, viewer: Viewer, filename: str) -> Dataset | None:
    """The newest that the viewer may see of this name, with or without `.zip`."""
    conditions = seen_by(viewer, datasets)
    called = datasets.c.filename.in_((filename, f"{filename}.zip"))
    row = connection.execute(select(datasets).where(called, *conditions).order_by(datasets.c.seq.desc())).first()
    return None if row is None else _dataset(row, _versions(connection, row.seq))


def get(connection: Connection, dataset_id: str) -> Dataset:
    found = find(connection, dataset_id)
    if found is None:
        raise NotFound(f"there is no dataset {dataset_id!r}")
    return found


def all_of(connection: Connection, viewer: Viewer) -> list[Dataset]:
    """What the viewer may see, newest first. The summaries of versions, which may be long, are left out."""
    conditions = seen_by(viewer, datasets)
    columns = select(versions.c.dataset_seq, versions.c.number, versions.c.key, versions.c.created_at)
    made = columns.join(datasets, datasets.c.seq == versions.c.dataset_seq).where(*conditions)
    found: dict[int, list[Version]] = {}
    for row in connection.execute(made.order_by(versions.c.dataset_seq, versions.c.number)):
        found.setdefault(row.dataset_seq, []).append(Version(row.number, row.key, {}, row.created_at))
    rows = connection.execute(select(datasets).where(*conditions).order_by(datasets.c.seq.desc()))
    return [_dataset(row, found.get(row.seq, ())) for row in rows]


def names(connection: Connection) -> dict[str, set[str]]:
    """Of all datasets, and of their versions."""
    found: dict[str, set[str]] = {name: set() for name in connection.execute(select(datasets.c.id)).scalars()}
    joined = select(datasets.c.id, versions.c.number).join(datasets, datasets.c.seq == versions.c.dataset_seq)
    for row in connection.execute(joined):
        found[row.id].add(f"v{row.number}")
    return found


def free_id(connection: Connection, make: Callable[[], str]) -> str:
    while True:
        candidate = make()
        if connection.execute(select(datasets.c.seq).where(datasets.c.id == candidate)).first() is None:
            return candidate


def add(connection: Connection, values: Mapping[str, Any]) -> Dataset:
    connection.execute(insert(datasets).values({**values, "description": "", "tags": []}))
    return get(connection, values["id"])


def change(connection: Connection, dataset: Dataset, values: Mapping[str, Any]) -> Dataset:
    connection.execute(update(datasets).where(datasets.c.seq == dataset.seq).values(values))
    return get(connection, dataset.id)


def add_version(connection: Connection, dataset: Dataset, version: Version) -> None:
    values = {"number": version.number, "key": version.key, "summary": version.summary}
    stamp = {"dataset_seq": dataset.seq, "created_at": version.created_at}
    connection.execute(insert(versions).values({**values, **stamp}))
    connection.execute(update(datasets).where(datasets.c.seq == dataset.seq).values(updated_at=version.created_at))


def name_classes(connection: Connection, dataset: Dataset, version: Version, classes: Sequence[str]) -> None:
    """Those that it has may get other names, and more may follow."""
    counts = version.summary["class_counts"]
    found = [counts.get(name, 0) for name in version.summary["classes"]] + [0] * len(classes)
    summary = {**version.summary, "classes": list(classes), "class_counts": dict(zip(classes, found, strict=False))}
    one = (versions.c.dataset_seq == dataset.seq, versions.c.number == version.number)
    connection.execute(update(versions).where(*one).values(summary=summary))


def remove(connection: Connection, dataset: Dataset) -> None:
    """The row and, by the foreign key, its versions."""
    connection.execute(delete(datasets).where(datasets.c.seq == dataset.seq))
