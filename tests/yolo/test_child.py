"""The child's edges: killed, ended while it saves, asked for what cannot be."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.yolo.children import QUICK, Children, kill, terminate
from tests.yolo.conftest import PYTHON
from tests.yolo.shapes import draw

pytestmark = pytest.mark.yolo


@pytest.fixture
def children(tmp_path: Path) -> Children:
    found = Children(tmp_path, PYTHON)
    state = found.engine.availability()
    assert state.available, state.reason
    draw(tmp_path / "shapes")
    return found


def given(children: Children, **more: Any) -> dict[str, Any]:
    return {**QUICK, "data": str(children.home / "shapes" / "data.yaml"), **more}


def said(log: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith(f'{{"event": "{name}"')]


def rows(children: Children) -> list[str]:
    with open(children.output / "results.csv", newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def test_killed_inside_an_epoch_and_resumed(children: Children) -> None:
    asked = given(children, epochs=3)
    code, log = children.run(asked, on={'{"event": "epoch_start", "epoch": 2': kill})
    assert code == -9 and [each["epoch"] for each in said(log, "epoch")] == [1]
    with open(children.output / "results.csv", "a") as file:
        file.write(",".join(["2"] * 15) + "\n")  # as a kill between the row and the state leaves it
    code, again = children.run(asked, resume="last.pt")
    assert code == 0, again[-2000:]
    assert [each["epoch"] for each in said(again, "epoch")] == [2, 3]
    assert rows(children) == ["1", "2", "3"]
    assert not (children.output / "last.pt").exists() and not list(children.output.rglob("*.part"))


@pytest.mark.parametrize("how", ["SIGTERM", "a stop was asked for"])
def test_ended_after_its_last_epoch_only_the_validation_is_left(children: Children, how: str) -> None:
    asked = given(children, epochs=2)
    ends = terminate if how == "SIGTERM" else children.ask_to_stop
    code, log = children.run(asked, on={'{"event": "epoch", "epoch": 2': ends})
    assert code == (143 if how == "SIGTERM" else 0) and f"stopped: {how}" in log and not said(log, "done")
    code, again = children.run(asked, resume="last.pt")
    assert code == 0, again[-2000:]
    assert said(again, "epoch") == [] and len(said(again, "result")) == 1 and len(said(again, "done")) == 1
    assert rows(children) == ["1", "2"] and (children.output / "weights" / "best.pt").is_file()


def test_the_state_of_a_finished_training_is_refused(children: Children) -> None:
    asked = given(children, epochs=1)
    assert children.run(asked)[0] == 0
    shutil.copyfile(children.output / "weights" / "last.pt", children.output / "last.pt")
    code, log = children.run(asked, resume="last.pt")
    (error,) = said(log, "error")
    assert code == 2 and error["kind"] == "bad_config" and "finished training" in error["message"]
    assert not said(log, "epoch_start")


def test_nothing_is_looked_up_or_downloaded(children: Children) -> None:
    """A training with plots, whose fonts ultralytics would fetch, and the weights of its AMP check."""
    site = children.home / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import socket\n"
        "def told(*a, **k):\n    print('LOOKED UP', a[:2], flush=True)\n    raise OSError('no network here')\n"
        "socket.getaddrinfo = socket.socket.connect = told\n"
    )
    launch = children.launch(given(children, epochs=1, plots=True))
    command = children.engine.prepare(launch)
    environment = {**command.env, "PYTHONPATH": f"{command.env['PYTHONPATH']}:{site}"}
    told = subprocess.run(command.argv, env=environment, cwd=command.cwd, capture_output=True, text=True, timeout=110)
    assert told.returncode == 0 and "LOOKED UP" not in told.stdout, told.stdout[-2000:]
    code = (
        "from api.children.ultralytics_train.surroundings import prepare\n"
        f"kept = prepare({{'threads': 1, 'weights_dir': '{children.home}'}})\n"
        "from ultralytics import YOLO\nYOLO('/nowhere/yolo26n.pt')\n"
    )
    argv = [command.argv[0], "-c", code]
    told = subprocess.run(argv, env=environment, cwd=command.cwd, capture_output=True, text=True, timeout=110)
    assert "ConnectionError: nothing is downloaded here" in told.stderr and "LOOKED UP" not in told.stdout, told.stderr


def test_an_evil_weights_file_runs_nothing(children: Children) -> None:
    import pickle

    trap, evil = children.home / "sprung", children.home / "weights" / "evil.pt"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(trap), "w"))

    evil.parent.mkdir()
    evil.write_bytes(pickle.dumps({"model": Trap()}))
    code, log = children.run(given(children, epochs=1, model={"kind": "weights", "value": str(evil)}))
    assert code == 2 and said(log, "error")[0]["kind"] == "bad_config" and not trap.exists()
