"""Examples of the YOLO platform's routes; those of the enveloped twins are made of them."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, mirrored

ID = "ds_20240115_123456_5f2c8a1b"
UPLOADED: dict[str, Any] = {
    "dataset_id": ID,
    "filename": "your_dataset.zip",
    "size": 12345678,
    "status": "uploaded",
    "created_at": "2024-01-15T12:34:56.000Z",
    "uploaded_at": "2024-01-15T12:34:56.000Z",
    "image_count": 1004,
    "label_count": 1003,
}
ITEM = {**UPLOADED, "status": "prepared", "versions": ["v1"]}
CLASSES = ["person", "car", "dog"]
COUNTS = {"person": 1480, "car": 733, "dog": 96}
PREPARED: dict[str, Any] = {
    "dataset_id": ID,
    "version": "v1",
    "status": "prepared",
    "classes": CLASSES,
    "train_count": 800,
    "val_count": 200,
    "test_count": 0,
    "data_yaml": f"/app/data/datasets/{ID}/v1/data.yaml",
    "issues": [
        {"file": "labels/0413.txt", "problem": "line 2: class 3, of 3 classes from 0 on"},
        {"file": "images/0977.jpg", "problem": "does not decode: OSError: image file is truncated"},
    ],
    "report": {
        "layout": "yolo",
        "split": "made",
        "seed": 0,
        "image_count": 1000,
        "label_count": 998,
        "box_count": 2309,
        "empty_count": 12,
        "class_counts": COUNTS,
        "issue_counts": {"image": 1, "label": 1},
        "dropped": {},
        "duplicate_count": 1,
        "leak_count": 0,
        "duplicates": [["images/0007.jpg", "images/0008.jpg"]],
        "category_map": None,
    },
}
DETAIL = {
    **ITEM,
    "description": "这是一个目标检测数据集",
    "tags": ["person", "car", "detection"],
    "workspace_id": None,
    "path": None,
    "classes": CLASSES,
    "train_count": 800,
    "val_count": 200,
    "class_counts": COUNTS,
    "sample_images": [f"datasets/{ID}/v1/images/train/0001.jpg"],
}

BARE: Examples = {
    ("post", "/datasets/upload"): {"request": {"file": "your_dataset.zip"}, "200": UPLOADED},
    ("post", "/datasets/register"): {
        "request": {"path": "/data/workspace/shapes", "name": "shapes"},
        "200": {**UPLOADED, "filename": "shapes"},
    },
    ("post", "/datasets/{dataset_id}/prepare"): {
        "request": {"split_ratio": {"train": 0.8, "val": 0.2}, "classes": CLASSES},
        "200": PREPARED,
    },
    ("get", "/datasets"): {"200": {"datasets": [ITEM]}},
    ("get", "/datasets/{dataset_id}/prepare"): {"200": PREPARED},
    ("get", "/datasets/{dataset_id}"): {"200": DETAIL},
    ("put", "/datasets/{dataset_id}"): {
        "request": {"description": DETAIL["description"], "tags": DETAIL["tags"]},
        "200": DETAIL,
    },
    ("delete", "/datasets/{dataset_id}"): {"200": {"ok": True, "message": "Dataset deleted successfully"}},
}
EXAMPLES = mirrored(BARE)
