"""What the numbers that a script prints mean, given what it printed before. Pure.

A script prints what its author liked. Two things can only be told from the lines before: whether epochs are counted
from 0, and whether a count goes on through the epochs or begins anew in each. What was learnt is kept in
`Progress.context`, so that a service that starts again goes on as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from api.models.events import Advance, Axis, Metric, Reading, Source
from api.models.progress import Progress

NAMES = 500  # metrics of an attempt; a script that prints a new name in each line fills no store with them
EPOCHS_MAX, STEPS_MAX = 10**6, 10**15  # more is not believed; with them no product is too large for the store

Placed = tuple[Progress, list[Metric]]


class Readings:
    """One turn's readings, in their order."""

    def __init__(self) -> None:
        self._held: list[Reading] = []

    def take(self, progress: Progress, reading: Reading, now: float) -> Placed:
        """A report waits for the bar that is drawn at once after it, which tells its step."""
        if reading.source is Source.REPORT:
            self._held.append(reading)
            return progress, []
        if reading.source is not Source.BARE_BAR:
            progress, metrics = self.flush(progress, now)
            after, more = place(progress, reading, now)
            return after, metrics + more
        if any(not name.startswith("eval_") for held in self._held for name, _ in held.values):
            progress = _learnt(progress, bar=reading.total)
        progress, _ = place(progress, reading, now)
        return self.flush(progress, now)

    def flush(self, progress: Progress, now: float) -> Placed:
        """What waits takes the step that is known. Called at the end of a turn, too."""
        metrics: list[Metric] = []
        for held in self._held:
            progress, found = place(progress, held, now)
            metrics += found
        self._held.clear()
        return progress, metrics


def place(progress: Progress, reading: Reading, now: float) -> Placed:
    """The progress after a reading, and its values as metrics."""
    if (reading.epoch or 0) > EPOCHS_MAX or (reading.total_epochs or 0) > EPOCHS_MAX:
        return progress, []
    if reading.source is Source.FILE:
        return _of_file(progress, reading)
    if reading.source is Source.EPOCHS:
        return _finished(progress.advance(Advance(total_epochs=reading.total)), reading.counted or 0, now), []
    progress, epoch = _enter(progress, reading, now)
    progress, step, counted = _count(progress, reading, epoch)
    if reading.counted is not None and not counted and reading.epoch_values:
        return progress, []  # Keras' evaluate() after its fit()
    progress, values = _owned(progress, reading, "log")
    return _measured(progress, reading, values, epoch, step, now)


def _measured(
    progress: Progress,
    reading: Reading,
    values: list[tuple[str, float | None]],
    epoch: int | None,
    step: int | None,
    now: float,
) -> Placed:
    current = epoch if epoch is not None else progress.current_epoch()
    whole = epoch is not None and reading.counted is None and not reading.inside and reading.source is Source.LINE
    metrics = []
    if not whole:
        metrics = [Metric(name, value, step, current) for name, value in values]
    if whole or (reading.epoch_values and current is not None and reading.counted == reading.total):
        metrics += [Metric(name, value, epoch=current, axis=Axis.EPOCH) for name, value in values]
        if current is not None and values:
            progress = _finished(progress, current, now)
    return progress, metrics


# ---- epochs


def _enter(progress: Progress, reading: Reading, now: float) -> tuple[Progress, int | None]:
    """With the epoch of the reading, counted from 1; None where it names none."""
    phase = Advance(phase=reading.phase)
    if reading.epoch is None:
        told = None if progress.total_epochs is not None else reading.total_epochs
        if told is None and reading.phase in (None, progress.phase):
            return progress, None
        return progress.advance(phase._replace(total_epochs=told)), None
    if reading.source is Source.REPORT or reading.epoch != int(reading.epoch):
        epoch, done = max(1, math.ceil(reading.epoch)), math.floor(reading.epoch)
    else:
        if reading.epoch == 0 and progress.epoch is None:
            progress = _learnt(progress, zero=1)
        epoch = int(reading.epoch) + progress.context.get("zero", 0)
        done = epoch - 1
    total = reading.total_epochs or progress.total_epochs
    if total is not None and epoch > total:
        total = epoch
    if epoch == progress.epoch and total == progress.total_epochs and reading.phase in (None, progress.phase):
        return progress, epoch
    if progress.epoch is None and epoch > 1:
        progress = _learnt(progress, first_epoch=epoch)
    known = progress.steps_per_epoch
    progress = progress.advance(phase._replace(epoch=epoch, total_epochs=total))
    if reading.source is Source.REPORT:  # its step comes after it: how long an epoch is cannot be told from it
        progress = progress.evolve(steps_per_epoch=None, epoch_start_step=None)
    elif known is not None and progress.context.get("total") == known:  # printed, which beats the last step seen
        progress = progress.evolve(steps_per_epoch=known)
    return _finished(progress, done, now), epoch


def _finished(progress: Progress, epochs: int, now: float) -> Progress:
    if epochs <= (progress.epochs_done or 0):
        return progress
    first = progress.context.get("first_epoch", 1)
    return progress.evolve(epochs_done=epochs, epochs_done_here=max(0, epochs - first + 1), epoch_done_at=now)


# ---- steps


def _count(progress: Progress, reading: Reading, epoch: int | None) -> tuple[Progress, int | None, bool]:
    """With the count of the reading; the step that its values are of, and whether the count was taken for one."""
    count, total, known = reading.counted, reading.total, progress.context
    if count is None:
        return progress, progress.step, False
    if reading.source is Source.BARE_BAR:
        if total is None or total != known.get("bar"):
            again = count == 0 and total is not None and total == known.get("total") and epoch is None
            if again and progress.epoch is None and known.get("raw"):  # the same bar once more: its next pass
                progress = _learnt(progress, raw=0, before=known["before"] + total, pass_epoch=None)
            return progress, progress.step, False
        told = Advance(step=count, total_steps=total, time_per_step=reading.time_per_step)
        return progress.advance(told), count, True
    epoch = epoch if epoch is not None else progress.epoch
    begins = _begins(known, reading, epoch, progress.total_epochs)
    if begins is None or begins[0] + count > STEPS_MAX:
        return progress, None, False
    before, within = begins
    step = before + count
    raw = count if before != known.get("before", 0) else max(count, known.get("raw", 0))
    progress = _learnt(progress, raw=raw, before=before, total=total, pass_epoch=epoch, within=within)
    advance = Advance(step=step, time_per_step=reading.time_per_step)
    if total is not None and epoch is None:
        progress = progress.advance(advance._replace(total_steps=None if before else total))
        return (progress.evolve(total_steps=None) if before else progress), step, True
    if total is not None and within == 0:
        advance = advance._replace(total_steps=total)
    elif total is not None:
        progress = progress.evolve(steps_per_epoch=total)
        advance = advance._replace(batch=count, total_batches=total)
    return progress.advance(advance), step, True


def _begins(
    known: Mapping[str, Any], reading: Reading, epoch: int | None, epochs: int | None
) -> tuple[int, int | None] | None:
    """How many steps come before those of this count, and whether it begins anew in each epoch (1, 0, None: not known
    yet). None: it counts something else, such as the batches of an evaluation."""
    count, total = reading.counted or 0, reading.total
    before, raw, within = known.get("before", 0), known.get("raw"), known.get("within")
    if raw is None:
        return ((epoch - 1) * total if epoch is not None and total is not None else 0), within
    passed = (epoch or 0) - (known.get("pass_epoch") or 0)
    same = total is None or known.get("total") in (None, total)
    if epoch is None and reading.source is Source.BAR and count < raw and same:
        return before + (total or raw), within
    if passed <= 0 or within == 0:
        return (before, within) if same else None
    if within is None and _goes_on(count, total, raw, epoch or 1, epochs):
        return before, 0
    return before + passed * (known.get("total") or raw), 1


def _goes_on(count: int, total: int | None, raw: int, epoch: int, epochs: int | None) -> bool:
    """Whether the first count of a later epoch shows that counts go on through the epochs."""
    if count <= raw:
        return False
    return total is None or epochs is None or count > total / epochs * (epoch - 1)


# ---- what is remembered


def _of_file(progress: Progress, reading: Reading) -> Placed:
    """A step of an event file is a step unless the log counts them."""
    progress, values = _owned(progress, reading, "files")
    if reading.epoch is not None:
        epoch = int(reading.epoch)
        return progress, [Metric(n, v, epoch=epoch, axis=Axis.EPOCH, at=reading.at) for n, v in values]
    if progress.context.get("raw") is None and "bar" not in progress.context:
        progress = progress.advance(Advance(phase=reading.phase, step=reading.counted))
    epoch_of = progress.current_epoch() if reading.counted == progress.step else None
    return progress, [Metric(n, v, reading.counted, epoch_of, at=reading.at) for n, v in values]


def _owned(progress: Progress, reading: Reading, side: str) -> tuple[Progress, list[tuple[str, float | None]]]:
    """The values whose metric belongs to this side (`log` or `files`), which is the one that had it first: the same
    metric printed and written to an event file is one metric."""
    other = progress.context.get("files" if side == "log" else "log", ())
    values = [value for value in reading.values if value[0] not in other]
    mine = tuple(progress.context.get(side, ()))
    new = tuple(dict.fromkeys(name for name, _ in values if name not in mine))
    if not new:
        return progress, values
    mine = (*mine, *new[: max(0, NAMES - len(mine) - len(other))])
    return _learnt(progress, **{side: mine}), [value for value in values if value[0] in mine]


def _learnt(progress: Progress, **facts: Any) -> Progress:
    known = {name: value for name, value in facts.items() if value is not None}
    if all(progress.context.get(name) == value for name, value in known.items()):
        return progress
    return progress.evolve(context={**progress.context, **known})
