"""What a prepared dataset looks like on disk: images/, labels/, thumbs/, data.yaml and a manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from api.children.yolo_prepare.layouts import SPLITS
from api.children.yolo_prepare.sources import Source
from api.utils.downloads import open_beneath
from api.utils.yolo_labels import Label, data_yaml

LONGEST_STEM = 180  # bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """An image that will be trained on. `labels` None: nobody has said what is on it."""

    source: str
    split: str
    size: tuple[int, int]
    digest: str
    labels: tuple[Label, ...] | None


class Namer:
    """A name for each image, one to a stem in its split, so that no two share a label file."""

    def __init__(self) -> None:
        self._taken: set[tuple[str, str]] = set()

    def name(self, split: str, source: str) -> str:
        path = PurePosixPath(source)
        stem = path.stem.encode()[:LONGEST_STEM].decode("utf-8", "ignore")
        chosen, number = stem, 1
        while (split, chosen.casefold()) in self._taken:
            number += 1
            chosen = f"{stem}_{number}"
        self._taken.add((split, chosen.casefold()))
        return chosen + path.suffix.lower()


class Draft:
    def __init__(self, source: Source, target: Path) -> None:
        self._source = source
        self._target = target
        self._namer = Namer()
        for split in SPLITS[:2]:
            self._folders(split)

    def _folders(self, split: str) -> None:
        for kind in ("images", "labels", "thumbs"):
            (self._target / kind / split).mkdir(parents=True, exist_ok=True)

    def add(self, image: Kept, thumbnail: Path) -> dict[str, Any]:
        """Its line of the manifest."""
        if image.split == "test":
            self._folders("test")
        name = self._namer.name(image.split, image.source)
        stem = PurePosixPath(name).stem
        self._link(image.source, self._target / "images" / image.split / name)
        thumbnail.rename(self._target / "thumbs" / image.split / f"{stem}.jpg")
        if image.labels is not None:
            text = "".join(label.line() + "\n" for label in image.labels)
            (self._target / "labels" / image.split / f"{stem}.txt").write_text(text, encoding="ascii")
        return {
            "image": f"images/{image.split}/{name}",
            "split": image.split,
            "width": image.size[0],
            "height": image.size[1],
            "sha256": image.digest,
            "boxes": None if image.labels is None else len(image.labels),
            "source": image.source,
        }

    def _link(self, name: str, target: Path) -> None:
        """The very file that was opened, whatever lies at its name by now; a copy where it cannot be linked."""
        with open_beneath(self._source.root, name) as file:
            here = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.link(f"/proc/self/fd/{file.fileno()}", target, src_dir_fd=here, follow_symlinks=True)
            except OSError:
                with open(target, "xb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            finally:
                os.close(here)

    def finish(self, manifest: Sequence[Mapping[str, Any]], classes: Sequence[str], final: str) -> None:
        with open(self._target / "manifest.jsonl", "w", encoding="utf-8") as file:
            for line in manifest:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        has_test = any(line["split"] == "test" for line in manifest)
        (self._target / "data.yaml").write_text(data_yaml(final, classes, has_test), encoding="utf-8")
        (self._target / "portable.yaml").write_text(data_yaml(".", classes, has_test), encoding="utf-8")
