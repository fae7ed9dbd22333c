"""Files that are there whole or not at all, also through a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def settle(draft: Path, path: Path) -> None:
    """A file written aside gets its name, once its bytes are on the disk."""
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
