"""Examples of the preprocessing routes: real ones, shortened."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, enveloped

ID = "prep_20261121_133243_3c3f39f6"
ROOT = "/srv/trainyard/datasets"
_P = "/api/v1/preprocessing"


START = {
    "dataset_name": "cats",
    "video_directory": "/srv/trainyard/workspace/clips",
    "prompt_prefix": "sks",
    "captioner": "sidecar",
    "clip_seconds": 5,
    "resolution": 512,
}
STATUS: dict[str, Any] = {
    "preprocessing_id": ID,
    "dataset_name": "cats",
    "status": "completed",
    "output_directory": f"{ROOT}/cats",
    "captioner": "sidecar",
    "progress": {
        "total_videos": 4,
        "processed_videos": 3,
        "failed_videos": 1,
        "current_video": None,
        "current_step": "done",
        "progress_percent": 100.0,
        "start_time": "2026-11-21T13:32:43.339Z",
        "estimated_remaining_time": None,
    },
    "errors": [{"file": "broken.mov", "error": "cannot be decoded: Invalid data found when processing input"}],
    "warnings": [],
    "output_files": ["1.mp4", "2.mp4", "3.png"],
    "error_message": None,
}
CANCELLED = {
    **STATUS,
    "status": "cancelled",
    "progress": {**STATUS["progress"], "processed_videos": 1, "failed_videos": 0, "progress_percent": 25.0},
    "errors": [],
    "output_files": [],
}
DATASET = {
    "dataset_name": "cats",
    "directory": f"{ROOT}/cats",
    "created_at": "2026-11-21T13:32:43.154Z",
    "updated_at": "2026-11-21T13:32:44.813Z",
    "video_count": 2,
    "image_count": 1,
    "caption_count": 3,
    "file_count": 6,
    "total_seconds": 4.0,
    "status": "completed",
    "last_preprocessing_id": ID,
}
ITEM = {
    "number": 1,
    "file": "1.mp4",
    "kind": "video",
    "width": 640,
    "height": 360,
    "frames": 32,
    "fps": 16,
    "seconds": 2.0,
    "source": "beach.mp4",
    "caption": "sks a cat on a mat",
}
TOML_TEXT = (
    "resolutions = [256]\nenable_ar_bucket = true\nar_buckets = [1.5, 1.78]\nframe_buckets = [1, 29]\n\n"
    f'[[directory]]\npath = "{ROOT}/cats"\nnum_repeats = 1\n'
)
TOML = {
    "dataset_name": "cats",
    "path": f"{ROOT}/cats/meta/dataset.toml",
    "toml": TOML_TEXT,
    "dataset": {
        "resolutions": [256],
        "enable_ar_bucket": True,
        "ar_buckets": [1.5, 1.78],
        "frame_buckets": [1, 29],
        "directory": [{"path": f"{ROOT}/cats", "num_repeats": 1}],
    },
    "buckets": [
        {"aspect_ratio": 1.5, "width": 320, "height": 208, "frames": 1, "items": 1, "steps": 1},
        {"aspect_ratio": 1.78, "width": 336, "height": 192, "frames": 29, "items": 2, "steps": 2},
    ],
    "passed_over": [],
    "global_batch": 1,
    "steps_per_epoch": 3,
    "total_steps": 60,
    "warnings": [],
}
_TAKEN = enveloped({"dataset_name": "cats"}, "there is a dataset 'cats' already; choose another name", 409)
_MAKING = enveloped(None, f"dataset cats is being made by job {ID}", 409)
_D = f"{_P}/datasets/{{dataset_name}}"

EXAMPLES: Examples = {
    ("post", f"{_P}/start"): {
        "request": START,
        "202": enveloped(
            {
                "preprocessing_id": ID,
                "dataset_name": "cats",
                "status": "pending",
                "message": "preprocessing queued",
                "output_directory": f"{ROOT}/cats",
                "captioner": "sidecar",
            },
            "preprocessing queued",
            202,
        ),
        "409": _TAKEN,
    },
    ("get", f"{_P}/status/{{preprocessing_id}}"): {"200": enveloped(STATUS)},
    ("post", f"{_P}/cancel/{{preprocessing_id}}"): {
        "200": enveloped(CANCELLED, "cancelled"),
        "409": enveloped({"task_id": ID}, f"job {ID} has already ended: completed", 409),
    },
    ("get", f"{_P}/datasets"): {"200": enveloped({"datasets": [DATASET], "total": 1})},
    ("get", _D): {"200": enveloped(DATASET)},
    ("delete", _D): {
        "200": enveloped({"dataset_name": "cats"}, "deleted"),
        "409": enveloped({"task_id": "train_20261121_134001_9b2f4c1d"}, "job train_20261121_134001_9b2f4c1d uses "
                       "dataset cats", 409),
    },
    ("get", f"{_P}/check/{{dataset_name}}"): {"200": enveloped({"exists": True, **DATASET})},
    ("get", f"{_D}/items"): {
        "200": enveloped({"dataset_name": "cats", "items": [ITEM], "total": 3}),
        "409": _MAKING,
    },
    ("get", f"{_D}/items/{{number}}/caption"): {
        "200": enveloped({"dataset_name": "cats", "number": 1, "caption": "sks a cat on a mat"}),
        "409": _MAKING,
    },
    ("put", f"{_D}/items/{{number}}/caption"): {
        "request": {"caption": "sks a cat asleep on a mat"},
        "200": enveloped({"dataset_name": "cats", "number": 1, "caption": "sks a cat asleep on a mat"}),
        "409": _MAKING,
    },
    ("get", f"{_D}/items/{{number}}/media"): {"409": _MAKING},
    ("get", f"{_D}/items/{{number}}/thumbnail"): {"409": _MAKING},
    ("post", f"{_D}/captions"): {
        "request": {"find": "sks", "replace": "zwx"},
        "200": enveloped({"dataset_name": "cats", "items": 3, "changed": 3, "left_empty": []}),
        "409": _MAKING,
    },
    ("post", f"{_D}/toml"): {
        "request": {"micro_batch_size_per_gpu": 1, "epochs": 20},
        "200": enveloped(TOML),
        "409": _MAKING,
    },
}  # fmt: skip
