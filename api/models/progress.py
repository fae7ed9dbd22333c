"""Progress: what the events of an attempt add up to. Pure; numbers are measured or None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from api.models.events import Advance, Axis, Metric
from api.models.job import JobStatus, Phase

#: metrics other than the loss whose last value a summary shows, and its name there
SUMMARY = {"lr": "learning_rate", "grad_norm": "grad_norm"}


@dataclass(frozen=True)
class Progress:
    """The state of one attempt's training. Steps and epochs count from 1 and never go back."""

    phase: Phase = Phase.QUEUED
    epoch: int | None = None
    total_epochs: int | None = None
    step: int | None = None
    total_steps: int | None = None
    total_steps_estimated: bool = False
    max_steps: int | None = None  # see events.Advance
    steps_apart: int | None = None  # see events.Advance
    filed_step: int | None = None  # the last of those that the event files have told one by one
    batch: int | None = None
    total_batches: int | None = None
    steps_per_epoch: int | None = None
    epoch_start_step: int | None = None  # the last step of the epoch before
    base_step: int | None = None  # the step that this attempt began after
    loss: float | None = None
    best_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    epoch_loss: float | None = None
    best_epoch: int | None = None
    best_epoch_loss: float | None = None
    samples_per_second: float | None = None
    time_per_step: float | None = None  # seconds, the trainer's own last report
    finished: bool = False  # the engine's proof was seen
    faults: tuple[str, ...] = ()  # the last lines that may explain a failure
    ending: str | None = None  # why the service itself ends it: stalled | timed_out
    fatal_since: float | None = None  # Unix seconds: when a line was read after which a trainer cannot go on
    saving_since: float | None = None  # Unix seconds
    last_save_seconds: float | None = None
    updated_at: float | None = None  # Unix seconds
    notes: Mapping[str, Any] = field(default_factory=dict)  # see events.Note
    epochs_done: int | None = None  # whole epochs, where they are all that a script tells
    epochs_done_here: int | None = None  # of those, the ones that this attempt did
    epoch_done_at: float | None = None  # Unix seconds: when the last of them was read of
    context: Mapping[str, Any] = field(default_factory=dict)  # what models.reading has learnt of a script's habits

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Progress:
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        if "phase" in known:
            known["phase"] = Phase(known["phase"])
        known["faults"] = tuple(known.get("faults", ()))
        return EMPTY.evolve(**known)

    def to_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None and v is not False and v != () and v != {}}

    def evolve(self, **changes: Any) -> Self:
        """`dataclasses.replace`, which takes ten times as long and is called for every step of every training."""
        values = vars(self).copy()  # copied whole, where an update of another goes entry by entry
        values.update(changes)
        return self._of(values)

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        return made

    def advance(self, event: Advance) -> Self:
        """With what one line said. A step or an epoch lower than the known one changes nothing."""
        before = self if event.epoch is None else self._enter_epoch(event.epoch)
        values = vars(before).copy()
        for name, value in zip(Advance._fields, event, strict=True):
            if value is not None:
                values[name] = value
        values["epoch"] = before.epoch
        if event.total_steps is not None:
            values["total_steps_estimated"] = False
        if event.step is not None:
            if event.step <= (before.step or 0):
                values["step"] = before.step
            elif before.base_step is None:
                values["base_step"] = event.step - (self.steps_apart or 1)
        return self._of(values)._estimate()

    def _enter_epoch(self, epoch: int) -> Self:
        """The step that comes with an epoch's number is of that epoch, so this is called before it is taken."""
        if epoch <= (self.epoch or 0):
            return self
        changes: dict[str, Any] = {"epoch": epoch, "batch": None}
        done = self.step or 0
        if self.steps_apart:  # the last step that was told is not the last of the epoch
            pass
        elif epoch == 2 and self.epoch in (None, 1) and self.base_step in (None, 0) and done:
            changes["steps_per_epoch"] = done
        elif self.epoch is not None and self.epoch_start_step is not None and epoch == self.epoch + 1:
            changes["steps_per_epoch"] = self.steps_per_epoch or (done - self.epoch_start_step) or None
        changes["epoch_start_step"] = self._start_of(epoch)
        return self.evolve(**changes)

    def _start_of(self, epoch: int) -> int | None:
        """None for an attempt that goes on inside an epoch whose length nobody has measured."""
        if epoch == 1 or (self.step is not None and not self.steps_apart):
            return self.step or 0
        return None if self.steps_per_epoch is None else (epoch - 1) * self.steps_per_epoch

    def _estimate(self) -> Self:
        """Steps in all from the first whole epoch and from the limit, where the trainer does not say."""
        if self.total_steps is None or self.total_steps_estimated:
            whole = self.steps_per_epoch * self.total_epochs if self.steps_per_epoch and self.total_epochs else None
            known = [steps for steps in (whole, self.max_steps) if steps]
            total = max(min(known), self.step or 0) if known else None
            estimated = whole is None or total != self.max_steps
            if total is not None and (total, estimated) != (self.total_steps, self.total_steps_estimated):
                return self.evolve(total_steps=total, total_steps_estimated=estimated)
        return self

    def filed(self, metric: Metric) -> Self:
        """With a value of an event file. A file is in order: the value of an epoch stands behind those of its steps,
        so that it tells how long the first one was also where the log does not tell each step."""
        if metric.axis is Axis.EPOCH:
            if metric.epoch != 1 or not self.filed_step:
                return self
            begun = (self.epoch or 1) - 1
            start = begun * self.filed_step if self.epoch_start_step is None else self.epoch_start_step
            return self.evolve(steps_per_epoch=self.filed_step, epoch_start_step=start)._estimate()
        if metric.step != (self.filed_step or 0) + 1:
            return self
        after = self.evolve(filed_step=metric.step)
        return after.advance(Advance(step=metric.step)) if self.steps_apart else after

    def measure(self, metrics: Iterable[Metric]) -> Self:
        """With measured values, in their order; what the summary does not show changes nothing."""
        after: dict[str, Any] = {}
        best, best_epoch = self.best_loss, self.best_epoch_loss
        for metric in metrics:
            name, value = metric.name, metric.value
            if name != "loss":
                if name in SUMMARY:
                    after[SUMMARY[name]] = value
            elif metric.axis is Axis.STEP:
                after["loss"] = value
                if value is not None and (best is None or value < best):
                    after["best_loss"] = best = value
            else:
                after["epoch_loss"] = value
                if self.step is None and self.epochs_done is not None:  # a script that prints no other
                    after["loss"] = value
                    best = value if best is None or (value is not None and value < best) else best
                    after["best_loss"] = best
                if value is not None and (best_epoch is None or value < best_epoch):
                    best_epoch = value
                    after |= {"best_epoch_loss": value, "best_epoch": metric.epoch}
        return self.evolve(**after)

    def current_epoch(self) -> int | None:
        """The epoch it is in; 1 from the first step on where the trainer has not said otherwise."""
        return self.epoch if self.epoch is not None else (1 if self.step else None)

    def shown_epoch(self) -> int | None:
        """The same, but no epoch behind the last: a finished training that is resumed names the one that would come."""
        epoch = self.current_epoch()
        return epoch if epoch is None or self.total_epochs is None else min(epoch, self.total_epochs)


EMPTY = Progress()


def shown(
    progress: Progress, status: JobStatus, started_at: float | None, ended_at: float | None, now: float
) -> dict[str, Any]:
    """The `progress` group of training v1. `eta_seconds` only from this attempt's own speed."""
    elapsed = None if started_at is None else max(0.0, (ended_at if ended_at is not None else now) - started_at)
    overall = _share(progress.step, progress.total_steps, status)
    if overall is None:
        overall = _share(progress.epochs_done, progress.total_epochs, status)
    eta = _eta(progress, started_at, now) if status is JobStatus.RUNNING else None
    return {
        "current_epoch": progress.shown_epoch(),
        "total_epochs": progress.total_epochs,
        "current_step": progress.step,
        "total_steps": progress.total_steps,
        "total_steps_estimated": progress.total_steps_estimated,
        "current_batch": _batch(progress),
        "total_batches": progress.total_batches or progress.steps_per_epoch,
        "epoch_progress": _epoch_share(progress, status),
        "overall_progress": overall,
        "eta_seconds": None if eta is None else round(eta, 1),
        "eta_formatted": None if eta is None else duration(eta),
        "training_time": None if elapsed is None else round(elapsed, 1),
        "training_time_formatted": None if elapsed is None else duration(elapsed),
    }


def _eta(progress: Progress, started_at: float | None, now: float) -> float | None:
    """Seconds; from the trainer's time for a step, else from the measured time of the whole epochs."""
    if progress.total_steps and progress.step and progress.time_per_step:
        return max(0.0, (progress.total_steps - progress.step) * progress.time_per_step)
    done, at = progress.epochs_done_here, progress.epoch_done_at
    if not done or at is None or started_at is None or progress.epochs_done is None or not progress.total_epochs:
        return None
    one = max(0.0, at - started_at) / done
    return max(0.0, one * (progress.total_epochs - progress.epochs_done) - max(0.0, now - at))


def _batch(progress: Progress) -> int | None:
    if progress.batch is not None:
        return progress.batch
    if progress.step is None or (progress.epoch_start_step is None and (progress.epoch or 1) > 1):
        return None
    return max(0, progress.step - (progress.epoch_start_step or 0))


def _share(done: int | None, total: int | None, status: JobStatus) -> float | None:
    if status is JobStatus.COMPLETED:
        return 100.0
    if done is None or not total:
        return None
    return min(99.99, round(100.0 * done / total, 2))


def _epoch_share(progress: Progress, status: JobStatus) -> float | None:
    if status is JobStatus.COMPLETED:
        return 100.0
    batch, total = _batch(progress), progress.total_batches or progress.steps_per_epoch
    return None if batch is None or not total else min(100.0, round(100.0 * batch / total, 2))


def duration(seconds: float) -> str:
    """`1h 0m 0s`, `4m 5s`, `5s`: as the documents write it."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes}m {left}s"
    return f"{minutes}m {left}s" if minutes else f"{left}s"


def expected_end(progress: Mapping[str, Any], now: float) -> float | None:
    """Unix seconds, from the job's own speed; None while there is nothing honest to estimate from."""
    if not (progress.get("total_steps") and progress.get("step") and progress.get("time_per_step")):
        return None
    return float(now + (progress["total_steps"] - progress["step"]) * progress["time_per_step"])
