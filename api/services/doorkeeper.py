"""Who a request comes from, judged from its head: what the gate's `authenticate` is made of (contract 0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from api.models.accounts import Actor
from api.models.dialect import dialect_of
from api.services.access import CHANGING_GETS, SAFE_METHODS, Refusal, RequestHead
from api.services.credentials import INVALID, NO_CREDENTIALS, SESSION_COOKIE, Credentials, is_secret
from api.utils.errors import Unauthenticated

Mode = Literal["auto", "required", "off"]

#: nobody is asked for here, whatever they present
FREE = frozenset({"/healthz", "/readyz", "/api/token-auth/", "/api/v1/auth/login"})
#: the sign-in page and its files: served to anybody, but who comes is looked at
PAGES = ("/", "/ui", "/ui/")
URL_TOKENS = frozenset({"token", "access_token", "auth_token", "authorization", "bearer"})
TOO_MANY = 64  # parameters in a query that are looked at


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """`is_operator` tells whether a caller without credentials is the service's own Unix user."""

    accounts: Credentials
    mode: Mode
    loopback: bool  # whether the service listens on loopback only
    is_operator: Callable[[RequestHead], bool]
    refusal: Callable[[RequestHead, int, str], Refusal]
    needs_token: Callable[[str], bool] = lambda path: dialect_of(path).needs_token
    changing: tuple[str, ...] = CHANGING_GETS

    def __call__(self, head: RequestHead) -> Actor | Refusal | None:
        """The actor; None where nobody is asked for. Writes nothing, hashes no password."""
        if head.path in FREE:
            return None
        try:
            who = self._identify(head)
        except Unauthenticated as problem:
            return None if is_page(head.path) else self.refusal(head, 401, problem.message)
        if who.via == "session" and self._changes(head) and not who.accepts_csrf(head.headers.get("x-csrf-token")):
            return self.refusal(head, 403, "the header X-CSRF-Token is missing or is not this session's")
        return who

    def _identify(self, head: RequestHead) -> Actor:
        """Credentials decide when there are any; else the operator, where the mode and the path allow that."""
        if token_in_url(head.query):
            raise Unauthenticated("a token belongs into the Authorization header, never into a URL")
        header = head.headers.get("authorization")
        if header is not None:
            if "authorization" in head.duplicated:
                raise Unauthenticated(INVALID)
            return self.accounts.authenticate(header)
        cookie = session_cookie(head.headers.get("cookie", ""))
        if cookie is not None:
            return self._session(cookie)
        if self.mode == "off":
            return self.accounts.operator("off")
        if self._trusting() and not self.needs_token(head.path) and self.is_operator(head):
            return self.accounts.operator()
        raise Unauthenticated(NO_CREDENTIALS)

    def _session(self, cookie: str) -> Actor:
        """The operator's, given to a browser on loopback, ends with the mode that gave it."""
        who = self.accounts.authenticate_session(cookie)
        if who.user_id == self.accounts.operator().user_id and not (self._trusting() or self.mode == "off"):
            raise Unauthenticated(NO_CREDENTIALS)
        return who

    def _trusting(self) -> bool:
        """Whether the service's own Unix user may come without credentials at all."""
        return self.mode == "auto" and self.loopback

    def _changes(self, head: RequestHead) -> bool:
        return head.method not in SAFE_METHODS or head.path.startswith(self.changing)


def is_page(path: str) -> bool:
    return path in PAGES or path.startswith("/ui/")


def session_cookie(header: str) -> str | None:
    """The session's cookie of a Cookie header; the first, as browsers put the most special one first."""
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name == SESSION_COOKIE and value:
            return value.strip('"')
    return None


def token_in_url(query: str) -> bool:
    """Whether a query string carries a token, which logs and histories would keep."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=TOO_MANY)
    except ValueError:
        return False
    return any(name.lower() in URL_TOKENS or is_secret(value) for name, value in pairs)
