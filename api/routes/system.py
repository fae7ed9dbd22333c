"""GPUs, the machine and the engines: /api/v1/gpu, /api/v1/system, /api/v1/engines (contract 1)."""

from __future__ import annotations

from typing import Any

from flask import Response

from api.models.schemas import system as schemas
from api.routes import machine
from api.routes.blueprint import Blueprint
from api.routes.http import actor, answer, enveloped, services
from api.routes.live import live_state
from api.services.gpus.status import recommended_for
from api.utils.errors import NotFound
from api.utils.times import iso

gpu_blueprint = Blueprint("gpu", __name__, url_prefix="/api/v1/gpu", description="GPUs, as the driver sees them")
system_blueprint = Blueprint("system", __name__, url_prefix="/api/v1", description="The machine and its engines")


@gpu_blueprint.get("/status")
@gpu_blueprint.response(200, enveloped(schemas.GpuStatusSchema))
def gpu_status() -> Response:
    """Every GPU: its memory, load, temperature and power, who holds it and what runs on it."""
    view = services().gpus.view()
    return answer(
        {
            "gpus": [machine.gpu(services(), gpu, view) for gpu in view.snapshot.gpus],
            "summary": machine.summary(view),
            "driver": view.snapshot.driver_version,
        }
    )


@gpu_blueprint.get("/summary")
@gpu_blueprint.response(200, enveloped(schemas.GpuSummarySchema))
def gpu_summary() -> Response:
    """How many GPUs there are, and how many are free."""
    return answer(machine.summary(services().gpus.view()))


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
        if query.get("task_type", schemas.ANY_TASK[0]) not in (*fits, *schemas.ANY_TASK):
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
    return answer({**machine.gpu(services(), gpu, view), "history": history})


@system_blueprint.get("/system/overview")
@system_blueprint.response(200, enveloped(schemas.OverviewSchema))
def overview() -> Response:
    """The machine, its GPUs, the jobs and the queue, in one look."""
    return answer(machine.overview(services()))


@system_blueprint.get("/system/live")
def live() -> Response:
    """All that a screen shows of the machine, as it changes; does not end.

    `state` is the whole: the machine, the GPUs, the queue, the running jobs with their newest losses, and those that
    ended last. It comes first, after every reconnection too, and whenever a job changes its status. Between them come
    `machine` (the machine, GPUs and queue, at least every 10 s) and `job` (one job, as the list shows it).
    """
    return live_state(actor())


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
