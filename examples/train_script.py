"""A training script as anybody would write it: it fits a line, and knows nothing of Trainyard.

Run it by hand, or as a job (see the README). It prints one line an epoch and leaves its result in the directory that
TRAINYARD_OUTPUT_DIR names.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds an epoch takes at least")
    given = parser.parse_args()
    source = random.Random(0)
    points = [(x, 3 * x + 1 + source.gauss(0, 0.05)) for x in (source.uniform(-1, 1) for _ in range(200))]
    slope = offset = 0.0
    for epoch in range(1, given.epochs + 1):
        errors = [(slope * x + offset - y, x) for x, y in points]
        slope -= given.lr * 2 * sum(error * x for error, x in errors) / len(points)
        offset -= given.lr * 2 * sum(error for error, _ in errors) / len(points)
        loss = sum(error * error for error, _ in errors) / len(points)
        print(f"Epoch {epoch}/{given.epochs}, Loss: {loss:.4f}", flush=True)
        time.sleep(given.pause)
    output = Path(os.environ.get("TRAINYARD_OUTPUT_DIR", "."))
    (output / "line.json").write_text(json.dumps({"slope": slope, "offset": offset}))


if __name__ == "__main__":
    main()
