"""Accounts: signing in, tokens, sessions, and the management of users and teams. Knows no HTTP."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from api.models import accounts as model
from api.models.accounts import Actor, Role, Scope, Team, Token, User, Via
from api.services.passwords import FailureLimit, Hasher
from api.services.store import accounts as store
from api.services.store.database import Database
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, TrainyardError, Unauthenticated

log = logging.getLogger(__name__)

NO_CREDENTIALS = "Authentication credentials were not provided."
BAD_TOKEN = "Invalid token."
SESSION_LIFE = 14 * 86400.0  # seconds; sliding
SESSION_STEP = 3600.0  # an expiry moves in steps of at least this
USE_STEP = 60.0  # seconds between two notes of a token's use
KEPT_LOGINS = 100  # tokens made by log-ins, the last used; and sessions, the newest: of each user

_HEADER = re.compile(r"\s*(?:token|bearer)\s+(\S+)\s*", re.IGNORECASE)
_SECRET = re.compile(r"(ty|tys)_([0-9a-z]{1,12})_([A-Za-z0-9_-]{43})", re.ASCII)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class SignInRefused(TrainyardError):
    """No such user, or not the password: which of the two is not told."""

    def __init__(self) -> None:
        super().__init__("Unable to log in with provided credentials.")


@dataclass(frozen=True, slots=True)
class NewSession:
    """The only time that the cookie is known."""

    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float


class AccountService:
    """Who asks, and what an admin does about it. Raises the errors of api.utils.errors and SignInRefused."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], float] = time.time,
        *,
        hasher: Hasher | None = None,
        failures: FailureLimit | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._hasher = hasher or Hasher()
        self._failures = failures or FailureLimit(time.monotonic)
        self._operator: User | None = None
        self._lock = threading.Lock()
        self._used: dict[int, float] = {}  # token -> when it was used last, not yet written
        self._extended: dict[int, float] = {}  # session -> its new expiry, not yet written
        self._dropped_at = 0.0

    # ---- who asks

    def ensure_operator(self) -> User:
        """Makes the built-in user at the first start. Call it before `operator`."""
        with self._db.write() as connection:
            found = store.builtin_user(connection)
            if found is None:
                name = model.OPERATOR_NAME
                found = store.add_user(connection, name, Role.ADMIN, None, self._clock(), builtin=True)
        self._operator = found
        return found

    def operator(self, via: Via = "operator") -> Actor:
        """The local operator, once the caller's socket or `--auth off` has shown that it is them."""
        assert self._operator is not None, "ensure_operator() comes first"
        user = self._operator
        return Actor(user.id, user.name, user.role, model.ALL_SCOPES, via=via)

    def authenticate(self, *headers: str) -> Actor:
        """The actor of the request's `Authorization` headers. Raises Unauthenticated; writes nothing."""
        if not headers:
            raise Unauthenticated(NO_CREDENTIALS)
        match = _HEADER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) < 200 else None
        parsed = _parse("ty", match[1]) if match else None
        if parsed is None:
            raise Unauthenticated(BAD_TOKEN)
        token_id, digest = parsed
        with self._db.read() as connection:
            found = store.token_of(connection, token_id)
            teams = store.team_ids_of(connection, found[0].user_id) if found else frozenset()
        if found is None or not hmac.compare_digest(digest, found[1].digest):
            raise Unauthenticated(BAD_TOKEN)
        token, user, now = found[0], found[1].user, self._clock()
        if not token.is_valid(now):
            raise Unauthenticated(BAD_TOKEN)
        if token.last_used_at is None or now - token.last_used_at >= USE_STEP:
            with self._lock:
                self._used[token.id] = now
        scopes = token.scopes & model.scopes_of(user.role)
        return Actor(user.id, user.name, user.role, scopes, teams, "token", token.id)

    def authenticate_session(self, cookie: str) -> Actor:
        """The actor of a session cookie; `Actor.accepts_csrf` is asked before a write. Raises Unauthenticated."""
        parsed, now = _parse("tys", cookie), self._clock()
        if parsed is None:
            raise Unauthenticated("The session has ended; sign in again.")
        session_id, digest = parsed
        with self._db.read() as connection:
            found = store.session_of(connection, session_id)
            teams = store.team_ids_of(connection, found[1].user.id) if found else frozenset()
        if found is None or not hmac.compare_digest(digest, found[1].digest) or now >= found[0]:
            raise Unauthenticated("The session has ended; sign in again.")
        if found[0] < now + SESSION_LIFE - SESSION_STEP:
            with self._lock:
                self._extended[session_id] = now + SESSION_LIFE
        user = found[1].user
        hidden = sha256(csrf_of(cookie).encode()).digest()
        return Actor(user.id, user.name, user.role, model.scopes_of(user.role), teams, "session", session_id, hidden)

    def flush_usage(self) -> None:
        """Writes what `authenticate` noted, and once an hour drops what is over. For the supervisor's thread."""
        now = self._clock()
        with self._lock:
            used, self._used = self._used, {}
            extended, self._extended = self._extended, {}
        stale = not 0 <= now - self._dropped_at < 3600
        if not (used or extended or stale):
            return
        with self._db.write(durable=False) as connection:
            store.note_use(connection, used)
            store.extend_sessions(connection, extended)
            if stale:
                store.drop_expired(connection, now)
        self._dropped_at = now if stale else self._dropped_at

    # ---- signing in

    def sign_in(self, name: str, password: str, address: str) -> User:
        """The user, if it is their password. Raises SignInRefused, or TooMany after five failures in a minute."""
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

    def open_session(self, user_id: int) -> NewSession:
        """For a user who has signed in, or the local operator's browser."""
        secret, digest = _secret()
        now = self._clock()
        with self._db.write() as connection:
            store.user(connection, user_id)
            session_id = store.add_session(connection, user_id, digest, now, now + SESSION_LIFE)
            store.end_sessions(connection, user_id, keep=KEPT_LOGINS)
        cookie = f"tys_{_base36(session_id)}_{secret}"
        return NewSession(cookie, csrf_of(cookie), now + SESSION_LIFE)

    def close_session(self, actor: Actor) -> None:
        """Log-out: ends the session, or the log-in's token, that the actor came with; other tokens stay."""
        if actor.credential_id is None:
            return
        with self._db.write() as connection:
            if actor.via == "session":
                store.end_session(connection, actor.credential_id)
            elif store.token(connection, actor.credential_id).from_login:
                store.revoke_token(connection, actor.credential_id, self._clock())

    def end_sessions(self, user_id: int) -> None:
        with self._db.write() as connection:
            store.end_sessions(connection, user_id)

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
        """A token and its secret, which is not known afterwards. `lifetime` in seconds; None: until it is revoked.

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
            raise Forbidden(f"a token with {', '.join(sorted(wanted - most))} cannot be made by, or for, this user")
        if len(label) > model.LONGEST_NAME or not (label.isprintable()):
            raise Invalid("label", f"must be at most {model.LONGEST_NAME} printable characters")
        now = self._clock()
        new = Token(0, owner, label, wanted, now, expires_at=None if lifetime is None else now + lifetime)
        return self._keep(new)

    def _keep(self, new: Token) -> tuple[Token, str]:
        secret, digest = _secret()
        with self._db.write() as connection:
            token_id = store.add_token(connection, new, digest)
            store.end_logins(connection, new.user_id, keep=KEPT_LOGINS)
        return replace(new, id=token_id), f"ty_{_base36(token_id)}_{secret}"

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
        if user_id != actor.user_id or actor.via != "session":
            actor.require_admin()
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


# ---- secrets


def csrf_of(cookie: str) -> str:
    """The CSRF token of a session, made from its cookie, which a foreign page cannot read; nothing is stored."""
    return sha256(b"csrf:" + cookie.encode("utf-8", "surrogatepass")).hexdigest()


def _secret() -> tuple[str, bytes]:
    """256 random bits as 43 characters, and what is kept of them. So many need no slow hash."""
    secret = secrets.token_urlsafe(32)
    return secret, sha256(secret.encode()).digest()


def _parse(prefix: str, credential: str) -> tuple[int, bytes] | None:
    """The row's id and the digest of the secret; None for what cannot be one of ours."""
    match = _SECRET.fullmatch(credential)
    if match is None or match[1] != prefix:
        return None
    return int(match[2], 36), sha256(match[3].encode()).digest()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
