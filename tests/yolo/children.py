"""One child as the engine prepares it, run without a service."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from api.models.job import Job, JobSpec, JobStatus
from api.models.workspace import Workspace
from api.services.engines.base import Launch
from api.services.engines.ultralytics import UltralyticsEngine
from api.settings import ROOT
from api.utils.paths import AllowedRoots

TINY = {"kind": "architecture", "value": "yolov8tiny.yaml"}
QUICK: Mapping[str, Any] = {"imgsz": 64, "batch": 8, "plots": False, "device": "cpu", "seed": 0}
LONGEST = 110


class Children:
    """Attempts of one job in `home`, whose datasets and weights lie below it as well."""

    def __init__(self, home: Path, python: str, output: str = "output") -> None:
        self.home = home
        self.engine = UltralyticsEngine(python, ROOT, home / "weights", AllowedRoots((home,)))
        self.output = home / output
        self._attempts = 0

    def workspace(self) -> Workspace:
        return Workspace("job", self._attempts, self.home, self.home / "log", self.home, self.output)

    def launch(self, given: Mapping[str, Any], resume: str | None = None) -> Launch:
        self._attempts += 1
        spec = self.engine.validate(JobSpec("ultralytics", "a job", {"task": "train", "model": TINY, **given}))
        job = Job("job", 1, "jobs", spec, JobStatus.RUNNING, 1, None, 0.0, 0.0)
        base = {name: value for name, value in os.environ.items() if not name.startswith("TRAINYARD_")}
        return Launch(job, self.workspace(), (), (), base, resume)

    def start(self, given: Mapping[str, Any], resume: str | None = None) -> subprocess.Popen[str]:
        command = self.engine.prepare(self.launch(given, resume))
        return subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(
        self,
        given: Mapping[str, Any],
        resume: str | None = None,
        on: Mapping[str, Callable[[subprocess.Popen[str]], None]] | None = None,
    ) -> tuple[int, str]:
        """Exit code and log. `on`: what is done, once, when a line begins like this."""
        waiting, lines = dict(on or {}), []
        with self.start(given, resume) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                for begin in [begin for begin in waiting if line.startswith(begin)]:
                    waiting.pop(begin)(process)
            code = process.wait(LONGEST)
        assert not waiting, f"no line began like {list(waiting)}:\n{''.join(lines)[-2000:]}"
        return code, "".join(lines)

    def ask_to_stop(self, process: subprocess.Popen[str]) -> None:
        assert self.engine.soft_stop(self.workspace())


def terminate(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def spoil(python: str, weights: Path, target: Path) -> None:
    """Weights that make every loss NaN."""
    code = (
        "import sys, torch; c = torch.load(sys.argv[1], weights_only=False); "
        "next(c['model'].parameters()).data.fill_(float('nan')); torch.save(c, sys.argv[2])"
    )
    target.parent.mkdir(exist_ok=True)
    subprocess.run([python, "-c", code, str(weights), str(target)], check=True, timeout=LONGEST)
