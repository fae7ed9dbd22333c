"""A child that speaks as api.children.yolo_infer does, without torch. What it does is in the name of the model."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from api.utils.framing import receive, send

ROW = [1, "=disc", 0.875, 1.0, 2.0, 30.5, 40.25]
FRAMES = 5


class Toy:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lock = threading.Lock()
        self.cancelled: set[int] = set()
        self.taken: dict[int, threading.Semaphore] = {}
        self.seen: list[str] = []

    def say(self, payload: bytes = b"", **header: Any) -> None:
        with self.lock:
            send(self.sock, header, payload)

    def serve(self) -> None:
        while (message := receive(self.sock)) is not None:
            header = message.header
            if header["op"] == "cancel":
                self.cancelled.add(header["id"])
                print("cancelled", header["id"], flush=True)
                self.taken.get(header["id"], threading.Semaphore()).release()
            elif header["op"] == "ack":
                self.taken[header["id"]].release()
            elif header["model"].endswith("crash"):
                os.abort()
            elif header["model"].endswith("hang"):
                time.sleep(1000)
            elif header["model"].endswith("garbage"):
                self.sock.sendall(b"\xff" * 64)
            elif header["op"] == "detect":
                self.detect(header, message.payload)
            else:
                self.taken[header["id"]] = threading.Semaphore(2)
                threading.Thread(target=self.video, args=(header,), daemon=True).start()

    def detect(self, header: dict[str, Any], data: bytes) -> None:
        number, model = header["id"], header["model"]
        if data.endswith(b"bad"):
            self.say(id=number, event="failed", kind="file", message="cannot be decoded")
        elif model.endswith("broken"):
            self.say(id=number, event="failed", kind="model", message="best.pt cannot be used as YOLO weights")
        elif model.endswith("large"):
            self.say(id=number, event="failed", kind="memory", message="there is not enough memory")
        elif model.endswith("odd"):
            self.say(id=number, event="failed", kind="internal", message="KeyError")
        else:
            rows = [] if data.endswith(b"empty") else [ROW][: header["options"]["max_det"]]
            picture = b"\xff\xd8\xff drawn" if header["draw"] else b""
            print(header["options"], flush=True)
            self.say(picture, id=number, event="done", rows=rows, width=64, height=48)

    def video(self, header: dict[str, Any]) -> None:
        number, endless = header["id"], header["model"].endswith("endless")
        if Path(header["source"]).read_bytes() == b"bad":
            self.say(id=number, event="failed", kind="file", message="is no video that can be read")
            return
        self.say(id=number, event="info", fps=25.0, width=64, height=48, total=None if endless else FRAMES)
        frame = 0
        while endless or frame < FRAMES:
            if header["target"] is None:
                self.taken[number].acquire()
            if number in self.cancelled:
                self.say(id=number, event="cancelled")
                return
            if header["model"].endswith("torn") and frame == 2:
                self.say(id=number, event="failed", kind="file", message="its frames change their size at frame 2")
                return
            if header["target"] is None:
                self.say(b"\xff\xd8\xff frame", id=number, event="frame", frame=frame, time=frame / 25, rows=[ROW])
            else:
                self.say(id=number, event="frame", frame=frame, count=frame % 2)
            frame += 1
        if header["target"] is not None:
            Path(header["target"]).write_bytes(bytes(range(256)) * 40)
        self.say(id=number, event="done", frames=frame)


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    first = receive(sock)
    assert first is not None and first.header["parent"] == os.getppid()
    print("gpu", os.environ["CUDA_VISIBLE_DEVICES"], sorted(os.environ), flush=True)
    if os.environ.get("YOLO_CONFIG_DIR", "").endswith("unready"):
        time.sleep(1000)
    toy = Toy(sock)
    toy.say(event="ready", gpu=first.header["gpu"], batch=1)
    toy.serve()


if __name__ == "__main__":
    main()
