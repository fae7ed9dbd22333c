"""Who may speak to the service at all: judged from a request's headers, before any of its body is read.

`Gate.check` runs in the server's only I/O thread, so `Gate.authenticate` must be quick: no password hashing, no wait.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from api.models.accounts import Actor

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: the documents' GETs that change something (a HEAD runs the same view)
CHANGING_GETS = ("/terminate/", "/clear_train_cache/", "/api/v1/terminate/", "/api/v1/clear_train_cache/")
PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})
WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request as far as its headers tell. `path` is unquoted, as the application will see it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # lower-case names; the values of a repeated one are joined by ", "
    duplicated: frozenset[str]  # names that were sent more than once
    remote_addr: str
    remote_port: int
    local_addr: str
    local_port: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer given in place of the application's; the connection ends with it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The request may go on. `actor` is None where the path needs nobody in particular."""

    actor: Actor | None
    body_limit: int  # bytes


# ---- Host


def split_host(value: str) -> tuple[str, int | None] | None:
    """The name or address and the port of a Host header; None if it is none."""
    found = _HOST.fullmatch(value)
    if found is None:
        return None
    literal, name, port = found.groups()
    if literal is not None and _address(literal) is None:
        return None
    return _canonical(literal or name), int(port) if port else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _canonical(host: str) -> str:
    address = _address(host)
    return str(address) if address is not None else host.lower()


def _own_addresses() -> Iterator[str]:
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                yield one.address


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """The names that this service answers to. A DNS-rebinding page cannot speak any of them."""

    names: frozenset[str]
    with_port: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, binds: Iterable[str], trusted: Iterable[str] = ()) -> HostPolicy:
        """`binds`: the hosts that are listened on; `trusted`: configured `name` or `name:port`."""
        names, with_port = {"localhost"}, set()
        for bind in binds:
            if bind in WILDCARDS:
                names.update(map(_canonical, _own_addresses()), {socket.gethostname().lower()})
            else:
                names.add(_canonical(bind.strip("[]")))
        for one in trusted:
            host, port = split_host(one) or (_canonical(one), None)
            if port is None:
                names.add(host)
            else:
                with_port.add((host, port))
        return cls(frozenset(names), frozenset(with_port))

    def allows(self, head: RequestHead) -> bool:
        """One Host, and ours; the address that the client has in fact reached is always ours."""
        parts = split_host(head.headers.get("host", ""))
        if parts is None or "host" in head.duplicated:
            return False
        host, port = parts
        if host in self.names or host == _canonical(head.local_addr):
            return True
        return port is not None and (host, port) in self.with_port


# ---- cross-site requests


def cross_site(head: RequestHead, cors_origins: Iterable[str], changing: bool) -> bool:
    """Whether a browser sends this for another site's page, and it could change something.

    `changing`: the path changes something whatever the method.
    """
    if head.method in SAFE_METHODS and not changing:
        return False
    origin = head.headers.get("origin")
    fetch_site = head.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none") and origin not in set(cors_origins)
    sources = [source for source in (origin, head.headers.get("referer")) if source is not None]
    return not all(_same_site(source, head.headers.get("host", "")) for source in sources)


def _same_site(source: str, host_header: str) -> bool:
    """Whether an origin or a URL names the Host; a missing port means the scheme's own."""
    try:
        url = urlsplit(source)
        theirs = split_host(url.netloc)
    except ValueError:
        return False
    ours = split_host(host_header)
    default = _DEFAULT_PORTS.get(url.scheme)
    if theirs is None or ours is None or default is None:
        return False
    return (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)


# ---- the local operator


def local_operator(head: RequestHead, service_uid: int) -> bool:
    """Whether a caller without credentials is the service's own Unix user, by the kernel's word.

    The caller has made sure that there are no credentials. A proxy is not its client.
    """
    remote = _address(head.remote_addr)
    if remote is None or not remote.is_loopback or not _loopback_host(head):
        return False
    if any(name in PROXY_HEADERS or name.startswith("x-forwarded") for name in head.headers):
        return False
    near = (head.remote_addr, head.remote_port)
    return socket_owner(near, (head.local_addr, head.local_port)) == service_uid


def _loopback_host(head: RequestHead) -> bool:
    parts = split_host(head.headers.get("host", ""))
    if parts is None or "host" in head.duplicated:
        return False
    address = _address(parts[0])
    return parts[0] == "localhost" if address is None else address.is_loopback


_ESTABLISHED = 1
_SOCK_DIAG_BY_FAMILY = 20
_NETLINK_SOCK_DIAG = 4
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2 up to its inet_diag_sockid
_SOCKID = struct.Struct("!HH16s16s")  # ports and addresses; the interface and the cookie follow
_ANY_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_SockEnd = tuple[str, int]


def socket_owner(near: _SockEnd, far: _SockEnd) -> int | None:
    """The uid of the TCP socket of this machine that is `near` and is connected to `far`; None if it cannot be told.

    Only an established socket that a process still holds has an owner: the kernel shows a socket that was closed
    as root's, and whoever closes early would thereby become root.
    """
    return _by_sock_diag(near, far) if _sock_diag_works() else _by_proc(near, far)


@functools.cache
def _sock_diag_works() -> bool:
    """Tried on a socket of our own: a sandbox may have no netlink, a kernel no inet_diag. /proc takes milliseconds."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.connect(server.getsockname())
            return _by_sock_diag(client.getsockname(), client.getpeername()) == os.geteuid()
    except OSError:
        return False


def _by_sock_diag(near: _SockEnd, far: _SockEnd) -> int | None:
    family = socket.AF_INET6 if ":" in near[0] else socket.AF_INET
    ends = (socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (near, far))
    sockid = _SOCKID.pack(near[1], far[1], *ends)
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + sockid + _ANY_COOKIE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(0.5)
        netlink.sendto(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, 1, 0, 0) + body, (0, 0))
        reply = netlink.recv(4096)
    if len(reply) < 88 or _HEADER.unpack_from(reply)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    state, uid, inode = reply[17], *struct.unpack_from("=II", reply, 80)
    return int(uid) if state == _ESTABLISHED and inode else None


def _by_proc(near: _SockEnd, far: _SockEnd) -> int | None:
    for table in ("tcp", "tcp6"):
        wanted = (_proc_end(near, table), _proc_end(far, table))
        try:
            rows = Path("/proc/net", table).read_text(encoding="ascii").splitlines()
        except FileNotFoundError:  # no IPv6, or no such file system
            continue
        for row in rows[1:]:
            columns = row.split()
            if (columns[1], columns[2]) == wanted and int(columns[3], 16) == _ESTABLISHED and columns[9] != "0":
                return int(columns[7])
    return None


def _proc_end(end: _SockEnd, table: str) -> str:
    """`7F000001:1F90` as the kernel prints it: each 32-bit word in the machine's byte order."""
    address = ipaddress.ip_address(end[0])
    packed = address.packed
    if table == "tcp6" and len(packed) == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


# ---- all together


@dataclass(frozen=True, slots=True)
class Gate:
    """What every request passes when its headers are in. `authenticate` answers None where nobody is asked for."""

    hosts: HostPolicy
    authenticate: Callable[[RequestHead], Actor | Refusal | None]
    body_limit: Callable[[RequestHead], int]
    refusal: Callable[[RequestHead | None, int, str], Refusal]
    cors_origins: frozenset[str] = field(default=frozenset())
    changing: tuple[str, ...] = CHANGING_GETS

    def check(self, head: RequestHead) -> Admission | Refusal:
        """Host, then who asks, then where from, then how much."""
        if not self.hosts.allows(head):
            return self.refusal(head, 400, "the Host header does not name this service")
        actor = self.authenticate(head)
        if isinstance(actor, Refusal):
            return actor
        if cross_site(head, self.cors_origins, head.path.startswith(self.changing)):
            return self.refusal(head, 403, "a page of another site may not do this")
        limit = self.body_limit(head)
        if declared_length(head) > limit:
            return self.refusal(head, 413, f"the body is larger than {limit} bytes")
        return Admission(actor, limit)


def declared_length(head: RequestHead) -> int:
    """Content-Length in bytes; 0 where there is none, as with a chunked body."""
    text = head.headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 10**19
