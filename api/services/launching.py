"""From a job to a running attempt: the engine prepares, the attempt is written down, the executor takes it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from api.models.job import Attempt, Job, JobSpec
from api.models.workspace import Workspace
from api.services.engines.base import Engine, Launch
from api.services.executors.base import Terms
from api.services.store import jobs as store
from api.utils.faults import fault
from api.utils.secrets import masked

if TYPE_CHECKING:
    from api.services.supervisor import Parts

PLACEMENT = "placement"  # in a spec's `extra`
#: shown with an attempt although the service's own environment has them too
CHILD_ENV = (
    "CUDA_VISIBLE_DEVICES",
    "PYTHONUNBUFFERED",
    "CUDA_DEVICE_ORDER",
    "NCCL_P2P_DISABLE",
    "NCCL_IB_DISABLE",
)


def launch(
    parts: Parts, engine: Engine, job: Job, attempt: Attempt, workspace: Workspace, ports: Sequence[int]
) -> None:
    """Raises what `prepare` and the executor's `launch` raise."""
    remote = parts.executor.traits.remote
    fault("worker.before_prepare")
    command = engine.prepare(
        Launch(
            job=job,
            workspace=workspace,
            gpu_ids=tuple(range(job.spec.resources.gpus)) if remote else job.gpu_ids,
            ports=ports,
            base_env={**parts.base_env, **job.spec.env},
            resume_from=attempt.resume_from,
            placed=remote,
        )
    )
    fault("worker.after_prepare")
    with parts.db.write() as connection:
        chosen = {k: v for k, v in command.env.items() if parts.base_env.get(k) != v or k in CHILD_ENV}
        store.save_launch(connection, job, command.argv, masked(chosen))
    parts.executor.launch(command, workspace, terms_of(job))
    fault("worker.after_launch")


def terms_of(job: Job) -> Terms:
    return Terms(
        resources=replace(job.spec.resources, cpu_ids=job.core_ids),
        name=job.spec.name,
        priority=job.priority,
        held=job.held,
        max_runtime=job.spec.max_runtime,
        placement=placement_of(job.spec),
    )


def placement_of(spec: JobSpec) -> dict[str, str]:
    """Which of a cluster's queues and the like the job asks for, by name."""
    return dict(spec.extra.get(PLACEMENT) or {})


def placed(placement: Mapping[str, str] | None) -> dict[str, Any]:
    """For a spec's `extra`."""
    return {PLACEMENT: dict(placement)} if placement else {}


def free_ports(count: int, used: set[int]) -> tuple[int, ...]:
    """Ports that nothing listens on now and no other live job was given."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            probe = socket.socket()
            held.append(probe)
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port not in used:
                found.append(port)
    finally:
        for probe in held:
            probe.close()
    return tuple(found)
