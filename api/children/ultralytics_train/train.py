"""A training from weights, from an architecture, or from a state of its own; ultralytics' trainer does the work."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from api.children.common.report import Problem, event, say
from api.children.common.stopping import Stop
from api.children.common.whole import settle
from api.children.ultralytics_train.models import loaded, opened
from api.children.ultralytics_train.watch import Watch
from api.children.ultralytics_train.whole import draft_of

STATE = "last.pt"  # in the output directory while there is something to resume
RESULTS = "results.csv"


def train(settings: dict[str, Any], stop: Stop) -> None:
    output = Path(settings["output"])
    watch = Watch(output, STATE, stop)
    if settings["resume"] is not None:
        _resume(settings, watch, output)
    else:
        model = opened(settings["model"], Path(settings["own_data"]).parent)
        stop.check()
        watch.attach(model)
        model.train(**_arguments(settings))
    stop.check()  # asked for after the last epoch: its state is still there, and a resume has only to validate
    _settle_end(output, watch.classes)


def _arguments(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        **settings["arguments"],
        "data": settings["own_data"],
        "device": settings["device"],
        "save_dir": settings["output"],
        "exist_ok": True,
        "save": True,
        "verbose": True,
    }


def _resume(settings: dict[str, Any], watch: Watch, output: Path) -> None:
    state = Path(settings["resume"])
    model = loaded(state)
    found = model.ckpt or {}
    if found.get("epoch", -1) < 0 or found.get("optimizer") is None:
        raise Problem("bad_config", f"{state.name} belongs to a finished training: there is nothing to resume")
    epochs = found["epoch"] + 1
    watch.attach(model)
    if _over(found):
        say(f"all {epochs} epochs are trained; only the last validation is left")
        watch.fit(epochs=epochs, done=epochs)
        _finish(settings, watch, found)
        return
    _trim(output / RESULTS, epochs)
    model.train(resume=True, data=settings["own_data"], device=settings["device"], save_dir=settings["output"])


def _over(state: dict[str, Any]) -> bool:
    """Whether the run came to its last epoch, or gave up waiting for a better one, before it was ended."""
    trained, asked = state["epoch"] + 1, state["train_args"]
    best = (state.get("stopper") or {}).get("best_epoch")
    waited = asked["patience"] and best is not None and trained - best >= asked["patience"]
    return bool(trained >= asked["epochs"] or waited)


def _finish(settings: dict[str, Any], watch: Watch, state: dict[str, Any]) -> None:
    from ultralytics.engine import trainer

    output = Path(settings["output"])
    best = output / "weights" / "best.pt"
    last = trainer.strip_optimizer(output / STATE)
    trainer.strip_optimizer(best, updates={"train_results": last.get("train_results")})
    asked = state["train_args"]
    model = loaded(best)
    watch.built(model.model, trainable_params=None)  # nothing is trained any more
    found = model.val(
        data=settings["own_data"],
        device=settings["device"],
        imgsz=asked["imgsz"],
        batch=asked["batch"],
        plots=asked["plots"],
        save_dir=str(output),
        exist_ok=True,
    )
    event("result", metrics={name: value for name, value in found.results_dict.items() if name != "fitness"})


def _trim(path: Path, epochs: int) -> None:
    """Takes rows off results.csv that stand for epochs whose state was not saved: they are trained again."""
    if not path.is_file():
        return
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    kept = [row for row in rows if row[0].strip().isdecimal() and int(row[0]) <= epochs]
    if len(kept) == len(rows):
        return
    draft = draft_of(path)
    with open(draft, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])
    settle(draft, path)


def _settle_end(output: Path, classes: list[str]) -> None:
    """From here on there is nothing to resume."""
    event("classes", names=classes)
    best = output / "weights" / "best.pt"
    event("model", name=best.name, size_bytes=best.stat().st_size)
    (output / STATE).unlink(missing_ok=True)
    descriptor = os.open(output, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
