"""Crash points: places where a test kills the service, to prove that a restart mends what was half done."""

from __future__ import annotations

import os
import signal

POINTS: frozenset[str] = frozenset(
    {
        "launch.before_lock",  # nothing was done yet
        "launch.after_lock",  # the attempt is claimed and described, nothing was started
        "launch.after_spawn",  # its keeper runs, nobody was told
        "dataset.unpacked",  # an upload's files are there, under no name
        "dataset.named",  # they have their name, no row knows it
        "dataset.prepared",  # a version has its name, no row knows it
        "dataset.removed",  # the rows are gone, the files are not
        "model.copied",  # the weights of a training are copied, under no name
        "model.named",  # they have their name, nobody knows it
        "model.noted",  # the job knows it, no row does
        "annotation.importing",  # some of a version's images are rows, the others are not
        "annotation.named",  # a task and its classes are there, data.yaml is as before
        "annotation.saved",  # boxes are saved, their file is as before
        "annotation.written",  # the files are written, and still marked as unwritten
        "model.checked",  # an uploaded model was found good, it has no name and no row
        "model.removed",  # the row is gone, the files are not
        "submit.before_insert",
        "submit.after_insert",  # accepted, not answered
        "worker.before_prepare",  # claimed, with its leases
        "worker.after_prepare",  # its configs are written
        "worker.after_launch",
        "ingest.before_commit",  # lines were read, nothing is kept of them
        "ingest.after_commit",
        "worker.before_finish",  # its processes are gone, its row says running
        "worker.after_finish",
        "stop.after_flag",  # a stop was asked for, nobody has acted
        "import.before_batch",  # pages were read and their images moved, no row knows them
        "import.after_batch",
        "delete.after_note",
        "inference.named",  # the files of a session have their name, no row knows it
        "webhook.after_enqueue",  # a status has changed and its messages are written, none of it committed
        "webhook.after_send",  # a receiver has a message, nobody wrote that down
        "backup.before_name",  # all of it is copied, under the name of a draft
        "restore.before_files",  # it is noted that a restore began
        "restore.before_database",  # the files have their names
        "restore.before_end",  # the database is there, too
        "delete.after_row",  # the row is gone, the files are not
    }
)

_armed: str | None = None


def arm(name: str | None) -> None:
    """Makes `fault(name)` kill this process; None disarms. Called by the composition root from a setting."""
    global _armed
    _armed = None if name is None else _known(name)


def fault(name: str) -> None:
    """Nothing, unless this point is armed: then SIGKILL to ourselves, as abrupt as the real thing."""
    if _known(name) == _armed:
        os.kill(os.getpid(), signal.SIGKILL)


def _known(name: str) -> str:
    if name not in POINTS:
        raise ValueError(f"no crash point {name!r}; there are: {', '.join(sorted(POINTS))}")
    return name
