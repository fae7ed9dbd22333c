"""/api/v1/webhooks: what is taken, what is refused, what is shown to whom."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook as Reference

from api.models.accounts import ALL_SCOPES, Actor, Role, Scope
from api.services.store import accounts
from api.services.store.webhook_tables import webhooks
from api.utils.outbound import Permitted
from tests.acceptance.harness import wait_for
from tests.dialects.conftest import Site
from tests.unit.receivers import Receiver, receiving

BASE = "/api/v1/webhooks"
URL = "https://hooks.example.com/T0/secret-path"


@pytest.fixture
def hooks(site: Site) -> Iterator[Site]:
    """A site without webhooks, whose operator permits loopback."""
    with site.services.db.write() as connection:
        connection.execute(webhooks.delete())
    service = site.services.webhooks
    before = service._permitted
    permitted = Permitted.parse(["127.0.0.1"])
    service._permitted = service.deliverer.sender._permitted = permitted
    service.deliverer.sender._outbound = None
    yield site
    service._permitted = service.deliverer.sender._permitted = before
    service.deliverer.sender._outbound = None


@pytest.fixture(scope="module")
def people(shared_site: Site) -> dict[str, Actor]:
    """Owner, team mate, stranger, admin and readers; the first two share a workspace."""
    with shared_site.services.db.write() as connection:
        made = {
            n: accounts.add_user(connection, f"hook-{n}", Role.MEMBER, None, 1.0) for n in ("owner", "mate", "stranger")
        }
        root = accounts.add_user(connection, "hook-root", Role.ADMIN, None, 1.0)
        team = accounts.add_team(connection, "hooks", 1.0).id
        for name in ("owner", "mate"):
            accounts.join_team(connection, team, made[name].id)
    run = frozenset({Scope.READ, Scope.RUN})
    found = {
        name: Actor(user.id, user.name, Role.MEMBER, run, frozenset({team} if name != "stranger" else ()))
        for name, user in made.items()
    }
    found["reader"] = replace(found["owner"], scopes=frozenset({Scope.READ}))
    found["admin"] = Actor(root.id, root.name, Role.ADMIN, ALL_SCOPES)
    found["admin's lesser token"] = replace(found["admin"], scopes=run)
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def make(site: Site, who: Any = ..., **body: Any) -> Any:
    return site.data("POST", BASE, {"url": URL, **body}, code=201, who=who)


class TestMaking:
    def test_the_smallest(self, hooks: Site) -> None:
        made = make(hooks)
        assert (made["scope"], made["workspace_id"], made["enabled"], made["url"]) == ("own", None, True, URL)
        assert made["events"] == ["job.started", "job.completed", "job.failed", "job.stopped"]
        assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
        shown = hooks.get(f"{BASE}/{made['id']}")
        assert shown == {**made, "secret": "***"}
        assert hooks.get(BASE)["webhooks"] == [shown]

    def test_a_secret_of_ones_own(self, hooks: Site) -> None:
        secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
        assert make(hooks, secret=secret)["secret"] == secret

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"url": "http://127.1:1/"}, None),
            ({"url": "http://10.0.0.1/"}, "url"),
            ({"url": "http://169.254.169.254/latest"}, "url"),
            ({"url": "http://[::ffff:10.0.0.1]/"}, "url"),
            ({"url": "http://①②⑦.⓪.⓪.①/"}, "url"),
            ({"url": "file:///etc/passwd"}, "url"),
            ({"url": "http://u:p@example.com/"}, "url"),
            ({"url": "https://example.com/" + "x" * 2000}, "url"),
            ({"url": ""}, "url"),
            ({"url": 7}, "url"),
            ({"url": None}, "url"),
            ({"events": []}, "events"),
            ({"events": ["job.started", "job.queued"]}, "events.1"),
            ({"secret": "hunter2"}, "secret"),
            ({"scope": "workspace"}, "workspace_id"),
            ({"scope": "all", "workspace_id": 1}, "workspace_id"),
            ({"scope": "mine"}, "scope"),
            ({"workspace_id": 0}, "workspace_id"),
            ({"enabled": "yes"}, "enabled"),
            ({"description": "x" * 201}, "description"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_what_is_refused(self, hooks: Site, body: dict[str, Any], field: str | None) -> None:
        if field is None:
            assert make(hooks, **body)["url"] == body["url"]
            return
        told = hooks.error("POST", BASE, 422, {"url": URL, **body})
        assert [each["field"] for each in told["data"]["errors"]] == [field]
        assert "hunter2" not in str(told)
        assert hooks.get(BASE)["webhooks"] == []

    def test_too_many(self, hooks: Site, people: dict[str, Actor]) -> None:
        for _ in range(20):
            make(hooks, people["owner"])
        assert "20 webhooks" in hooks.error("POST", BASE, 409, {"url": URL}, who=people["owner"])["message"]
        make(hooks, people["mate"])

    def test_scopes(self, hooks: Site, people: dict[str, Actor]) -> None:
        (team,) = people["owner"].team_ids
        assert make(hooks, people["owner"], workspace_id=team)["scope"] == "workspace"
        assert make(hooks, people["admin"], scope="all")["scope"] == "all"
        hooks.error("POST", BASE, 403, {"url": URL, "scope": "all"}, who=people["admin's lesser token"])
        hooks.error("POST", BASE, 403, {"url": URL, "workspace_id": team}, who=people["stranger"])
        hooks.error("POST", BASE, 403, {"url": URL, "workspace_id": 9999}, who=people["owner"])


class TestWhoMayWhat:
    """Every route, for everybody."""

    READS = ("", "/deliveries", "/deliveries/{delivery}")
    WRITES = (
        ("PATCH", "", {"description": "new"}, 200),
        ("POST", "/test", None, 200),
        ("POST", "/rotate-secret", {}, 200),
        ("POST", "/deliveries/{delivery}/redeliver", None, 202),
        ("DELETE", "", None, 200),
    )

    def hook(self, site: Site, people: dict[str, Actor], receiver: Receiver) -> tuple[str, int]:
        (team,) = people["owner"].team_ids
        made = make(site, people["owner"], url=receiver.url, workspace_id=team)
        path = f"{BASE}/{made['id']}"
        return path, site.data("POST", f"{path}/test", who=people["owner"])["id"]

    @pytest.mark.parametrize(
        ("name", "reads", "writes"),
        [
            (None, 401, 401),
            ("stranger", 403, 403),
            ("reader", 200, 403),
            ("mate", 200, 403),
            ("admin's lesser token", 403, 403),
            ("owner", 200, 200),
            ("admin", 200, 200),
        ],
    )
    def test_each(
        self, hooks: Site, people: dict[str, Actor], receiver: Receiver, name: str | None, reads: int, writes: int
    ) -> None:
        who = None if name is None else people[name]
        path, delivery = self.hook(hooks, people, receiver)
        for tail in self.READS:
            assert hooks.call("GET", path + tail.format(delivery=delivery), who=who).status_code == reads, tail
        for method, tail, body, good in self.WRITES:
            wanted = good if writes == 200 else writes
            answer = hooks.call(method, path + tail.format(delivery=delivery), body, who=who)
            assert answer.status_code == wanted, (method, tail, answer.text)
        hooks.call("GET", path, who=people["owner"])
        assert hooks.call("GET", path, who=people["owner"]).status_code == (404 if writes == 200 else 200)

    def test_lists(self, hooks: Site, people: dict[str, Actor], receiver: Receiver) -> None:
        self.hook(hooks, people, receiver)
        make(hooks, people["owner"])
        seen = {
            name: len(hooks.data("GET", BASE, who=people[name])["webhooks"])
            for name in ("owner", "reader", "mate", "stranger", "admin", "admin's lesser token")
        }
        assert seen == {"owner": 2, "reader": 2, "mate": 1, "stranger": 0, "admin": 2, "admin's lesser token": 0}

    def test_a_url_can_be_a_credential(self, hooks: Site, people: dict[str, Actor]) -> None:
        (team,) = people["owner"].team_ids
        path = f"{BASE}/{make(hooks, people['owner'], workspace_id=team)['id']}"
        shown = {
            name: hooks.data("GET", path, who=people[name])["url"] for name in ("owner", "reader", "mate", "admin")
        }
        hidden = "https://hooks.example.com/***"
        assert shown == {"owner": URL, "reader": hidden, "mate": hidden, "admin": URL}

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/77"), ("PATCH", "/77"), ("DELETE", "/77"), ("POST", "/77/test"), ("POST", "/77/rotate-secret"),
         ("GET", "/77/deliveries"), ("GET", "/77/deliveries/1"), ("POST", "/77/deliveries/1/redeliver"), ("GET", "/0"), ("GET", "/x")],
    )  # fmt: skip
    def test_what_is_not_there(self, hooks: Site, method: str, path: str) -> None:
        hooks.error(method, BASE + path, 404, {} if method in ("PATCH",) else None)


class TestChanging:
    def test_a_change(self, hooks: Site) -> None:
        path = f"{BASE}/{make(hooks)['id']}"
        off = hooks.data("PATCH", path, {"enabled": False, "events": ["job.failed"], "url": "https://other.example/"})
        assert (off["enabled"], off["events"], off["url"]) == (False, ["job.failed"], "https://other.example/")
        assert "switched it off" in off["disabled_reason"] and off["secret"] == "***"
        assert hooks.data("PATCH", path, {"enabled": True})["disabled_reason"] is None

    @pytest.mark.parametrize(
        "body", [{"url": "http://10.0.0.1/"}, {"events": []}, {"secret": "x"}, {"scope": "all"}, {"workspace_id": 1}]
    )
    def test_what_cannot_be(self, hooks: Site, body: dict[str, Any]) -> None:
        made = make(hooks)
        hooks.error("PATCH", f"{BASE}/{made['id']}", 422, body)
        assert hooks.get(f"{BASE}/{made['id']}")["updated_at"] == made["updated_at"]

    def test_rotation(self, hooks: Site, receiver: Receiver) -> None:
        made = make(hooks, url=receiver.url)
        path = f"{BASE}/{made['id']}"
        fresh = hooks.data("POST", f"{path}/rotate-secret")["secret"]
        assert fresh != made["secret"] and hooks.get(path)["secret"] == "***"
        hooks.data("POST", f"{path}/test")
        (got,) = receiver.got
        for secret in (made["secret"], fresh):
            Reference(secret).verify(got.body, got.headers)


class TestDeliveries:
    def test_a_test_call(self, hooks: Site, receiver: Receiver) -> None:
        made = make(hooks, url=receiver.url)
        path = f"{BASE}/{made['id']}"
        done = hooks.data("POST", f"{path}/test")
        assert (done["state"], done["status_code"], done["attempts"], done["response"]) == (
            "delivered",
            200,
            1,
            "thanks",
        )
        (got,) = receiver.got
        assert Reference(made["secret"]).verify(got.body, got.headers)["type"] == "webhook.test"
        assert got.id == done["message_id"] and got.body.decode() == done["payload"]
        assert hooks.get(f"{path}/deliveries/{done['id']}") == done
        (listed,) = hooks.get(f"{path}/deliveries")["deliveries"]
        assert listed == {name: done[name] for name in listed}
        assert 'trainyard_webhook_deliveries_total{outcome="delivered"}' in hooks.call("GET", "/metrics").text

    def test_a_test_call_that_fails(self, hooks: Site) -> None:
        path = f"{BASE}/{make(hooks, url='http://127.0.0.1:9/')['id']}"
        done = hooks.data("POST", f"{path}/test")
        assert (done["state"], done["status_code"]) == ("failed", None) and "refused" in done["error"]

    def test_what_a_job_leads_to(self, hooks: Site, receiver: Receiver) -> None:
        made = make(hooks, url=receiver.url)
        path = f"{BASE}/{made['id']}/deliveries"
        job = hooks.ended()
        page = hooks.get(path, limit=1)
        assert page["pagination"] == {"total": 2, "limit": 1, "offset": 0, "has_more": True}
        assert [each["event"] for each in page["deliveries"]] == ["job.completed"]
        assert hooks.get(path, state="delivered")["deliveries"] == []
        waiting = hooks.get(path, state="pending", offset=1)["deliveries"]
        assert [each["event"] for each in waiting] == ["job.started"]
        hooks.error("POST", f"{path}/{waiting[0]['id']}/redeliver", 409)
        hooks.services.webhooks.deliverer.turn(9e9)
        wait_for(lambda: hooks.get(path, state="delivered")["deliveries"])
        assert receiver.got[0].data["job_id"] == job.id
        for query in ({"limit": 0}, {"limit": 501}, {"offset": -1}, {"state": "lost"}):
            hooks.error("GET", path, 422, query_string=query)
