"""Jobs as training v1 shows them. Numbers come from the store; what is not known is null."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from api.models.events import Axis
from api.models.job import Attempt, Checkpoint, Job, JobStatus, Phase
from api.models.progress import Progress, shown
from api.services.gpus.desk import GpuView
from api.services.history import LogLine
from api.services.store import metrics as metric_store
from api.utils.secrets import masked
from api.utils.times import iso


def progress_groups(job: Job) -> dict[str, Any]:
    """phase, progress, metrics and speed."""
    progress = Progress.from_dict(job.progress)
    step_time = progress.time_per_step
    return {
        "phase": _phase(job, progress),
        "progress": shown(progress, job.status, job.started_at, job.ended_at, time.time()),
        "metrics": {
            "current_loss": progress.loss,
            "best_loss": progress.best_loss,
            "learning_rate": progress.learning_rate,
            "grad_norm": progress.grad_norm,
            "epoch_loss": progress.epoch_loss,
            "best_epoch": progress.best_epoch,
        },
        "speed": {
            "steps_per_second": round(1 / step_time, 4) if step_time else None,
            "samples_per_second": progress.samples_per_second,
            "time_per_step": step_time,
        },
    }


def _phase(job: Job, progress: Progress) -> str:
    if job.status is JobStatus.QUEUED:
        return Phase.QUEUED
    if job.status is JobStatus.COMPLETED:
        return Phase.DONE
    if progress.phase is Phase.QUEUED:  # claimed; nothing was read of it yet
        return Phase.DONE if job.status.is_terminal else Phase.STARTING
    return progress.phase


def progress_answer(job: Job) -> dict[str, Any]:
    return {
        "task_id": job.id,
        "status": job.status,
        **progress_groups(job),
        "stop_requested_at": iso(job.stop_requested_at),
        "updated_at": iso(job.updated_at),
    }


def list_item(job: Job, gpus: GpuView) -> dict[str, Any]:
    groups = progress_groups(job)
    gpu = gpu_of(job)
    return {
        "task_id": job.id,
        "status": job.status,
        "engine": job.engine,
        "dialect": job.dialect,
        "name": job.spec.name,
        "gpu_id": gpu,
        "gpu_name": None if gpu is None else gpus.name_of(gpu),
        "model_type": job.spec.params.get("model_type"),
        "description": job.spec.description,
        "tags": list(job.spec.tags),
        "priority": job.priority,
        "held": job.held,
        "progress": groups["progress"],
        "metrics": groups["metrics"],
        "stop_requested_at": iso(job.stop_requested_at),
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "updated_at": iso(job.updated_at),
        "completed_at": iso(job.ended_at),
        "failure": None if job.failure is None else asdict(job.failure),
    }


def gpu_of(job: Job) -> int | None:
    """The first GPU that it holds or held, or that it asked for."""
    chosen = job.gpu_ids or job.spec.resources.gpu_ids
    return chosen[0] if chosen else None


def started(job: Job, gpus: GpuView, position: int | None, saved: Sequence[Checkpoint]) -> dict[str, Any]:
    gpu = gpu_of(job)
    config = masked(dict(job.spec.params.get("config", {})))
    return {
        "task_id": job.id,
        "status": job.status,
        "gpu_id": gpu,
        "gpu_name": None if gpu is None else gpus.name_of(gpu),
        "engine": job.engine,
        "model_type": job.spec.params.get("model_type"),
        "config": config,
        "description": job.spec.description,
        "created_at": iso(job.created_at),
        "queue_position": position,
        "estimated_start_time": None,
        "estimated_duration": None,
        "checkpoints": {
            "save_every_n_epochs": config.get("save_every_n_epochs"),
            "last_saved": saved[-1].name if saved else None,
            "next_save": None,
        },
        "warnings": list(job.warnings),
    }


def detail(
    job: Job,
    gpus: GpuView,
    attempts: Sequence[Attempt],
    saved: Sequence[dict[str, Any]],
    usage: Mapping[str, Any] | None,
    series: Mapping[str, metric_store.Line],
    logs_path: str,
    position: int | None,
    waits_for: str | None,
) -> dict[str, Any]:
    current = attempts[-1]
    item = list_item(job, gpus)
    item["metrics"] = {
        **item["metrics"],
        "epoch_losses": points(series["epoch"], Axis.EPOCH),
        "step_losses": points(series["step"], Axis.STEP),
    }
    return {
        **item,
        **{name: value for name, value in progress_groups(job).items() if name in ("phase", "speed")},
        "config": masked(dict(job.spec.params.get("config", job.spec.params))),
        "dataset": masked(job.spec.dataset),
        "command": list(current.command),
        "environment": masked(dict(current.environment)),
        "attempts": [attempt_row(attempt) for attempt in attempts],
        "system_stats": system_stats(job, gpus, usage),
        "checkpoints": list(saved),
        "logs_path": logs_path,
        "output_dir": current.output_dir,
        "error_message": job.error_message,
        "reason": job.reason,
        "warnings": list(job.warnings),
        "notes": masked(Progress.from_dict(job.progress).notes),
        "queue_position": position,
        "queue_reason": waits_for,
    }


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "series": attempt.series,
        "pid": attempt.pid,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "exit_code": attempt.exit_code,
        "reason": attempt.reason,
        "resume_from": attempt.resume_from,
        "output_dir": attempt.output_dir,
    }


def system_stats(job: Job, gpus: GpuView, usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of a running job: what its processes and its GPU use, as last measured. Of others: nulls."""
    alive = job.status is JobStatus.RUNNING
    gpu = gpus.snapshot.get(job.gpu_ids[0]) if alive and job.gpu_ids else None
    known = usage if alive and usage is not None else {}
    return {
        "gpu_memory": {
            "total": gpu.memory_total_mb if gpu else None,
            "used": gpu.memory_used_mb if gpu else None,
            "free": gpu.memory_free_mb if gpu else None,
            "utilization": gpu.memory_utilization if gpu else None,
        },
        "gpu_utilization": gpu.utilization_percent if gpu else None,
        "gpu_temperature": gpu.temperature_c if gpu else None,
        "gpu_power": gpu.power_w if gpu else None,
        "cpu_percent": known.get("cpu_percent"),
        "rss_bytes": known.get("rss_bytes"),
    }


def checkpoint(saved: Checkpoint, at: metric_store.Point | None) -> dict[str, Any]:
    return {
        "name": saved.name,
        "kind": saved.kind,
        "epoch": saved.epoch if saved.epoch is not None or at is None else at.epoch,
        "step": saved.step,
        "path": saved.path,
        "timestamp": iso(saved.timestamp),
        "loss": at.value if at is not None else None,
        "size_bytes": saved.size_bytes,
    }


def points(line: metric_store.Line, axis: Axis) -> list[dict[str, Any]]:
    return [
        {
            "epoch": point.x if axis is Axis.EPOCH else point.epoch,
            "step": None if axis is Axis.EPOCH else point.x,
            "value": point.value,
            "timestamp": iso(point.at),
        }
        for point in line.points
    ]


def log_line(line: LogLine) -> dict[str, Any]:
    return {
        "line_number": line.number,
        "timestamp": iso(line.at),
        "level": line.level.name,
        "type": line.type,
        "message": line.text,
        "epoch": line.epoch,
        "step": line.step,
    }
