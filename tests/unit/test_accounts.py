"""Accounts over a real database: signing in, tokens, sessions, users, teams."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from api.models.accounts import ALL_SCOPES, Actor, Role, Scope, User
from api.services.accounts import AccountService, SignInRefused
from api.services.credentials import KEPT, SESSION_LIFE, csrf_of
from api.services.passwords import Cost, FailureLimit, Hasher
from api.services.store import account_tables as tables
from api.services.store.database import Database
from api.services.store.schema import metadata
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from tests import postgres
from tests.postgres import sqlite_only

CHEAP = Cost(n=2, r=1, p=1)
HOME = "127.0.0.1"


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(postgres.new_url(f"sqlite:///{tmp_path}/t.db"))
    with database.write() as connection:
        metadata.create_all(connection)
    yield database
    database.close()


@pytest.fixture
def accounts(db: Database, clock: Clock) -> AccountService:
    service = AccountService(db, clock, hasher=Hasher(CHEAP), failures=FailureLimit(clock))
    service.ensure_operator()
    return service


@pytest.fixture
def boss(accounts: AccountService) -> Actor:
    return accounts.operator()


@pytest.fixture
def ana(accounts: AccountService, boss: Actor) -> User:
    return accounts.add_user(boss, "Ana", "correct horse")


def as_token(accounts: AccountService, user: User, *scopes: Scope) -> Actor:
    secret = accounts.create_token(accounts.operator(), "t", scopes or None, user_id=user.id)[1]
    return accounts.authenticate(f"Token {secret}")


class TestOperator:
    def test_is_made_once_and_is_an_admin(self, accounts: AccountService, boss: Actor) -> None:
        assert accounts.ensure_operator() == accounts.ensure_operator()
        assert (boss.is_admin, boss.via, boss.scopes) == (True, "operator", ALL_SCOPES)
        assert [user.builtin for user in accounts.users(boss)] == [True]
        assert accounts.operator("off").via == "off"

    def test_cannot_sign_in_be_changed_or_be_taken(self, accounts: AccountService, boss: Actor) -> None:
        for password in ("", "x"):
            with pytest.raises(SignInRefused):
                accounts.sign_in("local operator", password, HOME)
        for change in (
            lambda: accounts.remove_user(boss, boss.user_id),
            lambda: accounts.set_role(boss, boss.user_id, Role.MEMBER),
            lambda: accounts.set_password(boss, boss.user_id, "secret"),
            lambda: accounts.add_user(boss, "Local Operator", "secret"),
        ):
            with pytest.raises(Conflict):
                change()


class TestUsers:
    def test_names_are_unique_whatever_their_case(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        for name in ("Ana", "ANA", "ana"):
            with pytest.raises(Conflict, match="already"):
                accounts.add_user(boss, name, "secret")
        assert accounts.user_named(boss, "aNa") == ana

    def test_ids_are_not_used_again(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        accounts.remove_user(boss, ana.id)
        assert accounts.add_user(boss, "Ana", "secret").id > ana.id

    def test_removal_ends_tokens_sessions_and_memberships(
        self, accounts: AccountService, boss: Actor, ana: User
    ) -> None:
        team = accounts.add_team(boss, "vision")
        accounts.join(boss, team.id, ana.id)
        secret = accounts.create_token(boss, user_id=ana.id)[1]
        cookie = accounts.open_session(ana.id).cookie
        accounts.remove_user(boss, ana.id)
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {secret}")
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(cookie)
        assert accounts.members(boss, team.id) == []

    def test_only_an_admin_manages(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        member = as_token(accounts, ana)
        admin = accounts.add_user(boss, "root", None, Role.ADMIN)
        lesser = as_token(accounts, admin, Scope.RUN)
        for who in (member, lesser):
            for act in (
                lambda who=who: accounts.users(who),
                lambda who=who: accounts.add_user(who, "x", "secret"),
                lambda who=who: accounts.remove_user(who, ana.id),
                lambda who=who: accounts.set_role(who, ana.id, Role.ADMIN),
                lambda who=who: accounts.set_password(who, ana.id, "secret"),
                lambda who=who: accounts.user(who, boss.user_id),
                lambda who=who: accounts.user_named(who, "Ana"),
                lambda who=who: accounts.tokens(who, boss.user_id),
                lambda who=who: accounts.create_token(who, user_id=boss.user_id),
                lambda who=who: accounts.add_team(who, "x"),
                lambda who=who: accounts.join(who, 1, ana.id),
                lambda who=who: accounts.leave(who, 1, ana.id),
            ):
                with pytest.raises(Forbidden):
                    act()
        assert accounts.user(member, ana.id) == ana

    def test_a_role_counts_from_the_next_request_on(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        secret = accounts.create_token(boss, user_id=ana.id)[1]
        assert accounts.set_role(boss, ana.id, Role.ADMIN).role is Role.ADMIN
        promoted = accounts.authenticate(f"Token {secret}")
        assert (promoted.role, promoted.is_admin) == (Role.ADMIN, False)  # the token was made for a member
        full = accounts.create_token(boss, user_id=ana.id)[1]
        assert accounts.authenticate(f"Token {full}").is_admin
        accounts.set_role(boss, ana.id, Role.MEMBER)
        assert not accounts.authenticate(f"Token {full}").is_admin

    def test_unknown_users(self, accounts: AccountService, boss: Actor) -> None:
        for act in (
            lambda: accounts.user(boss, 99),
            lambda: accounts.user_named(boss, "nobody"),
            lambda: accounts.remove_user(boss, 99),
            lambda: accounts.create_token(boss, user_id=99),
            lambda: accounts.open_session(99),
        ):
            with pytest.raises(NotFound):
                act()


class TestSignIn:
    def test_right_and_wrong(self, accounts: AccountService, ana: User) -> None:
        assert accounts.sign_in("ANA", "correct horse", HOME) == ana
        messages = set()
        for name, password in (
            ("Ana", "wrong"),
            ("nobody", "correct horse"),
            ("Ana", ""),
            ("", ""),
            ("\udc80", "\ud800"),
        ):
            with pytest.raises(SignInRefused) as refused:
                accounts.sign_in(name, password, HOME)
            messages.add(str(refused.value))
        assert messages == {"Unable to log in with provided credentials."}

    def test_unicode_forms_of_a_password_are_one(self, accounts: AccountService, boss: Actor) -> None:
        accounts.add_user(boss, "zoe", "caf\u00e9")
        assert accounts.sign_in("zoe", "cafe\u0301", HOME).name == "zoe"

    def test_an_unknown_user_costs_a_hash_too(
        self, db: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import hashlib

        service = AccountService(db, clock, hasher=Hasher(CHEAP), failures=FailureLimit(clock))
        service.ensure_operator()
        service.add_user(service.operator(), "Ana", "correct horse")
        service.add_user(service.operator(), "tokens only", None)
        calls: list[Any] = []
        real = hashlib.scrypt
        monkeypatch.setattr(hashlib, "scrypt", lambda *a, **k: calls.append((k["n"], k["r"], k["p"])) or real(*a, **k))
        for name in ("Ana", "nobody", "tokens only", "local operator"):
            with pytest.raises(SignInRefused):
                service.sign_in(name, "wrong", HOME)
        assert calls == [(2, 1, 1)] * 4

    def test_the_sixth_failure_in_a_minute_is_refused(self, accounts: AccountService, ana: User, clock: Clock) -> None:
        for _ in range(5):
            with pytest.raises(SignInRefused):
                accounts.sign_in("ana", "wrong", HOME)
            clock.now += 2
        with pytest.raises(TooMany) as refused:
            accounts.sign_in("ANA", "correct horse", HOME)  # even with the right one
        assert refused.value.retry_after == 50
        assert accounts.sign_in("ana", "correct horse", "10.0.0.9") == ana  # from elsewhere
        with pytest.raises(SignInRefused):
            accounts.sign_in("other", "wrong", HOME)  # another user
        clock.now += 50
        assert accounts.sign_in("ana", "correct horse", HOME) == ana

    def test_successes_are_not_limited(self, accounts: AccountService, ana: User) -> None:
        for _ in range(30):
            assert accounts.sign_in("ana", "correct horse", HOME) == ana

    def test_a_success_does_not_forgive_failures(self, accounts: AccountService, ana: User) -> None:
        for _ in range(4):
            with pytest.raises(SignInRefused):
                accounts.sign_in("ana", "wrong", HOME)
        accounts.sign_in("ana", "correct horse", HOME)
        with pytest.raises(SignInRefused):
            accounts.sign_in("ana", "wrong", HOME)
        with pytest.raises(TooMany):
            accounts.sign_in("ana", "wrong", HOME)

    def test_parallel_tries_do_not_outrun_the_limit(self, db: Database, clock: Clock) -> None:
        hasher = Hasher(CHEAP, in_line=40)
        service = AccountService(db, clock, hasher=hasher, failures=FailureLimit(clock))

        def attempt(_: int) -> type[Exception]:
            with pytest.raises((SignInRefused, TooMany)) as refused:
                service.sign_in("ana", "wrong", HOME)
            return refused.type

        with ThreadPoolExecutor(40) as pool:
            kinds = list(pool.map(attempt, range(40)))
        assert kinds.count(SignInRefused) == 5

    def test_two_hashes_at_a_time_and_a_short_line(self) -> None:
        hasher = Hasher(CHEAP, at_once=2, in_line=3)
        inside, leave = threading.Semaphore(0), threading.Event()

        def hold() -> None:
            with hasher.slot():
                inside.release()
                leave.wait(10)

        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert inside.acquire(timeout=10)
        assert inside.acquire(timeout=10)
        assert not inside.acquire(timeout=0.05)  # the third waits
        for thread in threads:
            assert thread.is_alive()
        with pytest.raises(Unavailable), hasher.slot():
            pass
        leave.set()
        assert inside.acquire(timeout=10)
        for thread in threads:
            thread.join(10)
        with hasher.slot():
            pass

    def test_the_limit_forgets_names_that_nobody_tries(self, clock: Clock) -> None:
        limit = FailureLimit(clock)
        for number in range(1500):
            limit.begin((f"user {number}", HOME))
        clock.now += 61
        limit.begin(("new", HOME))
        assert len(limit._failures) == 1

    def test_a_hash_names_its_cost_and_has_its_own_salt(self) -> None:
        old, new = Hasher(CHEAP), Hasher(Cost(n=4, r=2, p=1))
        first, second = old.hash("secret"), old.hash("secret")
        assert first != second
        assert first.startswith("scrypt$2,1,1$")
        assert new.matches("secret", first)
        assert not new.matches("Secret", first)
        assert not new.matches("", None)

    def test_the_default_cost(self) -> None:
        assert Hasher().hash("x").startswith("scrypt$16384,8,1$")

    def test_a_new_password_ends_sessions_and_logins_but_not_tokens(
        self, accounts: AccountService, boss: Actor, ana: User
    ) -> None:
        kept = accounts.create_token(boss, user_id=ana.id)[1]
        login = accounts.log_in("ana", "correct horse", HOME)[1]
        session = accounts.open_session(ana.id)
        actor = accounts.authenticate_session(session.cookie)
        with pytest.raises(SignInRefused):
            accounts.change_password(actor, "wrong", "new one", HOME)
        with pytest.raises(Invalid) as refused:
            accounts.change_password(actor, "correct horse", "", HOME)
        assert refused.value.field == "new_password"
        accounts.change_password(actor, "correct horse", "new one", HOME)
        assert accounts.sign_in("ana", "new one", HOME) == ana
        assert accounts.authenticate(f"Token {kept}").user_id == ana.id
        for gone in (
            lambda: accounts.authenticate(f"Token {login}"),
            lambda: accounts.authenticate_session(session.cookie),
        ):
            with pytest.raises(Unauthenticated):
                gone()


BAD_HEADERS = [
    ("",),
    ("Token",),
    ("Token ",),
    ("Bearer",),
    ("Basic YW5hOmNvcnJlY3Q=",),
    ("Token é",),
    ("Token ty_1_\u00e9" + "a" * 42,),
    ("Token ty_\u0661_" + "a" * 43,),
    ("Token ty_1_" + "a" * 43,),
    ("Token ty_zzzzzzzzzzzz_" + "a" * 43,),
    ("Token ty_zzzzzzzzzzzzz_" + "a" * 43,),
    ("Token " + "a" * 1_000_000,),
    (" " * 1_000_000,),
    ("Token a b",),
    ("Token \0",),
    ("Token ty__",),
]


class TestTokens:
    def test_token_and_bearer_are_the_same(self, accounts: AccountService, ana: User, boss: Actor) -> None:
        token, secret = accounts.create_token(boss, "ci", user_id=ana.id)
        for header in (f"Token {secret}", f"Bearer {secret}", f"token {secret}", f"BEARER  {secret} "):
            actor = accounts.authenticate(header)
            assert (actor.user_id, actor.name, actor.via, actor.credential_id) == (ana.id, "Ana", "token", token.id)

    @pytest.mark.parametrize("headers", BAD_HEADERS)
    def test_bad_headers(self, accounts: AccountService, headers: tuple[str, ...]) -> None:
        with pytest.raises(Unauthenticated, match=r"Invalid token\."):
            accounts.authenticate(*headers)

    def test_variations_of_a_good_one(self, accounts: AccountService, boss: Actor) -> None:
        secret = accounts.create_token(boss)[1]
        head, tail = secret[:10], secret[10:]
        for wrong in (
            secret[:-1],
            secret + "a",
            secret.lower(),
            secret.upper(),
            head + tail[::-1],
            secret.replace("ty_", "tys_"),
            f"{secret},",
        ):
            with pytest.raises(Unauthenticated):
                accounts.authenticate(f"Token {wrong}")
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {secret}, Token {secret}")
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {secret}", f"Bearer {secret}")
        with pytest.raises(Unauthenticated, match="not provided"):
            accounts.authenticate()

    @sqlite_only
    def test_only_a_hash_is_stored(self, accounts: AccountService, boss: Actor, ana: User, tmp_path: Path) -> None:
        secret = accounts.create_token(boss, "ci")[1]
        cookie = accounts.open_session(ana.id).cookie
        accounts.flush_usage()
        content = b"".join(path.read_bytes() for path in tmp_path.glob("t.db*"))
        assert b"Ana" in content
        for hidden in (secret, cookie):
            assert hidden.rsplit("_", 1)[0].encode() + b"_" not in content
            assert hidden[-43:].encode() not in content
        assert b"correct horse" not in content

    def test_expiry_and_revocation(self, accounts: AccountService, boss: Actor, ana: User, clock: Clock) -> None:
        token, secret = accounts.create_token(boss, lifetime=60, user_id=ana.id)
        clock.now += 59
        member = accounts.authenticate(f"Token {secret}")
        clock.now += 1
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {secret}")
        other, lasting = accounts.create_token(boss)
        with pytest.raises(NotFound):
            accounts.revoke_token(member, other.id)
        assert accounts.authenticate(f"Token {lasting}")
        first = accounts.revoke_token(boss, other.id)
        clock.now += 1
        assert accounts.revoke_token(boss, other.id) == first
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {lasting}")
        assert [(t.id, t.revoked_at) for t in accounts.tokens(boss)] == [(other.id, clock.now - 1)]
        assert [t.id for t in accounts.tokens(boss, ana.id)] == [token.id]
        with pytest.raises(NotFound):
            accounts.revoke_token(boss, 12345)

    def test_nobody_makes_a_token_that_may_more(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        member, reader = as_token(accounts, ana), as_token(accounts, ana, Scope.READ)
        assert accounts.create_token(member)[0].scopes == {Scope.READ, Scope.RUN}
        assert accounts.create_token(member, scopes=[Scope.READ])[0].scopes == {Scope.READ}
        with pytest.raises(Forbidden):
            accounts.create_token(member, scopes=[Scope.ADMIN])
        with pytest.raises(Forbidden):
            accounts.create_token(reader)
        with pytest.raises(Forbidden):
            accounts.create_token(boss, scopes=[Scope.ADMIN], user_id=ana.id)
        with pytest.raises(Forbidden):
            accounts.revoke_token(reader, member.credential_id or 0)
        for scopes, label in (([], ""), (None, "x" * 201), (None, "a\nb")):
            with pytest.raises(Invalid):
                accounts.create_token(member, label, scopes)

    def test_use_is_noted_at_most_once_a_minute_and_never_by_a_request(
        self, accounts: AccountService, boss: Actor, db: Database, clock: Clock
    ) -> None:
        token, secret = accounts.create_token(boss)
        accounts.flush_usage()
        writes: list[str] = []
        event.listen(db._writer, "before_cursor_execute", lambda *a: writes.append(a[2]))

        def last_used() -> float | None:
            return accounts.tokens(boss)[0].last_used_at

        accounts.authenticate(f"Token {secret}")
        assert (writes, last_used()) == ([], None)
        accounts.flush_usage()
        assert last_used() == clock.now
        clock.now += 59
        accounts.authenticate(f"Token {secret}")
        writes.clear()
        accounts.flush_usage()
        assert writes == []
        clock.now += 1
        accounts.authenticate(f"Token {secret}")
        accounts.flush_usage()
        assert last_used() == clock.now
        accounts.authenticate(f"Token {secret}")
        accounts.revoke_token(boss, token.id)
        accounts.flush_usage()

    def test_logins_make_tokens_and_old_ones_go(
        self, accounts: AccountService, boss: Actor, ana: User, clock: Clock
    ) -> None:
        user, oldest = accounts.log_in("ana", "correct horse", HOME)
        second = accounts.log_in("ana", "correct horse", HOME)[1]
        assert user == ana
        made = accounts.create_token(boss, user_id=ana.id)[1]
        for _ in range(KEPT - 1):
            clock.now += 61
            accounts.authenticate(f"Token {oldest}")  # in use: it stays
            accounts.flush_usage()
            accounts.log_in("ana", "correct horse", HOME)
        assert len([t for t in accounts.tokens(boss, ana.id) if t.from_login]) == KEPT
        assert accounts.authenticate(f"Token {oldest}")
        assert accounts.authenticate(f"Token {made}")
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {second}")

    def test_ids_are_not_used_again(self, accounts: AccountService, db: Database, ana: User) -> None:
        accounts.log_in("ana", "correct horse", HOME)
        first = accounts.tokens(accounts.operator(), ana.id)[0]
        accounts.set_password(accounts.operator(), ana.id, "new")
        assert accounts.tokens(accounts.operator(), ana.id) == []
        assert accounts.create_token(accounts.operator())[0].id > first.id


class TestSessions:
    def test_a_cookie_says_who(self, accounts: AccountService, ana: User) -> None:
        session = accounts.open_session(ana.id)
        actor = accounts.authenticate_session(session.cookie)
        assert (actor.user_id, actor.via, actor.is_admin) == (ana.id, "session", False)
        assert actor.accepts_csrf(session.csrf)
        assert session.csrf == csrf_of(session.cookie)
        assert not actor.accepts_csrf(accounts.open_session(ana.id).csrf)
        assert session.cookie not in repr(session)
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {session.cookie}")

    @pytest.mark.parametrize(
        "cookie", ["", "x", "é", "tys_1_" + "a" * 43, "ty_1_" + "a" * 43, "tys_zz_" + "a" * 43, "a" * 10**6]
    )
    def test_bad_cookies(self, accounts: AccountService, ana: User, cookie: str) -> None:
        accounts.open_session(ana.id)
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(cookie)

    def test_the_operator_has_one_too(self, accounts: AccountService, boss: Actor) -> None:
        actor = accounts.authenticate_session(accounts.open_session(boss.user_id).cookie)
        assert (actor.is_admin, actor.via, actor.user_id) == (True, "session", boss.user_id)

    def test_expiry_slides_and_ends(self, accounts: AccountService, ana: User, clock: Clock) -> None:
        cookie = accounts.open_session(ana.id).cookie
        idle = accounts.open_session(ana.id).cookie
        for _ in range(3):
            clock.now += SESSION_LIFE - 10
            accounts.authenticate_session(cookie)
            accounts.flush_usage()
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(idle)
        clock.now += SESSION_LIFE
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(cookie)

    def test_expired_ones_are_dropped(self, accounts: AccountService, db: Database, ana: User, clock: Clock) -> None:
        accounts.open_session(ana.id)
        accounts.flush_usage()
        clock.now += SESSION_LIFE
        accounts.flush_usage()
        with db.read() as connection:
            assert connection.execute(select(tables.sessions)).all() == []

    def test_log_out_ends_this_one_only(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        cookie, other = accounts.open_session(ana.id).cookie, accounts.open_session(ana.id).cookie
        actor = accounts.authenticate_session(cookie)
        accounts.close_session(actor)
        accounts.close_session(actor)
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(cookie)
        assert accounts.authenticate_session(other).user_id == ana.id
        made, login = accounts.create_token(boss, user_id=ana.id)[1], accounts.log_in("ana", "correct horse", HOME)[1]
        accounts.close_session(accounts.authenticate(f"Token {made}"))
        assert accounts.authenticate(f"Token {made}")
        accounts.close_session(accounts.authenticate(f"Token {login}"))
        with pytest.raises(Unauthenticated):
            accounts.authenticate(f"Token {login}")
        accounts.close_session(boss)
        accounts.end_sessions(ana.id)
        with pytest.raises(Unauthenticated):
            accounts.authenticate_session(other)


class TestTeams:
    def test_members_see_theirs(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        vision, speech = accounts.add_team(boss, "vision"), accounts.add_team(boss, "speech")
        accounts.join(boss, vision.id, ana.id)
        accounts.join(boss, vision.id, ana.id)
        member = as_token(accounts, ana)
        assert member.team_ids == {vision.id}
        assert accounts.authenticate_session(accounts.open_session(ana.id).cookie).team_ids == {vision.id}
        assert accounts.teams(member) == [vision]
        assert accounts.teams(boss) == [vision, speech]
        assert accounts.members(member, vision.id) == [ana]
        assert accounts.team_for(member, vision.id) == vision
        assert accounts.team_for(boss, speech.id) == speech
        for unknown_or_foreign in (speech.id, 99):
            with pytest.raises(Forbidden):
                accounts.team_for(member, unknown_or_foreign)
            with pytest.raises(Forbidden):
                accounts.members(member, unknown_or_foreign)
        with pytest.raises(Forbidden):
            accounts.team_for(boss, 99)
        accounts.leave(boss, vision.id, ana.id)
        assert as_token(accounts, ana).team_ids == frozenset()

    def test_names_and_unknown_ones(self, accounts: AccountService, boss: Actor, ana: User) -> None:
        accounts.add_team(boss, "vision")
        with pytest.raises(Conflict):
            accounts.add_team(boss, "VISION")
        with pytest.raises(Invalid):
            accounts.add_team(boss, "a\nb")
        for act in (
            lambda: accounts.join(boss, 99, ana.id),
            lambda: accounts.join(boss, 1, 99),
            lambda: accounts.leave(boss, 99, ana.id),
            lambda: accounts.members(boss, 99),
        ):
            with pytest.raises(NotFound):
                act()


def test_nothing_secret_is_logged(
    accounts: AccountService, boss: Actor, ana: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = accounts.log_in("ana", "correct horse", HOME)[1]
    accounts.authenticate(f"Token {secret}")
    for act in (
        lambda: accounts.authenticate(f"Token {secret}x"),
        lambda: accounts.sign_in("ana", "wrong horse", HOME),
    ):
        with pytest.raises((Unauthenticated, SignInRefused)) as refused:
            act()
        assert secret not in str(refused.value)
        assert "horse" not in str(refused.value)
    assert secret[-43:] not in caplog.text
    assert "horse" not in caplog.text


def test_a_clock_that_was_set_back_does_not_stop_the_notes(
    accounts: AccountService, db: Database, boss: Actor, clock: Clock, ana: User
) -> None:
    accounts.flush_usage()
    clock.now -= 1e6
    cookie = accounts.open_session(ana.id).cookie
    with db.write() as connection:
        connection.execute(update(tables.sessions).values(expires_at=clock.now))
    accounts.flush_usage()
    with pytest.raises(Unauthenticated):
        accounts.authenticate_session(cookie)
    with db.read() as connection:
        assert connection.execute(select(tables.sessions)).all() == []
