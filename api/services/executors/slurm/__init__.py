"""Slurm: jobs go to an existing cluster with sbatch, and its queue decides."""

from api.services.executors.slurm.commands import Slurm, SlurmError
from api.services.executors.slurm.executor import SlurmExecutor
from api.services.executors.slurm.submission import Choices

__all__ = ["Choices", "Slurm", "SlurmError", "SlurmExecutor"]
