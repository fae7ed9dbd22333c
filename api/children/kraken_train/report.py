"""What becomes of the libraries' own words: warnings of theirs, a line each."""

from __future__ import annotations

import logging
import sys
import warnings

from api.children.common.report import event, one_line


def warn(text: str) -> None:
    event("warning", message=one_line(text))


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {record.name}: {one_line(record.getMessage())}"


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
