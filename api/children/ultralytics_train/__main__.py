"""`python -m api.children.ultralytics_train SETTINGS.json`: reads its settings, does the task, says how it ended.

Exit codes: 0 done, or stopped by the stop file; 2 a Problem that it names; 143 ended by SIGTERM, with its state saved.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.children.common.report import Problem, event, say
from api.children.common.stopping import Stop, Stopped
from api.children.ultralytics_train.data import own_yaml
from api.children.ultralytics_train.models import check_present

COLOUR = re.compile(r"\x1b\[\d{1,3}m")


def run(settings: dict[str, Any]) -> None:
    stop = Stop(settings["stop"])
    event("phase", phase="loading")
    for text in settings["warnings"]:
        event("warning", message=text)
    if settings["data"] is not None:
        found = own_yaml(Path(settings["data"]), Path(settings["own_data"]), settings["roots"])
        event("data", classes=len(found["names"]))
    if settings["resume"] is None:
        check_present(settings["model"], Path(settings["weights_dir"]))  # before anything slow is imported
    from api.children.ultralytics_train.surroundings import prepare

    operators = prepare(settings)
    stop.check()
    _task(settings["task"])(settings, stop)
    event("done")
    del operators


def _task(name: str) -> Callable[[dict[str, Any], Stop], None]:
    if name == "train":
        from api.children.ultralytics_train.train import train

        return train
    if name == "prelabel":
        from api.children.ultralytics_train.prelabel import prelabel

        return prelabel
    from api.children.ultralytics_train.tasks import export, validate

    return {"export": export, "validate": validate}[name]


def main() -> int:
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
        traceback.print_exc(file=sys.stdout)
        event("error", kind=None, message=COLOUR.sub("", f"{type(problem).__name__}: {problem}")[:2000])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
