"""GPUs, the machine and the engines: /api/v1/gpu, /api/v1/system, /api/v1/engines (contract 1)."""

from __future__ import annotations

import time
from typing import Any

from flask import Response

from api.models.gpu import GpuState
from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.models.schemas import system as schemas
from api.routes.blueprint import Blueprint
from api.routes.http import answer, enveloped, services
from api.services.gpus.desk import GpuView
from api.services.gpus.status import recommended_for
from api.services.store import jobs as store
from api.services.store import queue
from api.utils.errors import NotFound
from api.utils.times import iso

gpu_blueprint = Blueprint("gpu", __name__, url_prefix="/api/v1/gpu", description="GPUs, as the driver sees them")
system_blueprint = Blueprint("system", __name__, url_prefix="/api/v1", description="The machine and its engines")


@gpu_blueprint.get("/status")
@gpu_blueprint.response(200, enveloped(schemas.GpuStatusSchema))
def gpu_status() -> Response:
    """Every GPU: its memory, load, temperature and power, who holds it and what runs on it."""
    view = services().gpus.view()
    return answer({"gpus": [_gpu(gpu, view) for gpu in view.snapshot.gpus], "summary": _summary(view)})


@gpu_blueprint.get("/summary")
@gpu_blueprint.response(200, enveloped(schemas.GpuSummarySchema))
def gpu_summary() -> Response:
    """How many GPUs there are, and how many are free."""
    return answer(_summary(services().gpus.view()))


@gpu_blueprint.get("/available")
@gpu_blueprint.arguments(schemas.AvailableQuery, location="query")
@gpu_blueprint.response(200, enveloped(schemas.AvailableSchema))
def gpu_available(query: dict[str, Any]) -> Response:
    """GPUs that a job could start on now, most free memory first."""
    view = services().gpus.view()
    found = []
    for index in view.free:
        gpu = view.snapshot.get(index)
        if gpu is None or (gpu.memory_free_mb or 0) < query["min_memory"]:
            continue
        fits = recommended_for(gpu.memory_free_mb)
        if "task_type" in query and query["task_type"] not in fits:
            continue
        found.append(
            {
                "gpu_id": gpu.index,
                "name": gpu.name,
                "memory_total": gpu.memory_total_mb,
                "memory_free": gpu.memory_free_mb,
                "status": "available",
                "recommended_for": list(fits),
            }
        )
    return answer({"available_gpus": found, "total_available": len(found)})


@gpu_blueprint.get("/<gpu:gpu_id>/details")
@gpu_blueprint.response(200, enveloped(schemas.GpuDetailSchema))
def gpu_details(gpu_id: int) -> Response:
    """One GPU, with its last 60 seconds."""
    view = services().gpus.view()
    gpu = view.snapshot.get(gpu_id)
    if gpu is None:
        raise NotFound(f"there is no GPU {gpu_id}")
    history = [
        {
            "timestamp": iso(point.at),
            "memory_used": point.memory_used_mb,
            "utilization_gpu": point.utilization_percent,
            "temperature": point.temperature_c,
            "power_usage": point.power_w,
        }
        for point in services().gpus.monitor.history(gpu_id)
    ]
    return answer({**_gpu(gpu, view), "history": history})


def _summary(view: GpuView) -> dict[str, Any]:
    known = view.summary
    return {
        "total_gpus": known.total,
        "available_gpus": known.available,
        "busy_gpus": known.busy,
        "total_memory": known.total_memory_mb,
        "available_memory": known.available_memory_mb,
    }


def _gpu(gpu: GpuState, view: GpuView) -> dict[str, Any]:
    holder = view.leases.get(gpu.index)
    job = _holder(holder.job_id) if holder and holder.job_id else None
    progress = None
    if job is not None:
        progress = shown(Progress.from_dict(job.progress), job.status, job.started_at, job.ended_at, time.time())
    return {
        "gpu_id": gpu.index,
        "uuid": gpu.uuid,
        "name": gpu.name,
        "memory_total": gpu.memory_total_mb,
        "memory_used": gpu.memory_used_mb,
        "memory_free": gpu.memory_free_mb,
        "memory_utilization": gpu.memory_utilization,
        "utilization_gpu": gpu.utilization_percent,
        "temperature": gpu.temperature_c,
        "power_usage": gpu.power_w,
        "power_limit": gpu.power_limit_w,
        "status": view.statuses[gpu.index],
        "drained": view.drains[gpu.index].reason if gpu.index in view.drains else None,
        "current_task": holder.job_id if holder else None,
        "task_type": holder.engine if holder else None,
        "task_progress": progress["overall_progress"] if progress else None,
        "estimated_remaining_time": progress["eta_seconds"] if progress else None,
        "processes": [
            {"pid": p.pid, "name": p.name, "memory_mb": p.memory_mb, "run_id": _run_of(p.pid, view)}
            for p in gpu.processes
        ],
        "driver_version": view.snapshot.driver_version,
        "cuda_version": view.snapshot.cuda_version,
    }


def _holder(job_id: str) -> Job | None:
    with services().db.read() as connection:
        try:
            return store.get(connection, job_id)
        except NotFound:  # it ended and was deleted between the two reads
            return None


def _run_of(pid: int, view: GpuView) -> str | None:
    return services().supervisor.owner_of(pid) if pid in view.own_pids else None


@system_blueprint.get("/system/overview")
@system_blueprint.response(200, enveloped(schemas.OverviewSchema))
def overview() -> Response:
    """The machine, its GPUs, the jobs and the queue, in one look."""
    everything = services()
    with everything.db.read() as connection:
        tasks = store.counts(connection)
        oldest = queue.oldest(connection)
    machine, gpus = everything.machine.state(), everything.gpus.view().summary
    now = time.time()
    return answer(
        {
            "system": {name: getattr(machine, name) for name in schemas.MACHINE_FIELDS},
            "gpus": {"total": gpus.total, "available": gpus.available, "busy": gpus.busy},
            "tasks": {
                "total": sum(tasks.values()),
                **{status.value: number for status, number in tasks.items()},
            },
            "queue": {
                "waiting": tasks[JobStatus.QUEUED],
                "oldest_wait_seconds": None if oldest is None else round(max(0.0, now - oldest), 1),
            },
            "executor": everything.settings.executor,
            "uptime": round(now - everything.started_at, 1),
            "version": everything.version,
        }
    )


@system_blueprint.get("/engines")
@system_blueprint.response(200, enveloped(schemas.EnginesSchema))
def engines() -> Response:
    """What can be trained here, and what each engine takes (JSON Schema)."""
    found = []
    for name, engine in services().engines.items():
        state = engine.availability()
        found.append(
            {
                "name": name,
                "available": state.available,
                "version": state.version,
                "reason": state.reason,
                "parameters": engine.schema(),
            }
        )
    return answer({"engines": found})
