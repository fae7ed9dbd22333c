"""What the child says: a line of JSON an event for the service, plain lines for people, both on standard output."""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from typing import Any


class Problem(Exception):
    """Why there can be no training; `kind` is one of the service's classes of failure."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def event(name: str, /, **fields: Any) -> None:
    print(json.dumps({"event": name, **{key: _plain(value) for key, value in fields.items()}}), flush=True)


def say(text: str) -> None:
    print(_one_line(text), flush=True)


def warn(text: str) -> None:
    event("warning", message=_one_line(text))


def _plain(value: Any) -> Any:
    """A number that is none becomes null: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _one_line(text: str) -> str:
    """Texts of documents stand in kraken's messages: they must not begin a line of their own."""
    return " ".join(text.splitlines())


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {record.name}: {_one_line(record.getMessage())}"


def take_over_logging() -> None:
    """Warnings of the libraries, a line each. Their running commentary is left out: the events say it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for module in ("lightning", "torch.utils.data"):  # advice to whoever wrote the training loop
        warnings.filterwarnings("ignore", module=module)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
