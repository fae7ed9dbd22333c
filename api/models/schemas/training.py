"""The requests and answers of training v1 (contract 1)."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.models.events import Level
from api.models.job import FAILURE_KINDS, EndReason, JobStatus, Phase
from api.models.schemas.base import (
    Answer,
    Strict,
    StrictBoolean,
    choice,
    integer,
    moment,
    name,
    query_integer,
    seconds,
    text,
)
from api.models.schemas.placement import PlacementSchema

STATUSES = [status.value for status in JobStatus]
LEVELS = [level.name for level in Level]
TYPES = ("train", "eval", "system", "all")


class StartSchema(Strict):
    """POST /start."""

    model_type = name(required=True, metadata={"description": "diffusion-pipe's `[model] type`"})
    dataset = fields.Dict(
        required=True,
        keys=fields.String(),
        metadata={
            "description": "becomes the dataset TOML: at least one `directory` (or `directories`), each with an "
            "absolute `path` or a `path_id`; other keys are diffusion-pipe's own and pass unchanged"
        },
    )
    config = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={
            "description": "becomes the main TOML: flat keys, or grouped under `save`, `optimization` and `eval`; the "
            "keys of `model`, `adapter`, `optimizer` and `monitoring` pass unchanged. GET /api/v1/engines has them all"
        },
    )
    gpu_id = integer(-1, 1023, metadata={"description": "-1 or absent: the scheduler picks an idle one"})
    num_gpus = integer(1, 1024, load_default=1, metadata={"description": "that many are leased together"})
    wait = StrictBoolean(
        load_default=False, metadata={"description": "queue for an explicit `gpu_id` that is busy; false: 409"}
    )
    priority = integer(0, 10, load_default=0, metadata={"description": "larger first"})
    workspace_id = integer(1, metadata={"description": "a workspace of yours, whose members may then read the job"})
    max_runtime = integer(1, 10**9, metadata={"description": "seconds after which it is ended"})
    max_retries = integer(
        0, 100, load_default=0, metadata={"description": "further attempts when it fails, each after a longer pause"}
    )
    placement = fields.Nested(
        PlacementSchema,
        metadata={"description": "on a cluster: where an admin lets jobs choose that"},
    )
    description = text(0, 10_000, metadata={"description": "for people; lists search it"})
    tags = fields.List(
        name(), validate=validate.Length(max=50), load_default=list, metadata={"description": "lists filter by them"}
    )
    env = fields.Dict(
        keys=fields.String(),
        values=text(0, 32_768),
        load_default=dict,
        metadata={"description": "variables of the trainer's environment; some names are the service's own (422)"},
    )


class StopSchema(Strict):
    force = StrictBoolean(load_default=False, metadata={"description": "end it now, without asking it to save"})


class WaitQuery(Strict):
    wait = seconds(
        60, load_default=5.0, metadata={"description": "seconds to wait for the end; the answer is true of that moment"}
    )


class ResumeSchema(Strict):
    checkpoint = name(metadata={"description": "a `state` checkpoint; absent: the newest"})


class ListQuery(Strict):
    status = choice(*STATUSES, metadata={"description": "in this status"})
    gpu_id = query_integer(0, 1023, metadata={"description": "that hold, held or ask for this GPU"})
    engine = name(metadata={"description": "of this engine"})
    dialect = name(metadata={"description": "submitted through this dialect"})
    tag = name(metadata={"description": "with this tag"})
    q = name(metadata={"description": "with this in their id or description"})
    limit = query_integer(1, 500, load_default=50, metadata={"description": "how many at most"})
    offset = query_integer(0, load_default=0, metadata={"description": "how many of the newest to pass over"})


class AttemptQuery(Strict):
    attempt = query_integer(1, 1_000_000, metadata={"description": "of the series that this attempt belongs to"})


class MetricsQuery(AttemptQuery):
    metric = name(load_default="loss", metadata={"description": "a name that /metrics/names lists"})
    type = choice("epoch", "step", load_default="step", metadata={"description": "a value a step or an epoch"})
    limit = query_integer(1, 10_000, load_default=100, metadata={"description": "how many points at most"})
    window = choice(
        "all",
        "last",
        load_default="all",
        metadata={"description": "`all`: the whole series, thinned; `last`: its newest points as they are"},
    )
    since_step = query_integer(0, metadata={"description": "from this step on (with `type=epoch`: this epoch)"})
    format = choice("json", "csv", load_default="json", metadata={"description": "`csv` is a download"})


class LogFilterQuery(Strict):
    type = choice(*TYPES, load_default="all", metadata={"description": "lines of this kind"})
    level = choice(*LEVELS, metadata={"description": "this level and above"})


class LogsQuery(LogFilterQuery):
    tail = query_integer(0, 10_000, load_default=100, metadata={"description": "how many of the last lines"})
    since = moment("lines read at or after this moment (ISO 8601)")
    offset = query_integer(0, metadata={"description": "a byte cursor (`next_cursor`): the lines after it"})
    from_line = query_integer(1, metadata={"description": "the lines from this one on"})
    before_line = query_integer(1, metadata={"description": "the last lines before this one"})
    limit = query_integer(
        1,
        10_000,
        load_default=100,
        metadata={"description": "with `offset`, `from_line`, `before_line`: how many lines"},
    )

    @validates_schema
    def _one_place(self, data: dict[str, Any], **_: Any) -> None:
        given = [name for name in ("offset", "from_line", "before_line") if name in data]
        if len(given) > 1:
            raise ValidationError(f"cannot be given together with {given[0]}", given[1])


class SearchQuery(LogFilterQuery):
    keyword = text(1, 1000, required=True, metadata={"description": "letter case does not count, but in a `regex`"})
    regex = fields.Boolean(load_default=False, metadata={"description": "the keyword is a regular expression"})
    start_time = moment("lines read at or after this moment (ISO 8601)")
    end_time = moment("lines read at or before this moment (ISO 8601)")
    from_line = query_integer(1, load_default=1, metadata={"description": "the line to begin with"})
    limit = query_integer(1, 10_000, load_default=100, metadata={"description": "how many results at most"})


class ArtifactQuery(AttemptQuery):
    show = fields.Boolean(
        load_default=False, metadata={"description": "as an image to be shown; files of other kinds are downloads"}
    )


class DeleteQuery(Strict):
    files = fields.Boolean(load_default=False, metadata={"description": "also remove its output"})


# ---- answers


def _text(description: str | None = None) -> fields.String:
    return fields.String(allow_none=True, metadata={} if description is None else {"description": description})


def _whole(description: str | None = None) -> fields.Integer:
    return fields.Integer(allow_none=True, metadata={} if description is None else {"description": description})


def _number(description: str | None = None) -> fields.Float:
    return fields.Float(allow_none=True, metadata={} if description is None else {"description": description})


class ProgressSchema(Answer):
    """Unknown is null; epochs and steps count from 1."""

    current_epoch = _whole()
    total_epochs = _whole()
    current_step = _whole()
    total_steps = _whole()
    total_steps_estimated = fields.Boolean(metadata={"description": "steps of the first epoch × epochs"})
    current_batch = _whole()
    total_batches = _whole("steps of an epoch")
    epoch_progress = _number("percent")
    overall_progress = _number("percent; 100 only when completed")
    eta_seconds = _number()
    eta_formatted = _text("`1h 0m 0s`")
    training_time = _number("seconds")
    training_time_formatted = _text()


class MetricsNowSchema(Answer):
    current_loss = _number()
    best_loss = _number()
    learning_rate = _number()
    grad_norm = _number()
    epoch_loss = _number("of the last whole epoch")
    best_epoch = _whole()


class SpeedSchema(Answer):
    """The trainer's own last report; stays after the end."""

    steps_per_second = _number()
    samples_per_second = _number()
    time_per_step = _number("seconds")


class ProgressAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    phase = choice(*Phase)
    progress = fields.Nested(ProgressSchema)
    metrics = fields.Nested(MetricsNowSchema)
    speed = fields.Nested(SpeedSchema)
    stop_requested_at = _text()
    updated_at = fields.String()


class SavesSchema(Answer):
    save_every_n_epochs = _whole()
    last_saved = _text()
    next_save = _text()


class StartAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    gpu_id = _whole("the one asked for; null until the scheduler picks one")
    gpu_name = _text()
    engine = fields.String()
    model_type = _text()
    config = fields.Dict(metadata={"description": "flat, with the defaults filled in and secrets masked"})
    description = _text()
    created_at = fields.String()
    queue_position = _whole("1 is next; null when it does not wait")
    estimated_start_time = _text()
    estimated_duration = _number("seconds")
    checkpoints = fields.Nested(SavesSchema)
    warnings = fields.List(fields.String())


class FailureSchema(Answer):
    kind = choice(*FAILURE_KINDS)
    hint = fields.String(metadata={"description": "what to do about it"})
    line = _text("the log line that shows it")


class ListItemSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    engine = fields.String()
    dialect = fields.String()
    name = fields.String(
        metadata={"description": "what its dialect calls it by; where that knows no names, the description"}
    )
    gpu_id = _whole("the first GPU that it holds, held or asks for")
    gpu_name = _text()
    model_type = _text()
    description = _text()
    tags = fields.List(fields.String())
    priority = fields.Integer()
    held = fields.Boolean(metadata={"description": "waits until somebody releases it"})
    progress = fields.Nested(ProgressSchema)
    metrics = fields.Nested(MetricsNowSchema)
    stop_requested_at = _text("set while it saves and quits")
    created_at = fields.String()
    started_at = _text()
    updated_at = fields.String()
    completed_at = _text("when it ended, however it did")
    failure = fields.Nested(FailureSchema, allow_none=True)


class PaginationSchema(Answer):
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


class ListAnswerSchema(Answer):
    tasks = fields.List(fields.Nested(ListItemSchema))
    pagination = fields.Nested(PaginationSchema)


class AttemptSchema(Answer):
    number = fields.Integer()
    series = fields.Integer(metadata={"description": "the attempt that began its metric series"})
    pid = _whole()
    started_at = _text()
    ended_at = _text()
    exit_code = _whole("negative: the signal; null: unknown")
    reason = fields.String(
        allow_none=True, validate=validate.OneOf([*EndReason, None]), metadata={"description": "why it ended"}
    )
    resume_from = _text("the checkpoint that it continues")
    output_dir = fields.String()


class CheckpointSchema(Answer):
    name = fields.String()
    kind = choice("state", "weights", metadata={"description": "`state` can be resumed from"})
    epoch = _whole()
    step = _whole()
    path = fields.String()
    timestamp = fields.String()
    loss = _number()
    size_bytes = fields.Integer()


class PointSchema(Answer):
    epoch = _whole()
    step = _whole()
    value = _number("null: it was not a number")
    timestamp = fields.String()


class MetricsHistorySchema(MetricsNowSchema):
    epoch_losses = fields.List(fields.Nested(PointSchema))
    step_losses = fields.List(fields.Nested(PointSchema), metadata={"description": "the last 100"})


class GpuMemorySchema(Answer):
    total = _number("MB")
    used = _number("MB")
    free = _number("MB")
    utilization = _number("percent")


class SystemStatsSchema(Answer):
    """Of a running job, as last measured; of others nulls."""

    gpu_memory = fields.Nested(GpuMemorySchema)
    gpu_utilization = _number("percent")
    gpu_temperature = _number("degrees Celsius")
    gpu_power = _number("W")
    cpu_percent = _number("of one core; its processes together")
    rss_bytes = _whole("its processes together")


class DetailSchema(ListItemSchema):
    metrics = fields.Nested(MetricsHistorySchema)
    phase = choice(*Phase)
    speed = fields.Nested(SpeedSchema)
    config = fields.Dict(metadata={"description": "flat, with the defaults filled in and secrets masked"})
    dataset = fields.Dict(allow_none=True)
    command = fields.List(fields.String(), metadata={"description": "how the last attempt was started; empty: not yet"})
    environment = fields.Dict(
        values=fields.String(), metadata={"description": "what the trainer's environment has besides the service's own"}
    )
    attempts = fields.List(fields.Nested(AttemptSchema))
    system_stats = fields.Nested(SystemStatsSchema)
    checkpoints = fields.List(fields.Nested(CheckpointSchema))
    logs_path = fields.String()
    output_dir = fields.String()
    error_message = _text()
    reason = fields.String(
        allow_none=True, validate=validate.OneOf([*EndReason, None]), metadata={"description": "why it ended"}
    )
    warnings = fields.List(fields.String())
    notes = fields.Dict(metadata={"description": "what its engine told of it besides: best epoch, accuracy ..."})
    queue_position = _whole("1 is next; null when it does not wait")
    queue_reason = _text("what it waits for, in words")


class StopAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    stop_requested_at = _text()
    stopped_at = _text()
    checkpoint_saved = fields.Boolean(metadata={"description": "one newer than the request was seen on disk"})
    last_checkpoint = _text()
    training_time = _number("seconds")
    grace_seconds = _number("how long it may take to save and quit; null once it has ended")


class MetricsAnswerSchema(Answer):
    task_id = fields.String()
    metric = fields.String()
    type = choice("epoch", "step")
    total_points = fields.Integer()
    downsampled = fields.Boolean()
    data = fields.List(fields.Nested(PointSchema))


class MetricNameSchema(Answer):
    name = fields.String()
    type = choice("epoch", "step")
    points = fields.Integer()
    last = fields.Integer(metadata={"description": "its last step or epoch"})
    updated_at = fields.String()


class NamesAnswerSchema(Answer):
    task_id = fields.String()
    metrics = fields.List(fields.Nested(MetricNameSchema))


class LogLineSchema(Answer):
    line_number = fields.Integer()
    timestamp = fields.String(metadata={"description": "when it was read"})
    level = choice(*LEVELS)
    type = choice(*TYPES[:-1])
    message = fields.String()
    epoch = _whole()
    step = _whole()


class LogsAnswerSchema(Answer):
    task_id = fields.String()
    log_file = fields.String()
    total_lines = fields.Integer(metadata={"description": "of the file"})
    next_cursor = fields.Integer(metadata={"description": "`offset` of the lines that come next"})
    logs = fields.List(fields.Nested(LogLineSchema))


class SearchResultSchema(LogLineSchema):
    matched_text = fields.String()


class SearchAnswerSchema(Answer):
    task_id = fields.String()
    query = fields.String()
    total_matches = fields.Integer()
    complete = fields.Boolean(metadata={"description": "false: ended by its time limit, there may be more"})
    next_line = _whole("`from_line` of a search that goes on; null: it is complete")
    results = fields.List(fields.Nested(SearchResultSchema))


class CheckpointsAnswerSchema(Answer):
    task_id = fields.String()
    checkpoints = fields.List(fields.Nested(CheckpointSchema))


class ArtifactSchema(Answer):
    path = fields.String(metadata={"description": "relative; fetch it under /artifacts/<path>"})
    size_bytes = fields.Integer()
    modified_at = fields.String()


class ArtifactsAnswerSchema(Answer):
    task_id = fields.String()
    directory = fields.String()
    truncated = fields.Boolean(metadata={"description": "there are more files than one answer lists"})
    artifacts = fields.List(fields.Nested(ArtifactSchema))


class TaskIdSchema(Answer):
    task_id = fields.String()


class BusySchema(Answer):
    """The 409 of an explicit GPU that is busy."""

    gpu_id = fields.Integer()
    current_task = _text("the job that has it; null: a process that is not ours")
    estimated_available_time = _text("from the job's own speed")
    available_gpus = fields.List(fields.Integer())


class TooFewSchema(Answer):
    """The 507 of more than the machine has."""

    short_of = fields.List(choice("gpus", "cores", "memory"))
    required_gpus = fields.Integer()
    available_gpus = fields.List(fields.Integer())
    busy_gpus = fields.List(fields.Integer())
    cpu_total = fields.Integer(metadata={"description": "cores that jobs may lease"})
    memory_total = fields.Integer(metadata={"description": "bytes that jobs may lease"})
    recommended_action = fields.String()


class FieldErrorSchema(Answer):
    field = fields.String(metadata={"description": "its dotted path in the request; `body` is the whole of it"})
    message = fields.String()


class FieldErrorsSchema(Answer):
    """The 422 of any request."""

    errors = fields.List(fields.Nested(FieldErrorSchema))
