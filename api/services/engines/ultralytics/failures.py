"""Why an ultralytics child ended badly: what it said itself, then ultralytics' words, then any trainer's."""

from __future__ import annotations

import re
from dataclasses import replace

from api.models.job import FAILURE_KINDS, Failure
from api.services.engines.base import Ending
from api.services.engines.failures import GENERIC, classify, rule
from api.utils.training_wrapper import ERROR_MARK

_HINTS = {
    "dataset_empty": "The dataset holds nothing to train on: {0}.",
    "incomplete": "{0}. Resume it, or start it again.",
}
_OWN = re.compile(r"\[([a-z_]{1,40})\] (.{1,2000})", re.DOTALL)

RULES = (
    rule(
        "dataset_empty",
        r"No valid images found|No labels found in|No images found in|images not found|contains no valid",
        "The dataset holds no usable images with labels: prepare it again and read what it reports.",
    ),
    rule(
        "no_gpu",
        r"Invalid (?:CUDA )?'?device\b|Invalid CUDA",
        "The GPU cannot be used by ultralytics' torch: check the driver and that torch was built for CUDA.",
    ),
    rule(
        "missing_file",
        r"ConnectionError|Download failure|environment is offline",
        "ultralytics wanted to download a file, and nothing is downloaded here: place it by hand in the weights "
        "directory.",
    ),
    rule(
        "bad_config",
        r"NaN persisted|Loss NaN/Inf detected but|corrupted with NaN/Inf",
        "The loss became NaN and stayed so: use a smaller lr0, or amp false, and check the labels.",
    ),
    rule(
        "bad_config",
        r"froze the entire model|gives BatchNorm a single value|AutoBatch|is not a valid YOLO argument|Invalid '",
        "ultralytics does not take this combination of arguments; the line says which.",
    ),
    rule(
        "killed_by_oom",
        r"DataLoader worker .{0,60}is killed by signal|bus error.{0,60}shared memory",
        "A data loader process ran out of memory or of shared memory (/dev/shm): use fewer workers or a smaller batch.",
    ),
    rule(
        "import_error",
        r"operator torchvision::\w{1,40} does not exist|PackageNotFoundError",
        "torch and torchvision of the interpreter do not fit together: install requirements.txt with constraints.txt.",
    ),
)


def explain(ending: Ending) -> Failure:
    for line in ending.faults:
        own = _OWN.fullmatch(line)
        if own and own[1] in FAILURE_KINDS:
            hint = _HINTS.get(own[1], "{0}.").replace("{0}", own[2][:400])
            return Failure(own[1], hint[0].upper() + hint[1:], own[2][:500])
    plain = replace(ending, tail=tuple(line.removeprefix(ERROR_MARK) for line in ending.tail))
    return classify(plain, (*RULES, *GENERIC), what="ultralytics")
