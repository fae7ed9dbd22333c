"""Examples of the YOLO platform's models."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, mirrored

ID = "model_20240115_123456"
JOB = "job_20240115_123456_5f2c"
DATASET = "ds_20240115_123456_5f2c8a1b"
ITEM: dict[str, Any] = {
    "model_id": ID,
    "name": "yolov8n_custom",
    "description": "Custom trained model",
    "weights_path": f"/app/data/models/{ID}/weights/best.pt",
    "file_size": 12345678,
    "file_size_mb": 11.77,
    "created_at": "2024-01-15T12:34:56.000Z",
    "job_id": JOB,
    "dataset_id": DATASET,
    "dataset_version": "v1",
    "tags": ["person", "car"],
    "source": "trained",
    "classes": ["person", "car", "dog"],
    "task": "detect",
    "imgsz": 640,
    "epochs": 2,
    "base_model": "yolov8n.pt",
    "workspace_id": None,
}
HISTORY: dict[str, Any] = {
    "epochs": [1, 2],
    "train_box_loss": [2.91, 2.13],
    "train_cls_loss": [3.84, 2.42],
    "train_dfl_loss": [3.12, 2.51],
    "val_box_loss": [2.74, 2.05],
    "val_cls_loss": [3.61, 2.31],
    "val_dfl_loss": [3.01, 2.44],
    "metrics_precision": [0.41, 0.88],
    "metrics_recall": [0.39, 0.82],
    "metrics_mAP50": [0.37, 0.85],
    "metrics_mAP50_95": [0.21, 0.72],
    "final_metrics": {"mAP50": 0.85, "mAP50_95": 0.72, "precision": 0.88, "recall": 0.82},
}
DETAIL: dict[str, Any] = {
    **ITEM,
    "training_metrics": {
        "mAP50": 0.85,
        "mAP50-95": 0.72,
        "precision": 0.88,
        "recall": 0.82,
        "training_history": HISTORY,
        "job_config": {
            "dataset_id": DATASET,
            "epochs": 2,
            "imgsz": 640,
            "batch": 16,
            "model_name": "yolov8n.pt",
            "status": "completed",
            "created_at": "2024-01-15T12:30:11.000Z",
            "completed_at": "2024-01-15T12:34:56.000Z",
        },
    },
    "model_info": {
        "task": "detect",
        "model_type": "yolov8n",
        "total_params": 3011433,
        "trainable_params": 3011417,
        "total_params_m": 3.011,
    },
    "origin": None,
}
UPLOADED: dict[str, Any] = {
    **DETAIL,
    "name": "Custom YOLOv8 Model",
    "description": "Uploaded model from my_model.zip",
    "source": "uploaded",
    "tags": ["uploaded"],
    "job_id": None,
    "dataset_id": None,
    "dataset_version": None,
    "training_metrics": {
        **dict.fromkeys(("mAP50", "mAP50-95", "precision", "recall")),
        "training_history": None,
        "job_config": None,
    },
}
RUN: dict[str, Any] = {
    "job_id": JOB,
    "model_id": ID,
    "status": "completed",
    "created_at": "2024-01-15T12:40:00.000Z",
    "completed_at": "2024-01-15T12:40:09.000Z",
    "error": None,
    "warnings": [],
}
EXPORT: dict[str, Any] = {
    **RUN,
    "format": "onnx",
    "arguments": {"imgsz": 640, "dynamic": False},
    "file": {"name": "best.onnx", "size_bytes": 12255011, "url": f"/models/{ID}/exports/{JOB}/file"},
}
VALIDATION: dict[str, Any] = {
    **RUN,
    "dataset_id": DATASET,
    "version": "v1",
    "arguments": {"imgsz": 640, "batch": 16},
    "metrics": {"mAP50": 0.81, "mAP50-95": 0.66, "precision": 0.86, "recall": 0.79},
    "classes": [
        {"class": "person", "mAP50-95": 0.71},
        {"class": "car", "mAP50-95": 0.68},
        {"class": "dog", "mAP50-95": 0.59},
    ],
}
STARTED = {"status": "running", "completed_at": None}
ONE = "/models/{model_id}"

BARE: Examples = {
    ("get", "/models"): {"200": {"models": [ITEM]}},
    ("post", "/models/upload"): {"request": {"file": "my_model.zip"}, "200": UPLOADED},
    ("get", ONE): {"200": DETAIL},
    ("put", ONE): {
        "request": {"name": "Updated Model Name", "description": "Updated description", "tags": ["updated", "tags"]},
        "200": {
            **DETAIL,
            "name": "Updated Model Name",
            "description": "Updated description",
            "tags": ["updated", "tags"],
        },
    },
    ("delete", ONE): {"200": {"ok": True, "message": "Model deleted successfully"}},
    ("post", f"{ONE}/export"): {
        "request": {"format": "onnx", "imgsz": 640, "dynamic": False},
        "200": {**EXPORT, **STARTED, "file": None},
    },
    ("get", f"{ONE}/exports"): {"200": {"exports": [EXPORT]}},
    ("get", f"{ONE}/exports/{{job_id}}"): {"200": EXPORT},
    ("post", f"{ONE}/validate"): {
        "request": {"dataset_id": DATASET, "version": "v1"},
        "200": {**VALIDATION, **STARTED, "metrics": None, "classes": []},
    },
    ("get", f"{ONE}/validations"): {"200": {"validations": [VALIDATION]}},
    ("get", f"{ONE}/validations/{{job_id}}"): {"200": VALIDATION},
}
EXAMPLES = mirrored(BARE)
