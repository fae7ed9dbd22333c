"""Captioners that look at nothing: none, and the text that lies beside the source."""

from __future__ import annotations

import os

from api.children.preprocessing.captioners.base import CaptionError, Subject

LONGEST = 64 * 1024  # bytes of a text that are read


class Nothing:
    def caption(self, subject: Subject) -> str:
        return ""


class Sidecar:
    """Keeps `x.txt` of `x.mp4`."""

    def caption(self, subject: Subject) -> str:
        path = subject.source.with_suffix(".txt")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        except OSError as problem:
            raise CaptionError(f"{path.name}: {problem.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(LONGEST).decode("utf-8-sig", "replace")
