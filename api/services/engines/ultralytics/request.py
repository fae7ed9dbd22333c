"""The parameters of an ultralytics job: what they may be, and what they are if left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.models.job import Resources
from api.services.engines.ultralytics import arguments
from api.services.engines.ultralytics.models import known_architectures
from api.utils.errors import Invalid
from api.utils.paths import PathPolicy

_DEVICE = re.compile(r"cpu|(?:cuda:?)?(\d{1,3})|cuda")
_ON_DATA = ("train", "validate")  # tasks with a data.yaml
_PRETRAINED = (True, False, "auto")
_OWN = ("task", "data", "manifest", "model", "device", "pretrained")
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "train": {"epochs": 10, "imgsz": 640, "batch": -1},
    "export": {"format": "onnx"},
    "validate": {"imgsz": 640, "batch": 16},
    "prelabel": {"imgsz": 640, "batch": 8, "conf": 0.25},
}


def checked(given: Mapping[str, Any], roots: PathPolicy) -> dict[str, Any]:
    """With the defaults filled in. Raises Invalid naming the field, or Forbidden."""
    task = given.get("task", "train")
    if task not in arguments.TASKS:
        raise Invalid("task", f"must be one of {', '.join(arguments.TASKS)}")
    params: dict[str, Any] = {"task": task, "model": _model(given.get("model"), task, roots)}
    params["data"] = _data(given.get("data"), roots) if task in _ON_DATA else None
    if task == "prelabel":
        params["manifest"] = _manifest(given.get("manifest"), roots)
    params["device"] = _device(given.get("device"))
    if task == "train":
        params["pretrained"] = _pretrained(given.get("pretrained"))
    rest = {name: value for name, value in given.items() if name not in _OWN or _foreign(name, task)}
    chosen = arguments.checked(rest, task)
    if task in _ON_DATA:
        _check_batch(chosen.get("batch"))
    return {**params, **DEFAULTS[task], **chosen}


def arguments_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Of checked parameters, what ultralytics itself is given."""
    return {name: value for name, value in params.items() if name not in _OWN}


def _foreign(name: str, task: str) -> bool:
    """Whether one of our own parameters says nothing in this task."""
    tasks = {"data": _ON_DATA, "manifest": ("prelabel",), "pretrained": ("train",)}
    return task not in tasks.get(name, arguments.TASKS)


def _model(value: object, task: str, roots: PathPolicy) -> dict[str, str]:
    if not isinstance(value, Mapping) or set(value) != {"kind", "value"}:
        raise Invalid("model", 'must be {"kind": "weights" or "architecture", "value": ...}')
    kind, named = value["kind"], value["value"]
    if kind == "weights":
        path = roots.resolve("model.value", named)
        if path.suffix != ".pt":
            raise Invalid("model.value", "must be a .pt file")
        return {"kind": kind, "value": str(path)}
    if kind != "architecture":
        raise Invalid("model.kind", "must be weights or architecture")
    if task != "train":
        raise Invalid("model.kind", f"must be weights: there is nothing to {task} in random ones")
    if named not in known_architectures():
        raise Invalid("model.value", "must be the name of an architecture of ultralytics, like yolov8n.yaml")
    return {"kind": kind, "value": str(named)}


def _data(value: object, roots: PathPolicy) -> str:
    path = roots.resolve("data", value)  # type: ignore[arg-type]  # which refuses what is no string
    if path.suffix not in (".yaml", ".yml"):
        raise Invalid("data", "must be a dataset's data.yaml")
    if not path.is_file():
        raise Invalid("data", f"{path} does not exist")
    return str(path)


def _manifest(value: object, roots: PathPolicy) -> str:
    path = roots.resolve("manifest", value)  # type: ignore[arg-type]  # which refuses what is no string
    if path.name != "manifest.jsonl" or not path.is_file():
        raise Invalid("manifest", "must be a prepared dataset's manifest.jsonl")
    return str(path)


def _device(value: object) -> str | None:
    """As a number or a name. Several are refused: ultralytics starts such trainings as processes of its own, which
    report nothing and cannot be stopped between two batches."""
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(r"[\d,: a-z]{1,100}", text) and "," in text:
        raise Invalid("device", "must be one GPU: a YOLO training on several is not supported")
    if not isinstance(text, str) or not _DEVICE.fullmatch(text):
        raise Invalid("device", "must be cpu, cuda, or the number of a GPU")
    return text


def _pretrained(value: object) -> bool | str:
    if value is None:
        return True
    if not isinstance(value, bool) and value != "auto":
        raise Invalid("pretrained", "must be true, false or auto")
    return value


def _check_batch(value: float | None) -> None:
    if value is not None and not (value == -1 or 0 < value < 1 or (value >= 1 and value == int(value))):
        raise Invalid("batch", "must be a whole number from 1, -1, or a fraction of the GPU's memory")


def resources(asked: Resources, device: str | None) -> Resources:
    """With the GPU that `device` asks for; without a word about it any one GPU will do."""
    if asked.gpus > 1:
        raise Invalid("gpus", "must be 1 at most: a YOLO training on several GPUs is not supported")
    if device == "cpu":
        return replace(asked, gpus=0, gpu_ids=())
    found = _DEVICE.fullmatch(device or "")
    if found and found[1]:
        return replace(asked, gpus=1, gpu_ids=(int(found[1]),))
    return replace(asked, gpus=1)


def schema() -> dict[str, Any]:
    """JSON Schema of the parameters, a training's first."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [_task_schema(task) for task in arguments.TASKS],
    }


def _task_schema(task: str) -> dict[str, Any]:
    found = arguments.schema(task)
    for name, value in DEFAULTS[task].items():
        found[name] = {**found[name], "default": value}
    needed = [*(("data",) if task in _ON_DATA else ()), *(("manifest",) if task == "prelabel" else ()), "model"]
    own: dict[str, Any] = {
        "task": {"const": task},
        "model": {
            "type": "object",
            "required": ["kind", "value"],
            "properties": {"kind": {"enum": ["weights", "architecture"]}, "value": {"type": "string"}},
        },
        "device": {"type": "string", "pattern": f"^(?:{_DEVICE.pattern})$"},
    }
    if task == "prelabel":
        own["manifest"] = {"type": "string", "description": "a prepared dataset's manifest.jsonl"}
    if task in _ON_DATA:
        own["data"] = {"type": "string", "description": "a dataset's data.yaml"}
    if task == "train":
        own["pretrained"] = {"enum": list(_PRETRAINED), "default": True}
    properties = {**own, **found}
    return {"type": "object", "required": needed, "properties": properties, "additionalProperties": False}
