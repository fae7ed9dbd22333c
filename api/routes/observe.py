"""For machines that watch the service: /healthz, /readyz, /metrics (contract 6)."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.routes.http import json_response, services
from api.services.telemetry import exposition
from api.utils.errors import TrainyardError

blueprint = Blueprint("observe", __name__)
TURN_LIMIT = 30.0  # seconds after which a scheduler that does not turn counts as dead


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process is up."""
    return json_response({"status": "ok"}, 200)


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database can be written, the scheduler turns, the cluster answers; 503 with the reason otherwise.

    "standby": another service of this database supervises, and this one takes over when that is gone.
    """
    problem = _problem()
    if problem is not None:
        return json_response({"status": problem}, 503)
    return json_response({"status": "ok" if services().leadership.leads else "standby"}, 200)


def _problem() -> str | None:
    everything = services()
    try:
        everything.db.check_writable()
    except TrainyardError as problem:
        return problem.message
    if not everything.leadership.leads:
        return None
    age = everything.supervisor.last_turn_age()
    if age >= TURN_LIMIT:
        return f"the scheduler has not turned for {age:.0f} s"
    return None if everything.cluster is None else everything.cluster.problem()


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format."""
    return Response(exposition(services()), content_type=CONTENT_TYPE_LATEST)
