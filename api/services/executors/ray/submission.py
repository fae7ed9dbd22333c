"""How an attempt is put to Ray. Pure."""

from __future__ import annotations

import hashlib
import os
import shlex
from typing import Any

from api.models.job import Command, Resources
from api.models.workspace import Workspace
from api.services.executors.base import Terms

BEGAN, DEVICES = "began", "devices"  # left in the control directory by what Ray starts
#: of what Ray sets on a node, what a trainer gets: the devices that it was given, and a thread a core
GIVEN_DEVICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR")
THREADS = "OMP_NUM_THREADS"


def submission_id(handle: str, workspace: Workspace) -> str:
    """The attempt's own in all the world, so that it is found again after any crash."""
    mark = hashlib.sha256(os.fsencode(handle)).hexdigest()[:16]
    return f"{workspace.job_id}.{workspace.attempt}-{mark}"


def entrypoint(python: str, keeper: str, handle: str) -> str:
    """What Ray gives to a shell. Nothing of it is a client's, and every word of it is quoted; what the job is stands in
    the control directory. That is entered once, so an entrypoint that Ray starts again does not run on top of itself.
    """
    enter = f"mkdir {shlex.quote(f'{handle}/{BEGAN}')} || exit 75"
    devices = f'printf %s "${{CUDA_VISIBLE_DEVICES-}}" > {shlex.quote(f"{handle}/{DEVICES}")}'
    return f"{enter}; {devices}; exec {shlex.join([python, '-I', '-S', keeper, handle, '9'])} 9</dev/null"


def body(handle: str, workspace: Workspace, terms: Terms, python: str, keeper: str) -> dict[str, Any]:
    cpus, gpus, memory = asked(terms.resources)
    wanted: dict[str, Any] = {
        "entrypoint": entrypoint(python, keeper, handle),
        "entrypoint_num_cpus": cpus,
        "metadata": {"trainyard_job": workspace.job_id, "trainyard_attempt": str(workspace.attempt)},
    }
    if gpus:
        wanted["entrypoint_num_gpus"] = gpus
    if memory:
        wanted["entrypoint_memory"] = memory
    return wanted


def asked(wanted: Resources) -> tuple[int, int, int]:
    """Cores, GPUs and bytes. A job that names no cores takes one, unless it has a GPU: Ray lets it have that alone."""
    cpus = wanted.cpus if wanted.cpus is not None else 0 if wanted.gpus else 1
    return cpus, wanted.gpus, (wanted.memory or 0) if wanted.cpus is not None else 0


def inherited(command: Command, terms: Terms) -> list[str]:
    """Of a node's own environment; the rest goes by the keeper's file and not by Ray, which shows it to others."""
    names = list(GIVEN_DEVICES) if terms.resources.gpus else []
    return names if terms.resources.cpus is None or THREADS in command.env else [*names, THREADS]
