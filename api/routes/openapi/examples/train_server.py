"""Examples of the YOLO train server's calls: real ones, shortened."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples

NAME = "insulator"
TASK = "train_20261121_164012_5f2c8a1b"
CLEARED = {"message": "Cache cleared", "clear_cache_success": [NAME], "clear_cache_failed": {}}
TERMINATED: dict[str, Any] = {"200": {"message": "Process terminated"}, "202": {"message": "Terminating"}}

EXAMPLES: Examples = {
    ("post", "/start"): {
        "request": {
            "model_name": NAME,
            "train_ucd": "/data/ucd/train.json",
            "val_ucd": "None",
            "labels": "good,broken",
            "model_type": "yolov5s",
            "batch_size": 16,
            "device": 0,
            "epochs": 100,
            "imgsz": 640,
            "workers": 8,
            "continue_train": False,
            "hyp_dict": {"lr0": 0.01, "box": 0.05, "obj": 1.0},
        },
        "200": {
            "message": "Training started",
            "model_name": NAME,
            "task_id": TASK,
            "safe_code": "5f2c8a1b",
            "warnings": [
                "box 0.05 is on YOLOv5's scale: 7.5 is used, which is ultralytics' for it",
                "optimizer SGD is used, as in YOLOv5: ultralytics' auto would not heed lr0",
            ],
            "ignored": ["obj"],
        },
    },
    ("get", "/status"): {
        "200": {
            "Running": [NAME],
            "Queued": [],
            "processes": {
                NAME: {
                    "status": "running",
                    "pid": 48121,
                    "epoch": 12,
                    "epochs": 100,
                    "progress": 11.4,
                    "started_at": "2026-11-21T16:40:13.120Z",
                    "task_id": TASK,
                    "error": None,
                }
            },
        }
    },
    ("get", "/terminate/{model_name}"): TERMINATED,
    ("post", "/terminate/{model_name}"): TERMINATED,
    ("get", "/train_info/{model_name}"): {
        "200": {
            "train_log_std": ["Starting training for 100 epochs..."],
            "opt_yaml": [
                'model_name: "insulator"',
                'model_type: "yolov5s"',
                "task: detect",
                "epochs: 100",
                "lr0: 0.01",
            ],
            "train_log_err": [],
        }
    },
    ("get", "/clear_train_cache/{model_name}"): {"200": CLEARED},
    ("delete", "/clear_train_cache/{model_name}"): {"200": CLEARED},
    ("get", "/cache_info"): {"200": {"train_info": [NAME], "train": [NAME]}},
    ("get", "/gpu_info"): {
        "200": [
            {
                "index": 0,
                "name": "NVIDIA GeForce RTX 4090",
                "memory_used": 9120,
                "memory_total": 24564,
                "utilization": 96,
                "temperature": 67,
                "running": [NAME],
            }
        ]
    },
    ("get", "/help"): {
        "200": {
            "calls": [
                {
                    "method": "GET",
                    "path": "/status",
                    "does": "which models train, which wait, how far each is",
                    "curl": "curl http://127.0.0.1:8080/status",
                }
            ]
        }
    },
}
