"""Whether a job can ever start where jobs run: on this machine, or on a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from api.models.job import JobSpec
from api.models.room import Room
from api.services.executors.base import ClusterExecutor
from api.services.gpus.desk import GpuDesk
from api.services.launching import placement_of
from api.services.queue_reasons import advice, what_is_short
from api.utils.errors import Insufficient, Invalid, Unavailable

Checked = tuple[JobSpec, tuple[str, ...]]


class Fitting(Protocol):
    """What a submitted job is held against."""

    #: whether a job may name the GPU that it wants, and be refused when that is busy
    names_gpus: bool

    def check(self, spec: JobSpec) -> Checked:
        """The spec as it can be run, and what to warn its owner of.

        Raises Insufficient where there is too little even if everything were free, Unavailable where nobody knows.
        """
        ...


class MachineFitting:
    """This machine: `room` besides its GPUs, which are the desk's."""

    names_gpus = True

    def __init__(self, gpus: GpuDesk, room: Room) -> None:
        self._gpus = gpus
        self._room = room

    def check(self, spec: JobSpec) -> Checked:
        wanted, known = spec.resources, self._gpus.known()
        if placement_of(spec):
            raise Invalid("placement", "is for a cluster; this service runs jobs on its own machine")
        if wanted.needs_gpu and self._gpus.monitor.snapshot().stale:
            raise Unavailable("the GPU driver does not answer; what this machine has is not known", retry_after=10)
        if takes_any_gpu(spec) and not known:
            return on_the_cpu(spec), ()
        machine = replace(self._room, gpus=known)
        short = machine.short_of(wanted)
        if short:
            view = self._gpus.view()
            raise Insufficient(
                f"this machine is too small: {what_is_short(wanted, machine)}",
                data={
                    "short_of": list(short),
                    "required_gpus": wanted.gpus,
                    "available_gpus": list(view.free),
                    "busy_gpus": sorted(set(known) - set(view.free)),
                    "cpu_total": len(machine.cores),
                    "memory_total": machine.memory,
                    "recommended_action": advice(short, known),
                },
            )
        return spec, ()


class ClusterFitting:
    """A cluster: a job must fit on one node. Which GPU it gets is the engine's choice."""

    names_gpus = False

    def __init__(self, executor: ClusterExecutor) -> None:
        self._executor = executor

    def check(self, spec: JobSpec) -> Checked:
        self._executor.check_placement(placement_of(spec))
        warnings: tuple[str, ...] = ()
        wanted = spec.resources
        if wanted.gpu_ids:
            warnings = (f"{self._executor.name} chooses the GPU; the number that was asked for is not heeded",)
            wanted = replace(wanted, gpu_ids=())
            spec = replace(spec, resources=wanted)
        state = self._executor.state()
        if not state.at:
            raise Unavailable(f"what the cluster has is not known: {state.problem or 'no answer yet'}", retry_after=10)
        if takes_any_gpu(spec) and not any(node.gpus for node in state.nodes):
            return on_the_cpu(spec), warnings
        node = state.largest_for(wanted)
        short = node.short_of(wanted)
        if short:
            raise Insufficient(
                f"no node of the cluster is large enough: {what_is_short(wanted, node)}",
                data={
                    "short_of": list(short),
                    "required_gpus": wanted.gpus,
                    "available_gpus": [number for number, node, gpu in state.numbered() if node.up and not gpu.busy],
                    "busy_gpus": [number for number, _, gpu in state.numbered() if gpu.busy],
                    "cpu_total": len(node.cores),
                    "memory_total": node.memory,
                    "recommended_action": advice(short, [number for number, _, _ in state.numbered()]),
                },
            )
        return spec, warnings


def takes_any_gpu(spec: JobSpec) -> bool:
    """One GPU, whichever, if there is one: what a request gets that says nothing of GPUs."""
    wanted = spec.resources
    return wanted.gpus == 1 and not wanted.gpu_ids and wanted.cpus is None


def on_the_cpu(spec: JobSpec) -> JobSpec:
    """Where there is no GPU a training runs on the CPU."""
    return replace(spec, resources=replace(spec.resources, gpus=0))
