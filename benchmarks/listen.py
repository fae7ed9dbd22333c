"""Clients of event streams: `python -m benchmarks.listen PORT PATH CLIENTS`.

Prints `open` when each has its answer's headers, and when its standard input ends a JSON list of
[event id, Unix seconds when it came], over all clients.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)


def main(port: int, path: str, clients: int) -> None:
    chooser = selectors.DefaultSelector()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    for _ in range(clients):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        one.sendall(request)
        head = one.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        chooser.register(one, selectors.EVENT_READ)
    print("open", flush=True)
    chooser.register(sys.stdin, selectors.EVENT_READ)
    seen: list[tuple[int, float]] = []
    while True:
        for key, _ in chooser.select():
            if key.fileobj is sys.stdin:
                print(json.dumps(seen))
                return
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            now = time.time()
            if not data:
                raise ConnectionError("a stream ended")
            seen += [(int(number), now) for number in ID.findall(data)]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
