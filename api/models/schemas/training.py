"""The requests and answers of training v1 (contract 1)."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.models.events import Level
from api.models.job import JobStatus
from api.models.schemas.base import Strict, StrictBoolean, choice, integer, name, query_integer, text

STATUSES = [status.value for status in JobStatus]
LEVELS = [level.name for level in Level]
TYPES = ("train", "eval", "system", "all")


class StartSchema(Strict):
    """POST /start."""

    model_type = name(required=True, metadata={"description": "diffusion-pipe's `[model] type`", "example": "sdxl"})
    dataset = fields.Dict(required=True, keys=fields.String(), metadata={"description": "becomes the dataset TOML"})
    config = fields.Dict(keys=fields.String(), load_default=dict, metadata={"description": "becomes the config TOML"})
    gpu_id = integer(-1, 1023, metadata={"description": "-1 or absent: the scheduler picks"})
    num_gpus = integer(1, 1024, load_default=1)
    wait = StrictBoolean(load_default=False, metadata={"description": "queue for a busy explicit gpu_id"})
    priority = integer(0, 10, load_default=0, metadata={"description": "larger first"})
    description = text(0, 10_000)
    tags = fields.List(name(), validate=validate.Length(max=50), load_default=list)
    env = fields.Dict(keys=fields.String(), values=text(0, 32_768), load_default=dict)


class StopSchema(Strict):
    force = StrictBoolean(load_default=False)


class WaitQuery(Strict):
    wait = fields.Float(load_default=5.0, validate=validate.Range(0, 60), metadata={"description": "seconds"})


class ResumeSchema(Strict):
    checkpoint = name(metadata={"description": "a `state` checkpoint; absent: the newest", "example": "global_step16"})


class ListQuery(Strict):
    status = choice(*STATUSES)
    gpu_id = query_integer(0, 1023)
    engine = name()
    dialect = name()
    tag = name()
    q = name(metadata={"description": "part of an id or a description"})
    limit = query_integer(1, 500, load_default=50)
    offset = query_integer(0, load_default=0)


class AttemptQuery(Strict):
    attempt = query_integer(1, 1_000_000, metadata={"description": "show the series that this attempt belongs to"})


class MetricsQuery(AttemptQuery):
    metric = name(load_default="loss")
    type = choice("epoch", "step", load_default="step")
    limit = query_integer(1, 10_000, load_default=100)
    window = choice("all", "last", load_default="all")
    since_step = query_integer(0)
    format = choice("json", "csv", load_default="json")


class LogFilterQuery(Strict):
    type = choice(*TYPES, load_default="all")
    level = choice(*LEVELS, metadata={"description": "this level and above"})


class LogsQuery(LogFilterQuery):
    tail = query_integer(0, 10_000, load_default=100)
    since = fields.AwareDateTime(format="iso", metadata={"description": "ISO 8601"})
    offset = query_integer(0, metadata={"description": "a byte cursor: lines after it"})
    limit = query_integer(1, 10_000, load_default=100)


class SearchQuery(LogFilterQuery):
    keyword = text(1, 1000, required=True)
    regex = fields.Boolean(load_default=False)
    start_time = fields.AwareDateTime(format="iso")
    end_time = fields.AwareDateTime(format="iso")
    limit = query_integer(1, 10_000, load_default=100)


class DeleteQuery(Strict):
    files = fields.Boolean(load_default=False, metadata={"description": "also remove its output"})


# ---- answers


class ProgressSchema(Schema):
    """Unknown is null; epochs and steps count from 1."""

    current_epoch = fields.Integer(allow_none=True)
    total_epochs = fields.Integer(allow_none=True)
    current_step = fields.Integer(allow_none=True)
    total_steps = fields.Integer(allow_none=True)
    total_steps_estimated = fields.Boolean()
    current_batch = fields.Integer(allow_none=True)
    total_batches = fields.Integer(allow_none=True)
    epoch_progress = fields.Float(allow_none=True, metadata={"description": "percent"})
    overall_progress = fields.Float(allow_none=True, metadata={"description": "percent; 100 only when completed"})
    eta_seconds = fields.Float(allow_none=True)
    eta_formatted = fields.String(allow_none=True)
    training_time = fields.Float(allow_none=True, metadata={"description": "seconds"})
    training_time_formatted = fields.String(allow_none=True)


class MetricsNowSchema(Schema):
    current_loss = fields.Float(allow_none=True)
    best_loss = fields.Float(allow_none=True)
    learning_rate = fields.Float(allow_none=True)
    grad_norm = fields.Float(allow_none=True)
    epoch_loss = fields.Float(allow_none=True)
    best_epoch = fields.Integer(allow_none=True)


class SpeedSchema(Schema):
    steps_per_second = fields.Float(allow_none=True)
    samples_per_second = fields.Float(allow_none=True)
    time_per_step = fields.Float(allow_none=True, metadata={"description": "seconds"})


class ProgressAnswerSchema(Schema):
    task_id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    phase = fields.String(required=True)
    progress = fields.Nested(ProgressSchema, required=True)
    metrics = fields.Nested(MetricsNowSchema, required=True)
    speed = fields.Nested(SpeedSchema, required=True)
    stop_requested_at = fields.String(allow_none=True)
    updated_at = fields.String(required=True)


class StartAnswerSchema(Schema):
    task_id = fields.String(required=True)
    status = fields.String(required=True)
    gpu_id = fields.Integer(allow_none=True)
    gpu_name = fields.String(allow_none=True)
    engine = fields.String(required=True)
    model_type = fields.String(allow_none=True)
    config = fields.Dict(required=True)
    description = fields.String(allow_none=True)
    created_at = fields.String(required=True)
    queue_position = fields.Integer(allow_none=True)
    estimated_start_time = fields.String(allow_none=True)
    estimated_duration = fields.Float(allow_none=True)
    checkpoints = fields.Dict(required=True)


class ListItemSchema(Schema):
    task_id = fields.String(required=True)
    status = fields.String(required=True)
    engine = fields.String(required=True)
    dialect = fields.String(required=True)
    gpu_id = fields.Integer(allow_none=True)
    gpu_name = fields.String(allow_none=True)
    model_type = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    progress = fields.Nested(ProgressSchema, required=True)
    metrics = fields.Nested(MetricsNowSchema, required=True)
    tags = fields.List(fields.String())
    priority = fields.Integer()
    stop_requested_at = fields.String(allow_none=True)
    created_at = fields.String(required=True)
    started_at = fields.String(allow_none=True)
    updated_at = fields.String(required=True)


class PaginationSchema(Schema):
    total = fields.Integer(required=True)
    limit = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    has_more = fields.Boolean(required=True)


class ListAnswerSchema(Schema):
    tasks = fields.List(fields.Nested(ListItemSchema), required=True)
    pagination = fields.Nested(PaginationSchema, required=True)


class AttemptSchema(Schema):
    number = fields.Integer(required=True)
    series = fields.Integer(required=True)
    pid = fields.Integer(allow_none=True)
    started_at = fields.String(allow_none=True)
    ended_at = fields.String(allow_none=True)
    exit_code = fields.Integer(allow_none=True, metadata={"description": "negative: the signal; null: unknown"})
    reason = fields.String(allow_none=True)
    resume_from = fields.String(allow_none=True)
    output_dir = fields.String(required=True)


class CheckpointSchema(Schema):
    name = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(["state", "weights"]))
    epoch = fields.Integer(allow_none=True)
    step = fields.Integer(allow_none=True)
    path = fields.String(required=True)
    timestamp = fields.String(required=True)
    loss = fields.Float(allow_none=True)
    size_bytes = fields.Integer(required=True)


class FailureSchema(Schema):
    kind = fields.String(required=True)
    hint = fields.String(required=True)
    line = fields.String(allow_none=True)


class DetailSchema(ListItemSchema):
    config = fields.Dict(required=True)
    dataset = fields.Dict(allow_none=True)
    command = fields.List(fields.String(), required=True)
    environment = fields.Dict(required=True)
    attempts = fields.List(fields.Nested(AttemptSchema), required=True)
    system_stats = fields.Dict(required=True)
    checkpoints = fields.List(fields.Nested(CheckpointSchema), required=True)
    completed_at = fields.String(allow_none=True)
    logs_path = fields.String(required=True)
    output_dir = fields.String(required=True)
    error_message = fields.String(allow_none=True)
    failure = fields.Nested(FailureSchema, allow_none=True)
    warnings = fields.List(fields.String(), required=True)
    phase = fields.String(required=True)
    queue_position = fields.Integer(allow_none=True)


class StopAnswerSchema(Schema):
    task_id = fields.String(required=True)
    status = fields.String(required=True)
    stop_requested_at = fields.String(allow_none=True)
    stopped_at = fields.String(allow_none=True)
    checkpoint_saved = fields.Boolean(required=True)
    last_checkpoint = fields.String(allow_none=True)
    training_time = fields.Float(allow_none=True)
    grace_seconds = fields.Float(allow_none=True)


class PointSchema(Schema):
    epoch = fields.Integer(allow_none=True)
    step = fields.Integer(allow_none=True)
    value = fields.Float(allow_none=True)
    timestamp = fields.String(required=True)


class MetricsAnswerSchema(Schema):
    task_id = fields.String(required=True)
    metric = fields.String(required=True)
    type = fields.String(required=True)
    total_points = fields.Integer(required=True)
    downsampled = fields.Boolean(required=True)
    data = fields.List(fields.Nested(PointSchema), required=True)


class NamesAnswerSchema(Schema):
    task_id = fields.String(required=True)
    metrics = fields.List(fields.Dict(), required=True)


class LogLineSchema(Schema):
    line_number = fields.Integer(required=True)
    timestamp = fields.String(required=True)
    level = fields.String(required=True)
    type = fields.String(required=True)
    message = fields.String(required=True)
    epoch = fields.Integer(allow_none=True)
    step = fields.Integer(allow_none=True)


class LogsAnswerSchema(Schema):
    task_id = fields.String(required=True)
    log_file = fields.String(required=True)
    total_lines = fields.Integer(required=True)
    next_cursor = fields.Integer(required=True)
    logs = fields.List(fields.Nested(LogLineSchema), required=True)


class SearchAnswerSchema(Schema):
    task_id = fields.String(required=True)
    query = fields.String(required=True)
    total_matches = fields.Integer(required=True)
    complete = fields.Boolean(required=True)
    results = fields.List(fields.Dict(), required=True)


class CheckpointsAnswerSchema(Schema):
    task_id = fields.String(required=True)
    checkpoints = fields.List(fields.Nested(CheckpointSchema), required=True)


class ArtifactSchema(Schema):
    path = fields.String(required=True, metadata={"description": "relative; fetch it under /artifacts/<path>"})
    size_bytes = fields.Integer(required=True)
    modified_at = fields.String(required=True)


class ArtifactsAnswerSchema(Schema):
    task_id = fields.String(required=True)
    directory = fields.String(required=True)
    truncated = fields.Boolean(required=True)
    artifacts = fields.List(fields.Nested(ArtifactSchema), required=True)
