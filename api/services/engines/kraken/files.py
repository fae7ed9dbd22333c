"""What an attempt is given, and what it left in its output directory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from api.models.job import Checkpoint
from api.models.ocr import Page
from api.models.workspace import Workspace

PRIVATE = 0o600
_STATE = re.compile(r"epoch(\d{1,9})_step(\d{1,12})\.ckpt")
_MODEL = re.compile(r"best_-?[\d.]{1,20}\.safetensors")


def settings_file(workspace: Workspace) -> Path:
    return workspace.config_dir / f"{workspace.job_id}_attempt{workspace.attempt}.json"


def stop_file(workspace: Workspace) -> Path:
    """Of the attempt alone, so that none is found by the next one."""
    return workspace.config_dir / f"{workspace.job_id}_attempt{workspace.attempt}.stop"


def data_file(workspace: Workspace) -> Path:
    """Of all attempts of a series: a resume goes on with the lines, and the split, that it began with."""
    return workspace.output_dir / "training_data.jsonl"


def keep_prefix(models: Path, model_id: int, job_id: str) -> Path:
    """What the names of the files begin with that a job keeps for its OCR model; see `kept_file`."""
    return models / str(model_id) / job_id


def kept_file(models: Path, model_id: int, job_id: str, name: str) -> Path:
    prefix = keep_prefix(models, model_id, job_id)
    return prefix.with_name(f"{prefix.name}_{name}")


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    _write(path, [json.dumps(settings, indent=1)])


def write_data(path: Path, pages: Iterable[Page], data_dir: Path) -> None:
    _write(path, (_entry(page, data_dir) for page in pages))


def _entry(page: Page, data_dir: Path) -> str:
    image = page.part.image
    lines = [{"baseline": line.baseline, "boundary": line.boundary, "text": line.text} for line in page.lines]
    found = {"name": page.part.name, "image": None if image is None else str(data_dir / image), "lines": lines}
    return json.dumps(found, ensure_ascii=False)


def _write(path: Path, rows: Iterable[str]) -> None:
    """Whole or not at all, also through a power cut; a row at a time."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{row}\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def ask_to_stop(workspace: Workspace) -> bool:
    try:
        descriptor = os.open(stop_file(workspace), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    except OSError:
        return False
    os.close(descriptor)
    return True


def checkpoints(workspace: Workspace) -> list[Checkpoint]:
    """Oldest first. The child renames whole files into place, so that what has its name is complete."""
    found: list[Checkpoint] = []
    try:
        with os.scandir(workspace.output_dir) as entries:
            for entry in entries:
                state = _STATE.fullmatch(entry.name)
                if (state or _MODEL.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                    found.append(_checkpoint(entry, state))
    except OSError:
        return []
    return sorted(found, key=lambda each: (each.step or 0, each.timestamp, each.name))


def _checkpoint(entry: os.DirEntry[str], state: re.Match[str] | None) -> Checkpoint:
    facts = entry.stat(follow_symlinks=False)
    kind, epoch, step = ("state", int(state[1]), int(state[2])) if state else ("weights", None, None)
    return Checkpoint(entry.name, kind, entry.path, epoch, step, facts.st_mtime, facts.st_size)


def find_state(workspace: Workspace, name: str) -> Path | None:
    path = workspace.output_dir / name
    return path if _STATE.fullmatch(name) and path.is_file() else None
