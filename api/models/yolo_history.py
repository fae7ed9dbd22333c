"""The series of a YOLO training by epoch, as front ends of the platform read them (`training_history`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Series = Sequence[float | None]

LOSSES = ("box", "cls", "dfl")
#: the four documented numbers of a model, and ultralytics' names for them
METRICS = {
    "mAP50": "metrics/mAP50(B)",
    "mAP50-95": "metrics/mAP50-95(B)",
    "precision": "metrics/precision(B)",
    "recall": "metrics/recall(B)",
}
#: keys of a history -> columns of ultralytics' results.csv, under whose names metrics are recorded as well
KEYS = {
    **{f"{part}_{loss}_loss": f"{part}/{loss}_loss" for part in ("train", "val") for loss in LOSSES},
    "metrics_precision": METRICS["precision"],
    "metrics_recall": METRICS["recall"],
    "metrics_mAP50": METRICS["mAP50"],
    "metrics_mAP50_95": METRICS["mAP50-95"],
}
#: what `final_metrics` calls them -> keys of a history
FINAL = {name.replace("-", "_"): f"metrics_{name.replace('-', '_')}" for name in METRICS}
MOST_EPOCHS = 20_000
_OTHER_LOSS = re.compile(r"(train|val)/([a-z0-9]{1,20})_loss", re.ASCII)
_KEY = re.compile(r"(?:train|val)_[a-z0-9]{1,20}_loss|metrics_[A-Za-z0-9_]{1,40}", re.ASCII)


def history(epochs: Sequence[int], columns: Mapping[str, Series]) -> dict[str, Any] | None:
    """Of columns as long as `epochs`. The documented keys are always there; a model with other losses (`l1_loss`) has
    keys for those beside them. None: no epoch is through."""
    if not epochs:
        return None
    found: dict[str, Any] = {"epochs": list(epochs)}
    named = {f"{match[1]}_{match[2]}_loss": name for name in columns if (match := _OTHER_LOSS.fullmatch(name))}
    for key, column in {**named, **KEYS}.items():
        found[key] = list(columns.get(column, ()))
    return {**found, "final_metrics": final_metrics(found)}


def final_metrics(found: Mapping[str, Any]) -> dict[str, float | None]:
    """Of the last epoch."""
    return {name: found[key][-1] if found.get(key) else None for name, key in FINAL.items()}


def from_results(table: Mapping[str, Series]) -> dict[str, Any] | None:
    """Of the columns of a results.csv."""
    epochs = table.get("epoch", ())
    if any(each is None or each != int(each) for each in epochs):
        return None
    return history([int(each) for each in epochs if each is not None], table)


def checked(given: object) -> dict[str, Any]:
    """A history that somebody else wrote. Raises ValueError saying what is wrong with it."""
    if not isinstance(given, Mapping):
        raise ValueError("must be an object")
    epochs = given.get("epochs")
    if not isinstance(epochs, list) or not 0 < len(epochs) <= MOST_EPOCHS:
        raise ValueError(f"epochs: must be a list of 1 to {MOST_EPOCHS} numbers")
    if not all(type(each) is int for each in epochs) or sorted(set(epochs)) != epochs:
        raise ValueError("epochs: must be whole numbers, each larger than the one before")
    found: dict[str, Any] = {"epochs": epochs, **{key: [] for key in KEYS}}
    for key, column in given.items():
        if isinstance(key, str) and _KEY.fullmatch(key):
            found[key] = _column(key, column, len(epochs))
    return {**found, "final_metrics": final_metrics(found)}


def _column(key: str, column: object, length: int) -> list[float | None]:
    if not isinstance(column, list) or len(column) not in (0, length):
        raise ValueError(f"{key}: must be a list as long as epochs")
    if not all(each is None or is_number(each) for each in column):
        raise ValueError(f"{key}: must hold numbers and nulls")
    return column


def is_number(value: object) -> bool:
    """Finite, and not so large a whole number that no float holds it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
