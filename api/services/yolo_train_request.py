"""What a client of the YOLO train server asks for, in ultralytics' words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.services.engines.ultralytics import arguments
from api.services.engines.ultralytics.models import (
    Start,
    architecture_of,
    known_architectures,
    known_weights,
    resolve,
)
from api.utils.errors import Invalid
from api.utils.paths import PathPolicy
from api.utils.texts import is_plain

MOST_LABELS = 10_000
LONGEST_LABEL = 200
MOST_LABEL_BYTES = 4 * 1024**2
#: of YOLOv5's table; ultralytics has none like them (its own `cls_pw` is another thing)
DROPPED = frozenset({"obj", "cls_pw", "obj_pw", "iou_t", "anchor_t", "anchors", "fl_gamma"})
#: arguments of a training that are fields of the request, or no hyper-parameters
OWN = frozenset({"epochs", "imgsz", "batch", "workers", "time", "save_period", "cache", "compile", "classes"})
V5_BOX = 150  # ultralytics' gain for the box loss (7.5) to YOLOv5's (0.05)
IGNORED_BY_AUTO = ("lr0", "momentum")  # what ultralytics sets itself unless an optimizer is named


@dataclass(frozen=True, slots=True)
class Hyper:
    """`used`: ultralytics' arguments; `ignored`: given names that say nothing to it; `notes`: what was changed."""

    used: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def model_types() -> Sequence[str]:
    return tuple(name.removesuffix(".yaml") for name in known_architectures())


def start_of(model_type: str, weights_dir: Path) -> Start:
    """What a training of a model type begins from, if its weights are there. Raises Invalid with the list."""
    if model_type not in model_types():
        raise Invalid("model_type", f"must be one of {', '.join(model_types())}")
    architecture = f"{model_type}.yaml"
    weights = next((name for name in known_weights() if architecture_of(name) == architecture), architecture)
    return resolve("model_type", weights, weights_dir)


def hyper_names() -> Sequence[str]:
    """What hyp_dict may hold."""
    return tuple(sorted((set(arguments.known()) - OWN) | DROPPED))


def hyper(given: Mapping[str, Any], model_type: str) -> Hyper:
    """Raises Invalid, with the list for a name that is none."""
    allowed = hyper_names()
    unknown = [name for name in given if name not in allowed]
    if unknown:
        (first, *more), text = unknown, f"is no hyper-parameter; there are: {', '.join(allowed)}"
        raise Invalid(f"hyp_dict.{first}", text, more=[(f"hyp_dict.{name}", "is no hyper-parameter") for name in more])
    ignored = tuple(sorted(name for name in given if name in DROPPED))
    used = {name: value for name, value in given.items() if name not in DROPPED and value is not None}
    used = arguments.checked(_whole(used), prefix="hyp_dict.")
    notes = []
    if model_type.startswith("yolov5") and "box" in used:
        scaled = round(used["box"] * V5_BOX, 6)
        notes.append(f"box {used['box']:g} is on YOLOv5's scale: {scaled:g} is used, which is ultralytics' for it")
        used = arguments.checked({**used, "box": scaled}, prefix="hyp_dict.")
    named = [name for name in IGNORED_BY_AUTO if name in used]
    if named and used.get("optimizer", "auto") == "auto":
        used["optimizer"] = "SGD"
        notes.append(f"optimizer SGD is used, as in YOLOv5: ultralytics' auto would not heed {' and '.join(named)}")
    return Hyper(used, ignored, tuple(notes))


def _whole(given: Mapping[str, Any]) -> dict[str, Any]:
    """4.0 for an argument that is a whole number: YAML tables of hyper-parameters are full of them."""
    known = arguments.known()
    return {
        name: int(value)
        if known[name]["type"] == "integer" and isinstance(value, float) and value == int(value)
        else value
        for name, value in given.items()
    }


def labels(given: str, roots: PathPolicy) -> list[str]:
    """Names of the classes in the order of their numbers: listed with commas, or the path of a file with one a line."""
    names = _from_file(given, roots) if "/" in given else [name.strip() for name in given.split(",")]
    if not 1 <= len(names) <= MOST_LABELS:
        raise Invalid("labels", f"must name 1 to {MOST_LABELS} classes, not {len(names)}")
    if not all(0 < len(name) <= LONGEST_LABEL and is_plain(name) for name in names):
        raise Invalid("labels", f"each class needs a name of 1 to {LONGEST_LABEL} characters on one line")
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise Invalid("labels", f"two classes are called {twice!r}")
    return names


def _from_file(given: str, roots: PathPolicy) -> list[str]:
    path = roots.resolve("labels", given)
    if not path.is_file():
        raise Invalid("labels", f"there is no file {given}")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_LABEL_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as problem:
        raise Invalid("labels", f"{given} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid("labels", f"{given} is no UTF-8 text with a name on each line") from None
    if len(content) > MOST_LABEL_BYTES:
        raise Invalid("labels", f"{given} is longer than {MOST_LABEL_BYTES} bytes")
    return [line.strip() for line in text.splitlines() if line.strip()]
