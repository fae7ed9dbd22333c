"""The parameters of a kraken job: what they may be, and what they are if left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from api.utils.errors import Invalid
from api.utils.paths import PathPolicy

TASKS = ("train", "segtrain", "test")
EPOCHS = 50
SEED = 42  # where none is given: the same split and the same start each time
DOCUMENTS_MAX = 1000
#: kraken.lib.vgsl's language; what it means is left to kraken
_SPEC = re.compile(r"\[\d{1,4},\d{1,5},\d{1,5},\d{1,2} [\w,.(){}\[\] ]{1,1900}\]")
_DEVICE = re.compile(r"cpu|cuda|cuda:(\d{1,3})")
_WEIGHTS = (".safetensors", ".mlmodel")

_NUMBERS: Mapping[str, tuple[type, float, float]] = {
    "epochs": (int, 1, 100_000),
    "batch_size": (int, 1, 4096),
    "lag": (int, 1, 100_000),
    "seed": (int, 0, 2**32 - 1),
    "lrate": (float, 1e-12, 10),
    "model_id": (int, 1, 2**62),
}
_DEFAULTS: Mapping[str, Any] = {
    "epochs": EPOCHS,
    "lrate": None,
    "batch_size": 1,
    "augment": False,
    "device": None,
    "base_model": None,
    "spec": None,
    "lag": None,
    "seed": None,
}


def schema() -> dict[str, Any]:
    """JSON Schema of the parameters."""
    names = {int: "integer", float: "number"}
    numbers = {
        name: {"type": names[kind], "minimum": low, "maximum": high} for name, (kind, low, high) in _NUMBERS.items()
    }
    ids = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": DOCUMENTS_MAX}
    properties: dict[str, Any] = {
        "task": {"type": "string", "enum": list(TASKS)},
        "document_ids": ids,
        "augment": {"type": "boolean"},
        "device": {"type": "string", "pattern": f"^(?:{_DEVICE.pattern})$"},
        "base_model": {"type": "string", "description": "weights to begin from, or to test"},
        "spec": {"type": "string", "description": "the network in VGSL", "pattern": f"^{_SPEC.pattern}$"},
        **numbers,
    }
    for name, value in _DEFAULTS.items():
        if value is not None:
            properties[name]["default"] = value
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["task", "model_id", "document_ids"],
        "properties": properties,
        "additionalProperties": False,
    }


def checked(given: Mapping[str, Any], roots: PathPolicy) -> dict[str, Any]:
    """With the defaults filled in. Raises Invalid naming the field, or Forbidden."""
    for name in given:
        if name not in _DEFAULTS and name not in ("task", "model_id", "document_ids"):
            raise Invalid(name, "is not a parameter of a kraken job")
    params = {**_DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    if params.get("task") not in TASKS:
        raise Invalid("task", f"must be one of {', '.join(TASKS)}")
    _check_documents(params.get("document_ids"))
    for name, (kind, low, high) in _NUMBERS.items():
        _check_number(name, params.get(name), kind, low, high, needed=name not in ("lag", "seed", "lrate"))
    if not isinstance(params["augment"], bool):
        raise Invalid("augment", "must be true or false")
    _check_text("spec", params["spec"], _SPEC, "must be a VGSL network like [1,120,0,1 Cr3,13,32 Mp2,2 Lbx200]")
    _check_text("device", params["device"], _DEVICE, "must be cpu, cuda or cuda:N")
    params["base_model"] = _base_model(params["base_model"], params["task"], roots)
    return params


def _check_documents(ids: object) -> None:
    if not isinstance(ids, list | tuple) or not 1 <= len(ids) <= DOCUMENTS_MAX:
        raise Invalid("document_ids", f"must be a list of 1 to {DOCUMENTS_MAX} documents")
    if any(isinstance(each, bool) or not isinstance(each, int) for each in ids) or len(set(ids)) != len(ids):
        raise Invalid("document_ids", "must be different whole numbers")


def _check_number(name: str, value: object, kind: type, low: float, high: float, *, needed: bool) -> None:
    if value is None and not needed:
        return
    numbers = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, numbers):
        raise Invalid(name, "must be a whole number" if kind is int else "must be a number")
    if not low <= value <= high:
        raise Invalid(name, f"must be between {low} and {high}")


def _check_text(name: str, value: object, pattern: re.Pattern[str], message: str) -> None:
    if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise Invalid(name, message)


def _base_model(value: object, task: str, roots: PathPolicy) -> str | None:
    """Only formats that are data: a checkpoint is a pickle, which runs code when it is read."""
    if value is None:
        if task == "test":
            raise Invalid("base_model", "a test needs a model")
        return None
    path = roots.resolve("base_model", value)  # type: ignore[arg-type]  # which refuses what is no string
    if path.suffix not in _WEIGHTS:
        raise Invalid("base_model", f"must be a file that ends in {' or '.join(_WEIGHTS)}")
    return str(path)


def device_number(device: str | None) -> int | None:
    """The GPU that `cuda:N` names."""
    found = _DEVICE.fullmatch(device or "")
    return int(found[1]) if found and found[1] else None
