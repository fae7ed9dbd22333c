"""What weights say about themselves, read with ultralytics' restricted loader: known classes alone are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from api.children.common.report import plain
from api.children.yolo_weights.refusal import Refused, shown
from api.utils.texts import is_plain

MOST_CLASSES = 10_000
MOST_NAME = 200
MOST_EPOCHS = 20_000
MOST_COLUMNS = 100
#: what stands in a model's table for its activation is made into an object when a training begins from it
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.[A-Z]\w*\((?:[a-z_]+=[\w.+-]+(?:, ?[a-z_]+=[\w.+-]+)*)?\)", re.ASCII)
_DETECTORS = frozenset({"DetectionModel", "RTDETRDetectionModel"})


def facts(path: Path) -> dict[str, Any]:
    """Raises Refused."""
    checkpoint = _loaded(path)
    model = _model(checkpoint)
    table = getattr(model, "yaml", None)
    table = table if isinstance(table, dict) else {}
    activation = table.get("activation")
    if activation is not None and not (isinstance(activation, str) and _ACTIVATION.fullmatch(activation)):
        raise Refused(f"has an activation that is no class of torch.nn: {shown(activation)}")
    asked = checkpoint.get("train_args")
    asked = asked if isinstance(asked, dict) else {}
    base = None if asked.get("resume") else asked.get("model")  # of a training that was resumed it is its own state
    return {
        "task": "detect",
        "classes": _classes(getattr(model, "names", None)),
        "imgsz": _count(asked.get("imgsz")),
        "epochs": _count(asked.get("epochs")),
        "base_model": shown(PurePosixPath(base).name) or None if isinstance(base, str) else None,
        "model_info": {"task": "detect", "model_type": _type(model, table), **_parameters(model)},
        "metrics": _numbers(checkpoint.get("train_metrics")),
        "series": _series(checkpoint.get("train_results")),
    }


def _loaded(path: Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint, _ = torch_safe_load(str(path), safe_only=True)
    except MemoryError:
        raise Refused("needs more memory than a model may") from None
    except Exception as problem:  # noqa: BLE001  # whatever a hostile file makes the loader raise, it is refused
        said = str(problem.__cause__ or problem).splitlines()
        raise Refused(f"cannot be loaded with known classes alone: {shown(said[0] if said else problem)}") from None
    if not isinstance(checkpoint, dict):
        raise Refused("holds no checkpoint")
    return checkpoint


def _model(checkpoint: dict[str, Any]) -> Any:
    from torch import nn

    found = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(found, nn.Module):
        raise Refused("holds no model (a table of tensors alone is not enough)")
    kind = type(found).__name__
    if kind not in _DETECTORS:
        raise Refused(f"is a {kind}; detectors alone are used here")
    return found


def _classes(names: object) -> list[str]:
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 0 < len(names) <= MOST_CLASSES or set(names) != set(range(len(names))):
        raise Refused(f"does not name its classes (1 to {MOST_CLASSES}, numbered from 0)")
    found = [names[number] for number in range(len(names))]
    if not all(isinstance(name, str) and 0 < len(name) <= MOST_NAME and is_plain(name) for name in found):
        raise Refused(f"has a class whose name is not 1 to {MOST_NAME} characters on one line")
    return found


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None


def _type(model: Any, table: Mapping[Any, Any]) -> str:
    """The architecture's name as far as it is known, else the class."""
    file = table.get("yaml_file")
    return shown(PurePosixPath(file).stem) if isinstance(file, str) and file else type(model).__name__


def _parameters(model: Any) -> dict[str, Any]:
    """Trainable are all but the fixed ones of DFL: a finished training leaves none with a gradient."""
    sizes = [(name, parameter.numel()) for name, parameter in model.named_parameters()]
    total = sum(size for _, size in sizes)
    trainable = sum(size for name, size in sizes if ".dfl" not in name)
    return {"total_params": total, "trainable_params": trainable, "total_params_m": round(total / 1e6, 3)}


def _numbers(given: object) -> dict[str, float | None]:
    table = given if isinstance(given, dict) else {}
    found = {name: _number(value) for name, value in list(table.items())[:MOST_COLUMNS] if isinstance(name, str)}
    return {name: value for name, value in found.items() if len(name) <= MOST_NAME}


def _number(value: object) -> float | None:
    value = plain(value) if getattr(value, "size", 1) == 1 else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _series(given: object) -> dict[str, list[float | None]]:
    """The columns of its results.csv; {} where there are none, or none that fit together."""
    table = given if isinstance(given, dict) else {}
    found = {
        name: [_number(each) for each in column]
        for name, column in list(table.items())[:MOST_COLUMNS]
        if isinstance(name, str) and len(name) <= MOST_NAME and isinstance(column, list) and len(column) <= MOST_EPOCHS
    }
    return found if len({len(column) for column in found.values()}) == 1 else {}
