"""The queue: who waits for what, and who goes first. /api/v1/queue, and what training v1 and the GPUs add to it."""

from __future__ import annotations

from typing import Any

from flask import Response

from api.models.job import Job
from api.models.schemas import queue as schemas
from api.routes import machine
from api.routes.blueprint import Blueprint
from api.routes.http import actor, answer, enveloped, services
from api.utils.times import iso

blueprint = Blueprint("queue", __name__, url_prefix="/api/v1", description="Who waits for what, and who goes first")


@blueprint.get("/queue")
@blueprint.response(200, enveloped(schemas.WaitingListSchema))
def queue() -> Response:
    """The jobs that wait, in the order in which they are looked at; those that are held come last.

    A job starts when all that it asks for is free at once. What one waits for is kept for it; a job behind it may
    pass only where it takes nothing of that. Of a very long queue the first 500 are shown.
    """
    return answer(machine.waiting(services(), actor()))


@blueprint.patch("/training/<task:task_id>")
@blueprint.arguments(schemas.ChangeSchema)
@blueprint.response(200, enveloped(schemas.PlaceSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it does not wait")
def change(body: dict[str, Any], task_id: str) -> Response:
    """Change a waiting job's priority."""
    return _placed(services().orders.reorder(actor(), task_id, priority=body["priority"]), "priority changed")


@blueprint.post("/training/hold/<task:task_id>")
@blueprint.response(200, enveloped(schemas.PlaceSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it does not wait")
def hold(task_id: str) -> Response:
    """Hold a waiting job back."""
    return _placed(services().orders.reorder(actor(), task_id, held=True), "held")


@blueprint.post("/training/release/<task:task_id>")
@blueprint.response(200, enveloped(schemas.PlaceSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it does not wait")
def release(task_id: str) -> Response:
    """Let a held job start when its turn comes."""
    return _placed(services().orders.reorder(actor(), task_id, held=False), "released")


def _placed(job: Job, message: str) -> Response:
    desk = services().queue
    return answer(
        {
            "task_id": job.id,
            "status": job.status,
            "priority": job.priority,
            "held": job.held,
            "queue_position": desk.position(job),
            "queue_reason": desk.reason(job),
        },
        message=message,
    )


@blueprint.put("/gpu/<gpu:gpu_id>/drain")
@blueprint.arguments(schemas.DrainSchema)
@blueprint.response(200, enveloped(schemas.DrainedSchema))
def drain(body: dict[str, Any], gpu_id: int) -> Response:
    """Take a GPU out of service (admins): nothing new is started on it, what runs there goes on."""
    services().orders.drain(actor(), gpu_id, body["reason"])
    return _drained(gpu_id)


@blueprint.delete("/gpu/<gpu:gpu_id>/drain")
@blueprint.response(200, enveloped(schemas.DrainedSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is in service")
def undrain(gpu_id: int) -> Response:
    """Take a GPU into service again (admins)."""
    services().orders.undrain(actor(), gpu_id)
    return _drained(gpu_id)


def _drained(gpu_id: int) -> Response:
    found = services().gpus.view().drains.get(gpu_id)
    drained = None if found is None else {"reason": found.reason, "by": found.by, "at": iso(found.at)}
    return answer({"gpu_id": gpu_id, "drained": drained})
