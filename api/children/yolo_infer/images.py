"""Images: bytes to pixels and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from api.children.yolo_infer.problems import Failed

QUALITY = 90
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_SCAN, _END = b"\xff\xda", b"\xff\xd9"


def decode(data: bytes) -> Any:
    """BGR, upright by its EXIF data. OpenCV fills up what is missing of a file with grey; here it is refused."""
    if not data.startswith((_JPEG, _PNG)):
        raise Failed("file", "is neither JPEG nor PNG")
    if data.startswith(_JPEG) and data.rfind(_END) < data.rfind(_SCAN):
        raise Failed("file", "is a JPEG that ends too soon")
    if data.startswith(_PNG) and _PNG_END not in data:
        raise Failed("file", "is a PNG that ends too soon")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as problem:
        raise Failed("file", f"cannot be decoded: {' '.join(str(problem).split())[:200]}") from None
    if image is None:
        raise Failed("file", "cannot be decoded")
    return image


def encode(image: Any, quality: int = QUALITY) -> bytes:
    """As JPEG."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
