"""How an attempt is put to Slurm. Pure."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors.base import Terms
from api.services.executors.slurm.commands import COMMENT

OUTPUT = "slurm.out"  # what the batch script itself says, and Slurm about it
#: of a node's own environment, what a trainer gets: the devices that Slurm gave it, and where it is. Not SLURM_NTASKS
#: and its like, by which Lightning and others would take the job's one process for a rank among several
INHERITED = (
    "CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES GPU_DEVICE_ORDINAL ZE_AFFINITY_MASK TMPDIR "
    "SLURM_JOB_ID SLURM_JOB_NODELIST SLURMD_NODENAME"
).split()


@dataclass(frozen=True, slots=True)
class Choices:
    """What an admin chose: where jobs go, and what of it a job may choose for itself."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    extra: tuple[str, ...] = ()
    allow: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nice: int = 100  # for each level of priority below 10

    def flags(self, placement: Mapping[str, str]) -> list[str]:
        """A later flag of sbatch wins over an earlier one."""
        chosen = {name: placement.get(name) or getattr(self, name) for name in ("partition", "account", "qos")}
        return [*self.extra, *(f"--{name}={value}" for name, value in chosen.items() if value)]

    def nice_of(self, priority: int) -> int:
        """Only an operator of Slurm may go below 0."""
        return (10 - priority) * self.nice


def flags(handle: str, workspace: Workspace, terms: Terms, choices: Choices) -> list[str]:
    """Of sbatch. A job's words reach it as arguments of their own, checked or made harmless; there is no shell."""
    wanted = terms.resources
    label = re.sub(r"[^A-Za-z0-9._-]+", "_", terms.name)[:64].strip("_.-") or workspace.job_id
    flags = [
        "--nodes=1",
        "--ntasks=1",
        "--no-requeue",
        "--export=ALL",
        f"--chdir={handle}",
        f"--output={OUTPUT}",
        "--open-mode=append",
        f"--job-name={label}",
        *choices.flags(terms.placement),
        f"--comment={comment(handle)}{workspace.job_id}.{workspace.attempt}",
    ]
    if wanted.cpus is not None:
        flags.append(f"--cpus-per-task={wanted.cpus}")
    if wanted.memory is not None:
        flags.append(f"--mem={-(-wanted.memory // (1 << 20))}M")
    if wanted.gpus:
        flags.append(f"--gres=gpu:{wanted.gpus}")
    if terms.max_runtime is not None:  # ours is exact, and ends it first
        flags.append(f"--time={-(-terms.max_runtime // 60) + 1}")
    if choices.nice:
        flags.append(f"--nice={choices.nice_of(terms.priority)}")
    if terms.held:
        flags.append("--hold")
    return flags


def inherited(command: Command, terms: Terms) -> list[str]:
    """Of a node's own environment; the rest goes by the keeper's file and not by sbatch, which shows it to others."""
    return [name for name in INHERITED if terms.resources.gpus or "DEVICE" not in name]


def comment(handle: str) -> str:
    """What a job carries, so that it is found again: the beginning is the attempt's own in all the world."""
    return f"{COMMENT}{hashlib.sha256(os.fsencode(handle)).hexdigest()[:24]}:"
