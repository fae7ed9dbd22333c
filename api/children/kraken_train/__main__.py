"""`python -m api.children.kraken_train SETTINGS.json`: reads its settings, runs the task, says how it ended.

Exit codes: 0 done, or stopped by the stop file; 2 a Problem that it names; 143 ended by SIGTERM, with its state saved.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from api.children.common.operators import mend_torchvision
from api.children.common.report import Problem, event, say
from api.children.common.stopping import Stop, Stopped
from api.children.kraken_train.data import sets
from api.children.kraken_train.report import take_over_logging


def run(settings: dict[str, Any]) -> None:
    stop = Stop(settings["stop"])
    event("phase", phase="loading")
    found = None if settings["task"] == "test" else sets(settings)
    operators = mend_torchvision()
    stop.check()
    if found is None:
        from api.children.kraken_train.score import test

        test(settings, stop)
    else:
        from api.children.kraken_train.fit import train

        train(settings, found, stop)
    event("done")
    del operators


def main() -> int:
    take_over_logging()
    with open(sys.argv[1], encoding="utf-8") as file:
        settings: dict[str, Any] = json.load(file)
    os.umask(0o022)
    try:
        run(settings)
    except Stopped as why:
        say(f"stopped: {why}")
        return why.code
    except Problem as problem:
        event("error", kind=problem.kind, message=str(problem))
        return 2
    except Exception as problem:  # noqa: BLE001  # the last words of a process: which class it was tells what to do
        traceback.print_exc()
        event("error", kind=None, message=f"{type(problem).__name__}: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
