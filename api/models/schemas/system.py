"""The answers about GPUs, the machine and the engines (contract 1)."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.models.gpu import GpuStatus
from api.models.schemas.base import Strict, name, query_integer

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


def _number(description: str) -> fields.Float:
    return fields.Float(allow_none=True, metadata={"description": description})


class AvailableQuery(Strict):
    min_memory = query_integer(0, 10**9, load_default=0, metadata={"description": "MB that must be free"})
    task_type = name(metadata={"description": "one of the words of `recommended_for`"})


class GpuProcessSchema(Schema):
    pid = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    memory_mb = fields.Integer(allow_none=True)
    run_id = fields.String(allow_none=True, metadata={"description": "the job it belongs to; null: not ours"})


class GpuSchema(Schema):
    gpu_id = fields.Integer(required=True)
    uuid = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    memory_total = _number("MB")
    memory_used = _number("MB")
    memory_free = _number("MB")
    memory_utilization = _number("percent")
    utilization_gpu = _number("percent")
    temperature = _number("degrees Celsius")
    power_usage = _number("W")
    power_limit = _number("W")
    status = fields.String(required=True, validate=validate.OneOf([status.value for status in GpuStatus]))
    current_task = fields.String(allow_none=True)
    task_type = fields.String(allow_none=True)
    task_progress = _number("percent")
    estimated_remaining_time = _number("seconds")
    processes = fields.List(fields.Nested(GpuProcessSchema), required=True)
    driver_version = fields.String(allow_none=True)
    cuda_version = fields.String(allow_none=True)


class GpuSummarySchema(Schema):
    total_gpus = fields.Integer(required=True)
    available_gpus = fields.Integer(required=True)
    busy_gpus = fields.Integer(required=True)
    total_memory = fields.Integer(required=True, metadata={"description": "MB"})
    available_memory = fields.Integer(required=True, metadata={"description": "MB"})


class GpuStatusSchema(Schema):
    gpus = fields.List(fields.Nested(GpuSchema), required=True)
    summary = fields.Nested(GpuSummarySchema, required=True)


class GpuDetailSchema(GpuSchema):
    history = fields.List(fields.Dict(), required=True)


class AvailableGpuSchema(Schema):
    gpu_id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    memory_total = _number("MB")
    memory_free = _number("MB")
    status = fields.String(required=True)
    recommended_for = fields.List(fields.String(), required=True)


class AvailableSchema(Schema):
    available_gpus = fields.List(fields.Nested(AvailableGpuSchema), required=True)
    total_available = fields.Integer(required=True)


class MachineSchema(Schema):
    cpu_count = fields.Integer(required=True)
    cpu_usage = _number("percent")
    memory_total = fields.Integer(required=True, metadata={"description": "bytes"})
    memory_used = fields.Integer(required=True)
    memory_available = fields.Integer(required=True)
    disk_total = fields.Integer(required=True)
    disk_used = fields.Integer(required=True)
    disk_free = fields.Integer(required=True)


class GpuCountSchema(Schema):
    total = fields.Integer(required=True)
    available = fields.Integer(required=True)
    busy = fields.Integer(required=True)


class TaskCountSchema(Schema):
    total = fields.Integer(required=True)
    queued = fields.Integer(required=True)
    running = fields.Integer(required=True)
    completed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    stopped = fields.Integer(required=True)


class QueueSchema(Schema):
    waiting = fields.Integer(required=True)
    oldest_wait_seconds = _number("seconds")


class OverviewSchema(Schema):
    system = fields.Nested(MachineSchema, required=True)
    gpus = fields.Nested(GpuCountSchema, required=True)
    tasks = fields.Nested(TaskCountSchema, required=True)
    queue = fields.Nested(QueueSchema, required=True)
    executor = fields.String(required=True)
    uptime = fields.Float(required=True, metadata={"description": "seconds"})
    version = fields.String(required=True)


class EngineSchema(Schema):
    name = fields.String(required=True)
    available = fields.Boolean(required=True)
    version = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)
    parameters = fields.Dict(required=True)


class EnginesSchema(Schema):
    engines = fields.List(fields.Nested(EngineSchema), required=True)
