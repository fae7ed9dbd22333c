"""The requests and answers of the YOLO platform's trainings and logs (contract 3)."""

from __future__ import annotations

from marshmallow import fields

from api.models.dialect import YOLO_PLATFORM
from api.models.schemas.answers import FailureSchema, ProgressSchema
from api.models.schemas.base import Answer, Strict, choice, integer, query_integer, text
from api.models.schemas.yolo_datasets import DoneSchema

STATUSES = tuple(dict.fromkeys(YOLO_PLATFORM.words.values()))
LISTED = 1000


class TrainingRequestSchema(Strict):
    """POST /train/jobs, less ultralytics' own arguments."""

    dataset_id = text(1, 100, required=True, metadata={"description": "prepared, or else prepared first"})
    version = text(1, 40, load_default="v1", metadata={"description": "the dataset's version"})
    model_name = text(
        1,
        200,
        load_default="yolov8n.pt",
        metadata={"description": "weights (yolov8n.pt), an architecture (yolov8n.yaml) or a registered model's id"},
    )
    base_model_id = text(1, 100, metadata={"description": "a registered model to train further; wins over model_name"})
    device = fields.Raw(
        metadata={"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "`cpu`, or the number of a GPU"}
    )
    pretrained = fields.Raw(
        metadata={
            "anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["auto"]}],
            "description": "false: weights are an architecture only; auto: the architecture where weights are missing",
        }
    )
    priority = integer(0, 10, load_default=0, metadata={"description": "larger first"})
    workspace_id = integer(1, metadata={"description": "whose members may read the job; default: the dataset's"})


class TrainingListQuery(Strict):
    limit = query_integer(1, LISTED, load_default=LISTED, metadata={"description": "how many at most"})
    offset = query_integer(0, 10**9, load_default=0, metadata={"description": "how many to pass over"})


class CreatedTrainingSchema(Answer):
    job_id = fields.String()
    status = choice(*STATUSES)
    queue_position = fields.Integer(allow_none=True, metadata={"description": "1 is next; null: it does not wait"})
    warnings = fields.List(fields.String())


class TrainingItemSchema(CreatedTrainingSchema):
    dataset_id = fields.String()
    version = fields.String()
    model_name = fields.String()
    base_model_id = fields.String(allow_none=True)
    epochs = fields.Integer()
    imgsz = fields.Integer()
    batch = fields.Float(metadata={"description": "as asked for; -1: what fits"})
    created_at = fields.String()
    completed_at = fields.String(allow_none=True)
    stopped_at = fields.String(allow_none=True)
    failed_at = fields.String(allow_none=True)
    model_id = fields.String(allow_none=True, metadata={"description": "the model that it left when it was completed"})
    log_file = fields.String(metadata={"description": "its path on the service's machine"})
    error = fields.String(allow_none=True, metadata={"description": "why it failed"})
    can_resume = fields.Boolean()
    resume_count = fields.Integer(metadata={"description": "how often it was taken up again"})


class TrainingListSchema(Answer):
    jobs = fields.List(fields.Nested(TrainingItemSchema))
    total = fields.Integer(metadata={"description": "how many there are, whatever the limit"})


class TrainingSchema(TrainingItemSchema):
    started_at = fields.String(allow_none=True)
    progress = fields.Nested(ProgressSchema)
    queue_reason = fields.String(allow_none=True, metadata={"description": "what it waits for, in words"})
    failure = fields.Nested(FailureSchema, allow_none=True)
    arguments = fields.Dict(metadata={"description": "of ultralytics, as it was given them"})
    workspace_id = fields.Integer(allow_none=True)


class ResumedSchema(DoneSchema):
    job_id = fields.String()
    status = choice(*STATUSES)
    warnings = fields.List(fields.String())


class LogQuery(Strict):
    job_id = text(1, 100, required=True, metadata={"description": "the job's id"})


class LogTailQuery(LogQuery):
    offset = query_integer(0, load_default=0, metadata={"description": "bytes: the `offset` of the answer before"})


class LogLinesQuery(LogQuery):
    n = query_integer(0, load_default=100, metadata={"description": "how many of the last; 0: all"})


class LogTailSchema(Answer):
    offset = fields.Integer(metadata={"description": "bytes: where the next line begins"})
    lines = fields.List(fields.String(), metadata={"description": "whole lines, 50 at most"})


class LogLinesSchema(Answer):
    lines = fields.List(fields.String())
    total = fields.Integer(metadata={"description": "lines of the log"})
    returned = fields.Integer()
