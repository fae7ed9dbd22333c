"""Examples of inference; those of the enveloped twins are made of them."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, mirrored

MODEL = "model_20240115_123456"
SESSION = "session_20240115_123456_a1b2c3d4"
UUID = "550e8400-e29b-41d4-a716-446655440000"
CLASSES = ["person", "car"]
FLAT: dict[str, Any] = {
    "class_id": 0, "class_name": "person", "conf": 0.95, "x1": 100.0, "y1": 200.0, "x2": 300.0, "y2": 400.0,
}  # fmt: skip
FOUND = {**FLAT, "confidence": 0.95, "bbox": {"x1": 100.0, "y1": 200.0, "x2": 300.0, "y2": 400.0}}
SIZE = {"image_width": 1920, "image_height": 1080}
SEEN: dict[str, Any] = {
    "model_id": MODEL,
    "image_path": f"inference_results/{SESSION}/uploads/{UUID}.jpg",
    **SIZE,
    "detections": [FOUND],
}
ERROR = {"filename": "broken.jpg", "problem": "is a JPEG that ends too soon"}
ROW = {
    **SEEN,
    "model_name": "people and cars",
    "classes": CLASSES,
    "images": [{"filename": "image1.jpg", **SIZE, "detections": [FOUND], "detection_count": 1}],
}
EXPORTED = {
    "image_uuid": UUID,
    "image_filename": "image1.jpg",
    "model_id": MODEL,
    **SIZE,
    "detection_count": 1,
    "detections": [FLAT],
}
FILMED = {
    "session_id": SESSION,
    "model_id": MODEL,
    "video_data": "AAAAIGZ0eXBpc29t...",
    "video_url": f"/infer/results/{SESSION}/video",
    "stats": {"total_frames": 3, "detections_per_frame": [2, 3, 1]},
    "video_info": {"fps": 25.0, "width": 1280, "height": 720, "total_frames": 3, "processed_frames": 3},
    "summary": {"total_detections": 6, "frames_with_detections": 3},
}
ITEM: dict[str, Any] = {
    "session_id": SESSION,
    "kind": "export",
    "model_ids": [MODEL],
    "workspace_id": None,
    "image_count": 1,
    "frame_count": None,
    "detection_count": 1,
    "created_at": "2024-01-15T12:34:56.000Z",
    "expires_at": "2024-01-22T12:34:56.000Z",
}
FILES = {"files": ["image1.jpg", "image2.jpg"]}

BARE: Examples = {
    ("post", "/infer/{model_id}"): {"request": {"file": "test_image.jpg"}, "200": {"session_id": SESSION, **SEEN}},
    ("post", "/infer/batch/run"): {
        "request": {"model_ids": MODEL, **FILES},
        "200": {"session_id": SESSION, "results": [ROW], "errors": [ERROR], "total_models": 1, "total_images": 1},
    },
    ("post", "/infer/{model_id}/export"): {
        "request": FILES,
        "200": {
            "session_id": SESSION,
            "results": [EXPORTED],
            "errors": [ERROR],
            "session_dir": f"/app/data/inference_results/{SESSION}",
        },
    },
    ("post", "/infer/video/{model_id}"): {"request": {"file": "street.mp4", "conf": 0.25}, "200": FILMED},
    ("post", "/infer/video/{model_id}/stream"): {"request": {"file": "street.mp4", "conf": 0.25}},
    ("get", "/infer/results"): {"200": {"sessions": [ITEM], "total": 1}},
    ("get", "/infer/results/{session_id}"): {
        "200": {
            **ITEM,
            "images": [f"inference_results/{SESSION}/images/{UUID}.jpg"],
            "video_url": None,
            "export_url": f"/infer/results/{SESSION}/export",
        }
    },
    ("delete", "/infer/results/{session_id}"): {
        "200": {"ok": True, "message": "Inference session deleted successfully"}
    },
}
EXAMPLES = mirrored(BARE)
