"""One HTTP request to somewhere else: over urllib3, to an address that was checked, within a time, and no further.

urllib3 is imported here and nowhere else, and this by who is about to send: a service without webhooks never does.
No redirect is followed, no proxy of the environment is used, and of the answer a few kilobytes are read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from api.utils.outbound import Permitted, Refused, Resolved, Resolver, Target, Unreachable, checked, parse, resolve

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
KEPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # the first KEPT_BYTES of it


@dataclass(frozen=True, slots=True)
class Outbound:
    """How requests leave. Times in seconds; `total` holds for all of it, however slowly it comes."""

    permitted: Permitted
    connect: float = CONNECT_SECONDS
    total: float = TOTAL_SECONDS
    resolver: Resolver = resolve
    ca_file: str | None = None  # instead of the system's certificates

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises Refused and Unreachable; any status is an answer."""
        try:
            target = parse(url)
        except ValueError as problem:
            raise Refused(f"the URL {problem}") from None
        dial = _Dial(self, target)
        try:
            with dial.limited():
                return self._exchange(dial, target, body, headers)
        except (HTTPError, OSError) as problem:
            if dial.expired.is_set() or isinstance(problem, ReadTimeoutError):  # whichever of the two clocks was first
                raise Unreachable(dial.too_late) from None
            raise Unreachable(_told(problem)) from problem

    def _exchange(self, dial: _Dial, target: Target, body: bytes, headers: Mapping[str, str]) -> Reply:
        with _pool(dial, target, self) as pool:
            response = pool.urlopen(
                "POST", target.path, body=body, headers=dict(headers), retries=False, redirect=False,
                assert_same_host=False, preload_content=False, decode_content=False,
            )  # fmt: skip
            try:
                if dial.expired.is_set():  # cut off within its head, it looks like one that ended there
                    raise Unreachable(dial.too_late)
                return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, _beginning(response))
            finally:
                response.close()


def _pool(dial: _Dial, target: Target, how: Outbound) -> HTTPConnectionPool:
    timeout = Timeout(connect=how.connect, read=how.total)
    if target.scheme == "http":
        return _Pool(target.host, target.port, timeout=timeout, retries=False, dial=dial)
    return _TlsPool(target.host, target.port, timeout=timeout, retries=False, dial=dial, ca_certs=how.ca_file)


def _beginning(response: Any) -> bytes:
    """What there is of it: the status has been told, and a body that breaks off changes nothing about it."""
    try:
        return bytes(response.read(KEPT_BYTES) or b"")
    except (HTTPError, OSError):
        return b""


def _told(problem: Exception) -> str:
    """Without the URL, which may be a credential."""
    cause = problem.args[-1] if isinstance(problem, SSLError) and problem.args else problem
    if isinstance(problem, SSLError):
        return (
            f"TLS failed: {getattr(cause, 'verify_message', None) or getattr(cause, 'reason', None) or 'no handshake'}"
        )
    return f"the connection broke off ({type(problem).__name__})"


@dataclass(slots=True)
class _Dial:
    """The one connection of a request: resolved, checked, opened, watched."""

    how: Outbound
    target: Target
    expired: threading.Event = field(default_factory=threading.Event)
    _began: float = field(default_factory=time.monotonic)
    _wire: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def too_late(self) -> str:
        return f"no whole answer within {self.how.total:g} s"

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Timeouts of a socket hold for each read; a peer that sends a byte now and then is ended by this."""
        watch = threading.Timer(self.how.total, self._cut)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()
            with self._lock:
                if self._wire is not None:
                    self._wire.close()

    def _cut(self) -> None:
        self.expired.set()
        with self._lock, contextlib.suppress(OSError):
            if self._wire is not None:
                self._wire.shutdown(socket.SHUT_RDWR)

    def open(self) -> socket.socket:
        """Connected to an address that was checked. Raises Refused and Unreachable."""
        host, port = self.target.host, self.target.port
        problem: OSError | None = None
        for family, place in checked(self._resolved(), host, port, self.how.permitted):
            left = self.how.connect - (time.monotonic() - self._began)
            if left <= 0:
                break
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(left)
                sock.connect(place)
                if sock.getpeername()[0].partition("%")[0] != place[0].partition("%")[0]:
                    raise Refused("the connection leads somewhere else than was asked for")
                self._watch(sock)
                return sock
            except OSError as failed:
                problem = failed
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise Unreachable(f"cannot connect: {(problem and problem.strerror) or f'not within {self.how.connect:g} s'}")

    def _watch(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:  # a descriptor of our own: TLS takes the socket over
            self._wire = socket.socket(fileno=os.dup(sock.fileno()))

    def _resolved(self) -> Resolved:
        """A resolver cannot be interrupted, so it is asked in a thread that may be left behind."""
        told: list[Resolved | Exception] = []
        asking = threading.Thread(target=self._ask, args=(told,), name="resolver", daemon=True)
        asking.start()
        asking.join(self.how.connect)
        if not told:
            raise Unreachable(f"the host's address was not found within {self.how.connect:g} s")
        if isinstance(told[0], Exception):
            raise Unreachable("the host has no address")
        return told[0]

    def _ask(self, told: list[Resolved | Exception]) -> None:
        try:
            told.append(self.how.resolver(self.target.host, self.target.port))
        except (OSError, UnicodeError) as problem:
            told.append(problem)


class _Checked:
    """What both kinds of connection change: who opens the socket."""

    def __init__(self, *args: Any, dial: _Dial, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial.open()


class _Connection(_Checked, HTTPConnection):
    pass


class _TlsConnection(_Checked, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
