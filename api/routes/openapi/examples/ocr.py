"""Requests and answers about documents and OCR models that the description shows."""

from __future__ import annotations

from typing import Any

from api.routes.openapi.examples.answers import Examples, enveloped

_O = "/api/v1/ocr"
_D = f"{_O}/documents/{{document_id}}"
_M = f"{_O}/models/{{model_id}}"


def _page(total: int) -> dict[str, Any]:
    return {"total": total, "limit": 50, "offset": 0, "has_more": total > 50}


COUNTS = {
    "parts_count": 56,
    "lines_count": 3979,
    "images_available": 56,
    "with_baseline": 3979,
    "with_polygon": 3979,
    "with_transcription": 3979,
}
NONE_YET = dict.fromkeys(COUNTS, 0)
DOCUMENT = {
    "document_id": 4,
    "name": "Hebrew_Ashkenazy_Test_v1",
    "script": "Hebrew",
    "language": "he",
    "read_direction": "rtl",
    "owner_id": 2,
    "workspace_id": None,
    "created_at": "2026-11-21T11:12:49.480Z",
    "updated_at": "2026-11-21T11:14:02.113Z",
}
PART = {
    "part_id": 56,
    "document_id": 4,
    "position": 1,
    "name": "0001.jpg",
    "image_available": True,
    "width": 2480,
    "height": 3508,
    "xml_name": "page/0001.xml",
    "lines_count": 2,
    "with_baseline": 2,
    "with_polygon": 2,
    "with_transcription": 2,
}
LINE = {
    "line_id": 3979,
    "part_id": 56,
    "position": 1,
    "external_id": "eSc_line_1f0c2ab4",
    "baseline": [[310, 402], [1480, 398]],
    "boundary": [[306, 350], [1484, 346], [1484, 421], [306, 425]],
    "text": "ברוך אתה",
}
QUEUED = {
    "task_id": 344,
    "document_id": 4,
    "status": "queued",
    "files_done": None,
    "files_total": None,
    "pages": None,
    "lines": None,
    "images": None,
    "failed": None,
    "problems": [],
    "error_message": None,
}
IMPORTED = {
    **QUEUED,
    "status": "completed",
    "files_done": 57,
    "files_total": 57,
    "pages": 56,
    "lines": 3979,
    "images": 56,
    "failed": 1,
    "problems": ["page/0057.xml is not well-formed XML: Premature end of data in tag TextLine line 12"],
}
MODEL = {
    "model_id": 7,
    "name": "Hebrew_Ashkenazy_Test_v5",
    "job": "segment",
    "model_type": "Segmentation",
    "base_model_id": None,
    "owner_id": 2,
    "workspace_id": None,
    "file_available": True,
    "file_size_mb": 15.28,
    "accuracy": 0.913,
    "created_at": "2026-11-21T11:12:49.480Z",
    "updated_at": "2026-11-21T17:15:20.007Z",
}
NEW_MODEL = {**MODEL, "file_available": False, "file_size_mb": None, "accuracy": None}
STARTED = {
    "task_id": 345,
    "model_id": 7,
    "engine": "kraken",
    "status": "queued",
    "created_at": "2026-11-21T11:13:29.201Z",
}
STATUS = {
    "model_id": 7,
    "model_name": "Hebrew_Ashkenazy_Test_v5",
    "model_type": "Segmentation",
    "training": True,
    "training_started_at": "2025-10-20T22:51:35Z",
    "training_duration_seconds": 21845,
    "training_duration_human": "6h 4m 5s",
    "current_epoch": 5,
    "current_accuracy": 0.156,
    "accuracy_percent": 15.6,
    "data_stats": {
        "training_lines": 3582,
        "validation_lines": 397,
        "total_lines": 3979,
        "documents_count": 1,
        "parts_count": 56,
        "avg_lines_per_part": 71.1,
    },
    "file_size_mb": 15.28,
    "recent_tasks": [
        {
            "id": 345,
            "label": "Segmentation training: Model 7",
            "method": "core.tasks.segtrain",
            "state": "Running",
            "created_at": "2025-10-20T22:38:29Z",
            "start": "2025-10-20T22:51:35Z",
            "end": None,
            "messages": "Training set 3582 lines, validation set 397; epoch 5, accuracy 0.156",
        }
    ],
}
ACTIVE = {
    "active_trainings": [
        {
            "model_id": 7,
            "model_name": "Hebrew_Ashkenazy_Test_v5",
            "model_type": "Segmentation",
            "started_at": "2025-10-20T22:51:35Z",
            "duration_seconds": 21845,
            "duration_human": "6h 4m 5s",
            "current_accuracy": 0.156,
            "current_epoch": 5,
        }
    ],
    "total_active": 1,
    "timestamp": "2025-10-21T04:55:40Z",
}
_WHOLE = {"coverage_percent": 100.0, "status": "excellent"}
QUALITY = {
    "document_id": 4,
    "document_name": "Hebrew_Ashkenazy_Test_v1",
    "parts_count": 56,
    "lines_count": 3979,
    "quality_checks": {
        "transcriptions": {"total": 3979, "with_transcription": 3979, **_WHOLE},
        "baselines": {"total": 3979, "with_baseline": 3979, **_WHOLE},
        "polygons": {"total": 3979, "with_polygon": 3979, **_WHOLE},
        "images": {"total": 56, "available": 56, "missing": 0, "status": "excellent"},
    },
    "readiness": {
        "ready_for_segmentation": True,
        "ready_for_recognition": True,
        "warnings": [],
        "recommendations": [],
    },
    "estimated_training_time": {
        "estimated_seconds": 8952,
        "estimated_human": "~2h 29m",
        "note": "Rough estimate, actual time may vary significantly (0.15 s a line and epoch, 15 epochs; "
        "no training was measured here yet)",
    },
}

EXAMPLES: Examples = {
    ("post", f"{_O}/documents"): {
        "request": {
            "name": "Hebrew_Ashkenazy_Test_v1",
            "script": "Hebrew",
            "language": "he",
            "read_direction": "rtl",
        },
        "201": enveloped({**DOCUMENT, **NONE_YET}, "document added", 201),
    },
    ("get", f"{_O}/documents"): {
        "200": enveloped({"documents": [{**DOCUMENT, **COUNTS}], "pagination": _page(1)}),
    },
    ("get", _D): {"200": enveloped({**DOCUMENT, **COUNTS})},
    ("delete", _D): {"200": enveloped({"document_id": 4}, "document removed")},
    ("get", f"{_D}/parts"): {"200": enveloped({"parts": [PART], "pagination": _page(56)})},
    ("get", f"{_D}/lines"): {"200": enveloped({"lines": [LINE], "pagination": _page(3979)})},
    ("get", f"{_D}/parts/{{part_id}}/lines"): {"200": enveloped({"lines": [LINE], "pagination": _page(2)})},
    ("patch", f"{_D}/lines/{{line_id}}"): {
        "request": {"text": "ברוך אתה"},
        "200": enveloped(LINE, "line changed"),
    },
    ("post", f"{_D}/import"): {
        "application/json": {"path": "/srv/trainyard/workspace/ashkenazy"},
        "multipart/form-data": {"file": "ashkenazy.zip"},
        "200": enveloped({"part": PART, "task": None}, "imported"),
        "202": enveloped({"part": None, "task": QUEUED}, "import queued", 202),
    },
    ("get", f"{_O}/imports/{{import_id}}"): {"200": enveloped(IMPORTED)},
    ("post", f"{_O}/models"): {
        "request": {"name": "Hebrew_Ashkenazy_Test_v5", "job": "segment"},
        "201": enveloped(NEW_MODEL, "model added", 201),
    },
    ("get", f"{_O}/models"): {"200": enveloped({"models": [MODEL], "pagination": _page(1)})},
    ("get", _M): {"200": enveloped(MODEL)},
    ("delete", _M): {"200": enveloped({"model_id": 7}, "model removed")},
    ("post", f"{_M}/train"): {
        "request": {"document_ids": [4], "epochs": 50, "lrate": 0.0002, "batch_size": 1, "augment": False},
        "201": enveloped(STARTED, "queued", 201),
    },
    ("post", f"{_M}/evaluate"): {
        "request": {"document_id": 4},
        "201": enveloped({**STARTED, "task_id": 346}, "queued", 201),
    },
    ("get", "/api/models/{model_id}/training-status/"): {"200": STATUS},
    ("get", "/api/training/active/"): {"200": ACTIVE},
    ("get", "/api/documents/{document_id}/data-quality/"): {"200": QUALITY},
}
