"""What is made aside and gets its name once it is whole and on the disk."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.utils.disks import sync_directory


@contextmanager
def draft(directory: Path) -> Iterator[Path]:
    """A new directory in `directory`, gone afterwards unless it has got its name."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = directory / secrets.token_hex(8)
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def name(made: Path, final: Path) -> None:
    """What is whole and on the disk gets its name. For use in the transaction that tells of it."""
    final.parent.mkdir(parents=True, exist_ok=True)
    made.replace(final)
    sync_directory(final.parent)
