"""What this run is to do: the file that the service wrote, and the key that it did not write anywhere."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

LONGEST_KEY = 4096  # bytes; what a pipe holds for sure


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source file may cost. Seconds, bytes, pixels, frames."""

    silent_seconds: float = 60.0  # without a frame: it hangs
    file_seconds: float = 4 * 3600.0
    start_seconds: float = 60.0  # until the converting process is ready
    pixels: int = 100_000_000  # of an image
    frame_pixels: int = 40_000_000  # of a video; 8K has 35 million
    side: int = 16_384
    video_seconds: float = 6 * 3600.0
    frames: int = 1_000_000  # written for one source file
    files: int = 100_000  # that a directory is read for
    memory: int = 8 << 30  # address space of the converting process
    output: int = 64 << 30  # of one file


@dataclass(frozen=True, slots=True)
class Plan:
    """`part` is where the dataset is made, `target` what it is called once it is whole."""

    job: str
    dataset: str
    source: str
    part: str
    target: str
    fps: int = 16
    resolution: int | tuple[int, int] | None = None  # the shorter side, or width and height exactly
    clip_seconds: float | None = None
    prefix: str = ""
    captioner: str = "none"
    caption_method: str = "extra_mixed"
    optimize: bool = False
    openai_url: str = ""
    openai_model: str = ""
    openai_timeout: float = 60.0
    key_pipe: str | None = None
    key_lost: bool = False  # the request had a key, and the service that knew it is gone
    florence2_dir: str = ""
    detector_weights: str = ""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def read(cls, path: str) -> Self:
        data: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
        data["limits"] = Limits(**data.get("limits", {}))
        if isinstance(data.get("resolution"), list):
            data["resolution"] = tuple(data["resolution"])
        return cls(**data)


def read_key(pipe: str | None) -> str | None:
    """The key that the service left in a named pipe, in memory: gone with the service, so there may be none."""
    if pipe is None:
        return None
    try:
        descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        data = os.read(descriptor, LONGEST_KEY)
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)
        os.unlink(pipe)
    return data.decode("ascii").strip() or None
