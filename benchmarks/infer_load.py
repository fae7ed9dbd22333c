"""`python -m benchmarks.infer_load PORT IMAGE IMGSZ CLIENTS`: asks for inference until it is ended.

In a process of its own, so that it does not keep the one that measures from measuring.
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from pathlib import Path

from benchmarks.inference import form


def main() -> None:
    port, image, imgsz, clients = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    body, headers = form("file", image, imgsz=imgsz)

    def ask() -> None:
        while True:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=100)) as connection:
                connection.request("POST", "/infer/cold0", body, headers)
                connection.getresponse().read()

    for _ in range(clients):
        threading.Thread(target=ask).start()


main()
