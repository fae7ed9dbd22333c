"""`python -m tests.yolo.record INTERPRETER`: writes the logs of real runs to tests/fixtures/ultralytics."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.yolo.children import QUICK, Children
from tests.yolo.shapes import draw

LOGS = Path(__file__).resolve().parents[1] / "fixtures" / "ultralytics"


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        asked = {**QUICK, "data": str(draw(home / "shapes"))}
        runs = Children(home, python)
        best = home / "output" / "weights" / "best.pt"
        weights = {"kind": "weights", "value": str(best)}
        keep(home, "train", runs.run({**asked, "epochs": 3}))
        other = {"task": "validate", "data": asked["data"], "model": weights, "imgsz": 64, "plots": False}
        keep(home, "validate", runs.run(other))
        keep(home, "export", runs.run({"task": "export", "model": weights, "imgsz": 64, "format": "onnx"}))
        keep(home, "nan", runs.run({**asked, "epochs": 2, "model": weights, "lr0": 1.0, "optimizer": "SGD", "momentum": 1.0,
                                    "warmup_epochs": 0, "nbs": 1, "box": 1000, "cls": 1000, "dfl": 1000}))  # fmt: skip
        runs = Children(home, python, output="second")
        stop = {'{"event": "epoch_start", "epoch": 2': runs.ask_to_stop}
        keep(home, "stopped", runs.run({**asked, "epochs": 3, "batch": 2}, on=stop))
        keep(home, "resumed", runs.run({**asked, "epochs": 3, "batch": 2}, resume="last.pt"))
        keep(home, "missing_weights", runs.run(
            {**asked, "model": {"kind": "weights", "value": str(home / "weights" / "yolov8n.pt")}}))  # fmt: skip
        for label in (home / "shapes" / "labels").rglob("*.txt"):
            label.unlink()
        keep(home, "no_labels", runs.run({**asked, "epochs": 1}))


def keep(home: Path, name: str, ended: tuple[int, str]) -> None:
    code, log = ended
    print(name, code)
    (LOGS / f"{name}.log").write_text(log.replace(str(home), "/data"), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
