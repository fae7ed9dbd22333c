"""`python -m tests.yolo.record INTERPRETER`: writes the logs of real runs to tests/fixtures/ultralytics."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.yolo.children import QUICK, Children, spoil
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
        spoil(python, best, home / "weights" / "nan.pt")
        nan = {"kind": "weights", "value": str(home / "weights" / "nan.pt")}
        keep(home, "nan", runs.run({**asked, "epochs": 2, "model": nan}))
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
