"""The requests and answers of webhooks."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from api.models.schemas.answers import PaginationSchema
from api.models.schemas.base import MAX_INT, Answer, Strict, StrictBoolean, choice, integer, query_integer, text
from api.models.webhook import EVENTS, TEST_EVENT, DeliveryState, Scope
from api.utils.outbound import LONGEST_URL

STATES = [state.value for state in DeliveryState]
SCOPES = [scope.value for scope in Scope]


def events(**kwargs: Any) -> fields.List[str]:
    return fields.List(choice(*EVENTS), validate=validate.Length(1, len(EVENTS)), **kwargs)


def secret() -> fields.String:
    told = "`whsec_` and the base64 of 24 to 64 random bytes; absent: one is made"
    return text(1, 200, load_only=True, metadata={"format": "password", "description": told})


class NewWebhookSchema(Strict):
    url = text(1, LONGEST_URL, required=True, metadata={"description": "http:// or https://"})
    events = events(load_default=EVENTS, metadata={"description": "absent: all"})
    scope = choice(
        *SCOPES,
        metadata={
            "description": "of whose jobs it tells: `own` (default), `workspace` (default with a workspace_id), "
            "or `all` (an admin's to say)"
        },
    )
    workspace_id = integer(1, MAX_INT, metadata={"description": "tell of the jobs made in this workspace"})
    description = text(0, 200, load_default="")
    secret = secret()
    enabled = StrictBoolean(load_default=True)


class WebhookChangeSchema(Strict):
    url = text(1, LONGEST_URL)
    events = events()
    description = text(0, 200)
    enabled = StrictBoolean(metadata={"description": "false: nothing is sent, and what waits is given up"})


class SecretSchema(Strict):
    secret = secret()


class PageQuery(Strict):
    limit = query_integer(1, 500, load_default=50, metadata={"description": "how many at most"})
    offset = query_integer(0, load_default=0, metadata={"description": "how many of the newest to pass over"})


class DeliveriesQuery(PageQuery):
    state = choice(*STATES, metadata={"description": "only those in this state"})


# ---- answers


class WebhookSchema(Answer):
    id = fields.Integer()
    owner_id = fields.Integer()
    workspace_id = fields.Integer(allow_none=True)
    scope = choice(*SCOPES)
    url = fields.String(metadata={"description": "without its path for whoever may not change it"})
    events = fields.List(choice(*EVENTS))
    description = fields.String()
    enabled = fields.Boolean()
    disabled_reason = fields.String(allow_none=True)
    failing_since = fields.String(allow_none=True, metadata={"description": "no delivery succeeded since"})
    paused_until = fields.String(allow_none=True, metadata={"description": "the receiver asked for quiet until then"})
    secret = fields.String(metadata={"description": "masked, but in the answers that made it"})
    created_at = fields.String()
    updated_at = fields.String()


class WebhooksSchema(Answer):
    webhooks = fields.List(fields.Nested(WebhookSchema))
    pagination = fields.Nested(PaginationSchema)


class DeliverySchema(Answer):
    id = fields.Integer()
    webhook_id = fields.Integer()
    message_id = fields.String(metadata={"description": "the header webhook-id, the same at each try"})
    event = choice(*EVENTS, TEST_EVENT)
    state = choice(*STATES)
    attempts = fields.Integer(metadata={"description": "requests made so far"})
    created_at = fields.String()
    next_attempt_at = fields.String(allow_none=True)
    delivered_at = fields.String(allow_none=True)
    status_code = fields.Integer(allow_none=True, metadata={"description": "of the last answer"})
    error = fields.String(allow_none=True, metadata={"description": "why the last try failed, or it was given up"})
    duration = fields.Float(allow_none=True, metadata={"description": "seconds that the last try took"})


class TrySchema(Answer):
    number = fields.Integer()
    at = fields.String()
    duration = fields.Float(metadata={"description": "seconds"})
    status_code = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)


class DeliveryDetailSchema(DeliverySchema):
    payload = fields.String(metadata={"description": "the body as it is sent"})
    response = fields.String(metadata={"description": "the beginning of the last answer"})
    tries = fields.List(fields.Nested(TrySchema), metadata={"description": "the last twelve, oldest first"})


class DeliveriesSchema(Answer):
    deliveries = fields.List(fields.Nested(DeliverySchema))
    pagination = fields.Nested(PaginationSchema)
