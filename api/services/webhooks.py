"""Webhooks as people manage them: whose they are, where they go, what became of each message. Knows no HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from api.models import webhook as model
from api.models.accounts import Actor
from api.models.webhook import Delivery, DeliveryState, Webhook
from api.services.deliveries import Deliverer, count
from api.services.store import accounts
from api.services.store import webhooks as store
from api.services.store.database import Database
from api.utils.errors import Conflict, Forbidden, Invalid, TooMany
from api.utils.outbound import Permitted, check_text

TESTS_AT_ONCE = 4  # each holds a thread that answers requests, for as long as the receiver takes


class WebhookService:
    """What people do with webhooks. Raises the errors of api.utils.errors."""

    def __init__(
        self, db: Database, deliverer: Deliverer, permitted: Permitted, clock: Callable[[], float] = time.time
    ) -> None:
        self.deliverer = deliverer
        self._db = db
        self._permitted = permitted
        self._clock = clock
        self._tests = threading.BoundedSemaphore(TESTS_AT_ONCE)

    # ---- reading

    def page(self, actor: Actor, *, limit: int, offset: int) -> tuple[list[Webhook], int]:
        actor.require_read()
        with self._db.read() as connection:
            return store.page(
                connection, actor.user_id, actor.team_ids, everything=actor.is_admin, limit=limit, offset=offset
            )

    def get(self, actor: Actor, webhook_id: int) -> Webhook:
        with self._db.read() as connection:
            return self._readable(connection, actor, webhook_id)

    def deliveries(
        self, actor: Actor, webhook_id: int, state: DeliveryState | None, *, limit: int, offset: int
    ) -> tuple[list[Delivery], int]:
        with self._db.read() as connection:
            self._readable(connection, actor, webhook_id)
            return store.deliveries_of(connection, webhook_id, state, limit=limit, offset=offset)

    def delivery(self, actor: Actor, webhook_id: int, delivery_id: int) -> Delivery:
        with self._db.read() as connection:
            self._readable(connection, actor, webhook_id)
            return store.delivery(connection, webhook_id, delivery_id)

    # ---- changing

    def create(
        self,
        actor: Actor,
        url: str,
        events: Sequence[str],
        *,
        team_id: int | None = None,
        all_jobs: bool = False,
        description: str = "",
        secret: str | None = None,
        enabled: bool = True,
    ) -> Webhook:
        """One more, with its secret, which nobody is shown afterwards."""
        actor.require_run()
        self._check_url(url)
        if all_jobs:
            actor.require_admin()
            if team_id is not None:
                raise Invalid("workspace_id", "does not go with the scope all")
        new = Webhook(
            id=0,
            owner_id=actor.user_id,
            team_id=team_id,
            all_jobs=all_jobs,
            url=url,
            secret=model.new_secret() if secret is None else model.checked_secret(secret),
            events=_ordered(events),
            description=description,
            enabled=enabled,
            created_at=(now := self._clock()),
            updated_at=now,
        )
        with self._db.write() as connection:
            if team_id is not None and (
                accounts.find_team(connection, team_id) is None or not actor.may_use_team(team_id)
            ):
                raise Forbidden(f"workspace {team_id} does not exist, or you are not a member of it")
            if store.count_of(connection, actor.user_id) >= model.MOST_PER_USER:
                raise Conflict(f"you have {model.MOST_PER_USER} webhooks already, and more are not allowed; delete one")
            return replace(new, id=store.add(connection, new))

    def update(self, actor: Actor, webhook_id: int, **changes: Any) -> Webhook:
        """`url`, `events`, `description`, `enabled`. Switching on forgets why it was off; off gives up what waits."""
        if "url" in changes:
            self._check_url(changes["url"])
        if "events" in changes:
            changes["events"] = list(_ordered(changes["events"]))
        now = self._clock()
        with self._db.write() as connection:
            before = self._changeable(connection, actor, webhook_id)
            enabled = changes.pop("enabled", before.enabled)
            if enabled and not before.enabled:
                changes |= {"enabled": True, "disabled_reason": None, "failing_since": None, "paused_until": None}
            store.change(connection, webhook_id, {**changes, "updated_at": now})
            if before.enabled and not enabled:
                store.disable(connection, webhook_id, f"{actor.name} switched it off", now)
            return store.get(connection, webhook_id)

    def remove(self, actor: Actor, webhook_id: int) -> None:
        """With the log of its deliveries."""
        with self._db.write() as connection:
            self._changeable(connection, actor, webhook_id)
            store.remove(connection, webhook_id)

    def rotate_secret(self, actor: Actor, webhook_id: int, secret: str | None = None) -> Webhook:
        """A new secret; for a day messages are signed with the old one, too, so that no receiver must be in step."""
        fresh = model.new_secret() if secret is None else model.checked_secret(secret)
        now = self._clock()
        with self._db.write() as connection:
            before = self._changeable(connection, actor, webhook_id)
            values: dict[str, Any] = {"secret": fresh, "updated_at": now}
            if before.secret != fresh:
                values |= {"previous_secret": before.secret, "previous_until": now + model.OLD_SECRET_LIFE}
            store.change(connection, webhook_id, values)
            return store.get(connection, webhook_id)

    # ---- sending

    def test(self, actor: Actor, webhook_id: int) -> Delivery:
        """One message, sent now and once, switched on or not; what came of it."""
        with self._db.read() as connection:
            webhook = self._changeable(connection, actor, webhook_id)
        now = self._clock()
        payload = model.test_payload(webhook, now)
        message = Delivery(0, webhook.id, model.new_message_id(), model.TEST_EVENT, payload, now, DeliveryState.PENDING)
        with self._place():
            outcome = self.deliverer.sender.send(webhook, message)
        with self._db.write(durable=False) as connection:
            store.get(connection, webhook_id)  # NotFound: deleted meanwhile
            delivery_id = store.add_settled(connection, message, outcome)
            if outcome.succeeded:
                store.note_health(connection, webhook_id, outcome, None)
            found = store.delivery(connection, webhook_id, delivery_id)
        count(outcome, None)
        return found

    def redeliver(self, actor: Actor, webhook_id: int, delivery_id: int) -> Delivery:
        """Sends a settled one once more, with the id that it has always had."""
        with self._db.write() as connection:
            webhook = self._changeable(connection, actor, webhook_id)
            found = store.delivery(connection, webhook_id, delivery_id)
            if found.state is DeliveryState.PENDING:
                raise Conflict(f"delivery {delivery_id} is waiting to be sent already")
            if not webhook.enabled:
                raise Conflict(f"webhook {webhook_id} is switched off; switch it on first")
            store.send_again(connection, delivery_id, self._clock())
            again = store.delivery(connection, webhook_id, delivery_id)
        self.deliverer.wake()
        return again

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._tests.acquire(blocking=False):
            raise TooMany(f"{TESTS_AT_ONCE} webhooks are being tested now; try again", retry_after=10)
        try:
            yield
        finally:
            self._tests.release()

    # ---- rules

    def _check_url(self, url: str) -> None:
        try:
            check_text(url, self._permitted)
        except ValueError as problem:
            raise Invalid("url", str(problem)) from None

    @staticmethod
    def _readable(connection: Connection, actor: Actor, webhook_id: int) -> Webhook:
        found = store.get(connection, webhook_id)
        if not actor.may_read(found.owner_id, found.team_id):
            actor.require_read()
            raise Forbidden(f"webhook {webhook_id} is not yours")
        return found

    @staticmethod
    def _changeable(connection: Connection, actor: Actor, webhook_id: int) -> Webhook:
        actor.require_run()
        found = store.get(connection, webhook_id)
        if not actor.may_change(found.owner_id):
            raise Forbidden(f"webhook {webhook_id} is not yours")
        return found


def _ordered(events: Sequence[str]) -> tuple[str, ...]:
    return tuple(event for event in model.EVENTS if event in events)
