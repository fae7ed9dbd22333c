"""One task from standard input; `summary.json` in its target, or one line that says why not and exit code 3."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.children.common.confine import confine
from api.children.yolo_prepare.findings import Unusable
from api.children.yolo_prepare.prepare import Task, prepare
from api.utils.disks import sync_file_system

MOST_MEMORY = 8 * 1024**3
MOST_FILE = 4 * 1024**3
UNUSABLE = 3


def main() -> int:
    given = json.load(sys.stdin)
    confine(given.pop("parent"), memory=MOST_MEMORY, file=MOST_FILE)
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
