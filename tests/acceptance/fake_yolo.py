"""Stands in for an interpreter with ultralytics: speaks and writes as api.children.ultralytics_train does, and learns
nothing. An epoch takes `warmup_epochs` seconds."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

COLUMNS = ("train/box_loss", "train/cls_loss", "train/dfl_loss", "val/box_loss", "val/cls_loss", "val/dfl_loss")
SCORES = ("metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)")


def install(home: Path) -> str:
    """The path of an interpreter that runs this file whatever it is told to run."""
    (home / "lib" / "python3.11" / "site-packages" / "ultralytics-8.4.190.dist-info").mkdir(parents=True)
    python = home / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{Path(__file__).resolve()}" "$@"\n')
    python.chmod(0o755)
    return str(python)


def event(name: str, /, **fields: Any) -> None:
    print(json.dumps({"event": name, **fields}), flush=True)


def save(path: Path, text: str) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(text)
    os.replace(draft, path)


def score(epoch: int) -> float:
    """The best is the third."""
    return 0.5 - abs(epoch - 3) / 100


def main() -> int:
    settings = json.loads(Path(sys.argv[-1]).read_text())
    epochs, pause = settings["arguments"]["epochs"], settings["arguments"].get("warmup_epochs", 0)
    output, stop = Path(settings["output"]), Path(settings["stop"])
    (output / "weights").mkdir(exist_ok=True)
    for text in settings["warnings"]:
        event("warning", message=text)
    print(f"begins from {settings['model']['value']}", flush=True)
    done = int(Path(settings["resume"]).read_text()) if settings["resume"] else 0
    event("built", task="detect", model_type="yolov8n", total_params=3_011_433, trainable_params=3_011_417)
    event("fit", epochs=epochs, done=done, batches=1)
    for epoch in range(done + 1, epochs + 1):
        event("epoch_start", epoch=epoch, epochs=epochs, batches=1)
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            if stop.exists():
                print("stopped: a stop was asked for", flush=True)
                return 0
            time.sleep(0.01)
        metrics = dict.fromkeys(COLUMNS, 1 / epoch) | {name: score(epoch) for name in SCORES}
        event("epoch", epoch=epoch, epochs=epochs, metrics=metrics, fitness=score(epoch))
        save(output / "last.pt", str(epoch))
        save(output / "weights" / "best.pt", f"best of {epoch}")
        event("saved", name="last.pt")
    event("trained", epoch=epochs, epochs=epochs, best_epoch=min(3, epochs))
    event("result", metrics={name: score(min(3, epochs)) for name in SCORES})
    event("classes", names=["square", "disc"])
    event("model", name="best.pt", size_bytes=(output / "weights" / "best.pt").stat().st_size)
    (output / "last.pt").unlink()
    event("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
