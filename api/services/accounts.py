"""Accounts: signing in with a password, and the management of users, tokens and teams. Knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from api.models import accounts as model
from api.models.accounts import Actor, Role, Scope, Team, Token, User
from api.services.credentials import Credentials
from api.services.passwords import FailureLimit, Hasher
from api.services.store import accounts as store
from api.services.store.database import Database
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, TrainyardError


class SignInRefused(TrainyardError):
    """No such user, or not the password: which of the two is not told."""

    def __init__(self) -> None:
        super().__init__("Unable to log in with provided credentials.")


class AccountService(Credentials):
    """What people do with accounts. Raises the errors of api.utils.errors, and SignInRefused."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], float] = time.time,
        *,
        hasher: Hasher | None = None,
        failures: FailureLimit | None = None,
    ) -> None:
        super().__init__(db, clock)
        self._hasher = hasher or Hasher()
        self._failures = failures or FailureLimit(time.monotonic)

    # ---- signing in

    def sign_in(self, name: str, password: str, address: str) -> User:
        """The user, if it is their password. Raises SignInRefused; TooMany after five failures in a minute."""
        who = (model.name_key(name), address)
        self._failures.check(who)
        with self._hasher.slot():
            begun = self._failures.begin(who)
            with self._db.read() as connection:
                found = store.password_of(connection, name)
            right = self._hasher.matches(password, found[1] if found else None)
        if found is None or not right:
            raise SignInRefused
        self._failures.succeeded(who, begun)
        return found[0]

    def log_in(self, name: str, password: str, address: str) -> tuple[User, str]:
        """Signs in and makes a token; the unused ones of earlier log-ins go when there are many."""
        user = self.sign_in(name, password, address)
        new = Token(0, user.id, "log-in", model.scopes_of(user.role), self._clock(), from_login=True)
        secret = self._keep(new)[1]
        return user, secret

    # ---- tokens

    def create_token(
        self,
        actor: Actor,
        label: str = "",
        scopes: Iterable[Scope] | None = None,
        lifetime: float | None = None,
        *,
        user_id: int | None = None,
    ) -> tuple[Token, str]:
        """A token and its secret, which nobody knows afterwards. `lifetime` in seconds; None: until revoked.

        Nobody makes a token that may more than they may; an admin makes them for others, too.
        """
        actor.require_run()
        owner = actor.user_id if user_id is None else user_id
        most = actor.scopes
        if owner != actor.user_id:
            most = model.scopes_of(self.user(actor, owner).role)
        wanted = most if scopes is None else model.whole(scopes)
        if not wanted:
            raise Invalid("scopes", f"must name one of {', '.join(Scope)}")
        if not wanted <= most:
            raise Forbidden(f"you cannot give the scopes {', '.join(sorted(wanted - most))}")
        if len(label) > model.LONGEST_NAME or not label.isprintable():
            raise Invalid("label", f"must be at most {model.LONGEST_NAME} printable characters")
        now = self._clock()
        new = Token(0, owner, label, wanted, now, expires_at=None if lifetime is None else now + lifetime)
        return self._keep(new)

    def tokens(self, actor: Actor, user_id: int | None = None) -> list[Token]:
        """A user's, the actor's own unless said otherwise; revoked and expired ones, too."""
        actor.require_read()
        owner = actor.user_id if user_id is None else user_id
        if owner != actor.user_id:
            actor.require_admin()
        with self._db.read() as connection:
            return store.tokens_of(connection, owner)

    def revoke_token(self, actor: Actor, token_id: int) -> Token:
        """For good; doing it twice is no error. A stranger learns nothing of others' tokens."""
        with self._db.write() as connection:
            token = store.token(connection, token_id)
            if not actor.may_change(token.user_id):
                actor.require_run()
                raise NotFound(f"there is no token {token_id}")
            store.revoke_token(connection, token_id, self._clock())
            return store.token(connection, token_id)

    # ---- users

    def add_user(self, actor: Actor, name: str, password: str | None, role: Role = Role.MEMBER) -> User:
        """Without a password: a user of tokens only."""
        actor.require_admin()
        model.checked_name(name)
        hashed = None if password is None else self._hasher.hash(model.checked_password(password))
        with self._db.write() as connection:
            return store.add_user(connection, name, role, hashed, self._clock())

    def users(self, actor: Actor) -> list[User]:
        actor.require_admin()
        with self._db.read() as connection:
            return store.all_users(connection)

    def user(self, actor: Actor, user_id: int) -> User:
        """Oneself, or for an admin anybody."""
        if user_id != actor.user_id:
            actor.require_admin()
        with self._db.read() as connection:
            return store.user(connection, user_id)

    def user_named(self, actor: Actor, name: str) -> User:
        actor.require_admin()
        with self._db.read() as connection:
            return store.user_by_name(connection, name)

    def remove_user(self, actor: Actor, user_id: int) -> None:
        """With tokens, sessions and memberships; jobs and data stay and are an admin's to deal with."""
        actor.require_admin()
        with self._db.write() as connection:
            self._changeable(store.user(connection, user_id))
            store.remove_user(connection, user_id)

    def set_role(self, actor: Actor, user_id: int, role: Role) -> User:
        """Counts from the next request on, for every token and session of the user."""
        actor.require_admin()
        with self._db.write() as connection:
            user = self._changeable(store.user(connection, user_id))
            store.change_user(connection, user_id, {"role": role.value})
            return replace(user, role=role)

    def set_password(self, actor: Actor, user_id: int, password: str) -> None:
        """Ends the user's sessions and what log-ins made; tokens that they made themselves stay."""
        actor.require_admin()
        self._set_password(user_id, password)

    def change_password(self, actor: Actor, old: str, new: str, address: str) -> None:
        """One's own, for who knows the old one."""
        model.checked_password(new, "new_password")
        self._set_password(self.sign_in(actor.name, old, address).id, new)

    def _set_password(self, user_id: int, password: str) -> None:
        hashed = self._hasher.hash(model.checked_password(password))
        with self._db.write() as connection:
            self._changeable(store.user(connection, user_id))
            store.change_user(connection, user_id, {"password_hash": hashed})
            store.end_sessions(connection, user_id)
            store.end_logins(connection, user_id)

    @staticmethod
    def _changeable(user: User) -> User:
        if user.builtin:
            raise Conflict(f"{user.name} is built in and cannot be changed")
        return user

    # ---- teams, the contract's workspaces

    def add_team(self, actor: Actor, name: str) -> Team:
        actor.require_admin()
        model.checked_name(name)
        with self._db.write() as connection:
            return store.add_team(connection, name, self._clock())

    def teams(self, actor: Actor) -> list[Team]:
        """Those of the actor; an admin sees all."""
        actor.require_read()
        with self._db.read() as connection:
            return store.all_teams(connection, None if actor.is_admin else actor.team_ids)

    def team_for(self, actor: Actor, team_id: int) -> Team:
        """The team that something is about to be made in. An unknown one is refused like a foreign one."""
        with self._db.read() as connection:
            found = store.find_team(connection, team_id)
        if found is None or not actor.may_use_team(team_id):
            raise Forbidden(f"workspace {team_id} does not exist, or you are not a member of it")
        return found

    def members(self, actor: Actor, team_id: int) -> list[User]:
        if not actor.is_admin and team_id not in actor.team_ids:
            raise Forbidden(f"workspace {team_id} does not exist, or you are not a member of it")
        actor.require_read()
        with self._db.read() as connection:
            store.team(connection, team_id)
            return store.members_of(connection, team_id)

    def join(self, actor: Actor, team_id: int, user_id: int) -> None:
        """Being a member already is no error."""
        actor.require_admin()
        with self._db.write() as connection:
            store.team(connection, team_id)
            store.user(connection, user_id)
            store.join_team(connection, team_id, user_id)

    def leave(self, actor: Actor, team_id: int, user_id: int) -> None:
        actor.require_admin()
        with self._db.write() as connection:
            store.team(connection, team_id)
            store.leave_team(connection, team_id, user_id)
