"""Where jobs run, as the setting `executor` says."""

from __future__ import annotations

from collections.abc import Mapping

from api.services.executors.base import Executor
from api.services.executors.local import LocalExecutor
from api.services.executors.ray import Ray, RayExecutor
from api.services.executors.slurm import Choices, Slurm, SlurmExecutor
from api.settings import Settings


def build_executor(settings: Settings, environ: Mapping[str, str]) -> Executor:
    """One case an executor; nothing else knows which is in use."""
    if settings.executor == "slurm":
        return _slurm(settings, environ)
    if settings.executor == "ray":
        ray = Ray(settings.ray_address, settings.ray_token)
        return RayExecutor(ray, python=settings.node_python, shared=settings.shared_dir)
    return LocalExecutor()


def _slurm(settings: Settings, environ: Mapping[str, str]) -> SlurmExecutor:
    choices = Choices(
        settings.slurm_partition,
        settings.slurm_account,
        settings.slurm_qos,
        settings.slurm_extra,
        settings.slurm_allow,
        settings.slurm_nice,
    )
    return SlurmExecutor(Slurm(environ), choices, python=settings.node_python, shared=settings.shared_dir)
