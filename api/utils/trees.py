"""Directory trees that are copied whole: what was copied is written down, so that it can be held against it later."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file with its size and SHA-256, a link with where it leads, or a directory."""

    path: str  # relative, "/" between its parts
    kind: str  # file | link | directory
    mode: int
    size: int = 0
    sha256: str = ""
    target: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def copy_tree(source: Path, target: Path, name: str, skip: Collection[Path] = ()) -> Iterator[Entry]:
    """`source`, a directory or a file, as `target/name`. What vanishes meanwhile is left out; so are sockets and
    pipes. A link is copied as a link."""
    if source in skip:
        return
    try:
        found = source.lstat()
        if stat.S_ISLNK(found.st_mode):
            leads = os.readlink(source)
            (target / name).symlink_to(leads)
            yield Entry(name, "link", 0, target=leads)
        elif stat.S_ISREG(found.st_mode):
            yield _copy_file(source, target / name, name, found)
        elif stat.S_ISDIR(found.st_mode):
            children = sorted(os.listdir(source))
            (target / name).mkdir(mode=0o700)
            yield Entry(name, "directory", stat.S_IMODE(found.st_mode))
            for child in children:
                yield from copy_tree(source / child, target, f"{name}/{child}", skip)
    except FileNotFoundError:
        if not source.parent.exists() or not os.path.lexists(source):
            return
        raise


def _copy_file(source: Path, target: Path, name: str, found: os.stat_result) -> Entry:
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as reading, open(target, "xb") as writing:
        while block := reading.read(BLOCK):
            digest.update(block)
            size += len(block)
            writing.write(block)
        writing.flush()
        os.fchmod(writing.fileno(), stat.S_IMODE(found.st_mode))
        os.fsync(writing.fileno())
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return Entry(name, "file", stat.S_IMODE(found.st_mode), size, digest.hexdigest())


def entry_of(root: Path, name: str) -> Entry | None:
    """What lies there now."""
    path = root / name
    if path.is_symlink():
        return Entry(name, "link", 0, target=os.readlink(path))
    if path.is_dir():
        return Entry(name, "directory", stat.S_IMODE(path.stat().st_mode))
    if not path.is_file():
        return None
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return Entry(name, "file", stat.S_IMODE(path.stat().st_mode), size, digest.hexdigest())


def sync_directory(path: Path) -> None:
    """So that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
