"""The series of a YOLO training, as a model keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from api.models.dialect import YOLO_PLATFORM
from api.models.events import Axis, Metric
from api.models.job import Job
from api.services import yolo_history as history
from api.services.store.database import Database
from api.services.store.metric_writer import SeriesWriter
from tests.unit.toys import World


def trained(world: World, epochs: range, *names: str, attempt: int = 1) -> Job:
    job = world.submit(dialect=YOLO_PLATFORM)
    record(world.db, job, epochs, *names, attempt=attempt)
    return job


def record(db: Database, job: Job, epochs: range, *names: str, attempt: int = 1) -> None:
    points = [Metric(name, attempt + epoch / 1000, epoch=epoch, axis=Axis.EPOCH) for epoch in epochs for name in names]
    with db.write() as connection:
        SeriesWriter(job.seq, attempt).write(connection, points, 0.0)


def of(world: World, job: Job) -> dict[str, Any]:
    with world.db.read() as connection:
        found = history.history_of(connection, job)
    assert found is not None
    return found


def test_what_was_not_measured_is_null(world: World) -> None:
    job = trained(world, range(1, 4), "train/box_loss")
    record(world.db, job, range(2, 3), "metrics/mAP50(B)")
    found = of(world, job)
    assert found["epochs"] == [1, 2, 3] and found["train_box_loss"] == [1.001, 1.002, 1.003]
    assert found["metrics_mAP50"] == [None, 1.002, None] and found["val_dfl_loss"] == []
    assert found["final_metrics"] == {"mAP50": None, "mAP50_95": None, "precision": None, "recall": None}
    assert history.metrics_at(found, 2) == {"mAP50": 1.002, "mAP50-95": None, "precision": None, "recall": None}
    assert set(history.metrics_at(found, None).values()) == set(history.metrics_at(found, 9).values()) == {None}


def test_without_any_epoch(world: World) -> None:
    job = world.submit(dialect=YOLO_PLATFORM)
    with world.db.read() as connection:
        assert history.history_of(connection, job) is None


def test_a_very_long_training_is_thinned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 10)
    found = of(world, trained(world, range(1, 97), "train/cls_loss"))
    assert found["epochs"] == [*range(1, 97, 10), 96] and None not in found["train_cls_loss"]
