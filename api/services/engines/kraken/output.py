"""What a line of api.children.kraken_train says. Pure. A line of JSON is an event, the others are for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from api.models.events import (
    PLAIN,
    Advance,
    Axis,
    Done,
    Event,
    Fault,
    Level,
    LineType,
    Metric,
    Note,
    Parsed,
    Saved,
    Warn,
)
from api.models.job import Phase

LINE_MAX = 2000
NAN_LOSS = "the loss is NaN"

_START = '{"event": "'
_LEVELS = re.compile(r"(WARNING|ERROR|CRITICAL) [\w.]{1,200}: |(Traceback \(most recent call last\))")
_WARNING, _ERROR = Parsed(Level.WARNING, LineType.SYSTEM), Parsed(Level.ERROR, LineType.SYSTEM)
_SYSTEM = Parsed(Level.INFO, LineType.SYSTEM)

Fields = Mapping[str, Any]
Reader = Callable[[Fields], Iterable[Event]]


def parse(line: str) -> Parsed:
    if not line.startswith(_START):
        return _plain(line)
    try:
        fields = json.loads(line)
        name = fields["event"]
        events = tuple(_READERS[name](fields))
    except (ValueError, KeyError, TypeError, RecursionError):  # cut short, or not the child's
        return _plain(line)
    level = Level.ERROR if name == "error" else Level.WARNING if name == "warning" else Level.INFO
    return Parsed(level, _TYPES.get(name, LineType.SYSTEM), events)


def _plain(line: str) -> Parsed:
    found = _LEVELS.match(line)
    if found is None:
        return PLAIN
    return _WARNING if found[1] == "WARNING" else _ERROR


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _phase(fields: Fields) -> Iterable[Event]:
    yield Advance(phase=Phase(fields["phase"]))


def _data(fields: Fields) -> Iterable[Event]:
    yield Note("data", {name: fields[name] for name in fields if name != "event"})


def _fit(fields: Fields) -> Iterable[Event]:
    yield Advance(
        Phase.TRAINING,
        total_epochs=int(fields["epochs"]),
        total_steps=int(fields["steps"]),
        total_batches=int(fields["batches"]),
    )


def _epoch_start(fields: Fields) -> Iterable[Event]:
    yield Advance(Phase.TRAINING, epoch=int(fields["epoch"]))


def _batch(fields: Fields) -> Iterable[Event]:
    step, loss = int(fields["step"]), _number(fields["loss"])
    yield Advance(
        Phase.TRAINING,
        epoch=int(fields["epoch"]),
        step=step,
        batch=int(fields["batch"]),
        samples_per_second=_number(fields["items_per_second"]),
        time_per_step=_number(fields["seconds_per_batch"]),
    )
    yield Metric("loss", loss, step)
    yield Metric("lr", _number(fields["lr"]), step)
    if loss is None:
        yield Warn(NAN_LOSS)


def _epoch(fields: Fields) -> Iterable[Event]:
    """The accuracy of the note is held to 0..1: more errors than characters make the trainer's own negative."""
    epoch = int(fields["epoch"])
    yield Advance(epoch=epoch, step=int(fields["step"]))
    for name, value in fields["metrics"].items():
        yield Metric(str(name), _number(value), epoch=epoch, axis=Axis.EPOCH)
    accuracy = _number(fields["metrics"]["accuracy"])
    yield Note("epochs_done", epoch)
    yield Note("accuracy", None if accuracy is None else min(1.0, max(0.0, accuracy)))
    if fields["seconds_per_line_epoch"] is not None:
        yield Note("seconds_per_line_epoch", float(fields["seconds_per_line_epoch"]))


def _patience(fields: Fields) -> Iterable[Event]:
    yield Note("early_stopping", {"waited": int(fields["waited"]), "lag": int(fields["lag"])})


def _saving(fields: Fields) -> Iterable[Event]:
    name = str(fields["name"])
    yield Saved("weights" if name == "best" else "state", name)


def _model(fields: Fields) -> Iterable[Event]:
    kept = {"name": str(fields["name"]), "size_bytes": int(fields["size_bytes"]), "epoch": int(fields["epoch"])}
    yield Note("model_file", {**kept, "accuracy": _number(fields["accuracy"])})


def _tested(fields: Fields) -> Iterable[Event]:
    yield Advance(
        Phase.EVALUATING,
        step=int(fields["batch"]),
        total_steps=int(fields["batches"]),
        samples_per_second=_number(fields["items_per_second"]),
        time_per_step=_number(fields["seconds_per_batch"]),
    )


def _result(fields: Fields) -> Iterable[Event]:
    """Of a test: error rates, and what they were counted from; also as metrics, each of one value."""
    found = {str(name): _number(value) for name, value in fields.items() if name != "event"}
    for name, value in found.items():
        yield Metric(name, value)
    yield Note("result", found)
    if found["accuracy"] is not None:
        yield Note("accuracy", min(1.0, max(0.0, found["accuracy"])))


def _warning(fields: Fields) -> Iterable[Event]:
    yield Warn(str(fields["message"])[:LINE_MAX])


def _error(fields: Fields) -> Iterable[Event]:
    """The class stands first, where `failures.explain` finds it."""
    kind = fields["kind"]
    yield Fault((f"[{kind}] " if kind else "") + str(fields["message"])[:LINE_MAX])


def _done(fields: Fields) -> Iterable[Event]:
    yield Advance(phase=Phase.DONE)
    yield Done()


_READERS: Mapping[str, Reader] = {
    "phase": _phase,
    "data": _data,
    "fit": _fit,
    "epoch_start": _epoch_start,
    "batch": _batch,
    "epoch": _epoch,
    "patience": _patience,
    "saving": _saving,
    "model": _model,
    "tested": _tested,
    "result": _result,
    "warning": _warning,
    "error": _error,
    "done": _done,
}
_TYPES: Mapping[str, LineType] = {
    "fit": LineType.TRAIN,
    "epoch_start": LineType.TRAIN,
    "batch": LineType.TRAIN,
    "epoch": LineType.EVAL,
    "patience": LineType.EVAL,
    "tested": LineType.EVAL,
    "result": LineType.EVAL,
}
