"""A client that asks one path as fast as it is answered: `python -m benchmarks.load PORT PATH CONNECTIONS SECONDS`.

Prints answers a second. One thread, plain sockets: it must cost less than what it measures.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time


class Connection:
    """One request at a time, kept alive."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request = request
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.want = 0
        self.socket.sendall(request)

    def take(self) -> bool:
        """Reads what is there; True when an answer is whole (and the next request is on its way)."""
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed a kept connection")
        self.got += data
        if not self.want:
            head, found, _ = self.got.partition(b"\r\n\r\n")
            if not found:
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(self.got[:300].decode())
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            self.want = len(head) + 4 + int(length)
        if len(self.got) < self.want:
            return False
        self.got, self.want = b"", 0
        self.socket.sendall(self.request)
        return True


def rate(port: int, path: str, connections: int, seconds: float) -> float:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    chooser = selectors.DefaultSelector()
    for _ in range(connections):
        one = Connection(port, request)
        chooser.register(one.socket, selectors.EVENT_READ, one)
    answers, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for key, _ in chooser.select(1.0):
            answers += key.data.take()
    return answers / (time.perf_counter() - began)


if __name__ == "__main__":
    print(rate(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
