"""A YOLO training's series by epoch, as the YOLO platform shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from api.models.events import Axis
from api.models.job import Job
from api.services.store import metrics

LOSSES = {
    f"{split}_{kind}_loss": f"{split}/{kind}_loss" for split in ("train", "val") for kind in ("box", "cls", "dfl")
}
SCORES = {
    "metrics_precision": "metrics/precision(B)",
    "metrics_recall": "metrics/recall(B)",
    "metrics_mAP50": "metrics/mAP50(B)",
    "metrics_mAP50_95": "metrics/mAP50-95(B)",
}
#: what a model's metrics are called -> ultralytics' names
METRICS = {
    "mAP50": "metrics/mAP50(B)",
    "mAP50-95": "metrics/mAP50-95(B)",
    "precision": "metrics/precision(B)",
    "recall": "metrics/recall(B)",
}
MOST = 5000  # epochs of a history; of a longer training every so many

Series = Mapping[int, float | None]


def history_of(connection: Connection, job: Job, final: Mapping[str, float | None]) -> dict[str, Any]:
    """One list an entry, one value an epoch; null where nothing was measured. `final`: the model's metrics."""
    series = {name: _series(connection, job, column) for name, column in (LOSSES | SCORES).items()}
    epochs = _kept(sorted(set().union(*series.values())))
    shown: dict[str, Any] = {"epochs": epochs}
    shown |= {name: [values.get(epoch) for epoch in epochs] for name, values in series.items()}
    return shown | {"final_metrics": {name.replace("-", "_"): final.get(name) for name in METRICS}}


def metrics_at(history: Mapping[str, Any], epoch: int | None) -> dict[str, float | None]:
    """mAP50, mAP50-95, precision and recall of one epoch."""
    if epoch not in history["epochs"]:
        return dict.fromkeys(METRICS)
    place = history["epochs"].index(epoch)
    return {name: history[f"metrics_{name.replace('-', '_')}"][place] for name in METRICS}


def reported(result: Mapping[str, float | None]) -> dict[str, float | None]:
    """The same of what a validation said under ultralytics' names."""
    return {name: result.get(column) for name, column in METRICS.items()}


def _series(connection: Connection, job: Job, column: str) -> Series:
    parts = metrics.segments(connection, job, job.series, Axis.EPOCH, column)
    every = sum(part.points for part in parts)
    found = metrics.last_points(connection, parts, every, None).points if every else []
    return {point.x: point.value for point in found}


def _kept(epochs: Sequence[int]) -> list[int]:
    step = -(-len(epochs) // MOST) or 1
    return sorted({*epochs[::step], *epochs[-1:]})
