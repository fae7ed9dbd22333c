"""Videos: decoded, brought to a constant frame rate by their timestamps, and written anew as H.264."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import av
from av.filter import Graph
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from api.children.common.video import OPTIONS, video_stream
from api.children.preprocessing.pictures import save_thumbnail
from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Limits
from api.children.preprocessing.problems import Broken
from api.children.preprocessing.sizes import Resolution, fitted

ENCODER = {"preset": "veryfast", "crf": "18"}
SHORTEST_REST = 1.0  # seconds: of a last clip that is kept
TURNS = {90: [("transpose", "cclock")], -90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")]}


class Wanted(NamedTuple):
    fps: int
    resolution: Resolution
    clip_seconds: float | None


def convert_video(
    source: BinaryIO, places: Places, first: int, wanted: Wanted, limits: Limits, beat: Callable[[], None]
) -> list[dict[str, Any]]:
    """Writes items from number `first` on, one unless it is cut into clips. `beat` is called now and then."""
    with av.open(source, "r", options=OPTIONS, metadata_errors="replace") as container:
        stream = _video_stream(container)
        _check_header(container, stream, limits)
        stream.thread_type = "AUTO"
        clips = _Clips(places, first, wanted, stream.sample_aspect_ratio)
        try:
            for frame in _constant_rate(container, stream, wanted.fps, limits):
                clips.add(frame)
                if clips.total > limits.frames:
                    raise Broken(f"gives more than {limits.frames} frames")
                beat()
        finally:
            clips.close()
    return clips.items()


def _video_stream(container: Any) -> VideoStream:
    stream = video_stream(container)
    if stream is None:
        raise Broken("has no video stream")
    return stream


def _check_header(container: Any, stream: VideoStream, limits: Limits) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height:
        raise Broken("its header does not tell its size")
    if width * height > limits.frame_pixels or max(width, height) > limits.side:
        raise Broken(f"{width}x{height} is larger than {limits.frame_pixels // 1_000_000} megapixels")
    seconds = (container.duration or 0) / av.time_base
    if seconds > limits.video_seconds:
        raise Broken(f"is {seconds:.0f} s long, more than {limits.video_seconds:.0f}")


def _constant_rate(container: Any, stream: VideoStream, fps: int, limits: Limits) -> Iterator[VideoFrame]:
    """Each frame as often as its time on the screen asks for: repeated or left out, the duration kept."""
    nominal = 1 / float(stream.average_rate or stream.base_rate or 25)
    before: VideoFrame | None = None
    start = shown_at = lasts = 0.0
    given = 0
    for frame in container.decode(stream):
        _check_frame(frame, limits)
        at = frame.time if frame.time is not None else (shown_at + nominal if before is not None else 0.0)
        if before is None:
            start = at
        elif at <= shown_at:
            continue
        else:
            due = round((at - start) * fps)
            if due > limits.video_seconds * fps:
                raise Broken(f"its timestamps go beyond {limits.video_seconds:.0f} s")
            for _ in range(due - given):
                yield before
            given = max(given, due)
        before, shown_at = frame, at
        lasts = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else nominal
    if before is None:
        raise Broken("no frame of it can be decoded")
    for _ in range(max(1 if not given else 0, round((shown_at + min(lasts, 10.0) - start) * fps) - given)):
        yield before


def _check_frame(frame: VideoFrame, limits: Limits) -> None:
    """The header may lie, and a stream may change its size on the way."""
    if frame.width * frame.height > limits.frame_pixels or max(frame.width, frame.height) > limits.side:
        raise Broken(f"has a frame of {frame.width}x{frame.height}")


class _Clips:
    """The items that one video becomes."""

    def __init__(self, places: Places, first: int, wanted: Wanted, pixel: Fraction | None) -> None:
        self._pixel = float(pixel) if pixel and Fraction(1, 10) < pixel < 10 else 1.0  # width to height of a pixel
        self._places = places
        self._number = first
        self._wanted = wanted
        self._length = round(wanted.clip_seconds * wanted.fps) if wanted.clip_seconds else None
        self._open: _Clip | None = None
        self._done: list[_Clip] = []
        self._shapers: dict[Any, _Shaper] = {}
        self._last: tuple[VideoFrame, VideoFrame] | None = None  # a frame, and what became of it
        self.total = 0

    def add(self, frame: VideoFrame) -> None:
        if self._last is None or self._last[0] is not frame:
            self._last = frame, self._shaped(frame)
        if self._open is None:
            self._open = _Clip(self._places, self._number, self._last[1], self._wanted.fps)
            self._number += 1
        self._open.add(self._last[1])
        self.total += 1
        if self._open.frames == self._length:
            self._finish()

    def _shaped(self, frame: VideoFrame) -> VideoFrame:
        key = (frame.width, frame.height, frame.format.name, frame.rotation)
        if key not in self._shapers:
            self._shapers[key] = _Shaper(frame, self._pixel, self._size or self._wanted.resolution)
        return self._shapers[key].shape(frame)

    @property
    def _size(self) -> tuple[int, int] | None:
        """What the video's first frame became: all its later ones, whatever their size, become that."""
        return next(iter(self._shapers.values())).size if self._shapers else None

    def _finish(self) -> None:
        clip, self._open = self._open, None
        if clip is not None:
            clip.close()
            self._done.append(clip)

    def close(self) -> None:
        self._finish()

    def items(self) -> list[dict[str, Any]]:
        """A last clip that is but a rest is not kept."""
        if self._length and len(self._done) > 1:
            least = min(SHORTEST_REST * self._wanted.fps, self._length / 2)
            if self._done[-1].frames < least:
                self._places.remove(self._done.pop().number)
        return [clip.item() for clip in self._done]


class _Shaper:
    """Brings frames of one kind upright, to square pixels, to size and to 8-bit 4:2:0."""

    def __init__(self, frame: VideoFrame, pixel: float, wanted: Resolution) -> None:
        turn = round(frame.rotation / 90) * 90
        width, height = max(1, round(frame.width * pixel)), frame.height
        if turn in (90, -90):
            width, height = height, width
        fit = fitted(width, height, wanted, even=True)
        self.size = fit.cut
        steps = list(TURNS.get(180 if turn == -180 else turn, []))
        plain = frame.format.name == "yuv420p" and frame.color_range != 2  # 2: full range, which a player may misread
        if fit.scaled != ((frame.height, frame.width) if turn in (90, -90) else (frame.width, frame.height)):
            steps.append(("scale", f"{fit.scaled[0]}:{fit.scaled[1]}:flags=lanczos:out_range=tv"))
        elif not plain:
            steps.append(("scale", "out_range=tv"))
        if fit.cut != fit.scaled:
            steps.append(("crop", f"{fit.cut[0]}:{fit.cut[1]}"))
        if steps or not plain:
            steps += [("setsar", "1"), ("format", "yuv420p")]
        self._graph = _graph(frame, steps) if steps else None

    def shape(self, frame: VideoFrame) -> VideoFrame:
        if self._graph is None:
            return frame
        self._graph.push(frame)
        shaped = self._graph.pull()
        assert isinstance(shaped, VideoFrame)
        return shaped


def _graph(frame: VideoFrame, steps: list[tuple[str, str]]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 90_000)
    )
    for name, arguments in [*steps, ("buffersink", "")]:
        node = graph.add(name, arguments) if arguments else graph.add(name)
        last.link_to(node)
        last = node
    graph.configure()
    return graph


class _Clip:
    """One item that is being written."""

    def __init__(self, places: Places, number: int, frame: VideoFrame, fps: int) -> None:
        self.number = number
        self.frames = 0
        self._fps = fps
        self._size = (frame.width, frame.height)
        self._path: Path = places.media(number, "mp4")
        self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=fps, options=ENCODER)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, fps)
        picture = frame.to_image()  # type: ignore[no-untyped-call]
        picture.save(places.first_frame(number), "JPEG", quality=95, subsampling=0)
        save_thumbnail(picture, places.thumbnail(number))

    def add(self, frame: VideoFrame) -> None:
        frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
        frame.pict_type = PictureType.NONE  # else the encoder repeats the choices of the source's
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def item(self) -> dict[str, Any]:
        return {"number": self.number, "file": self._path.name, "kind": "video", "width": self._size[0],
                "height": self._size[1], "frames": self.frames, "fps": self._fps,
                "seconds": round(self.frames / self._fps, 3)}  # fmt: skip
