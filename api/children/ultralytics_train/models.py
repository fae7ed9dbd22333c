"""What a run begins from: weights, an architecture of ultralytics', or the small one of ours made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.children.common.report import Problem

TASK = "detect"
#: of YOLOv8, as depth, width and most channels: an eighth of its width, so that a CPU learns something within a minute
TINY = "yolov8tiny.yaml"
TINY_SCALE = (0.33, 0.125, 1024)


def check_present(model: dict[str, str], weights_dir: Path) -> None:
    path = Path(model["value"])
    if model["kind"] != "weights" or path.is_file():
        return
    if path.parent != weights_dir:
        raise Problem("missing_file", f"the weights to begin from are gone: {path}")
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


def described(network: Any) -> dict[str, Any]:
    """What a network is. `trainable_params` counts what the training at hand changes."""
    parameters = [(each.numel(), each.requires_grad) for each in network.parameters()]
    return {
        "task": TASK,
        "model_type": Path(network.yaml["yaml_file"]).stem if network.yaml.get("yaml_file") else None,
        "total_params": sum(size for size, _ in parameters),
        "trainable_params": sum(size for size, trained in parameters if trained),
    }


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
    path = directory / "yolov8n-tiny.yaml"  # ultralytics takes the scale's letter from the name, which weights keep
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    return str(path)
