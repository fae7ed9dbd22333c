"""The request's config and dataset as JSON Schema, for forms and for /engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.services.engines.diffusion_pipe.dataset import RESOLUTIONS_MAX, SIDE_MAX
from api.services.engines.diffusion_pipe.keys import DEFAULT_OPTIMIZER, DTYPES, GROUPS, KEYS
from api.services.engines.diffusion_pipe.model_types import COMMON, TYPES, Named

_SIDE = {"type": "integer", "minimum": 1, "maximum": SIDE_MAX}
_SIZE = {"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}


def request_schema(named: Named) -> dict[str, Any]:
    """With every model type that this install knows under `x-model-types`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["model_type", "dataset"],
        "properties": {
            "model_type": {"type": "string", "enum": sorted({*TYPES, *named.models})},
            "config": _config(named),
            "dataset": _dataset(),
        },
        "x-model-types": _model_types(named),
    }


def _model_types(named: Named) -> Mapping[str, Any]:
    known = {
        name: {
            "required": list(kind.required),
            "alternatives": [list(keys) for keys in kind.alternatives],
            "optional": [*COMMON, *kind.optional],
            "full_fine_tune": kind.full,
            "block_swap": kind.swap,
        }
        for name, kind in TYPES.items()
    }
    nothing: dict[str, Any] = {"required": [], "alternatives": [], "optional": list(COMMON)}
    return {**dict.fromkeys(sorted(named.models - TYPES.keys()), nothing), **known}


def _config(named: Named) -> dict[str, Any]:
    rows = {
        name: {
            **row.schema,
            "description": row.help,
            **({} if row.default is None else {"default": row.default}),
        }
        for name, row in KEYS.items()
    }
    groups = {
        name: {"type": "object", "description": "keys of config, grouped; the same as beside it"} for name in GROUPS
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**rows, **groups, **_tables(named)},
    }


def _tables(named: Named) -> dict[str, Any]:
    dtype = {"enum": list(DTYPES), "default": "bfloat16"}
    return {
        "model": {
            "type": "object",
            "description": "the model's files and settings; the keys depend on model_type (x-model-types)",
            "properties": {"dtype": dtype},
        },
        "adapter": {
            "type": "object",
            "description": "what is trained beside the frozen model; left out: the whole model is trained",
            "required": ["type"],
            "properties": {
                "type": {"enum": sorted({"lora", "lokr", *named.adapters})},
                "rank": {"type": "integer", "minimum": 1, "default": 32},
                "dtype": dtype,
                "dropout": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "optimizer": {
            "type": "object",
            "description": "left out as a whole: the default; any further key goes to the optimizer's class",
            "required": ["type"],
            "default": dict(DEFAULT_OPTIMIZER),
            "properties": {
                "type": {"type": "string"},
                "lr": {"type": "number", "minimum": 0},
                "betas": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
                "weight_decay": {"type": "number", "minimum": 0},
                "eps": {"type": "number", "minimum": 0},
            },
        },
        "monitoring": {
            "type": "object",
            "description": "Weights & Biases",
            "properties": {
                "enable_wandb": {"type": "boolean", "default": False},
                "wandb_api_key": {"type": "string"},
                "wandb_tracker_name": {"type": "string"},
                "wandb_run_name": {"type": "string"},
            },
        },
    }


def _dataset() -> dict[str, Any]:
    shared = {
        "resolutions": {
            "type": "array",
            "items": _SIZE,
            "minItems": 1,
            "maxItems": RESOLUTIONS_MAX,
            "description": "side lengths or [width, height]; required unless size_buckets are given",
        },
        "size_buckets": {"type": "array", "items": {"type": "array", "items": _SIDE, "minItems": 3, "maxItems": 3}},
        "frame_buckets": {"type": "array", "items": _SIDE, "description": "frames of a video clip", "default": [1]},
        "enable_ar_bucket": {"type": "boolean", "default": False, "description": "group by aspect ratio"},
        "min_ar": {"type": "number", "exclusiveMinimum": 0},
        "max_ar": {"type": "number", "exclusiveMinimum": 0},
        "num_ar_buckets": {"type": "integer", "minimum": 1},
        "num_repeats": {"type": "number", "exclusiveMinimum": 0, "default": 1},
        "caption_prefix": {"type": "string", "default": ""},
        "shuffle_tags": {"type": "boolean", "default": False},
        "skip_empty_caption": {"type": "boolean", "default": True, "description": "items without caption are skipped"},
    }
    directory = {
        "type": "object",
        "anyOf": [{"required": ["path"]}, {"required": ["path_id"]}],
        "properties": {
            "path": {"type": "string", "description": "absolute, under an allowed root"},
            "path_id": {"type": "string", "description": "the name of a preprocessed dataset"},
            "mask_path": {"type": "string"},
            "control_path": {"type": "string", "description": "for edit models"},
            **shared,
        },
    }
    entries = {"type": "array", "items": directory, "minItems": 1}
    return {
        "type": "object",
        "anyOf": [{"required": ["directory"]}, {"required": ["directories"]}],
        "properties": {
            **shared,
            "directory": entries,
            "directories": entries,
            "subsample_ratio": {"type": "number"},
        },
    }
