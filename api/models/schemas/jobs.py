"""The requests and answers of the jobs dialect (contract 2)."""

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from api.models.dialect import JOBS
from api.models.schemas.answers import FailureSchema
from api.models.schemas.base import MAX_INT, Answer, Strict, choice, integer, name, query_integer, sane, text
from api.models.schemas.placement import PlacementSchema

FRAMEWORKS = ("pytorch", "tensorflow")
STATUSES = tuple(JOBS.words.values())
MEBIBYTE = 1 << 20


class DatasetRef(fields.Field[int | str]):
    """A dataset's number (kept as it is) or its name (which must exist)."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> int | str:
        if isinstance(value, str) and 1 <= len(value) <= 200:
            sane(value)
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT:
            return value
        raise ValidationError("must be a number or a name of 1 to 200 characters")


class NewJobSchema(Strict):
    """POST /training/jobs."""

    name = name(required=True)
    description = text(0, 10_000)
    workspace_id = integer(1, metadata={"description": "a workspace of yours, whose members may then read the job"})
    framework = choice(*FRAMEWORKS, required=True)
    script_path = text(1, 4096, required=True, metadata={"description": "absolute, under an allowed root"})
    dataset_id = DatasetRef(
        metadata={"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1, "maxLength": 200}],
                  "description": "a dataset's name, which must exist, or a number, which is kept as it is"}
    )  # fmt: skip
    cpu = integer(1, 1 << 16, required=True, metadata={"description": "cores that it has for itself"})
    memory = integer(MEBIBYTE, 1 << 50, required=True, metadata={"description": "bytes; over it the job is ended"})
    gpu = integer(0, 1024, required=True)
    priority = integer(0, 10, load_default=0, metadata={"description": "larger first"})
    args = fields.List(
        text(0, 32_768), validate=validate.Length(max=1000), load_default=list,
        metadata={"description": "of the script; each reaches it as it is, through no shell"},
    )  # fmt: skip
    env = fields.Dict(
        keys=fields.String(), values=text(0, 32_768), load_default=dict,
        metadata={"description": "variables of the script's environment; some names are the service's own (422)"},
    )  # fmt: skip
    python = text(1, 4096, metadata={"description": "the interpreter; absent: the service's own"})
    max_runtime = integer(1, 10**9, metadata={"description": "seconds after which it is ended"})
    max_retries = integer(
        0, 100, load_default=0, metadata={"description": "further attempts when it fails, each after a longer pause"}
    )
    placement = fields.Nested(
        PlacementSchema,
        metadata={"description": "on a cluster: where an admin lets jobs choose that"},
    )


class CreatedJobSchema(Answer):
    job_id = fields.String()
    name = fields.String()
    status = choice(*STATUSES)
    created_at = fields.String()


SORTS = ("created_at", "started_at", "name", "priority")


class ListQuery(Strict):
    page = query_integer(1, 10**9, load_default=1, metadata={"description": "from 1"})
    page_size = query_integer(1, 100, load_default=20, metadata={"description": "how many on a page"})
    status = choice(*STATUSES, metadata={"description": "in this status"})
    workspace_id = query_integer(1, metadata={"description": "of this workspace"})
    sort_by = choice(*SORTS, load_default="created_at", metadata={"description": "what orders them"})
    order = choice("asc", "desc", load_default="desc", metadata={"description": "`desc`: newest or largest first"})


class LogsQuery(Strict):
    lines = query_integer(1, 10_000, load_default=100, metadata={"description": "how many of the last"})


class JobItemSchema(Answer):
    job_id = fields.String()
    name = fields.String()
    status = choice(*STATUSES)
    framework = choice(*FRAMEWORKS)
    cpu = fields.Integer()
    gpu = fields.Integer()
    started_at = fields.String(allow_none=True)
    created_at = fields.String()


class JobPagesSchema(Answer):
    page = fields.Integer()
    page_size = fields.Integer()
    total = fields.Integer()
    total_pages = fields.Integer()


class JobListSchema(Answer):
    items = fields.List(fields.Nested(JobItemSchema))
    pagination = fields.Nested(JobPagesSchema)


class JobAttemptSchema(Answer):
    number = fields.Integer()
    started_at = fields.String(allow_none=True)
    ended_at = fields.String(allow_none=True)
    exit_code = fields.Integer(allow_none=True, metadata={"description": "negative: the signal; null: unknown"})
    reason = fields.String(allow_none=True)


class JobDetailSchema(JobItemSchema):
    description = fields.String(allow_none=True)
    script_path = fields.String()
    dataset_id = fields.Raw(allow_none=True, metadata={"anyOf": [{"type": t} for t in ("integer", "string", "null")]})
    model_id = fields.String(allow_none=True, metadata={"description": "the registered model that it left"})
    memory = fields.Integer(metadata={"description": "bytes"})
    priority = fields.Integer()
    env_id = fields.String(allow_none=True, metadata={"description": "the interpreter environment that it runs in"})
    workspace_id = fields.Integer(allow_none=True)
    ended_at = fields.String(allow_none=True)
    exit_code = fields.Integer(allow_none=True, metadata={"description": "of the last attempt"})
    attempts = fields.List(fields.Nested(JobAttemptSchema))
    queue_position = fields.Integer(allow_none=True, metadata={"description": "1 is next"})
    queue_reason = fields.String(allow_none=True, metadata={"description": "what it waits for, in words"})
    failure = fields.Nested(FailureSchema, allow_none=True)
    warnings = fields.List(fields.String())


class JobLogsSchema(Answer):
    logs = fields.List(fields.String(), metadata={"description": "the last lines, oldest first"})
