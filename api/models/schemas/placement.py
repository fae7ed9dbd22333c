"""Where on a cluster a job wants to run."""

from __future__ import annotations

from marshmallow import fields, validate

from api.models.schemas.base import Strict

_NAME = validate.Regexp(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z", error="must be a name of letters, digits and . _ + -")


class PlacementSchema(Strict):
    """Each only among what an admin allows; absent: what an admin chose for all."""

    partition = fields.String(validate=_NAME)
    account = fields.String(validate=_NAME)
    qos = fields.String(validate=_NAME)
