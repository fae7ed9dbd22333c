"""A video, frame by frame: decoded, looked at, drawn, and written anew as H.264 or sent as JPEGs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.frame import VideoFrame

from api.children.common.video import OPTIONS, video_stream
from api.children.yolo_infer.images import encode
from api.children.yolo_infer.predictor import Predictor, Wanted, Work, rows
from api.children.yolo_infer.problems import Cancelled, Failed

ENCODER = {"preset": "veryfast", "crf": "23"}
CLOCK = 90_000  # ticks a second of what is written
MOST_PIXELS, LONGEST_SIDE = 40_000_000, 16_384  # of a frame; 8K has 35 million
MOST_FRAMES = 1_000_000
STREAM_QUALITY = 80
AHEAD = 4  # frames that are sent before the client has taken them
Say = Callable[..., None]  # header fields, and `payload`


@dataclass(frozen=True, slots=True)
class Info:
    fps: float
    width: int
    height: int
    total_frames: int | None  # as the header tells, where it does


class Run:
    """One request for a video, while it goes on."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._taken = threading.Semaphore(AHEAD)

    def cancel(self) -> None:
        self._cancelled.set()
        self._taken.release()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def taken(self) -> None:
        self._taken.release()

    def wait_for_reader(self) -> None:
        self._taken.acquire()
        self.check()

    def check(self) -> None:
        if self.is_cancelled:
            raise Cancelled


class Sink(Protocol):
    def add(self, number: int, time: float, result: Any) -> None: ...

    def close(self) -> None: ...


class Film:
    """H.264 in an mp4 that browsers play; each frame keeps its time."""

    def __init__(self, target: Path, info: Info, say: Say) -> None:
        self._say = say
        self._size = info.width & ~1, info.height & ~1
        if not all(self._size):
            raise Failed("file", f"its frames have {info.width} x {info.height} pixels")
        self._container = av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(info.fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options=ENCODER)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, CLOCK)
        self._last = -1

    def add(self, number: int, time: float, result: Any) -> None:
        width, height = self._size
        drawn = np.ascontiguousarray(result.plot()[:height, :width])
        frame = VideoFrame.from_ndarray(drawn, format="bgr24")
        self._last = max(self._last + 1, round(time * CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, CLOCK)
        self._write(frame)
        self._say(event="frame", frame=number, count=len(result.boxes))

    def close(self) -> None:
        try:
            self._write(None)
        finally:
            self._container.close()

    def _write(self, frame: VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as problem:  # which is not the fault of the file that was sent
            raise Failed("internal", f"the result cannot be written: {problem.strerror}") from problem


class Pictures:
    """Each frame as a JPEG, no more of them than the reader takes."""

    def __init__(self, run: Run, say: Say) -> None:
        self._run = run
        self._say = say

    def add(self, number: int, time: float, result: Any) -> None:
        self._run.wait_for_reader()
        picture = encode(result.plot(), STREAM_QUALITY)
        self._say(event="frame", frame=number, time=round(time, 4), rows=rows(result), payload=picture)

    def close(self) -> None:
        """Nothing is open."""


def look(source: Path, target: Path | None, wanted: Wanted, predictor: Predictor, run: Run, say: Say,
         seconds: float) -> int:  # fmt: skip
    """How many frames were done. Raises Failed and Cancelled."""
    try:
        with open(source, "rb") as file, av.open(file, "r", options=OPTIONS, metadata_errors="replace") as container:
            frames = _frames(container, seconds)
            info = _info(container)
            sink: Sink | None = None
            waiting: deque[tuple[int, float, Future[Any]]] = deque()
            count = 0
            try:
                for time, image in frames:
                    run.check()
                    if sink is None:  # only now is it known that it can be decoded
                        info = Info(info.fps, image.shape[1], image.shape[0], info.total_frames)
                        sink = Film(target, info, say) if target else Pictures(run, say)
                        say(event="info", fps=info.fps, width=info.width, height=info.height, total=info.total_frames)
                    elif image.shape[:2] != (info.height, info.width):
                        raise Failed("file", f"its frames change their size at frame {count}")
                    work = Work(wanted, image, cancelled=lambda: run.is_cancelled)
                    waiting.append((count, time, predictor.submit(work)))
                    count += 1
                    while len(waiting) > predictor.batch:
                        _finish(waiting, sink)
                while waiting and sink is not None:
                    _finish(waiting, sink)
            finally:
                if sink is not None:
                    sink.close()
    except av.error.FFmpegError as problem:
        raise Failed("file", f"is no video that can be read: {problem.strerror}") from problem
    if not count:
        raise Failed("file", "no frame of it can be decoded")
    return count


def _finish(waiting: deque[tuple[int, float, Future[Any]]], sink: Sink) -> None:
    number, time, result = waiting.popleft()
    sink.add(number, time, result.result())


def _info(container: Any) -> Info:
    stream = video_stream(container)
    assert stream is not None
    rate = float(stream.average_rate or stream.base_rate or 25)
    context = stream.codec_context
    return Info(round(min(max(rate, 1.0), 240.0), 3), context.width, context.height, stream.frames or None)


def _frames(container: Any, seconds: float) -> Iterator[tuple[float, Any]]:
    """Seconds from the first one, and BGR. The header is asked first; since it may lie, each frame again."""
    stream = video_stream(container)
    if stream is None:
        raise Failed("file", "has no video that can be decoded")
    _check_size(stream.codec_context.width, stream.codec_context.height)
    long = (container.duration or 0) / av.time_base
    if long > seconds:
        raise Failed("file", f"is {long:.0f} s long; at most {seconds:.0f} s are taken")
    return _decoded(container, stream, seconds)


def _decoded(container: Any, stream: Any, seconds: float) -> Iterator[tuple[float, Any]]:
    stream.thread_type = "AUTO"
    nominal = 1 / float(stream.average_rate or stream.base_rate or 25)
    start: float | None = None
    for number, frame in enumerate(container.decode(stream)):
        _check_size(frame.width, frame.height)
        at = frame.time if frame.time is not None else (start or 0.0) + number * nominal
        start = at if start is None else start
        if at - start > seconds or number >= MOST_FRAMES:
            raise Failed("file", f"is longer than {seconds:.0f} s, or has more than {MOST_FRAMES} frames")
        image = frame.to_ndarray(format="bgr24")
        turns = round(frame.rotation / 90) % 4
        yield max(0.0, at - start), np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise Failed("file", "its header does not tell the size of its frames")
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise Failed(
            "file", f"has frames of {width} x {height}; at most {MOST_PIXELS // 1_000_000} megapixels are taken"
        )
