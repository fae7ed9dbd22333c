"""The dataset config, the images it names, and the size buckets they fall into."""

from __future__ import annotations

import json
import math
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import toml
from PIL import Image

from console import bar, log, say
from model import SIZE_MULTIPLE

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".flv", ".wmv", ".m4v", ".webm"}
NOT_MEDIA = {".txt", ".npz", ".json", ".parquet", ".bak", ".db"}
MAX_RESOLUTIONS = 3
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)  # from PIL
Key = tuple[float, int, int]  # aspect ratio, width, height


@dataclass(frozen=True)
class Picture:
    path: Path
    captions: list[str]
    aspect: float


@dataclass
class Directory:
    """One `[[directory]]` of the dataset config, with the top level's settings beneath its own."""

    path: Path
    settings: dict[str, Any]
    buckets: dict[Key, list[Picture]] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.path / "cache" / "sdxl"

    @property
    def repeats(self) -> float:
        return float(self.settings.get("num_repeats", 1))


def load_directories(path: str, unchecked: bool) -> tuple[list[Directory], dict[str, Any]]:
    with open(path) as file:
        config = toml.load(file)
    top = {key: value for key, value in config.items() if key != "directory"}
    directories = []
    for entry in config["directory"]:
        settings = {**top, **entry}
        if not unchecked and len(settings.get("resolutions", [])) > MAX_RESOLUTIONS:
            say(
                "WARNING: You have set a lot of resolutions in the dataset config. Each image is trained "
                "once per resolution. If that is what you want, start again with --i_know_what_i_am_doing."
            )
            raise SystemExit(0)
        folder = Path(entry["path"])
        if not folder.is_dir():
            raise RuntimeError(f"Invalid path: {folder}")
        directories.append(Directory(folder, settings))
    return directories, config


def bucket_keys(settings: dict[str, Any], aspects: list[float]) -> list[Key]:
    """Every size that an image may be brought to."""
    if "size_buckets" in settings:
        return [(round(w / h, 3), int(w), int(h)) for w, h, *_ in settings["size_buckets"]]
    keys: list[Key] = []
    for resolution in settings["resolutions"]:
        for aspect in aspects:
            side = math.sqrt(resolution[0] * resolution[1]) if isinstance(resolution, list) else resolution
            ratio = resolution[0] / resolution[1] if isinstance(resolution, list) else aspect
            keys.append((round(ratio, 3), _fit(side * ratio**0.5), _fit(side / ratio**0.5)))
    return list(dict.fromkeys(keys))


def _fit(length: float) -> int:
    return max(SIZE_MULTIPLE, round(length / SIZE_MULTIPLE) * SIZE_MULTIPLE)


def allowed_aspects(settings: dict[str, Any]) -> list[float]:
    if not settings.get("enable_ar_bucket", False):
        return [1.0]
    if "ar_buckets" in settings:
        return [ar[0] / ar[1] if isinstance(ar, list) else float(ar) for ar in settings["ar_buckets"]]
    low, high, count = settings["min_ar"], settings["max_ar"], settings["num_ar_buckets"]
    return [float(ar) for ar in np.geomspace(low, high, count)]


def read_pictures(directory: Directory) -> list[Picture]:
    """Opens every file's header; what has no caption or cannot be read is skipped with a warning."""
    files = [f for f in sorted(directory.path.iterdir()) if f.is_file() and not f.name.startswith(".")]
    media = [f for f in bar(files) if f.suffix.lower() not in NOT_MEDIA]
    assert media, f"Directory {directory.path} had no images/videos!"
    say("Caching ungrouped metadata.")
    listed = directory.path / "captions.json"
    captions = json.loads(listed.read_text()) if listed.exists() else None
    pictures = (read_picture(f, directory.settings, captions) for f in bar(media, "Map (num_proc=1)", "examples"))
    return [picture for picture in pictures if picture is not None]


def read_picture(file: Path, settings: dict[str, Any], listed: dict[str, Any] | None) -> Picture | None:
    captions = _captions(file, settings, listed)
    if not captions:
        if settings.get("skip_empty_caption", True):
            log(f"Cound not find caption for {file}. Skipping image.", "dataset.py:756:fn", "WARNING")
            return None
        captions = [""]
    try:
        with open_picture(file) as image:
            return Picture(file, captions, image.width / image.height)
    except BROKEN as error:
        log(
            f"Media file {file} could not be opened. Skipping. The exception was: {error}",
            "dataset.py:802:fn",
            "WARNING",
        )
        return None


def open_picture(file: Path) -> Image.Image:
    """An image; of a video its first frame, since this trainer knows no time."""
    if file.suffix.lower() not in VIDEOS:
        return Image.open(file)
    import av  # only who has videos needs it

    with av.open(str(file)) as container:
        return next(container.decode(video=0)).to_image()


def _captions(file: Path, settings: dict[str, Any], listed: dict[str, Any] | None) -> list[str]:
    if listed is not None:
        found = listed.get(file.name, [])
        texts = [found] if isinstance(found, str) else list(found)
    else:
        beside = file.with_suffix(".txt")
        texts = [beside.read_text(encoding="utf-8").strip()] if beside.exists() else []
    prefix = str(settings.get("caption_prefix", ""))
    return [prefix + text for text in texts if text]


def group(directory: Directory, pictures: list[Picture]) -> None:
    """Each image goes to the nearest aspect ratio, once per resolution."""
    grouped: dict[Key, list[Picture]] = defaultdict(list)
    keys = bucket_keys(directory.settings, allowed_aspects(directory.settings))
    for picture in bar(pictures, "Grouping examples"):
        nearest = min((abs(math.log(picture.aspect / key[0])) for key in keys), default=0.0)
        for key in keys:
            if math.isclose(abs(math.log(picture.aspect / key[0])), nearest, abs_tol=1e-9):
                grouped[key].append(picture)
    directory.buckets = dict(grouped)


def encode(picture: Picture, width: int, height: int) -> np.ndarray:
    """The image, scaled to cover the bucket and cut to it: uint8 [3, height, width]."""
    with open_picture(picture.path) as opened:
        image = opened.convert("RGB")
    scale = max(width / image.width, height / image.height)
    covering = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(covering, Image.Resampling.LANCZOS)
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height))).transpose(2, 0, 1)
