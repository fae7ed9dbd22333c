"""`run.py doctor`: looks at the set-up and says in one line each what is there and what is missing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from api.engines import build_engines
from api.executors import build_executor
from api.services.executors.base import ClusterExecutor
from api.services.gpus.nvml import NvmlSource
from api.services.store.database import NoDriver, backend_of
from api.settings import BUNDLED_TRAINER, Settings

MARKS = {True: "ok     ", False: "MISSING", None: "note   "}


@dataclass(frozen=True, slots=True)
class Finding:
    """`fine` None: worth knowing, and nothing that keeps the service from working."""

    fine: bool | None
    text: str


def run(settings: Settings) -> int:
    """Prints the findings; 1 if something that the service needs is missing."""
    executor = build_executor(settings, os.environ)
    cluster = executor if isinstance(executor, ClusterExecutor) else None
    findings = [*_directories(settings), *_database(settings)]
    findings += [*_gpus()] if cluster is None else [Finding(*told) for told in cluster.check()]
    findings += [*_engines(settings), _frameworks()]
    for finding in findings:
        print(f"{MARKS[finding.fine]} {finding.text}")
    missing = sum(1 for finding in findings if finding.fine is False)
    print("Everything that is needed is there." if not missing else f"{missing} thing(s) missing.")
    return 1 if missing else 0


def _directories(settings: Settings) -> Iterator[Finding]:
    for name in ("data_dir", "config_dir", "log_dir", "output_dir"):
        directory: Path = getattr(settings, name)
        yield _writable(name, directory)
    for root in settings.allowed_roots:
        there = root.is_dir() or root == settings.data_dir / "workspace"
        yield Finding(there, f"allowed root {root}" + ("" if there else " is no directory (TRAINYARD_ALLOWED_ROOTS)"))


def _writable(name: str, directory: Path) -> Finding:
    """Whether files can be made there, or the directory itself can be."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as problem:
        return Finding(False, f"{name} {directory} cannot be written: {problem.strerror}")
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize / 1024**3
    return Finding(True, f"{name} {directory} ({free:.0f} GiB free)")


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        fine, told = backend_of(settings.database_url).examine()
    except NoDriver as problem:
        fine, told = False, str(problem)
    yield Finding(fine, f"database {told}")


def _gpus() -> Iterator[Finding]:
    source = NvmlSource(os.environ.get("CUDA_VISIBLE_DEVICES"))
    source.open()
    reading = source.read()
    source.close()
    if not reading.gpus:
        yield Finding(None, "no NVIDIA GPU or driver: trainings run on the CPU")
    for gpu in reading.gpus:
        memory = f"{(gpu.memory_total_mb or 0) / 1024:.0f} GiB"
        yield Finding(not gpu.lost, f"GPU {gpu.index} {gpu.name}, {memory}, driver {reading.driver_version}")


def _engines(settings: Settings) -> Iterator[Finding]:
    """What keeps diffusion-pipe from running is a fault of the set-up; the others may be wanted or not."""
    for name, engine in build_engines(settings).items():
        state = engine.availability()
        what, needed = state.version, name == "diffusion_pipe"
        if needed and settings.diffusion_pipe_root == BUNDLED_TRAINER:
            what = "the bundled small trainer"
        elif needed:
            what = f"{settings.diffusion_pipe_root} at {state.version or 'an unknown commit'}"
        fine = state.available if needed else state.available or None
        yield Finding(fine, ": ".join(part for part in (f"engine {name}", what, state.reason) if part))


def _frameworks() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(True, f"torch {version('torch')} for the bundled trainer")
    except PackageNotFoundError:
        return Finding(None, "no torch in this interpreter: the bundled trainer cannot run; other installs may")
