"""Webhooks: /api/v1/webhooks."""

from __future__ import annotations

from typing import Any

from flask import Response

from api.models.schemas import webhooks as schemas
from api.models.schemas.auth import IdSchema
from api.models.webhook import Delivery, DeliveryState, Scope, Webhook
from api.routes.blueprint import Blueprint
from api.routes.http import actor, answer, enveloped, services
from api.utils.errors import Invalid
from api.utils.outbound import parse
from api.utils.secrets import MASK
from api.utils.times import iso

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1/webhooks", description="Being told when jobs change")


@blueprint.post("")
@blueprint.arguments(schemas.NewWebhookSchema)
@blueprint.response(201, enveloped(schemas.WebhookSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="you have as many as one may have")
def add(body: dict[str, Any]) -> Response:
    """Have messages sent to a URL; the secret is shown only in this answer."""
    made = services().webhooks.create(
        actor(),
        body["url"],
        body["events"],
        team_id=body.get("workspace_id"),
        all_jobs=_scope(body) is Scope.ALL,
        description=body["description"],
        secret=body.get("secret"),
        enabled=body["enabled"],
    )
    return answer(_webhook(made, secret=True), code=201, message="webhook made; its secret is shown only now")


def _scope(body: dict[str, Any]) -> Scope:
    named = "workspace_id" in body
    scope = Scope(body.get("scope", Scope.WORKSPACE if named else Scope.OWN))
    if scope is Scope.WORKSPACE and not named:
        raise Invalid("workspace_id", "goes with the scope workspace")
    if scope is not Scope.WORKSPACE and named:
        raise Invalid("workspace_id", f"does not go with the scope {scope}")
    return scope


@blueprint.get("")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.WebhooksSchema))
def page(query: dict[str, Any]) -> Response:
    """Your webhooks and those of your workspaces, newest first; an admin sees all."""
    found, total = services().webhooks.page(actor(), **query)
    return answer({"webhooks": [_webhook(each) for each in found], "pagination": _pagination(query, len(found), total)})


@blueprint.get("/<row:webhook_id>")
@blueprint.response(200, enveloped(schemas.WebhookSchema))
def detail(webhook_id: int) -> Response:
    """One webhook."""
    return answer(_webhook(services().webhooks.get(actor(), webhook_id)))


@blueprint.patch("/<row:webhook_id>")
@blueprint.arguments(schemas.WebhookChangeSchema)
@blueprint.response(200, enveloped(schemas.WebhookSchema))
def change(body: dict[str, Any], webhook_id: int) -> Response:
    """Change a webhook, or switch it off and on."""
    return answer(_webhook(services().webhooks.update(actor(), webhook_id, **body)), message="webhook changed")


@blueprint.delete("/<row:webhook_id>")
@blueprint.response(200, enveloped(IdSchema))
def remove(webhook_id: int) -> Response:
    """Delete a webhook and the log of its deliveries."""
    services().webhooks.remove(actor(), webhook_id)
    return answer({"id": webhook_id}, message="webhook deleted")


@blueprint.post("/<row:webhook_id>/rotate-secret")
@blueprint.arguments(schemas.SecretSchema)
@blueprint.response(200, enveloped(schemas.WebhookSchema))
def rotate_secret(body: dict[str, Any], webhook_id: int) -> Response:
    """Give it a new secret, shown only in this answer; for a day both sign."""
    changed = services().webhooks.rotate_secret(actor(), webhook_id, body.get("secret"))
    return answer(_webhook(changed, secret=True), message="secret changed; it is shown only now")


@blueprint.post("/<row:webhook_id>/test")
@blueprint.response(200, enveloped(schemas.DeliveryDetailSchema))
@blueprint.alt_response(429, schema=enveloped(None), description="several are being tested now")
def test(webhook_id: int) -> Response:
    """Send one message now and say what came of it: `state` is delivered or failed."""
    return answer(_detail(services().webhooks.test(actor(), webhook_id)))


@blueprint.get("/<row:webhook_id>/deliveries")
@blueprint.arguments(schemas.DeliveriesQuery, location="query")
@blueprint.response(200, enveloped(schemas.DeliveriesSchema))
def deliveries(query: dict[str, Any], webhook_id: int) -> Response:
    """What was sent or waits to be, newest first; the last 200 that are settled are kept."""
    state = DeliveryState(query.pop("state")) if "state" in query else None
    found, total = services().webhooks.deliveries(actor(), webhook_id, state, **query)
    listed = [_delivery(each) for each in found]
    return answer({"deliveries": listed, "pagination": _pagination(query, len(found), total)})


@blueprint.get("/<row:webhook_id>/deliveries/<row:delivery_id>")
@blueprint.response(200, enveloped(schemas.DeliveryDetailSchema))
def delivery(webhook_id: int, delivery_id: int) -> Response:
    """One delivery, with what was sent and each try."""
    return answer(_detail(services().webhooks.delivery(actor(), webhook_id, delivery_id)))


@blueprint.post("/<row:webhook_id>/deliveries/<row:delivery_id>/redeliver")
@blueprint.response(202, enveloped(schemas.DeliverySchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it waits already, or the webhook is switched off")
def redeliver(webhook_id: int, delivery_id: int) -> Response:
    """Send a settled delivery once more, with the same id."""
    again = services().webhooks.redeliver(actor(), webhook_id, delivery_id)
    return answer(_delivery(again), code=202, message="it will be sent again")


# ---- as JSON


def _pagination(query: dict[str, Any], shown: int, total: int) -> dict[str, Any]:
    return {"total": total, **query, "has_more": query["offset"] + shown < total}


def _webhook(webhook: Webhook, *, secret: bool = False) -> dict[str, Any]:
    times = {
        name: iso(getattr(webhook, name)) for name in ("created_at", "updated_at", "failing_since", "paused_until")
    }
    return times | {
        "id": webhook.id,
        "owner_id": webhook.owner_id,
        "workspace_id": webhook.team_id,
        "scope": webhook.scope,
        "url": webhook.url if actor().may_change(webhook.owner_id) else f"{parse(webhook.url).origin}/{MASK}",
        "events": list(webhook.events),
        "description": webhook.description,
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "secret": webhook.secret if secret else MASK,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    last = delivery.tries[-1] if delivery.tries else None
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "message_id": delivery.message_id,
        "event": delivery.event,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": iso(delivery.created_at),
        "next_attempt_at": iso(delivery.next_attempt_at),
        "delivered_at": iso(delivery.delivered_at),
        "status_code": None if last is None else last.status,
        "error": delivery.error,
        "duration": None if last is None else round(last.seconds, 3),
    }


def _detail(delivery: Delivery) -> dict[str, Any]:
    tries = [
        {"number": each.number, "at": iso(each.at), "duration": round(each.seconds, 3), "status_code": each.status,
         "error": each.error}
        for each in delivery.tries
    ]  # fmt: skip
    return _delivery(delivery) | {"payload": delivery.payload, "response": delivery.response, "tries": tries}
