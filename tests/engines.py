"""A real job of an engine through the API, wherever the service runs its jobs."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.harness import Service, wait_for
from tests.yolo.client import Client
from tests.yolo.shapes import draw

DEADLINE = 90.0


def preprocesses(service: Service) -> None:
    """Pictures become a dataset."""
    body = {"dataset_name": "reds", "video_directory": str(service.images)}
    job = service.call("POST", "/api/v1/preprocessing/start", body).expect(202)["preprocessing_id"]
    seen = wait_for(lambda: (now := service.get(f"/api/v1/preprocessing/status/{job}"))["status"] in
                    ("completed", "failed") and now, DEADLINE)  # fmt: skip
    assert seen["status"] == "completed" and seen["output_files"], seen


def yolo_trains(service: Service, scratch: Path) -> None:
    """Two epochs over an uploaded dataset end as a model, with a value for each of them."""
    client = Client(service)
    draw(scratch / "shapes")
    dataset = client.upload(scratch / "shapes")
    job = client.create(dataset, epochs=2)
    ended = client.completed(job)
    assert (ended["progress"]["current_epoch"], ended["progress"]["overall_progress"]) == (2, 100.0)
    losses = client.epochs(job, "train/box_loss")
    assert list(losses) == [1, 2] and all(loss > 0 for loss in losses.values())
    assert list(client.epochs(job, "metrics/mAP50(B)")) == [1, 2]
    made = client.model(ended["model_id"])
    assert (made["job_id"], made["dataset_id"]) == (job, dataset)
    assert made["history"]["train_box_loss"] == list(losses.values())
    weights = service.data / "models" / ended["model_id"] / "weights" / "best.pt"
    assert weights.stat().st_size == made["file_size"]
    assert ended["model_id"] in str(client.call("GET", "/models"))


def yolo_stops(service: Service, scratch: Path) -> None:
    """In the middle of a long training: the epochs that were done stay, with the state to go on from."""
    client = Client(service)
    draw(scratch / "shapes")
    job = client.create(client.upload(scratch / "shapes"), epochs=500, batch=1)
    client.until(job, lambda one: (one["progress"]["current_epoch"] or 0) >= 2)
    client.call("POST", f"/train/jobs/{job}/stop")
    stopped = client.until(job, lambda one: one["status"] == "stopped")
    assert stopped["model_id"] is None, stopped
    assert list(client.epochs(job, "train/box_loss"))[:1] == [1]
    kept = {(each["name"], each["kind"]) for each in service.get(f"/{job}/checkpoints")["checkpoints"]}
    assert ("last.pt", "state") in kept, kept
    assert (service.data / "training_runs" / job / "last.pt").stat().st_size > 0
