"""Registered models of the YOLO platform: weights that a training left, or that somebody uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TRAINED, UPLOADED = "trained", "uploaded"


@dataclass(frozen=True, slots=True)
class YoloModel:
    """`job_id`, `dataset_id`, `dataset_version` and `base_model` are its lineage, as far as it has one; what they
    name may be gone by now. `info`: facts that do not change (imgsz, epochs, model_info{task, model_type, ...},
    job_config). `metrics`: mAP50, mAP50-95, precision, recall of its best epoch; empty where nobody measured them."""

    seq: int
    id: str
    owner_id: int
    team_id: int | None
    name: str
    description: str
    tags: tuple[str, ...]
    source: str  # TRAINED or UPLOADED
    file_size: int  # bytes of the weights
    classes: tuple[str, ...]
    task: str  # detect
    job_id: str | None
    dataset_id: str | None
    dataset_version: str | None
    base_model: str | None  # the name or model id that the training began from
    info: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    history: Mapping[str, Any] | None = None  # the series of its training, by epoch; None: of an upload without any
    created_at: float = 0.0
    updated_at: float = 0.0
