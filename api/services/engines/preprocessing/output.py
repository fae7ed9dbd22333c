"""The child's lines: those that begin with @event hold JSON, the others are for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from api.models.events import PLAIN, Advance, Done, Event, Fault, Level, LineType, Metric, Note, Parsed, Warn
from api.models.job import Phase

MARK = "@event "
_WARNING = Parsed(Level.WARNING)
_ERROR = Parsed(Level.ERROR)


def parse(line: str) -> Parsed:
    if line.startswith(MARK):
        try:
            said = json.loads(line.removeprefix(MARK))
        except ValueError:
            return PLAIN  # the line was cut: the machine went down
        return Parsed(Level.DEBUG, LineType.SYSTEM, tuple(_events(said)))
    if line.startswith("WARNING "):
        return _WARNING
    return _ERROR if line.startswith("ERROR ") else PLAIN


def _events(said: Mapping[str, Any]) -> list[Event]:
    kind = said.get("event")
    if kind == "file":
        return [
            Advance(phase=Phase.SAVING if said["current"] is None else Phase.CACHING, step=said["done"] or None,
                    total_steps=said["total"]),
            Note("total_videos", said["total"]),
            Note("processed_videos", said["done"] - said["failed"]),
            Note("failed_videos", said["failed"]),
            Note("current_video", said["current"]),
            Note("current_step", said["step"]),
        ]  # fmt: skip
    if kind == "converted":
        step = said["step"]
        return [
            Advance(time_per_step=said["seconds"]),
            Metric("file_seconds", said["seconds"], step),
            Metric("peak_memory_mb", round(said["peak_bytes"] / 1e6, 1), step),
        ]
    if kind == "errors":
        return [Note("errors", said["errors"])]
    if kind == "warning":
        return [Warn(said["text"])]
    if kind == "fault":
        return [Fault(said["text"])]
    if kind == "summary":
        return [Note("summary", {name: value for name, value in said.items() if name != "event"})]
    return [Advance(phase=Phase.DONE), Note("current_step", "done"), Done()] if kind == "done" else []
