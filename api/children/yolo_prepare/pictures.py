"""Images of strangers: decoded here, in a process that may die of it, once each. A thumbnail is made on the way."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from api.children.yolo_prepare.sources import Source

PLUGINS = (BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)  # no thread loads them
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MOST_BYTES = 512 * 1024**2
MOST_PIXELS = 100_000_000
THUMBNAIL = 320  # pixels of its longer side
_TURNED = (5, 6, 7, 8)  # EXIF orientations that lie on their side
_ORIENTATION = 0x0112

Image.MAX_IMAGE_PIXELS = None  # our own limit is looked at before anything is decoded
ImageFile.LOAD_TRUNCATED_IMAGES = False


class BadPicture(ValueError):
    """No image that can be trained on; the text says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`size` as a trainer sees it: turned as its EXIF says."""

    size: tuple[int, int]
    digest: str
    thumbnail: bytes


def look(source: Source, name: str) -> Picture:
    """Raises BadPicture."""
    try:
        content = source.read(name, MOST_BYTES)
    except (OSError, ValueError) as problem:
        raise BadPicture(str(problem)) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that nobody reads
            return _decoded(content)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(f"is no image: neither {', '.join(FORMATS[:-1])} nor {FORMATS[-1]}") from None
    except MemoryError:
        raise BadPicture("needs more memory than an image may") from None
    except Exception as problem:  # noqa: BLE001  Pillow's plugins raise what they like over damaged files
        raise BadPicture(f"does not decode: {type(problem).__name__}: {problem}"[:200]) from None


def _decoded(content: bytes) -> Picture:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width < 10 or height < 10:
            raise BadPicture(f"is {width} x {height} pixels; trainers want 10 x 10 at least")
        if width * height > MOST_PIXELS:
            raise BadPicture(f"has {width} x {height} pixels; at most {MOST_PIXELS} are taken")
        turned = image.getexif().get(_ORIENTATION) in _TURNED
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))  # a JPEG is decoded small, but to its last byte
        image.load()
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
    if turned:
        small = small.transpose(Image.Transpose.ROTATE_270)
    made = io.BytesIO()
    small.save(made, "JPEG", quality=80)
    size = (height, width) if turned else (width, height)
    return Picture(size, hashlib.sha256(content).hexdigest(), made.getvalue())
