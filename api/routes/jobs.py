"""The jobs dialect: any script as a queued job, /api/v1/training/jobs (contract 2)."""

from __future__ import annotations

from typing import Any

from flask import Response

from api.models.dialect import JOBS
from api.models.job import Attempt, Job, JobSpec, JobStatus, Resources
from api.models.schemas import jobs as schemas
from api.models.schemas.answers import TooFewSchema
from api.routes.blueprint import Blueprint
from api.routes.http import IDEMPOTENCY_KEY, actor, answer, enveloped, idempotency, services
from api.services.engines.script.environment import environment_id
from api.services.launching import placed
from api.services.store.job_lists import JobFilter, Sort
from api.services.store.logs import SpanFilter
from api.services.yolo_registration import model_of
from api.utils.errors import NotFound
from api.utils.times import iso

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/training/jobs", description="Scripts as queued jobs")
#: what a list is sorted by -> the column
COLUMNS = {"created_at": "seq", "started_at": "started_at", "name": "name", "priority": "priority"}
STATUS = {word: status for status, word in JOBS.words.items()}


@blueprint.post("")
@blueprint.arguments(schemas.NewJobSchema)
@blueprint.response(201, enveloped(schemas.CreatedJobSchema))
@blueprint.alt_response(507, schema=enveloped(TooFewSchema), description="more than this machine has")
@blueprint.doc(parameters=[IDEMPOTENCY_KEY])
def create(body: dict[str, Any]) -> Response:
    """Queue a script.

    It runs as `[python, script, *args]` in the script's folder, with a fresh output directory in
    `TRAINYARD_OUTPUT_DIR`. The header `Idempotency-Key` makes it safe to send the same request again.
    """
    who, known = actor(), services()
    team_id = body.get("workspace_id")
    if team_id is not None:
        known.accounts.team_for(who, team_id)
    dataset = body.get("dataset_id")
    directory = known.datasets.directory(who, "dataset_id", dataset) if isinstance(dataset, str) else None
    warnings = (f"there is no dataset {dataset} here; the script finds none",) if isinstance(dataset, int) else ()
    spec = JobSpec(
        engine="script",
        name=body["name"],
        params={
            "script_path": body["script_path"],
            "args": body["args"],
            "python": body.get("python"),
            "framework": body["framework"],
            "dataset_path": directory,
        },
        resources=Resources(gpus=body["gpu"], cpus=body["cpu"], memory=body["memory"]),
        priority=body["priority"],
        description=body.get("description"),
        env=body["env"],
        max_runtime=body.get("max_runtime"),
        max_retries=body["max_retries"],
        extra={"dataset_id": dataset, **placed(body.get("placement"))},
    )
    job = known.jobs.submit(who, spec, JOBS, team_id=team_id, request=idempotency(body), warnings=warnings)
    word, created = JOBS.words[job.status], iso(job.created_at)
    shown = {"job_id": job.id, "name": job.spec.name, "status": word, "created_at": created}
    return answer(shown, code=201, message="训练任务创建成功")


@blueprint.get("")
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, enveloped(schemas.JobListSchema))
def list_jobs(query: dict[str, Any]) -> Response:
    """Jobs of this dialect that the caller may read."""
    page, size = query["page"], query["page_size"]
    wanted = JobFilter(
        status=STATUS[query["status"]] if "status" in query else None,
        dialect=JOBS.name,
        team_id=query.get("workspace_id"),
    )
    order = Sort(COLUMNS[query["sort_by"]], descending=query["order"] == "desc")
    found, total = services().jobs.page(actor(), wanted, limit=size, offset=(page - 1) * size, order=order)
    pagination = {"page": page, "page_size": size, "total": total, "total_pages": -(-total // size)}
    return answer({"items": [_item(job) for job in found], "pagination": pagination})


@blueprint.get("/<task:job_id>")
@blueprint.response(200, enveloped(schemas.JobDetailSchema))
def get(job_id: str) -> Response:
    """One job, with its place in the queue and why it waits."""
    job = _job(job_id)
    attempts = services().history.attempts(job)
    return answer(
        {
            **_item(job),
            "description": job.spec.description,
            "script_path": job.spec.params["script_path"],
            "dataset_id": job.spec.extra.get("dataset_id"),
            "model_id": model_of(job),
            "memory": job.spec.resources.memory,
            "priority": job.priority,
            "env_id": environment_id(job.spec.params["python"]),
            "workspace_id": job.team_id,
            "ended_at": iso(job.ended_at),
            "exit_code": attempts[-1].exit_code,
            "attempts": [_attempt(attempt) for attempt in attempts],
            "queue_position": services().queue.position(job),
            "queue_reason": services().queue.reason(job),
            "failure": None
            if job.failure is None
            else {"kind": job.failure.kind, "hint": job.failure.hint, "line": job.failure.line},
            "warnings": list(job.warnings),
        }
    )


@blueprint.post("/<task:job_id>/stop")
@blueprint.response(200, enveloped(None))
@blueprint.alt_response(409, schema=enveloped(None), description="it has already ended")
def stop(job_id: str) -> Response:
    """Stop it: SIGTERM to all its processes, SIGKILL to what is left after ten seconds."""
    services().jobs.stop(actor(), _job(job_id).id, force=False, wait=0.0)
    return answer(None, message="训练任务停止中")


@blueprint.delete("/<task:job_id>")
@blueprint.response(204)
@blueprint.alt_response(409, schema=enveloped(None), description="it runs; stop it first")
def delete(job_id: str) -> Response:
    """Delete it with its logs and metrics; what it wrote into its output directory stays."""
    services().jobs.delete(actor(), _job(job_id).id, files=False)
    return Response(status=204)


@blueprint.get("/<task:job_id>/logs")
@blueprint.arguments(schemas.LogsQuery, location="query")
@blueprint.response(200, enveloped(schemas.JobLogsSchema))
def logs(query: dict[str, Any], job_id: str) -> Response:
    """The last lines that it printed."""
    page = services().history.tail(_job(job_id), SpanFilter(), query["lines"])
    return answer({"logs": [line.text for line in page.lines]})


def _job(job_id: str) -> Job:
    """A job of this dialect; those of the others are found by training v1."""
    job = services().jobs.get(actor(), job_id)
    if job.dialect != JOBS.name:
        raise NotFound(f"there is no job {job_id!r}")
    return job


def _item(job: Job) -> dict[str, Any]:
    wanted = job.spec.resources
    return {
        "job_id": job.id,
        "name": job.spec.name,
        "status": JOBS.words[job.status],
        "framework": job.spec.params["framework"],
        "cpu": wanted.cpus,
        "gpu": wanted.gpus,
        "started_at": None if job.status is JobStatus.QUEUED else iso(job.started_at),
        "created_at": iso(job.created_at),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "exit_code": attempt.exit_code,
        "reason": attempt.reason,
    }
