"""What a model sees on the images of a dataset that have no label file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from api.children.common.report import event
from api.children.common.stopping import Stop
from api.children.common.whole import settle
from api.children.ultralytics_train.models import loaded

RESULTS = "proposals.jsonl"
REPORT_EVERY = 1.0  # seconds


def prelabel(settings: dict[str, Any], stop: Stop) -> None:
    """The first line of the results names the model's classes, each other line an image with its boxes in pixels."""
    manifest = Path(settings["manifest"])
    total = sum(1 for _ in _unlabelled(manifest))
    model = loaded(Path(settings["model"]["value"]))
    target = Path(settings["output"]) / RESULTS
    draft = target.with_name(f".{RESULTS}.part")
    event("prelabelled", done=0, total=total, boxes=0)
    with open(draft, "w", encoding="utf-8") as file:
        file.write(json.dumps({"names": [model.names[number] for number in range(len(model.names))]}) + "\n")
        _predict(model, manifest, total, settings, stop, file)
    settle(draft, target)


def _predict(model: Any, manifest: Path, total: int, settings: dict[str, Any], stop: Stop, results: TextIO) -> None:
    arguments = {**settings["arguments"], "device": settings["device"], "verbose": False, "save": False}
    waiting, done, boxes, told = _unlabelled(manifest), 0, 0, time.monotonic()
    while batch := list(islice(waiting, settings["arguments"]["batch"])):
        stop.check()
        found = model.predict([str(manifest.parent / line["image"]) for line in batch], **arguments)
        for line, result in zip(batch, found, strict=True):
            rows = _rows(line, result)
            results.write(json.dumps({"image": line["image"], "boxes": rows}) + "\n")
            boxes += len(rows)
        done += len(batch)
        if done >= total or time.monotonic() - told >= REPORT_EVERY:
            event("prelabelled", done=done, total=max(done, total), boxes=boxes)
            told = time.monotonic()


def _unlabelled(manifest: Path) -> Iterator[dict[str, Any]]:
    with open(manifest, encoding="utf-8") as file:
        for text in file:
            line: dict[str, Any] = json.loads(text)
            image = Path(line["image"])
            if not (manifest.parent / "labels" / line["split"] / f"{image.stem}.txt").exists():
                yield line


def _rows(line: dict[str, Any], result: Any) -> list[list[float]]:
    """`[class, conf, x1, y1, x2, y2]`, best first."""
    if tuple(result.orig_shape) != (line["height"], line["width"]):
        event("warning", message=f"{line['image']} was decoded in another size than when it was prepared; left out")
        return []
    found = result.boxes
    rows = zip(found.cls.tolist(), found.conf.tolist(), found.xyxy.tolist(), strict=True)
    return [[int(cls), round(conf, 4), *(round(value, 2) for value in box)] for cls, conf, box in rows]
