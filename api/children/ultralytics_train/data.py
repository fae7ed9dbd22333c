"""The data.yaml that ultralytics reads: always written here, from the few keys of the given one that are data.

ultralytics runs what stands under `download:`, takes a relative path for one of its own data directory, and an address
for something to fetch; none of that is passed on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from api.children.common.report import Problem
from api.children.common.whole import settle
from api.children.ultralytics_train.whole import draft_of

SIZE_MAX = 4 * 1024**2
CLASSES_MAX = 100_000
NAME_MAX = 200
SPLITS = ("train", "val", "test")


def own_yaml(source: Path, target: Path, roots: list[str]) -> dict[str, Any]:
    """Writes `target`; returns what it says. Images may lie under `roots` only. Raises Problem."""
    import yaml

    given = _read(source)
    base = Path(str(given.get("path") or source.parent))
    base = base if base.is_absolute() else source.parent / base
    found: dict[str, Any] = {"path": str(base)}
    for split in SPLITS:
        if given.get(split) is not None:
            found[split] = [str(each) for each in _places(base, split, given[split], roots)]
    for split in ("train", "val"):
        if split not in found:
            raise Problem("dataset_empty", f"the dataset has no {split} images ({source.name} names none)")
    found["names"] = _names(given)
    draft = draft_of(target)
    draft.write_text(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), encoding="utf-8")
    settle(draft, target)
    return found


def _read(source: Path) -> dict[str, Any]:
    import yaml

    try:
        if source.stat().st_size > SIZE_MAX:
            raise Problem("bad_config", f"{source} is larger than {SIZE_MAX} bytes")
        given = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as problem:
        raise Problem("missing_file", f"the dataset's {source} cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        raise Problem("bad_config", f"the dataset's {source} is no YAML: {problem}") from problem
    if not isinstance(given, dict):
        raise Problem("bad_config", f"the dataset's {source} is no table")
    return given


def _places(base: Path, split: str, value: Any, roots: list[str]) -> list[Path]:
    entries = value if isinstance(value, list) else [value]
    found = []
    for entry in entries:
        if not isinstance(entry, str) or "://" in entry or "\0" in entry:
            raise Problem("bad_config", f"{split}: {str(entry)[:200]!r} is no path")
        place = Path(os.path.realpath(base / entry))
        if not any(place.is_relative_to(os.path.realpath(root)) for root in roots):
            raise Problem("bad_config", f"{split}: {place} lies outside the directories for datasets")
        if not place.exists():
            raise Problem("missing_file", f"{split}: {place} does not exist")
        found.append(place)
    return found


def _names(given: dict[str, Any]) -> dict[int, str]:
    """From a list or a table from numbers; without names, from the number of classes."""
    names = given.get("names")
    if names is None and isinstance(given.get("nc"), int) and 0 < given["nc"] <= CLASSES_MAX:
        names = [f"class_{number}" for number in range(given["nc"])]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 0 < len(names) <= CLASSES_MAX:
        raise Problem("bad_config", "the dataset's classes (names) are missing")
    try:
        numbered = {int(number): str(name)[:NAME_MAX] for number, name in names.items()}
    except (TypeError, ValueError) as problem:
        raise Problem(
            "bad_config", "the dataset's classes (names) must be a list, or a table from numbers"
        ) from problem
    if sorted(numbered) != list(range(len(names))):
        raise Problem("bad_config", "the numbers of the dataset's classes (names) must go from 0 without a gap")
    return dict(sorted(numbered.items()))
