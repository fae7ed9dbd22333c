"""Names of YOLO detectors that ultralytics knows, and what a training of each begins from here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from api.utils.errors import Invalid

#: ours: YOLOv8 at an eighth of its width, made from ultralytics' own file when a training starts
TINY = "yolov8tiny.yaml"
#: what each family's scales are; `u`: its weights have another name than its architecture
_FAMILIES = (
    ("yolov3", ("", "-spp", "-tiny"), "u"),
    ("yolov5", "nsmlx", "u"),
    ("yolov8", "nsmlx", ""),
    ("yolov9", "tsmce", ""),
    ("yolov10", "nsmblx", ""),
    ("yolo11", "nsmlx", ""),
    ("yolo12", "nsmlx", ""),
    ("yolo26", "nsmlx", ""),
)
_ALIAS = re.compile(r"yolov5([nsmlx])\.pt")  # as YOLOv5's own repository names them


@dataclass(frozen=True, slots=True)
class Start:
    """`kind`: weights (`value` is a path) or architecture (a name). `warning`: what a user should know about it."""

    kind: str
    value: str
    warning: str | None = None

    @property
    def model(self) -> dict[str, str]:
        """As a job's parameter."""
        return {"kind": self.kind, "value": self.value}


@cache
def _weights() -> dict[str, str]:
    """The architecture of each."""
    return {
        f"{family}{scale}{suffix}.pt": f"{family}{scale}.yaml"
        for family, scales, suffix in _FAMILIES
        for scale in scales
    }


def known_weights() -> Sequence[str]:
    return tuple(_weights())


def known_architectures() -> Sequence[str]:
    return (*_weights().values(), TINY)


def architecture_of(weights: str) -> str | None:
    """That of published weights, by their file name."""
    return _weights().get(weights)


def is_known(name: str) -> bool:
    return _canonical(name) in _weights() or name in known_architectures()


def _canonical(name: str) -> str:
    return _ALIAS.sub(r"yolov5\1u.pt", name)


def resolve(field: str, name: str, weights_dir: Path) -> Start:
    """What `name` (yolov8n.pt, yolo11s.yaml) stands for; the weights need not be there. Raises Invalid."""
    if name in known_architectures():
        return Start("architecture", name)
    file = _canonical(name)
    if file not in _weights():
        raise Invalid(field, f"must be a model that ultralytics knows, like {TINY}, yolov8n.yaml or yolo11s.pt")
    return Start("weights", str(weights_dir / file))


def with_fallback(start: Start) -> Start:
    """`pretrained: auto`: the architecture where published weights are not there, with a warning that says so."""
    path = Path(start.value)
    if start.kind != "weights" or path.is_file():
        return start
    architecture = architecture_of(path.name)
    if architecture is None:
        return start
    return Start(
        "architecture",
        architecture,
        f"{path.name} is not there, so the training begins from random weights ({architecture}); "
        f"for pretrained weights place the file by hand at {path}",
    )
