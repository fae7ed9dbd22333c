"""The server itself: its sockets and limits, the loop that does all reading and writing, and an orderly end."""

from __future__ import annotations

import errno
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from api.services.access import Gate
from api.serving.channel import Channel, Listener
from api.serving.options import ServeError, ServeOptions, check_waitress

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CROWDED = 0.8  # of the connection limit; from there on idle connections go after channel.CROWDED_IDLE
SWEEP = 0.5  # seconds between two looks for dawdlers
FILES = 16384  # open files to ask the system for


def listening_socket(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """Raises ServeError naming the address. A name is listened on at its first address, IPv4 before IPv6."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ServeError(f"cannot listen on {where}: unknown host") from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except (OSError, OverflowError) as problem:
        sock.close()
        number = getattr(problem, "errno", None)
        why = {errno.EADDRINUSE: "address in use", errno.EACCES: "permission denied"}.get(number or 0, str(problem))
        raise ServeError(f"cannot listen on {where}: {why}") from None
    return sock


def raise_file_limit(wanted: int = FILES) -> int:
    """Lets this process have more open files, as far as it may; says how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else soft


class Server:
    """Listens from its making on, answers while `run` runs. `closing` is set when the end has begun."""

    def __init__(self, app: WSGIApplication, gate: Gate, options: ServeOptions) -> None:
        check_waitress()
        self.app, self.gate, self.options = app, gate, options
        self.closing = threading.Event()
        self._ended = threading.Event()
        self._runner: int | None = None
        self._deadline = 0.0
        self._map: dict[int, Any] = {}
        self._limit = max(16, min(options.connection_limit, (raise_file_limit() - 128) // 2))
        options.tmp_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        sockets: list[socket.socket] = []
        try:
            for host, port in options.listen:
                sockets.append(listening_socket(host, port))
        except ServeError:
            for sock in sockets:
                sock.close()
            raise
        self._pool = ThreadedTaskDispatcher()
        shared = {"map": self._map, "dispatcher": self._pool, "adj": self._adjustments(sockets)}
        self._listeners = [Listener(self, sock, shared) for sock in sockets]

    def _adjustments(self, sockets: list[socket.socket]) -> Any:
        options = self.options
        return Adjustments(
            sockets=sockets,
            threads=options.threads + options.max_streams,
            connection_limit=self._limit,
            asyncore_use_poll=True,
            backlog=1024,
            recv_bytes=65536,
            max_request_header_size=options.max_header,
            max_request_body_size=options.max_body + 1,
            expose_tracebacks=False,
            ident=None,
            channel_request_lookahead=1,
        )

    @property
    def addresses(self) -> list[str]:
        """`http://HOST:PORT` of each listener, in the order of the options."""
        ends = [(one.effective_host, one.effective_port) for one in self._listeners]
        return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host, port in ends]

    def run(self) -> None:
        """Answers requests until `close` or `shutdown`."""
        if self._ended.is_set():
            return
        self._runner = threading.get_ident()
        self._pool.set_thread_count(self.options.threads + self.options.max_streams)
        next_sweep = 0.0
        try:
            while not self.closing.is_set():
                wasyncore.poll2(SWEEP, self._map)
                if time.monotonic() >= next_sweep:
                    self._sweep()
                    next_sweep = time.monotonic() + SWEEP
            self._drain()
        finally:
            self._end()

    def shutdown(self, deadline_s: float = 8.0) -> None:
        """Asks `run` to end within a time, and returns at once; may be called from a signal handler."""
        self._deadline = time.monotonic() + deadline_s
        self.closing.set()
        self._listeners[0].pull_trigger()

    def close(self, deadline_s: float = 8.0) -> None:
        """Accepts nobody more, answers what is in flight, cuts off what is not done by the deadline."""
        self.shutdown(deadline_s)
        if self._runner is None:
            self._end()
        elif self._runner != threading.get_ident():
            self._ended.wait(deadline_s + 1.0)

    def _channels(self) -> list[Channel]:
        return [one for one in list(self._map.values()) if isinstance(one, Channel)]

    def _sweep(self) -> None:
        now = time.monotonic()
        crowded = len(self._map) > CROWDED * self._limit
        self._close_where(lambda channel: channel.overdue(now, crowded))

    def _close_where(self, condition: Callable[[Channel], bool]) -> None:
        for channel in self._channels():
            if condition(channel):
                channel.handle_close()

    def _drain(self) -> None:
        for listener in self._listeners:
            listener.stop_accepting()
        wasyncore.poll2(0.0, self._map)
        while time.monotonic() < self._deadline:
            self._close_where(lambda channel: channel.idle)
            if not self._channels():
                return
            wasyncore.poll2(0.05, self._map)
            self._sweep()

    def _end(self) -> None:
        if self._ended.is_set():
            return
        self._close_where(lambda _channel: True)
        left = max(0.2, self._deadline - time.monotonic())
        if self._pool.threads:
            self._pool.shutdown(timeout=left)
        self._ended.set()
        for listener in self._listeners:
            listener.end()
