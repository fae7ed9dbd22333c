"""The thread that sends webhooks, so that no receiver is ever waited for by anybody else."""

from __future__ import annotations

import importlib
import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.models.webhook import Delivery, Try, Webhook, next_try, pause_of, seconds_of, why_disable
from api.services.store import webhooks as store
from api.services.store.database import Database
from api.services.telemetry import WEBHOOKS
from api.utils.faults import fault
from api.utils.outbound import Permitted, Refused, Unreachable
from api.version import VERSION

if TYPE_CHECKING:
    from api.utils.outbound_http import Outbound, Reply

log = logging.getLogger(__name__)

AT_ONCE = 4  # receivers
LOOK_SECONDS = 0.5
HOLD_SECONDS = 60.0  # after a try that could not be written down: it will be made again
STOP_SECONDS = 2.0


class Sender:
    """Makes one try: signs, sends, says what came of it."""

    def __init__(self, permitted: Permitted, clock: Callable[[], float] = time.time) -> None:
        self._permitted = permitted
        self._clock = clock
        self._outbound: Outbound | None = None

    def send(self, webhook: Webhook, delivery: Delivery) -> Try:
        at, began = self._clock(), time.monotonic()
        headers = signed(webhook, delivery, at)
        try:
            reply = self.outbound().post(webhook.url, delivery.payload.encode(), headers)
        except (Refused, Unreachable) as problem:
            return Try(at, time.monotonic() - began, error=str(problem))
        return _outcome(reply, at, time.monotonic() - began)

    def outbound(self) -> Outbound:
        """Made with the first message: a service without webhooks loads no HTTP client."""
        if self._outbound is None:
            self._outbound = importlib.import_module("api.utils.outbound_http").Outbound(self._permitted)
        return self._outbound


def signed(webhook: Webhook, delivery: Delivery, at: float) -> dict[str, str]:
    """The headers of a try, as Standard Webhooks has them."""
    library = importlib.import_module("standardwebhooks")
    moment = datetime.fromtimestamp(int(at), UTC)
    signatures = [
        library.Webhook(secret).sign(delivery.message_id, moment, delivery.payload) for secret in webhook.secrets(at)
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Trainyard/{VERSION}",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": " ".join(signatures),
    }


def _outcome(reply: Reply, at: float, seconds: float) -> Try:
    error = None
    if 300 <= reply.status < 400:
        error = f"answered {reply.status}, and redirects are not followed"
    elif not 200 <= reply.status < 300:
        error = f"answered {reply.status}"
    wait = None if error is None else seconds_of(reply.headers.get("retry-after"), at)
    return Try(at, seconds, reply.status, error, _printable(reply.body), wait)


def _printable(body: bytes) -> str:
    """Text that can stand in a terminal: no escape sequences."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in body.decode("utf-8", "replace"))


class Deliverer:
    """Sends what is due, a few receivers at a time and to each one message at a time, oldest first."""

    def __init__(self, db: Database, sender: Sender, *, clock: Callable[[], float] = time.time) -> None:
        self.sender = sender
        self._db = db
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: set[int] = set()  # ids of webhooks
        self._held: dict[int, float] = {}  # ids of webhooks, until when
        self._threads: set[threading.Thread] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._recording = threading.Lock()
        self._closed = False  # under _recording: the database may be closed now
        self._loop: threading.Thread | None = None

    def start(self) -> None:
        """May come again after a `stop`."""
        self._stopping.clear()
        self._closed = False
        self._loop = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._loop.start()

    def stop(self) -> None:
        """What is under way may end within two seconds; else it is sent again after the next start."""
        self._stopping.set()
        self._wake.set()
        end = time.monotonic() + STOP_SECONDS
        if self._loop is not None:
            self._loop.join(STOP_SECONDS)
        with self._lock:
            threads = [*self._threads]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._recording:
            self._closed = True

    def wake(self) -> None:
        self._wake.set()

    def turn(self, now: float) -> int:
        """Begins to send what is due; returns how many."""
        with self._lock:
            self._held = {each: until for each, until in self._held.items() if until > now}
            busy, free = self._busy | self._held.keys(), AT_ONCE - len(self._busy)
        with self._db.read() as connection:
            found = store.due(connection, now, busy=busy, limit=free)
        for webhook, delivery in found:
            with self._lock:
                self._busy.add(webhook.id)
            self._begin(webhook, delivery)
        return len(found)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn(self._clock())
            except Exception:  # the loop must outlive a full disk or a bug
                log.exception("looking for webhooks to send failed; will try again")
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _begin(self, webhook: Webhook, delivery: Delivery) -> None:
        thread = threading.Thread(
            target=self._work, args=(webhook, delivery), name=f"webhook-{webhook.id}", daemon=True
        )
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left: it stays due
            with self._lock:
                self._threads.discard(thread)
                self._busy.discard(webhook.id)
            raise

    def _work(self, webhook: Webhook, delivery: Delivery) -> None:
        try:
            self._deliver(webhook, delivery)
        except Exception:  # the others go on; this one is sent again, with its id, when it can be written down
            log.exception("what came of delivery %d is lost; it will be sent again", delivery.id)
            with self._lock:
                self._held[webhook.id] = self._clock() + HOLD_SECONDS
        finally:
            with self._lock:
                self._busy.discard(webhook.id)
                self._threads.discard(threading.current_thread())
            self._wake.set()

    def _deliver(self, webhook: Webhook, delivery: Delivery) -> None:
        outcome = self.sender.send(webhook, delivery)
        fault("webhook.after_send")
        again_at = None if outcome.succeeded else next_try(delivery, outcome, random.random())
        reason = None if outcome.succeeded else why_disable(webhook, outcome)
        with self._recording:
            if self._closed:
                return
            with self._db.write(durable=False) as connection:  # lost with a power cut: then it is sent once more
                store.record(connection, delivery.id, outcome, again_at)
                store.note_health(connection, webhook.id, outcome, pause_of(outcome))
                if reason is not None:
                    store.disable(connection, webhook.id, reason, outcome.at)
        count(outcome, again_at)
        if reason is not None:
            log.warning("webhook %d is switched off: %s", webhook.id, reason)


def count(outcome: Try, again_at: float | None) -> None:
    WEBHOOKS.labels("delivered" if outcome.succeeded else "failed" if again_at is None else "retried").inc()
