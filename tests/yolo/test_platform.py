"""The YOLO platform over HTTP with real trainings: from an upload to a model that is trained further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Service
from tests.yolo.client import Client
from tests.yolo.conftest import PYTHON
from tests.yolo.shapes import draw

pytestmark = [pytest.mark.yolo, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    service = Service(tmp_path_factory.mktemp("platform"), environ={"TRAINYARD_YOLO_PYTHON": PYTHON})
    try:
        yield Client(service.start())
    finally:
        service.close()


def test_from_an_upload_to_a_second_training(client: Client, tmp_path: Path) -> None:
    draw(tmp_path / "shapes")
    dataset = client.upload(tmp_path / "shapes")
    job = client.create(dataset, epochs=4, batch=1)
    assert client.call("GET", f"/datasets/{dataset}")["versions"] == ["v1"]  # prepared first
    client.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= 2)
    assert client.call("POST", f"/train/jobs/{job}/stop")["message"] == "Training job stopped successfully"
    done = client.epochs(job, "train/box_loss")
    assert 1 <= len(done) < 4
    assert client.call("POST", f"/train/jobs/{job}/resume")["message"] == "Training job resumed successfully"
    ended = client.completed(job)
    losses = client.epochs(job, "train/box_loss")
    assert list(losses) == [1, 2, 3, 4] and {epoch: losses[epoch] for epoch in done} == done
    told = [json.loads(line)["epoch"] for line in client.log(job) if line.startswith('{"event": "epoch"')]
    assert told == [1, 2, 3, 4]  # none was trained twice
    assert ended["progress"]["overall_progress"] == 100.0 and ended["progress"]["current_step"] == 4 * 16

    made = client.model(ended["model_id"])
    assert made["classes"] == ["square", "disc", "triangle"] and made["base_model"] == "yolov8tiny.yaml"
    assert (made["job_id"], made["dataset_id"], made["dataset_version"]) == (job, dataset, "v1")
    history = made["history"]
    assert history["epochs"] == [1, 2, 3, 4] and history["train_box_loss"] == list(losses.values())
    assert all(len(values) == 4 and None not in values for name, values in history.items() if name != "final_metrics")
    about = made["info"]["model_info"]
    assert about["model_type"] == "yolov8n-tiny" and 0 < about["trainable_params"] <= about["total_params"] < 10**6
    weights = client.service.data / "models" / ended["model_id"] / "weights" / "best.pt"
    assert weights.stat().st_size == made["file_size"]

    further = client.create(dataset, epochs=1, base_model_id=ended["model_id"])
    second = client.completed(further)
    assert client.model(second["model_id"])["base_model"] == ended["model_id"]
    assert client.model(second["model_id"])["info"]["model_info"]["total_params"] == about["total_params"]

    # without last.pt: on with the weights of best.pt, in a new series
    job = client.create(dataset, epochs=3, batch=1)
    client.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= 2)
    client.call("POST", f"/train/jobs/{job}/stop")
    output = client.service.data / "training_runs" / job
    (output / "last.pt").unlink()
    assert "with the weights of best.pt" in client.call("POST", f"/train/jobs/{job}/resume")["message"]
    again = client.completed(job)
    assert list(client.epochs(job, "train/box_loss")) == [1, 2, 3] and "begins again" in again["warnings"][0]
    assert any(line.startswith("Transferred ") for line in client.log(job))


def test_weights_that_are_not_there(client: Client, tmp_path: Path) -> None:
    draw(tmp_path / "shapes")
    dataset = client.upload(tmp_path / "shapes")
    job = client.create(dataset, model_name="yolov8n.pt", epochs=1)
    failed = client.until(job, lambda one: one["status"] == "failed")
    path = client.service.data / "weights" / "yolov8n.pt"
    assert f"place the file by hand at {path}" in failed["error"] and failed["failure"]["kind"] == "missing_file"
    job = client.create(dataset, model_name="yolov8n.pt", pretrained="auto", epochs=1, imgsz=32)
    done = client.completed(job)
    assert "begins from random weights (yolov8n.yaml)" in done["warnings"][0]
    assert client.model(done["model_id"])["base_model"] == "yolov8n.yaml"  # and not the weights that were asked for


def test_it_really_learns(client: Client, tmp_path: Path) -> None:
    draw(tmp_path / "shapes", train=64, val=16, size=128)
    dataset = client.upload(tmp_path / "shapes")
    learnt = {"epochs": 20, "imgsz": 128, "optimizer": "AdamW", "lr0": 0.003, "warmup_epochs": 1}
    done = client.completed(client.create(dataset, model_name="yolov8n.yaml", **learnt))
    made = client.model(done["model_id"])
    print(f"mAP50 {made['metrics']['mAP50']:.3f}, mAP50-95 {made['metrics']['mAP50-95']:.3f}")
    assert made["metrics"]["mAP50"] > 0.5
    assert made["history"]["final_metrics"]["mAP50"] == pytest.approx(made["metrics"]["mAP50"], abs=0.05)
