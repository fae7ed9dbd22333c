"""Where a URL may lead: addresses are checked when the connection is made, and it goes to those very addresses."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from api.utils.outbound import Permitted, Refused, Unreachable, check_text, checked, is_public, parse
from api.utils.outbound_http import KEPT_BYTES, Outbound
from tests.unit.receivers import Receiver, receiving

NOBODY = Permitted()
LOOPBACK = Permitted.parse(["127.0.0.0/8"])

#: addresses that a webhook must not reach
PRIVATE = """
127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.127.255.254
192.0.0.8 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1
::ffff:192.0.0.8 ::127.0.0.1 ::8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1::1 2001:0:1::1
2001:db8::1 3fff::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 100::1 5f00::1
""".split()
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 ::ffff:8.8.8.8 2606:4700:4700::1111 2a00:1450:4001::1".split()

#: spellings of private addresses, and URLs that are none
ODD = """
http://127.1/ http://127.0.1/ http://0/ http://0.0.0.0/ http://2130706433/ http://0x7f000001/ http://0x7f.1/
http://017700000001/ http://0177.0.0.1/ http://127.0.0.1./ http://[::1]/ http://[::]/ http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/ http://[0:0:0:0:0:ffff:7f00:0001]/ http://[64:ff9b::7f00:1]/ http://192.0.0.8/
http://169.254.169.254/latest/meta-data http://2852039166/ http://0xa9fea9fe/ http://100.64.0.1/ http://[fe80::1%25eth0]/
http://①②⑦.⓪.⓪.①/ http://①②⑦.0.0.1/ http://localhost/ http://LOCALHOST./ http://a.localhost/ http://127。0。0。1/
file:///etc/passwd gopher://127.0.0.1/ ftp://example.com/ javascript:alert(1) //example.com/ example.com
http://user@example.com/ http://user:pass@example.com/ http://8.8.8.8@127.0.0.1/ http://127.0.0.1\\@8.8.8.8/
http://example.com:0/ http://example.com:65536/ http://example.com:-1/ http://example.com:x/ http:///path http://
http://1.2.3.4.5/ http://256.1.1.1/ http://0x/ http://example..com/ http://-/ http://[::1/ http://[x]/ http://exa_mple,com/
""".split()
SPLIT = ["http://exam ple.com/", "http://example.com/\r\nX: y", "http://example.com/\0", "http://" + "a" * 2000, ""]


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("url", [*ODD, *SPLIT])
def test_text_that_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError):
        check_text(url, NOBODY)


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://hooks.example.com/a?b=c#d", "https://hooks.example.com", "/a?b=c"),
        ("HTTP://Example.COM.:8080", "http://example.com:8080", "/"),
        ("https://[2606:4700:4700::1111]:444/x", "https://[2606:4700:4700::1111]:444", "/x"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example", "/"),
        ("http://8.8.8.8/", "http://8.8.8.8", "/"),
        ("http://gpu_box.lan/", "http://gpu_box.lan", "/"),  # only its addresses can tell
    ],
)
def test_text_that_is_taken(url: str, origin: str, path: str) -> None:
    target = check_text(url, NOBODY)
    assert (target.origin, target.path) == (origin, path)


class TestWhatTheOperatorPermits:
    @pytest.mark.parametrize(
        ("entry", "url", "address", "allowed"),
        [
            ("10.1.0.0/16", "http://lab/", "10.1.2.3", True),
            ("10.1.0.0/16", "http://lab/", "10.2.0.1", False),
            ("10.1.0.0/16", "http://lab/", "::ffff:10.1.2.3", True),
            ("lab", "http://lab/", "10.2.0.1", True),
            ("lab", "http://lab.evil.example/", "10.2.0.1", False),
            ("LAB.lan.", "http://lab.lan/", "10.2.0.1", True),
            ("lab:9000", "http://lab:9000/", "10.2.0.1", True),
            ("lab:9000", "http://lab:9001/", "10.2.0.1", False),
            ("127.0.0.1:9000", "http://127.0.0.1:9000/", "127.0.0.1", True),
            ("127.0.0.1:9000", "http://127.0.0.1:22/", "127.0.0.1", False),
            ("127.0.0.1:9000", "http://lab:9000/", "127.0.0.1", True),
            ("[::1]:9000", "http://[::1]:9000/", "::1", True),
            ("fd00::/8", "http://lab/", "fd00::1", True),
            ("fd00::/8", "http://lab/", "fe80::1", False),
        ],
    )
    def test_addresses(self, entry: str, url: str, address: str, allowed: bool) -> None:
        target, permitted = parse(url), Permitted.parse([entry])
        if allowed:
            assert checked(answer(address, port=target.port), target.host, target.port, permitted)
        else:
            with pytest.raises(Refused, match="TRAINYARD_WEBHOOK_ALLOWED_HOSTS"):
                checked(answer(address, port=target.port), target.host, target.port, permitted)

    @pytest.mark.parametrize(
        ("entry", "url"),
        [
            ("127.0.0.0/8", "http://127.1/"),
            ("localhost", "http://localhost:8081/"),
            ("127.0.0.1", "http://localhost:8081/"),
            ("10.0.0.5:80", "http://10.0.0.5/"),
        ],
    )
    def test_text(self, entry: str, url: str) -> None:
        with pytest.raises(ValueError):
            check_text(url, NOBODY)
        assert check_text(url, Permitted.parse([entry])).path == "/"

    @pytest.mark.parametrize(
        "entry", ["10.0.0.0/33", "a b", "lab:0", "lab:65536", "lab:x", "http://lab/", "", "[x]:1", "*"]
    )
    def test_nonsense(self, entry: str) -> None:
        with pytest.raises(ValueError):
            Permitted.parse([entry])


def answer(*addresses: str, port: int) -> list[Any]:
    """What getaddrinfo says."""
    found: list[Any] = []
    for text in addresses:
        six = ":" in text
        place = (text, port, 0, 0) if six else (text, port)
        found.append((socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM, 6, "", place))
    return found


class Names:
    """A resolver whose answers a test gives, one after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Any:
        self.asked.append((host, port))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(*found, port=port)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def post(url: str, permitted: Permitted = NOBODY, **options: Any) -> Any:
    return Outbound(permitted, **options).post(url, b"{}", {"Content-Type": "application/json"})


class TestNoConnectionArrives:
    """Against a real server on loopback, which must see nothing at all."""

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "localhost", "0"]
    )
    def test_by_any_spelling(self, receiver: Receiver, host: str) -> None:
        with pytest.raises(Refused):
            post(f"http://{host}:{receiver.port}/")
        assert receiver.connections == 0

    @pytest.mark.parametrize("text", PRIVATE)
    def test_by_a_name_that_resolves_there(self, text: str) -> None:
        with pytest.raises(Refused):
            post("http://innocent.example/", resolver=Names([text]))

    def test_one_bad_address_among_good_ones(self, receiver: Receiver) -> None:
        with pytest.raises(Refused):
            post(f"http://innocent.example:{receiver.port}/", resolver=Names(["1.1.1.1", "127.0.0.1"]))
        assert receiver.connections == 0

    def test_a_name_that_changes_its_mind(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rebinding: public when it is checked, private a moment later. It is asked once, and that answer is used."""
        went: list[Any] = []

        def connect(_: socket.socket, place: Any) -> None:
            went.append(place)
            raise OSError(113, "No route to host")

        names = Names(["93.184.216.34"], ["127.0.0.1"])
        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked another time"))
        with pytest.raises(Unreachable, match="No route"):
            post(f"http://rebind.example:{receiver.port}/", resolver=names)
        assert went == [("93.184.216.34", receiver.port)]
        assert names.asked == [("rebind.example", receiver.port)] and receiver.connections == 0

    def test_a_connection_that_ends_somewhere_else(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """As where a packet filter leads it: what the kernel says of the peer is what counts."""
        monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("10.0.0.1", 80))
        with pytest.raises(Refused):
            post(receiver.url, LOOPBACK)
        assert receiver.got == []

    def test_a_proxy_of_the_environment(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, receiver.url)
        with receiving() as wanted:
            post(f"http://lab:{wanted.port}/", LOOPBACK, resolver=Names(["127.0.0.1"]))
        assert (receiver.connections, wanted.connections) == (0, 1)

    def test_a_redirect(self, receiver: Receiver) -> None:
        with receiving(302) as first:
            first.headers["Location"] = receiver.url
            reply = post(first.url, LOOPBACK)
        assert reply.status == 302 and receiver.connections == 0


class TestAnswers:
    def test_what_arrives(self, receiver: Receiver) -> None:
        reply = post(f"http://lab.example:{receiver.port}/a%20b?c=d", LOOPBACK, resolver=Names(["127.0.0.1"]))
        assert (reply.status, reply.body) == (200, b"thanks")
        (got,) = receiver.got
        assert (got.path, got.body) == ("/a%20b?c=d", b"{}")
        assert got.headers["host"] == f"lab.example:{receiver.port}"

    def test_the_second_address_when_the_first_does_not_answer(self, receiver: Receiver) -> None:
        reply = post(f"http://lab:{receiver.port}/", LOOPBACK, resolver=Names(["127.0.0.9", "127.0.0.1"]))
        assert reply.status == 200

    def test_a_long_one_is_cut(self) -> None:
        with receiving() as receiver:
            receiver.body = b"x" * 1_000_000
            assert len(post(receiver.url, LOOPBACK).body) == KEPT_BYTES

    def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(Unreachable, match="refused"):
                post(f"http://127.0.0.1:{free.getsockname()[1]}/", LOOPBACK)

    def test_an_unknown_name(self) -> None:
        def unknown(_host: str, _port: int) -> Any:
            raise socket.gaierror(-2, "Name or service not known")

        with pytest.raises(Unreachable, match="no address"):
            post("http://nobody.example/", resolver=unknown)

    def test_a_resolver_that_hangs(self) -> None:
        over = threading.Event()
        began = time.monotonic()
        with pytest.raises(Unreachable, match="not found within"):
            post("http://slow.example/", connect=0.2, resolver=lambda *_: over.wait(10) and [])
        over.set()
        assert time.monotonic() - began < 3

    def test_a_peer_that_says_nothing(self) -> None:
        over = threading.Event()
        with receiving(lambda _: over.wait(10) and None) as receiver:  # type: ignore[func-returns-value]
            with pytest.raises(Unreachable, match=r"0\.3 s"):
                post(receiver.url, LOOPBACK, total=0.3)
            over.set()

    def test_a_peer_that_drips(self) -> None:
        """Each byte comes in time; the whole does not."""
        over = threading.Event()

        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                handler.wfile.write(b"x")

        with receiving(drip) as receiver:
            began = time.monotonic()
            with pytest.raises(Unreachable, match="no whole answer"):
                post(receiver.url, LOOPBACK, total=0.5)
            over.set()
        assert time.monotonic() - began < 3

    def test_a_status_counts_though_its_body_never_comes(self) -> None:
        over = threading.Event()

        def begin(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(
                b"HTTP/1.1 204 OK\r\nContent-Length: 10\r\n\r\n"[:0]
                + b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
            )
            over.wait(10)

        with receiving(begin) as receiver:
            assert post(receiver.url, LOOPBACK, total=0.5).status == 200
            over.set()

    @pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100_000])
    def test_what_is_no_answer(self, raw: bytes) -> None:
        with receiving(lambda handler: handler.wfile.write(raw) and None) as receiver:  # type: ignore[func-returns-value]
            with pytest.raises(Unreachable) as told:
                post(f"{receiver.url}?secret-path", LOOPBACK, total=5)
        assert "secret-path" not in str(told.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of hooks.example, signed by itself; its key in the same file, it alone in one that ends in .crt."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ["-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    try:
        done = subprocess.run([*command, *subject, "-keyout", str(path), "-out", f"{path}.crt"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    assert done.returncode == 0, done.stderr
    with open(path, "a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


class TestTls:
    @pytest.fixture
    def names(self) -> list[str | None]:
        return []

    @pytest.fixture
    def server(self, certificate: Path, names: list[str | None]) -> Iterator[Receiver]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _sock, name, _context: names.append(name)
        with receiving(wrap=lambda sock: context.wrap_socket(sock, server_side=True)) as one:
            yield one

    def test_name_and_certificate_are_those_of_the_url(
        self, server: Receiver, names: list[str | None], certificate: Path
    ) -> None:
        url = f"https://hooks.example:{server.port}/"
        reply = post(url, LOOPBACK, resolver=Names(["127.0.0.1"]), ca_file=f"{certificate}.crt")
        assert reply.status == 200
        assert names == ["hooks.example"]
        assert server.got[0].headers["host"] == f"hooks.example:{server.port}"

    @pytest.mark.parametrize(("host", "trusted"), [("hooks.example", False), ("other.example", True)])
    def test_a_wrong_certificate(self, server: Receiver, certificate: Path, host: str, trusted: bool) -> None:
        with pytest.raises(Unreachable, match=r"TLS failed: .*(self.signed|mismatch|match)"):
            post(
                f"https://{host}:{server.port}/",
                LOOPBACK,
                resolver=Names(["127.0.0.1"]),
                ca_file=f"{certificate}.crt" if trusted else None,
            )
        assert server.got == []

    def test_a_peer_that_hangs_in_the_handshake(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            with pytest.raises(Unreachable, match="no whole answer"):
                post(f"https://127.0.0.1:{silent.getsockname()[1]}/", LOOPBACK, total=0.3)


def test_a_service_that_sends_nothing_loads_no_client() -> None:
    code = "import sys, api.app, api.web; print({'urllib3', 'standardwebhooks', 'ssl'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "urllib3" not in told.stdout and "standardwebhooks" not in told.stdout
