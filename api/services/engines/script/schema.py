"""The parameters of a script as JSON Schema, for forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.services.engines.script.checks import ARGS_MAX, FRAMEWORKS

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A script",
    "type": "object",
    "additionalProperties": False,
    "required": ["script_path"],
    "properties": {
        "script_path": {
            "type": "string",
            "title": "Script",
            "description": "Absolute path of a Python file under an allowed directory. It runs in its own folder.",
            "pattern": "^/",
        },
        "args": {
            "type": "array",
            "title": "Arguments",
            "description": "Given to the script as they are; no shell sees them.",
            "items": {"type": "string"},
            "maxItems": ARGS_MAX,
            "default": [],
        },
        "framework": {"type": "string", "title": "Framework", "enum": list(FRAMEWORKS), "default": "pytorch"},
        "python": {
            "type": ["string", "null"],
            "title": "Interpreter",
            "description": "Absolute path of the Python that runs it, for one of another environment.",
            "default": None,
        },
        "dataset_path": {
            "type": ["string", "null"],
            "title": "Dataset",
            "description": "A directory under an allowed one; the script finds its path in TRAINYARD_DATASET_DIR.",
            "default": None,
        },
    },
}
