"""A request as it arrives: parsed, judged by the gate when its headers are in, its body spooled; and files to send."""

from __future__ import annotations

import errno
import logging
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from waitress.buffers import OverflowableBuffer, ReadOnlyFileBasedBuffer, TempfileBasedBuffer
from waitress.parser import HTTPRequestParser, get_header_lines
from waitress.receiver import ChunkedReceiver

from api.services.access import Admission, Refusal, RequestHead

if TYPE_CHECKING:
    from api.serving.server import Server

log = logging.getLogger(__name__)
Ends = tuple[tuple[str, int], tuple[str, int]]  # address and port of the client and of us

MEMORY_BODY = 512 * 1024  # bytes of a body kept in memory; more is spooled to a file
CHUNK_LINE = 4096  # bytes of a chunk's size line
CHUNK_OVERHEAD = 16  # times the body's limit that its chunked form may have, and 64 KiB


# ---- bodies and files


class Spool(OverflowableBuffer):  # type: ignore[misc]
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


class File(ReadOnlyFileBasedBuffer):  # type: ignore[misc]
    """`wsgi.file_wrapper`: sends Content-Length bytes from where the file stands."""

    obeys_content_length = True

    def get(self, numbytes: int = -1, skip: bool = False) -> bytes:
        data: bytes = super().get(numbytes, skip)
        if not data and self.remain:
            raise OSError(errno.EIO, "a file became shorter while it was sent")
        return data


# ---- requests


class Refused:
    """A Refusal, as waitress knows errors."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        refusal = self._refusal
        status = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
        return status, [*refusal.headers, ("Content-Type", refusal.content_type)], refusal.body


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request as it arrives. One that is refused is complete at once, and its body never becomes another."""

    path = command = ""  # of what could not be parsed; waitress logs them
    body_rcv: Any = None  # where the body goes; None: there is none
    head: RequestHead | None = None
    admission: Admission | None = None
    body_started: float | None = None

    def __init__(self, adj: Any, server: Server | None = None, ends: Ends | None = None) -> None:
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
        if not isinstance(self.error, Refused):
            most = f"the request's head is larger than {self.adj.max_request_header_size} bytes"
            self._refuse(self.error.code, most if self.error.code == 431 else self.error.body)
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
        if self.body_rcv is None:
            self.expect_continue = False  # waitress would wait for a body that never comes
        if self.error is not None:
            self.body_rcv, self.content_length, self.chunked = None, 0, False
        elif self.body_rcv is not None and self._server is not None:
            self.body_rcv.buf = Spool(self._server.options.tmp_dir)
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
            self.error = Refused(verdict)
        else:
            self.admission = verdict

    def _check_chunks(self, body: Any) -> None:
        limit = self.admission.body_limit if self.admission else 0
        if len(body) > limit or self.body_bytes_received > CHUNK_OVERHEAD * limit + 65536:
            self._refuse(413, f"the body is larger than {limit} bytes")
        elif len(body.control_line) > CHUNK_LINE or len(body.trailer) > self.adj.max_request_header_size:
            self._refuse(400, "a chunk's size line or the trailer is too long")

    def _refuse(self, status: int, message: str) -> None:
        if self.head is None and self.path:  # what is wrong came after it: say it in the path's dialect
            self.head = self._make_head(frozenset())
        if self._server is not None:
            self.error = Refused(self._server.gate.refusal(self.head, status, message))


def _field_lines(header_plus: bytes) -> list[bytes]:
    lines: list[bytes] = get_header_lines(header_plus.partition(b"\r\n")[2])
    return lines
