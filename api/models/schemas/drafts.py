"""What a request would start, and the request that a job came from."""

from __future__ import annotations

from marshmallow import fields

from api.models.schemas.base import Answer


class PreviewFileSchema(Answer):
    name = fields.String()
    text = fields.String()


class PreviewSchema(Answer):
    """What a request would start."""

    model_type = fields.String()
    config = fields.Dict(metadata={"description": "flat, with the defaults filled in and secrets masked"})
    dataset = fields.Dict()
    files = fields.List(fields.Nested(PreviewFileSchema), metadata={"description": "the trainer's TOML"})
    warnings = fields.List(fields.String())


class RequestSchema(Answer):
    """The request that would make a job once more."""

    task_id = fields.String()
    path = fields.String(
        allow_none=True, metadata={"description": "where to POST it; null: nothing can be sent to make such a job"}
    )
    body = fields.Dict(allow_none=True)
    left_out = fields.List(
        fields.String(), metadata={"description": "dotted paths of secrets, which are never shown, and of directories"}
    )
