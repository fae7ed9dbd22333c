"""Inference of the YOLO platform: what is asked and what is answered."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields, validate

from api.models.inference import DEFAULT_CONF, DEFAULT_IOU, DEFAULT_MAX_DET
from api.models.schemas.base import Answer, QueryBoolean, QueryNumber, Strict, choice, query_integer

_BINARY = {"type": "string", "format": "binary"}


def _share(default: float, description: str) -> QueryNumber:
    about = {"description": f"{description}; default {default}"}
    return QueryNumber(validate=validate.Range(0, 1), allow_nan=False, metadata=about)


class ClassIds(fields.Field[tuple[int, ...]]):
    """ "0,2": the numbers of classes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[int, ...]:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,5}(?:,[0-9]{1,5}){0,999}", value):
            raise ValidationError("must be the numbers of classes, separated by commas")
        return tuple(dict.fromkeys(int(part) for part in value.split(",")))


class LookQuery(Strict):
    """May stand in the query or in the form."""

    conf = _share(DEFAULT_CONF, "least confidence of a detection")
    iou = _share(DEFAULT_IOU, "boxes of one class that overlap more than this are one")
    imgsz = query_integer(
        32, 4096, metadata={"description": "side in pixels to which images are brought; default: the model's own"}
    )
    max_det = query_integer(
        1, 3000, metadata={"description": f"most detections of an image; default {DEFAULT_MAX_DET}"}
    )
    classes = ClassIds(
        metadata={"type": "string", "description": "numbers of the classes that are wanted; default: all"}
    )


class ImageQuery(LookQuery):
    format = choice("json", "image", metadata={"description": "image: the picture with its boxes, as JPEG"})


class VideoQuery(LookQuery):
    video_data = QueryBoolean(
        load_default=True, metadata={"description": "false: without the video itself, which is at video_url"}
    )


class SessionsQuery(Strict):
    limit = query_integer(1, 1000, load_default=100, metadata={"description": "most sessions of the answer"})
    offset = query_integer(0, load_default=0, metadata={"description": "newer sessions that are left out"})


class _Form(LookQuery):
    workspace_id = fields.Raw(metadata={"type": "integer", "minimum": 1, "description": "whose members may read it"})


class InferImageForm(_Form):
    file = fields.Raw(required=True, metadata={**_BINARY, "description": "JPEG or PNG"})


class InferFilesForm(_Form):
    files = fields.List(fields.Raw(metadata=_BINARY), required=True, metadata={"description": "JPEG or PNG"})


class InferBatchForm(InferFilesForm):
    model_ids = fields.String(required=True, metadata={"description": "ids of models, separated by commas"})


class InferVideoForm(_Form):
    file = fields.Raw(required=True, metadata={**_BINARY, "description": "mp4, mov, mkv, webm, avi, flv, mpeg"})


class InferStreamForm(LookQuery):
    file = fields.Raw(required=True, metadata={**_BINARY, "description": "mp4, mov, mkv, webm, avi, flv, mpeg"})


class InferBoxSchema(Answer):
    x1 = fields.Float(metadata={"description": "pixels from the left, as all x"})
    y1 = fields.Float(metadata={"description": "pixels from the top, as all y"})
    x2 = fields.Float()
    y2 = fields.Float()


class FlatDetectionSchema(Answer):
    class_id = fields.Integer()
    class_name = fields.String()
    conf = fields.Float(metadata={"description": "0 to 1"})
    x1 = fields.Float()
    y1 = fields.Float()
    x2 = fields.Float()
    y2 = fields.Float()


class DetectionSchema(FlatDetectionSchema):
    confidence = fields.Float(metadata={"description": "0 to 1; conf"})
    bbox = fields.Nested(InferBoxSchema)


class InferredSchema(Answer):
    model_id = fields.String()
    image_path = fields.String(metadata={"description": "where the image is, below /static/"})
    image_width = fields.Integer(metadata={"description": "pixels, upright as its EXIF data say"})
    image_height = fields.Integer()
    detections = fields.List(fields.Nested(DetectionSchema))


class InferAnswerSchema(InferredSchema):
    session_id = fields.String()


class BatchImageSchema(Answer):
    filename = fields.String()
    image_width = fields.Integer()
    image_height = fields.Integer()
    detections = fields.List(fields.Nested(DetectionSchema))
    detection_count = fields.Integer()


class BatchRowSchema(InferredSchema):
    model_name = fields.String()
    classes = fields.List(fields.String())
    images = fields.List(fields.Nested(BatchImageSchema), metadata={"description": "the one image of this row"})


class FileProblemSchema(Answer):
    filename = fields.String()
    problem = fields.String()


class BatchSchema(Answer):
    session_id = fields.String()
    results = fields.List(
        fields.Nested(BatchRowSchema), metadata={"description": "a row a model and image, model by model"}
    )
    errors = fields.List(fields.Nested(FileProblemSchema), metadata={"description": "files that were left out"})
    total_models = fields.Integer()
    total_images = fields.Integer(metadata={"description": "that were looked at"})


class ExportRowSchema(Answer):
    image_uuid = fields.String()
    image_filename = fields.String()
    model_id = fields.String()
    image_width = fields.Integer()
    image_height = fields.Integer()
    detection_count = fields.Integer()
    detections = fields.List(fields.Nested(FlatDetectionSchema))


class ExportSchema(Answer):
    session_id = fields.String()
    results = fields.List(fields.Nested(ExportRowSchema))
    errors = fields.List(fields.Nested(FileProblemSchema), metadata={"description": "files that were left out"})
    session_dir = fields.String(metadata={"description": "on the service's machine"})


class VideoStatsSchema(Answer):
    total_frames = fields.Integer()
    detections_per_frame = fields.List(fields.Integer())


class VideoInfoSchema(Answer):
    fps = fields.Float()
    width = fields.Integer()
    height = fields.Integer()
    total_frames = fields.Integer(allow_none=True, metadata={"description": "as the header of what was sent tells"})
    processed_frames = fields.Integer()


class VideoSummarySchema(Answer):
    total_detections = fields.Integer()
    frames_with_detections = fields.Integer()


class VideoAnswerSchema(Answer):
    session_id = fields.String()
    model_id = fields.String()
    video_data = fields.String(
        allow_none=True, metadata={"description": "mp4 (H.264), base64; null after video_data=false"}
    )
    video_url = fields.String(metadata={"description": "the same video, by ranges, for as long as its session is kept"})
    stats = fields.Nested(VideoStatsSchema)
    video_info = fields.Nested(VideoInfoSchema)
    summary = fields.Nested(VideoSummarySchema)


class InferSessionSchema(Answer):
    session_id = fields.String()
    kind = choice("image", "batch", "export", "video")
    model_ids = fields.List(fields.String())
    workspace_id = fields.Integer(allow_none=True)
    image_count = fields.Integer(allow_none=True, metadata={"description": "null for a video"})
    frame_count = fields.Integer(allow_none=True, metadata={"description": "of a video"})
    detection_count = fields.Integer()
    created_at = fields.String()
    expires_at = fields.String(metadata={"description": "when it is removed"})


class InferSessionDetailSchema(InferSessionSchema):
    images = fields.List(fields.String(), metadata={"description": "to be had below /static/; the first 1000"})
    video_url = fields.String(allow_none=True)
    export_url = fields.String(allow_none=True)


class InferDoneSchema(Answer):
    ok = fields.Boolean()
    message = fields.String()


class InferSessionsSchema(Answer):
    sessions = fields.List(fields.Nested(InferSessionSchema))
    total = fields.Integer()
