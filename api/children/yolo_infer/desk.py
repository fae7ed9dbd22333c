"""Takes requests from the socket, hands them to whoever does them, and says what came of it."""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from api.children.yolo_infer import images, videos
from api.children.yolo_infer.predictor import Predictor, Wanted, Work, rows
from api.children.yolo_infer.problems import Cancelled, Failed
from api.children.yolo_infer.videos import Run
from api.utils.framing import Message, receive, send

BESIDES = 3  # images that are decoded, drawn or waiting while a batch is looked at


class Desk:
    """Images in hand are as many as its threads, so that what waits is still packed."""

    def __init__(self, sock: socket.socket, predictor: Predictor, video_seconds: float) -> None:
        self._sock = sock
        self._predictor = predictor
        self._video_seconds = video_seconds
        self._sending = threading.Lock()
        self._pool = ThreadPoolExecutor(predictor.batch + BESIDES, thread_name_prefix="image")
        self._runs: dict[int, Run] = {}

    def say(self, payload: bytes = b"", **header: Any) -> None:
        with self._sending:
            send(self._sock, header, payload)

    def read(self) -> None:
        """Until the service closes its end, which is the end of this process."""
        try:
            while (message := receive(self._sock)) is not None:
                self._take(message)
        except Exception:  # noqa: BLE001  (it goes to the log; this process ends whatever it was)
            traceback.print_exc()
        os._exit(0)

    def _take(self, message: Message) -> None:
        header = message.header
        number, run = header["id"], self._runs.get(header["id"])
        if header["op"] == "detect":
            self._runs[number] = Run()
            self._pool.submit(self._safely, number, partial(self._detect, header, message.payload))
        elif header["op"] == "video":
            self._runs[number] = Run()
            work = partial(self._safely, number, partial(self._video, header))
            threading.Thread(target=work, name="video", daemon=True).start()
        elif run is not None:  # else it has just ended
            run.cancel() if header["op"] == "cancel" else run.taken()

    def _safely(self, number: int, work: Callable[[int, Run], None]) -> None:
        run = self._runs[number]
        try:
            work(number, run)
        except Cancelled:
            self._end(number, event="cancelled")
        except Failed as problem:
            self._end(number, event="failed", kind=problem.kind, message=str(problem))
        except MemoryError:
            self._end(number, event="failed", kind="memory", message="there is not enough memory for this file")
        except Exception as problem:  # noqa: BLE001  (one request's accident is not the others')
            traceback.print_exc()
            self._end(number, event="failed", kind="internal", message=type(problem).__name__)

    def _end(self, number: int, payload: bytes = b"", **header: Any) -> None:
        self._runs.pop(number, None)
        self.say(payload, id=number, **header)

    # ---- images

    def _detect(self, header: dict[str, Any], data: bytes, number: int, run: Run) -> None:
        run.check()
        image = images.decode(data)
        work = Work(_wanted(header), image, cancelled=lambda: run.is_cancelled)
        result = self._predictor.submit(work).result()
        height, width = image.shape[:2]
        picture = images.encode(result.plot()) if header["draw"] else b""
        self._end(number, picture, event="done", rows=rows(result), width=width, height=height, batch=work.together)

    # ---- videos

    def _video(self, header: dict[str, Any], number: int, run: Run) -> None:
        source, target = Path(header["source"]), header["target"]
        say = partial(self.say, id=number)
        film = Path(target) if target else None
        count = videos.look(source, film, _wanted(header), self._predictor, run, say, self._video_seconds)
        self._end(number, event="done", frames=count)


def _wanted(header: dict[str, Any]) -> Wanted:
    options = dict(header["options"])
    if options["classes"] is not None:
        options["classes"] = tuple(options["classes"])
    return Wanted(model=header["model"], path=header["path"], **options)
