"""What a line of api.children.kraken_train says. Pure. A line of JSON is an event, the others are for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from api.models.events import (
    Advance,
    Axis,
    Event,
    LineType,
    Metric,
    Note,
    Saved,
    Warn,
)
from api.models.job import Phase
from api.services.engines.child_events import ChildEvents, Fields, Reader, number

NAN_LOSS = "the loss is NaN"


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
    step, loss = int(fields["step"]), number(fields["loss"])
    yield Advance(
        Phase.TRAINING,
        epoch=int(fields["epoch"]),
        step=step,
        batch=int(fields["batch"]),
        samples_per_second=number(fields["items_per_second"]),
        time_per_step=number(fields["seconds_per_batch"]),
    )
    yield Metric("loss", loss, step)
    yield Metric("lr", number(fields["lr"]), step)
    if loss is None:
        yield Warn(NAN_LOSS)


def _epoch(fields: Fields) -> Iterable[Event]:
    """The accuracy of the note is held to 0..1: more errors than characters make the trainer's own negative."""
    epoch = int(fields["epoch"])
    yield Advance(epoch=epoch, step=int(fields["step"]))
    for name, value in fields["metrics"].items():
        yield Metric(str(name), number(value), epoch=epoch, axis=Axis.EPOCH)
    accuracy = number(fields["metrics"]["accuracy"])
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
    yield Note("model_file", {**kept, "accuracy": number(fields["accuracy"])})


def _tested(fields: Fields) -> Iterable[Event]:
    yield Advance(
        Phase.EVALUATING,
        step=int(fields["batch"]),
        total_steps=int(fields["batches"]),
        samples_per_second=number(fields["items_per_second"]),
        time_per_step=number(fields["seconds_per_batch"]),
    )


def _result(fields: Fields) -> Iterable[Event]:
    """Of a test: error rates, and what they were counted from; also as metrics, each of one value."""
    found = {str(name): number(value) for name, value in fields.items() if name != "event"}
    for name, value in found.items():
        yield Metric(name, value)
    yield Note("result", found)
    if found["accuracy"] is not None:
        yield Note("accuracy", min(1.0, max(0.0, found["accuracy"])))


_READERS: Mapping[str, Reader] = {
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

parse = ChildEvents(_READERS, _TYPES).parse
