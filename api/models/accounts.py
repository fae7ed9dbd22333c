"""Who there is and who may do what: users, their tokens, their teams, and the actor behind a request."""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from api.utils.errors import Forbidden, Invalid

OPERATOR_NAME = "local operator"  # the built-in user that a caller without credentials on loopback is
LONGEST_NAME = 200  # characters
LONGEST_PASSWORD = 1024  # characters; hashing must not become a way to burn our time

Via = Literal["token", "session", "operator", "off"]


class Role(StrEnum):
    ADMIN = "admin"  # may do everything
    MEMBER = "member"  # owns what they make, reads what their teams make


class Scope(StrEnum):
    """What a token may be used for, within what its user may do."""

    READ = "read"
    RUN = "run"  # make and change things; holds READ
    ADMIN = "admin"  # what the user may do as an admin; holds RUN; worth nothing to a member


ALL_SCOPES = frozenset(Scope)
_HELD = {Scope.READ: {Scope.READ}, Scope.RUN: {Scope.READ, Scope.RUN}, Scope.ADMIN: ALL_SCOPES}


def whole(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes with those that they hold."""
    return frozenset(held for scope in scopes for held in _HELD[scope])


def scopes_of(role: Role) -> frozenset[Scope]:
    """The most that a token or session of such a user can do."""
    return ALL_SCOPES if role is Role.ADMIN else frozenset({Scope.READ, Scope.RUN})


def name_key(name: str) -> str:
    """What two names share that are the same but for case and Unicode form."""
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return key.encode("utf-8", "backslashreplace").decode()  # a name that cannot be is looked up like any other


def checked_name(name: str, field_name: str = "name") -> str:
    """The name, if users and teams can be called so. Raises Invalid."""
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Invalid(field_name, f"must be 1 to {LONGEST_NAME} characters")
    if not name.isprintable() or not name_key(name):
        raise Invalid(field_name, "must be printable, without control or invisible characters")
    if name != name.strip():
        raise Invalid(field_name, "must not begin or end with a space")
    return name


def checked_password(password: str, field_name: str = "password") -> str:
    """The password, if it can be one. Raises Invalid, without repeating it."""
    if not 1 <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(field_name, f"must be 1 to {LONGEST_PASSWORD} characters")
    return password


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    role: Role
    created_at: float
    builtin: bool = False  # the local operator: cannot sign in, be removed or be changed


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; its secret is not. Times are Unix seconds; None: never."""

    id: int
    user_id: int
    label: str
    scopes: frozenset[Scope]
    created_at: float
    last_used_at: float | None = None  # to the minute
    expires_at: float | None = None
    revoked_at: float | None = None
    from_login: bool = False  # made by a log-in, and ended by a change of the password

    def is_valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Team:
    """The contract's workspace: people who may read each other's things made in it."""

    id: int
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose eyes a list is for. `everything`: an admin's."""

    user_id: int
    team_ids: frozenset[int] = frozenset()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a request, and how we know. The rules of reading and changing are here and nowhere else."""

    user_id: int
    name: str
    role: Role
    scopes: frozenset[Scope]
    team_ids: frozenset[int] = frozenset()
    via: Via = "token"
    credential_id: int | None = None  # of the token or session
    csrf_hash: bytes | None = field(default=None, repr=False)  # SHA-256 of a session's CSRF token

    @property
    def is_admin(self) -> bool:
        """An admin whose credentials say so; with a lesser token an admin is a member."""
        return self.role is Role.ADMIN and Scope.ADMIN in self.scopes

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.user_id, self.team_ids, self.is_admin)

    def may_read(self, owner_id: int, team_id: int | None = None) -> bool:
        mine = owner_id == self.user_id or (team_id is not None and team_id in self.team_ids)
        return Scope.READ in self.scopes and (mine or self.is_admin)

    def may_change(self, owner_id: int) -> bool:
        return Scope.RUN in self.scopes and (owner_id == self.user_id or self.is_admin)

    def may_use_team(self, team_id: int) -> bool:
        """Whether things may be made in a team that exists."""
        return Scope.RUN in self.scopes and (team_id in self.team_ids or self.is_admin)

    def require_read(self) -> None:
        if Scope.READ not in self.scopes:
            raise Forbidden("this token may not read")

    def require_run(self) -> None:
        if Scope.RUN not in self.scopes:
            raise Forbidden("this token may only read")

    def require_admin(self) -> None:
        if not self.is_admin:
            raise Forbidden("only an admin may do this")

    def accepts_csrf(self, token: str | None) -> bool:
        """Whether a write may pass: a session, which a browser sends by itself, must prove it with a token."""
        if self.csrf_hash is None:
            return self.via != "session"
        given = sha256((token or "").encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(given, self.csrf_hash)
