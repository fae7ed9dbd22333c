"""Images: decoded, turned upright, brought to size and written anew without their metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps

from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Limits
from api.children.preprocessing.problems import Broken
from api.children.preprocessing.sizes import Resolution, fitted

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
THUMBNAIL = (320, 320)


def convert_image(source: BinaryIO, places: Places, number: int, wanted: Resolution, limits: Limits) -> dict[str, Any]:
    """Writes item `number`. The header is judged before anything is decoded."""
    Image.MAX_IMAGE_PIXELS = None  # the limit below is the one that holds
    with Image.open(source, formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > limits.pixels or max(width, height) > 65_535:
            raise Broken(f"{width}x{height} is larger than {limits.pixels // 1_000_000} megapixels")
        opened.load()
        image = plain(ImageOps.exif_transpose(opened))
    size = fitted(image.width, image.height, wanted)
    if size.scaled != image.size:
        image = image.resize(size.scaled, Image.Resampling.LANCZOS)
    if size.cut != image.size:
        left, top = (image.width - size.cut[0]) // 2, (image.height - size.cut[1]) // 2
        image = image.crop((left, top, left + size.cut[0], top + size.cut[1]))
    image.info = {}
    image.save(places.media(number, "png"), "PNG", compress_level=3)
    save_thumbnail(image, places.thumbnail(number))
    return {"number": number, "file": f"{number}.png", "kind": "image", "width": image.width, "height": image.height,
            "frames": 1, "fps": None, "seconds": None}  # fmt: skip


def plain(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
        return image
    return image.convert("RGB")


def save_thumbnail(image: Image.Image, path: Path) -> None:
    small = image.copy()
    small.thumbnail(THUMBNAIL)
    small.save(path, "JPEG", quality=80)
