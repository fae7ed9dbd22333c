"""A YOLO training's series by epoch, out of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from api.models.events import Axis
from api.models.job import Job
from api.models.yolo_history import FINAL, METRICS, history
from api.services.store import metrics

MOST = 5000  # epochs of a history; of a longer training every so many


def history_of(connection: Connection, job: Job) -> dict[str, Any] | None:
    """As api.models.yolo_history has it, of what is recorded by now; None before the first epoch is through."""
    recorded = metrics.names(connection, job, job.series)
    names = [str(each["name"]) for each in recorded if each["type"] == Axis.EPOCH]
    series = {name: _series(connection, job, name) for name in names}
    epochs = _kept(sorted(set().union(*series.values())))
    return history(epochs, {name: [values.get(epoch) for epoch in epochs] for name, values in series.items()})


def metrics_at(found: Mapping[str, Any], epoch: int | None) -> dict[str, float | None]:
    """mAP50, mAP50-95, precision and recall of one epoch."""
    if epoch not in found["epochs"]:
        return dict.fromkeys(METRICS)
    place = found["epochs"].index(epoch)
    columns = {name: found[FINAL[name.replace("-", "_")]] for name in METRICS}
    return {name: column[place] if column else None for name, column in columns.items()}


def reported(result: Mapping[str, float | None]) -> dict[str, float | None]:
    """The same of what a validation said under ultralytics' names."""
    return {name: result.get(column) for name, column in METRICS.items()}


def _series(connection: Connection, job: Job, column: str) -> dict[int, float | None]:
    parts = metrics.segments(connection, job, job.series, Axis.EPOCH, column)
    every = sum(part.points for part in parts)
    found = metrics.last_points(connection, parts, every, None).points if every else []
    return {point.x: point.value for point in found}


def _kept(epochs: Sequence[int]) -> list[int]:
    step = -(-len(epochs) // MOST) or 1
    return sorted({*epochs[::step], *epochs[-1:]})
