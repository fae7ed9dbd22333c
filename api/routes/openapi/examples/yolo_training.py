"""Examples of the YOLO platform's trainings and logs; those of the enveloped twins are made of them."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, mirrored

ID = "job_20240115_123456_5f2c"
DATASET = "ds_20240115_123456_5f2c8a1b"
ASKED: dict[str, Any] = {
    "dataset_id": DATASET,
    "version": "v1",
    "model_name": "yolov8n.pt",
    "epochs": 50,
    "imgsz": 640,
    "batch": 16,
}
RUNNING: dict[str, Any] = {
    "job_id": ID,
    "status": "running",
    "queue_position": None,
    "warnings": [],
    **ASKED,
    "base_model_id": None,
    "created_at": "2024-01-15T12:34:56.000Z",
    "completed_at": None,
    "stopped_at": None,
    "failed_at": None,
    "model_id": None,
    "log_file": f"/app/data/logs/{ID}.log",
    "error": None,
    "can_resume": False,
    "resume_count": 0,
}
DETAIL: dict[str, Any] = {
    **RUNNING,
    "status": "completed",
    "completed_at": "2024-01-15T14:30:00.000Z",
    "model_id": "model_20240115_143000_9b1c22d4",
    "started_at": "2024-01-15T12:34:58.120Z",
    "progress": {
        "current_epoch": 50,
        "total_epochs": 50,
        "current_step": 2500,
        "total_steps": 2500,
        "total_steps_estimated": False,
        "current_batch": 50,
        "total_batches": 50,
        "epoch_progress": 100.0,
        "overall_progress": 100.0,
        "eta_seconds": None,
        "eta_formatted": None,
        "training_time": 6901.9,
        "training_time_formatted": "1h 55m 1s",
    },
    "queue_reason": None,
    "failure": None,
    "arguments": {"epochs": 50, "imgsz": 640, "batch": 16},
    "workspace_id": None,
}
LINES = ["[2024-01-15T12:34:56] Starting training...", "[2024-01-15T12:34:57] Epoch 1/50"]


def _done(message: str) -> dict[str, Any]:
    return {"ok": True, "message": message}


BARE: Examples = {
    ("post", "/train/jobs"): {
        "request": {**ASKED, "base_model_id": None},
        "200": {"job_id": ID, "status": "running", "queue_position": 1, "warnings": []},
    },
    ("get", "/train/jobs"): {"200": {"jobs": [RUNNING], "total": 1}},
    ("get", "/train/jobs/{job_id}"): {"200": DETAIL},
    ("post", "/train/jobs/{job_id}/stop"): {"200": _done("Training job stopped successfully")},
    ("post", "/train/jobs/{job_id}/resume"): {
        "200": {**_done("Training job resumed successfully"), "job_id": ID, "status": "running", "warnings": []}
    },
    ("delete", "/train/jobs/{job_id}"): {"200": _done("Training job deleted successfully")},
    ("get", "/logs/tail"): {"200": {"offset": 1024, "lines": [*LINES, "[2024-01-15T12:35:00] Loss: 0.5234"]}},
    ("get", "/logs/lines"): {"200": {"lines": LINES, "total": 1000, "returned": 2}},
}
EXAMPLES = mirrored(BARE)
