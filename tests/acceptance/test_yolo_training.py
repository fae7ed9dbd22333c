"""YOLO trainings through a real service, with a trainer that only pretends: their life, their model, and crashes."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import fake_yolo
from tests.acceptance.harness import Service, wait_for
from tests.unit import yolo_sets as sets

Maker = Callable[..., Service]
QUICK = {"model_name": "yolov8n.yaml", "imgsz": 64, "device": "cpu"}
LONG = {"epochs": 400, "warmup_epochs": 0.05}


class Lab:
    """A service with one dataset."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.dataset: str = self.upload()

    def upload(self) -> str:
        files = {"file": ("shapes.zip", sets.packed(sets.flat()))}
        return str(self.call("POST", "/datasets/upload", files=files)["dataset_id"])

    def call(self, method: str, path: str, body: Any = None, code: int = 200, **more: Any) -> Any:
        return self.service.call(method, f"/api/v1{path}", body, **more).expect(code)

    def create(self, **more: Any) -> str:
        body = {"dataset_id": self.dataset, "epochs": 4, **QUICK, **more}
        return str(self.call("POST", "/train/jobs", body)["job_id"])

    def one(self, job: str) -> Any:
        return self.call("GET", f"/train/jobs/{job}")

    def until(self, job: str, look: Callable[[Any], Any]) -> Any:
        """The first sight of it that `look` likes; ends are told at once."""

        def seen() -> Any:
            found = self.one(job)
            assert look(found) or found["status"] == "running", found
            return found if look(found) else None

        return wait_for(seen, 30, job)

    def ended(self, job: str, status: str = "completed") -> Any:
        seen = self.until(job, lambda one: one["status"] != "running")
        assert seen["status"] == status, seen
        return seen

    def epochs(self, job: str) -> list[int]:
        query = {"metric": "train/box_loss", "type": "epoch", "limit": 1000}
        return [point["epoch"] for point in self.call("GET", f"/training/{job}/metrics", params=query)["data"]]

    def models(self) -> dict[str, dict[str, Any]]:
        """The rows, by id."""
        with closing(sqlite3.connect(self.service.data / "trainyard.db")) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM yolo_models")]
        for row in rows:
            row.update({name: json.loads(row[name] or "null") for name in ("classes", "info", "metrics", "history")})
        return {row["id"]: row for row in rows}

    def places(self) -> set[str]:
        root = self.service.data / "models"
        return {path.name for path in root.iterdir() if path.name != ".drafts"} if root.exists() else set()

    def drafts(self) -> list[Path]:
        return list((self.service.data / "models" / ".drafts").glob("*"))


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"TRAINYARD_YOLO_PYTHON": fake_yolo.install(tmp_path_factory.mktemp("ultralytics"))}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[Lab]:
    """One for all tests that leave it running; each finds models of others."""
    service = Service(tmp_path_factory.mktemp("lab"), environ=environ)
    try:
        yield Lab(service.start())
    finally:
        service.close()


def test_from_the_first_epoch_to_the_model(lab: Lab) -> None:
    job = lab.create(**LONG)
    assert lab.call("GET", "/train/jobs")["jobs"][0]["status"] == "running"
    lab.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= 3)
    lab.call("DELETE", f"/datasets/{lab.dataset}", code=409)
    lab.call("DELETE", f"/train/jobs/{job}", code=409)
    lab.call("POST", f"/train/jobs/{job}/resume", code=409)
    assert lab.call("POST", f"/train/jobs/{job}/stop") == {"ok": True, "message": "Training job stopped successfully"}
    stopped = lab.one(job)
    assert stopped["status"] == "stopped" and stopped["can_resume"] is True and stopped["model_id"] is None
    before = lab.epochs(job)
    assert before == list(range(1, len(before) + 1)) and len(before) >= 2
    assert lab.call("POST", f"/train/jobs/{job}/resume")["message"] == "Training job resumed successfully"
    lab.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= len(before) + 3)
    lab.call("POST", f"/train/jobs/{job}/stop")
    after = lab.epochs(job)
    assert after == list(range(1, len(after) + 1)) and len(after) > len(before)
    said = lab.call("GET", "/logs/lines", params={"job_id": job, "n": 0})["lines"]
    told = [json.loads(line)["epoch"] for line in said if line.startswith('{"event": "epoch"')]
    assert told == after  # none was trained twice
    assert lab.one(job)["resume_count"] == 1


def test_the_model_that_it_leaves(lab: Lab) -> None:
    job = lab.create(epochs=5, seed=3)
    done = lab.ended(job)
    model_id = done["model_id"]
    row = lab.models()[model_id]
    assert model_id in lab.places() and lab.drafts() == []
    weights = lab.service.data / "models" / model_id / "weights" / "best.pt"
    assert weights.read_text() == "best of 5" and row["file_size"] == weights.stat().st_size
    lineage = {name: row[name] for name in ("job_id", "dataset_id", "dataset_version", "base_model", "source", "task")}
    assert lineage == {
        "job_id": job, "dataset_id": lab.dataset, "dataset_version": "v1", "base_model": "yolov8n.yaml",
        "source": "trained", "task": "detect",
    }  # fmt: skip
    assert row["classes"] == ["square", "disc"] and row["name"] == "yolov8n.yaml on shapes.zip"
    assert row["metrics"] == dict.fromkeys(("mAP50", "mAP50-95", "precision", "recall"), 0.5)
    history = row["history"]
    assert history["epochs"] == [1, 2, 3, 4, 5] and history["metrics_mAP50"] == [0.48, 0.49, 0.5, 0.49, 0.48]
    assert history["train_box_loss"] == pytest.approx([1 / epoch for epoch in range(1, 6)])
    assert history["final_metrics"] == dict.fromkeys(("mAP50", "mAP50_95", "precision", "recall"), 0.5)
    info = row["info"]
    assert (info["imgsz"], info["epochs"]) == (64, 5)
    assert info["model_info"] == {
        "task": "detect", "model_type": "yolov8n", "total_params": 3_011_433, "trainable_params": 3_011_417,
        "total_params_m": 3.011,
    }  # fmt: skip
    config = info["job_config"]
    assert (config["dataset_id"], config["model_name"], config["status"]) == (lab.dataset, "yolov8n.yaml", "completed")
    assert config["created_at"] == done["created_at"] and config["completed_at"] == done["completed_at"]

    further = lab.create(epochs=1, base_model_id=model_id)
    second = lab.ended(further)["model_id"]
    said = lab.call("GET", "/logs/lines", params={"job_id": further})["lines"]
    assert f"begins from {weights}" in said
    assert lab.models()[second]["base_model"] == model_id

    lab.call("POST", f"/training/restart/{job}")  # the same job once more makes another model
    assert lab.ended(job)["model_id"] not in (model_id, second)
    assert set(lab.models()) == lab.places()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["model.copied", "model.named", "model.noted"])
def test_a_crash_leaves_neither_half(make_service: Maker, environ: dict[str, str], point: str) -> None:
    service = make_service(environ=environ).start(fault=point)
    lab = Lab(service)
    job = lab.create()
    assert service.wait_dead(30) == -signal.SIGKILL
    left = lab.places()
    assert lab.models() == {} and len(left) == (point != "model.copied")
    service.start()
    done = lab.ended(job)
    assert set(lab.models()) == lab.places() == {done["model_id"]} and lab.drafts() == []
    assert (service.data / "models" / done["model_id"] / "weights" / "best.pt").read_text() == "best of 4"
    if point != "model.named":
        return
    for orphan in ("model_20240115_143000_00000000/weights", ".drafts/x/weights", "mine/weights"):
        (service.data / "models" / orphan).mkdir(parents=True)
    service.restart()
    assert lab.places() == {done["model_id"], "mine"} and lab.drafts() == []  # what has no name of ours is left alone


def test_without_its_state_it_begins_again(lab: Lab) -> None:
    job = lab.create(**LONG)
    lab.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= 3)
    lab.call("POST", f"/train/jobs/{job}/stop")
    output = lab.service.data / "training_runs" / job
    (output / "last.pt").unlink()
    told = lab.call("POST", f"/train/jobs/{job}/resume")
    assert "with the weights of best.pt" in told["message"]
    seen = lab.until(job, lambda one: one["warnings"])
    assert "epoch 1 begins again" in seen["warnings"][0]
    said = lab.call("GET", "/logs/lines", params={"job_id": job, "n": 0})["lines"]
    assert f"begins from {output}/weights/best.pt" in said
    lab.call("POST", f"/train/jobs/{job}/stop")


def test_the_log_as_it_comes(lab: Lab) -> None:
    job = lab.create(epochs=6, warmup_epochs=0.1)
    with httpx.stream("GET", f"{lab.service.url}/logs/stream", params={"job_id": job}, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(response.iter_text()).split("\n\n")
    log = lab.service.log_file(job).read_bytes()
    ids = [int(line[4:]) for block in blocks for line in block.splitlines() if line.startswith("id: ")]
    data = [block.partition("\ndata: ")[2] for block in blocks if block.startswith("id: ")]
    assert data == log.decode().splitlines() and ids[-1] == len(log)
    assert all(log[:end].endswith(b"\n") for end in ids)
    assert blocks[-2] == 'event: end\ndata: {"status":"completed"}'
