"""What an engine reads out of a trainer's output, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from api.models.job import Phase


class Level(IntEnum):
    """Severity of a log line; a filter for one shows it and those above."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class LineType(StrEnum):
    TRAIN = "train"
    EVAL = "eval"
    SYSTEM = "system"


class Axis(StrEnum):
    """What a metric's x is. A trainer's own value of an epoch has x = the epoch, from 1."""

    STEP = "step"
    EPOCH = "epoch"


class Metric(NamedTuple):
    """One measured value. `step` None: the trainer gave none, the store counts for it. `value` None: NaN."""

    name: str
    value: float | None
    step: int | None = None
    epoch: int | None = None
    axis: Axis = Axis.STEP
    at: float | None = None  # Unix seconds, where the source says (TensorBoard); else when it was read


class Advance(NamedTuple):
    """What a line says about progress. None: it says nothing about that. Epochs count from 1."""

    phase: Phase | None = None
    epoch: int | None = None
    total_epochs: int | None = None
    step: int | None = None
    total_steps: int | None = None
    batch: int | None = None
    total_batches: int | None = None
    samples_per_second: float | None = None
    time_per_step: float | None = None  # seconds
    max_steps: int | None = None  # it ends after so many, where its epochs do not end it earlier
    steps_apart: int | None = None  # the log tells each so manieth step; None: each


@dataclass(frozen=True, slots=True)
class Saved:
    """The trainer said that it saves something, to `path` where it says where."""

    kind: str  # "state" | "weights"
    name: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The engine's own proof that the training came to its end (exit code 0 alone is none)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that may explain a failure: the final line of a traceback, an error that a launcher prints.

    `fatal`: the trainer cannot go on after it, so that silence from here on is a hang and not a long step.
    """

    line: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Warn:
    """Something a user should know, kept with the job (skipped files, a NaN loss); said once per text."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """What an engine of its own kind has to say about where its job is, beyond epochs and steps (files done and
    failed, an accuracy): the last value of a key is kept with the progress. `value` is JSON, and small."""

    key: str
    value: Any


class Source(StrEnum):
    """Where a `Reading` was found, which decides what its count means."""

    LINE = "line"  # a printed line: it counts steps, of an epoch where it names one
    BAR = "bar"  # a progress bar that counts training steps
    BARE_BAR = "bare_bar"  # a progress bar that does not say what it counts
    EPOCHS = "epochs"  # a progress bar that counts epochs
    REPORT = "report"  # values whose step stands in the bar that is drawn after them (Hugging Face's Trainer)
    FILE = "file"  # an event file


class Reading(NamedTuple):
    """Numbers as a script that nobody prepared prints them. What they mean depends on what it printed before (does a
    step begin anew in each epoch, is the first epoch 0?), so `models.reading` turns them into progress and metrics."""

    source: Source = Source.LINE
    values: tuple[tuple[str, float | None], ...] = ()
    epoch: float | None = None  # as printed; a fraction is that of Hugging Face
    total_epochs: int | None = None
    counted: int | None = None
    total: int | None = None  # of what `counted` counts
    epoch_values: bool = False  # the values are those of the whole epoch although there is a count
    inside: bool = False  # of a moment inside the epoch although there is no count
    phase: Phase | None = None
    time_per_step: float | None = None  # seconds
    at: float | None = None  # Unix seconds, where the source says


Event = Metric | Advance | Saved | Done | Fault | Warn | Note | Reading


class Parsed(NamedTuple):
    """One log line, understood."""

    level: Level = Level.INFO
    type: LineType = LineType.TRAIN
    events: tuple[Event, ...] = ()


PLAIN = Parsed()
