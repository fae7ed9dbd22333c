"""Training sets of the YOLO train server: made of what a client names, for one model, in a place of their own.

`<data>/train_server/<place>/`: `train/`, `val/` or (one source, split here) `set/` as the preparing child leaves them,
and `data.yaml`. A place without a row in the database is nobody's and goes at the next start.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.models.accounts import Actor
from api.models.yolo import DEFAULT_VAL
from api.services.executors.short import Ended
from api.utils.disks import sync_file_system
from api.utils.errors import Forbidden, Insufficient, Invalid, Unavailable
from api.utils.paths import PathPolicy

log = logging.getLogger(__name__)
CHILD = "api.children.yolo_prepare"
UNUSABLE = 3  # the child's exit code for a dataset that cannot be prepared
AT_A_TIME = 2  # conversions; each holds the request that asked for it
SEED = 0
TOLD = 3  # files that a warning names


class Runner(Protocol):
    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended: ...

    def close(self) -> None: ...


class Datasets(Protocol):
    """Datasets of this server, by id or name."""

    def find(self, actor: Actor, name: str) -> Path | None: ...

    def find_named(self, actor: Actor, name: str) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A directory; `annotations`: the one file in it that says what its images show."""

    root: Path
    annotations: str | None = None


@dataclass(frozen=True, slots=True)
class TrainSet:
    place: Path
    data: Path
    warnings: tuple[str, ...]


class TrainSets:
    def __init__(
        self, data_dir: Path, runner: Runner, datasets: Datasets, roots: PathPolicy, *, seconds: float, most_files: int
    ) -> None:
        self.root = data_dir / "train_server"
        self._own = Path(os.path.realpath(data_dir / "datasets"))
        self._runner = runner
        self._datasets = datasets
        self._roots = roots
        self._seconds = seconds
        self._most_files = most_files
        self._turns = threading.BoundedSemaphore(AT_A_TIME)

    def sweep(self, known: set[str]) -> None:
        """At the start: places that no row knows."""
        self.root.mkdir(exist_ok=True, mode=0o700)
        for place in self.root.iterdir():
            if place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def close(self) -> None:
        self._runner.close()

    def remove(self, place: str) -> None:
        shutil.rmtree(self.root / place, ignore_errors=True)

    @contextmanager
    def made(self, actor: Actor, train: str, val: str | None, classes: list[str]) -> Iterator[TrainSet]:
        """A set on the disk, gone again where the caller fails. `val` None: a fifth of the training set, drawn by a
        seed. Raises Invalid naming the field, Forbidden, Unavailable, Insufficient."""
        sources = {"train_ucd": self._source(actor, "train_ucd", train)}
        if val is not None:
            sources["val_ucd"] = self._source(actor, "val_ucd", val)
        if not self._turns.acquire(blocking=False):
            raise Unavailable(f"{AT_A_TIME} datasets are being read already; try again", retry_after=10)
        place = self.root / secrets.token_hex(8)
        try:
            try:
                place.mkdir(parents=True, mode=0o700)
                made = self._make(place, sources, classes)
            except OSError as problem:
                raise Insufficient(f"the training set cannot be written: {problem.strerror}") from problem
            finally:
                self._turns.release()
            yield made
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _source(self, actor: Actor, field: str, named: str) -> Source:
        if not named.startswith("/"):
            known = self._datasets.find(actor, named) or self._datasets.find_named(actor, named)
            if known is None:
                raise Invalid(field, "there is no such dataset here; give its id or name, or an absolute path")
            return Source(known)
        path = self._own_dataset(actor, field, self._roots.resolve(field, named))
        if path.is_dir():
            return Source(path)
        if not path.is_file() or path.suffix.lower() != ".json":
            raise Invalid(field, f"{named} is neither a directory nor a JSON file (a UCD or COCO's)")
        above = path.parent.parent
        root = above if self._holds(above) and path.parent != self._own else path.parent
        return Source(root, str(path.relative_to(root)))

    def _own_dataset(self, actor: Actor, field: str, path: Path) -> Path:
        """The path of a dataset of this server is no way around whose it is, and means what its id means."""
        if not path.is_relative_to(self._own):
            return path
        parts = path.relative_to(self._own).parts
        known = self._datasets.find(actor, parts[0]) if parts else None
        if known is None:
            raise Forbidden(f"{field}: {path} is no dataset of this server; name one by its id")
        return known if len(parts) == 1 else path

    def _holds(self, directory: Path) -> bool:
        """Whether images may be looked for in a directory."""
        try:
            return self._roots.resolve("path", str(directory)) == directory
        except Forbidden:
            return False

    def _make(self, place: Path, sources: Mapping[str, Source], classes: list[str]) -> TrainSet:
        if len(sources) == 1:
            made = {"set": self._convert(place / "set", "train_ucd", sources["train_ucd"], classes, None)}
            if not made["set"]["val_count"] or not made["set"]["train_count"]:
                raise Invalid("val_ucd", "a training set of one image cannot be split: name a validation set")
            parts = {"train": "set", "val": "set"}
        else:
            made = {
                part: self._convert(place / part, f"{part}_ucd", sources[f"{part}_ucd"], classes, part)
                for part in ("train", "val")
            }
            parts = {"train": "train", "val": "val"}
        data = {
            "path": str(place),
            **{part: [f"{folder}/images/{part}"] for part, folder in parts.items()},
            "names": classes,
        }
        path = place / "data.yaml"
        path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")  # JSON is YAML
        sync_file_system(place)
        warnings = [text for name, summary in made.items() for text in _warnings(_FIELDS[name], summary)]
        return TrainSet(place, path, (*warnings, *_leaks(place, parts)))

    def _convert(
        self, target: Path, field: str, source: Source, classes: list[str], part: str | None
    ) -> dict[str, Any]:
        target.mkdir()
        task = {
            "parent": os.getpid(),
            "source": str(source.root),
            "target": str(target),
            "final": str(target),
            "classes": classes,
            "val_part": DEFAULT_VAL,
            "seed": SEED,
            "most_files": self._most_files,
            "annotations": source.annotations,
            "part": part,
        }
        ended = self._runner.run(CHILD, json.dumps(task).encode(), cwd=target, seconds=self._seconds)
        if ended.timed_out:
            raise Invalid(field, f"could not be read within {self._seconds:.0f} s")
        if ended.code == UNUSABLE:
            raise Invalid(field, f"cannot be trained on: {ended.error}")
        if ended.code:
            log.error("reading %s ended with %d: %s", source.root, ended.code, ended.error)
            raise Invalid(field, f"could not be read: its process ended with exit code {ended.code}")
        shutil.rmtree(target / "thumbs", ignore_errors=True)
        found: dict[str, Any] = json.loads((target / "summary.json").read_bytes())
        return found


_FIELDS = {"set": "train_ucd", "train": "train_ucd", "val": "val_ucd"}


def _warnings(field: str, summary: Mapping[str, Any]) -> Iterator[str]:
    left_out = sum(summary["issue_counts"].values())
    if left_out:
        told = "; ".join(f"{issue['file']} {issue['problem']}" for issue in summary["issues"][:TOLD])
        yield f"{field}: {left_out} files were left out: {told}" + ("; ..." if left_out > TOLD else "")
    for what, count in summary["dropped"].items():
        yield f"{field}: left out: {count} {what}"


def _leaks(place: Path, parts: Mapping[str, str]) -> Iterator[str]:
    """By content, whatever the files are called."""
    shown: dict[str, set[str]] = {"train": set(), "val": set()}
    for folder in sorted(set(parts.values())):
        with open(place / folder / "manifest.jsonl", encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                if line["split"] in shown:
                    shown[line["split"]].add(line["sha256"])
    shared = len(shown["train"] & shown["val"])
    if shared:
        yield f"val_ucd: {shared} of {len(shown['val'])} validation images are training images too: the metrics flatter"
