"""Which commit a checkout is at, read from its .git files without running git."""

from __future__ import annotations

import re
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_REF = re.compile(r"ref: (refs/[\w./-]{1,200})\Z")
SHORT = 7
FILE_MAX = 4 << 20


def version_of(root: Path) -> str | None:
    """The short commit; None where there is none to be read."""
    try:
        git = _git_dir(root)
        head = _read(git / "HEAD")
        reference = _REF.match(head)
        commit = head if reference is None else _resolve(git, reference[1])
    except (OSError, ValueError):
        return None
    return commit[:SHORT] if commit is not None and _HASH.match(commit) else None


def _read(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(FILE_MAX).strip()


def _git_dir(root: Path) -> Path:
    """`.git` is a file in a submodule or a worktree."""
    git = root / ".git"
    return root / _read(git).removeprefix("gitdir: ") if git.is_file() else git


def _resolve(git: Path, reference: str) -> str | None:
    if ".." in reference:
        return None
    common = git / "commondir"
    base = git / _read(common) if common.is_file() else git
    for place in (git, base):
        if (place / reference).is_file():
            return _read(place / reference)
    packed = base / "packed-refs"
    lines = _read(packed).splitlines() if packed.is_file() else []
    return next((line.split(" ", 1)[0] for line in lines if line.endswith(" " + reference)), None)
