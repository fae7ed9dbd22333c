"""What a request for a script may say, and whether the script is still the one that was submitted."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.services.engines.script.environment import environment_id, interpreter
from api.utils.errors import Conflict, Invalid
from api.utils.paths import PathPolicy

FRAMEWORKS = ("pytorch", "tensorflow")
SCRIPT_MAX = 64 * 2**20  # bytes
ARGS_MAX = 256
ARGS_BYTES = 64 * 2**10  # all together
_QUIETLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
KNOWN = frozenset(
    ("script_path", "args", "python", "framework", "dataset_path", "script", "script_sha256", "dataset", "env_id")
)


def checked(params: Mapping[str, Any], roots: PathPolicy, default_python: str) -> dict[str, Any]:
    """The parameters with their defaults, the resolved paths (`script`, `dataset`) and the script's hash."""
    unknown = sorted(set(params) - KNOWN)
    if unknown:
        raise Invalid(unknown[0], "is not a parameter of a script")
    framework = params.get("framework", "pytorch")
    if framework not in FRAMEWORKS:
        raise Invalid("framework", f"must be one of {', '.join(FRAMEWORKS)}")
    if "script_path" not in params:
        raise Invalid("script_path", "is required")
    script = roots.resolve("script_path", params["script_path"])
    python = default_python if params.get("python") is None else interpreter("python", params["python"])
    dataset = params.get("dataset_path")
    return {
        "script_path": params["script_path"],
        "script": str(script),
        "script_sha256": fingerprint("script_path", script),
        "args": _args(params.get("args", [])),
        "python": python,
        "env_id": environment_id(python),
        "framework": framework,
        "dataset_path": dataset,
        "dataset": None if dataset is None else str(_directory(roots, dataset)),
    }


def _args(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(arg, str) for arg in value):
        raise Invalid("args", "must be a list of strings")
    if len(value) > ARGS_MAX:
        raise Invalid("args", f"must be at most {ARGS_MAX}")
    try:
        size = sum(len(arg.encode("utf-8")) for arg in value)
    except UnicodeEncodeError:
        raise Invalid("args", "must be valid Unicode") from None
    if size > ARGS_BYTES:
        raise Invalid("args", f"must be at most {ARGS_BYTES} bytes together")
    if any("\0" in arg for arg in value):
        raise Invalid("args", "must not contain a NUL character")
    return list(value)


def _directory(roots: PathPolicy, value: Any) -> Path:
    path = roots.resolve("dataset_path", value)
    if not path.is_dir():
        raise Invalid("dataset_path", "is not a directory" if path.exists() else "does not exist")
    return path


def fingerprint(field: str, path: Path) -> str:
    """The SHA-256 of a regular file. A fifo is not waited for, a device is not read."""
    try:
        opened = open(path, "rb", opener=lambda name, _: os.open(name, _QUIETLY))
    except FileNotFoundError:
        raise Invalid(field, "does not exist") from None
    except OSError as problem:
        raise Invalid(field, f"cannot be read: {problem.strerror}") from None
    with opened as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Invalid(field, "is not a regular file")
        if status.st_size > SCRIPT_MAX:
            raise Invalid(field, f"is larger than {SCRIPT_MAX} bytes, which no script is")
        return hashlib.file_digest(file, "sha256").hexdigest()


def unchanged(params: Mapping[str, Any], roots: PathPolicy) -> Path:
    """The script, looked at again when it is to start. Raises Conflict where it is not what was submitted."""
    path = roots.resolve("script_path", params["script_path"])
    if str(path) != params["script"]:
        raise Conflict(f"the script changed between submit and start: {params['script_path']} is now {path}")
    if fingerprint("script_path", path) != params["script_sha256"]:
        raise Conflict(
            f"the script changed between submit and start: {path} is not what was submitted; submit it again"
        )
    return path
