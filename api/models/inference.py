"""Inference on the YOLO platform: how to look, what was seen, and the sessions that keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

DEFAULT_CONF, DEFAULT_IOU, DEFAULT_IMGSZ, DEFAULT_MAX_DET = 0.25, 0.7, 640, 300
STRIDE = 32  # of YOLO: sizes are multiples of it


@dataclass(frozen=True, slots=True)
class LookOptions:
    """`imgsz` None: the size that the model was trained with, else 640. `classes` None: all."""

    conf: float = DEFAULT_CONF
    iou: float = DEFAULT_IOU
    imgsz: int | None = None
    max_det: int = DEFAULT_MAX_DET
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as a client sent it: its name there, plain, and its bytes."""

    name: str
    file: BinaryIO
    size: int


class Detection(NamedTuple):
    class_id: int
    class_name: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model found on one image. `picture`: it with the boxes drawn, as JPEG, where that was asked for."""

    width: int
    height: int
    detections: tuple[Detection, ...]
    picture: bytes = b""


class Problem(NamedTuple):
    """Why one file of several was left out."""

    filename: str
    problem: str


IMAGE, BATCH, EXPORT, VIDEO = "image", "batch", "export", "video"  # kinds of sessions


@dataclass(frozen=True, slots=True)
class InferSession:
    """What one request left: files below its directory, until its time is over. `summary`: counts."""

    seq: int
    id: str
    owner_id: int
    team_id: int | None
    kind: str
    model_ids: tuple[str, ...]
    summary: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
