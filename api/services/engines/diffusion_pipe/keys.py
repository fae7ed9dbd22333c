"""The flat keys of the main config (facts/diffusion_pipe.md 1.2): type, range, default, meaning; one row each.

The table serves twice: to check a request and to describe it as JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DTYPES = ("float32", "float16", "bfloat16", "float8", "float8_e4m3fn", "float8_e5m2")
GROUPS = ("save", "optimization", "eval")  # nested in the document's requests, flat in the TOML
TABLES = ("model", "adapter", "optimizer", "monitoring")
COUNT_MAX = 10**9

Check = Callable[[Any], str | None]  # what is wrong with a value; None: nothing


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` None: none is written."""

    check: Check
    schema: Mapping[str, Any]
    help: str
    default: Any = None


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(low: int = 0, high: int = COUNT_MAX) -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        return None if is_int(value) and low <= value <= high else f"must be a whole number from {low} to {high}"

    return check, {"type": "integer", "minimum": low, "maximum": high}


def number(low: float, high: float, *, above: bool = False) -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        if is_number(value) and low <= value <= high and not (above and value == low):
            return None
        return f"must be a number {'above' if above else 'from'} {low:g} {'and up' if above else ''} to {high:g}"

    return check, {"type": "number", "exclusiveMinimum" if above else "minimum": low, "maximum": high}


def switch() -> tuple[Check, Mapping[str, Any]]:
    return (lambda value: None if isinstance(value, bool) else "must be true or false"), {"type": "boolean"}


def choice(*allowed: str) -> tuple[Check, Mapping[str, Any]]:
    text = f"must be one of {', '.join(allowed)}"
    return (lambda value: None if value in allowed and isinstance(value, str) else text), {"enum": list(allowed)}


def _batch() -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        if is_int(value):
            return None if 1 <= value <= 65536 else "must be from 1 to 65536"
        pairs = (
            isinstance(value, list)
            and bool(value)
            and all(
                isinstance(p, list) and len(p) == 2 and all(is_int(n) and 1 <= n <= 65536 for n in p) for p in value
            )
        )
        return None if pairs else "must be a whole number from 1, or a list of [resolution, batch size] pairs"

    pair = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2}
    return check, {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65536}, {"type": "array", "items": pair}]}


def _checkpointing() -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        good = isinstance(value, bool) or value == "unsloth"
        return None if good else 'must be true, false or "unsloth"'

    return check, {"anyOf": [{"type": "boolean"}, {"const": "unsloth"}]}


def _partition() -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        good = value in ("parameters", "uniform", "manual") or (isinstance(value, str) and value.startswith("type:"))
        return None if good else "must be parameters, uniform, manual or type:CLASS"

    return check, {"type": "string", "pattern": "^(parameters|uniform|manual|type:.+)$"}


def _split() -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        good = isinstance(value, list) and all(is_int(n) and n >= 0 for n in value)
        return None if good else "must be a list of layer numbers"

    return check, {"type": "array", "items": {"type": "integer", "minimum": 0}}


def _text(limit: int = 4096) -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and 0 < len(value) <= limit else "must be a string that is not empty"

    return check, {"type": "string", "minLength": 1}


def _resume() -> tuple[Check, Mapping[str, Any]]:
    def check(value: Any) -> str | None:
        plain = isinstance(value, str) and value not in ("", ".", "..") and "/" not in value
        return None if isinstance(value, bool) or plain else "must be true, false or the name of a run directory"

    return check, {"anyOf": [{"type": "boolean"}, {"type": "string"}]}


def _list() -> tuple[Check, Mapping[str, Any]]:
    return (lambda value: None if isinstance(value, list) else "must be a list"), {"type": "array"}


def _row(kind: tuple[Check, Mapping[str, Any]], help: str, default: Any = None) -> Key:
    return Key(kind[0], kind[1], help, default)


_EVERY = "steps, epochs or examples between"

KEYS: Mapping[str, Key] = {
    "output_dir": _row(_text(), "where the run directory is made; under an allowed root (default: the job's own)"),
    "epochs": _row(whole(1, 10**6), "passes over the dataset", 60),
    "max_steps": _row(whole(1), "stops after this step"),
    "micro_batch_size_per_gpu": _row(_batch(), "items a GPU and forward pass; or by resolution", 1),
    "image_micro_batch_size_per_gpu": _row(_batch(), "the same for images"),
    "eval_micro_batch_size_per_gpu": _row(_batch(), "the same for evaluation"),
    "eval_image_micro_batch_size_per_gpu": _row(_batch(), "the same for images in evaluation"),
    "pipeline_stages": _row(whole(1, 1024), "GPUs that share one copy of the model", 1),
    "gradient_accumulation_steps": _row(whole(1, 10**6), "micro batches a step", 1),
    "eval_gradient_accumulation_steps": _row(whole(1, 10**6), "the same for evaluation"),
    "gradient_clipping": _row(number(0, 1e9), "largest norm of the gradient; 0: none", 1.0),
    "warmup_steps": _row(whole(), "steps over which the learning rate rises", 20),
    "lr_scheduler": _row(choice("constant", "linear", "cosine"), "how the learning rate goes on"),
    "force_constant_lr": _row(number(0, 1e3), "overrides the learning rate, also on resume"),
    "blocks_to_swap": _row(whole(0, 10**4), "model blocks kept in main memory; needs an adapter, one pipeline stage"),
    "disable_block_swap_for_eval": _row(switch(), "whole model on the GPU for evaluation"),
    "activation_checkpointing": _row(_checkpointing(), "less memory, more time", True),
    "reentrant_activation_checkpointing": _row(switch(), "the older way of it"),
    "partition_method": _row(_partition(), "how layers are spread over pipeline stages", "parameters"),
    "partition_split": _row(_split(), "for manual: the layers at which a stage begins"),
    "save_every_n_epochs": _row(whole(1), f"{_EVERY} two saved models", 5),
    "save_every_n_steps": _row(whole(1), f"{_EVERY} two saved models"),
    "save_every_n_examples": _row(whole(1), f"{_EVERY} two saved models"),
    "checkpoint_every_n_epochs": _row(whole(1), "epochs between two states that can be resumed", 10),
    "checkpoint_every_n_minutes": _row(number(0, 1e7, above=True), "minutes between two of them"),
    "save_dtype": _row(choice(*DTYPES), "type of the saved weights", "bfloat16"),
    "caching_batch_size": _row(whole(1, 65536), "items at a time while latents are cached", 1),
    "map_num_proc": _row(whole(1, 1024), "processes that read media files"),
    "compile": _row(switch(), "torch.compile"),
    "steps_per_print": _row(whole(1), "steps between two lines of the log", 1),
    "logging_steps": _row(whole(1), "steps between two values in TensorBoard"),
    "x_axis_examples": _row(switch(), "TensorBoard counts examples, not steps"),
    "eval_datasets": _row(_list(), "[{name, config: a dataset or the path of a TOML}]"),
    "eval_every_n_epochs": _row(whole(1), f"{_EVERY} two evaluations"),
    "eval_every_n_steps": _row(whole(1), f"{_EVERY} two evaluations"),
    "eval_every_n_examples": _row(whole(1), f"{_EVERY} two evaluations"),
    "eval_before_first_step": _row(switch(), "evaluate the untrained model too"),
    "video_clip_mode": _row(
        choice("single_beginning", "single_middle"), "which frames of a longer video", "single_beginning"
    ),
    "uncond_fraction": _row(number(0, 1), "share of items trained without caption"),
    "huber_delta": _row(number(0, 1e9, above=True), "Huber loss"),
    "smooth_l1_beta": _row(number(0, 1e9, above=True), "smooth L1 loss"),
    "resume_from_checkpoint": _row(_resume(), "a run directory in output_dir to continue"),
}

#: keys of which one must not get its default beside another of the same family
FAMILIES: tuple[tuple[str, ...], ...] = (
    ("save_every_n_epochs", "save_every_n_steps", "save_every_n_examples"),
    ("checkpoint_every_n_epochs", "checkpoint_every_n_minutes"),
)

DEFAULT_OPTIMIZER: Mapping[str, Any] = {
    "type": "adamw_optimi",
    "lr": 5e-5,
    "betas": [0.9, 0.99],
    "weight_decay": 0.01,
    "eps": 1e-8,
}
