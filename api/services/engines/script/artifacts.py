"""What a script has left in its output directory: checkpoints and event files. Symlinks are not followed."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from api.models.job import Checkpoint

DEPTH = 6
ENTRIES = 20_000  # looked at, so that an output of a million images costs no more
QUIET_SECONDS = 2.0  # a file whose format does not tell its end is complete when nobody has written to it for so long

_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".keras", ".h5")
_HF_FOLDER = re.compile(r"checkpoint-(\d{1,12})\Z")
_EPOCH = re.compile(r"(?i)(?<![a-z])ep(?:och)?[=_-]?(\d{1,9})")
_STEP = re.compile(r"(?i)(?<![a-z])(?:step|iter)[=_-]?(\d{1,12})")


def checkpoints(output: Path) -> list[Checkpoint]:
    """Complete ones, oldest first. None is a `state`: how a script goes on from one, only the script knows."""
    found: list[Checkpoint] = []
    for folder, entry in _entries(output, checkpoint_folders=True):
        name = os.path.relpath(os.path.join(folder, entry.name), output)
        if entry.is_dir(follow_symlinks=False):
            found += _hugging_face(Path(entry.path), name)
        elif entry.name.endswith(_SUFFIXES) and entry.is_file(follow_symlinks=False):
            found += _file(Path(entry.path), name)
    return sorted(found, key=lambda c: (c.timestamp, c.step or 0, c.epoch or 0, c.name))


def event_files(output: Path) -> list[Path]:
    """Of TensorBoard."""
    found = [
        Path(entry.path)
        for _, entry in _entries(output, checkpoint_folders=False)
        if "tfevents" in entry.name
        and not entry.name.endswith(".profile-empty")
        and entry.is_file(follow_symlinks=False)
    ]
    return sorted(found)


def _entries(output: Path, *, checkpoint_folders: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files, and folders of Hugging Face's checkpoints, which are not entered, if asked for."""
    waiting = [(str(output), 0)]
    seen = 0
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > ENTRIES:
                        return
                    if not entry.is_dir(follow_symlinks=False):
                        yield folder, entry
                    elif _HF_FOLDER.match(entry.name):
                        if checkpoint_folders:
                            yield folder, entry
                    elif depth < DEPTH:
                        waiting.append((entry.path, depth + 1))
        except OSError:  # removed while it was read: a script may rotate its outputs
            continue


def _file(path: Path, name: str) -> list[Checkpoint]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not whole(file, status.st_size, path.suffix, time.time() - status.st_mtime):
                return []
    except OSError:
        return []
    epoch, step = _EPOCH.search(path.name), _STEP.search(path.name)
    return [
        Checkpoint(
            name, "weights", str(path), int(epoch[1]) if epoch else None, int(step[1]) if step else None,
            status.st_mtime, status.st_size,
        )
    ]  # fmt: skip


def whole(file: BinaryIO, size: int, suffix: str, age: float) -> bool:
    """Whether a file is written to its end, as its own format tells, else by how long nobody has written to it."""
    head = file.read(8)
    if len(head) < 8:
        return False
    if suffix == ".safetensors":
        return _whole_safetensors(file, struct.unpack("<Q", head)[0], size)
    if head[:4] == b"PK\x03\x04":  # torch, Keras: a zip, whose directory is written last
        file.seek(max(0, size - 2**16))
        return b"PK\x05\x06" in file.read(2**16)
    return age >= QUIET_SECONDS


def _whole_safetensors(file: BinaryIO, header: int, size: int) -> bool:
    if not 2 <= header <= min(size - 8, 2**26):
        return False
    ends = re.findall(rb'"data_offsets":\s?\[\s?\d{1,15},\s?(\d{1,15})\s?\]', file.read(header))
    return size == 8 + header + max(map(int, ends), default=0)


def _hugging_face(folder: Path, name: str) -> list[Checkpoint]:
    """`trainer_state.json` is written when the weights are."""
    size, newest = 0, 0.0
    names = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    names.add(entry.name)
                    size += status.st_size
                    newest = max(newest, status.st_mtime)
    except OSError:
        return []
    number = _HF_FOLDER.match(folder.name)
    if number is None or "trainer_state.json" not in names:
        return []
    return [Checkpoint(name, "weights", str(folder), None, int(number[1]), newest, size)]
