"""A preprocessed dataset: a directory of numbered items with captions, ready to be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.models.job import JobStatus


@dataclass(frozen=True, slots=True)
class Prepared:
    """`making`: the status of the job that makes it; None once it is whole."""

    name: str
    owner_id: int
    team_id: int | None
    job_id: str  # of the preprocessing that made or makes it
    created_at: float
    updated_at: float
    video_count: int = 0
    image_count: int = 0
    caption_count: int = 0
    file_count: int = 0
    total_seconds: float | None = None
    making: JobStatus | None = None

    @property
    def is_ready(self) -> bool:
        return self.making is None


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a dataset, as the manifest has it. `frames` of an image is 1, its `fps` and `seconds` are None."""

    number: int
    file: str
    kind: str  # "video" | "image"
    width: int
    height: int
    frames: int
    fps: int | None
    seconds: float | None
    source: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Item:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})
