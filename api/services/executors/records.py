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
TERMINATED = (-15, 143, 241)  # SIGTERM, as told by wait(), a shell, and a launcher that exits with -15


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
        note=_over(verdict["peak_rss_bytes"]) if verdict["why"] == keeper.OVER else None,
    )


def _over(peak: int | None) -> str:
    used = "" if peak is None else f" ({-(-peak // 2**20)} MiB were seen)"
    return (
        f"It was ended because it used more memory than it had asked for{used}: ask for more, or use a smaller batch "
        "or fewer worker processes."
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


def never(control: str) -> None:
    """Leaves the record that a keeper leaves which finds a stop before it starts anything."""
    times = {"started_at": None, "ended_at": time.time()}
    end = {"code": None, "why": "stopped before start", "error": None, "stopped": True}
    keeper.put(control, keeper.EXIT, {**end, **times, "oom_killed": False, "peak_rss_bytes": None})


def doubtful(verdict: Record, *, asked: bool) -> bool:
    """Whether only the cluster's engine knows why it ended: a signal that was not the keeper's, or that was sent it.
    An engine signals all processes of a job at once, and a trainer may fall before its keeper has heard."""
    if asked or verdict["code"] is None or verdict["oom_killed"]:
        return False
    return bool(verdict["stopped"]) or verdict["code"] in (*keeper.KILLED, *TERMINATED)


def is_tied(control: str) -> bool:
    """Whether its launch was for a node of a cluster, and not for this machine."""
    launched = read(control, keeper.LAUNCH)
    return launched is not None and bool(launched.get("tied"))
