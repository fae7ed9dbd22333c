"""Requests and answers that the description shows: real ones, shortened."""

from __future__ import annotations

from typing import Any

from api.routes.webhook_examples import WEBHOOKS

WHEN = 1795259583
ID = "train_20261121_111249_3471c10c"
RUN = f"/srv/trainyard/training_runs/{ID}/20261121_11-12-56"


def _answer(data: Any, message: str = "success", code: int = 200) -> dict[str, Any]:
    return {"code": code, "message": message, "data": data, "timestamp": WHEN}


MODEL = {"checkpoint_path": "/models/sd_xl_base_1.0.safetensors", "dtype": "bfloat16"}
OPTIMIZER = {"type": "adamw_optimi", "lr": 5e-5, "betas": [0.9, 0.99], "weight_decay": 0.01, "eps": 1e-8}
DATASET = {
    "resolutions": [1024],
    "enable_ar_bucket": True,
    "directory": [{"path": "/srv/trainyard/workspace/cats", "num_repeats": 2}],
}
START = {
    "model_type": "sdxl",
    "description": "Cats, second try",
    "tags": ["cats"],
    "dataset": DATASET,
    "config": {
        "epochs": 3,
        "micro_batch_size_per_gpu": 4,
        "save": {"save_every_n_epochs": 1, "checkpoint_every_n_epochs": 1},
        "model": MODEL,
        "adapter": {"type": "lora", "rank": 16},
    },
}
CONFIG = {
    "epochs": 3,
    "micro_batch_size_per_gpu": 4,
    "gradient_accumulation_steps": 1,
    "save_every_n_epochs": 1,
    "checkpoint_every_n_epochs": 1,
    "save_dtype": "bfloat16",
    "model": {"type": "sdxl", **MODEL},
    "adapter": {"type": "lora", "rank": 16, "dtype": "bfloat16"},
    "optimizer": OPTIMIZER,
}
STARTED: dict[str, Any] = {
    "task_id": ID,
    "status": "queued",
    "gpu_id": None,
    "gpu_name": None,
    "engine": "diffusion_pipe",
    "model_type": "sdxl",
    "config": CONFIG,
    "description": "Cats, second try",
    "created_at": "2026-11-21T11:12:49.480Z",
    "queue_position": 1,
    "estimated_start_time": None,
    "estimated_duration": None,
    "checkpoints": {"save_every_n_epochs": 1, "last_saved": None, "next_save": None},
    "warnings": [],
}
PROGRESS = {
    "current_epoch": 2,
    "total_epochs": 3,
    "current_step": 24,
    "total_steps": 48,
    "total_steps_estimated": True,
    "current_batch": 8,
    "total_batches": 16,
    "epoch_progress": 50.0,
    "overall_progress": 50.0,
    "eta_seconds": 9.1,
    "eta_formatted": "9s",
    "training_time": 13.3,
    "training_time_formatted": "13s",
}
NOW = {
    "current_loss": 0.6445,
    "best_loss": 0.4757,
    "learning_rate": 5e-5,
    "grad_norm": 0.5213,
    "epoch_loss": 1.5995,
    "best_epoch": 1,
}
SPEED = {"steps_per_second": 2.6316, "samples_per_second": 10.42, "time_per_step": 0.38}
ITEM = {
    "task_id": ID,
    "status": "running",
    "engine": "diffusion_pipe",
    "dialect": "training_v1",
    "name": "Cats, second try",
    "gpu_id": 0,
    "gpu_name": "NVIDIA GeForce RTX 4090",
    "model_type": "sdxl",
    "description": "Cats, second try",
    "tags": ["cats"],
    "priority": 0,
    "held": False,
    "progress": PROGRESS,
    "metrics": NOW,
    "stop_requested_at": None,
    "created_at": "2026-11-21T11:12:49.480Z",
    "started_at": "2026-11-21T11:12:50.031Z",
    "updated_at": "2026-11-21T11:13:03.509Z",
    "completed_at": None,
}
POINT = {"epoch": 1, "step": 1, "value": 2.5118, "timestamp": "2026-11-21T11:12:57.419Z"}
LAST_POINT = {"epoch": 2, "step": 24, "value": 0.6445, "timestamp": "2026-11-21T11:13:03.120Z"}
EPOCH_POINT = {"epoch": 1, "step": None, "value": 1.5995, "timestamp": "2026-11-21T11:12:59.261Z"}
STATE = {
    "name": "global_step16",
    "kind": "state",
    "epoch": 1,
    "step": 16,
    "path": f"{RUN}/global_step16",
    "timestamp": "2026-11-21T11:12:58.019Z",
    "loss": 0.9264,
    "size_bytes": 1684971,
}
WEIGHTS = {
    "name": "epoch1",
    "kind": "weights",
    "epoch": 1,
    "step": None,
    "path": f"{RUN}/epoch1",
    "timestamp": "2026-11-21T11:12:58.030Z",
    "loss": None,
    "size_bytes": 278194,
}
DETAIL = {
    **ITEM,
    "metrics": {**NOW, "epoch_losses": [EPOCH_POINT], "step_losses": [POINT, LAST_POINT]},
    "phase": "training",
    "speed": SPEED,
    "config": CONFIG,
    "dataset": DATASET,
    "command": ["/opt/diffusion-pipe/bin/python", "-u", "train.py", "--deepspeed", "--config", f"/srv/{ID}.toml"],
    "environment": {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "MASTER_PORT": "49223"},
    "attempts": [
        {
            "number": 1,
            "series": 1,
            "pid": 31277,
            "started_at": "2026-11-21T11:12:50.031Z",
            "ended_at": None,
            "exit_code": None,
            "reason": None,
            "resume_from": None,
            "output_dir": f"/srv/trainyard/training_runs/{ID}",
        }
    ],
    "system_stats": {
        "gpu_memory": {"total": 24564, "used": 18210, "free": 6354, "utilization": 74.1},
        "gpu_utilization": 98,
        "gpu_temperature": 66,
        "gpu_power": 301.5,
        "cpu_percent": 104.2,
        "rss_bytes": 5364514816,
    },
    "checkpoints": [STATE, WEIGHTS],
    "notes": {},
    "completed_at": None,
    "logs_path": f"/srv/trainyard/logs/{ID}.log",
    "output_dir": f"/srv/trainyard/training_runs/{ID}",
    "error_message": None,
    "failure": None,
    "reason": None,
    "warnings": [],
    "queue_position": None,
    "queue_reason": None,
}
LINE = {
    "line_number": 142,
    "timestamp": "2026-11-21T11:13:01.879Z",
    "level": "INFO",
    "type": "train",
    "message": "Saving model to directory epoch3",
    "epoch": 3,
    "step": 48,
}
GPU = {
    "gpu_id": 0,
    "uuid": "GPU-5f2c8a1b-93aa-4c0e-8e57-2f1d6f6f1a55",
    "name": "NVIDIA GeForce RTX 4090",
    "memory_total": 24564,
    "memory_used": 18210,
    "memory_free": 6354,
    "memory_utilization": 74.1,
    "utilization_gpu": 98,
    "temperature": 66,
    "power_usage": 301.5,
    "power_limit": 450.0,
    "status": "training",
    "current_task": ID,
    "drained": None,
    "task_type": "diffusion_pipe",
    "task_progress": 50.0,
    "estimated_remaining_time": 9.1,
    "processes": [{"pid": 31277, "name": "python", "memory_mb": 17900, "run_id": ID}],
    "driver_version": "570.124.06",
    "cuda_version": "12.8",
}
GPU_SUMMARY = {
    "total_gpus": 2,
    "available_gpus": 1,
    "busy_gpus": 1,
    "total_memory": 49128,
    "available_memory": 24120,
}
USER = {"id": 2, "name": "ana", "role": "member", "builtin": False, "created_at": "2026-11-20T08:30:00.000Z"}
PERSON = {"id": 2, "name": "ana", "role": "member"}
TOKEN = {
    "id": 7,
    "user_id": 2,
    "label": "notebook",
    "scopes": ["read", "run"],
    "created_at": "2026-11-21T11:13:03.874Z",
    "last_used_at": None,
    "expires_at": "2027-02-19T11:13:03.874Z",
    "revoked_at": None,
}
WORKSPACE = {"id": 1, "name": "vision", "created_at": "2026-11-20T08:31:00.000Z"}
SECRET = "ty_7_UHNz9IBcS_l7fXkPdhFTD39TIXouSLfqyxmVcEaMJAc"  # of nobody

_T, _A = "/api/v1/training", "/api/v1/auth"

#: method and path: `request` and, by status, what is answered
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", f"{_T}/start"): {
        "request": START,
        "201": _answer(STARTED, "training queued", 201),
        "409": _answer(
            {
                "gpu_id": 0,
                "current_task": ID,
                "estimated_available_time": "2026-11-21T11:13:12.600Z",
                "available_gpus": [1],
            },
            f"busy: GPU 0 by job {ID}",
            409,
        ),
        "507": _answer(
            {
                "short_of": ["gpus"],
                "required_gpus": 4,
                "available_gpus": [1],
                "busy_gpus": [0],
                "cpu_total": 16,
                "memory_total": 67430293504,
                "recommended_action": "leave gpu_id out, or ask for GPUs that exist",
            },
            "this machine is too small: 4 GPUs were asked for, and there are 2",
            507,
        ),
    },
    ("post", f"{_T}/stop/{{task_id}}"): {
        "request": {"force": False},
        "200": _answer(
            {
                "task_id": ID,
                "status": "stopped",
                "stop_requested_at": "2026-11-21T11:13:04.000Z",
                "stopped_at": "2026-11-21T11:13:06.250Z",
                "checkpoint_saved": True,
                "last_checkpoint": "global_step26",
                "training_time": 16.2,
                "grace_seconds": None,
            },
            "stopped",
        ),
        "409": _answer({"task_id": ID}, f"job {ID} has already ended: completed", 409),
    },
    ("get", f"{_T}/list"): {
        "200": _answer(
            {"tasks": [ITEM], "pagination": {"total": 1, "limit": 50, "offset": 0, "has_more": False}},
        )
    },
    ("get", f"{_T}/{{task_id}}"): {"200": _answer(DETAIL)},
    ("post", f"{_T}/preview"): {
        "request": START,
        "200": _answer(
            {
                "model_type": START["model_type"],
                "config": CONFIG,
                "dataset": DATASET,
                "files": [{"name": "{job}_dataset.toml", "text": "resolutions = [512]\n"}],
                "warnings": [],
            },
            "nothing was started",
        ),
    },
    ("get", f"{_T}/{{task_id}}/request"): {
        "200": _answer({"task_id": ID, "path": f"{_T}/start", "body": START, "left_out": ["config.output_dir"]})
    },
    ("delete", f"{_T}/{{task_id}}"): {
        "200": _answer({"task_id": ID}, "deleted"),
        "409": _answer(None, f"job {ID} runs; stop it first", 409),
    },
    ("get", f"{_T}/{{task_id}}/progress"): {
        "200": _answer(
            {
                "task_id": ID,
                "status": "running",
                "phase": "training",
                "progress": PROGRESS,
                "metrics": NOW,
                "speed": SPEED,
                "stop_requested_at": None,
                "updated_at": "2026-11-21T11:13:03.509Z",
            }
        )
    },
    ("get", f"{_T}/{{task_id}}/metrics"): {
        "200": _answer(
            {
                "task_id": ID,
                "metric": "loss",
                "type": "step",
                "total_points": 24,
                "downsampled": True,
                "data": [POINT, LAST_POINT],
            }
        )
    },
    ("get", f"{_T}/{{task_id}}/metrics/names"): {
        "200": _answer(
            {
                "task_id": ID,
                "metrics": [
                    {
                        "name": "loss",
                        "type": "step",
                        "points": 24,
                        "last": 24,
                        "updated_at": "2026-11-21T11:13:03.120Z",
                    },
                ],
            }
        )
    },
    ("get", f"{_T}/{{task_id}}/logs"): {
        "200": _answer(
            {
                "task_id": ID,
                "log_file": f"/srv/trainyard/logs/{ID}.log",
                "total_lines": 142,
                "next_cursor": 12482,
                "logs": [LINE],
            }
        )
    },
    ("get", f"{_T}/{{task_id}}/logs/search"): {
        "200": _answer(
            {
                "task_id": ID,
                "query": "epoch",
                "total_matches": 1,
                "complete": True,
                "next_line": None,
                "results": [{**LINE, "matched_text": "epoch"}],
            }
        )
    },
    ("get", f"{_T}/{{task_id}}/checkpoints"): {"200": _answer({"task_id": ID, "checkpoints": [STATE, WEIGHTS]})},
    ("get", f"{_T}/{{task_id}}/artifacts"): {
        "200": _answer(
            {
                "task_id": ID,
                "directory": f"/srv/trainyard/training_runs/{ID}",
                "truncated": False,
                "artifacts": [
                    {
                        "path": "20261121_11-12-56/epoch1/adapter_model.safetensors",
                        "size_bytes": 277394,
                        "modified_at": "2026-11-21T11:12:58.028Z",
                    },
                ],
            }
        )
    },
    ("post", f"{_T}/resume/{{task_id}}"): {
        "request": {"checkpoint": "global_step16"},
        "200": _answer(
            {**STARTED, "checkpoints": {**STARTED["checkpoints"], "last_saved": "global_step16"}}, "training queued"
        ),
        "409": _answer(None, f"job {ID} has no checkpoint to resume from; restart it instead", 409),
    },
    ("post", f"{_T}/restart/{{task_id}}"): {
        "200": _answer(STARTED, "training queued"),
        "409": _answer(None, f"job {ID} has not ended: it is running", 409),
    },
    ("get", "/api/v1/gpu/status"): {"200": _answer({"gpus": [GPU], "summary": GPU_SUMMARY, "driver": "570.124.06"})},
    ("get", "/api/v1/gpu/summary"): {"200": _answer(GPU_SUMMARY)},
    ("get", "/api/v1/gpu/available"): {
        "200": _answer(
            {
                "available_gpus": [
                    {
                        "gpu_id": 1,
                        "name": "NVIDIA GeForce RTX 4090",
                        "memory_total": 24564,
                        "memory_free": 24120,
                        "status": "available",
                        "recommended_for": ["yolo", "ocr", "captioning", "lora-sdxl", "lora-video"],
                    },
                ],
                "total_available": 1,
            }
        )
    },
    ("get", "/api/v1/gpu/{gpu_id}/details"): {
        "200": _answer(
            {
                **GPU,
                "history": [
                    {
                        "timestamp": "2026-11-21T11:13:03.000Z",
                        "memory_used": 18210,
                        "utilization_gpu": 98,
                        "temperature": 66,
                        "power_usage": 301.5,
                    },
                ],
            }
        )
    },
    ("get", "/api/v1/system/overview"): {
        "200": _answer(
            {
                "system": {
                    "cpu_count": 16,
                    "cpu_usage": 52.7,
                    "memory_total": 67430301696,
                    "memory_used": 21474836480,
                    "memory_available": 45955465216,
                    "disk_total": 1000204886016,
                    "disk_used": 412316860416,
                    "disk_free": 587888025600,
                },
                "gpus": {"total": 2, "available": 1, "busy": 1},
                "tasks": {"total": 3, "queued": 1, "running": 1, "completed": 1, "failed": 0, "stopped": 0},
                "queue": {"waiting": 1, "oldest_wait_seconds": 14.8},
                "executor": "local",
                "uptime": 86400.5,
                "version": "0.1.0",
            }
        )
    },
    ("get", "/api/v1/engines"): {
        "200": _answer(
            {
                "engines": [
                    {
                        "name": "diffusion_pipe",
                        "available": True,
                        "version": "bundled",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["model_type", "dataset"],
                            "properties": {"model_type": {"type": "string", "enum": ["flux", "sdxl", "wan"]}},
                        },
                    },
                    {
                        "name": "script",
                        "available": True,
                        "version": "env-3f9a1c07",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["script_path"],
                            "properties": {"script_path": {"type": "string", "pattern": "^/"}},
                        },
                    },
                    {
                        "name": "kraken",
                        "available": True,
                        "version": "7.1.1",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["task", "model_id", "document_ids"],
                            "properties": {"task": {"type": "string", "enum": ["train", "segtrain", "test"]}},
                        },
                    },
                ]
            }
        )
    },
    ("post", f"{_A}/session"): {
        "201": _answer({"csrf_token": "3f1c9a0b7d2e4856"}, "session opened", 201),
    },
    ("post", "/api/token-auth/"): {
        "request": {"username": "ana", "password": "correct horse battery staple"},
        "200": {"token": SECRET},
        "400": {"password": ["This field is required."]},
    },
    ("post", f"{_A}/login"): {
        "request": {"username": "ana", "password": "correct horse battery staple"},
        "200": _answer({"token": SECRET, "csrf_token": "o3vQ2m9yT0a8", "user": USER}, "signed in"),
        "400": _answer(
            {"non_field_errors": ["Unable to log in with provided credentials."]},
            "Unable to log in with provided credentials.",
            400,
        ),
    },
    ("post", f"{_A}/logout"): {"200": _answer(None, "signed out")},
    ("get", f"{_A}/me"): {
        "200": _answer(
            {
                "user": PERSON,
                "via": "token",
                "scopes": ["read", "run"],
                "workspaces": [WORKSPACE],
                "csrf_token": None,
            }
        )
    },
    ("post", f"{_A}/password"): {
        "request": {"password": "correct horse battery staple", "new_password": "a better one of mine"},
        "200": _answer(None, "password changed"),
    },
    ("get", f"{_A}/users"): {"200": _answer({"users": [USER]})},
    ("post", f"{_A}/users"): {
        "request": {"name": "ana", "password": "correct horse battery staple", "role": "member"},
        "201": _answer(USER, "user added", 201),
    },
    ("patch", f"{_A}/users/{{user_id}}"): {
        "request": {"role": "admin"},
        "200": _answer({**USER, "role": "admin"}, "user changed"),
    },
    ("delete", f"{_A}/users/{{user_id}}"): {"200": _answer({"id": 2}, "user removed")},
    ("get", f"{_A}/tokens"): {"200": _answer({"tokens": [TOKEN]})},
    ("post", f"{_A}/tokens"): {
        "request": {"label": "notebook", "scopes": ["run"], "expires_days": 90},
        "201": _answer({**TOKEN, "token": SECRET}, "token made; it is shown only now", 201),
    },
    ("delete", f"{_A}/tokens/{{token_id}}"): {
        "200": _answer({**TOKEN, "revoked_at": "2026-11-21T12:00:00.000Z"}, "token revoked")
    },
    ("get", f"{_A}/workspaces"): {"200": _answer({"workspaces": [WORKSPACE]})},
    ("post", f"{_A}/workspaces"): {
        "request": {"name": "vision"},
        "201": _answer(WORKSPACE, "workspace added", 201),
    },
    ("get", f"{_A}/workspaces/{{workspace_id}}/members"): {"200": _answer({"members": [PERSON]})},
    ("post", f"{_A}/workspaces/{{workspace_id}}/members"): {
        "request": {"name": "ana"},
        "201": _answer(USER, "member added", 201),
    },
    ("delete", f"{_A}/workspaces/{{workspace_id}}/members/{{user_id}}"): {"200": _answer({"id": 2}, "member removed")},
    **WEBHOOKS,
}
