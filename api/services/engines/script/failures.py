"""Why a script ended badly: what TensorFlow says, then what holds for any trainer in Python."""

from __future__ import annotations

from api.models.job import Failure
from api.services.engines.base import Ending
from api.services.engines.failures import GENERIC, classify, rule

RULES = (
    rule(
        "killed_by_oom",
        r"OOM when allocating tensor.{0,400}?device:CPU:\d|DefaultCPUAllocator: (?:can't allocate|not enough) memory",
        "Main memory was not enough for one tensor: use a smaller batch or a smaller model, or ask for more memory.",
    ),
    rule(
        "cuda_oom",
        r"OOM when allocating tensor|ResourceExhaustedError|RESOURCE_EXHAUSTED: (?:Out of memory|Failed to allocate)"
        r"|CUDA_ERROR_OUT_OF_MEMORY",
        "The GPU's memory was not enough: use a smaller batch or a smaller model, or a GPU with more memory; and check "
        "that no other process uses this GPU.",
    ),
    rule(
        "import_error",
        r"ModuleNotFoundError: No module named '?([\w.]{1,200})",
        "The interpreter of this job has no module {0}: install it into that environment, or name another interpreter "
        "in python.",
    ),
    rule(
        "missing_file",
        r"FileNotFoundError\b.{0,200}?No such file or directory: '([^']{1,300})'",
        "The script did not find {0}: a relative path starts at the script's own folder; the dataset's folder is in "
        "TRAINYARD_DATASET_DIR.",
    ),
    rule(
        "bad_config",
        r"\A[\w.-]{1,80}: error: (.{1,300})",
        "The script refuses its arguments ({0}): correct args.",
    ),
    rule("bad_config", r"\A(?:SyntaxError|IndentationError|TabError)\b", "The script is not valid Python: correct it."),
)


def explain(ending: Ending) -> Failure:
    return classify(ending, (*RULES, *GENERIC), what="The script")
