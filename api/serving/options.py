"""What a server is told, and whether it can be one: its options, and the waitress that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from waitress.buffers import OverflowableBuffer, ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask


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
