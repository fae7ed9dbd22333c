"""The requests and answers of training v1 (contract 1)."""

from __future__ import annotations

from marshmallow import fields, validate

from api.models.job import EndReason, JobStatus, Phase
from api.models.schemas.answers import (
    FailureSchema,
    PaginationSchema,
    ProgressSchema,
    number_or_null,
    text_or_null,
    whole_or_null,
)
from api.models.schemas.base import (
    Answer,
    Strict,
    StrictBoolean,
    choice,
    integer,
    name,
    query_integer,
    seconds,
    text,
)
from api.models.schemas.placement import PlacementSchema

STATUSES = [status.value for status in JobStatus]


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


class ArtifactQuery(AttemptQuery):
    show = fields.Boolean(
        load_default=False, metadata={"description": "as an image to be shown; files of other kinds are downloads"}
    )


class DeleteQuery(Strict):
    files = fields.Boolean(load_default=False, metadata={"description": "also remove its output"})


# ---- answers


class MetricsNowSchema(Answer):
    current_loss = number_or_null()
    best_loss = number_or_null()
    learning_rate = number_or_null()
    grad_norm = number_or_null()
    epoch_loss = number_or_null("of the last whole epoch")
    best_epoch = whole_or_null()


class SpeedSchema(Answer):
    """The trainer's own last report; stays after the end."""

    steps_per_second = number_or_null()
    samples_per_second = number_or_null()
    time_per_step = number_or_null("seconds")


class ProgressAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    phase = choice(*Phase)
    progress = fields.Nested(ProgressSchema)
    metrics = fields.Nested(MetricsNowSchema)
    speed = fields.Nested(SpeedSchema)
    stop_requested_at = text_or_null()
    updated_at = fields.String()


class SavesSchema(Answer):
    save_every_n_epochs = whole_or_null()
    last_saved = text_or_null()
    next_save = text_or_null()


class StartAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    gpu_id = whole_or_null("the one asked for; null until the scheduler picks one")
    gpu_name = text_or_null()
    engine = fields.String()
    model_type = text_or_null()
    config = fields.Dict(metadata={"description": "flat, with the defaults filled in and secrets masked"})
    description = text_or_null()
    created_at = fields.String()
    queue_position = whole_or_null("1 is next; null when it does not wait")
    estimated_start_time = text_or_null()
    estimated_duration = number_or_null("seconds")
    checkpoints = fields.Nested(SavesSchema)
    warnings = fields.List(fields.String())


class ListItemSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    engine = fields.String()
    dialect = fields.String()
    name = fields.String(
        metadata={"description": "what its dialect calls it by; where that knows no names, the description"}
    )
    gpu_id = whole_or_null("the first GPU that it holds, held or asks for")
    gpu_name = text_or_null()
    model_type = text_or_null()
    description = text_or_null()
    tags = fields.List(fields.String())
    priority = fields.Integer()
    held = fields.Boolean(metadata={"description": "waits until somebody releases it"})
    progress = fields.Nested(ProgressSchema)
    metrics = fields.Nested(MetricsNowSchema)
    stop_requested_at = text_or_null("set while it saves and quits")
    created_at = fields.String()
    started_at = text_or_null()
    updated_at = fields.String()
    completed_at = text_or_null("when it ended, however it did")
    failure = fields.Nested(FailureSchema, allow_none=True)


class ListAnswerSchema(Answer):
    tasks = fields.List(fields.Nested(ListItemSchema))
    pagination = fields.Nested(PaginationSchema)


class AttemptSchema(Answer):
    number = fields.Integer()
    series = fields.Integer(metadata={"description": "the attempt that began its metric series"})
    pid = whole_or_null()
    started_at = text_or_null()
    ended_at = text_or_null()
    exit_code = whole_or_null("negative: the signal; null: unknown")
    reason = fields.String(
        allow_none=True, validate=validate.OneOf([*EndReason, None]), metadata={"description": "why it ended"}
    )
    resume_from = text_or_null("the checkpoint that it continues")
    output_dir = fields.String()


class CheckpointSchema(Answer):
    name = fields.String()
    kind = choice("state", "weights", metadata={"description": "`state` can be resumed from"})
    epoch = whole_or_null()
    step = whole_or_null()
    path = fields.String()
    timestamp = fields.String()
    loss = number_or_null()
    size_bytes = fields.Integer()


class PointSchema(Answer):
    epoch = whole_or_null()
    step = whole_or_null()
    value = number_or_null("null: it was not a number")
    timestamp = fields.String()


class MetricsHistorySchema(MetricsNowSchema):
    epoch_losses = fields.List(fields.Nested(PointSchema))
    step_losses = fields.List(fields.Nested(PointSchema), metadata={"description": "the last 100"})


class GpuMemorySchema(Answer):
    total = number_or_null("MB")
    used = number_or_null("MB")
    free = number_or_null("MB")
    utilization = number_or_null("percent")


class SystemStatsSchema(Answer):
    """Of a running job, as last measured; of others nulls."""

    gpu_memory = fields.Nested(GpuMemorySchema)
    gpu_utilization = number_or_null("percent")
    gpu_temperature = number_or_null("degrees Celsius")
    gpu_power = number_or_null("W")
    cpu_percent = number_or_null("of one core; its processes together")
    rss_bytes = whole_or_null("its processes together")


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
    error_message = text_or_null()
    reason = fields.String(
        allow_none=True, validate=validate.OneOf([*EndReason, None]), metadata={"description": "why it ended"}
    )
    warnings = fields.List(fields.String())
    notes = fields.Dict(metadata={"description": "what its engine told of it besides: best epoch, accuracy ..."})
    queue_position = whole_or_null("1 is next; null when it does not wait")
    queue_reason = text_or_null("what it waits for, in words")


class StopAnswerSchema(Answer):
    task_id = fields.String()
    status = choice(*STATUSES)
    stop_requested_at = text_or_null()
    stopped_at = text_or_null()
    checkpoint_saved = fields.Boolean(metadata={"description": "one newer than the request was seen on disk"})
    last_checkpoint = text_or_null()
    training_time = number_or_null("seconds")
    grace_seconds = number_or_null("how long it may take to save and quit; null once it has ended")


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
    current_task = text_or_null("the job that has it; null: a process that is not ours")
    estimated_available_time = text_or_null("from the job's own speed")
    available_gpus = fields.List(fields.Integer())
