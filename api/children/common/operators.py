"""torchvision of PyPI beside a torch without CUDA, made importable."""

from __future__ import annotations

import sys
from typing import Any


def mend_torchvision() -> Any:
    """To be called before anything imports torchvision; nothing is done where that works, or where there is none.

    Its compiled part is linked to CUDA and cannot be loaded beside a torch without, and then the import fails, since
    torchvision registers shape functions for two operators of that part. Declaring the two is enough for the import;
    calling `nms` needs an implementation as well. What is returned must be kept for as long as torchvision is used.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        return None
    except RuntimeError:
        _forget_what_was_half_imported()
    else:
        return None
    declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return declared


def _forget_what_was_half_imported() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
