"""The machine, its GPUs and its queue, as every route shows them."""

from __future__ import annotations

import time
from typing import Any

from api.models.accounts import Actor
from api.models.gpu import GpuState
from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.models.schemas.system import MACHINE_FIELDS
from api.services.container import Services
from api.services.gpus.desk import GpuView
from api.services.store import job_lists, queue
from api.services.store import jobs as store
from api.utils.errors import NotFound


def overview(everything: Services) -> dict[str, Any]:
    with everything.db.read() as connection:
        tasks = job_lists.counts(connection)
        oldest = queue.oldest(connection)
    state, gpus = everything.machine.state(), everything.gpus.view().summary
    now = time.time()
    return {
        "system": {name: getattr(state, name) for name in MACHINE_FIELDS},
        "gpus": {"total": gpus.total, "available": gpus.available, "busy": gpus.busy},
        "tasks": {"total": sum(tasks.values()), **{status.value: number for status, number in tasks.items()}},
        "queue": {
            "waiting": tasks[JobStatus.QUEUED],
            "oldest_wait_seconds": None if oldest is None else round(max(0.0, now - oldest), 1),
        },
        "executor": everything.settings.executor,
        "uptime": round(now - everything.started_at, 1),
        "version": everything.version,
    }


def summary(view: GpuView) -> dict[str, Any]:
    known = view.summary
    return {
        "total_gpus": known.total,
        "available_gpus": known.available,
        "busy_gpus": known.busy,
        "total_memory": known.total_memory_mb,
        "available_memory": known.available_memory_mb,
    }


def gpu(everything: Services, state: GpuState, view: GpuView) -> dict[str, Any]:
    holder = view.leases.get(state.index)
    job = _holder(everything, holder.job_id) if holder and holder.job_id else None
    progress = None
    if job is not None:
        progress = shown(Progress.from_dict(job.progress), job.status, job.started_at, job.ended_at, time.time())
    return {
        "gpu_id": state.index,
        "uuid": state.uuid,
        "name": state.name,
        "memory_total": state.memory_total_mb,
        "memory_used": state.memory_used_mb,
        "memory_free": state.memory_free_mb,
        "memory_utilization": state.memory_utilization,
        "utilization_gpu": state.utilization_percent,
        "temperature": state.temperature_c,
        "power_usage": state.power_w,
        "power_limit": state.power_limit_w,
        "status": view.statuses[state.index],
        "drained": view.drains[state.index].reason if state.index in view.drains else None,
        "current_task": holder.job_id if holder else None,
        "task_type": holder.engine if holder else None,
        "task_progress": progress["overall_progress"] if progress else None,
        "estimated_remaining_time": progress["eta_seconds"] if progress else None,
        "processes": [
            {"pid": p.pid, "name": p.name, "memory_mb": p.memory_mb, "run_id": _run_of(everything, p.pid, view)}
            for p in state.processes
        ],
        "driver_version": view.snapshot.driver_version,
        "cuda_version": view.snapshot.cuda_version,
    }


def _holder(everything: Services, job_id: str) -> Job | None:
    with everything.db.read() as connection:
        try:
            return store.get(connection, job_id)
        except NotFound:  # it ended and was deleted between the two reads
            return None


def _run_of(everything: Services, pid: int, view: GpuView) -> str | None:
    return everything.supervisor.owner_of(pid) if pid in view.own_pids else None


def waiting(everything: Services, who: Actor) -> dict[str, Any]:
    """The queue, of which each caller sees their own jobs and their workspaces'."""
    shown = [
        {
            "task_id": place.waiting.id,
            "name": place.waiting.name,
            "position": place.position,
            "priority": place.waiting.priority,
            "held": place.waiting.held,
            "gpus": place.waiting.wanted.gpus,
            "cpus": place.waiting.wanted.cpus,
            "memory": place.waiting.wanted.memory,
            "reason": place.reason,
        }
        for place in everything.queue.line()
        if who.may_read(place.waiting.owner_id, place.waiting.team_id)
    ]
    return {"jobs": shown, "waiting": everything.queue.length()}
