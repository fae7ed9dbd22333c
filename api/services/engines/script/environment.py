"""Interpreters: which may be used, and a name for the environment that one belongs to. None is run."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from api.utils.errors import Invalid
from api.utils.paths import path_text, shortened


def environment_id(python: str) -> str:
    """`env-` and eight hex digits, the same for every interpreter of one virtual environment."""
    path = Path(python).absolute()
    prefix = path.parent.parent
    home = prefix.resolve() if (prefix / "pyvenv.cfg").is_file() else path.resolve()
    return f"env-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}"


def interpreter(field: str, value: object) -> str:
    """An absolute path of a program. It keeps its symlinks: a virtual environment is found by them.

    It may lie anywhere: who may have a script run can have that script run any program.
    """
    text = path_text(field, value)
    if not text.startswith("/"):
        raise Invalid(field, f"must be an absolute path, not {shortened(text)!r}")
    problem = unusable(text)
    if problem is not None:
        raise Invalid(field, problem)
    return text


def unusable(python: str) -> str | None:
    """Why this is no interpreter that can be started; None if it may be one."""
    try:
        status = os.stat(python)
    except OSError as problem:
        return f"{shortened(python)} cannot be used: {problem.strerror}"
    if not stat.S_ISREG(status.st_mode) or not os.access(python, os.X_OK):
        return f"{shortened(python)} is not a program that can be run"
    return None
