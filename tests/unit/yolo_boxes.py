"""Annotated datasets as rows alone, for tests that read no file of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from api.models.annotation import Key, image_id
from api.models.dialect import dated_id
from api.models.yolo import Version
from api.services.store import annotations as store
from api.services.store import yolo_datasets
from api.services.store.database import Database

SIZE = (64, 48)


def labelled(
    db: Database, owner_id: int, team_id: int | None = None, images: int = 1, classes: Sequence[str] = ("x",)
) -> tuple[str, str]:
    """A dataset with its version and an annotation task: the ids of both. Every third image has a box."""
    now = time.time()
    values = {
        "id": dated_id("ds"), "owner_id": owner_id, "team_id": team_id, "filename": "x.zip", "size": 1, "path": None,
        "image_count": images, "label_count": images, "created_at": now, "updated_at": now,
    }  # fmt: skip
    summary = {
        "classes": list(classes),
        "class_counts": {},
        "image_count": images,
        "train_count": images,
        "val_count": 0,
    }
    with db.write() as connection:
        dataset = yolo_datasets.add(connection, values)
        version = Version(1, "key", summary, now)
        yolo_datasets.add_version(connection, dataset, version)
        key = Key.of(dataset, version)
        store.begin(connection, key, images)
        paths = [f"images/train/{number:06}.png" for number in range(images)]
        rows = [
            (n, image_id(n, path), path, *SIZE, n % 3 == 2, "[[0,1,2,30,40]]" if n % 3 == 2 else "[]", now)
            for n, path in enumerate(paths)
        ]
        store.add_images(connection, key, rows)
        store.finish(connection, key)
        return dataset.id, store.add_task(connection, key, lambda: dated_id("task"), now).id
