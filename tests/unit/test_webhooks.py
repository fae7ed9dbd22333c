"""Webhooks: the outbox in a transition, what is signed, sent, tried again and given up, and who may do what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import event
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from api.models import webhook as model
from api.models.accounts import ALL_SCOPES, Actor, Role, Scope
from api.models.job import EndReason, Failure, Job, JobStatus
from api.models.webhook import Delivery, DeliveryState, Webhook
from api.services.deliveries import Deliverer, Sender, signed
from api.services.store import accounts, webhook_tables
from api.services.store import jobs as jobs_store
from api.services.store import webhooks as store
from api.services.store.database import Database
from api.services.webhooks import WebhookService
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from api.utils.outbound import Permitted
from api.utils.outbound_http import Outbound
from tests.postgres import sqlite_only
from tests.unit.receivers import Receiver, receiving
from tests.unit.toys import Clock, add_job

URL = "https://hooks.example.com/T0/secret-path"
DAY = 86_400.0
MEMBER = frozenset({Scope.READ, Scope.RUN})


class StillDeliverer(Deliverer):
    """Starts no threads: what a turn begins, it ends."""

    def _begin(self, webhook: Webhook, delivery: Delivery) -> None:
        self._work(webhook, delivery)


class Office:
    """A service of webhooks over a database, with some people; its time is the test's."""

    def __init__(self, db: Database, clock: Clock, deliverer: type[Deliverer] = StillDeliverer) -> None:
        self.db, self.clock = db, clock
        self.permitted = Permitted.parse(["127.0.0.0/8"])
        self.deliverer = deliverer(db, Sender(self.permitted, clock), clock=clock)
        self.service = WebhookService(db, self.deliverer, self.permitted, clock)
        with db.write() as connection:
            people = {
                name: accounts.add_user(connection, name, Role.MEMBER, None, clock()).id
                for name in ("ann", "bob", "eve")
            }
            people["root"] = accounts.add_user(connection, "root", Role.ADMIN, None, clock()).id
            self.team = accounts.add_team(connection, "vision", clock()).id
            for name in ("ann", "bob"):
                accounts.join_team(connection, self.team, people[name])
        self.ids = people
        self.ann, self.bob, self.eve = (
            Actor(people[n], n, Role.MEMBER, MEMBER, frozenset({self.team} if n != "eve" else ()))
            for n in ("ann", "bob", "eve")
        )
        self.root = Actor(people["root"], "root", Role.ADMIN, ALL_SCOPES)

    def hook(self, actor: Actor | None = None, url: str = URL, **more: Any) -> Webhook:
        return self.service.create(actor or self.ann, url, more.pop("events", model.EVENTS), **more)

    def job(self, owner: str = "ann", team: int | None = None, **spec: Any) -> Job:
        with self.db.write() as connection:
            return add_job(connection, now=self.clock(), owner=self.ids[owner], team=team, **spec)

    def run(self, job: Job) -> Job:
        with self.db.write() as connection:
            return jobs_store.transition(connection, job, JobStatus.RUNNING, self.clock(), started_at=self.clock())

    def end(self, job: Job, reason: EndReason = EndReason.DONE, **more: Any) -> Job:
        with self.db.write() as connection:
            values = {"exit_code": 0, "failure": None, **more}
            return jobs_store.finish(connection, job, reason, self.clock(), **values)

    def sent(self, hook: Webhook, state: DeliveryState | None = None) -> list[Delivery]:
        """Oldest first."""
        with self.db.read() as connection:
            found, total = store.deliveries_of(connection, hook.id, state, limit=5000, offset=0)
        assert total == len(found)
        return found[::-1]

    def only(self, hook: Webhook) -> Delivery:
        (one,) = self.sent(hook)
        return one

    def events(self, hook: Webhook) -> list[str]:
        return [each.event for each in self.sent(hook)]

    def look(self, hook: Webhook) -> Webhook:
        with self.db.read() as connection:
            return store.get(connection, hook.id)

    def turn(self, seconds: float = 0.0) -> int:
        return self.deliverer.turn(self.clock.tick(seconds))


@pytest.fixture
def office(db: Database, clock: Clock) -> Office:
    return Office(db, clock)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


class TestTheOutbox:
    def test_a_job_from_start_to_end(self, office: Office) -> None:
        hook = office.hook()
        job = office.job(name="cats")
        assert office.events(hook) == []
        running = office.run(job)
        office.clock.tick(60)
        office.end(running)
        first, second = office.sent(hook)
        assert (first.event, second.event) == ("job.started", "job.completed")
        assert first.state is second.state is DeliveryState.PENDING
        assert first.message_id != second.message_id and "." not in first.message_id
        body = json.loads(second.payload)
        assert set(body) == {"type", "timestamp", "data"} and body["type"] == "job.completed"
        data = body["data"]
        told = {
            key: data[key]
            for key in ("job_id", "task_id", "name", "engine", "status", "reason", "exit_code", "attempt")
        }
        assert told == {
            "job_id": job.id, "task_id": job.id, "name": "cats", "engine": "toy", "status": "completed",
            "reason": "done", "exit_code": 0, "attempt": 1,
        }  # fmt: skip
        assert (data["dialect"], data["failure"], data["progress"]["training_time"]) == ("training_v1", None, 60.0)
        assert data["started_at"] < data["ended_at"] == body["timestamp"]

    @pytest.mark.parametrize(
        ("reason", "event"),
        [(EndReason.DONE, "job.completed"), (EndReason.STOPPED_BY_USER, "job.stopped"), (EndReason.LOST, "job.failed")],
    )
    def test_each_end_has_its_event(self, office: Office, reason: EndReason, event: str) -> None:
        hook = office.hook(events=[event])
        office.end(office.run(office.job()), reason)
        assert office.events(hook) == [event]

    def test_a_queued_job_that_is_stopped(self, office: Office) -> None:
        hook = office.hook()
        office.end(office.job(), EndReason.STOPPED_BY_USER, exit_code=None)
        assert json.loads(office.only(hook).payload)["data"]["exit_code"] is None

    def test_a_failure_and_its_secrets(self, office: Office) -> None:
        hook = office.hook()
        job = office.job(params={"wandb_api_key": "hunter22222"}, name="with hunter22222")
        office.end(
            office.run(job), EndReason.EXIT_CODE, exit_code=3, failure=Failure("unknown", "see hunter22222", "line")
        )
        text = office.sent(hook)[-1].payload
        assert json.loads(text)["data"]["failure"] == {"kind": "unknown", "hint": "see ***"}
        assert "hunter22222" not in text and json.loads(text)["data"]["exit_code"] == 3

    def test_what_is_undone_is_not_told(self, office: Office) -> None:
        hook = office.hook()
        job = office.job()
        with pytest.raises(RuntimeError), office.db.write() as connection:
            jobs_store.transition(connection, job, JobStatus.RUNNING, 1.0)
            assert connection.execute(webhook_tables.webhook_deliveries.select()).all()
            raise RuntimeError
        assert office.sent(hook) == []
        with pytest.raises(Conflict), office.db.write() as connection:
            jobs_store.transition(connection, job, JobStatus.COMPLETED, 1.0)
        assert office.sent(hook) == []

    def test_a_resumed_job_is_told_of_again(self, office: Office) -> None:
        hook = office.hook(events=["job.started"])
        ended = office.end(office.run(office.job()))
        with office.db.write() as connection:
            again = jobs_store.requeue(connection, ended, 1.0, resume_from=None, output_dir="/o", new_series=True)
        office.run(again)
        assert [json.loads(each.payload)["data"]["attempt"] for each in office.sent(hook)] == [1, 2]

    def test_one_event_has_one_id(self, office: Office) -> None:
        """So that a receiver that two webhooks lead to can tell."""
        hooks = [office.hook(), office.hook(office.root, all_jobs=True)]
        office.run(office.job())
        assert len({office.only(hook).message_id for hook in hooks}) == 1

    @sqlite_only
    def test_nothing_listens(self, office: Office) -> None:
        """One statement more, which reads no table but through an index."""
        seen: list[tuple[str, Any]] = []
        job = office.job()
        with office.db.write() as connection:
            event.listen(connection, "before_cursor_execute", lambda *a: seen.append((a[2], a[3])))
            jobs_store.transition(connection, job, JobStatus.RUNNING, 1.0)
            ((statement, values),) = [each for each in seen if "webhook" in each[0]]
            steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert steps and not [step for step in steps if step.startswith("SCAN")]


class TestWhoIsTold:
    def matrix(self, office: Office) -> dict[str, Webhook]:
        return {
            "ann own": office.hook(office.ann),
            "bob own": office.hook(office.bob),
            "ann team": office.hook(office.ann, team_id=office.team),
            "root own": office.hook(office.root),
            "root team": office.hook(office.root, team_id=office.team),
            "root all": office.hook(office.root, all_jobs=True),
        }

    def told(self, office: Office, hooks: dict[str, Webhook], **job: Any) -> set[str]:
        before = {name: len(office.sent(hook)) for name, hook in hooks.items()}
        office.run(office.job(**job))
        return {name for name, hook in hooks.items() if len(office.sent(hook)) > before[name]}

    def test_each(self, office: Office) -> None:
        hooks = self.matrix(office)
        assert self.told(office, hooks, owner="ann") == {"ann own", "root all"}
        assert self.told(office, hooks, owner="eve") == {"root all"}
        assert self.told(office, hooks, owner="bob", team=office.team) == {
            "bob own",
            "ann team",
            "root team",
            "root all",
        }
        assert self.told(office, hooks, owner="root") == {"root own", "root all"}

    def test_rights_that_are_lost(self, office: Office) -> None:
        hooks = self.matrix(office)
        with office.db.write() as connection:
            accounts.leave_team(connection, office.team, office.ids["ann"])
            accounts.change_user(connection, office.ids["root"], {"role": Role.MEMBER.value})
        assert self.told(office, hooks, owner="bob", team=office.team) == {"bob own"}

    def test_switched_off(self, office: Office) -> None:
        hook = office.hook(enabled=False)
        office.run(office.job())
        assert office.sent(hook) == []

    def test_a_user_who_is_removed_takes_them_along(self, office: Office) -> None:
        office.hook(office.bob)
        office.run(office.job("bob"))
        with office.db.write() as connection:
            accounts.remove_user(connection, office.ids["bob"])
            for table in (webhook_tables.webhooks, webhook_tables.webhook_deliveries):
                assert connection.execute(table.select()).all() == []


class TestSignatures:
    def test_the_published_vector(self) -> None:
        """Of the reference libraries' own tests."""
        secret, identity = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
        hook = replace(HOOK, secret=secret)
        message = replace(MESSAGE, message_id=identity, payload='{"test": 2432232314}')
        headers = signed(hook, message, 1614265330.9)
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        assert (headers["webhook-id"], headers["webhook-timestamp"]) == (identity, "1614265330")

    def test_by_hand_and_by_the_reference(self) -> None:
        hook = replace(HOOK, secret=model.new_secret())
        now = time.time()
        headers = signed(hook, MESSAGE, now)
        key = base64.b64decode(hook.secret.removeprefix("whsec_"))
        signed_text = f"{MESSAGE.message_id}.{int(now)}.{MESSAGE.payload}".encode()
        mac = base64.b64encode(hmac.digest(key, signed_text, hashlib.sha256)).decode()
        assert len(key) == 32 and headers["webhook-signature"] == f"v1,{mac}"
        assert Reference(hook.secret).verify(MESSAGE.payload, headers) == json.loads(MESSAGE.payload)
        with pytest.raises(WebhookVerificationError):
            Reference(hook.secret).verify(MESSAGE.payload + " ", headers)

    def test_the_secret_before(self) -> None:
        old, new = model.new_secret(), model.new_secret()
        now = time.time()
        hook = replace(HOOK, secret=new, previous_secret=old, previous_until=now + 10)
        for secret in (old, new):
            Reference(secret).verify(MESSAGE.payload, signed(hook, MESSAGE, now))
        later = signed(replace(hook, previous_until=now), MESSAGE, now)
        Reference(new).verify(MESSAGE.payload, later)
        with pytest.raises(WebhookVerificationError):
            Reference(old).verify(MESSAGE.payload, later)

    @pytest.mark.parametrize("size", [24, 32, 64])
    def test_a_secret_of_ones_own(self, size: int) -> None:
        secret = "whsec_" + base64.b64encode(b"k" * size).decode()
        assert model.checked_secret(secret) == secret

    @pytest.mark.parametrize("raw", ["", "whsec_", "whsec_c2hvcnQ=", "abc", "whsec_" + "A" * 400, "whsec_ü" + "A" * 40,
                                     base64.b64encode(b"k" * 32).decode(), "whsec_" + "A" * 31 + "\n", "WHSEC_" + "A" * 32])  # fmt: skip
    def test_what_is_none(self, raw: str) -> None:
        with pytest.raises(Invalid) as told:
            model.checked_secret(raw)
        assert told.value.field == "secret" and (len(raw) < 7 or raw not in told.value.message)


HOOK = Webhook(1, 1, None, False, URL, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", model.EVENTS, "", True, 0.0, 0.0)
MESSAGE = Delivery(1, 1, "msg_1", "job.started", '{"type":"job.started"}', 0.0, DeliveryState.PENDING)


class TestSending:
    def test_delivered(self, office: Office, receiver: Receiver) -> None:
        office.clock.now = time.time()
        hook = office.hook(url=receiver.url)
        office.run(office.job())
        assert office.turn() == 1 and office.turn() == 0
        (got,) = receiver.got
        assert Reference(hook.secret).verify(got.body, got.headers)["type"] == "job.started"
        assert got.headers["content-type"] == "application/json" and got.headers["user-agent"].startswith("Trainyard/")
        done = office.only(hook)
        assert (done.state, done.attempts, done.next_attempt_at, done.error) == (DeliveryState.DELIVERED, 1, None, None)
        assert got.body.decode() == done.payload and got.id == done.message_id
        (one,) = done.tries
        assert (one.number, one.status, one.error, done.response) == (1, 200, None, "thanks") and 0 < one.seconds < 10

    def test_500_then_200(self, office: Office) -> None:
        with receiving(500, 200) as receiver:
            receiver.body = b"\x1b[31mno\x00\xff"
            hook = office.hook(url=receiver.url)
            office.run(office.job())
            office.turn()
            waiting = office.only(hook)
            assert (waiting.state, waiting.error, waiting.response) == (
                DeliveryState.PENDING,
                "answered 500",
                "\ufffd[31mno\ufffd\ufffd",
            )
            assert 5 <= (waiting.next_attempt_at or 0) - office.clock() <= 5.5
            assert office.look(hook).failing_since == office.clock()
            assert office.turn(4) == 0 and office.turn(2) == 1
            first, second = receiver.got
        assert first.id == second.id and first.body == second.body
        assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 6
        done = office.only(hook)
        assert (done.state, done.attempts, [t.status for t in done.tries]) == (DeliveryState.DELIVERED, 2, [500, 200])
        assert office.look(hook).failing_since is None

    def test_the_whole_schedule(self, office: Office) -> None:
        with receiving(*[503] * 30) as receiver:
            hook = office.hook(url=receiver.url)
            office.run(office.job())
            waits = []
            while office.only(hook).state is DeliveryState.PENDING:
                waits.append((office.only(hook).next_attempt_at or 0) - office.clock())
                assert office.turn(waits[-1]) == 1
            assert len(receiver.got) == len(waits) == len(model.SCHEDULE) + 1
            for told, wait in zip(model.SCHEDULE, waits[1:], strict=True):
                assert told <= wait <= told * 1.1
            assert 3 * DAY < sum(waits) < 4 * DAY
            assert {got.id for got in receiver.got} == {office.only(hook).message_id}
            assert office.turn(30 * DAY) == 0 and office.only(hook).attempts == 10
            assert office.look(hook).enabled

    @pytest.mark.parametrize(
        ("status", "location"), [(301, True), (302, True), (307, True), (304, False), (404, False), (401, False)]
    )
    def test_other_answers_fail(self, office: Office, receiver: Receiver, status: int, location: bool) -> None:
        with receiving(status) as first:
            if location:
                first.headers["Location"] = receiver.url
            hook = office.hook(url=first.url)
            office.run(office.job())
            office.turn()
        waiting = office.only(hook)
        assert waiting.state is DeliveryState.PENDING and str(status) in (waiting.error or "")
        assert receiver.connections == 0

    def test_410(self, office: Office) -> None:
        with receiving(410) as receiver:
            hook = office.hook(url=receiver.url)
            office.end(office.run(office.job()))
            office.turn()
            assert office.turn(DAY) == 0 and len(receiver.got) == 1
        after = office.look(hook)
        assert (after.enabled, after.disabled_reason) == (False, "the receiver answered 410 Gone")
        gone, other = office.sent(hook)
        assert gone.state is other.state is DeliveryState.FAILED and other.error == "the webhook was switched off"
        office.run(office.job())
        assert len(office.sent(hook)) == 2

    def test_five_days_of_failure(self, office: Office) -> None:
        with receiving(*[500] * 100) as receiver:
            hook = office.hook(url=receiver.url, events=["job.started"])
            for _ in range(6):
                assert office.look(hook).enabled
                office.run(office.job())
                office.turn()
                office.clock.tick(DAY)
        after = office.look(hook)
        assert (
            not after.enabled
            and after.disabled_reason is not None
            and "no delivery has succeeded since" in after.disabled_reason
        )
        assert office.sent(hook, DeliveryState.PENDING) == []
        on = office.service.update(office.ann, hook.id, enabled=True)
        assert (on.enabled, on.disabled_reason, on.failing_since) == (True, None, None)

    @pytest.mark.parametrize(
        ("text", "least", "most"),
        [
            ("120", 120, 121),
            ("999999999", DAY, DAY + 1),
            ("0", 5, 6),
            ("soon", 5, 6),
            ("-5", 5, 6),
            ("٣", 5, 6),
            ("date", 599, 601),
        ],
    )
    def test_retry_after(self, office: Office, text: str, least: float, most: float) -> None:
        with receiving(429) as receiver:
            if text == "date":
                text = datetime.fromtimestamp(office.clock() + 600, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            receiver.headers["Retry-After"] = text.encode().decode("latin-1")
            hook = office.hook(url=receiver.url)
            running = office.run(office.job())
            office.turn()
            wait = (office.only(hook).next_attempt_at or 0) - office.clock()
            assert least <= wait <= most
            office.end(running)
            assert office.turn() == (0 if least > 5 else 1), "who asks for quiet has it for every message"
            office.turn(wait + 1)
            office.turn()
            assert [got.type for got in receiver.got][-1] in ("job.completed", "job.started")
            assert {each.state for each in office.sent(hook)} == {DeliveryState.DELIVERED}

    def test_an_address_that_is_refused(self, office: Office, receiver: Receiver) -> None:
        office.deliverer.sender = Sender(Permitted(), office.clock)
        hook = office.hook(url=receiver.url)
        office.run(office.job())
        office.turn()
        assert "not on the public internet" in (office.only(hook).error or "") and receiver.connections == 0

    def test_oldest_first_and_one_at_a_time(self, office: Office, receiver: Receiver) -> None:
        hook = office.hook(url=receiver.url)
        office.end(office.run(office.job()))
        assert [office.turn(), office.turn(), office.turn()] == [1, 1, 0]
        assert [got.type for got in receiver.got] == ["job.started", "job.completed"]
        assert len(office.sent(hook)) == 2

    def test_an_outcome_that_cannot_be_written(
        self, office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a crash between sending and committing, but seen from inside: the same id again, and not at once."""
        hook = office.hook(url=receiver.url)
        office.run(office.job())

        def full(*_: Any) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as broken:
            broken.setattr(store, "record", full)
            assert office.turn() == 1
        assert office.only(hook).attempts == 0
        assert office.turn(59) == 0 and office.turn(2) == 1
        first, second = receiver.got
        assert first.id == second.id and office.only(hook).state is DeliveryState.DELIVERED

    def test_deleted_while_it_is_sent(self, office: Office) -> None:
        hooks: list[Webhook] = []
        with receiving(lambda _: office.service.remove(office.ann, hooks[0].id)) as receiver:
            hooks.append(office.hook(url=receiver.url))
            office.run(office.job())
            assert office.turn() == 1
        with pytest.raises(NotFound):
            office.look(hooks[0])

    def test_switched_off_while_it_is_sent(self, office: Office) -> None:
        hooks: list[Webhook] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            office.service.update(office.ann, hooks[0].id, enabled=False)
            handler.send_error(500)

        with receiving(answer) as receiver:
            hooks.append(office.hook(url=receiver.url))
            office.run(office.job())
            office.turn()
        assert office.only(hooks[0]).state is DeliveryState.FAILED


class TestWithThreads:
    @pytest.fixture
    def busy(self, db: Database) -> Iterator[Office]:
        office = Office(db, Clock(), Deliverer)
        office.clock.now = time.time()
        office.deliverer.sender._outbound = Outbound(office.permitted, connect=1, total=1)
        office.deliverer.start()
        yield office
        office.deliverer.stop()

    def test_who_hangs_holds_nobody_back(self, busy: Office) -> None:
        over = threading.Event()
        with ExitStack() as stack:
            hanging = stack.enter_context(receiving(*[lambda _: over.wait(5) and None] * 9))  # type: ignore[func-returns-value]
            quick = stack.enter_context(receiving())
            slow = busy.hook(url=hanging.url)
            busy.hook(url=quick.url)
            began = time.monotonic()
            for _ in range(3):
                busy.end(busy.run(busy.job()))
            quick.wait(6)
            assert len(hanging.got) < 6, "the quick one had all of its messages before"
            assert len(hanging.got) <= 1 + int(time.monotonic() - began), "one message at a time to each"
            wait_for(lambda: busy.sent(slow)[0].attempts)
            assert busy.sent(slow)[0].error == "no whole answer within 1 s"
            over.set()

    def test_stop_waits_for_what_is_under_way(self, busy: Office) -> None:
        inside, go = threading.Event(), threading.Event()

        def answer(handler: BaseHTTPRequestHandler) -> None:
            inside.set()
            go.wait(5)
            handler.send_response(200)
            handler.end_headers()

        with receiving(answer) as receiver:
            hook = busy.hook(url=receiver.url)
            busy.run(busy.job())
            assert inside.wait(10)
            threading.Timer(0.2, go.set).start()
            busy.deliverer.stop()
        assert busy.only(hook).state is DeliveryState.DELIVERED

    def test_what_ends_after_the_stop_is_sent_again(self, busy: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.services.deliveries.STOP_SECONDS", 0.1)
        inside, go = threading.Event(), threading.Event()

        def answer(handler: BaseHTTPRequestHandler) -> None:
            inside.set()
            go.wait(5)
            handler.send_response(200)
            handler.end_headers()

        with receiving(answer) as receiver:
            hook = busy.hook(url=receiver.url)
            busy.run(busy.job())
            assert inside.wait(10)
            threads = [*busy.deliverer._threads]
            busy.deliverer.stop()
            go.set()
            for thread in threads:
                thread.join(5)
            assert busy.only(hook).attempts == 0
            again = StillDeliverer(busy.db, Sender(busy.permitted, busy.clock), clock=busy.clock)
            assert again.turn(busy.clock()) == 1
            first, second = receiver.got
        assert first.id == second.id and busy.only(hook).state is DeliveryState.DELIVERED


def wait_for(look: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestHowMuchIsKept:
    def test_settled_ones(self, office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "KEPT_DELIVERIES", 5)
        hook, other = office.hook(url=receiver.url), office.hook(office.root, receiver.url, all_jobs=True)
        for _ in range(4):
            office.end(office.run(office.job()))
        while office.turn():
            pass
        assert [each.id for each in office.sent(hook)] == sorted(each.id for each in office.sent(hook))
        assert len(office.sent(hook)) == len(office.sent(other)) == 5
        assert office.events(hook)[-1] == "job.completed" and len(receiver.got) == 16

    def test_waiting_ones(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "MOST_WAITING", 3)
        hook = office.hook()
        for _ in range(3):
            office.end(office.run(office.job()))
        given_up, waiting = office.sent(hook, DeliveryState.FAILED), office.sent(hook, DeliveryState.PENDING)
        assert (len(given_up), len(waiting)) == (3, 3) and given_up[-1].id < waiting[0].id
        assert {each.error for each in given_up} == {"more than 3 were waiting"}

    def test_tries(self, office: Office) -> None:
        with receiving(*[500] * 40) as receiver:
            hook = office.hook(url=receiver.url)
            office.run(office.job())
            for _ in range(2):
                while office.turn(2 * DAY):
                    pass
                office.service.update(office.ann, hook.id, enabled=True)
                with_round = office.only(hook)
                if with_round.state is DeliveryState.FAILED:
                    office.service.redeliver(office.ann, hook.id, with_round.id)
        tries = office.only(hook).tries
        assert len(tries) <= model.KEPT_TRIES and tries[-1].number == office.only(hook).attempts


class TestManaging:
    @pytest.mark.parametrize(
        "url", ["http://127.1/", "http://169.254.169.254/", "file:///x", "http://u:p@example.com/", "nonsense"]
    )
    def test_urls_that_are_refused_at_once(self, db: Database, clock: Clock, url: str) -> None:
        office = Office(db, clock)
        strict = WebhookService(db, office.deliverer, Permitted(), clock)
        with pytest.raises(Invalid) as told:
            strict.create(office.ann, url, model.EVENTS)
        assert told.value.field == "url"
        hook = strict.create(office.ann, URL, model.EVENTS)
        with pytest.raises(Invalid):
            strict.update(office.ann, hook.id, url=url)

    def test_as_many_as_one_may_have(self, office: Office) -> None:
        for _ in range(model.MOST_PER_USER):
            last = office.hook()
        with pytest.raises(Conflict, match="20 webhooks"):
            office.hook()
        office.hook(office.bob)
        office.service.remove(office.ann, last.id)
        office.hook()

    def test_what_only_some_may_make(self, office: Office) -> None:
        with pytest.raises(Forbidden):
            office.hook(office.ann, all_jobs=True)
        for team in (office.team, 99):
            with pytest.raises(Forbidden):
                office.hook(office.eve, team_id=team)
        with pytest.raises(Invalid):
            office.hook(office.root, all_jobs=True, team_id=office.team)
        with pytest.raises(Forbidden):
            office.hook(replace(office.ann, scopes=frozenset({Scope.READ})))

    def test_a_change(self, office: Office) -> None:
        hook = office.hook()
        changed = office.service.update(office.ann, hook.id, events=["job.failed", "job.failed"], description="x")
        assert (changed.events, changed.description, changed.url, changed.secret) == (
            ("job.failed",),
            "x",
            URL,
            hook.secret,
        )
        office.end(office.run(office.job()), EndReason.LOST)
        assert office.events(hook) == ["job.failed"]

    def test_switching_off_gives_up_what_waits(self, office: Office) -> None:
        hook = office.hook()
        office.run(office.job())
        off = office.service.update(office.ann, hook.id, enabled=False)
        assert (off.enabled, off.disabled_reason) == (False, "ann switched it off")
        assert office.only(hook).state is DeliveryState.FAILED
        office.service.update(office.ann, hook.id, enabled=True)
        assert office.turn(DAY) == 0

    def test_rotation(self, office: Office) -> None:
        hook = office.hook()
        fresh = office.service.rotate_secret(office.ann, hook.id)
        assert fresh.secret != hook.secret and fresh.secrets(office.clock()) == (fresh.secret, hook.secret)
        assert fresh.secrets(office.clock() + DAY) == (fresh.secret,)
        own = "whsec_" + base64.b64encode(b"k" * 24).decode()
        assert office.service.rotate_secret(office.ann, hook.id, own).secret == own

    def test_redeliver(self, office: Office, receiver: Receiver) -> None:
        hook = office.hook(url=receiver.url)
        office.run(office.job())
        waiting = office.only(hook)
        with pytest.raises(Conflict, match="waiting"):
            office.service.redeliver(office.ann, hook.id, waiting.id)
        office.turn()
        again = office.service.redeliver(office.ann, hook.id, waiting.id)
        assert (again.state, again.round, again.message_id) == (DeliveryState.PENDING, 0, waiting.message_id)
        office.turn()
        assert [got.id for got in receiver.got] == [waiting.message_id] * 2
        assert office.only(hook).attempts == 2
        office.service.update(office.ann, hook.id, enabled=False)
        with pytest.raises(Conflict, match="switched off"):
            office.service.redeliver(office.ann, hook.id, waiting.id)
        with pytest.raises(NotFound):
            office.service.redeliver(office.ann, office.hook().id, waiting.id)

    def test_a_test_call(self, office: Office) -> None:
        with receiving(200, 500) as receiver:
            hook = office.hook(url=receiver.url, enabled=False)
            good, bad = office.service.test(office.ann, hook.id), office.service.test(office.ann, hook.id)
            first, _ = receiver.got
        assert (good.state, bad.state, bad.error) == (DeliveryState.DELIVERED, DeliveryState.FAILED, "answered 500")
        assert first.type == "webhook.test" and first.data["webhook_id"] == hook.id and first.id == good.message_id
        assert [each.attempts for each in office.sent(hook)] == [1, 1] and office.turn(DAY) == 0
        assert office.look(hook).failing_since is None, "a test that fails is nobody's outage"

    def test_too_many_tests(self, office: Office) -> None:
        hook = office.hook()
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(office.service._place())
            with pytest.raises(TooMany):
                office.service.test(office.ann, hook.id)
