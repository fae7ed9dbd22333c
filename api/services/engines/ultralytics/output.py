"""What a line of api.children.ultralytics_train says. Pure. A line of JSON is an event, the others are for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from api.models.events import (
    Advance,
    Axis,
    Event,
    LineType,
    Metric,
    Note,
    Parsed,
    Saved,
    Warn,
)
from api.models.job import Phase
from api.services.engines.child_events import ChildEvents, Fields, Reader, number
from api.utils.training_wrapper import ERROR_MARK

NAN_LOSS = "the loss is NaN"


def _data(fields: Fields) -> Iterable[Event]:
    yield Note("classes", int(fields["classes"]))


def _fit(fields: Fields) -> Iterable[Event]:
    epochs, batches = int(fields["epochs"]), fields["batches"]
    if batches is None:
        yield Advance(Phase.EVALUATING, total_epochs=epochs, epoch=int(fields["done"]))
    else:
        yield Advance(
            Phase.TRAINING, total_epochs=epochs, total_steps=epochs * int(batches), total_batches=int(batches)
        )


def _epoch_start(fields: Fields) -> Iterable[Event]:
    epochs, batches = int(fields["epochs"]), int(fields["batches"])
    yield Advance(
        Phase.TRAINING,
        epoch=int(fields["epoch"]),
        total_epochs=epochs,
        total_steps=epochs * batches,
        total_batches=batches,
    )


def _batch(fields: Fields) -> Iterable[Event]:
    epoch, batch, batches = int(fields["epoch"]), int(fields["batch"]), int(fields["batches"])
    step = (epoch - 1) * batches + batch
    yield Advance(
        Phase.TRAINING,
        epoch=epoch,
        step=step,
        batch=batch,
        samples_per_second=number(fields["images_per_second"]),
        time_per_step=number(fields["seconds_per_batch"]),
    )
    losses = [number(value) for value in fields["loss"].values()]
    known = [value for value in losses if value is not None]
    yield Metric("loss", sum(known) if len(known) == len(losses) else None, step)
    yield Metric("lr", number(fields["lr"]), step)
    if len(known) < len(losses):
        yield Warn(NAN_LOSS)


def _epoch(fields: Fields) -> Iterable[Event]:
    """All of results.csv's columns, under ultralytics' own names."""
    epoch = int(fields["epoch"])
    yield Advance(epoch=epoch, total_epochs=int(fields["epochs"]))
    for name, value in fields["metrics"].items():
        yield Metric(str(name), number(value), epoch=epoch, axis=Axis.EPOCH)
    yield Note("epochs_done", epoch)


def _saved(fields: Fields) -> Iterable[Event]:
    name = str(fields["name"])
    yield Saved("state" if name == "last.pt" else "weights", name)


def _trained(fields: Fields) -> Iterable[Event]:
    epoch, epochs = int(fields["epoch"]), int(fields["epochs"])
    yield Note("best_epoch", None if fields["best_epoch"] is None else int(fields["best_epoch"]))
    if epoch < epochs:
        yield Note("early_stopping", {"epoch": epoch, "epochs": epochs})


def _result(fields: Fields) -> Iterable[Event]:
    """Of the best weights, or of a validation."""
    yield Note("result", {str(name): number(value) for name, value in fields["metrics"].items()})
    if "classes" in fields:
        yield Note("result_by_class", [[str(each["class"]), number(each["mAP50-95"])] for each in fields["classes"]])


def _built(fields: Fields) -> Iterable[Event]:
    total, trainable, kind = int(fields["total_params"]), fields["trainable_params"], fields["model_type"]
    shown = {
        "task": str(fields["task"]),
        "model_type": None if kind is None else str(kind),
        "total_params": total,
        "trainable_params": None if trainable is None else int(trainable),
        "total_params_m": round(total / 1e6, 3),
    }
    yield Note("model_info", shown)


def _classes(fields: Fields) -> Iterable[Event]:
    """Told once, at the end: a note is written again with every report that follows it."""
    yield Note("class_names", [str(name) for name in fields["names"]])


def _model(fields: Fields) -> Iterable[Event]:
    yield Note("model_file", {"name": str(fields["name"]), "size_bytes": int(fields["size_bytes"])})


def _exported(fields: Fields) -> Iterable[Event]:
    shown = {"name": str(fields["name"]), "size_bytes": int(fields["size_bytes"]), "format": fields["format"]}
    yield Saved("weights", str(fields["name"]))
    yield Note("exported", shown)


def _prelabelled(fields: Fields) -> Iterable[Event]:
    done, total, boxes = int(fields["done"]), int(fields["total"]), int(fields["boxes"])
    yield Advance(Phase.EVALUATING, step=done, total_steps=total)
    yield Note("prelabelled", {"images": done, "total": total, "boxes": boxes})


_READERS: Mapping[str, Reader] = {
    "data": _data,
    "built": _built,
    "fit": _fit,
    "epoch_start": _epoch_start,
    "batch": _batch,
    "epoch": _epoch,
    "saved": _saved,
    "trained": _trained,
    "result": _result,
    "classes": _classes,
    "model": _model,
    "exported": _exported,
    "prelabelled": _prelabelled,
}
_TYPES: Mapping[str, LineType] = {
    "fit": LineType.TRAIN,
    "epoch_start": LineType.TRAIN,
    "batch": LineType.TRAIN,
    "epoch": LineType.EVAL,
    "trained": LineType.TRAIN,
    "result": LineType.EVAL,
    "prelabelled": LineType.EVAL,
}

_EVENTS = ChildEvents(_READERS, _TYPES)


def parse(line: str) -> Parsed:
    """A line of standard error says the same as one of standard output."""
    return _EVENTS.parse(line.removeprefix(ERROR_MARK))
