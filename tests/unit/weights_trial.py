"""`python -m tests.unit.weights_trial DIR`: makes good and evil weights there, and tells what the child says of each.

One process for all, since importing torch takes seconds. Each evil file would make DIR/sprung when it is unpickled; that
it would is tried first, that it did not is told afterwards.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.children.yolo_weights.__main__ import settle_in
from api.children.yolo_weights.refusal import Refused


class Call:
    """Pickled as a call of something."""

    def __init__(self, what: Any, *arguments: Any) -> None:
        self._called = (what, arguments)

    def __reduce__(self) -> Any:
        return self._called


def table(**more: Any) -> dict[str, Any]:
    """About the smallest detector that ultralytics builds."""
    backbone = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "C2f", [16, True]]]
    return {"nc": 2, "backbone": backbone, "head": [[[2], 1, "Detect", [2]]], **more}


def model(activation: str | None = None) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    made = DetectionModel(table(), verbose=False).half()
    made.names = {0: "square", 1: "disc"}
    made.yaml["yaml_file"] = "yolov8n.yaml"
    if activation is not None:
        made.yaml["activation"] = activation
    return made


def checkpoint(**more: Any) -> dict[str, Any]:
    """As a finished training leaves it."""
    results = {"epoch": [1, 2], "train/box_loss": [3.0, 2.0], "metrics/mAP50(B)": [0.1, float("nan")]}
    return {
        "epoch": -1,
        "model": model(),
        "train_args": {"model": "/home/somebody/yolov8n.pt", "imgsz": 64, "epochs": 2},
        "train_metrics": {"metrics/mAP50(B)": 0.5, "metrics/recall(B)": 0.25, "fitness": 0.4},
        "train_results": results,
        **more,
    }


def make(home: Path) -> dict[str, Path]:
    import torch
    from torch import nn
    from ultralytics.nn.modules.block import TorchVision
    from ultralytics.nn.tasks import ClassificationModel, DetectionModel

    trap = home / "sprung"
    touch = f"touch {trap}"
    evil = f"__import__('os').system('{touch}')"
    made: dict[str, Path] = {}

    def keep(name: str, write: Callable[[Path], object]) -> None:
        made[name] = home / f"{name}.pt"
        write(made[name])

    def saved(name: str, content: Any, **more: Any) -> None:
        keep(name, lambda path: torch.save(content, path, **more))

    saved("good", checkpoint())
    saved("system", {"model": Call(os.system, touch)})
    saved("legacy", {"model": Call(os.system, touch)}, _use_new_zipfile_serialization=False)
    keep("raw", lambda path: path.write_bytes(pickle.dumps(Call(os.system, touch))))
    saved("extra", checkpoint(note=Call(os.system, touch)))
    saved("eval", {"model": Call(eval, f"open({str(trap)!r}, 'w').close()")})
    saved("reduce", {"model": Call(DetectionModel, table(activation=evil))})
    saved("activation", checkpoint(model=model(evil)))
    saved("fetches", {"model": Call(TorchVision, "resnet18", "DEFAULT")})
    saved("opens", {"model": Call(open, str(trap), "w")})
    saved("tensors", {"model": {"weight": torch.zeros(3)}})
    saved("classifier", {"model": ClassificationModel("yolov8n-cls.yaml", nc=2, verbose=False)})
    saved("nameless", checkpoint(model=nn.Sequential(nn.Conv2d(3, 3, 1))))
    keep("script", lambda path: torch.jit.script(nn.Identity()).save(str(path)))
    whole = made["good"].read_bytes()
    keep("truncated", lambda path: path.write_bytes(whole[: len(whole) // 2]))
    keep("empty", lambda path: path.write_bytes(b""))
    keep("picture", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)))
    keep("bomb", lambda path: path.write_bytes(_deflated(whole)))
    keep("stack", lambda path: path.write_bytes(_stack_global(whole, touch)))
    saved("names", checkpoint(model=_named(["a\n\x1b[31m", "b"])))
    resumed = {"model": "/home/somebody/last.pt", "resume": True}
    saved("resumed", checkpoint(model=_named(["移动\u3000电话", "👩\u200d🚀"]), train_args=resumed))
    return made


def _named(classes: list[str]) -> Any:
    made = model()
    made.names = dict(enumerate(classes))
    return made


def _deflated(whole: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("archive/data/999", bytes(30_000_000))
    return written.getvalue()


def _stack_global(whole: bytes, command: str) -> bytes:
    """The names are made on the pickle's stack, not written as an opcode's argument."""
    code = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R."
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(written, "w") as target:
        for name in source.namelist():
            target.writestr(name, code if name.endswith("/data.pkl") else source.read(name))
    return written.getvalue()


def springs(path: Path, trap: Path) -> bool:
    """Whether its code runs where it is loaded as people load weights."""
    import torch

    try:
        torch.load(path, weights_only=False)
    except Exception as problem:  # what the trap does to the loader is beside the point
        print(f"{path.name}: {problem}", file=sys.stderr)
    sprung = trap.exists()
    trap.unlink(missing_ok=True)
    return sprung


def said(check: Callable[[Path], Any], path: Path) -> Any:
    try:
        return {"taken": check(path)}
    except Refused as problem:
        return {"refused": str(problem)}


def main(home: Path) -> None:
    settle_in(home)
    from api.children.yolo_weights.inside import facts
    from api.children.yolo_weights.outside import judge

    trap = home / "sprung"
    made = make(home)
    trap.unlink(missing_ok=True)
    armed = sorted(name for name, path in made.items() if springs(path, trap))
    told = {name: {"outside": said(judge, path), "inside": said(facts, path)} for name, path in made.items()}
    (home / "trial.json").write_text(json.dumps({"armed": armed, "sprung": trap.exists(), "told": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
