"""What a keeper leaves in an attempt's control directory, and the wish to end that is left there for it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors.base import Observation, RunState, Terms
from api.utils import training_wrapper as keeper

Record = dict[str, Any]


def launch(command: Command, workspace: Workspace, terms: Terms, linger: float) -> Record:
    """What the keeper is to start, and how."""
    return {
        "argv": list(command.argv),
        "env": dict(command.env),
        "cwd": command.cwd,
        "log": str(workspace.log.absolute()),
        "errors": str(workspace.errors.absolute()) if command.errors_apart else None,
        "linger": linger,
        "memory_limit": terms.resources.memory,
    }


def observed(state: RunState, started: Record | None) -> Observation:
    if not started:
        return Observation(state)
    return Observation(state, pid=started["pid"], started_at=started["started_at"])


def ended(verdict: Record, started: Record | None) -> Observation:
    nothing_ran = verdict["why"] if verdict["code"] is None else None
    return Observation(
        RunState.EXITED,
        pid=started["pid"] if started else None,
        exit_code=verdict["code"],
        started_at=verdict["started_at"],
        ended_at=verdict["ended_at"],
        error=verdict["error"] or nothing_ran,
        oom_killed=verdict["oom_killed"],
        peak_rss_bytes=verdict["peak_rss_bytes"],
    )


def make(control: str) -> None:
    Path(control).parent.mkdir(parents=True, exist_ok=True)
    try:
        Path(control).mkdir(0o700)
    except FileExistsError:
        return
    keeper.sync_directory(os.path.dirname(control))


def read(control: str, name: str) -> Record | None:
    try:
        record: Record = json.loads(Path(control, name).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return record


def intend(control: str, grace: float) -> None:
    """Leaves the wish to end where the keeper looks, unless one as urgent is there. Works on a full disk too."""
    known = read(control, keeper.STOP)
    if known and known.get("grace", grace) <= grace:
        return
    make(control)
    record = {"v": keeper.VERSION, "grace": grace, "at": time.time(), "clock": keeper.clock()}
    try:
        keeper.put(control, keeper.STOP, record, durable=False)
    except OSError:  # no room for a second file: over the first
        with open(f"{control}/{keeper.STOP}", "r+b", buffering=0) as file:
            file.write(json.dumps(record).encode().ljust(keeper.ROOM))
