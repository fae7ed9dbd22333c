"""Training v1: /api/v1/training (contract 1)."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

from flask import Response

from api.models.dialect import TRAINING_V1
from api.models.events import Axis, Level, LineType
from api.models.job import Job, JobSpec, JobStatus, Resources
from api.models.schemas import training as schemas
from api.models.schemas import training_logs as log_schemas
from api.models.schemas.answers import TooFewSchema
from api.routes import render
from api.routes.blueprint import Blueprint
from api.routes.files import artifact_list, send_artifact
from api.routes.http import IDEMPOTENCY_KEY, actor, answer, enveloped, idempotency, services
from api.routes.streams import all_events, job_events, log_stream
from api.services.launching import placed
from api.services.store import jobs as store
from api.services.store.job_lists import JobFilter
from api.services.store.logs import SpanFilter
from api.utils.errors import Invalid
from api.utils.times import iso

blueprint = Blueprint("training", __name__, url_prefix="/api/v1/training", description="Trainings of every dialect")


@blueprint.post("/start")
@blueprint.arguments(schemas.StartSchema)
@blueprint.response(201, enveloped(schemas.StartAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(schemas.BusySchema), description="the explicit GPU is busy")
@blueprint.alt_response(507, schema=enveloped(TooFewSchema), description="fewer GPUs than asked exist")
@blueprint.doc(parameters=[IDEMPOTENCY_KEY])
def start(body: dict[str, Any]) -> Response:
    """Start a diffusion-pipe training."""
    services().preprocessing.check_use(actor(), body["dataset"])
    who, team_id = actor(), body.get("workspace_id")
    if team_id is not None:
        services().accounts.team_for(who, team_id)
    job = services().jobs.submit(
        who, spec_of(body), TRAINING_V1, wait=body["wait"], team_id=team_id, request=idempotency(body)
    )
    return answer(_started(job), code=201, message="training queued")


def spec_of(body: dict[str, Any]) -> JobSpec:
    """What the body of /start asks for."""
    gpu = body.get("gpu_id", -1)
    if gpu >= 0 and body["num_gpus"] > 1:
        raise Invalid("num_gpus", "cannot be more than 1 together with an explicit gpu_id")
    return JobSpec(
        engine="diffusion_pipe",
        name=body.get("description") or body["model_type"],
        params={"model_type": body["model_type"], "config": body["config"]},
        dataset=body["dataset"],
        resources=Resources(gpus=body["num_gpus"], gpu_ids=(gpu,) if gpu >= 0 else ()),
        priority=body["priority"],
        description=body.get("description"),
        tags=tuple(body["tags"]),
        env=body["env"],
        extra=placed(body.get("placement")),
        max_runtime=body.get("max_runtime"),
        max_retries=body["max_retries"],
    )


def _started(job: Job) -> dict[str, Any]:
    return render.started(job, services().gpus.view(), _position(job), [])


def _position(job: Job) -> int | None:
    return services().queue.position(job)


@blueprint.post("/stop/<task:task_id>")
@blueprint.arguments(schemas.StopSchema)
@blueprint.arguments(schemas.WaitQuery, location="query")
@blueprint.response(200, enveloped(schemas.StopAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(schemas.TaskIdSchema), description="it has already ended")
def stop(body: dict[str, Any], query: dict[str, Any], task_id: str) -> Response:
    """Stop: ask it to save and quit, or, with `force`, end it now."""
    result = services().jobs.stop(actor(), task_id, force=body["force"], wait=query["wait"])
    job, last = result.job, result.last_checkpoint
    end = job.ended_at if job.ended_at is not None else datetime.now().timestamp()
    return answer(
        {
            "task_id": job.id,
            "status": job.status,
            "stop_requested_at": iso(job.stop_requested_at),
            "stopped_at": iso(job.ended_at),
            "checkpoint_saved": result.checkpoint_saved,
            "last_checkpoint": last.name if last else None,
            "training_time": None if job.started_at is None else round(max(0.0, end - job.started_at), 1),
            "grace_seconds": result.grace_seconds,
        },
        message="stopped" if job.status.is_terminal else "stopping",
    )


@blueprint.get("/list")
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, enveloped(schemas.ListAnswerSchema))
def list_tasks(query: dict[str, Any]) -> Response:
    """List jobs of every dialect, newest first."""
    wanted = JobFilter(
        status=JobStatus(query["status"]) if "status" in query else None,
        **{name: query.get(name) for name in ("gpu_id", "engine", "dialect", "tag", "q")},
    )
    limit, offset = query["limit"], query["offset"]
    found, total = services().jobs.page(actor(), wanted, limit=limit, offset=offset)
    gpus = services().gpus.view()
    more = offset + len(found) < total
    return answer(
        {
            "tasks": [render.list_item(job, gpus) for job in found],
            "pagination": {"total": total, "limit": limit, "offset": offset, "has_more": more},
        }
    )


@blueprint.get("/events")
def events() -> Response:
    """Status and progress of all jobs, as they change; does not end."""
    return all_events(actor())


@blueprint.get("/<task:task_id>")
@blueprint.response(200, enveloped(schemas.DetailSchema))
def get(task_id: str) -> Response:
    """One job of any dialect."""
    job, history = _job(task_id), services().history
    with services().db.read() as connection:
        usage = store.extras(connection, job.seq).usage
    series = {
        "epoch": history.line(job, "loss", Axis.EPOCH, limit=1000, newest=True),
        "step": history.line(job, "loss", Axis.STEP, limit=100, newest=True),
    }
    return answer(
        render.detail(
            job,
            services().gpus.view(),
            history.attempts(job),
            _checkpoints(job),
            usage,
            series,
            history.log_path(job),
            _position(job),
            services().queue.reason(job),
        )
    )


def _job(task_id: str) -> Job:
    return services().jobs.get(actor(), task_id)


@blueprint.get("/<task:task_id>/progress")
@blueprint.response(200, enveloped(schemas.ProgressAnswerSchema))
def progress(task_id: str) -> Response:
    """How far it is."""
    return answer(render.progress_answer(_job(task_id)))


@blueprint.get("/<task:task_id>/metrics")
@blueprint.arguments(schemas.MetricsQuery, location="query")
@blueprint.response(200, enveloped(schemas.MetricsAnswerSchema))
def metrics(query: dict[str, Any], task_id: str) -> Response:
    """A metric's history.

    The whole line, thinned to `limit` points that keep its shape, or its newest points as they are.
    """
    job, axis = _job(task_id), Axis(query["type"])
    line = services().history.line(
        job,
        query["metric"],
        axis,
        limit=query["limit"],
        since=query.get("since_step"),
        newest=query["window"] == "last",
        attempt=query.get("attempt"),
    )
    rows = render.points(line, axis)
    if query["format"] == "csv":
        return _csv(rows, f"{job.id}_{axis}.csv")
    return answer(
        {
            "task_id": job.id,
            "metric": query["metric"],
            "type": axis,
            "total_points": line.total_points,
            "downsampled": line.downsampled,
            "data": rows,
        }
    )


def _csv(rows: list[dict[str, Any]], name: str) -> Response:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", "step", "value", "timestamp"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    response = Response(text.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@blueprint.get("/<task:task_id>/metrics/names")
@blueprint.arguments(schemas.AttemptQuery, location="query")
@blueprint.response(200, enveloped(schemas.NamesAnswerSchema))
def metric_names(query: dict[str, Any], task_id: str) -> Response:
    """What was recorded."""
    job = _job(task_id)
    rows = services().history.names(job, query.get("attempt"))
    return answer({"task_id": job.id, "metrics": [{**row, "updated_at": iso(row["updated_at"])} for row in rows]})


def _span_filter(query: dict[str, Any], since: datetime | None, until: datetime | None = None) -> SpanFilter:
    return SpanFilter(
        level=Level[query["level"]] if "level" in query else None,
        type=None if query["type"] == "all" else LineType(query["type"]),
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
    )


@blueprint.get("/<task:task_id>/logs")
@blueprint.arguments(log_schemas.LogsQuery, location="query")
@blueprint.response(200, enveloped(log_schemas.LogsAnswerSchema))
def logs(query: dict[str, Any], task_id: str) -> Response:
    """The last lines, those after a byte cursor, or those beside a line."""
    job, history = _job(task_id), services().history
    wanted = _span_filter(query, query.get("since"))
    if "offset" in query:
        page = history.page(job, wanted, offset=query["offset"], limit=query["limit"])
    elif "from_line" in query:
        page = history.from_line(job, wanted, query["from_line"], query["limit"])
    elif "before_line" in query:
        page = history.tail(job, wanted, query["limit"], query["before_line"])
    else:
        page = history.tail(job, wanted, query["tail"])
    return answer(
        {
            "task_id": job.id,
            "log_file": history.log_path(job),
            "total_lines": page.total_lines,
            "next_cursor": page.next_cursor,
            "logs": [render.log_line(line) for line in page.lines],
        }
    )


@blueprint.get("/<task:task_id>/logs/search")
@blueprint.arguments(log_schemas.SearchQuery, location="query")
@blueprint.response(200, enveloped(log_schemas.SearchAnswerSchema))
def search(query: dict[str, Any], task_id: str) -> Response:
    """Lines that contain a keyword (letter case aside), or match a regular expression."""
    job = _job(task_id)
    wanted = _span_filter(query, query.get("start_time"), query.get("end_time"))
    more = {"is_regex": query["regex"], "limit": query["limit"], "first": query["from_line"]}
    found = services().history.search(job, wanted, query["keyword"], **more)
    results = [{**render.log_line(match.line), "matched_text": match.matched} for match in found.matches]
    return answer(
        {
            "task_id": job.id,
            "query": query["keyword"],
            "total_matches": found.total,
            "complete": found.complete,
            "next_line": found.next_line,
            "results": results,
        }
    )


@blueprint.get("/<task:task_id>/logs/stream")
@blueprint.arguments(log_schemas.LogFilterQuery, location="query")
def stream_logs(query: dict[str, Any], task_id: str) -> Response:
    """The log as it comes, until the job has ended.

    Begins with the last 50 lines, or after `Last-Event-ID`. A line that comes again (a progress bar) replaces the one
    of the same `line_number`.
    """
    return log_stream(_job(task_id), _span_filter(query, None))


@blueprint.get("/<task:task_id>/events")
def stream_events(task_id: str) -> Response:
    """Status, progress, metric and log events of one job, until it has ended."""
    return job_events(_job(task_id))


@blueprint.get("/<task:task_id>/checkpoints")
@blueprint.response(200, enveloped(schemas.CheckpointsAnswerSchema))
def checkpoints(task_id: str) -> Response:
    """What it saved: `state` can be resumed from, `weights` are the product."""
    job = _job(task_id)
    return answer({"task_id": job.id, "checkpoints": _checkpoints(job)})


def _checkpoints(job: Job) -> list[dict[str, Any]]:
    saved = services().jobs.checkpoints(job)
    points = services().history.points_at(job, "loss", [c.step for c in saved if c.step is not None])
    return [render.checkpoint(c, points.get(c.step) if c.step is not None else None) for c in saved]


@blueprint.get("/<task:task_id>/artifacts")
@blueprint.arguments(schemas.AttemptQuery, location="query")
@blueprint.response(200, enveloped(schemas.ArtifactsAnswerSchema))
def artifacts(query: dict[str, Any], task_id: str) -> Response:
    """The files of its output directory."""
    return answer(artifact_list(_job(task_id), query.get("attempt")))


@blueprint.get("/<task:task_id>/artifacts/<path:path>")
@blueprint.arguments(schemas.ArtifactQuery, location="query")
def artifact(query: dict[str, Any], task_id: str, path: str) -> Response:
    """Download one file, or show an image."""
    return send_artifact(_job(task_id), path, query.get("attempt"), show=query["show"])


@blueprint.post("/resume/<task:task_id>")
@blueprint.arguments(schemas.ResumeSchema)
@blueprint.response(200, enveloped(schemas.StartAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it has not ended, or there is nothing to resume")
def resume(body: dict[str, Any], task_id: str) -> Response:
    """Go on from its newest checkpoint, or from the one named."""
    job = services().jobs.resume(actor(), task_id, body.get("checkpoint"))
    return answer(_started(job), message="training queued")


@blueprint.post("/restart/<task:task_id>")
@blueprint.response(200, enveloped(schemas.StartAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it has not ended")
def restart(task_id: str) -> Response:
    """The same request again, from nothing."""
    return answer(_started(services().jobs.restart(actor(), task_id)), message="training queued")


@blueprint.delete("/<task:task_id>")
@blueprint.arguments(schemas.DeleteQuery, location="query")
@blueprint.response(200, enveloped(schemas.TaskIdSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it runs; stop it first")
def delete(query: dict[str, Any], task_id: str) -> Response:
    """Remove a job; with `?files=true` its output too."""
    services().jobs.delete(actor(), task_id, files=query["files"])
    return answer({"task_id": task_id}, message="deleted")
