"""The run directories that train.py makes inside output_dir (facts/diffusion_pipe.md 1.6, 1.7), and what is in them.

A run directory is named by the UTC second and holds a copy of the config under the config's own name, so that the
one of this job can be told from another's in an output directory that both were given. Which belongs to an attempt
is settled by a note written before it starts: the run directory it resumes, or those that were there already.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import toml

from api.models.job import Checkpoint
from api.models.workspace import Workspace
from api.services.engines.diffusion_pipe.documents import write
from api.services.engines.diffusion_pipe.toml_text import dumps

_RUN_NAME = re.compile(r"\d{8}_\d{2}-\d{2}-\d{2}\Z")
_STATE_NAME = re.compile(r"global_step(\d{1,15})\Z")
_WEIGHTS_NAME = re.compile(r"(epoch|step)(\d{1,15})\Z")
_EVENTS_PREFIX = "events.out.tfevents."
_SIGNALS = ("save", "save_quit")


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before an attempt started."""

    resumed: str | None = None
    runs: tuple[str, ...] = ()
    events: tuple[str, ...] = ()  # event files of the resumed run directory


def run_dirs(workspace: Workspace) -> list[Path]:
    """Those of this job, oldest first."""
    try:
        with os.scandir(workspace.output_dir) as entries:
            names = [e.name for e in entries if _RUN_NAME.match(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    found = [workspace.output_dir / name for name in sorted(names)]
    return [path for path in found if (path / workspace.config.name).exists()]


def _note(workspace: Workspace) -> Path:
    return workspace.config_dir / f"{workspace.job_id}_attempt{workspace.attempt}.toml"


def note_start(workspace: Workspace, resumed: Path | None) -> None:
    events = sorted(path.name for path in _event_files(resumed)) if resumed is not None else []
    table: dict[str, object] = {"runs": [path.name for path in run_dirs(workspace)], "events": events}
    if resumed is not None:
        table["resumed"] = resumed.name
    write(_note(workspace), dumps(table, "note"))


def _before(workspace: Workspace) -> Before:
    try:
        table = toml.loads(_note(workspace).read_text("utf-8"))
        return Before(table.get("resumed"), tuple(table["runs"]), tuple(table["events"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return Before()


def current_run(workspace: Workspace) -> Path | None:
    """The run directory of this attempt; None until train.py has made it."""
    return _current(workspace, _before(workspace))


def _current(workspace: Workspace, before: Before) -> Path | None:
    if before.resumed is not None:
        path = workspace.output_dir / before.resumed
        return path if path.is_dir() else None
    new = [path for path in run_dirs(workspace) if path.name not in before.runs]
    return new[-1] if new else None


def event_files(workspace: Workspace) -> list[Path]:
    """TensorBoard files of this attempt; a resumed run directory also holds those of earlier ones."""
    before = _before(workspace)
    run = _current(workspace, before)
    return [path for path in _event_files(run) if path.name not in before.events] if run is not None else []


def _event_files(run: Path) -> list[Path]:
    try:
        with os.scandir(run) as entries:
            names = [e.name for e in entries if e.name.startswith(_EVENTS_PREFIX) and e.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return [run / name for name in sorted(names)]


def ask_to_quit(workspace: Workspace) -> bool:
    """train.py polls once a step for `save_quit`: it saves a checkpoint, removes the file and ends with code 0."""
    run = current_run(workspace)
    if run is None:
        return False
    try:
        descriptor = os.open(run / "save_quit", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        return False
    os.close(descriptor)
    return True


def clear_signals(run: Path) -> None:
    """A file left by an attempt that was killed before it looked would end the next one at its first step."""
    for name in _SIGNALS:
        (run / name).unlink(missing_ok=True)


def find_state(workspace: Workspace, name: str) -> Path | None:
    """The newest run directory with this complete checkpoint."""
    for run in reversed(run_dirs(workspace)):
        if any(found.name == name for found in _states(run)):
            return run
    return None


def point_latest(run: Path, name: str) -> None:
    """DeepSpeed loads what `latest` names: rewritten to go back to a checkpoint that is not the newest."""
    if _latest(run) != name:
        write(run / "latest", name, 0o644)


def _latest(run: Path) -> str | None:
    try:
        with open(run / "latest", encoding="utf-8", errors="replace") as file:
            return file.read(100).strip()
    except OSError:
        return None


def checkpoints(workspace: Workspace) -> list[Checkpoint]:
    """What is complete on disk, oldest first. Symlinks are not followed."""
    found = [c for run in run_dirs(workspace) for c in (*_states(run), *_weights(run))]
    return sorted(found, key=lambda c: (c.timestamp, c.step or 0, c.epoch or 0, c.name))


@dataclass(frozen=True, slots=True)
class _Folder:
    sizes: dict[str, int]
    folders: frozenset[str]
    newest: int  # ns; of the files, or of the folder if it has none


def _look(path: Path) -> _Folder | None:
    sizes: dict[str, int] = {}
    folders: set[str] = set()
    newest = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    sizes[entry.name] = status.st_size
                    newest = max(newest, status.st_mtime_ns)
    except OSError:
        return None
    return _Folder(sizes, frozenset(folders), newest)


def _subfolders(run: Path, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Path]]:
    try:
        with os.scandir(run) as entries:
            names = [e.name for e in entries if pattern.match(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in names:
        match = pattern.match(name)
        if match is not None:
            yield match, run / name


def _states(run: Path) -> Iterator[Checkpoint]:
    """`latest` is written when a checkpoint is whole: what it names, and what is older than it, is complete."""
    latest = _STATE_NAME.match(_latest(run) or "")
    if latest is None:
        return
    try:
        written = (run / "latest").stat().st_mtime_ns
    except OSError:
        return
    for match, path in _subfolders(run, _STATE_NAME):
        folder = _look(path)
        if folder is None:
            continue
        ranks = [size for name, size in folder.sizes.items() if name.startswith("mp_rank_")]
        whole = bool(ranks) and all(ranks)
        if whole and (int(match[1]) <= int(latest[1]) or folder.newest <= written):
            yield _checkpoint(path, "state", folder, step=int(match[1]))


def _weights(run: Path) -> Iterator[Checkpoint]:
    """A `tmp` folder stands in it for as long as it is being saved."""
    for match, path in _subfolders(run, _WEIGHTS_NAME):
        folder = _look(path)
        if folder is None or "tmp" in folder.folders:
            continue
        weights = [size for name, size in folder.sizes.items() if name.endswith(".safetensors")]
        if weights and all(weights):
            number = int(match[2])
            epoch, step = (number, None) if match[1] == "epoch" else (None, number)
            yield _checkpoint(path, "weights", folder, epoch=epoch, step=step)


def _checkpoint(
    path: Path, kind: str, folder: _Folder, *, epoch: int | None = None, step: int | None = None
) -> Checkpoint:
    size = sum(folder.sizes.values())
    return Checkpoint(path.name, kind, str(path), epoch, step, folder.newest / 1e9, size)
