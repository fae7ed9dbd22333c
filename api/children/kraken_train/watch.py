"""What happens beside kraken's own training: reports, the state on disk, and the wish to stop."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping

from api.children.common.report import event, say
from api.children.common.stopping import Stop
from api.children.common.whole import settle
from api.children.kraken_train.report import warn

REPORT_EVERY = 1.0  # seconds between two reports inside an epoch
SUFFIX = ".ckpt"


def number(value: Any) -> float:
    """Of a tensor or a number."""
    return float(value.item() if isinstance(value, torch.Tensor) else value)


class Pace:
    """Seconds a batch and items (lines, or pages) a second since the last report."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._since, self._batches, self._items = time.monotonic(), 0, 0

    def count(self, items: int) -> None:
        self._batches += 1
        self._items += items

    def due(self) -> bool:
        return time.monotonic() - self._since >= REPORT_EVERY

    def take(self) -> dict[str, float | None]:
        elapsed = time.monotonic() - self._since
        batches, items = self._batches, self._items
        self.restart()
        if not batches or elapsed <= 0:
            return {"seconds_per_batch": None, "items_per_second": None}
        return {"seconds_per_batch": round(elapsed / batches, 6), "items_per_second": round(items / elapsed, 3)}


class Reporter(Callback):
    """Where the training is. `lines`: of training and validation together, which an epoch goes over once."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._pace = Pace()
        self._began: float | None = None  # None: the epoch was resumed somewhere inside
        self._epochs: list[float] = []
        self._failed = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        batches, epochs = int(trainer.num_training_batches), trainer.max_epochs
        event("fit", epochs=epochs, batches=batches, steps=batches * epochs, step=trainer.global_step)
        self._pace.restart()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._began = time.monotonic()
        self._pace.restart()
        event("epoch_start", epoch=trainer.current_epoch + 1)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._pace.count(len(batch["image"]))
        if not (self._pace.due() or batch_idx == 0 or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch):
            return
        event(
            "batch",
            epoch=trainer.current_epoch + 1,
            batch=batch_idx + 1,
            step=trainer.global_step,
            loss=number(outputs["loss"]),
            lr=trainer.optimizers[0].param_groups[0]["lr"],
            **self._pace.take(),
        )

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        event("phase", phase="evaluating")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Before the early stopping counts it: what `waited` says is of the epochs before."""
        seconds = None if self._began is None else time.monotonic() - self._began
        if seconds is not None:
            self._epochs.append(seconds)
        metrics = {
            name.removeprefix("val_"): number(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val_") and name != "val_metric"
        }
        metrics["loss"] = number(trainer.callback_metrics["train_loss_epoch"])
        epoch = trainer.current_epoch + 1
        event(
            "epoch",
            epoch=epoch,
            step=trainer.global_step,
            metrics=metrics,
            seconds=None if seconds is None else round(seconds, 3),
            seconds_per_line_epoch=self.seconds_per_line_epoch,
        )
        shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        say(f"epoch {epoch} of {trainer.max_epochs}: {shown}" + ("" if seconds is None else f" in {seconds:.1f} s"))
        self._count_failed(trainer)

    def _count_failed(self, trainer: Any) -> None:
        """Visible only where the data is loaded in this process."""
        failed = sum(len(s.dataset.failed_samples) for s in (trainer.datamodule.train_set, trainer.datamodule.val_set))
        if failed > self._failed:
            self._failed = failed
            warn("some lines or pages cannot be cut out of their image; others take their place")

    @property
    def seconds_per_line_epoch(self) -> float | None:
        return round(median(self._epochs) / self._lines, 6) if self._epochs and self._lines else None


class Keeper(Checkpoint):
    """The newest state and the best one, each written aside and renamed; acts on a stop once the state is on disk.

    Lightning calls a `Checkpoint` after all other callbacks, so that what it saves includes the early stopping's count.
    """

    def __init__(self, directory: Path, stop: Stop) -> None:
        self._directory = directory
        self._stop = stop
        self.score = -math.inf
        self.best: str | None = None  # the name of a state in the directory
        self.best_epoch: int | None = None
        self.best_accuracy: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "best": self.best, "epoch": self.best_epoch, "accuracy": self.best_accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score, self.best = state_dict["score"], state_dict["best"]
        self.best_epoch, self.best_accuracy = state_dict["epoch"], state_dict["accuracy"]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._stop.listen()
        self._stop.check()
        for draft in self._directory.glob(".*.part"):  # of an attempt that was killed while it saved
            draft.unlink()
        if self.best is not None and not (self._directory / self.best).is_file():
            self.score, self.best = -math.inf, None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Inside an epoch: its rest is trained after a resume. At its end the validation comes first."""
        if self._stop.wanted() and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save(trainer)
            raise self._stop.stopped()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        score = number(trainer.callback_metrics["val_metric"])
        if score > self.score:
            self.score, self.best = score, self._name(trainer)
            self.best_epoch = trainer.current_epoch + 1
            self.best_accuracy = number(trainer.callback_metrics["val_accuracy"])
        self._save(trainer)
        _tell_patience(trainer)
        finished = trainer.should_stop or trainer.current_epoch + 1 >= trainer.max_epochs
        if self._stop.wanted() and not finished:
            raise self._stop.stopped()

    @staticmethod
    def _name(trainer: Any) -> str:
        return f"epoch{trainer.current_epoch + 1}_step{trainer.global_step}{SUFFIX}"

    def _save(self, trainer: Any) -> None:
        name = self._name(trainer)
        event("saving", name=name)
        draft = self._directory / f".{name}.part"
        trainer.save_checkpoint(draft)
        settle(draft, self._directory / name)
        for path in self._directory.glob(f"*{SUFFIX}"):
            if path.name not in (name, self.best):
                path.unlink()
        event("phase", phase="training")


def _tell_patience(trainer: Any) -> None:
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping):
            event("patience", waited=int(callback.wait_count), lag=int(callback.patience), stops=trainer.should_stop)
