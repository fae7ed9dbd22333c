"""What the API description says of the parts of paths that vary."""

from __future__ import annotations

from typing import Any

_ROW = {"type": "integer", "minimum": 1}
_ID = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$"}
#: by name; `train/job_id`: below /train
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "train/job_id": {
        "description": "the training's id",
        "schema": _ID,
        "example": "job_20240115_123456_5f2c",
    },
    "models/model_id": {
        "description": "the model's id",
        "schema": _ID,
        "example": "model_20240115_123456",
    },
    "infer/model_id": {
        "description": "the model's id",
        "schema": _ID,
        "example": "model_20240115_123456",
    },
    "models/job_id": {
        "description": "the id of an export or a validation of this model",
        "schema": _ID,
        "example": "job_20240115_123456_5f2c",
    },
    "task_id": {
        "description": "the job's id, of whichever dialect",
        "schema": _ID,
        "example": "train_20261121_104951_5f2c8a1b",
    },
    "job_id": {
        "description": "the job's id; only those of the jobs dialect are found here",
        "schema": _ID,
        "example": "job-k3x5q2mz",
    },
    "path": {
        "description": "relative to the output directory, slashes and all, as /artifacts lists it",
        "schema": {"type": "string", "minLength": 1},
        "example": "20261121_10-49-55/epoch10/adapter_model.safetensors",
    },
    "preprocessing_id": {
        "description": "the preprocessing's id",
        "schema": _ID,
        "example": "prep_20261121_134501_5f2c8a1b",
    },
    "dataset_name": {
        "description": "the dataset's name",
        "schema": {"type": "string", "minLength": 1},
        "example": "cats",
    },
    "number": {"description": "the item's number", "schema": {"type": "integer", "minimum": 1}, "example": 1},
    "dataset_id": {
        "description": "the dataset's id",
        "schema": _ID,
        "example": "ds_20240115_123456_5f2c8a1b",
    },
    "annotation_task_id": {
        "description": "the annotation task's id",
        "schema": _ID,
        "example": "task_20240115_123456_9b0d3c5e",
    },
    "image_id": {
        "description": "the image's id in the task, as its items name it",
        "schema": _ID,
        "example": "train_img001",
    },
    "model_name": {
        "description": "what the training was started as",
        "schema": {"type": "string", "minLength": 1},
        "example": "insulator",
    },
    "model_type": {
        "description": "which weights: `best.pt` or `last.pt`",
        "schema": {"type": "string", "minLength": 1},
        "example": "best.pt",
    },
    "static_path": {
        "description": "as datasets, annotation tasks and inference answers name it, slashes and all",
        "schema": {"type": "string", "minLength": 1},
        "example": "datasets/ds_20240115_123456_5f2c8a1b/v1/images/train/0001.jpg",
    },
    "session_id": {
        "description": "the inference session's id",
        "schema": _ID,
        "example": "session_20240115_123456_a1b2c3d4",
    },
    "gpu_id": {"description": "the GPU's number", "schema": {"type": "integer", "minimum": 0}, "example": 0},
    "user_id": {"description": "the user's id", "schema": _ROW, "example": 2},
    "token_id": {"description": "the token's id", "schema": _ROW, "example": 7},
    "webhook_id": {"description": "the webhook's id", "schema": _ROW, "example": 3},
    "delivery_id": {"description": "the delivery's id", "schema": _ROW, "example": 118},
    "workspace_id": {"description": "the workspace's id", "schema": _ROW, "example": 1},
    "document_id": {"description": "the document's id", "schema": _ROW, "example": 4},
    "part_id": {"description": "the page's id", "schema": _ROW, "example": 56},
    "line_id": {"description": "the line's id", "schema": _ROW, "example": 3979},
    "model_id": {"description": "the model's id", "schema": _ROW, "example": 7},
    "import_id": {"description": "the import's job", "schema": _ROW, "example": 344},
}
