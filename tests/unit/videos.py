"""Small media files that tests make, and what is in a file that the service made."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def make_video(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: int = 25,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    times: list[float] | None = None,
    sar: Fraction | None = None,
) -> Path:
    """Frame i is grey, brighter with i; its top left quarter is white. `times`: when each frame is shown, in seconds."""
    width, height = size
    when = times if times is not None else [i / fps for i in range(round(seconds * fps))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        for index, at in enumerate(when):
            pixels = np.full((height, width, 3), 20 + index * 200 // max(1, len(when)), np.uint8)
            pixels[: height // 2, : width // 2] = 255
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path) -> None:
    """Says in an MP4's header that it is to be shown a quarter turn clockwise, as telephones do."""
    data = bytearray(path.read_bytes())
    matrix = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    place = data.index(matrix, data.index(b"tkhd"))
    data[place : place + len(matrix)] = turned
    path.write_bytes(data)


def make_image(path: Path, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> Path:
    image = Image.new(mode, size, (200, 40, 40, 128)[: len(mode)])
    image.save(path, **options)
    return path


@dataclass
class Seen:
    """What a player finds in a video."""

    codec: str
    pixels: str
    size: tuple[int, int]
    fps: float
    seconds: float
    frames: list[np.ndarray]

    def brightness(self) -> list[int]:
        """Of the bottom right corner of each frame."""
        return [int(frame[-4:, -4:].mean()) for frame in self.frames]


def look(path: Path) -> Seen:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return Seen(
            stream.codec_context.name,
            stream.codec_context.pix_fmt or "",
            (stream.codec_context.width, stream.codec_context.height),
            float(stream.average_rate or 0),
            float(stream.duration * stream.time_base),
            frames,
        )


def is_faststart(path: Path) -> bool:
    """The index lies before the pictures, so that a browser plays it while it comes."""
    data = path.read_bytes()
    return data.index(b"moov") < data.index(b"mdat")
