"""Accounts over HTTP: /api/token-auth/ and /api/v1/auth (contract 0). The gate stands in front and is tested apart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import app as composition
from api.models.accounts import Actor, Scope
from api.services import passwords
from api.services.accounts import AccountService
from api.services.credentials import SESSION_COOKIE
from api.services.passwords import Cost, Hasher
from api.services.store import account_tables
from api.settings import load

Call = Callable[..., TestResponse]
JSON = "application/json"
WRONG = "Unable to log in with provided credentials."
GOOD = {"username": "ana", "password": "correct horse"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    settings = load({"data_dir": str(tmp_path_factory.mktemp("data"))}, {})
    services = composition.build_services(settings, {})
    yield composition.build_app(services)
    services.db.close()


@pytest.fixture
def accounts(built: Flask) -> AccountService:
    """Empty but for the operator, ana, and the workspace `vision` without members."""
    service: AccountService = built.extensions["trainyard"].accounts
    service._hasher = Hasher(Cost(2, 1, 1))
    service._failures = passwords.FailureLimit(lambda: 0.0)
    with service._db.write() as connection:
        for table in (account_tables.users, account_tables.teams):
            connection.execute(table.delete())
    service.ensure_operator()
    service.add_user(service.operator(), "Ana", "correct horse")
    service.add_team(service.operator(), "vision")
    return service


@pytest.fixture
def call(built: Flask, accounts: AccountService) -> Call:
    """A request as the gate hands it on: `who` is its actor, the operator unless said otherwise."""
    client, operator = built.test_client(use_cookies=False), accounts.operator()

    def request(method: str, path: str, *, who: Actor | None = operator, **kwargs: Any) -> TestResponse:
        kwargs.setdefault("environ_overrides", {})["trainyard.actor"] = who
        return client.open(path, method=method, **kwargs)

    return request


@pytest.fixture
def ana(accounts: AccountService) -> Actor:
    return token_of(accounts, "ana")


def token_of(accounts: AccountService, name: str, *scopes: Scope) -> Actor:
    boss = accounts.operator()
    user = accounts.user_named(boss, name)
    return accounts.authenticate("Token " + accounts.create_token(boss, "", scopes or None, user_id=user.id)[1])


def data(response: TestResponse, code: int = 200) -> Any:
    body = response.get_json()
    assert response.status_code == code, body
    assert set(body) == {"code", "message", "data", "timestamp"}
    assert body["code"] == code
    return body["data"]


class TestTokenAuth:
    @pytest.mark.parametrize(
        "form", [{"json": GOOD}, {"data": GOOD}, {"data": GOOD, "content_type": "multipart/form-data"}]
    )
    def test_a_token_for_json_and_form(self, call: Call, accounts: AccountService, form: dict[str, Any]) -> None:
        response = call("POST", "/api/token-auth/", who=None, **form)
        assert response.status_code == 200
        body = response.get_json()
        assert list(body) == ["token"]
        assert accounts.authenticate("Token " + body["token"]).name == "Ana"
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("body", "answer"),
        [
            ({**GOOD, "password": "wrong"}, {"non_field_errors": [WRONG]}),
            ({**GOOD, "username": "nobody"}, {"non_field_errors": [WRONG]}),
            ({**GOOD, "username": "\ud800"}, {"non_field_errors": [WRONG]}),
            ({**GOOD, "username": "a\0b"}, {"non_field_errors": [WRONG]}),
            ({"username": "ana"}, {"password": ["This field is required."]}),
            ({"username": "ana", "password": 5}, {"password": ["This field is required."]}),
            (
                {"username": "", "password": ""},
                {key: ["This field may not be blank."] for key in ("username", "password")},
            ),
        ],
    )
    def test_wrong(self, call: Call, body: dict[str, Any], answer: dict[str, Any]) -> None:
        response = call("POST", "/api/token-auth/", who=None, data=json.dumps(body), content_type=JSON)
        assert (response.status_code, response.get_json()) == (400, answer)

    def test_the_sixth_failure(self, call: Call) -> None:
        for _ in range(5):
            assert call("POST", "/api/token-auth/", who=None, json={**GOOD, "password": "wrong"}).status_code == 400
        response = call("POST", "/api/token-auth/", who=None, json=GOOD)
        assert response.status_code == 429
        assert list(response.get_json()) == ["detail"]
        assert response.headers["Retry-After"] == "60"

    def test_bodies_that_are_none(self, call: Call) -> None:
        post = {"method": "POST", "path": "/api/token-auth/", "who": None}
        for body, kind, code in (
            ("{", JSON, 400),
            ("[]", JSON, 400),
            ("NaN", JSON, 400),
            ("x", "text/plain", 415),
        ):
            assert call(**post, data=body, content_type=kind).status_code == code
        assert call("GET", "/api/token-auth/", who=None).status_code == 405


class TestSession:
    def test_login_sets_a_cookie(self, call: Call, accounts: AccountService) -> None:
        response = call("POST", "/api/v1/auth/login", who=None, json=GOOD)
        body = data(response)
        assert accounts.authenticate("Bearer " + body["token"]).name == "Ana"
        assert body["user"]["name"] == "Ana"
        cookie, *attributes = response.headers["Set-Cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
        assert "Secure" not in attributes
        name, _, value = cookie.partition("=")
        actor = accounts.authenticate_session(value)
        assert (name, actor.name) == (SESSION_COOKIE, "Ana")
        assert actor.accepts_csrf(body["csrf_token"])

        mine = {"Cookie": cookie}
        me = data(call("GET", "/api/v1/auth/me", who=actor, headers=mine))
        assert me["csrf_token"] == body["csrf_token"]
        assert me["via"] == "session"
        gone = call("POST", "/api/v1/auth/logout", who=actor, headers=mine)
        assert data(gone) is None
        assert gone.headers["Set-Cookie"].startswith(f"{SESSION_COOKIE}=; Expires=Thu, 01 Jan 1970")
        with pytest.raises(Exception, match="ended"):
            accounts.authenticate_session(value)

    def test_login_takes_a_form_too(self, call: Call, accounts: AccountService) -> None:
        body = data(call("POST", "/api/v1/auth/login", who=None, data=GOOD))
        assert accounts.authenticate("Bearer " + body["token"]).name == "Ana"
        refused = data(call("POST", "/api/v1/auth/login", who=None, data={"username": "ana", "x": "1"}), 422)
        assert {error["field"] for error in refused["errors"]} == {"password", "x"}

    @pytest.mark.parametrize("https", [{"base_url": "https://localhost"}, {"headers": {"X-Forwarded-Proto": "https"}}])
    def test_the_cookie_is_secure_over_https(self, call: Call, https: dict[str, Any]) -> None:
        response = call("POST", "/api/v1/auth/login", who=None, json=GOOD, **https)
        assert "; Secure" in response.headers["Set-Cookie"]

    def test_wrong_password(self, call: Call) -> None:
        for _ in range(5):
            response = call("POST", "/api/v1/auth/login", who=None, json={**GOOD, "password": "wrong"})
            assert data(response, 400) == {"non_field_errors": [WRONG]}
            assert response.get_json()["message"] == WRONG
            assert "Set-Cookie" not in response.headers
        refused = call("POST", "/api/v1/auth/login", who=None, json=GOOD)
        data(refused, 429)
        assert refused.headers["Retry-After"] == "60"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"username": "ana"}, "password"),
            ({**GOOD, "next": "/"}, "next"),
            ({"username": 5, "password": "x"}, "username"),
            ({"username": "ana", "password": "\ud800 correct horse"}, "password"),
            ({"username": "ana", "password": None}, "password"),
        ],
    )
    def test_a_field_that_is_wrong(self, call: Call, body: dict[str, Any], field: str) -> None:
        response = call("POST", "/api/v1/auth/login", who=None, data=json.dumps(body), content_type=JSON)
        assert [error["field"] for error in data(response, 422)["errors"]] == [field]
        assert "horse" not in response.text

    def test_me(self, call: Call, accounts: AccountService, ana: Actor) -> None:
        accounts.join(accounts.operator(), accounts.teams(accounts.operator())[0].id, ana.user_id)
        me = data(call("GET", "/api/v1/auth/me", who=token_of(accounts, "ana", Scope.READ)))
        assert me["user"] == {"id": ana.user_id, "name": "Ana", "role": "member"}
        assert (me["via"], me["scopes"], me["csrf_token"]) == ("token", ["read"], None)
        assert [team["name"] for team in me["workspaces"]] == ["vision"]
        operator = data(call("GET", "/api/v1/auth/me"))
        assert (operator["via"], operator["scopes"]) == ("operator", ["read", "run", "admin"])
        data(call("POST", "/api/v1/auth/logout"))

    def test_change_of_ones_password(self, call: Call, accounts: AccountService, ana: Actor) -> None:
        change = {"password": "correct horse", "new_password": "battery staple"}
        data(call("POST", "/api/v1/auth/password", who=ana, json={**change, "password": "wrong"}), 400)
        data(call("POST", "/api/v1/auth/password", who=ana, json=change))
        assert accounts.sign_in("ana", "battery staple", "").id == ana.user_id


class TestUsers:
    def test_an_admin_adds_changes_and_removes(self, call: Call, accounts: AccountService) -> None:
        made = data(
            call("POST", "/api/v1/auth/users", json={"name": "Ben", "password": "secret word", "role": "admin"}), 201
        )
        assert (made["name"], made["role"], made["builtin"]) == ("Ben", "admin", False)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", made["created_at"])
        listed = data(call("GET", "/api/v1/auth/users"))["users"]
        assert [user["name"] for user in listed] == ["local operator", "Ana", "Ben"]
        assert "password" not in str(listed)
        path = f"/api/v1/auth/users/{made['id']}"
        assert data(call("PATCH", path, json={"role": "member", "password": "another"}))["role"] == "member"
        assert accounts.sign_in("ben", "another", "").name == "Ben"
        assert data(call("DELETE", path)) == {"id": made["id"]}
        data(call("DELETE", path), 404)

    def test_refusals(self, call: Call, accounts: AccountService) -> None:
        data(call("POST", "/api/v1/auth/users", json={"name": "ANA"}), 409)
        for body in (
            {"name": "a\nb"},
            {"name": " a"},
            {"name": ""},
            {"name": "x" * 201},
            {"name": 5},
            {},
            {"name": "x", "role": "king"},
            {"name": "x", "id": 7},
        ):
            data(call("POST", "/api/v1/auth/users", json=body), 422)
        operator = accounts.operator().user_id
        data(call("DELETE", f"/api/v1/auth/users/{operator}"), 409)
        data(call("PATCH", f"/api/v1/auth/users/{operator}", json={"role": "member"}), 409)
        for absurd in ("0", "-1", "99999999999999999999", "x"):
            data(call("DELETE", f"/api/v1/auth/users/{absurd}"), 404)


class TestTokens:
    def test_ones_own(self, call: Call, accounts: AccountService, ana: Actor) -> None:
        made = data(
            call("POST", "/api/v1/auth/tokens", who=ana, json={"label": "ci", "scopes": ["read"], "expires_days": 7}),
            201,
        )
        assert (made["label"], made["scopes"], made["user_id"]) == ("ci", ["read"], ana.user_id)
        assert accounts.authenticate("Token " + made["token"]).scopes == {Scope.READ}
        listed = call("GET", "/api/v1/auth/tokens", who=ana)
        assert made["id"] in [token["id"] for token in data(listed)["tokens"]]
        assert made["token"] not in listed.text
        assert data(call("DELETE", f"/api/v1/auth/tokens/{made['id']}", who=ana))["revoked_at"]
        assert data(call("POST", "/api/v1/auth/tokens", who=ana), 201)["scopes"] == ["read", "run"]

    def test_refusals(self, call: Call, accounts: AccountService, ana: Actor) -> None:
        boss = accounts.operator()
        foreign = accounts.create_token(boss)[0]
        data(call("DELETE", f"/api/v1/auth/tokens/{foreign.id}", who=ana), 404)
        data(call("POST", "/api/v1/auth/tokens", who=ana, json={"scopes": ["admin"]}), 403)
        data(call("POST", "/api/v1/auth/tokens", who=ana, json={"user_id": boss.user_id}), 403)
        data(call("GET", f"/api/v1/auth/tokens?user_id={boss.user_id}", who=ana), 403)
        for body in (
            {"scopes": ["root"]},
            {"scopes": []},
            {"scopes": "read"},
            {"expires_days": 0},
            {"expires_days": 1.5},
            {"label": "x" * 201},
        ):
            data(call("POST", "/api/v1/auth/tokens", who=ana, json=body), 422)
        reader = token_of(accounts, "ana", Scope.READ)
        data(call("POST", "/api/v1/auth/tokens", who=reader, json={}), 403)
        made = data(call("POST", "/api/v1/auth/tokens", json={"user_id": ana.user_id}), 201)
        assert (made["user_id"], made["scopes"]) == (ana.user_id, ["read", "run"])
        assert made["id"] in [
            t["id"] for t in data(call("GET", f"/api/v1/auth/tokens?user_id={ana.user_id}"))["tokens"]
        ]


class TestWorkspaces:
    def test_members(self, call: Call, accounts: AccountService, ana: Actor) -> None:
        team = data(call("POST", "/api/v1/auth/workspaces", json={"name": "speech"}), 201)
        path = f"/api/v1/auth/workspaces/{team['id']}/members"
        assert data(call("GET", "/api/v1/auth/workspaces", who=ana))["workspaces"] == []
        data(call("GET", path, who=ana), 403)
        assert data(call("POST", path, json={"name": "ana"}), 201)["id"] == ana.user_id
        member = token_of(accounts, "ana")
        assert data(call("GET", "/api/v1/auth/workspaces", who=member))["workspaces"] == [team]
        assert [user["name"] for user in data(call("GET", path, who=member))["members"]] == ["Ana"]
        assert len(data(call("GET", "/api/v1/auth/workspaces"))["workspaces"]) == 2
        data(call("DELETE", f"{path}/{ana.user_id}"))
        assert data(call("GET", path))["members"] == []
        data(call("POST", path, json={"name": "nobody"}), 404)
        data(call("POST", "/api/v1/auth/workspaces/999/members", json={"name": "ana"}), 404)
        data(call("POST", "/api/v1/auth/workspaces", json={"name": "Speech"}), 409)


ADMINS_ONLY = [
    ("GET", "/users", None),
    ("POST", "/users", {"name": "x"}),
    ("PATCH", "/users/1", {"role": "member"}),
    ("PATCH", "/users/1", {}),
    ("DELETE", "/users/1", None),
    ("POST", "/workspaces", {"name": "x"}),
    ("POST", "/workspaces/1/members", {"name": "ana"}),
    ("DELETE", "/workspaces/1/members/1", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMINS_ONLY)
def test_what_is_an_admins(call: Call, ana: Actor, method: str, path: str, body: Any) -> None:
    data(call(method, "/api/v1/auth" + path, who=ana, json=body), 403)


def test_nobody_is_401_everywhere_but_at_the_log_ins(call: Call, built: Flask) -> None:
    rules = [rule for rule in built.url_map.iter_rules() if rule.rule.startswith("/api/v1/auth/")]
    assert len(rules) > 12
    for rule in rules:
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in (rule.methods or set()) & {"GET", "POST", "PATCH", "DELETE"}:
            if rule.rule.endswith("/login"):
                continue
            bodies = {"/password": {"password": "x", "new_password": "y"}, "/users": {"name": "x"}}
            bodies |= {"/workspaces": {"name": "x"}, "/members": {"name": "x"}}
            body = next((value for end, value in bodies.items() if path.endswith(end)), {})
            response = call(method, path, who=None, json=body if method in ("POST", "PATCH") else None)
            data(response, 401)
            assert response.headers["WWW-Authenticate"] == "Token"


def test_all_of_it_is_described(built: Flask) -> None:
    paths = built.extensions["openapi"]["paths"]
    described = {path for path in paths if path.startswith(("/api/v1/auth", "/api/token-auth"))}
    rules = {re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", str(rule)) for rule in built.url_map.iter_rules()}
    assert described == {rule for rule in rules if rule.startswith(("/api/v1/auth", "/api/token-auth"))}
    kinds = paths["/api/token-auth/"]["post"]["requestBody"]["content"]
    assert set(kinds) == {"application/json", "application/x-www-form-urlencoded"}
