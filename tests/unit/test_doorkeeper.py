"""Which requests need credentials, and whose they are: the modes, the paths, and what can be presented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api.models.accounts import Actor, User
from api.services.access import Refusal, RequestHead
from api.services.accounts import AccountService
from api.services.credentials import SESSION_COOKIE
from api.services.doorkeeper import Doorkeeper, session_cookie, token_in_url
from api.services.passwords import Cost, Hasher
from api.services.store import account_tables
from api.services.store.database import Database
from tests import postgres

JOBS, LIST = "/api/v1/training/jobs", "/api/v1/training/list"


@dataclass
class Callers:
    """Whether the kernel says that a caller is the service's own user; how often it was asked."""

    own: bool = True
    asked: list[str] = field(default_factory=list)

    def __call__(self, head: RequestHead) -> bool:
        self.asked.append(head.path)
        return self.own


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[AccountService]:
    db = Database(postgres.new_url(f"sqlite:///{tmp_path}/t.db"))
    with db.write() as connection:
        account_tables.metadata.create_all(connection)
    service = AccountService(db, hasher=Hasher(Cost(2, 1, 1)))
    service.ensure_operator()
    yield service
    db.close()


@pytest.fixture
def ana(accounts: AccountService) -> User:
    return accounts.add_user(accounts.operator(), "ana", None)


@pytest.fixture
def token(accounts: AccountService, ana: User) -> str:
    return accounts.create_token(accounts.operator(), user_id=ana.id)[1]


def head(path: str = LIST, method: str = "GET", query: str = "", duplicated: str = "", **headers: str) -> RequestHead:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    twice = frozenset(duplicated.split())
    return RequestHead(method, path, query, named, twice, "127.0.0.1", 4000, "127.0.0.1", 8080)


Door = Callable[..., Doorkeeper]


@pytest.fixture
def door(accounts: AccountService) -> Door:
    def refusal(head: RequestHead, status: int, message: str) -> Refusal:
        return Refusal(status, (), message.encode(), "text/plain")

    def make(mode: str = "auto", loopback: bool = True, own: bool = True) -> Doorkeeper:
        return Doorkeeper(
            accounts, mode, loopback, Callers(own), refusal, needs_token=lambda path: path.startswith(JOBS)
        )  # type: ignore[arg-type]

    return make


def said(answer: Actor | Refusal | None) -> str:
    """`operator`, `off`, `token`, `session`, `nobody`, or the refusal's status."""
    if answer is None:
        return "nobody"
    return str(answer.status) if isinstance(answer, Refusal) else answer.via


# mode, loopback, the service's own user: without credentials at a free path, a page, the list, the jobs dialect
MODES = [
    ("auto", True, True, "nobody", "operator", "operator", "401"),
    ("auto", True, False, "nobody", "nobody", "401", "401"),
    ("auto", False, True, "nobody", "nobody", "401", "401"),
    ("auto", False, False, "nobody", "nobody", "401", "401"),
    ("required", True, True, "nobody", "nobody", "401", "401"),
    ("required", False, False, "nobody", "nobody", "401", "401"),
    ("off", True, False, "nobody", "off", "off", "off"),
    ("off", False, False, "nobody", "off", "off", "off"),
]


@pytest.mark.parametrize(("mode", "loopback", "own", "free", "page", "listed", "jobs"), MODES)
def test_without_credentials(
    door: Door, mode: str, loopback: bool, own: bool, free: str, page: str, listed: str, jobs: str
) -> None:
    check = door(mode, loopback, own)
    for path, expected in (("/healthz", free), ("/", page), ("/ui/app.js", page), (LIST, listed), (JOBS, jobs)):
        assert said(check(head(path))) == expected, path


@pytest.mark.parametrize(("mode", "loopback", "own"), [row[:3] for row in MODES])
def test_credentials_always_decide(door: Door, token: str, mode: str, loopback: bool, own: bool) -> None:
    check = door(mode, loopback, own)
    for path in (LIST, JOBS, "/", "/nothing/here"):
        assert said(check(head(path, authorization=f"Bearer {token}"))) == "token"
    for bad in ("", "Token", f"Token {token}x", f"Token {token}, Token {token}", "Basic eDp5", "Token é"):
        assert said(check(head(authorization=bad))) == "401"
        assert said(check(head("/ui/", authorization=bad))) == "nobody"
        assert said(check(head("/api/v1/auth/login", "POST", authorization=bad))) == "nobody"
    assert said(check(head(authorization=f"Token {token}", duplicated="authorization"))) == "401"
    assert said(check(head(cookie=f"{SESSION_COOKIE}=tys_1_{'a' * 43}"))) == "401"


def test_a_session_writes_with_its_csrf_token_only(door: Door, accounts: AccountService, ana: User) -> None:
    session = accounts.open_session(ana.id)
    check, cookie = door(), f"theme=dark; {SESSION_COOKIE}={session.cookie}; x"
    assert said(check(head(cookie=cookie))) == "session"
    for method, path in (("POST", LIST), ("DELETE", LIST), ("GET", "/terminate/x"), ("HEAD", "/clear_train_cache/x")):
        assert said(check(head(path, method, cookie=cookie))) == "403"
        assert said(check(head(path, method, cookie=cookie, x_csrf_token="wrong"))) == "403"
        assert said(check(head(path, method, cookie=cookie, x_csrf_token=session.csrf))) == "session"
    other = accounts.open_session(ana.id)
    assert said(check(head(LIST, "POST", cookie=cookie, x_csrf_token=other.csrf))) == "403"
    assert said(check(head("/terminated", cookie=cookie))) == "session"


@pytest.mark.parametrize(
    ("mode", "loopback", "expected"),
    [("auto", True, "session"), ("off", True, "session"), ("auto", False, "401"), ("required", True, "401")],
)
def test_the_operators_session_is_of_loopback(
    door: Door, accounts: AccountService, mode: str, loopback: bool, expected: str
) -> None:
    cookie = f"{SESSION_COOKIE}={accounts.open_session(accounts.operator().user_id).cookie}"
    assert said(door(mode, loopback)(head(cookie=cookie))) == expected
    token = accounts.create_token(accounts.operator())[1]  # made on purpose: it lasts
    assert said(door(mode, loopback)(head(authorization=f"Token {token}"))) == "token"


def test_a_header_goes_before_a_cookie(door: Door, accounts: AccountService, ana: User, token: str) -> None:
    cookie = f"{SESSION_COOKIE}={accounts.open_session(ana.id).cookie}"
    assert said(door()(head(LIST, "POST", cookie=cookie, authorization=f"Token {token}"))) == "token"
    assert said(door()(head(cookie=cookie, authorization="Token wrong"))) == "401"


@pytest.mark.parametrize("name", ["token", "TOKEN", "access_token", "Authorization", "x"])
def test_a_token_in_a_url_is_refused(door: Door, token: str, name: str) -> None:
    assert said(door()(head(query=f"limit=1&{name}={token}"))) == "401"
    assert said(door()(head(query=f"{name}={token}", authorization=f"Token {token}"))) == "401"


@pytest.mark.parametrize(
    "query", ["", "q=token", "limit=5&offset=1", "q=%ff", "&&&", "a=1&" * 100, "tokens=5", "q=ty_1_x"]
)
def test_other_queries_are_not(query: str) -> None:
    assert not token_in_url(query)


def test_the_kernel_is_asked_only_where_it_matters(door: Door, token: str) -> None:
    check = door()
    callers = check.is_operator
    assert isinstance(callers, Callers)
    for ask in (head("/healthz"), head(JOBS), head(authorization=f"Token {token}"), head(cookie=f"{SESSION_COOKIE}=x")):
        check(ask)
    assert callers.asked == []
    check(head())
    assert callers.asked == [LIST]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("", None),
        (";;=", None),
        (SESSION_COOKIE, None),
        (f"{SESSION_COOKIE}=", None),
        (f"x{SESSION_COOKIE}=a", None),
        (f"{SESSION_COOKIE}=a", "a"),
        (f'b=1;{SESSION_COOKIE}="a"', "a"),
        (f"{SESSION_COOKIE}=a; {SESSION_COOKIE}=b", "a"),
    ],
)
def test_the_cookie_among_others(header: str, value: str | None) -> None:
    assert session_cookie(header) == value
