"""Webhooks: who is told of which jobs, what they are told, and when it is tried again. Pure.

The form is that of Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp` and
`webhook-signature` headers, secrets that begin with `whsec_`, and its schedule of retries.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.utils.errors import Invalid
from api.utils.secrets import masked, scrub
from api.utils.times import iso

#: what a status that a job comes to is called
EVENT_OF: Mapping[JobStatus, str] = {
    JobStatus.RUNNING: "job.started",
    JobStatus.COMPLETED: "job.completed",
    JobStatus.FAILED: "job.failed",
    JobStatus.STOPPED: "job.stopped",
}
EVENTS = tuple(EVENT_OF.values())
TEST_EVENT = "webhook.test"

#: seconds from a failed try to the next: ten tries in about three days, as the specification's example has it
SCHEDULE = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
LONGEST_WAIT = 86_400.0  # seconds; no Retry-After is taken for more
GIVE_UP_AFTER = 5 * 86_400.0  # seconds in which no try succeeded: then the webhook is switched off
OLD_SECRET_LIFE = 86_400.0  # seconds for which what is sent is signed with the secret before, too

MOST_PER_USER = 20
KEPT_DELIVERIES = 200  # settled ones of a webhook
MOST_WAITING = 1000  # of a webhook
KEPT_TRIES = 12  # of a delivery: one more than a round of them has

SECRET_PREFIX = "whsec_"
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes


class DeliveryState(StrEnum):
    PENDING = "pending"  # waits for its first try, or the next
    DELIVERED = "delivered"  # answered with 2xx
    FAILED = "failed"  # given up


class Scope(StrEnum):
    """Whose jobs a webhook tells of."""

    OWN = "own"  # its owner's
    WORKSPACE = "workspace"  # those made in a workspace, as long as its owner is in there or an admin
    ALL = "all"  # everybody's, as long as its owner is an admin


@dataclass(frozen=True, slots=True)
class Webhook:
    """Times are Unix seconds; None: never."""

    id: int
    owner_id: int
    team_id: int | None
    all_jobs: bool
    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...]
    description: str
    enabled: bool
    created_at: float
    updated_at: float
    disabled_reason: str | None = None
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: float | None = None
    failing_since: float | None = None  # since when no try succeeded
    paused_until: float | None = None  # the receiver asked for quiet

    @property
    def scope(self) -> Scope:
        if self.all_jobs:
            return Scope.ALL
        return Scope.OWN if self.team_id is None else Scope.WORKSPACE

    def secrets(self, now: float) -> tuple[str, ...]:
        """What a receiver may check with at this time, newest first."""
        old = self.previous_secret if (self.previous_until or 0.0) > now else None
        return (self.secret,) if old is None else (self.secret, old)


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one request. `status` None: no answer."""

    at: float
    seconds: float
    status: int | None = None
    error: str | None = None
    response: str = ""
    retry_after: float | None = None  # seconds
    number: int = 0  # counted from 1 once it is kept

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one webhook, from the event to its end. `payload` is sent as it stands, always."""

    id: int
    webhook_id: int
    message_id: str
    event: str
    payload: str
    created_at: float
    state: DeliveryState
    attempts: int = 0  # tries in all
    round: int = 0  # tries since it was created or last asked for again
    next_attempt_at: float | None = None
    delivered_at: float | None = None
    error: str | None = None  # why the last try failed, or why it was given up
    response: str = ""  # the beginning of the last answer
    tries: tuple[Try, ...] = ()  # the last KEPT_TRIES, oldest first


def next_try(delivery: Delivery, outcome: Try, jitter: float) -> float | None:
    """When a delivery is tried again after this failure; None: never. `jitter`: 0 to 1, up to a tenth more."""
    if outcome.status == 410 or delivery.round >= len(SCHEDULE) or delivery.event == TEST_EVENT:
        return None
    wait = SCHEDULE[delivery.round] * (1 + jitter / 10)
    return outcome.at + max(wait, min(outcome.retry_after or 0.0, LONGEST_WAIT))


def pause_of(outcome: Try) -> float | None:
    """Until when nothing at all is sent to a receiver that asked for quiet."""
    if outcome.status not in (429, 503) or not outcome.retry_after:
        return None
    return outcome.at + min(outcome.retry_after, LONGEST_WAIT)


def why_disable(webhook: Webhook, outcome: Try) -> str | None:
    """The reason to switch a webhook off after this failure, if there is one."""
    if outcome.status == 410:
        return "the receiver answered 410 Gone"
    if webhook.failing_since is not None and outcome.at - webhook.failing_since >= GIVE_UP_AFTER:
        return f"no delivery has succeeded since {iso(webhook.failing_since)}"
    return None


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """Of a Retry-After header, in either of its forms; None when it says nothing of use."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


# ---- secrets


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_secret(secret: str) -> str:
    """One that a client brought, if it can be one. Raises Invalid, without repeating it."""
    try:
        raw = base64.b64decode(secret.removeprefix(SECRET_PREFIX).encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if not secret.startswith(SECRET_PREFIX) or not LEAST_SECRET <= len(raw) <= MOST_SECRET:
        raise Invalid("secret", f"must be {SECRET_PREFIX} and the base64 of {LEAST_SECRET} to {MOST_SECRET} bytes")
    return secret


# ---- messages


def new_message_id() -> str:
    """No dot in it: dots separate what is signed."""
    return f"msg_{secrets.token_hex(14)}"


def job_payload(event: str, job: Job, exit_code: int | None, now: float) -> str:
    """The body that tells of a job. Never fails: it is written where a job changes its status."""
    hidden = job.spec.secrets
    failure = None
    if job.failure is not None:
        failure = {"kind": job.failure.kind, "hint": scrub(job.failure.hint, hidden)}
    data = {
        "job_id": job.id,
        "task_id": job.id,
        "name": scrub(job.spec.name, hidden),
        "engine": job.engine,
        "dialect": job.dialect,
        "status": job.status,
        "reason": job.reason,
        "exit_code": exit_code,
        "attempt": job.attempt,
        "owner_id": job.owner_id,
        "workspace_id": job.team_id,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "ended_at": iso(job.ended_at),
        "failure": failure,
        "progress": _summary(job, now),
    }
    return message(event, masked(data), now)


_SHOWN = ("current_epoch", "total_epochs", "current_step", "total_steps", "overall_progress", "training_time")


def _summary(job: Job, now: float) -> dict[str, Any]:
    progress = Progress.from_dict(job.progress)
    group = shown(progress, job.status, job.started_at, job.ended_at, now)
    return {name: group[name] for name in _SHOWN} | {"current_loss": progress.loss, "best_loss": progress.best_loss}


def test_payload(webhook: Webhook, now: float) -> str:
    data = {"webhook_id": webhook.id, "description": webhook.description, "events": list(webhook.events)}
    return message(TEST_EVENT, data, now)


def message(event: str, data: Mapping[str, Any], now: float) -> str:
    """As it is kept, signed and sent. ASCII, so that no text can be one that cannot be sent."""
    body = {"type": event, "timestamp": iso(now), "data": data}
    return json.dumps(body, separators=(",", ":"))
