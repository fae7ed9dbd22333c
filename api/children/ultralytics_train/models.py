"""What a run begins from: weights, an architecture of ultralytics', or the small one of ours made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.children.common.report import Problem

TASK = "detect"
#: of YOLOv8, as depth, width and most channels: an eighth of its width, so that a CPU learns something within a minute
TINY = "yolov8tiny.yaml"
TINY_SCALE = (0.33, 0.125, 1024)


def check_present(model: dict[str, str]) -> None:
    path = Path(model["value"])
    if model["kind"] == "weights" and not path.is_file():
        raise Problem(
            "missing_file",
            f"the weights {path.name} are not there, and nothing is downloaded here: place the file by hand at {path}, "
            "or train with pretrained auto, or from an architecture",
        )


def opened(model: dict[str, str], directory: Path) -> Any:
    if model["kind"] == "weights":
        return loaded(Path(model["value"]))
    from ultralytics import YOLO

    return YOLO(_architecture(model["value"], directory), task=TASK)


def loaded(path: Path) -> Any:
    from ultralytics import YOLO

    try:
        model = YOLO(str(path))
    except Exception as problem:
        said = " ".join(str(problem).split())[:500]
        raise Problem("bad_config", f"{path.name} cannot be used as YOLO weights: {said}") from problem
    if model.task != TASK:
        raise Problem("bad_config", f"{path.name} is a model for {model.task}; only {TASK} is trained here")
    return model


def _architecture(name: str, directory: Path) -> str:
    if name != TINY:
        return name
    import ultralytics
    import yaml

    source = Path(ultralytics.__file__).parent / "cfg" / "models" / "v8" / "yolov8.yaml"
    table = yaml.safe_load(source.read_text(encoding="utf-8"))
    table["scales"] = {"n": list(TINY_SCALE)}
    path = directory / "yolov8n.yaml"  # ultralytics takes the scale's letter from the name
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    return str(path)
