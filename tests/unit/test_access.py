"""The gate: Host names, cross-site requests, and the kernel's word on who is at the other end of a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.models.accounts import Actor, Role, Scope
from api.services import access
from api.services.access import Admission, Gate, HostPolicy, Refusal, RequestHead, cross_site, local_operator

HEAD = RequestHead("GET", "/status", "", {"host": "127.0.0.1:8080"}, frozenset(), "127.0.0.1", 4, "127.0.0.1", 8080)
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


def head(
    method: str = "GET", path: str = "/status", *, duplicated: tuple[str, ...] = (), **headers: str
) -> RequestHead:
    named = {"host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(HEAD, method=method, path=path, headers=named, duplicated=frozenset(duplicated))


# ---- Host


LOOPBACK = HostPolicy.of(["127.0.0.1"], ["gpu.lab", "Proxy.example:8443"])


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8080", True), ("localhost", True), ("LocalHost:1", True),
        ("gpu.lab", True), ("GPU.lab:80", True), ("proxy.example:8443", True), ("proxy.example", False),
        ("127.0.0.1.evil", False), ("evil.example", False), ("127.0.0.2", False), ("[::1]", False), ("", False),
        ("localhost.", False), ("localhost.evil", False), ("evil@localhost", False), ("localhost:", False),
        ("localhost:x", False), ("localhost:123456", False), ("127.0.0.1, evil", False), ("a b", False),
        ("127.1", False), ("2130706433", False), ("0x7f000001", False), ("０", False), ("[127.0.0.1]", True),
        ("[localhost]", False), ("localhost/", False), ("localhost\x85", False),
    ],
)  # fmt: skip
def test_host(host: str, allowed: bool) -> None:
    assert LOOPBACK.allows(head(host=host)) is allowed


def test_no_host_and_two_hosts() -> None:
    assert not LOOPBACK.allows(replace(HEAD, headers={}))
    assert not LOOPBACK.allows(head(duplicated=("host",)))


def test_a_wildcard_answers_to_the_machine_itself() -> None:
    policy = HostPolicy.of(["0.0.0.0"])
    assert policy.allows(head(host="127.0.0.1"))
    assert policy.allows(head(host=socket.gethostname()))
    assert policy.allows(replace(head(host="192.0.2.7:80"), local_addr="192.0.2.7"))
    assert not policy.allows(head(host="192.0.2.7:80"))
    assert not policy.allows(head(host="0.0.0.0.evil"))


def test_ipv6_is_one_address_however_written() -> None:
    policy = HostPolicy.of(["::1"])
    for host in ("[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]"):
        assert policy.allows(head(host=host))
    assert not policy.allows(head(host="::1"))


@given(st.text(), st.sampled_from(["127.0.0.1", "localhost", "gpu.lab"]), st.booleans())
def test_nothing_but_a_port_may_follow_or_precede(extra: str, name: str, before: bool) -> None:
    host = extra + name if before else name + extra
    port = extra.startswith(":") and extra[1:].isascii() and extra[1:].isdigit() and len(extra) <= 6 and not before
    assert LOOPBACK.allows(head(host=host)) is (not extra or port)


# ---- cross-site


ORIGINS = frozenset({"https://console.example"})


@pytest.mark.parametrize(
    ("method", "changing", "headers", "refused"),
    [
        ("POST", False, {}, False),  # no browser
        ("POST", False, {"sec_fetch_site": "same-origin"}, False),
        ("POST", False, {"sec_fetch_site": "none"}, False),
        ("POST", False, {"sec_fetch_site": "same-origin", "origin": "http://evil"}, False),  # it decides
        ("POST", False, {"sec_fetch_site": "cross-site"}, True),
        ("POST", False, {"sec_fetch_site": "same-site"}, True),
        ("POST", False, {"sec_fetch_site": ""}, True),
        ("POST", False, {"sec_fetch_site": "same-origin, cross-site"}, True),
        ("POST", False, {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:8080"}, True),
        ("POST", False, {"sec_fetch_site": "cross-site", "origin": "https://console.example"}, False),
        ("POST", False, {"sec_fetch_site": "cross-site", "origin": "https://console.example.evil"}, True),
        ("POST", False, {"origin": "http://127.0.0.1:8080"}, False),
        ("POST", False, {"origin": "http://127.0.0.1:8081"}, True),
        ("POST", False, {"origin": "http://127.0.0.1"}, True),
        ("POST", False, {"origin": "null"}, True),
        ("POST", False, {"origin": ""}, True),
        ("POST", False, {"origin": "http://[bad"}, True),
        ("POST", False, {"referer": "http://127.0.0.1:8080/ui/"}, False),
        ("POST", False, {"referer": "http://evil/127.0.0.1:8080"}, True),
        ("POST", False, {"referer": "http://127.0.0.1:8080@evil/"}, True),
        ("POST", False, {"origin": "http://127.0.0.1:8080", "referer": "http://evil/"}, True),
        ("POST", False, {"host": "gpu.lab", "origin": "https://gpu.lab"}, False),
        ("POST", False, {"host": "gpu.lab:443", "origin": "https://gpu.lab"}, False),
        ("DELETE", False, {"sec_fetch_site": "cross-site"}, True),
        ("PATCH", False, {"origin": "http://evil"}, True),
        ("GET", False, {"sec_fetch_site": "cross-site"}, False),
        ("OPTIONS", False, {"origin": "http://evil"}, False),
        ("GET", True, {"sec_fetch_site": "cross-site"}, True),  # an <img>
        ("GET", True, {"referer": "http://evil/"}, True),
        ("HEAD", True, {"sec_fetch_site": "cross-site"}, True),
        ("GET", True, {"sec_fetch_site": "none"}, False),
        ("GET", True, {}, False),
    ],
)
def test_cross_site(method: str, changing: bool, headers: dict[str, str], refused: bool) -> None:
    assert cross_site(head(method, **headers), ORIGINS, changing) is refused


# ---- the gate


OPERATOR = Actor(1, "local operator", Role.ADMIN, frozenset(Scope))


def refusal(_head: RequestHead | None, status: int, message: str) -> Refusal:
    return Refusal(status, (), message.encode(), "text/plain")


def gate(authenticate: Callable[[RequestHead], Any] = lambda _head: OPERATOR) -> Gate:
    return Gate(LOOPBACK, authenticate, lambda one: 100 if one.path == "/small" else 1000, refusal, ORIGINS)


def status_of(verdict: Admission | Refusal) -> int:
    return verdict.status if isinstance(verdict, Refusal) else 200


def test_the_order_of_the_checks() -> None:
    wrong = head("POST", host="evil", origin="http://evil", content_length="10000")
    denied = gate(lambda one: refusal(one, 401, "who?"))
    assert status_of(denied.check(wrong)) == 400
    right_host = head("POST", origin="http://evil", content_length="10000")
    assert status_of(denied.check(right_host)) == 401
    assert status_of(gate().check(right_host)) == 403
    assert status_of(gate().check(head("POST", content_length="1001"))) == 413
    assert gate().check(head("POST", content_length="1000")) == Admission(OPERATOR, 1000)
    assert status_of(gate().check(head("POST", "/small", content_length="101"))) == 413


def test_the_documents_changing_gets_are_known() -> None:
    for path in ("/terminate/m", "/clear_train_cache/m", "/api/v1/terminate/m"):
        assert status_of(gate().check(head("GET", path, sec_fetch_site="cross-site"))) == 403
    assert status_of(gate().check(head("GET", "/train_info/m", sec_fetch_site="cross-site"))) == 200


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "٣"])
def test_an_absurd_length_is_too_long(length: str) -> None:
    assert status_of(gate().check(head("POST", content_length=length))) == 413


# ---- the local operator, with real sockets


@contextmanager
def connection(family: int = socket.AF_INET, address: str = "127.0.0.1", reach: str | None = None) -> Iterator[Any]:
    """A listener, a connected client and the server's end."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        client_family = socket.AF_INET6 if ":" in (reach or address) else socket.AF_INET
        with socket.socket(client_family) as client:
            client.connect((reach or address, listener.getsockname()[1]))
            server, _ = listener.accept()
            with server:
                yield client, server


def seen(server: socket.socket, **headers: str) -> RequestHead:
    remote, local = server.getpeername()[:2], server.getsockname()[:2]
    host = f"[{local[0]}]" if ":" in local[0] else local[0]
    return replace(head(**({"host": host} | headers)), remote_addr=remote[0], remote_port=remote[1],
                   local_addr=local[0], local_port=local[1])  # fmt: skip


@pytest.fixture(params=["sock_diag", "proc"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "sock_diag" and not access._sock_diag_works():
        pytest.skip("no sock_diag here")
    monkeypatch.setattr(access, "_sock_diag_works", lambda: request.param == "sock_diag")


def test_without_netlink_proc_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_netlink(*_: object) -> int:
        raise PermissionError("no netlink")

    monkeypatch.setattr(access, "_by_sock_diag", no_netlink)
    monkeypatch.setattr(access, "_sock_diag_works", access._sock_diag_works.__wrapped__)
    with connection() as (_client, server):
        assert local_operator(seen(server), os.getuid())


@pytest.mark.parametrize(
    ("family", "address", "reach"),
    [
        (socket.AF_INET, "127.0.0.1", None),
        (socket.AF_INET6, "::1", None),
        (socket.AF_INET, "127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_our_own_socket_is_ours(way: None, family: int, address: str, reach: str | None) -> None:
    with connection(family, address, reach) as (_client, server):
        assert local_operator(seen(server), os.getuid())
        assert not local_operator(seen(server), os.getuid() + 1)
        stranger = replace(seen(server), remote_port=1)
        assert not local_operator(stranger, os.getuid())


def test_who_has_closed_is_nobody_and_not_root(way: None) -> None:
    with connection() as (client, server):
        client.sendall(b"POST /start")
        client.close()
        assert server.recv(100) == b"POST /start"
        assert server.recv(100) == b""  # the end has arrived: the client's socket has no owner any more
        assert access.socket_owner(server.getpeername(), server.getsockname()) is None
        assert not local_operator(seen(server), 0)


def test_a_listener_is_no_caller(way: None) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert access.socket_owner(listener.getsockname(), ("127.0.0.1", 1)) is None


@as_root
def test_another_user_is_not_the_operator(way: None) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(10)
        code = (
            "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
            "s = socket.socket(); s.connect(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
        )
        port = str(listener.getsockname()[1])
        with subprocess.Popen([sys.executable, "-ISc", code, port], stdin=subprocess.PIPE) as child:
            server, _ = listener.accept()
            with server:
                assert access.socket_owner(server.getpeername(), server.getsockname()) == NOBODY
                assert not local_operator(seen(server), os.getuid())
                assert local_operator(seen(server), NOBODY)  # were the service theirs
            assert child.stdin is not None
            child.stdin.close()
        assert child.returncode == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}, {"via": "1.1 nginx"}, {"x_real_ip": "127.0.0.1"},
        {"x_forwarded_host": "x"}, {"x_forwarded_proto": ""}, {"host": "gpu.lab"}, {"host": "10.0.0.5"},
        {"host": "127.0.0.1.evil"}, {"host": ""},
    ],
)  # fmt: skip
def test_a_proxy_or_another_name_is_not_the_operator(headers: dict[str, str]) -> None:
    with connection() as (_client, server):
        assert local_operator(seen(server), os.getuid())
        assert not local_operator(seen(server, **headers), os.getuid())


def test_only_loopback_has_operators() -> None:
    with connection() as (_client, server):
        assert not local_operator(replace(seen(server), remote_addr="192.0.2.1"), os.getuid())
        assert not local_operator(replace(seen(server), remote_addr=""), os.getuid())
