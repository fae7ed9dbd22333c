"""`model.json`, what a model's archive says about it: written by an export, read and checked by an upload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.models.yolo_history import METRICS, checked, is_number
from api.models.yolo_model import YoloModel
from api.utils.texts import is_plain
from api.utils.times import iso

MOST_BYTES = 32 * 1024**2
MOST_DESCRIPTION = 10_000
MOST_TAGS = 100
MOST_NAME = 200
JOB_CONFIG = ("dataset_id", "epochs", "imgsz", "batch", "model_name", "status", "created_at", "completed_at")
#: what an uploaded model was where it comes from; ids of another service say nothing here
ORIGIN = ("model_id", "job_id", "dataset_id", "dataset_version", "base_model", "created_at", "source")


class BadMetadata(Exception):
    """The text names the key."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an uploaded model.json says; None and empty where it says nothing."""

    model_id: str | None = None
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    history: Mapping[str, Any] | None = None
    job_config: Mapping[str, Any] | None = None
    origin: Mapping[str, str] = field(default_factory=dict)


def described(model: YoloModel) -> dict[str, Any]:
    """A model as the platform's answers and its archives show it."""
    return {
        "model_id": model.id,
        "name": model.name,
        "description": model.description,
        "file_size": model.file_size,
        "file_size_mb": round(model.file_size / 1024**2, 2),
        "created_at": iso(model.created_at),
        "job_id": model.job_id,
        "dataset_id": model.dataset_id,
        "dataset_version": model.dataset_version,
        "tags": list(model.tags),
        "source": model.source,
        "classes": list(model.classes),
        "task": model.task,
        "imgsz": model.info.get("imgsz"),
        "epochs": model.info.get("epochs"),
        "base_model": model.base_model,
    }


def detailed(model: YoloModel) -> dict[str, Any]:
    """With what was measured of it."""
    return {
        **described(model),
        "training_metrics": {
            **{name: model.metrics.get(name) for name in METRICS},
            "training_history": model.history,
            "job_config": model.info.get("job_config"),
        },
        "model_info": model.info.get("model_info"),
        "origin": model.info.get("origin"),
    }


def written(model: YoloModel) -> bytes:
    return json.dumps(detailed(model), ensure_ascii=False, allow_nan=False, indent=1).encode()


def read(content: bytes) -> Metadata:
    """Raises BadMetadata. Keys that are not known here are somebody else's and left alone."""
    try:
        given = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as problem:
        raise BadMetadata(f"is no JSON: {str(problem)[:200]}") from None
    if not isinstance(given, Mapping):
        raise BadMetadata("must be an object")
    known = {key: value for key, value in given.items() if value is not None}
    measured = _measured(known.get("training_metrics"))
    return Metadata(
        model_id=_optional("model_id", known, _line),
        name=_optional("name", known, _line),
        description=_optional("description", known, _description),
        tags=_optional("tags", known, lambda value: _lines(value, MOST_TAGS)),
        classes=_optional("classes", known, lambda value: _lines(value, 10_000)) or (),
        origin={key: str(known[key]) for key in ORIGIN if isinstance(known.get(key), str) and _is_line(known[key])},
        **measured,
    )


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON")


def _optional(key: str, known: Mapping[str, Any], check: Callable[[Any], Any]) -> Any:
    if key not in known:
        return None
    try:
        return check(known[key])
    except ValueError as problem:
        raise BadMetadata(f"{key}: {problem}") from None


def _is_line(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_NAME and is_plain(value)


def _line(value: Any) -> str:
    if not _is_line(value):
        raise ValueError(f"must be 1 to {MOST_NAME} characters on one line")
    return str(value)


def _lines(value: Any, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most or not all(_is_line(each) for each in value):
        raise ValueError(f"must be a list of at most {most} texts of 1 to {MOST_NAME} characters on one line")
    return tuple(value)


def _description(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_DESCRIPTION or re.search(r"[\0\ud800-\udfff]", value):
        raise ValueError(f"must be a text of at most {MOST_DESCRIPTION} characters")
    return value


def _measured(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadMetadata("training_metrics: must be an object")
    numbers = {name: given[name] for name in METRICS if given.get(name) is not None}
    for name, value in numbers.items():
        if not is_number(value):
            raise BadMetadata(f"training_metrics.{name}: must be a number")
    try:
        series = None if given.get("training_history") is None else checked(given["training_history"])
    except ValueError as problem:
        raise BadMetadata(f"training_metrics.training_history: {problem}") from None
    return {"metrics": numbers, "history": series, "job_config": _config(given.get("job_config"))}


def _config(given: Any) -> dict[str, Any] | None:
    if not isinstance(given, Mapping):
        return None
    kept = {key: given[key] for key in JOB_CONFIG if _is_line(given.get(key)) or is_number(given.get(key))}
    return {key: kept.get(key) for key in JOB_CONFIG} if kept else None
