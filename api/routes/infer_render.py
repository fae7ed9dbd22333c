"""What was seen, as the YOLO platform's document and its clients read it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Any

from flask import Response, current_app, request

from api.models.dialect import dialect_of
from api.models.inference import Detection
from api.models.yolo_model import YoloModel
from api.routes.files import send_file
from api.services.inference import Exported, Filmed, Kept

PIECE = 3 << 18  # bytes of a video that are encoded at a time; a multiple of 3, so that the pieces make one text


def flat(found: Detection) -> dict[str, Any]:
    return {
        "class_id": found.class_id,
        "class_name": found.class_name,
        "conf": found.confidence,
        "x1": found.x1,
        "y1": found.y1,
        "x2": found.x2,
        "y2": found.y2,
    }


def detections(found: Sequence[Detection]) -> list[dict[str, Any]]:
    """As the document has it, and flat beside it."""
    return [
        {
            **flat(one),
            "confidence": one.confidence,
            "bbox": {"x1": one.x1, "y1": one.y1, "x2": one.x2, "y2": one.y2},
        }
        for one in found
    ]


def kept(row: Kept) -> dict[str, Any]:
    return {
        "model_id": row.model.id,
        "image_path": row.path,
        "image_width": row.seen.width,
        "image_height": row.seen.height,
        "detections": detections(row.seen.detections),
    }


def batch_row(row: Kept) -> dict[str, Any]:
    shown = kept(row)
    image = {
        "filename": row.filename,
        "image_width": row.seen.width,
        "image_height": row.seen.height,
        "detections": shown["detections"],
        "detection_count": len(row.seen.detections),
    }
    return {**shown, "model_name": row.model.name, "classes": list(row.model.classes), "images": [image]}


def export_row(one: Exported, model: YoloModel) -> dict[str, Any]:
    return {
        "image_uuid": one.uuid,
        "image_filename": one.filename,
        "model_id": model.id,
        "image_width": one.seen.width,
        "image_height": one.seen.height,
        "detection_count": len(one.seen.detections),
        "detections": [flat(found) for found in one.seen.detections],
    }


def filmed(film: Filmed, model: YoloModel, url: str) -> dict[str, Any]:
    info, counts = film.info, film.counts
    return {
        "session_id": film.session_id,
        "model_id": model.id,
        "video_url": url,
        "stats": {"total_frames": len(counts), "detections_per_frame": counts},
        "video_info": {
            "fps": info.fps,
            "width": info.width,
            "height": info.height,
            "total_frames": info.total_frames,
            "processed_frames": len(counts),
        },
        "summary": {
            "total_detections": sum(counts),
            "frames_with_detections": sum(count > 0 for count in counts),
        },
    }


def with_video(shown: dict[str, Any], video: Any) -> Response:
    """The answer is made in a file and sent from there: it is a third larger than the video, which may be long."""
    mark = secrets.token_hex(16)
    body = dialect_of(request.path).body(200, "success", {**shown, "video_data": mark})
    before, after = current_app.json.dumps(body).encode().split(mark.encode())
    with video:
        made = TemporaryFile()
        try:
            made.write(before)
            while piece := video.read(PIECE):
                made.write(base64.b64encode(piece))
            made.write(after + b"\n")
            made.flush()
        except BaseException:
            made.close()
            raise
    return send_file(made, content_type="application/json")
