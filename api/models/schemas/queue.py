"""The requests and answers about the queue."""

from __future__ import annotations

from marshmallow import fields

from api.models.job import JobStatus
from api.models.schemas.base import Answer, Strict, choice, integer, text


def _known(kind: type[fields.Field], description: str) -> fields.Field:  # type: ignore[type-arg]
    return kind(allow_none=True, metadata={"description": description})


class ChangeSchema(Strict):
    priority = integer(0, 10, required=True, metadata={"description": "larger first"})


class DrainSchema(Strict):
    reason = text(1, 200, required=True, metadata={"description": "told to those who wait"})


class WaitingSchema(Answer):
    task_id = fields.String()
    name = fields.String()
    position = _known(fields.Integer, "1 is next; null: it is held")
    priority = fields.Integer()
    held = fields.Boolean()
    gpus = fields.Integer()
    cpus = _known(fields.Integer, "cores that it leases; null: none")
    memory = _known(fields.Integer, "bytes that it leases")
    reason = fields.String(metadata={"description": "what it waits for, in words"})


class WaitingListSchema(Answer):
    jobs = fields.List(fields.Nested(WaitingSchema))
    waiting = fields.Integer(metadata={"description": "how many wait in all, other people's included"})


class PlaceSchema(Answer):
    task_id = fields.String()
    status = choice(*JobStatus)
    priority = fields.Integer()
    held = fields.Boolean()
    queue_position = _known(fields.Integer, "1 is next; null: it is held")
    queue_reason = _known(fields.String, "what it waits for, in words")


class DrainRowSchema(Answer):
    reason = fields.String()
    by = fields.String(metadata={"description": "the admin's name"})
    at = fields.String()


class DrainedSchema(Answer):
    gpu_id = fields.Integer()
    drained = fields.Nested(DrainRowSchema, allow_none=True, metadata={"description": "null: it is in service"})
