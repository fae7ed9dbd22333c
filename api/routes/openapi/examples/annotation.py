"""Examples of annotation's routes; those of the enveloped twins are made of them."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, mirrored
from api.routes.openapi.examples.yolo import CLASSES
from api.routes.openapi.examples.yolo import ID as DATASET

ID = "task_20240115_123456_9b0d3c5e"
AT = "2024-01-15T12:34:56.000Z"
IMAGE = f"datasets/{DATASET}/v1/images/train/img001.jpg"
BOXES = [
    {"class_id": 0, "x1": 100.0, "y1": 200.0, "x2": 300.0, "y2": 400.0},
    {"class_id": 1, "x1": 500.0, "y1": 600.0, "x2": 700.0, "y2": 800.0},
]
CREATED: dict[str, Any] = {
    "task_id": ID,
    "dataset_id": DATASET,
    "version": "v1",
    "classes": CLASSES,
    "total_items": 1000,
    "total_images": 1000,
    "annotated_count": 0,
    "imported_annotations": 0,
    "created_at": AT,
}
ITEMS: dict[str, Any] = {
    "task_id": ID,
    "items": [
        {
            "image_id": "train_img001",
            "image_path": IMAGE,
            "thumbnail_path": f"datasets/{DATASET}/v1/thumbs/train/img001.jpg",
            "split": "train",
            "width": 1920,
            "height": 1080,
            "has_annotation": False,
            "annotated": False,
            "box_count": 0,
            "has_proposals": True,
        }
    ],
    "classes": CLASSES,
    "imported_annotations": 0,
    "annotated_count": 0,
    "total": 1000,
    "offset": 0,
}
ANNOTATION: dict[str, Any] = {
    "image_id": "train_img001",
    "boxes": BOXES[:1],
    "updated_at": AT,
    "image_path": IMAGE,
    "width": 1920,
    "height": 1080,
    "classes": CLASSES,
    "has_annotation": True,
    "proposals": None,
    "proposed_by": None,
}
EXPORTED: dict[str, Any] = {
    "ok": True,
    "message": "Annotations exported successfully",
    "labels_dir": f"/app/data/datasets/{DATASET}/v1/labels",
    "exported_count": 1000,
}
TASK = "/annotations/tasks/{annotation_task_id}"

BARE: Examples = {
    ("post", "/annotations/tasks"): {
        "request": {"dataset_id": DATASET, "version": "v1", "classes": CLASSES},
        "200": CREATED,
    },
    ("get", "/annotations/tasks"): {"200": {"tasks": [CREATED]}},
    ("get", TASK): {"200": CREATED},
    ("delete", TASK): {"200": {"ok": True, "message": "Annotation task deleted successfully"}},
    ("get", f"{TASK}/items"): {"200": ITEMS},
    ("get", f"{TASK}/items/{{image_id}}"): {"200": ANNOTATION},
    ("post", f"{TASK}/items/{{image_id}}"): {
        "request": {"boxes": BOXES},
        "200": {"ok": True, "message": "Annotation saved successfully", "updated_at": AT},
    },
    ("get", f"{TASK}/export"): {"200": EXPORTED},
    ("post", f"{TASK}/export"): {"200": EXPORTED},
    ("post", f"{TASK}/import"): {
        "request": {"file": "labels.zip", "overwrite": False},
        "200": {
            "ok": True,
            "message": "Labels of 240 images imported",
            "imported_count": 240,
            "skipped_count": 3,
            "issue_count": 1,
            "issues": [{"file": "labels/train/img999.txt", "problem": "there is no image of this name"}],
        },
    },
    ("post", f"{TASK}/prelabel"): {
        "request": {"model_id": "model_20240115_123456_4d1f6a20", "conf": 0.25},
        "200": {
            "job_id": "job_20240115_123456_1a2b",
            "task_id": ID,
            "model_id": "model_20240115_123456_4d1f6a20",
            "status": "running",
            "total_items": 1000,
            "created_at": AT,
        },
    },
}
EXAMPLES = mirrored(BARE)
