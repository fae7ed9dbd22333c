"""Credentials: tokens and sessions, made and recognised; the local operator, who needs none. Knows no HTTP."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from api.models import accounts as model
from api.models.accounts import Actor, Role, Token, User, Via
from api.services.store import accounts as store
from api.services.store.database import Database
from api.utils.errors import Unauthenticated

NO_CREDENTIALS = "Authentication credentials were not provided."
INVALID = "Invalid token."
ENDED = "The session has ended; sign in again."
SESSION_COOKIE = "trainyard_session"
SESSION_LIFE = 14 * 86400.0  # seconds; sliding
SESSION_STEP = 3600.0  # an expiry moves in steps of at least this
USE_STEP = 60.0  # seconds between two notes of a token's use
KEPT = 100  # of each user: log-ins' tokens, the last used, and sessions, the newest

_HEADER = re.compile(r"\s*(?:token|bearer)\s+(\S+)\s*", re.IGNORECASE)
_SECRET = re.compile(r"(ty|tys)_([0-9a-z]{1,12})_([A-Za-z0-9_-]{43})", re.ASCII)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class NewSession:
    """The only time that the cookie is known."""

    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float


class Credentials:
    """Who asks. What recognising one would like to write is noted, and written by `flush_usage`."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._clock = clock
        self._operator: User | None = None
        self._lock = threading.Lock()
        self._used: dict[int, float] = {}  # token -> when it was used last, not yet written
        self._extended: dict[int, float] = {}  # session -> its new expiry, not yet written
        self._dropped_at: float | None = None

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
            raise Unauthenticated(INVALID)
        token_id, digest = parsed
        with self._db.read() as connection:
            found = store.token_of(connection, token_id)
            teams = store.team_ids_of(connection, found[0].user_id) if found else frozenset()
        if found is None or not hmac.compare_digest(digest, found[1].digest):
            raise Unauthenticated(INVALID)
        token, user, now = found[0], found[1].user, self._clock()
        if not token.is_valid(now):
            raise Unauthenticated(INVALID)
        if token.last_used_at is None or now - token.last_used_at >= USE_STEP:
            with self._lock:
                self._used[token.id] = now
        scopes = token.scopes & model.scopes_of(user.role)
        return Actor(user.id, user.name, user.role, scopes, teams, "token", token.id)

    def authenticate_session(self, cookie: str) -> Actor:
        """The actor of a session cookie; ask `Actor.accepts_csrf` before a write. Raises Unauthenticated."""
        parsed, now = _parse("tys", cookie), self._clock()
        if parsed is None:
            raise Unauthenticated(ENDED)
        session_id, digest = parsed
        with self._db.read() as connection:
            found = store.session_of(connection, session_id)
            teams = store.team_ids_of(connection, found[1].user.id) if found else frozenset()
        if found is None or not hmac.compare_digest(digest, found[1].digest) or now >= found[0]:
            raise Unauthenticated(ENDED)
        if found[0] < now + SESSION_LIFE - SESSION_STEP:
            with self._lock:
                self._extended[session_id] = now + SESSION_LIFE
        user = found[1].user
        hidden = sha256(csrf_of(cookie).encode()).digest()
        scopes = model.scopes_of(user.role)
        return Actor(user.id, user.name, user.role, scopes, teams, "session", session_id, hidden)

    def flush_usage(self) -> None:
        """Writes what `authenticate` noted; once an hour drops what is over. For the supervisor's thread."""
        now = self._clock()
        with self._lock:
            used, self._used = self._used, {}
            extended, self._extended = self._extended, {}
        stale = self._dropped_at is None or not 0 <= now - self._dropped_at < 3600
        if not (used or extended or stale):
            return
        with self._db.write(durable=False) as connection:
            store.note_use(connection, used)
            store.extend_sessions(connection, extended)
            if stale:
                store.drop_expired(connection, now)
        self._dropped_at = now if stale else self._dropped_at

    # ---- making

    def open_session(self, user_id: int) -> NewSession:
        """For a user who has signed in, or the local operator's browser."""
        secret, digest = _secret()
        now = self._clock()
        with self._db.write() as connection:
            store.user(connection, user_id)
            session_id = store.add_session(connection, user_id, digest, now, now + SESSION_LIFE)
            store.end_sessions(connection, user_id, keep=KEPT)
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

    def _keep(self, new: Token) -> tuple[Token, str]:
        secret, digest = _secret()
        with self._db.write() as connection:
            store.user(connection, new.user_id)
            token_id = store.add_token(connection, new, digest)
            store.end_logins(connection, new.user_id, keep=KEPT)
        return replace(new, id=token_id), f"ty_{_base36(token_id)}_{secret}"


# ---- secrets


def csrf_of(cookie: str) -> str:
    """The CSRF token of a session, made from its cookie, which no foreign page can read; nothing is stored."""
    return sha256(b"csrf:" + cookie.encode("utf-8", "surrogatepass")).hexdigest()


def is_secret(text: str) -> bool:
    """Whether it has the form of a token or of a session's cookie."""
    return _SECRET.fullmatch(text) is not None


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
