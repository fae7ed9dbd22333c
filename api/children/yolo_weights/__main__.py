"""One file from standard input's task; `facts.json` beside it, or one line that says why not and exit code 3."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from api.children.common.confine import confine
from api.children.yolo_weights.inside import facts
from api.children.yolo_weights.outside import judge
from api.children.yolo_weights.refusal import Refused

MOST_MEMORY = 32 * 1024**3  # of addresses: torch with CUDA maps some gigabytes before it has done anything
MOST_DATA = 3 * 1024**3  # and as much again as the weights three times
MOST_FILE = 64 * 1024**2
MOST_CPU = 120  # seconds
REFUSED = 3


def settle_in(home: Path) -> None:
    """ultralytics made to stay at home; what is set here it reads when it is imported."""
    os.environ.update(
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="0",
        YOLO_VERBOSE="False",
        ULTRALYTICS_SAFE_LOAD="1",
        YOLO_CONFIG_DIR=str(home),
        MPLBACKEND="Agg",
        MPLCONFIGDIR=str(home),
        HOME=str(home),
        OMP_NUM_THREADS="1",
        CUDA_VISIBLE_DEVICES="",
    )


def main() -> int:
    given = json.load(sys.stdin)
    path = Path(given["weights"])
    data = MOST_DATA + 3 * path.stat().st_size
    confine(given["parent"], memory=MOST_MEMORY, file=MOST_FILE, data=data, cpu=MOST_CPU)
    settle_in(Path.cwd())
    try:
        judge(path)
        found = facts(path)
    except Refused as problem:
        sys.stderr.write(f"\n{problem}\n")
        return REFUSED
    Path("facts.json").write_text(json.dumps(found, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
