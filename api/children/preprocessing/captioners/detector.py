"""Names of what a YOLO model finds. Offline; needs ultralytics in the service's interpreter."""

from __future__ import annotations

from collections import Counter
from typing import Any

from api.children.preprocessing.captioners.base import CaptionError, Subject

CONFIDENCE = 0.25


class Detector:
    """`weights`: an absolute path that the operator has set. Loading it runs what is in it."""

    def __init__(self, weights: str) -> None:
        try:
            from ultralytics import YOLO
        except ImportError as problem:
            raise CaptionError(f"the detector needs ultralytics: {problem}", final=True) from None
        try:
            self._model: Any = YOLO(weights)
        except (OSError, RuntimeError, ValueError, TypeError) as problem:
            raise CaptionError(f"the detector's weights cannot be loaded: {problem}", final=True) from None

    def caption(self, subject: Subject) -> str:
        result = self._model.predict(str(subject.picture), conf=CONFIDENCE, verbose=False)[0]
        return listed([result.names[int(number)] for number in result.boxes.cls])


def listed(names: list[str]) -> str:
    """`2 cat, dog`: the most frequent first."""
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in Counter(names).most_common())
