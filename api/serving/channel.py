"""A connection, from its acceptance to its end: its answers, fair shares of sending, and how long it may dawdle."""

from __future__ import annotations

import select
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from api.serving.request import File, Parser, Refused

if TYPE_CHECKING:
    from api.serving.server import Server

TURN_BYTES = 1024 * 1024  # bytes to one client before the others have their turn
PIECE_BYTES = 256 * 1024  # bytes read from a file at once
CROWDED_IDLE = 1.0  # seconds that a connection may be idle while the server is crowded


# ---- answers


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        server: Server = self.channel.server.owner
        environ["trainyard.actor"] = self.request.admission.actor
        environ["trainyard.head"] = self.request.head
        environ["trainyard.closing"] = server.closing
        environ["wsgi.file_wrapper"] = File
        return environ

    def build_response_header(self) -> bytes:
        if self.channel.server.owner.closing.is_set():
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        failed = self.channel.requests[0] if self.channel.requests else self.request
        if not isinstance(self.request.error, Refused):  # the application failed
            error = self.request.error
            self.request.error = Refused(
                self.channel.server.owner.gate.refusal(failed.head, error.code, "something went wrong here")
            )
        refused: Refused = self.request.error
        self.channel.refused = True
        self.status, headers, body = refused.to_response()
        self.response_headers.extend(headers)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(failed, "command", "") == "HEAD" else body)


# ---- connections


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. All its times are monotonic, so a clock that is set back keeps nobody alive."""

    task_class = _Task
    error_task_class = _ErrorTask

    def __init__(self, server: Listener, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.owner: Server = server.owner
        self.waiting_since = self.moved = time.monotonic()
        self.served = 0
        self.serving = False
        self.refused = False
        self.linger_until: float | None = None
        self._turn = TURN_BYTES
        ends = (_plain_end(addr), _plain_end(sock.getsockname()))
        self.parser_class = partial(Parser, server=server.owner, ends=ends)
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


class Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel

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
