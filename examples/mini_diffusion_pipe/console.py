"""Lines shaped like those of DeepSpeed's logger and tqdm's bars, so that one reader reads all logs."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sized
from datetime import datetime
from types import TracebackType
from typing import Any

LOG_DIST = "logging.py:123:log_dist"
EIGHTHS = " ▏▎▍▌▋▊▉"


def say(text: str) -> None:
    print(text, flush=True)


def log(message: str, where: str = LOG_DIST, level: str = "INFO") -> None:
    """`[2026-11-21 07:20:45,663] [INFO] [logging.py:123:log_dist] message` on standard output."""
    stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    say(f"[{stamp}] [{level}] [{where}] {message}")


def log_rank0(message: str) -> None:
    log(f"[Rank 0] {message}")


class Bar:
    """A progress bar on standard error; redrawn at most ten times a second, and always at the end."""

    def __init__(self, total: int, description: str = "", unit: str = "it") -> None:
        self.total, self.unit = total, unit
        self.head = f"{description}: " if description else ""
        self.gap = " " if unit != "it" else ""
        self.done = 0
        self.started = self.drawn = time.monotonic()
        self._draw()

    def step(self, count: int = 1) -> None:
        self.done += count
        if time.monotonic() - self.drawn > 0.1 and self.done < self.total:
            self._draw()

    def close(self) -> None:
        self._draw()
        sys.stderr.write("\n")
        sys.stderr.flush()

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        share = self.done / self.total if self.total else 0.0
        full, part = divmod(int(share * 80), 8)
        blocks = ("█" * full + (EIGHTHS[part] if full < 10 else "")).ljust(10)
        sys.stderr.write(
            f"\r{self.head}{share:4.0%}|{blocks}| {self.done}/{self.total} [{self._clock()}{self._rate()}]"
        )
        sys.stderr.flush()

    def _clock(self) -> str:
        elapsed = self.drawn - self.started
        left = "?" if not self.done else _minutes(elapsed / self.done * (self.total - self.done))
        return f"{_minutes(elapsed)}<{left}, "

    def _rate(self) -> str:
        elapsed = self.drawn - self.started
        if not self.done or elapsed <= 0:
            return f"?{self.gap}{self.unit}/s"
        rate = self.done / elapsed
        if rate < 1:
            return f"{1 / rate:5.2f}s/{self.unit}"
        return f"{rate:5.2f}{self.gap}{self.unit}/s"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def bar(items: Iterable[Any], description: str = "", unit: str = "it") -> Iterator[Any]:
    shown = Bar(len(items) if isinstance(items, Sized) else 0, description, unit)
    for item in items:
        yield item
        shown.step()
    shown.close()


def name_rank_in_tracebacks() -> None:
    """From now on each line of a fatal traceback starts with `[rank0]: `, as torch.distributed has it."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stdout.flush()
        sys.stderr.write("".join(f"[rank0]: {line}\n" for line in text.splitlines()))
        sys.stderr.flush()

    sys.excepthook = hook
