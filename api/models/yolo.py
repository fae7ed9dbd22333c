"""Datasets of the YOLO platform: what is kept of one, and of each way in which it was prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEFAULT_VAL = 0.2
FIRST_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a caller asked for; equal ones make one version. `classes` None: the dataset's own."""

    classes: tuple[str, ...] | None = None
    val_part: float = DEFAULT_VAL
    seed: int = 0

    @property
    def key(self) -> str:
        classes = None if self.classes is None else list(self.classes)
        return json.dumps([classes, round(self.val_part, 6), self.seed], ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Version:
    """`summary` is what the child wrote (api/children/yolo_prepare/prepare.py)."""

    number: int
    key: str
    summary: Mapping[str, Any]
    created_at: float

    @property
    def name(self) -> str:
        return f"v{self.number}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """`path`: the directory that it was registered from; None: it was uploaded. Counts are of files as they came."""

    seq: int
    id: str
    owner_id: int
    team_id: int | None
    filename: str
    size: int  # bytes of the upload; of a registered directory, of all its files
    path: str | None
    image_count: int
    label_count: int
    description: str
    tags: tuple[str, ...]
    created_at: float
    updated_at: float
    versions: Sequence[Version] = field(default=())

    @property
    def status(self) -> str:
        return "prepared" if self.versions else "uploaded"

    @property
    def newest(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    def version(self, name: str) -> Version | None:
        return next((each for each in self.versions if each.name == name), None)
