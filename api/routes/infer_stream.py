"""A video's frames as server-sent events, while they are made."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from flask import Response

from api.routes.http import services
from api.routes.infer_render import detections
from api.services.infer_look import BadFile, Frame, Frames
from api.services.infer_process import Left
from api.utils.errors import TrainyardError
from api.utils.sse import event


def frame_stream(begin: Callable[[], Frames]) -> Response:
    """What cannot be begun is refused with a status; what fails later ends with an event of type `error`."""
    place = services().streams.enter()
    try:
        found = begin()
    except BaseException:
        place.leave()
        raise

    def close() -> None:
        found.close()
        place.leave()

    response = Response(_events(found, close), mimetype="text/event-stream")
    response.call_on_close(close)  # also where nobody has read a byte of it
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(found: Frames, close: Callable[[], None]) -> Iterator[bytes]:
    done = 0
    try:
        yield event({"type": "info", **asdict(found.info)})
        for frame in found.frames:
            yield event(_frame(frame))
            done += 1
        yield event({"type": "complete", "processed_frames": done})
    except Left:
        return
    except (BadFile, TrainyardError) as problem:
        yield event({"type": "error", "detail": str(problem), "processed_frames": done})
    finally:
        close()


def _frame(frame: Frame) -> dict[str, Any]:
    """The picture twice: under the document's name, and under that which its clients read."""
    picture = base64.b64encode(frame.picture).decode()
    return {
        "type": "frame",
        "frame": frame.number,
        "frame_number": frame.number,
        "time": frame.time,
        "image_data": picture,
        "frame_data": picture,
        "detections": detections(frame.detections),
    }
