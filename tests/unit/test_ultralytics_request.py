"""What an ultralytics job may be asked for, and what each model name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.models.job import Resources
from api.services.engines.ultralytics import arguments, models, request
from api.utils.errors import Forbidden, Invalid
from api.utils.paths import AllowedRoots

TINY = {"kind": "architecture", "value": "yolov8tiny.yaml"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "data.yaml").write_text("names: [a]\n")
    return tmp_path


def checked(home: Path, **given: Any) -> dict[str, Any]:
    return request.checked({"data": str(home / "data.yaml"), "model": TINY, **given}, AllowedRoots((home,)))


def test_defaults_are_the_documents(home: Path) -> None:
    params = checked(home)
    assert (params["epochs"], params["imgsz"], params["batch"], params["pretrained"]) == (10, 640, -1, True)
    assert params["task"] == "train" and params["device"] is None
    assert request.arguments_of(params) == {"epochs": 10, "imgsz": 640, "batch": -1}


def test_arguments_go_through_by_their_own_names(home: Path) -> None:
    given = {
        "lr0": 0.003,
        "optimizer": "AdamW",
        "mosaic": 0.5,
        "freeze": [0, 1],
        "cache": "ram",
        "amp": False,
        "cos_lr": True,
    }
    assert request.arguments_of(checked(home, **given)) | given == request.arguments_of(checked(home, **given))
    assert "lr0" not in checked(home, lr0=None)


@pytest.mark.parametrize("name", sorted(arguments.refused()))
def test_what_names_paths_or_runs_is_refused(home: Path, name: str) -> None:
    if name in ("task", "data", "model", "device", "pretrained"):  # parameters of ours
        return
    with pytest.raises(Invalid) as caught:
        checked(home, **{name: "x"})
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", True), ("epochs", "5"), ("imgsz", 31), ("batch", 0), ("batch", 1.5), ("batch", -0.5),
        ("lr0", float("nan")), ("lr0", float("inf")), ("lr0", 10**400), ("batch", 10**400), ("epochs", 10**400), ("optimizer", "x; rm"), ("optimizer", 3), ("cache", "disk"),
        ("freeze", []), ("freeze", [0, "1"]), ("freeze", ["22.cv2"]), ("amp", "fp8"), ("pretrained", "/etc/passwd"), ("nosuch", 1),
        ("augmentations", []), ("device", "0,1"), ("device", "cuda:x"), ("device", [0, 1]), ("device", True), ("seed", -1),
        ("task", "predict"), ("model", "yolov8n.pt"), ("model", {"kind": "weights"}),
    ],
)  # fmt: skip
def test_wrong_values_name_their_field(home: Path, name: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        checked(home, **{name: value})
    assert caught.value.field == name


def test_all_wrong_arguments_are_named_at_once(home: Path) -> None:
    with pytest.raises(Invalid) as caught:
        checked(home, lr0="x", mosaic=2, project="p")
    assert [name for name, _ in caught.value.errors] == ["lr0", "mosaic", "project"]


@pytest.mark.parametrize(
    "value", ["../../evil.yaml", "/etc/passwd", "https://x/y.yaml", "yolov8n", "nosuch.yaml", 3, None]
)
def test_an_architecture_is_a_known_name(home: Path, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        checked(home, model={"kind": "architecture", "value": value})
    assert caught.value.field == "model.value"


def test_paths_stay_under_the_roots(home: Path) -> None:
    with pytest.raises(Forbidden):
        checked(home, model={"kind": "weights", "value": "/etc/x.pt"})
    with pytest.raises(Forbidden):
        checked(home, data="/etc/data.yaml")
    with pytest.raises(Invalid, match=r"\.pt file"):
        checked(home, model={"kind": "weights", "value": str(home / "x.yaml")})
    with pytest.raises(Invalid, match="does not exist"):
        checked(home, data=str(home / "none.yaml"))


def test_an_export_has_arguments_of_its_own(home: Path) -> None:
    weights = {"kind": "weights", "value": str(home / "x.pt")}
    given = {"task": "export", "model": weights}
    assert request.checked(given, AllowedRoots((home,)))["format"] == "onnx"
    for name, value in {"epochs": 1, "data": "x", "pretrained": True, "format": "gif", "device": "0,1"}.items():
        with pytest.raises(Invalid) as caught:
            request.checked({**given, name: value}, AllowedRoots((home,)))
        assert caught.value.field == name
    with pytest.raises(Invalid, match="random"):
        request.checked({"task": "export", "model": TINY}, AllowedRoots((home,)))


def test_proposing_boxes_needs_weights_and_a_manifest(home: Path) -> None:
    (home / "manifest.jsonl").touch()
    weights = {"kind": "weights", "value": str(home / "x.pt")}
    given = {"task": "prelabel", "model": weights, "manifest": str(home / "manifest.jsonl")}
    params = request.checked(given, AllowedRoots((home,)))
    assert request.arguments_of(params) == {"imgsz": 640, "batch": 8, "conf": 0.25} and params["data"] is None
    for name, value in {"data": "x", "epochs": 1, "source": "x", "batch": -1, "manifest": str(home / "none")}.items():
        with pytest.raises(Invalid) as caught:
            request.checked({**given, name: value}, AllowedRoots((home,)))
        assert caught.value.field == name
    with pytest.raises(Forbidden):
        request.checked({**given, "manifest": "/etc/manifest.jsonl"}, AllowedRoots((home,)))
    with pytest.raises(Invalid) as caught:
        checked(home, manifest=given["manifest"])
    assert caught.value.field == "manifest"


def test_devices() -> None:
    assert request.resources(Resources(), None).gpus == 1
    assert request.resources(Resources(gpus=1), "cpu").gpus == 0
    for text in ("2", "cuda:2", "cuda2"):
        assert request.resources(Resources(), text).gpu_ids == (2,)
    with pytest.raises(Invalid, match="several GPUs"):
        request.resources(Resources(gpus=2), None)


def test_model_names(tmp_path: Path) -> None:
    assert models.resolve("model_name", "yolov8n.yaml", tmp_path).model == {
        "kind": "architecture",
        "value": "yolov8n.yaml",
    }
    assert models.resolve("model_name", "yolo11s.pt", tmp_path).value == str(tmp_path / "yolo11s.pt")
    assert models.resolve("model_name", "yolov5s.pt", tmp_path).value == str(tmp_path / "yolov5su.pt")
    for name in ("/etc/x.pt", "../yolov8n.pt", "yolov8n", "yolov8n-seg.pt", "", "YOLOV8N.PT"):
        assert not models.is_known(name)
        with pytest.raises(Invalid):
            models.resolve("model_name", name, tmp_path)


def test_pretrained_auto_falls_back_to_the_architecture(tmp_path: Path) -> None:
    start = models.resolve("model_name", "yolov5s.pt", tmp_path)
    found = models.with_fallback(start)
    assert found.value == "yolov5s.yaml" and found.warning and str(tmp_path / "yolov5su.pt") in found.warning
    (tmp_path / "yolov5su.pt").write_bytes(b"x")
    assert models.with_fallback(start) == start
    own = models.Start("weights", str(tmp_path / "mine.pt"))
    assert models.with_fallback(own) == own  # nobody knows its architecture


def test_the_schema_has_every_argument(home: Path) -> None:
    train = request.schema()["oneOf"][0]
    assert set(arguments.known()) <= set(train["properties"]) and train["required"] == ["data", "model"]
    assert train["properties"]["epochs"] == {"type": "integer", "minimum": 1, "maximum": 100000, "default": 10}
    assert train["properties"]["amp"]["anyOf"][0] == {"type": "boolean"}
