"""What an attempt is given, and what it left in its output directory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.models.job import Checkpoint
from api.models.workspace import Workspace
from api.utils.downloads import open_beneath

PRIVATE = 0o600
OWN = ".trainyard"
STATE = "last.pt"  # in the output directory itself, while there is something to resume
BEST = "best.pt"
_WEIGHTS = re.compile(r"best\.pt|last\.pt|epoch(\d{1,9})\.pt")
_EXPORTED = re.compile(r"[\w.+-]{1,200}\.(?:onnx|torchscript|engine|tflite|mnn|zip)")


def child_dir(workspace: Workspace) -> Path:
    """Beside the outputs, so that they go with them."""
    return workspace.output_dir / OWN


def settings_file(workspace: Workspace) -> Path:
    return child_dir(workspace) / f"attempt{workspace.attempt}.json"


def stop_file(workspace: Workspace) -> Path:
    """Of the attempt alone, so that none is found by the next one."""
    return child_dir(workspace) / f"attempt{workspace.attempt}.stop"


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Whole or not at all, also through a power cut."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(settings, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def settings_before(workspace: Workspace) -> dict[str, Any]:
    """What the attempt before was given that worked in the same directory; empty where there was none."""
    for number in range(workspace.attempt - 1, 0, -1):
        found = read_settings(workspace.output_dir, number)
        if found:
            return found
    return {}


def read_settings(output: Path, attempt: int) -> dict[str, Any]:
    """Empty where it was given none, or they are gone."""
    try:
        with open_beneath(output, f"{OWN}/attempt{attempt}.json") as file:
            found: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return found


def ask_to_stop(workspace: Workspace) -> bool:
    try:
        descriptor = os.open(stop_file(workspace), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    except OSError:
        return False
    os.close(descriptor)
    return True


def checkpoints(workspace: Workspace) -> list[Checkpoint]:
    """Oldest first. The child renames whole files into place, so that what has its name is complete."""
    output = workspace.output_dir
    found = [checkpoint for path in _entries(output / "weights") if (checkpoint := _weights(path))]
    found += [made for path in _entries(output) if _EXPORTED.fullmatch(path.name) and (made := _of(path, "weights"))]
    state = _of(output / STATE, "state")
    found.sort(key=lambda each: (each.timestamp, each.name))
    return [*found, state] if state is not None else found


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _weights(path: Path) -> Checkpoint | None:
    """`epoch3.pt` counts from 0, as ultralytics names it."""
    name = _WEIGHTS.fullmatch(path.name)
    return _of(path, "weights", int(name[1]) + 1 if name[1] else None) if name else None


def _of(path: Path, kind: str, epoch: int | None = None) -> Checkpoint | None:
    try:
        facts = path.lstat()
    except OSError:
        return None
    if path.is_symlink() or not path.is_file():
        return None
    return Checkpoint(path.name, kind, str(path), epoch, None, facts.st_mtime, facts.st_size)


def best_weights(workspace: Workspace) -> Path:
    return workspace.output_dir / "weights" / BEST


def find_state(workspace: Workspace, name: str) -> Path | None:
    path = workspace.output_dir / STATE
    return path if name == STATE and path.is_file() and not path.is_symlink() else None
