"""The HTTP server: waitress, with a gate at the end of the headers and an eye on clients that dawdle.

Works on waitress's internals (`check_waitress` says which) and owns its I/O loop. One thread does all the reading and
writing; the pool's threads run the application and never wait for a client that reads a file slowly.

What a request finds in its WSGI environ besides the usual:
`trainyard.actor` (what the gate's `authenticate` answered), `trainyard.head` (the RequestHead),
`trainyard.closing` (an Event: a stream ends when it is set) and `waitress.client_disconnected`.
"""

from __future__ import annotations

import errno
import logging
import resource
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer, ReadOnlyFileBasedBuffer, TempfileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, get_header_lines
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

from api.services.access import Admission, Gate, Refusal, RequestHead

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)
_Ends = tuple[tuple[str, int], tuple[str, int]]  # address and port of the client and of us

MEMORY_BODY = 512 * 1024  # bytes of a body kept in memory; more is spooled to a file
TURN_BYTES = 1024 * 1024  # bytes to one client before the others have their turn
PIECE_BYTES = 256 * 1024  # bytes read from a file at once
CHUNK_LINE = 4096  # bytes of a chunk's size line
CHUNK_OVERHEAD = 16  # times the body's limit that its chunked form may have, and 64 KiB
CROWDED = 0.8  # of the connection limit; from there on idle connections go after CROWDED_IDLE
CROWDED_IDLE = 1.0  # seconds
SWEEP = 0.5  # seconds between two looks for dawdlers
FILES = 16384  # open files to ask the system for


class ServeError(Exception):
    """The server cannot start; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Times in seconds, sizes in bytes."""

    listen: tuple[tuple[str, int], ...]  # host and port; port 0: a free one
    tmp_dir: Path  # large bodies wait here, best on the data volume
    threads: int = 16
    max_streams: int = 128  # a thread each, besides the others
    max_body: int = 50 * 1024**3  # whatever the gate allows
    max_header: int = 32768
    connection_limit: int = 2000
    header_timeout: float = 10.0  # from the first byte (or the connection) to the end of the headers
    idle_timeout: float = 60.0  # between requests; and with nothing read or sent in the middle of one
    body_grace: float = 30.0  # after that a body must have come at body_rate
    body_rate: float = 1000.0  # bytes a second, on average
    linger: float = 5.0  # reading on after a refusal, so that the client gets to see it


def check_waitress() -> None:
    """Raises ServeError unless waitress is one whose internals we know."""
    found = version("waitress")
    known = {
        HTTPChannel: "received readable writable handle_read handle_write handle_close service write_soon send "
        "_flush_some _flush_exception parser_class task_class error_task_class",
        HTTPRequestParser: "received parse_header close header_bytes_received body_rcv expect_continue",
        ReadOnlyFileBasedBuffer: "prepare get skip close",
        OverflowableBuffer: "_set_large_buffer",
        TcpWSGIServer: "maintenance handle_accept pull_trigger channel_class",
        ThreadedTaskDispatcher: "set_thread_count shutdown add_task",
        WSGITask: "get_environment build_response_header set_close_on_finish",
    }
    missing = [f"{owner.__name__}.{name}" for owner, names in known.items() for name in names.split()
               if not hasattr(owner, name)]  # fmt: skip
    if tuple(found.split(".")[:2]) != ("3", "0") or found in ("3.0.0", "3.0.1") or missing:
        lacking = f" (it lacks {', '.join(missing)})" if missing else ""
        raise ServeError(f"waitress {found} cannot be used: this service needs >=3.0.2,<3.1{lacking}")


# ---- bodies and files


class _Spool(OverflowableBuffer):  # type: ignore[misc]
    """A body; a large one is a nameless file in our own directory."""

    buf: Any

    def __init__(self, directory: Path) -> None:
        super().__init__(MEMORY_BODY)
        self._directory = directory

    def _set_large_buffer(self) -> None:
        small = self.buf
        self.buf = _SpoolFile(self._directory, small)
        if small is not None:
            small.close()
        self.overflowed = True


class _SpoolFile(TempfileBasedBuffer):  # type: ignore[misc]
    def __init__(self, directory: Path, from_buffer: Any) -> None:
        self._directory = directory
        super().__init__(from_buffer)

    def newfile(self) -> Any:
        return TemporaryFile("w+b", dir=self._directory)


class _File(ReadOnlyFileBasedBuffer):  # type: ignore[misc]
    """`wsgi.file_wrapper`: sends Content-Length bytes from where the file stands."""

    obeys_content_length = True

    def get(self, numbytes: int = -1, skip: bool = False) -> bytes:
        data: bytes = super().get(numbytes, skip)
        if not data and self.remain:
            raise OSError(errno.EIO, "a file became shorter while it was sent")
        return data


# ---- requests


class _Refused:
    """A Refusal, as waitress knows errors."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        refusal = self._refusal
        status = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
        return status, [*refusal.headers, ("Content-Type", refusal.content_type)], refusal.body


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request as it arrives. One that is refused is complete at once, and its body never becomes another."""

    path = command = ""  # of what could not be parsed; waitress logs them
    head: RequestHead | None = None
    admission: Admission | None = None
    body_started: float | None = None

    def __init__(self, adj: Any, server: Server | None = None, ends: _Ends | None = None) -> None:
        super().__init__(adj)
        self._server = server
        self._ends = ends or (("", 0), ("", 0))
        self.started = time.monotonic()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error is None and self.chunked and isinstance(self.body_rcv, ChunkedReceiver):
            self._check_chunks(self.body_rcv)
        if self.error is None:
            return consumed
        if not isinstance(self.error, _Refused):
            self._refuse(self.error.code, self.error.body)
        self.completed, self.expect_continue = True, False
        self.close()
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.header_bytes_received >= self.adj.max_request_header_size:
            return  # not the client's header, but what waitress puts in its place for a 431
        self.path = "/" + self.path.lstrip("/")  # what the router makes of it; gate and router must agree
        names = Counter(line.partition(b":")[0].lower().decode("latin-1") for line in _field_lines(header_plus))
        self.head = self._make_head(frozenset(name for name, times in names.items() if times > 1))
        problem = self._framing_problem(set(names))
        if problem:
            self._refuse(400, problem)
        else:
            self._pass_gate(self.head)
        if self.error is not None:
            self.body_rcv, self.content_length, self.chunked = None, 0, False
        elif self.body_rcv is not None and self._server is not None:
            self.body_rcv.buf = _Spool(self._server.options.tmp_dir)
            self.body_started = time.monotonic()

    def _make_head(self, duplicated: frozenset[str]) -> RequestHead:
        headers = {name.lower().replace("_", "-"): value for name, value in self.headers.items()}
        remote, local = self._ends
        path = self.path.encode("latin-1").decode("utf-8", "replace")
        return RequestHead(self.command, path, self.query, headers, duplicated, *remote, *local)

    def _framing_problem(self, names: set[str]) -> str | None:
        """What servers read differently, and attackers use."""
        if "transfer-encoding" in names and ("content-length" in names or self.version != "1.1"):
            return "Transfer-Encoding cannot be used with Content-Length, or before HTTP/1.1"
        if self.proxy_netloc and self.proxy_netloc.lower() != self.headers.get("HOST", "").lower():
            return "the request's target and its Host header name different servers"
        return None

    def _pass_gate(self, head: RequestHead) -> None:
        if self._server is None:
            return
        try:
            verdict = self._server.gate.check(head)
        except Exception:
            log.exception("the gate failed at %s %s", head.method, head.path)
            self._refuse(500, "something went wrong here; the service's log has it")
            return
        if isinstance(verdict, Refusal):
            self.error = _Refused(verdict)
        else:
            self.admission = verdict

    def _check_chunks(self, body: Any) -> None:
        limit = self.admission.body_limit if self.admission else 0
        if len(body) > limit or self.body_bytes_received > CHUNK_OVERHEAD * limit + 65536:
            self._refuse(413, f"the body is larger than {limit} bytes")
        elif len(body.control_line) > CHUNK_LINE or len(body.trailer) > self.adj.max_request_header_size:
            self._refuse(400, "a chunk's size line or the trailer is too long")

    def _refuse(self, status: int, message: str) -> None:
        if self._server is not None:
            self.error = _Refused(self._server.gate.refusal(self.head, status, message))


def _field_lines(header_plus: bytes) -> list[bytes]:
    lines: list[bytes] = get_header_lines(header_plus.partition(b"\r\n")[2])
    return lines


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        server: Server = self.channel.server.owner
        environ["trainyard.actor"] = self.request.admission.actor
        environ["trainyard.head"] = self.request.head
        environ["trainyard.closing"] = server.closing
        environ["wsgi.file_wrapper"] = _File
        return environ

    def build_response_header(self) -> bytes:
        if self.channel.server.owner.closing.is_set():
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        failed = self.channel.requests[0] if self.channel.requests else self.request
        if not isinstance(self.request.error, _Refused):  # the application failed
            error = self.request.error
            self.request.error = _Refused(
                self.channel.server.owner.gate.refusal(failed.head, error.code, "something went wrong here")
            )
        refused: _Refused = self.request.error
        self.channel.refused = True
        self.status, headers, body = refused.to_response()
        self.response_headers.extend(headers)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(failed, "command", "") == "HEAD" else body)


# ---- connections


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. All its times are monotonic, so a clock that is set back keeps nobody alive."""

    task_class = _Task
    error_task_class = _ErrorTask

    def __init__(self, server: _Listener, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.owner: Server = server.owner
        self.waiting_since = self.moved = time.monotonic()
        self.served = 0
        self.serving = False
        self.refused = False
        self.linger_until: float | None = None
        self._turn = TURN_BYTES
        ends = (_plain_end(addr), _plain_end(sock.getsockname()))
        self.parser_class = partial(_Parser, server=server.owner, ends=ends)
        super().__init__(server, sock, addr, adj, map=map)
        self.sendbuf_len: int = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), PIECE_BYTES)

    @property
    def idle(self) -> bool:
        """Neither a request nor an answer is on its way."""
        busy = self.requests or self.serving or self.request is not None
        return not (busy or self.total_outbufs_len or self.close_when_flushed or self.linger_until)

    def received(self, data: bytes) -> bool:
        self.moved = time.monotonic()
        if self.refused:
            return False
        more: bool = super().received(data)
        if any(request.error is not None for request in list(self.requests)):
            self.refused = True  # so has the error task, should it have been faster
        return more

    def service(self) -> None:
        self.serving = True
        try:
            super().service()
        except BaseException:
            self.cancel()  # waitress would keep the connection, and never serve it again
            raise
        finally:
            self.waiting_since = time.monotonic()
            self.served += 1
            self.serving = False

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self.moved = time.monotonic()
        written: int = super().write_soon(data)
        return written

    def _flush_some(self, do_close: bool = True) -> bool:
        self._turn = TURN_BYTES
        sent: bool = super()._flush_some(do_close=do_close)
        if sent:
            self.moved = time.monotonic()
        return sent

    def send(self, data: bytes, do_close: bool = True) -> int:
        if self._turn <= 0 or not self.connected:
            return 0  # waitress takes it for a full socket and comes back
        sent: int = super().send(data, do_close=do_close)
        self._turn -= sent
        return sent

    # -- after a refusal: say it, then read on for a while, since closing with unread input would take it back

    def handle_write(self) -> None:
        if self.will_close or not (self.refused and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self._start_lingering()

    def _start_lingering(self) -> None:
        self.close_when_flushed = False
        self.linger_until = time.monotonic() + self.owner.options.linger
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client was faster
            self.will_close = True

    def readable(self) -> bool:
        if self.refused and not self.will_close:
            return True  # and throw it away
        return bool(super().readable())

    def handle_close(self) -> None:
        super().handle_close()
        request = self.request
        if request is not None:
            request.close()

    def overdue(self, now: float, crowded: bool) -> bool:
        """Whether the client has dawdled for too long."""
        options = self.owner.options
        if self.will_close:
            return True  # a full socket would never be told
        if self.linger_until:
            return now > self.linger_until
        if self.total_outbufs_len:
            return now - self.moved > options.idle_timeout
        if self.requests or self.serving or self.close_when_flushed:
            return not self.readable() and self._hung_up()
        request = self.request
        if request is not None and request.body_started is not None:
            return self._body_overdue(now, request)
        begun = request is not None or not self.served
        since = self.waiting_since if not self.served else max(self.waiting_since, request.started if request else 0.0)
        patience = options.header_timeout if begun else options.idle_timeout
        idle = now - self.waiting_since > options.idle_timeout
        return idle or now - since > (min(patience, CROWDED_IDLE) if crowded else patience)

    def _hung_up(self) -> bool:
        """Whether the client has gone; waitress reads no more, and would not see it, while a second request waits."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _body_overdue(self, now: float, request: Any) -> bool:
        options = self.owner.options
        taken = now - max(request.body_started, self.waiting_since)
        slow = taken > options.body_grace and request.body_bytes_received < options.body_rate * taken
        return slow or now - self.moved > options.idle_timeout


def _plain_end(end: tuple[Any, ...]) -> tuple[str, int]:
    """Address and port, without an IPv6 zone."""
    return str(end[0]).partition("%")[0], int(end[1])


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def __init__(self, owner: Server, sock: socket.socket, shared: dict[str, Any]) -> None:
        self.owner = owner
        self._pulling = threading.RLock()  # a signal handler pulls too
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(owner.app, _sock=sock, sockinfo=info, bind_socket=False, **shared)

    def maintenance(self, now: float) -> None:
        """The server's own sweep does it."""

    def pull_trigger(self) -> None:
        """A thread that was left behind at the end must not write into a descriptor that is somebody else's by then."""
        with self._pulling:
            if self.trigger.trigger is not None:
                super().pull_trigger()

    def end(self) -> None:
        with self._pulling:
            self.trigger.close()
            self.trigger.trigger = None
        wasyncore.dispatcher.close(self)

    def stop_accepting(self) -> None:
        """Takes in who is waiting already, then closes the socket; its connections go on."""
        before = -1
        while len(self.active_channels) != before:
            before = len(self.active_channels)
            self.handle_accept()
        wasyncore.dispatcher.close(self)


# ---- the server


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
        self._listeners = [_Listener(self, sock, shared) for sock in sockets]

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

    def _channels(self) -> list[_Channel]:
        return [one for one in list(self._map.values()) if isinstance(one, _Channel)]

    def _sweep(self) -> None:
        now = time.monotonic()
        crowded = len(self._map) > CROWDED * self._limit
        self._close_where(lambda channel: channel.overdue(now, crowded))

    def _close_where(self, condition: Callable[[_Channel], bool]) -> None:
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
