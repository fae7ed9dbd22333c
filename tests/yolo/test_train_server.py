"""The calls of the YOLO train server's document, one after the other, over HTTP and with a real training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.acceptance.harness import Service, wait_for
from tests.yolo.conftest import LONGEST, PYTHON
from tests.yolo.shapes import CLASSES, draw

pytestmark = [pytest.mark.yolo, pytest.mark.timeout(400)]

NAME = "shapes-1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("train_server"), environ={"TRAINYARD_YOLO_PYTHON": PYTHON})
    try:
        yield made.start()
    finally:
        made.close()


def asked(service: Service, method: str, path: str, body: Any = None, *, code: int = 200, **more: Any) -> Any:
    """The bare body."""
    response = service.client.request(method, path, json=body, timeout=60, **more)
    assert response.status_code == code, response.text
    return response.json()


def ucd_of(root: Path, split: str, target: Path) -> Path:
    """The images and boxes of a YOLO folder as a UCD with its image cache."""
    document: dict[str, Any] = {"dataset_name": split, "label_used": list(CLASSES), "uc_list": [], "shapes": {}}
    (target / "img_cache").mkdir(parents=True, exist_ok=True)
    for path in sorted((root / "images" / split).iterdir()):
        code = f"D{split}{path.stem}"
        (target / "img_cache" / f"{code}.png").write_bytes(path.read_bytes())
        with Image.open(path) as image:
            width, height = image.size
        document["uc_list"].append(code)
        document["shapes"][code] = []
        for line in (root / "labels" / split / f"{path.stem}.txt").read_text().splitlines():
            index, x, y, w, h = map(float, line.split())
            corners = [[(x - w / 2) * width, (y - h / 2) * height], [(x + w / 2) * width, (y + h / 2) * height]]
            shape = {"shape_type": "rectangle", "label": CLASSES[int(index)], "points": corners, "conf": -1}
            document["shapes"][code].append(shape)
    file = target / f"{split}.json"
    file.write_text(json.dumps(document))
    return file


def test_start_look_terminate_continue_download_clear(service: Service, tmp_path: Path) -> None:
    draw(tmp_path / "shapes", train=16, val=8)
    home = service.data / "workspace" / "ucd"
    train, val = (str(ucd_of(tmp_path / "shapes", split, home)) for split in ("train", "val"))
    body = {
        "model_type": "yolov8tiny", "batch_size": 1, "device": 0, "epochs": 6, "imgsz": 64, "workers": 0,
        "model_name": NAME, "train_ucd": train, "val_ucd": val, "labels": ",".join(CLASSES), "continue_train": False,
        "hyp_dict": {"lr0": 0.01, "obj": 1.0, "plots": False},
    }  # fmt: skip
    made = asked(service, "POST", "/start", body)
    assert made["message"] == "Training started" and made["ignored"] == ["obj"]

    def process() -> Any:
        return asked(service, "GET", "/status")["processes"][NAME]

    def far_enough() -> bool:
        seen = process()
        assert seen["status"] in ("queued", "running"), seen
        return (seen["epoch"] or 0) >= 3

    wait_for(far_enough, LONGEST, "its third epoch", every=0.1)
    assert (
        asked(service, "GET", "/status")["Running"] == [NAME]
        and process()["pid"] > 0
        and 0 < process()["progress"] < 100
    )
    info = asked(service, "GET", f"/train_info/{NAME}")
    assert any("Starting training for 6 epochs" in line for line in info["train_log_std"])
    told = yaml.safe_load("\n".join(info["opt_yaml"]))
    assert (told["lr0"], told["optimizer"], told["epochs"], told["model_name"]) == (0.01, "SGD", 6, NAME)
    asked(service, "GET", f"/terminate/{NAME}", code=403, headers={"Sec-Fetch-Site": "cross-site"})
    assert asked(service, "GET", f"/terminate/{NAME}") == {"message": "Process terminated"}
    assert process()["status"] == "stopped" and process()["pid"] is None
    asked(service, "POST", "/start", body, code=409)

    again = asked(service, "POST", "/start", {**body, "continue_train": True})
    assert again["task_id"] == made["task_id"]
    wait_for(lambda: process()["status"] not in ("queued", "running"), LONGEST, "its end", every=0.2)
    assert (process()["status"], process()["epoch"], process()["progress"]) == ("completed", 6, 100.0)
    known = service.get(f"/{made['task_id']}/metrics", params={"metric": "metrics/mAP50(B)", "type": "epoch"})
    assert [point["epoch"] for point in known["data"]] == [1, 2, 3, 4, 5, 6]
    for file in ("best.pt", "last.pt"):
        raw = service.client.get(f"/download_model/{NAME}/weights/{file}").content
        assert raw.startswith(b"PK") and len(raw) > 500_000
    assert asked(service, "GET", "/cache_info") == {"train_info": [NAME], "train": [NAME]}
    cleared = asked(service, "GET", f"/clear_train_cache/{NAME}")
    assert cleared["clear_cache_success"] == [NAME]
    assert asked(service, "GET", "/cache_info") == {"train_info": [], "train": []}
    assert not list((service.data / "train_server").iterdir()) and not list((service.data / "logs").iterdir())
    assert len(list(home.rglob("*.png"))) == 24


def test_a_finished_one_goes_on_from_its_weights(service: Service) -> None:
    draw(service.data / "workspace" / "folder", train=8, val=4)
    body = {
        "model_type": "yolov8tiny", "batch_size": 4, "device": -1, "epochs": 1, "imgsz": 64, "model_name": "again",
        "train_ucd": str(service.data / "workspace" / "folder"), "val_ucd": "None", "labels": ",".join(CLASSES),
        "hyp_dict": {"plots": False},
    }  # fmt: skip

    def ended() -> Any:
        found = asked(service, "GET", "/status")["processes"]["again"]
        return found if found["status"] not in ("queued", "running") else None

    first = asked(service, "POST", "/start", body)
    assert wait_for(ended, LONGEST, every=0.2)["status"] == "completed"
    second = asked(service, "POST", "/start", {**body, "continue_train": True})
    assert second["task_id"] != first["task_id"]
    assert wait_for(ended, LONGEST, every=0.2)["status"] == "completed"
    lines = asked(service, "GET", "/train_info/again?lines=100000")["train_log_std"]
    assert any("Transferred" in line for line in lines)
    assert asked(service, "DELETE", "/clear_train_cache/again")["clear_cache_success"] == ["again"]
