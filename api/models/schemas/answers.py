"""What the answers of several dialects have in common."""

from __future__ import annotations

from marshmallow import fields

from api.models.job import FAILURE_KINDS
from api.models.schemas.base import Answer, choice


def text_or_null(description: str | None = None) -> fields.String:
    return fields.String(allow_none=True, metadata={} if description is None else {"description": description})


def whole_or_null(description: str | None = None) -> fields.Integer:
    return fields.Integer(allow_none=True, metadata={} if description is None else {"description": description})


def number_or_null(description: str | None = None) -> fields.Float:
    return fields.Float(allow_none=True, metadata={} if description is None else {"description": description})


class ProgressSchema(Answer):
    """Unknown is null; epochs and steps count from 1."""

    current_epoch = whole_or_null()
    total_epochs = whole_or_null()
    current_step = whole_or_null()
    total_steps = whole_or_null()
    total_steps_estimated = fields.Boolean(metadata={"description": "steps of the first epoch × epochs"})
    current_batch = whole_or_null()
    total_batches = whole_or_null("steps of an epoch")
    epoch_progress = number_or_null("percent")
    overall_progress = number_or_null("percent; 100 only when completed")
    eta_seconds = number_or_null()
    eta_formatted = text_or_null("`1h 0m 0s`")
    training_time = number_or_null("seconds")
    training_time_formatted = text_or_null()


class FailureSchema(Answer):
    kind = choice(*FAILURE_KINDS)
    hint = fields.String(metadata={"description": "what to do about it"})
    line = text_or_null("the log line that shows it")


class PaginationSchema(Answer):
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


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
