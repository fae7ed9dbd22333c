"""The ultralytics engine without ultralytics: what it prepares, what it finds, and the parts of its child that need none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.children.common.report import Problem
from api.children.ultralytics_train.data import own_yaml
from api.children.ultralytics_train.train import _over, _trim
from api.children.ultralytics_train.whole import WholePath
from api.models.job import Job, JobSpec, JobStatus
from api.models.workspace import Workspace
from api.services.engines.base import Launch
from api.services.engines.ultralytics import UltralyticsEngine
from api.utils.errors import Conflict, Unavailable
from api.utils.paths import AllowedRoots

TINY = {"kind": "architecture", "value": "yolov8tiny.yaml"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With an interpreter beside which there is an ultralytics, by its name."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").write_text("#!/bin/sh\n")
    (tmp_path / "venv" / "bin" / "python").chmod(0o755)
    folder = (
        tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "ultralytics_opencv_headless-8.4.190.dist-info"
    )
    folder.mkdir(parents=True)
    for split in ("train", "val"):
        (tmp_path / "set" / "images" / split).mkdir(parents=True)
    (tmp_path / "set" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    return tmp_path


def engine(home: Path) -> UltralyticsEngine:
    python = str(home / "venv" / "bin" / "python")
    return UltralyticsEngine(python, Path("/project"), home / "weights", AllowedRoots((home,)))


def launch(home: Path, resume: str | None = None, gpus: tuple[int, ...] = (), **given: Any) -> Launch:
    params = {"data": str(home / "set" / "data.yaml"), "model": TINY, **given}
    spec = engine(home).validate(JobSpec("ultralytics", "a job", params))
    job = Job("j", 1, "jobs", spec, JobStatus.RUNNING, 1, None, 0.0, 0.0)
    workspace = Workspace("j", 2, home, home / "log", home, home / "out")
    base = {"PATH": "/bin", "ULTRALYTICS_API_KEY": "secret", "RANK": "0", "YOLO_OFFLINE": "0"}
    return Launch(job, workspace, gpus, (), base, resume)


def settings(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "out" / ".trainyard" / "attempt2.json").read_text())
    return found


def test_what_a_child_is_given(home: Path) -> None:
    command = engine(home).prepare(launch(home, gpus=(3,), epochs=5, lr0=0.01))
    assert command.argv[1:4] == ("-u", "-m", "api.children.ultralytics_train") and command.cwd == "/project"
    env = command.env
    assert env["CUDA_VISIBLE_DEVICES"] == "3" and env["YOLO_OFFLINE"] == "1" and env["ULTRALYTICS_SAFE_LOAD"] == "1"
    assert env["YOLO_CONFIG_DIR"].startswith(str(home / "out")) and not {"RANK", "ULTRALYTICS_API_KEY"} & set(env)
    given = settings(home)
    assert given["device"] == "0" and given["roots"] == [str(home)] and given["resume"] is None
    assert given["arguments"] == {"epochs": 5, "imgsz": 640, "batch": -1, "lr0": 0.01, "pretrained": True, "workers": 4}
    engine(home).prepare(launch(home))
    assert settings(home)["device"] == "cpu" and settings(home)["arguments"]["workers"] == 0


def test_pretrained_auto_warns_and_begins_from_the_architecture(home: Path) -> None:
    weights = {"kind": "weights", "value": str(home / "weights" / "yolo11s.pt")}
    engine(home).prepare(launch(home, model=weights, pretrained="auto"))
    assert settings(home)["model"] == {"kind": "architecture", "value": "yolo11s.yaml"}
    assert "yolo11s.pt is not there" in settings(home)["warnings"][0]
    engine(home).prepare(launch(home, model=weights))
    assert settings(home)["model"] == weights and settings(home)["warnings"] == []


def test_a_resume_needs_a_state(home: Path) -> None:
    with pytest.raises(Conflict, match="finished training leaves none"):
        engine(home).prepare(launch(home, resume="last.pt"))
    (home / "out").mkdir()
    (home / "out" / "last.pt").write_bytes(b"x")
    engine(home).prepare(launch(home, resume="last.pt"))
    assert settings(home)["resume"] == str(home / "out" / "last.pt")
    with pytest.raises(Conflict):
        engine(home).prepare(launch(home, resume="../last.pt"))


def test_what_a_training_began_from_is_known_after_a_resume(home: Path) -> None:
    missing = {"kind": "weights", "value": str(home / "weights" / "yolov8n.pt")}
    first = launch(home, pretrained="auto", model=missing)
    engine(home).prepare(replace(first, workspace=replace(first.workspace, attempt=1)))
    missing_path = home / "weights" / "yolov8n.pt"
    missing_path.parent.mkdir()
    missing_path.touch()  # placed since
    (home / "out" / "last.pt").write_bytes(b"x")
    engine(home).prepare(launch(home, resume="last.pt", pretrained="auto", model=missing))
    given = settings(home)
    assert given["began"] == {"kind": "architecture", "value": "yolov8n.yaml"}
    assert len(given["warnings"]) == 1 and "begins from random weights" in given["warnings"][0]


def test_without_a_state_it_begins_again_with_the_best_weights(home: Path) -> None:
    engine(home).prepare(launch(home, resume="best.pt", pretrained=False))
    given = settings(home)
    assert given["model"] == {"kind": "weights", "value": str(home / "out" / "weights" / "best.pt")}
    assert given["resume"] is None and given["arguments"]["pretrained"] is True
    assert "epoch 1 begins again" in given["warnings"][0]


def test_availability(home: Path) -> None:
    assert engine(home).availability().version == "8.4.190"
    (folder,) = (home / "venv" / "lib" / "python3.11" / "site-packages").iterdir()
    old = folder.rename(folder.with_name("ultralytics-8.3.1.dist-info"))
    assert "too old" in (engine(home).availability().reason or "")
    old.rmdir()
    assert "no ultralytics" in (engine(home).availability().reason or "")
    with pytest.raises(Unavailable, match="no ultralytics"):
        launch(home)


def test_checkpoints(home: Path) -> None:
    where = launch(home).workspace
    assert engine(home).checkpoints(where) == []
    weights = home / "out" / "weights"
    weights.mkdir(parents=True)
    for name in ("best.pt", "epoch0.pt", ".best.pt.part", "evil.txt"):
        (weights / name).write_bytes(b"x")
    (weights / "last.pt").symlink_to("/etc/passwd")
    for name in ("last.pt", "best.onnx"):
        (home / "out" / name).write_bytes(b"xy")
    found = engine(home).checkpoints(where)
    assert {(each.name, each.kind, each.epoch) for each in found[:-1]} == {
        ("best.pt", "weights", None), ("epoch0.pt", "weights", 1), ("best.onnx", "weights", None),
    }  # fmt: skip
    assert (found[-1].name, found[-1].kind, found[-1].size_bytes) == ("last.pt", "state", 2)


def test_a_stop_is_a_file_of_the_attempt(home: Path) -> None:
    asked = launch(home)
    assert not engine(home).soft_stop(asked.workspace)  # nothing was prepared
    engine(home).prepare(asked)
    assert engine(home).soft_stop(asked.workspace) and Path(settings(home)["stop"]).exists()


# ---- the child's own parts


def own(home: Path, text: str) -> dict[str, Any]:
    source = home / "set" / "given.yaml"
    source.write_text(text)
    own_yaml(source, home / "own.yaml", [str(home)])
    found: dict[str, Any] = yaml.safe_load((home / "own.yaml").read_text())
    return found


def test_only_data_of_a_data_yaml_is_passed_on(home: Path) -> None:
    found = own(
        home, "train: images/train\nval: [images/val]\nnames: {1: 狗, 0: cat}\ndownload: bash evil\nnc: 7\nx: 1\n"
    )
    assert found == {
        "path": str(home / "set"),
        "train": [str(home / "set/images/train")],
        "val": [str(home / "set/images/val")],
        "names": {0: "cat", 1: "狗"},
    }
    assert own(home, "train: images/train\nval: images/val\nnc: 2\n")["names"] == {0: "class_0", 1: "class_1"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("train: https://x/y.zip\nval: images/val\nnames: [a]", "bad_config"),
        ("train: /etc\nval: images/val\nnames: [a]", "bad_config"),
        ("path: /etc\ntrain: ssl\nval: ssl\nnames: [a]", "bad_config"),
        ("train: images/none\nval: images/val\nnames: [a]", "missing_file"),
        ("train: images/train\nnames: [a]", "dataset_empty"),
        ("train: images/train\nval: images/val", "bad_config"),
        ("train: images/train\nval: images/val\nnames: {0: a, 2: b}", "bad_config"),
        ("train: images/train\nval: images/val\nnames: {a: b}", "bad_config"),
        ("!!python/object/apply:os.system ['x']", "bad_config"),
        ("- a", "bad_config"),
        ("a: [", "bad_config"),
    ],
)
def test_a_data_yaml_that_cannot_be_used(home: Path, text: str, kind: str) -> None:
    with pytest.raises(Problem) as caught:
        own(home, text)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("trained", "best", "patience", "over"),
    [(3, 3, 100, False), (10, 4, 100, True), (7, 4, 3, True), (6, 4, 3, False), (7, 4, 0, False), (7, None, 3, False)],
)
def test_whether_a_run_is_over(trained: int, best: int | None, patience: int, over: bool) -> None:
    stopper = None if best is None else {"best_epoch": best}
    state = {"epoch": trained - 1, "train_args": {"epochs": 10, "patience": patience}, "stopper": stopper}
    assert _over(state) is over


def test_rows_without_a_state_are_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    _trim(path, 1)
    path.write_text("epoch,time,x\n1,0.5,2\n2,1,3\n2,\n")
    _trim(path, 2)
    assert path.read_text() == "epoch,time,x\n1,0.5,2\n2,1,3\n2,\n"
    _trim(path, 1)
    assert path.read_text() == "epoch,time,x\n1,0.5,2\n"


def test_bytes_are_written_whole(tmp_path: Path) -> None:
    path = WholePath(tmp_path) / "last.pt"
    path.write_bytes(b"one")
    before = path.stat().st_ino
    with open(path, "rb") as reader:
        path.write_bytes(b"another")
        assert reader.read() == b"one"  # who reads the old file sees all of it
    assert path.read_bytes() == b"another" and path.stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]
