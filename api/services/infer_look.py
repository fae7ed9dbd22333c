"""What the inference process is asked, and what its answers mean. Nothing is decoded here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from api.models.inference import DEFAULT_IMGSZ, STRIDE, Detection, LookOptions, Seen
from api.models.yolo_model import YoloModel
from api.services.infer_process import Call, InferProcess
from api.utils.errors import Conflict, Insufficient
from api.utils.framing import Message

AHEAD = 8  # images of one request that the process has at a time
Gone = Callable[[], bool]


class BadFile(Exception):
    """Nothing can be seen on what was sent; the text says why."""


class Asked(NamedTuple):
    model: YoloModel
    data: bytes
    draw: bool = False


@dataclass(frozen=True, slots=True)
class VideoInfo:
    fps: float
    width: int
    height: int
    total_frames: int | None  # as the file's header tells


class Frame(NamedTuple):
    number: int
    time: float  # seconds from the first
    detections: tuple[Detection, ...]
    picture: bytes


class Looker:
    """`weights`: where a model's file is. All raise Unavailable, Conflict, Insufficient; Left where `gone` says so."""

    def __init__(self, process: InferProcess, weights: Callable[[YoloModel], Path]) -> None:
        self._process = process
        self._weights = weights

    def image(self, asked: Asked, options: LookOptions, gone: Gone = bool) -> Seen:
        """Raises BadFile."""
        found = next(self.images([asked], options, gone))
        if isinstance(found, BadFile):
            raise found
        return found

    def images(self, asked: Iterable[Asked], options: LookOptions, gone: Gone = bool) -> Iterator[Seen | BadFile]:
        """In their order. The next are read and sent while the first are looked at."""
        waiting: deque[tuple[ExitStack, Call, Asked]] = deque()
        try:
            for one in asked:
                waiting.append(self._ask(one, options, gone))
                if len(waiting) >= AHEAD:
                    yield self._seen(*waiting.popleft())
            while waiting:
                yield self._seen(*waiting.popleft())
        finally:
            for stack, _, _ in waiting:
                stack.close()

    def _ask(self, asked: Asked, options: LookOptions, gone: Gone) -> tuple[ExitStack, Call, Asked]:
        header = {"op": "detect", "draw": asked.draw, **self._how(asked.model, options)}
        stack = ExitStack()
        return stack, stack.enter_context(self._process.call(header, asked.data, gone=gone)), asked

    def _seen(self, stack: ExitStack, call: Call, asked: Asked) -> Seen | BadFile:
        with stack:
            header, picture = self._process.receive(call)
        if header["event"] == "failed":
            try:
                _raise(header, asked.model)
            except BadFile as problem:
                return problem
        return Seen(header["width"], header["height"], _detections(header), picture)

    def film(
        self, model: YoloModel, source: Path, target: Path, options: LookOptions, gone: Gone = bool
    ) -> tuple[VideoInfo, list[int]]:
        """Writes the video with its boxes drawn; how many there were on each frame. Raises BadFile."""
        counts: list[int] = []
        with self._process.call(self._video(model, source, target, options), gone=gone) as call:
            info = self._info(call, model)
            while (message := self._next(call, model)).header["event"] == "frame":
                counts.append(message.header["count"])
        return info, counts

    @contextmanager
    def frames(
        self, model: YoloModel, source: Path, options: LookOptions, gone: Gone = bool
    ) -> Iterator[tuple[VideoInfo, Iterator[Frame]]]:
        """As they are made; the end of the block stops the work. Raises BadFile, also later, from the iterator."""
        with self._process.call(self._video(model, source, None, options), gone=gone) as call:
            yield self._info(call, model), self._frames(call, model)

    def _frames(self, call: Call, model: YoloModel) -> Iterator[Frame]:
        while (message := self._next(call, model)).header["event"] == "frame":
            header = message.header
            yield Frame(header["frame"], header["time"], _detections(header), message.payload)
            self._process.acknowledge(call)

    def _info(self, call: Call, model: YoloModel) -> VideoInfo:
        header = self._next(call, model).header
        return VideoInfo(header["fps"], header["width"], header["height"], header["total"])

    def _next(self, call: Call, model: YoloModel) -> Message:
        message = self._process.receive(call)
        if message.header["event"] == "failed":
            _raise(message.header, model)
        return message

    def _video(self, model: YoloModel, source: Path, target: Path | None, options: LookOptions) -> dict[str, Any]:
        place = None if target is None else str(target)
        return {"op": "video", "source": str(source), "target": place, **self._how(model, options)}

    def _how(self, model: YoloModel, options: LookOptions) -> dict[str, Any]:
        return {
            "model": model.id,
            "path": str(self._weights(model)),
            "options": {
                "conf": options.conf,
                "iou": options.iou,
                "imgsz": image_size(model, options),
                "max_det": options.max_det,
                "classes": None if options.classes is None else list(options.classes),
            },
        }


class Frames:
    """A video that is looked at while it is read. To be closed: that stops the work."""

    def __init__(self, info: VideoInfo, frames: Iterator[Frame], stack: ExitStack) -> None:
        self.info = info
        self.frames = frames
        self._stack = stack

    def close(self) -> None:
        self._stack.close()


def image_size(model: YoloModel, options: LookOptions) -> int:
    """The side in pixels to which images are brought: what was asked for, else what the model was trained with."""
    trained = model.info.get("imgsz")
    size = options.imgsz or (trained if isinstance(trained, int) and 32 <= trained <= 4096 else DEFAULT_IMGSZ)
    return -(-size // STRIDE) * STRIDE


def _detections(header: Mapping[str, Any]) -> tuple[Detection, ...]:
    return tuple(Detection(*row) for row in header["rows"])


def _raise(header: Mapping[str, Any], model: YoloModel) -> None:
    kind, message = header["kind"], header["message"]
    if kind == "file":
        raise BadFile(message)
    if kind == "model":
        raise Conflict(f"model {model.id} cannot be used: {message}")
    if kind == "memory":
        raise Insufficient(message)
    raise RuntimeError(f"the inference process failed: {message}; its log has more")
