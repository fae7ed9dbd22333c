"""One task from standard input; `summary.json` in its target, or one line that says why not and exit code 3."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

from api.children.yolo_prepare.findings import Unusable
from api.children.yolo_prepare.prepare import Task, prepare
from api.utils.disks import sync_file_system

MOST_MEMORY = 8 * 1024**3
MOST_FILE = 4 * 1024**3
_PR_SET_PDEATHSIG = 1
UNUSABLE = 3


def confine(parent: int) -> None:
    """No core dump, no endless memory or file, and no life after the service's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, MOST_FILE))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the service is gone")


def main() -> int:
    given = json.load(sys.stdin)
    confine(given.pop("parent"))
    given["source"], given["target"] = Path(given["source"]), Path(given["target"])
    task = Task(**given)
    try:
        summary = prepare(task)
    except Unusable as problem:
        sys.stderr.write(f"{problem}\n")
        return UNUSABLE
    (task.target / "summary.json").write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")
    sync_file_system(task.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
