"""The Python of a trainer's own environment: looked at, never run."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from api.services.engines.base import Availability


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

    def availability_of(
        self, library: str, distributions: Sequence[str], oldest: tuple[int, int], *, setting: str, advice: str
    ) -> Availability:
        """Whether a trainer's library is there and new enough. `advice`: how to get it."""
        if self.path is None:
            return Availability(False, None, f"the interpreter {self.name} does not exist ({setting})")
        version = next(filter(None, map(self.version_of, distributions)), None)
        if version is None:
            return Availability(False, None, f"there is no {library} beside {self.name}: {advice}")
        if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < oldest:
            wanted = ".".join(map(str, oldest))
            return Availability(False, version, f"{library} {version} is too old; {wanted} or newer is needed")
        return Availability(True, version)


def _own_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
