"""Requests and answers that the description shows: real ones, shortened."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, enveloped

ID = "train_20261121_111249_3471c10c"
RUN = f"/srv/trainyard/training_runs/{ID}/20261121_11-12-56"


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
    "failure": None,
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
_T = "/api/v1/training"

#: method and path: `request` and, by status, what is answered
EXAMPLES: Examples = {
    ("post", f"{_T}/start"): {
        "request": START,
        "201": enveloped(STARTED, "training queued", 201),
        "409": enveloped(
            {
                "gpu_id": 0,
                "current_task": ID,
                "estimated_available_time": "2026-11-21T11:13:12.600Z",
                "available_gpus": [1],
            },
            f"busy: GPU 0 by job {ID}",
            409,
        ),
        "507": enveloped(
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
        "200": enveloped(
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
        "409": enveloped({"task_id": ID}, f"job {ID} has already ended: completed", 409),
    },
    ("get", f"{_T}/list"): {
        "200": enveloped(
            {"tasks": [ITEM], "pagination": {"total": 1, "limit": 50, "offset": 0, "has_more": False}},
        )
    },
    ("get", f"{_T}/{{task_id}}"): {"200": enveloped(DETAIL)},
    ("post", f"{_T}/preview"): {
        "request": START,
        "200": enveloped(
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
        "200": enveloped({"task_id": ID, "path": f"{_T}/start", "body": START, "left_out": ["config.output_dir"]})
    },
    ("delete", f"{_T}/{{task_id}}"): {
        "200": enveloped({"task_id": ID}, "deleted"),
        "409": enveloped(None, f"job {ID} runs; stop it first", 409),
    },
    ("get", f"{_T}/{{task_id}}/progress"): {
        "200": enveloped(
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
        "200": enveloped(
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
        "200": enveloped(
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
        "200": enveloped(
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
        "200": enveloped(
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
    ("get", f"{_T}/{{task_id}}/checkpoints"): {"200": enveloped({"task_id": ID, "checkpoints": [STATE, WEIGHTS]})},
    ("get", f"{_T}/{{task_id}}/artifacts"): {
        "200": enveloped(
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
        "200": enveloped(
            {**STARTED, "checkpoints": {**STARTED["checkpoints"], "last_saved": "global_step16"}}, "training queued"
        ),
        "409": enveloped(None, f"job {ID} has no checkpoint to resume from; restart it instead", 409),
    },
    ("post", f"{_T}/restart/{{task_id}}"): {
        "200": enveloped(STARTED, "training queued"),
        "409": enveloped(None, f"job {ID} has not ended: it is running", 409),
    },
}
