"""Where the service may connect to on somebody's behalf, so that a URL cannot reach what only this machine can.

A URL's text proves nothing: a name may resolve to anything, and to something else a moment later. So the text is only
checked for what is plainly wrong, and the addresses are checked when the connection is made, all that a name has at
that moment; the connection goes to one of the very addresses that were checked (api.utils.outbound_http).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2000  # characters
PORTS = {"http": 80, "https": 443}

#: what `is_global` lets pass in some Python we run on, and what leads to IPv4 by another name
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, 192.0.0.8 among them
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b::/96",  # NAT64
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class Refused(Exception):
    """The address is none that this service connects to. The message is for whoever gave the URL."""


class Unreachable(Exception):
    """No answer: the name is unknown, nobody listens, it took too long, the certificate is wrong."""


def is_public(address: Address) -> bool:
    """Whether it is an address of the internet at large, and nothing that stands for another."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id is not None or address not in GLOBAL_UNICAST:
            return False
    if any(address in network for network in NOT_PUBLIC if network.version == address.version):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not (special or address.is_loopback or address.is_link_local or address.is_private)


@dataclass(frozen=True, slots=True)
class _Exception:
    """One entry of TRAINYARD_WEBHOOK_ALLOWED_HOSTS: a network or a name, of one port or of any."""

    network: Network | None
    host: str | None
    port: int | None

    def permits(self, host: str, address: Address | None, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is None:
            return self.host == host
        return address is not None and address.version == self.network.version and address in self.network


_ENTRY = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Permitted:
    """Destinations that are not public and allowed all the same, because the operator named them."""

    exceptions: tuple[_Exception, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """`host`, `host:port`, an address, or a network (`10.1.0.0/16`). Raises ValueError."""
        return cls(tuple(_exception(entry) for entry in entries))

    def name(self, host: str, port: int) -> bool:
        return any(each.permits(host, None, port) for each in self.exceptions)

    def address(self, host: str, address: Address, port: int) -> bool:
        plain = unmapped(address)
        return any(each.permits(host, plain, port) for each in self.exceptions)


def _exception(entry: str) -> _Exception:
    try:
        return _Exception(ipaddress.ip_network(entry), None, None)
    except ValueError:
        found = _ENTRY.fullmatch(entry)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or "/" in entry or port == 0 or (port or 0) > 65535:
        raise ValueError(f"{entry!r}, which is no host, host:port, address or network")
    host = _host(found["six"] or found["host"])
    address = _literal(host)
    if address is not None:
        return _Exception(ipaddress.ip_network(address), None, port)
    if not _NAME.fullmatch(host):
        raise ValueError(f"{entry!r}, which is no host, host:port, address or network")
    return _Exception(None, host, port)


def unmapped(address: Address) -> Address:
    """::ffff:a.b.c.d as a.b.c.d."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


# ---- the text


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. `host` without brackets, in lower case."""

    scheme: str
    host: str
    port: int
    path: str  # with the query

    @property
    def origin(self) -> str:
        """For logs and answers that must not show a path, which may be a credential."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


_CHARACTERS = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


def parse(url: str) -> Target:
    """Raises ValueError that says what is wrong."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"must be at most {LONGEST_URL} characters")
    if not _CHARACTERS.fullmatch(url) or "\\" in url:
        raise ValueError("must be plain ASCII without spaces; write other letters of a host as punycode (xn--...)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise ValueError(f"is no URL: {problem}") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ValueError("must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if port == 0:
        raise ValueError("must have a port from 1 to 65535")
    host = _host(parts.hostname or "")
    if _literal(host) is None and (not _NAME.fullmatch(host) or _NUMERIC.fullmatch(host)):
        raise ValueError("has no valid host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port or PORTS[scheme], path)


def _host(text: str) -> str:
    return text.lower().removesuffix(".")


def _literal(host: str) -> Address | None:
    """The address that a host spells, in any spelling that a resolver takes (127.1, 0x7f000001, 2130706433)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if _NUMERIC.fullmatch(host) else None
    except OSError:
        return None


def check_text(url: str, permitted: Permitted) -> Target:
    """What can be refused before anybody asks a resolver. Raises ValueError."""
    target = parse(url)
    host, address = target.host, _literal(target.host)
    if address is not None and not (is_public(address) or permitted.address(host, address, target.port)):
        raise ValueError(NOT_OURS.format(address))
    local = host == "localhost" or host.endswith(".localhost")
    loopback = ipaddress.ip_address("127.0.0.1")
    if local and not (permitted.name(host, target.port) or permitted.address(host, loopback, target.port)):
        raise ValueError(NOT_OURS.format(host))
    return target


NOT_OURS = (
    "leads to {}, which is not on the public internet; the operator may allow it (TRAINYARD_WEBHOOK_ALLOWED_HOSTS)"
)

# ---- the addresses

#: what socket.getaddrinfo answers
Resolved = Sequence[tuple[Any, Any, int, str, Any]]
Resolver = Callable[[str, int], Resolved]


def resolve(host: str, port: int) -> Resolved:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def checked(answer: Resolved, host: str, port: int, permitted: Permitted) -> list[tuple[Any, Any]]:
    """Family and socket address of each, in the resolver's order. Raises Refused if one of them is not public."""
    found: list[tuple[Any, Any]] = []
    for family, _, _, _, place in answer:
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        address = ipaddress.ip_address(place[0])
        if not (is_public(address) or permitted.address(host, address, port)):
            raise Refused(f"the URL {NOT_OURS.format(address)}")
        found.append((family, place))
    if not found:
        raise Unreachable("the host has no address")
    return found
