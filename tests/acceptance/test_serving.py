"""A server among slow, idle, vanishing and hostile clients, over real sockets."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import serving
from api.models.accounts import Actor, Role, Scope
from api.services.access import Admission, Gate, HostPolicy, Refusal, RequestHead
from api.serving import ServeError, ServeOptions, Server
from api.utils.downloads import file_response, open_beneath
from api.utils.errors import Unavailable
from api.utils.sse import disconnected, event
from api.utils.streams import Streams

ACTOR = Actor(7, "ann", Role.MEMBER, frozenset(Scope))
BIG = 64 * 1024 * 1024
LIMIT = 2_000_000


@dataclass
class Site:
    """A small application, and what it and the gate have seen."""

    directory: Path
    max_streams: int = 4
    heads: list[RequestHead] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.streams = Streams(self.max_streams)

    # -- the gate

    def gate(self) -> Gate:
        return Gate(HostPolicy.of(["127.0.0.1"]), self.authenticate, lambda _head: LIMIT, refusal)

    def authenticate(self, head: RequestHead) -> Actor | Refusal | None:
        self.heads.append(head)
        if head.path == "/gate-fails":
            raise ZeroDivisionError
        if head.path in ("/healthz", "/status"):
            return None
        return ACTOR if head.headers.get("authorization") == "Token good" else refusal(head, 401, "who?")

    # -- the application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.served.append(path)
        if path == "/stream":
            return self.stream(environ, start_response)
        if path == "/file":
            return self.file(environ, start_response)
        if path == "/wait":
            self.entered.release()
            self.release.wait(20)
        if path == "/fails":
            raise ZeroDivisionError("secret")
        if path == "/endless":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return self.endless()
        actor: Actor | None = environ["trainyard.actor"]
        body = environ["wsgi.input"].read()
        return answer(start_response, {"path": path, "length": len(body), "who": actor.name if actor else None})

    def stream(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            place = self.streams.enter()
        except Unavailable as problem:
            return answer(start_response, {}, "503 Service Unavailable", ("Retry-After", str(problem.retry_after)))
        start_response("200 OK", [("Content-Type", "text/event-stream")])

        def body() -> Iterator[bytes]:
            try:
                yield event("hello")
                while not disconnected(environ) and not environ["trainyard.closing"].wait(0.1):
                    pass
                yield event("bye")
            finally:
                place.leave()

        return body()

    def endless(self) -> Iterator[bytes]:
        try:
            self.entered.release()
            while True:
                yield b"x" * 1_000_000
        finally:
            self.served.append("endless ended")

    def file(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        file = open_beneath(self.directory, "big")
        status, headers, body = file_response(environ, file, BIG, environ.get("HTTP_RANGE"))
        start_response(f"{status} X", headers)
        return body


def answer(
    start_response: Callable[..., Any], data: Any, status: str = "200 OK", *more: tuple[str, str]
) -> list[bytes]:
    body = json.dumps(data).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *more])
    return [body]


def refusal(head: RequestHead | None, status: int, message: str) -> Refusal:
    body = json.dumps({"code": status, "message": message, "path": head.path if head else None}).encode()
    headers = (("WWW-Authenticate", "Token"),) if status == 401 else ()
    return Refusal(status, headers, body, "application/json")


@dataclass
class Running:
    server: Server
    site: Site
    thread: threading.Thread
    tmp_dir: Path

    @property
    def url(self) -> str:
        return self.server.addresses[0]

    def connect(self) -> socket.socket:
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=10)

    def status(self, timeout: float = 1.0) -> float:
        """Seconds that /status takes on a new connection."""
        begun = time.monotonic()
        assert httpx.get(self.url + "/status", timeout=timeout).status_code == 200
        return time.monotonic() - begun


@contextmanager
def serving_site(tmp_path: Path, **options: Any) -> Iterator[Running]:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(BIG)
    defaults: dict[str, Any] = {"listen": (("127.0.0.1", 0),), "threads": 4, "max_streams": 4, "linger": 1.0}
    chosen = ServeOptions(tmp_dir=tmp_path / "spool", **(defaults | options))
    site = Site(tmp_path, chosen.max_streams)
    server = Server(site, site.gate(), chosen)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Running(server, site, thread, tmp_path / "spool")
    finally:
        site.release.set()
        server.close(3)
        thread.join(10)
        assert not thread.is_alive()


def until(condition: Callable[[], Any], within: float = 5.0) -> float:
    """Waits for a condition, and says how many seconds that took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - begun


def request(path: str, *lines: str, method: str = "GET", token: bool = True) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(["Authorization: Token good"] if token else []), *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


def read_all(sock: socket.socket) -> bytes:
    """What arrives until the server closes; a reset is a failure."""
    got = bytearray()  # adding to bytes would copy all of them each time
    while data := sock.recv(65536):
        got += data
    return bytes(got)


def hear(sock: socket.socket, awaited: bytes) -> bytes:
    """What arrives until it has all that is awaited."""
    got = b""
    while awaited not in got:
        data = sock.recv(65536)
        assert data, got
        got += data
    return got


def talk(running: Running, data: bytes) -> tuple[int, dict[str, Any], bytes]:
    """Sends, reads to the end: status, JSON body and the whole answer."""
    with running.connect() as sock:
        sock.sendall(data)
        got = read_all(sock)
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), got


def drip(sock: socket.socket, piece: bytes, every: float = 0.05, most: float = 8.0) -> float:
    """Sends a piece at a time until the server closes; seconds until then."""
    begun = time.monotonic()
    while time.monotonic() - begun < most:
        try:
            sock.sendall(piece)
            if select.select([sock], [], [], every)[0] and not sock.recv(1000):
                break
        except ConnectionError:
            break
    return time.monotonic() - begun


def spooled(running: Running) -> int:
    """Bytes that this process holds in nameless files of the spool directory."""
    total = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(running.tmp_dir)):
                total += os.stat(f"/proc/self/fd/{descriptor}").st_size
        except FileNotFoundError:
            continue
    return total


# ---- listening


def test_several_ports_one_application(tmp_path: Path) -> None:
    with serving_site(tmp_path, listen=(("127.0.0.1", 0), ("127.0.0.1", 0), ("::1", 0))) as running:
        first, second, third = running.server.addresses
        assert len({first, second, third}) == 3
        assert re.fullmatch(r"http://\[::1\]:\d+", third)
        for address in (first, second, third):
            assert httpx.get(address + "/status").json()["path"] == "/status"
        assert len(running.site.heads) == 3


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        port = int(running.url.rsplit(":", 1)[1])
        options = replace(running.server.options, listen=(("127.0.0.1", 0), ("127.0.0.1", port)))
        with pytest.raises(ServeError, match=f"^cannot listen on 127.0.0.1:{port}: address in use$"):
            Server(running.site, running.site.gate(), options)  # type: ignore[arg-type]
    for host in ("no-such-host.invalid", "a" * 300):
        with pytest.raises(ServeError, match="unknown host"):
            serving.listening_socket(host, 0)
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1:1"):
        serving.listening_socket("192.0.2.1", 1)


def test_another_waitress_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    serving.check_waitress()
    monkeypatch.setattr(serving.options, "version", lambda _name: "3.1.0")
    with pytest.raises(ServeError, match=r"3\.1\.0"):
        serving.check_waitress()
    monkeypatch.undo()
    monkeypatch.delattr(serving.options.HTTPChannel, "_flush_some")
    with pytest.raises(ServeError, match="_flush_some"):
        serving.check_waitress()


def test_one_never_run_is_closed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    server = Server(site, site.gate(), ServeOptions(listen=(("127.0.0.1", 0),), tmp_dir=tmp_path))  # type: ignore[arg-type]
    server.close(1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.addresses[0])
    server.run()  # is over at once


# ---- dawdlers


def test_a_wrong_head_is_refused_in_its_paths_words(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        for line, expected in (
            ("Content-Length: x", 400),
            ("Content-Length: -1", 400),
            ("Transfer-Encoding: gzip", 501),
        ):
            status, body, _ = talk(running, request("/datasets/upload?x=1", line, method="POST"))
            assert (status, body["path"]) == (expected, "/datasets/upload")
        assert running.site.served == []


def test_a_body_that_never_comes_is_not_awaited(tmp_path: Path) -> None:
    """Some clients send `Expect: 100-continue` whatever they send."""
    with serving_site(tmp_path) as running:
        for lines in ((), ("Content-Length: 0",)):
            with running.connect() as sock:
                sock.sendall(request("/x", "Expect: 100-continue", *lines, method="POST"))
                assert hear(sock, b"}").startswith(b"HTTP/1.1 200 ")
        with running.connect() as sock:
            sock.sendall(request("/x", "Expect: 100-continue", "Content-Length: 2", method="POST"))
            assert hear(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            sock.sendall(b"{}")
            assert b'"length": 2' in hear(sock, b"}")


def test_headers_that_never_end_are_cut(tmp_path: Path) -> None:
    with serving_site(tmp_path, header_timeout=1.0) as running, running.connect() as sock, running.connect() as empty:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert 0.8 < drip(sock, b"X-A: b\r\n") < 3.0
        assert 0 <= drip(empty, b"\r\n\r\n") < 3.0
        assert running.site.heads == []


def test_a_second_request_has_its_own_time(tmp_path: Path) -> None:
    with serving_site(tmp_path, header_timeout=1.0, idle_timeout=1.5) as running, running.connect() as sock:
        sock.sendall(request("/status"))
        hear(sock, b"}")
        assert not select.select([sock], [], [], 1.2)[0]  # idle, which is not dawdling
        sock.sendall(request("/status"))
        hear(sock, b"}")
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert drip(sock, b"X-A: b\r\n") < 3.0


def test_an_idle_connection_ends(tmp_path: Path) -> None:
    with serving_site(tmp_path, idle_timeout=0.5) as running, running.connect() as sock:
        sock.sendall(request("/status"))
        assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_a_body_that_crawls_is_cut(tmp_path: Path) -> None:
    with serving_site(tmp_path, body_grace=0.5, body_rate=10_000) as running, running.connect() as sock:
        sock.sendall(request("/x", "Content-Length: 100000", method="POST"))
        assert 0.4 < drip(sock, b"x" * 50) < 3.0
        assert "/x" not in running.site.served


def test_a_body_that_stops_is_cut_and_its_file_freed(tmp_path: Path) -> None:
    with serving_site(tmp_path, idle_timeout=0.5) as running, running.connect() as sock:
        sock.sendall(request("/x", f"Content-Length: {LIMIT}", method="POST") + b"x" * (LIMIT - 1))
        until(lambda: spooled(running) == LIMIT - 1)
        assert read_all(sock) == b""
        until(lambda: spooled(running) == 0)


def test_an_aborted_upload_frees_its_file(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        with running.connect() as sock:
            sock.sendall(request("/x", f"Content-Length: {LIMIT}", method="POST") + b"x" * (LIMIT - 1))
            until(lambda: spooled(running) == LIMIT - 1)
        until(lambda: spooled(running) == 0)
        assert "/x" not in running.site.served


def test_idle_sockets_starve_nobody(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(running.connect())
        assert running.status() < 1.0


def test_more_idle_sockets_than_connections_starve_nobody_for_long(tmp_path: Path) -> None:
    with serving_site(tmp_path, connection_limit=60) as running, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(running.connect())
        assert running.status(timeout=6.0) < 6.0


# ---- the gate


def test_an_unauthenticated_upload_writes_nothing(tmp_path: Path) -> None:
    with serving_site(tmp_path, linger=5.0) as running:
        spools: list[int] = []
        with running.connect() as sock:
            sock.sendall(request("/x", "Content-Length: 1900000", method="POST", token=False))
            for _ in range(18):
                sock.sendall(b"x" * 100_000)
                spools.append(spooled(running))
            sock.sendall(b"x" * 100_000)
            got = read_all(sock)
        assert got.startswith(b"HTTP/1.1 401") and b"www-authenticate: token" in got.lower()
        assert got.lower().count(b"connection: close") == 1
        assert set(spools) == {0}
        assert running.site.served == []


def test_a_refused_client_is_not_asked_to_continue(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        lines = ("Content-Length: 1000", "Expect: 100-continue")
        status, _, got = talk(running, request("/x", *lines, method="POST", token=False))
        assert status == 401 and b"100 Continue" not in got
        with running.connect() as sock:
            sock.sendall(request("/x", *lines, method="POST"))
            hear(sock, b"100 Continue\r\n\r\n")
            sock.sendall(b"x" * 1000)
            hear(sock, b'"length": 1000')


def test_a_refused_body_is_never_a_request(tmp_path: Path) -> None:
    with serving_site(tmp_path, linger=5.0) as running:
        inner = request("/smuggled", method="POST")
        outer = request("/x", f"Content-Length: {len(inner)}", method="POST", token=False)
        for data in (outer + inner, b"nonsense\r\n\r\n" + inner):
            with running.connect() as sock:
                sock.sendall(data)
                assert read_all(sock).count(b"HTTP/1.") == 1
        with running.connect() as sock:
            sock.sendall(outer)
            assert b"who?" in read_all(sock)
            sock.sendall(inner)  # after the answer, while the server lingers
            sock.shutdown(socket.SHUT_WR)
            until(lambda: not running.server._channels())
        assert [head.path for head in running.site.heads] == ["/x", "/x"]
        assert running.site.served == []


def test_too_large_bodies(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        status, body, _ = talk(running, request("/x", f"Content-Length: {LIMIT + 1}", method="POST"))
        assert (status, body["code"]) == (413, 413)
        chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        chunked = request("/x", "Transfer-Encoding: chunked", method="POST")
        status, body, _ = talk(running, chunked + chunk * 21)
        assert (status, body["path"]) == (413, "/x")
        until(lambda: spooled(running) == 0)
        token = {"Authorization": "Token good"}
        ok = httpx.post(running.url + "/x", content=iter([b"x" * 100_000] * 20), headers=token)
        assert ok.json()["length"] == LIMIT
        assert running.site.served == ["/x"]


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (["Content-Length: 5", "Content-Length: 5"], b"xxxxx"),
        (["Content-Length: 5", "Content-Length: 6"], b"xxxxx"),
        (["Content-Length: +5"], b"xxxxx"),
        (["Transfer-Encoding: chunked"], b"zz\r\n"),
        (["Transfer-Encoding: chunked"], b"1;" + b"x" * 10_000),
        (["Transfer-Encoding: chunked"], b"0\r\nX: " + b"y" * 40_000),
        (["Host: 127.0.0.1"], b""),
        (["Host: evil"], b""),
        (["no colon"], b""),
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, lines: list[str], body: bytes) -> None:
    with serving_site(tmp_path) as running:
        status, answered, _ = talk(running, request("/x", *lines, method="POST") + body)
        assert (status, answered["code"]) == (400, 400)
        assert running.site.served == []


@pytest.mark.parametrize("target", ["http://evil/x", "http://evil@127.0.0.1/x", "//evil/../x?q"])
def test_a_target_of_another_host(tmp_path: Path, target: str) -> None:
    with serving_site(tmp_path) as running:
        status, body, _ = talk(running, request(target, "Connection: close"))
        if target.startswith("//"):
            assert (status, body["path"]) == (200, "/evil/../x")
            assert running.site.heads[0].path == "/evil/../x"
        else:
            assert status == 400


@pytest.mark.parametrize(
    "target", ["//terminate/x", "terminate/x", "/%74erminate/x", "///terminate%2fx", "/terminate/%c3%bc"]
)
def test_gate_and_application_read_the_same_path(tmp_path: Path, target: str) -> None:
    with serving_site(tmp_path) as running:
        status, body, _ = talk(running, request(target, "Connection: close"))
        assert status == 200
        seen = running.site.heads[0].path
        assert seen == body["path"].encode("latin-1").decode()
        assert seen.startswith("/terminate/")


def test_the_gate_sees_both_ends_and_the_application_the_actor(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, running.connect() as sock:
        sock.sendall(request("/a%20b?q=1", "X-Two: 1", "X-Two: 2", "X_Two: 3", "Connection: close"))
        assert b'"who": "ann"' in read_all(sock)
        (head,) = running.site.heads
        assert (head.path, head.query, head.headers["x-two"]) == ("/a b", "q=1", "1, 2")
        assert head.duplicated == {"x-two"}
        assert head.local_port == int(running.url.rsplit(":", 1)[1])
        assert (head.remote_addr, head.local_addr) == ("127.0.0.1", "127.0.0.1")


def test_very_many_headers_hold_up_nobody(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, running.connect() as sock:
        lines = [f"{number:x}:" for number in range(4500)]
        begun = time.monotonic()
        sock.sendall(request("/status", *lines, "Connection: close"))
        assert b"200 OK" in read_all(sock)
        assert time.monotonic() - begun < 1.0
        assert len(running.site.heads[0].headers) > 4500


# ---- errors are shaped like everything else


def test_waitress_own_errors_are_shaped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving_site(tmp_path) as running:
        cases = {
            400: b"nonsense\r\n\r\n",
            431: b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000,
            501: request("/x", "Transfer-Encoding: gzip", method="POST"),
            500: request("/fails"),
            401: request("/x", token=False, method="HEAD"),
        }
        for expected, data in cases.items():
            if expected == 401:
                with running.connect() as sock:
                    sock.sendall(data)
                    assert read_all(sock).endswith(b"\r\n\r\n")
                continue
            status, body, got = talk(running, data)
            assert (status, body["code"]) == (expected, expected)
            assert expected != 431 or body["message"] == "the request's head is larger than 32768 bytes"
            assert b"secret" not in got and b"Server:" not in got
        status, _, _ = talk(running, request("/gate-fails"))
        assert status == 500
        assert "the gate failed at GET /gate-fails" in caplog.text
        assert running.status() < 1.0


# ---- streams


@contextmanager
def open_stream(running: Running) -> Iterator[socket.socket]:
    with running.connect() as sock:
        sock.sendall(request("/stream"))
        hear(sock, b"hello")
        yield sock


def test_all_streams_taken_and_the_rest_still_answers(tmp_path: Path) -> None:
    with serving_site(tmp_path, threads=2, max_streams=8) as running, ExitStack() as stack:
        socks = [stack.enter_context(open_stream(running)) for _ in range(8)]
        refused = httpx.get(running.url + "/stream", headers={"Authorization": "Token good"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert running.status() < 1.0
        socks[0].close()
        assert until(lambda: running.site.streams.open == 7) < 2.0
        stack.enter_context(open_stream(running))


def test_a_client_that_asked_for_more_and_left_is_noticed(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running:
        with open_stream(running) as sock:
            sock.sendall(request("/x") * 3)
        until(lambda: running.site.streams.open == 0, 2.0)
        assert running.status() < 1.0


# ---- readers that do not read


@pytest.mark.parametrize("lines", [(), ("Range: bytes=100-",)])
def test_downloads_that_nobody_reads_starve_nobody(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with serving_site(tmp_path, threads=2, max_streams=0) as running, ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(running.connect())
            sock.sendall(request("/file", *lines))
            assert sock.recv(10).startswith(b"HTTP/1.1 2")
        assert running.status() < 1.0


def test_a_fast_reader_gets_a_share_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without shares, one at full speed on loopback kept everybody else waiting for 1.5 s."""
    shares: list[int] = []
    flush = serving.channel.Channel._flush_some

    def recorded(channel: Any, do_close: bool = True) -> bool:
        before = channel.total_outbufs_len
        sent = flush(channel, do_close)
        shares.append(before - channel.total_outbufs_len)
        return sent

    monkeypatch.setattr(serving.channel, "TURN_BYTES", serving.channel.PIECE_BYTES)
    monkeypatch.setattr(serving.channel.Channel, "_flush_some", recorded)
    with serving_site(tmp_path) as running, running.connect() as sock:
        sock.sendall(request("/file", "Connection: close"))
        assert len(read_all(sock)) > BIG
    assert max(shares) < 2 * serving.channel.PIECE_BYTES


def test_ranges_and_heads_over_the_wire(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, httpx.Client(headers={"Authorization": "Token good"}) as client:
        url = running.url + "/file"
        with (tmp_path / "big").open("r+b") as file:
            file.seek(BIG - 5)
            file.write(b"12345")
        part = client.get(url, headers={"Range": "bytes=-4"})
        assert (part.status_code, part.content) == (206, b"2345")
        middle = client.get(url, headers={"Range": f"bytes={BIG - 6}-{BIG - 3}"})
        assert middle.content == b"\x00123"
        assert client.head(url).headers["Content-Length"] == str(BIG)
        assert client.get(url, headers={"Range": f"bytes={BIG}-"}).status_code == 416
        assert len(client.get(url).content) == BIG
        tag = part.headers["ETag"]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
        assert client.get(running.url + "/after").json()["path"] == "/after"


def test_a_file_that_shrinks_ends_its_download(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, running.connect() as sock:
        sock.sendall(request("/file"))
        assert sock.recv(20)
        os.truncate(tmp_path / "big", 10_000_000)
        assert len(read_all(sock)) < BIG  # and it does end


def test_an_endless_body_that_nobody_reads_gives_its_thread_back(tmp_path: Path) -> None:
    with serving_site(tmp_path, threads=1, max_streams=0, idle_timeout=0.5) as running, running.connect() as sock:
        sock.sendall(request("/endless"))
        assert running.site.entered.acquire(timeout=5)
        until(lambda: "endless ended" in running.site.served)
        assert running.status() < 1.0


# ---- the end


def test_the_end_answers_what_is_in_flight(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, running.connect() as busy, running.connect() as idle:
        with open_stream(running) as stream:
            busy.sendall(request("/wait"))
            assert running.site.entered.acquire(timeout=5)
            begun = time.monotonic()
            closer = threading.Thread(target=running.server.close, args=(8.0,))
            closer.start()
            assert b"bye" in read_all(stream)
            assert read_all(idle) == b""
            until(lambda: not accepts(running))
            running.site.release.set()
            got = read_all(busy)
            assert b"200 OK" in got and b"Connection: close" in got
            closer.join(10)
            running.thread.join(1)
            assert not running.thread.is_alive()
            assert time.monotonic() - begun < 4.0


def accepts(running: Running) -> bool:
    try:
        running.connect().close()
    except ConnectionError:
        return False
    return True


def test_the_end_does_not_wait_for_ever(tmp_path: Path) -> None:
    with serving_site(tmp_path) as running, running.connect() as busy:
        busy.sendall(request("/wait"))
        assert running.site.entered.acquire(timeout=5)
        begun = time.monotonic()
        running.server.close(0.5)
        assert time.monotonic() - begun < 2.0
        assert read_all(busy) == b""


def test_a_signal_ends_a_server_in_the_main_thread(tmp_path: Path) -> None:
    program = """
        import signal, sys
        from pathlib import Path
        from api.serving import ServeOptions, Server
        from api.services.access import Gate, HostPolicy, Refusal

        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        refuse = lambda head, status, message: Refusal(status, (), b"no", "text/plain")
        gate = Gate(HostPolicy.of(["127.0.0.1"]), lambda head: None, lambda head: 0, refuse)
        server = Server(app, gate, ServeOptions(listen=(("127.0.0.1", 0),), tmp_dir=Path(sys.argv[1]), threads=2))
        signal.signal(signal.SIGTERM, lambda *_: server.shutdown(3))
        print(server.addresses[0], flush=True)
        server.run()
        print("ended", flush=True)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        with httpx.Client() as client:
            assert client.get(url).text == "ok"
            child.send_signal(signal.SIGTERM)
            assert child.stdout.readline() == "ended\n"
    assert child.returncode == 0


def test_an_admission_is_what_the_gate_says() -> None:
    assert Site(Path("/")).gate().check(
        RequestHead("GET", "/status", "", {"host": "localhost"}, frozenset(), "", 0, "", 0)
    ) == Admission(None, LIMIT)
