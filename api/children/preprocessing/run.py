"""One run: every file of a directory, in the order of their names, into one dataset that appears when it is whole."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.children.preprocessing.captions import Captions
from api.children.preprocessing.converter import IMAGES, VIDEOS, Converter, Task
from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Plan
from api.children.preprocessing.problems import HOPELESS, Broken, Fatal
from api.children.preprocessing.report import Report, printable


class Run:
    def __init__(self, plan: Plan, report: Report, captions: Captions, converter: Converter) -> None:
        self._plan = plan
        self._report = report
        self._captions = captions
        self._converter = converter
        self._places = Places(Path(plan.part))
        self._items: list[dict[str, Any]] = []
        self._failed = 0

    def go(self) -> None:
        """Raises Fatal where no dataset comes of it."""
        try:
            self._go()
        except OSError as problem:
            if problem.errno in HOPELESS:
                raise Fatal(f"cannot write: {problem.strerror}") from None
            raise

    def _go(self) -> None:
        names = sources(self._plan.source, self._plan.limits.files)
        if not names:
            raise Fatal(f"{self._plan.source} holds no video or image")
        self._make_room()
        self._places.make()
        self._report.say(f"{len(names)} files in {self._plan.source}")
        for done, name in enumerate(names):
            self._report.event("file", current=printable(name)[:200], step="converting", done=done, failed=self._failed,
                               total=len(names))  # fmt: skip
            self._one(name, done + 1)
        if not self._items:
            raise Fatal(f"none of {len(names)} files could be processed; the log says why for each")
        self._report.event("file", current=None, step="finishing", done=len(names), failed=self._failed,
                           total=len(names))  # fmt: skip
        self._publish()

    def _make_room(self) -> None:
        """What an attempt of this job before this one has left goes; what is somebody else's stays."""
        target = Path(self._plan.target)
        if os.path.lexists(target):
            if _maker(target) != self._plan.job:
                raise Fatal(f"{target} exists already")
            shutil.rmtree(target)
        if self._places.root.exists():
            shutil.rmtree(self._places.root)

    def _one(self, name: str, step: int) -> None:
        began = time.monotonic()
        plan = self._plan
        first = len(self._items) + 1
        task = Task(plan.source, name, self._places, first, plan.fps, plan.resolution, plan.clip_seconds)
        try:
            converted = self._converter.convert(task)
        except Broken as problem:
            self._failed += 1
            self._report.error(name, str(problem))
            return
        for item in converted.items:
            caption = self._captions.of(item, self._places, Path(plan.source, name))
            self._places.caption(item["number"]).write_text(caption, encoding="utf-8")
            self._items.append({**item, "source": printable(name)})
        seconds = time.monotonic() - began
        what = f"{len(converted.items)} items" if len(converted.items) > 1 else converted.items[0]["file"]
        self._report.say(f"{name} -> {what} ({seconds:.2f} s)")
        self._report.event("converted", step=step, seconds=round(seconds, 4), peak_bytes=converted.peak_bytes)

    def _publish(self) -> None:
        """Whole and on the disk before it has its name."""
        manifest = {"version": 1, "job": self._plan.job, "dataset": self._plan.dataset, "fps": self._plan.fps,
                    "captioner": self._plan.captioner, "items": self._items}  # fmt: skip
        self._places.manifest.write_text(json.dumps(manifest), encoding="utf-8")
        _sync_tree(self._places.root)
        os.rename(self._places.root, self._plan.target)
        _sync(os.path.dirname(self._plan.target))
        videos = [item for item in self._items if item["kind"] == "video"]
        self._report.event(
            "summary",
            video_count=len(videos),
            image_count=len(self._items) - len(videos),
            caption_count=len(self._items),
            file_count=2 * len(self._items),
            total_seconds=round(sum(item["seconds"] for item in videos), 3),
        )
        self._report.say(f"DATASET COMPLETE: {len(self._items)} items in {self._plan.target}, {self._failed} failed")
        self._report.event("done")


def sources(directory: str, most: int) -> list[str]:
    """Names of the media files of a directory, sorted."""
    try:
        names = sorted(_media(directory))
    except OSError as problem:
        raise Fatal(f"{directory} cannot be read: {problem.strerror}") from None
    if len(names) > most:
        raise Fatal(f"{directory} holds {len(names)} files, more than {most}")
    return names


def _media(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if not entry.name.startswith(".") and suffix in VIDEOS | IMAGES and not entry.is_dir(follow_symlinks=False):
                yield entry.name


def _maker(dataset: Path) -> str | None:
    try:
        job = json.loads(Places(dataset).manifest.read_text("utf-8"))["job"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(job)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            _sync(os.path.join(folder, name))
        _sync(folder)


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
