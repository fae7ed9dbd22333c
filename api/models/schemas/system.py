"""The answers about GPUs, the machine and the engines (contract 1)."""

from __future__ import annotations

from marshmallow import fields

from api.models.gpu import GpuStatus
from api.models.schemas.answers import number_or_null
from api.models.schemas.base import Answer, Strict, choice, name, query_integer

MACHINE_FIELDS = (
    "cpu_count",
    "cpu_usage",
    "memory_total",
    "memory_used",
    "memory_available",
    "disk_total",
    "disk_used",
    "disk_free",
)
ANY_TASK = ("training", "preprocessing")  # a task's type as a GPU's `status` has it, which says nothing about memory


class AvailableQuery(Strict):
    min_memory = query_integer(0, 10**9, load_default=0, metadata={"description": "MB that must be free"})
    task_type = name(
        metadata={"description": "one of the words of `recommended_for`; `training`, `preprocessing`: any GPU will do"}
    )


class GpuProcessSchema(Answer):
    pid = fields.Integer()
    name = fields.String(allow_none=True)
    memory_mb = fields.Integer(allow_none=True)
    run_id = fields.String(allow_none=True, metadata={"description": "the job it belongs to; null: not ours"})


class GpuSchema(Answer):
    gpu_id = fields.Integer()
    uuid = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    memory_total = number_or_null("MB")
    memory_used = number_or_null("MB")
    memory_free = number_or_null("MB")
    memory_utilization = number_or_null("percent")
    utilization_gpu = number_or_null("percent")
    temperature = number_or_null("degrees Celsius")
    power_usage = number_or_null("W")
    power_limit = number_or_null("W")
    status = choice(*GpuStatus)
    drained = fields.String(
        allow_none=True, metadata={"description": "why an admin took it out of service; null: it is in service"}
    )
    current_task = fields.String(allow_none=True)
    task_type = fields.String(allow_none=True)
    task_progress = number_or_null("percent")
    estimated_remaining_time = number_or_null("seconds")
    processes = fields.List(fields.Nested(GpuProcessSchema))
    driver_version = fields.String(allow_none=True)
    cuda_version = fields.String(allow_none=True)


class GpuSummarySchema(Answer):
    total_gpus = fields.Integer()
    available_gpus = fields.Integer()
    busy_gpus = fields.Integer()
    total_memory = fields.Integer(metadata={"description": "MB"})
    available_memory = fields.Integer(metadata={"description": "MB"})


class GpuStatusSchema(Answer):
    gpus = fields.List(fields.Nested(GpuSchema))
    summary = fields.Nested(GpuSummarySchema)
    driver = fields.String(allow_none=True, metadata={"description": "its version; null: there is none"})


class GpuPointSchema(Answer):
    timestamp = fields.String()
    memory_used = number_or_null("MB")
    utilization_gpu = number_or_null("percent")
    temperature = number_or_null("degrees Celsius")
    power_usage = number_or_null("W")


class GpuDetailSchema(GpuSchema):
    history = fields.List(fields.Nested(GpuPointSchema), metadata={"description": "the last 60 s, oldest first"})


class AvailableGpuSchema(Answer):
    gpu_id = fields.Integer()
    name = fields.String(allow_none=True)
    memory_total = number_or_null("MB")
    memory_free = number_or_null("MB")
    status = choice(GpuStatus.AVAILABLE)
    recommended_for = fields.List(fields.String())


class AvailableSchema(Answer):
    available_gpus = fields.List(fields.Nested(AvailableGpuSchema))
    total_available = fields.Integer()


class MachineSchema(Answer):
    cpu_count = fields.Integer()
    cpu_usage = number_or_null("percent")
    memory_total = fields.Integer(metadata={"description": "bytes"})
    memory_used = fields.Integer()
    memory_available = fields.Integer()
    disk_total = fields.Integer()
    disk_used = fields.Integer()
    disk_free = fields.Integer()


class GpuCountSchema(Answer):
    total = fields.Integer()
    available = fields.Integer()
    busy = fields.Integer()


class TaskCountSchema(Answer):
    total = fields.Integer()
    queued = fields.Integer()
    running = fields.Integer()
    completed = fields.Integer()
    failed = fields.Integer()
    stopped = fields.Integer()


class QueueSchema(Answer):
    waiting = fields.Integer()
    oldest_wait_seconds = number_or_null("seconds")


class OverviewSchema(Answer):
    system = fields.Nested(MachineSchema)
    gpus = fields.Nested(GpuCountSchema)
    tasks = fields.Nested(TaskCountSchema)
    queue = fields.Nested(QueueSchema)
    executor = fields.String()
    uptime = fields.Float(metadata={"description": "seconds"})
    version = fields.String()


class EngineSchema(Answer):
    name = fields.String()
    available = fields.Boolean()
    version = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)
    parameters = fields.Dict()


class EnginesSchema(Answer):
    engines = fields.List(fields.Nested(EngineSchema))
