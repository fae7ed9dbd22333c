"""Requests and answers of the jobs dialect and the queue, as the description shows them: real ones, shortened."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import WHEN, Examples, enveloped
from api.routes.openapi.examples.training import ID

_J = "/api/v1/training/jobs"
JOB_ID = "job-k3x5q2mz"
REASON = f"waits for 2 GPUs: GPU 0 is held by {ID} (about 40 min left); GPU 1 by pid 4312 (python), not ours, 18 GB"
CREATE = {
    "name": "ResNet Training",
    "description": "图像分类模型训练",
    "workspace_id": 1,
    "framework": "pytorch",
    "script_path": "/srv/trainyard/workspace/train.py",
    "dataset_id": 789,
    "cpu": 8,
    "memory": 34359738368,
    "gpu": 2,
    "priority": 5,
    "args": ["--epochs", "100"],
    "max_runtime": 86400,
}
ITEM = {
    "job_id": JOB_ID,
    "name": "ResNet Training",
    "status": "pending",
    "framework": "pytorch",
    "cpu": 8,
    "gpu": 2,
    "started_at": None,
    "created_at": "2026-11-21T13:05:00.120Z",
}
DETAIL = {
    **ITEM,
    "description": "图像分类模型训练",
    "script_path": "/srv/trainyard/workspace/train.py",
    "dataset_id": 789,
    "model_id": None,
    "memory": 34359738368,
    "priority": 5,
    "env_id": "env-5f2c8a1b",
    "workspace_id": 1,
    "ended_at": None,
    "exit_code": None,
    "attempts": [{"number": 1, "started_at": None, "ended_at": None, "exit_code": None, "reason": None}],
    "queue_position": 1,
    "queue_reason": REASON,
    "failure": None,
    "warnings": ["there is no dataset 789 here; the script finds none"],
}
PLACE = {
    "task_id": JOB_ID,
    "status": "queued",
    "priority": 5,
    "held": False,
    "queue_position": 1,
    "queue_reason": REASON,
}
HELD = {**PLACE, "held": True, "queue_position": None, "queue_reason": "is held; release it to let it start"}
DRAINED = {"reason": "a fan is broken", "by": "root", "at": "2026-11-21T13:06:12.004Z"}


def _done(data: Any, message: str = "success") -> dict[str, Any]:
    """A success of the jobs dialect, whose `code` is 0."""
    return {"code": 0, "message": message, "data": data, "timestamp": WHEN}


EXAMPLES: Examples = {
    ("post", _J): {
        "request": CREATE,
        "201": _done({key: ITEM[key] for key in ("job_id", "name", "status", "created_at")}, "训练任务创建成功"),
        "507": enveloped(
            {
                "short_of": ["gpus"],
                "required_gpus": 2,
                "available_gpus": [0],
                "busy_gpus": [],
                "cpu_total": 16,
                "memory_total": 67430293504,
                "recommended_action": "leave gpu_id out, or ask for GPUs that exist",
            },
            "this machine is too small: 2 GPUs were asked for, and there is 1",
            507,
        ),
    },
    ("get", _J): {
        "200": _done({"items": [ITEM], "pagination": {"page": 1, "page_size": 20, "total": 1, "total_pages": 1}})
    },
    ("get", f"{_J}/{{job_id}}"): {"200": _done(DETAIL)},
    ("post", f"{_J}/{{job_id}}/stop"): {
        "200": _done(None, "训练任务停止中"),
        "409": enveloped({"task_id": JOB_ID}, f"job {JOB_ID} has already ended: completed", 409),
    },
    ("delete", f"{_J}/{{job_id}}"): {"409": enveloped(None, f"job {JOB_ID} runs; stop it first", 409)},
    ("get", f"{_J}/{{job_id}}/logs"): {
        "200": _done({"logs": ["Epoch 1/100, Loss: 0.5234", "Epoch 2/100, Loss: 0.4123"]})
    },
    ("get", "/api/v1/queue"): {
        "200": enveloped(
            {
                "jobs": [
                    {
                        "task_id": JOB_ID,
                        "name": "resnet50",
                        "position": 1,
                        "priority": 5,
                        "held": False,
                        "gpus": 2,
                        "cpus": 8,
                        "memory": 34359738368,
                        "reason": REASON,
                    }
                ],
                "waiting": 1,
            }
        )
    },
    ("patch", "/api/v1/training/{task_id}"): {
        "request": {"priority": 5},
        "200": enveloped(PLACE, "priority changed"),
        "409": enveloped(None, f"job {JOB_ID} does not wait: it is running", 409),
    },
    ("post", "/api/v1/training/hold/{task_id}"): {
        "200": enveloped(HELD, "held"),
        "409": enveloped(None, f"job {JOB_ID} does not wait: it is running", 409),
    },
    ("post", "/api/v1/training/release/{task_id}"): {
        "200": enveloped(PLACE, "released"),
        "409": enveloped(None, f"job {JOB_ID} does not wait: it is running", 409),
    },
    ("put", "/api/v1/gpu/{gpu_id}/drain"): {
        "request": {"reason": "a fan is broken"},
        "200": enveloped({"gpu_id": 1, "drained": DRAINED}),
    },
    ("delete", "/api/v1/gpu/{gpu_id}/drain"): {
        "200": enveloped({"gpu_id": 1, "drained": None}),
        "409": enveloped(None, "GPU 1 is not drained", 409),
    },
}
