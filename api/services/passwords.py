"""Passwords: hashed with scrypt, few at a time, and only so many wrong ones a minute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.utils.errors import TooMany, Unavailable


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's parameters; a hash names its own, so that they can be raised later. These take 16 MiB."""

    n: int = 2**14
    r: int = 8
    p: int = 1


class Hasher:
    """Hashes and verifies, `at_once` at a time with `in_line` callers at most; more are turned away."""

    def __init__(self, cost: Cost | None = None, *, at_once: int = 2, in_line: int = 10) -> None:
        self._cost = cost or Cost()
        self._slots = threading.BoundedSemaphore(at_once)
        self._line = threading.BoundedSemaphore(in_line)
        self._nobody = self._encode("", b"\0" * 16)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place to hash in. Raises Unavailable at once when the line is full."""
        if not self._line.acquire(blocking=False):
            raise Unavailable("too many sign-ins at a time; try again", retry_after=1)
        try:
            with self._slots:
                yield
        finally:
            self._line.release()

    def hash(self, password: str) -> str:
        with self.slot():
            return self._encode(password, secrets.token_bytes(16))

    def matches(self, password: str, known: str | None) -> bool:
        """Whether it is the password; a user without one costs the same time. Call it within `slot()`."""
        _, parameters, salt, digest = (known or self._nobody).split("$")
        n, r, p = (int(part) for part in parameters.split(","))
        given = _scrypt(password, base64.b64decode(salt), Cost(n, r, p))
        return hmac.compare_digest(given, base64.b64decode(digest)) and known is not None

    def _encode(self, password: str, salt: bytes) -> str:
        cost = self._cost
        parts = [base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt, cost))]
        return "$".join(["scrypt", f"{cost.n},{cost.r},{cost.p}", *parts])


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    room = 128 * cost.r * (cost.n + cost.p + 2) * 2
    return hashlib.scrypt(text, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=room, dklen=32)


Attempt = tuple[str, str]  # the user's name key, the caller's address


class FailureLimit:
    """So many failures within `window` seconds for a (user, address); successes cost nothing."""

    def __init__(self, clock: Callable[[], float], *, most: int = 5, window: float = 60.0) -> None:
        self._clock = clock
        self._most = most
        self._window = window
        self._lock = threading.Lock()
        self._failures: dict[Attempt, deque[float]] = {}

    def check(self, who: Attempt) -> None:
        """Raises TooMany when there were too many failures."""
        with self._lock:
            self._recent(who, self._clock())

    def begin(self, who: Attempt) -> float:
        """Counts an attempt as failed until `succeeded` says otherwise, so that parallel tries cannot outrun it."""
        with self._lock:
            now = self._clock()
            self._forget_old(now)
            recent = self._recent(who, now)
            recent.append(now)
            self._failures[who] = recent
            return now

    def succeeded(self, who: Attempt, begun: float) -> None:
        with self._lock:
            recent = self._failures.get(who)
            if recent and begun in recent:
                recent.remove(begun)

    def _recent(self, who: Attempt, now: float) -> deque[float]:
        recent = self._failures.get(who, deque())
        while recent and recent[0] <= now - self._window:
            recent.popleft()
        if len(recent) >= self._most:
            wait = max(1, math.ceil(recent[0] + self._window - now))
            raise TooMany("too many failed attempts; try again later", retry_after=wait)
        return recent

    def _forget_old(self, now: float) -> None:
        """Names that nobody has tried for a while; the cost of a hash bounds how many there can be."""
        if len(self._failures) > 1000:
            start = now - self._window
            self._failures = {who: at for who, at in self._failures.items() if at and at[-1] > start}
