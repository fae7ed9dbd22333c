"""The Python of a trainer's own environment: looked at, never run."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Interpreter:
    name: str

    @property
    def path(self) -> Path | None:
        """Absolute, its own symlink kept: a virtual environment is found by it."""
        found = shutil.which(self.name)
        return Path(found).absolute() if found else None

    def version_of(self, distribution: str) -> str | None:
        """Of an installed package, from the name of its metadata directory; None where there is none."""
        if self.path is None:
            return None
        if self.path == Path(sys.executable).absolute():
            return _own_version(distribution)
        pattern = re.compile(rf"{re.escape(distribution)}-([\w.+!]{{1,60}})\.dist-info", re.IGNORECASE)
        folders = self.path.parent.parent.glob(f"lib*/python3*/*-packages/{distribution}-*.dist-info")
        found = (pattern.fullmatch(folder.name) for folder in folders)
        return next((match[1] for match in found if match), None)


def _own_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
