"""Who may do what, as a table; names; CSRF."""

from __future__ import annotations

from hashlib import sha256

import pytest

from api.models.accounts import (
    ALL_SCOPES,
    Actor,
    Role,
    Scope,
    Token,
    checked_name,
    checked_password,
    name_key,
    scopes_of,
    whole,
)
from api.utils.errors import Forbidden, Invalid

READ = frozenset({Scope.READ})
RUN = frozenset({Scope.READ, Scope.RUN})
NONE: frozenset[Scope] = frozenset()
ME, OTHER, TEAM, FOREIGN = 7, 8, 3, 4


def actor(role: Role, scopes: frozenset[Scope]) -> Actor:
    return Actor(ME, "ana", role, scopes, frozenset({TEAM}))


# role, scopes, owner, team: may read, may change
TABLE = [
    (Role.MEMBER, RUN, ME, None, True, True),
    (Role.MEMBER, RUN, ME, FOREIGN, True, True),
    (Role.MEMBER, RUN, OTHER, None, False, False),
    (Role.MEMBER, RUN, OTHER, TEAM, True, False),
    (Role.MEMBER, RUN, OTHER, FOREIGN, False, False),
    (Role.MEMBER, READ, ME, None, True, False),
    (Role.MEMBER, READ, OTHER, TEAM, True, False),
    (Role.MEMBER, READ, OTHER, None, False, False),
    (Role.MEMBER, ALL_SCOPES, OTHER, None, False, False),
    (Role.MEMBER, NONE, ME, None, False, False),
    (Role.MEMBER, NONE, OTHER, TEAM, False, False),
    (Role.ADMIN, ALL_SCOPES, ME, None, True, True),
    (Role.ADMIN, ALL_SCOPES, OTHER, None, True, True),
    (Role.ADMIN, ALL_SCOPES, OTHER, FOREIGN, True, True),
    (Role.ADMIN, RUN, ME, None, True, True),
    (Role.ADMIN, RUN, OTHER, None, False, False),
    (Role.ADMIN, RUN, OTHER, TEAM, True, False),
    (Role.ADMIN, READ, ME, None, True, False),
    (Role.ADMIN, READ, OTHER, FOREIGN, False, False),
    (Role.ADMIN, NONE, ME, None, False, False),
]


@pytest.mark.parametrize(("role", "scopes", "owner", "team", "reads", "changes"), TABLE)
def test_reading_and_changing(
    role: Role, scopes: frozenset[Scope], owner: int, team: int | None, reads: bool, changes: bool
) -> None:
    who = actor(role, scopes)
    assert (who.may_read(owner, team), who.may_change(owner)) == (reads, changes)


@pytest.mark.parametrize(
    ("role", "scopes", "read", "run", "admin"),
    [
        (Role.MEMBER, NONE, False, False, False),
        (Role.MEMBER, READ, True, False, False),
        (Role.MEMBER, RUN, True, True, False),
        (Role.MEMBER, ALL_SCOPES, True, True, False),
        (Role.ADMIN, RUN, True, True, False),
        (Role.ADMIN, ALL_SCOPES, True, True, True),
    ],
)
def test_requirements(role: Role, scopes: frozenset[Scope], read: bool, run: bool, admin: bool) -> None:
    who = actor(role, scopes)
    for require, allowed in ((who.require_read, read), (who.require_run, run), (who.require_admin, admin)):
        if allowed:
            require()
        else:
            with pytest.raises(Forbidden):
                require()
    assert who.is_admin is admin


@pytest.mark.parametrize(
    ("role", "scopes", "team", "allowed"),
    [
        (Role.MEMBER, RUN, TEAM, True),
        (Role.MEMBER, RUN, FOREIGN, False),
        (Role.MEMBER, READ, TEAM, False),
        (Role.ADMIN, ALL_SCOPES, FOREIGN, True),
        (Role.ADMIN, RUN, FOREIGN, False),
    ],
)
def test_making_things_in_a_team(role: Role, scopes: frozenset[Scope], team: int, allowed: bool) -> None:
    assert actor(role, scopes).may_use_team(team) is allowed


def test_a_scope_holds_the_lesser_ones() -> None:
    assert whole([Scope.READ]) == READ
    assert whole([Scope.RUN]) == RUN
    assert whole([Scope.ADMIN]) == ALL_SCOPES == scopes_of(Role.ADMIN)
    assert whole([]) == NONE
    assert scopes_of(Role.MEMBER) == RUN


def test_only_a_session_needs_a_csrf_token() -> None:
    session = Actor(ME, "ana", Role.MEMBER, RUN, via="session", csrf_hash=sha256(b"right").digest())
    assert session.accepts_csrf("right")
    for wrong in (None, "", "wrong", "é", "\udc80"):
        assert not session.accepts_csrf(wrong)
    assert "right" not in repr(session)
    assert "csrf" not in repr(session)
    assert actor(Role.MEMBER, RUN).accepts_csrf(None)
    assert not Actor(ME, "ana", Role.MEMBER, RUN, via="session").accepts_csrf("")


@pytest.mark.parametrize(
    "name",
    ["", "x" * 201, "a\nb", "a\0b", "a\x7fb", " ana", "ana ", "   ", "a\u202eb", "a\u200bb", "\ud800", "a\u2028b"],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_name(name)


@pytest.mark.parametrize("name", ["a", "x" * 200, "José Ångström", "张伟", "ana@lab.example", "o'brien; DROP", "🙂"])
def test_names_that_are_fine(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("one", "other"), [("Ana", "aNA"), ("straße", "STRASSE"), ("\u00e9", "e\u0301"), ("\uff21na", "ana"), ("Σ", "ς")]
)
def test_names_that_look_alike_are_the_same(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_passwords_that_are_refused_are_not_repeated(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_password(password)
    assert "xxx" not in str(refused.value)


def test_a_token_is_valid_until_its_end() -> None:
    token = Token(1, ME, "", RUN, 0.0, expires_at=10.0)
    assert token.is_valid(9.9)
    assert not token.is_valid(10.0)
    assert not Token(1, ME, "", RUN, 0.0, revoked_at=1.0).is_valid(0.5)
