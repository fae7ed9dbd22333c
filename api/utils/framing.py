"""Messages over a stream socket: a JSON header and bytes, with their lengths before them."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

_LENGTHS = struct.Struct(">II")
MOST_BYTES = 1 << 30  # of a header or a payload: what claims more is no message of ours


class Message(NamedTuple):
    header: dict[str, Any]
    payload: bytes


class Torn(Exception):
    """The other side went away in the middle of a message, or sent none of ours."""


def send(sock: socket.socket, header: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
    """Not to be called by two threads at once."""
    head = json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    sock.sendall(_LENGTHS.pack(len(head), len(payload)) + head)
    if payload:
        sock.sendall(payload)


def receive(sock: socket.socket) -> Message | None:
    """The next message; None where the other side has closed between two. Raises Torn and OSErrors."""
    lengths = _exactly(sock, _LENGTHS.size, or_end=True)
    if lengths is None:
        return None
    head, body = _LENGTHS.unpack(lengths)
    if max(head, body) > MOST_BYTES:
        raise Torn(f"a message claims {max(head, body)} bytes")
    header = json.loads(_exactly(sock, head) or b"")
    if not isinstance(header, dict):
        raise Torn("a message without a header")
    return Message(header, _exactly(sock, body) or b"")


def _exactly(sock: socket.socket, size: int, or_end: bool = False) -> bytes | None:
    buffer = bytearray(size)
    view, got = memoryview(buffer), 0
    while got < size:
        count = sock.recv_into(view[got:])
        if not count:
            if or_end and not got:
                return None
            raise Torn("the other side is gone")
        got += count
    return bytes(buffer)
