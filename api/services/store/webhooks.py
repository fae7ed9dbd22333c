"""Webhooks and what is to be sent to them: the only SQL that touches them.

`enqueue` is the outbox: it is called by `store.jobs.transition` in the transaction that changes a job's status, so
that a message exists exactly if the change does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from api.models.accounts import Role
from api.models.job import Job
from api.models.webhook import (
    EVENT_OF,
    KEPT_DELIVERIES,
    KEPT_TRIES,
    MOST_WAITING,
    Delivery,
    DeliveryState,
    Try,
    Webhook,
    job_payload,
    new_message_id,
)
from api.services.store.account_tables import team_members, users
from api.services.store.schema import attempts
from api.services.store.webhook_tables import webhook_deliveries as deliveries
from api.services.store.webhook_tables import webhooks
from api.utils.errors import NotFound
from api.utils.faults import fault

_FIELDS = tuple(Webhook.__dataclass_fields__)
_WEBHOOKS = select(*(webhooks.c[name] for name in _FIELDS))
_PENDING = deliveries.c.state == DeliveryState.PENDING


def _webhook(row: Row[Any]) -> Webhook:
    fields = dict(zip(_FIELDS, row, strict=True))
    return Webhook(**{**fields, "events": tuple(fields["events"])})


def _delivery(row: Row[Any]) -> Delivery:
    fields = dict(row._mapping)
    fields["state"] = DeliveryState(fields["state"])
    fields["tries"] = tuple(Try(**each) for each in fields["tries"])
    return Delivery(**fields)


# ---- the outbox


def _readable() -> ColumnElement[bool]:
    """The rule of Actor.may_read as it stands at this moment: rights that a person has lost tell them nothing more."""
    is_admin = users.c.role == Role.ADMIN
    is_member = exists().where(team_members.c.team_id == webhooks.c.team_id, team_members.c.user_id == users.c.id)
    own = and_(webhooks.c.owner_id == bindparam("owner"), webhooks.c.team_id.is_(None), ~webhooks.c.all_jobs)
    team = and_(webhooks.c.team_id == bindparam("team"), or_(is_admin, is_member))
    return or_(own, team, and_(webhooks.c.all_jobs, is_admin))


_LISTENERS = (
    select(webhooks.c.id, webhooks.c.events)
    .join(users, users.c.id == webhooks.c.owner_id)
    .where(webhooks.c.enabled, _readable())
    .order_by(webhooks.c.id)
)


def enqueue(connection: Connection, job: Job, now: float) -> None:
    """Messages to those who are told that the job has come to this status."""
    event = EVENT_OF.get(job.status)
    if event is None:
        return
    rows = connection.execute(_LISTENERS, {"owner": job.owner_id, "team": job.team_id})
    listeners = [row.id for row in rows if event in row.events]
    if not listeners:
        return
    own = (attempts.c.job_seq == job.seq, attempts.c.number == job.attempt)
    exit_code = connection.execute(select(attempts.c.exit_code).where(*own)).scalar()
    payload, message_id = job_payload(event, job, exit_code, now), new_message_id()
    connection.execute(insert(deliveries), [_new(each, message_id, event, payload, now) for each in listeners])
    _limit_waiting(connection, listeners)
    fault("webhook.after_enqueue")


def _new(webhook_id: int, message_id: str, event: str, payload: str, now: float) -> dict[str, Any]:
    values: dict[str, Any] = {"webhook_id": webhook_id, "message_id": message_id, "event": event, "payload": payload}
    values |= {"created_at": now, "state": DeliveryState.PENDING, "attempts": 0, "round": 0}
    return values | {"next_attempt_at": now, "response": "", "tries": []}


def _limit_waiting(connection: Connection, webhook_ids: Collection[int]) -> None:
    """Gives up the oldest of more than MOST_WAITING, where one can see it."""
    waiting = select(deliveries.c.webhook_id).where(deliveries.c.webhook_id.in_(webhook_ids), _PENDING)
    crowded = waiting.group_by(deliveries.c.webhook_id).having(func.count() > MOST_WAITING)
    for webhook_id in connection.execute(crowded).scalars().all():
        beyond = select(deliveries.c.id).where(deliveries.c.webhook_id == webhook_id, _PENDING)
        beyond = beyond.order_by(deliveries.c.id.desc()).limit(1).offset(MOST_WAITING)
        oldest = connection.execute(beyond).scalar_one()
        give_up(connection, webhook_id, f"more than {MOST_WAITING} were waiting", up_to=oldest)


# ---- webhooks


def add(connection: Connection, webhook: Webhook) -> int:
    """The new id; that of `webhook` is not looked at."""
    values = {name: getattr(webhook, name) for name in _FIELDS if name != "id"}
    values["events"] = list(webhook.events)
    return int(connection.execute(insert(webhooks).values(values)).inserted_primary_key[0])  # type: ignore[index]


def get(connection: Connection, webhook_id: int) -> Webhook:
    row = connection.execute(_WEBHOOKS.where(webhooks.c.id == webhook_id)).first()
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id}")
    return _webhook(row)


def count_of(connection: Connection, owner_id: int) -> int:
    query = select(func.count()).select_from(webhooks).where(webhooks.c.owner_id == owner_id)
    return int(connection.execute(query).scalar_one())


def page(
    connection: Connection, user_id: int, team_ids: Collection[int], *, everything: bool, limit: int, offset: int
) -> tuple[list[Webhook], int]:
    """Those that a person may read, newest first, and how many there are."""
    mine = or_(webhooks.c.owner_id == user_id, webhooks.c.team_id.in_(sorted(team_ids)))
    conditions = [] if everything else [mine]
    total = connection.execute(select(func.count()).select_from(webhooks).where(*conditions)).scalar_one()
    query = _WEBHOOKS.where(*conditions).order_by(webhooks.c.id.desc()).limit(limit).offset(offset)
    return [_webhook(row) for row in connection.execute(query)], int(total)


def change(connection: Connection, webhook_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(values))


def remove(connection: Connection, webhook_id: int) -> None:
    """With its deliveries."""
    connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def disable(connection: Connection, webhook_id: int, reason: str, now: float) -> None:
    """What still waits is given up: nobody wants last month's news when it is switched on again."""
    change(connection, webhook_id, {"enabled": False, "disabled_reason": reason, "updated_at": now})
    give_up(connection, webhook_id, "the webhook was switched off")


def note_health(connection: Connection, webhook_id: int, outcome: Try, paused_until: float | None) -> None:
    """Since when nothing has succeeded, and until when nothing is sent."""
    since = None if outcome.succeeded else func.coalesce(webhooks.c.failing_since, outcome.at)
    change(connection, webhook_id, {"failing_since": since, "paused_until": paused_until})


def give_up(connection: Connection, webhook_id: int, why: str, *, up_to: int | None = None) -> None:
    """What waits is failed; one can ask for it again."""
    where = [deliveries.c.webhook_id == webhook_id, _PENDING]
    if up_to is not None:
        where.append(deliveries.c.id <= up_to)
    values = {"state": DeliveryState.FAILED, "next_attempt_at": None, "error": why}
    connection.execute(update(deliveries).where(*where).values(values))
    _forget(connection, webhook_id)


def _forget(connection: Connection, webhook_id: int) -> None:
    """Settled deliveries but the newest KEPT_DELIVERIES."""
    settled = and_(deliveries.c.webhook_id == webhook_id, ~_PENDING)
    old = select(deliveries.c.id).where(settled).order_by(deliveries.c.id.desc()).offset(KEPT_DELIVERIES)
    connection.execute(delete(deliveries).where(deliveries.c.id.in_(old)))


# ---- deliveries


def delivery(connection: Connection, webhook_id: int, delivery_id: int) -> Delivery:
    where = (deliveries.c.id == delivery_id, deliveries.c.webhook_id == webhook_id)
    row = connection.execute(select(deliveries).where(*where)).first()
    if row is None:
        raise NotFound(f"webhook {webhook_id} has no delivery {delivery_id}")
    return _delivery(row)


def deliveries_of(
    connection: Connection, webhook_id: int, state: DeliveryState | None, *, limit: int, offset: int
) -> tuple[list[Delivery], int]:
    """Newest first, and how many there are."""
    where = [deliveries.c.webhook_id == webhook_id]
    if state is not None:
        where.append(deliveries.c.state == state)
    total = connection.execute(select(func.count()).select_from(deliveries).where(*where)).scalar_one()
    query = select(deliveries).where(*where).order_by(deliveries.c.id.desc()).limit(limit).offset(offset)
    return [_delivery(row) for row in connection.execute(query)], int(total)


def due(connection: Connection, now: float, *, busy: Collection[int], limit: int) -> list[tuple[Webhook, Delivery]]:
    """The oldest that is due of each webhook that nothing is being sent to; those who waited longest first."""
    if limit <= 0:
        return []
    chosen = (
        select(func.min(deliveries.c.id))
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(_PENDING, deliveries.c.next_attempt_at <= now, webhooks.c.enabled)
        .where(or_(webhooks.c.paused_until.is_(None), webhooks.c.paused_until <= now))
        .where(webhooks.c.id.not_in(sorted(busy)))
        .group_by(deliveries.c.webhook_id)
        .order_by(func.min(deliveries.c.next_attempt_at))
        .limit(limit)
    )
    ids = connection.execute(chosen).scalars().all()
    rows = connection.execute(select(deliveries).where(deliveries.c.id.in_(ids))).all() if ids else []
    found = {row.id: _delivery(row) for row in rows}
    return [(get(connection, found[each].webhook_id), found[each]) for each in ids]


def record(connection: Connection, delivery_id: int, outcome: Try, again_at: float | None) -> None:
    """What came of a try. `again_at`: of one that failed, when it is tried again. Nothing if it is gone meanwhile."""
    row = connection.execute(select(deliveries).where(deliveries.c.id == delivery_id)).first()
    if row is None:
        return
    before = _delivery(row)
    values = _after(before, outcome)
    if outcome.succeeded:
        values |= {"state": DeliveryState.DELIVERED, "delivered_at": outcome.at, "next_attempt_at": None}
    elif again_at is None:
        values |= {"state": DeliveryState.FAILED, "next_attempt_at": None}
    elif before.state is DeliveryState.PENDING:  # else it was given up meanwhile, and stays so
        values["next_attempt_at"] = again_at
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))
    if outcome.succeeded or again_at is None:
        _forget(connection, before.webhook_id)


def _after(before: Delivery, outcome: Try) -> dict[str, Any]:
    number = before.attempts + 1
    tries = (*before.tries, replace(outcome, number=number, response=""))[-KEPT_TRIES:]
    return {
        "attempts": number,
        "round": before.round + 1,
        "error": outcome.error,
        "response": outcome.response,
        "tries": [asdict(each) for each in tries],
    }


def add_settled(connection: Connection, message: Delivery, outcome: Try) -> int:
    """A message that was sent before it was written down, with its outcome; the new id."""
    values = _new(message.webhook_id, message.message_id, message.event, message.payload, message.created_at)
    delivery_id = int(connection.execute(insert(deliveries).values(values)).inserted_primary_key[0])  # type: ignore[index]
    record(connection, delivery_id, outcome, None)
    return delivery_id


def send_again(connection: Connection, delivery_id: int, now: float) -> None:
    """With the same message id, and all the retries that a new one has."""
    values = {"state": DeliveryState.PENDING, "round": 0, "next_attempt_at": now}
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))
