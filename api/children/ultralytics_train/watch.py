"""What happens beside ultralytics' own training: reports, whole files, and the wish to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.children.common.report import Problem, event
from api.children.common.stopping import Stop
from api.children.common.whole import settle
from api.children.ultralytics_train.models import described
from api.children.ultralytics_train.whole import WholePath, draft_of

REPORT_EVERY = 1.0  # seconds between two reports inside an epoch
CALLBACKS = (
    "on_pretrain_routine_start",
    "on_pretrain_routine_end",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_end",
    "on_model_save",
    "on_fit_epoch_end",
    "on_train_end",
    "on_val_start",
    "on_val_batch_end",
)


class Watch:
    """`state`: the name of the file in `output` that a run can be resumed from."""

    def __init__(self, output: Path, state: str, stop: Stop) -> None:
        self._output, self._state, self._stop = output, state, stop
        self._batch = 0  # of the epoch, from 1
        self._batches = self._images = 0  # since the last report
        self._since = time.monotonic()
        self._ending = False  # the epochs are over
        self.classes: list[str] = []

    def attach(self, model: Any) -> None:
        from ultralytics.engine import trainer

        for name in CALLBACKS:
            model.add_callback(name, getattr(self, name))
        trainer.strip_optimizer = self._stripper(trainer.strip_optimizer)

    def fit(self, *, epochs: int, done: int, batches: int | None = None) -> None:
        event("fit", epochs=epochs, done=done, batches=batches)

    def built(self, network: Any, **known: Any) -> None:
        self.classes = [network.names[number] for number in sorted(network.names)]
        event("built", **{**described(network), **known})

    # ---- what ultralytics calls

    def on_pretrain_routine_start(self, trainer: Any) -> None:
        """Its checkpoints become whole files; the one to resume from is another file than the weights at the end."""
        self._stop.check()
        trainer.wdir = WholePath(trainer.wdir)
        trainer.best = trainer.wdir / "best.pt"
        trainer.last = WholePath(self._output / self._state)
        save = trainer.save_model
        trainer.save_model = lambda: self._save(trainer, save)

    def on_pretrain_routine_end(self, trainer: Any) -> None:
        self._stop.check()
        self.built(trainer.model)

    def on_train_start(self, trainer: Any) -> None:
        self.fit(epochs=trainer.epochs, done=trainer.start_epoch, batches=len(trainer.train_loader))

    def on_train_epoch_start(self, trainer: Any) -> None:
        self._batch = 0
        self._restart()
        event("epoch_start", epoch=trainer.epoch + 1, epochs=trainer.epochs, batches=len(trainer.train_loader))

    def on_train_batch_end(self, trainer: Any) -> None:
        self._batch += 1
        self._batches += 1
        self._images += trainer.batch_size
        last = self._batch >= len(trainer.train_loader)
        if last or self._batch == 1 or time.monotonic() - self._since >= REPORT_EVERY:
            self._tell_batch(trainer)
        if last:
            self._stop.check_urgent()  # else the epoch is validated and saved first
        else:
            self._stop.check()

    def on_val_start(self, validator: Any) -> None:
        event("phase", phase="evaluating")

    def on_val_batch_end(self, validator: Any) -> None:
        self._stop.check_urgent()

    def on_model_save(self, trainer: Any) -> None:
        event("saved", name=self._state)
        if trainer.best_fitness == trainer.fitness:
            event("saved", name=trainer.best.name)
        if self._stop.wanted() and (self._stop.urgent or not trainer.stop):
            raise self._stop.stopped()

    def on_fit_epoch_end(self, trainer: Any) -> None:
        """Once more after the last epoch, with the metrics of the best weights."""
        if self._ending:
            event("result", metrics=trainer.metrics)

    def on_train_end(self, trainer: Any) -> None:
        event("trained", epoch=trainer.epoch + 1, epochs=trainer.epochs, best_epoch=trainer.stopper.best_epoch)

    # ---- reports

    def _restart(self) -> None:
        self._since, self._batches, self._images = time.monotonic(), 0, 0

    def _tell_batch(self, trainer: Any) -> None:
        elapsed = time.monotonic() - self._since
        event(
            "batch",
            epoch=trainer.epoch + 1,
            batch=self._batch,
            batches=len(trainer.train_loader),
            loss={name: round(float(value), 5) for name, value in trainer.tloss.items()},
            lr=trainer.optimizer.param_groups[0]["lr"],
            images_per_second=round(self._images / elapsed, 3) if elapsed > 0 else None,
            seconds_per_batch=round(elapsed / self._batches, 6),
        )
        self._restart()

    def _save(self, trainer: Any, save: Callable[[], Any]) -> Any:
        """The epoch is told before its state is there: ended in between, it is told twice and not left out."""
        event(
            "epoch",
            epoch=trainer.epoch + 1,
            epochs=trainer.epochs,
            metrics={
                "time": round(time.time() - trainer.train_time_start, 3),
                **trainer.label_loss_items(trainer.tloss),
                **trainer.metrics,
                **trainer.lr,
            },
            fitness=trainer.fitness,
        )
        event("phase", phase="saving")
        return save()

    def _stripper(self, strip: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """ultralytics takes the optimizer out of its checkpoints in place, which a kill would leave in pieces."""

        def whole(f: Any, s: str = "", updates: dict[str, Any] | None = None) -> dict[str, Any]:
            self._ending = True
            source = Path(f)
            target = self._output / "weights" / source.name
            draft = draft_of(target)
            found = strip(str(source), str(draft), updates)
            if not draft.exists():
                raise Problem("incomplete", f"{source} cannot be read back")
            settle(draft, target)
            return found

        return whole
