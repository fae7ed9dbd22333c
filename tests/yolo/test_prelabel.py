"""A real model proposes boxes for images without any: the job, its results, and what a stop leaves."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.models.annotation import Box
from api.models.job import EndReason
from api.services.annotations import TaskView
from api.services.store import yolo_models
from tests.yolo.conftest import Bench
from tests.yolo.shapes import CLASSES, draw

pytestmark = pytest.mark.yolo


@dataclass
class Studio:
    """A dataset of shapes whose labels nobody has given yet, and a model that has hardly learnt them."""

    bench: Bench
    task: str
    model: str

    def view(self) -> TaskView:
        return self.bench.services.annotations.get(self.bench.actor, self.task)


def add_model(bench: Bench, weights: Path, name: str) -> str:
    services = bench.services
    kept = services.models.root / name / "weights" / "best.pt"
    kept.parent.mkdir(parents=True)
    shutil.copy(weights, kept)
    values = {
        "id": name, "owner_id": bench.actor.user_id, "team_id": None, "name": "shapes", "description": "", "tags": [],
        "source": "trained", "file_size": kept.stat().st_size, "classes": list(CLASSES), "task": "detect",
        "job_id": None, "dataset_id": None, "dataset_version": None, "base_model": None, "info": {"imgsz": 64},
        "metrics": {}, "history": None, "created_at": time.time(), "updated_at": time.time(),
    }  # fmt: skip
    with services.db.write() as connection:
        yolo_models.add(connection, values)
    return name


@pytest.fixture(scope="module")
def weights(bench: Bench) -> Path:
    return bench.output(bench.completed(bench.submit(epochs=2))) / "weights" / "best.pt"


@pytest.fixture
def studio(bench: Bench, weights: Path, tmp_path: Path) -> Studio:
    draw(tmp_path / "shapes", train=9, val=3)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for image in sorted((tmp_path / "shapes" / "images").rglob("*.png")):
            archive.write(image, f"images/{image.parent.name}/图 {image.name}")
        archive.writestr("classes.txt", "triangle\nsquare\n")  # another order than the model's, and no disc
    size = made.tell()
    made.seek(0)
    services = bench.services
    dataset = services.yolo.upload(bench.actor, "shapes.zip", made, size).id
    view = services.annotations.create(bench.actor, dataset, "v1")
    model = f"model_{tmp_path.name}"
    return Studio(bench, view.task.id, add_model(bench, weights, model))


def test_proposals_for_the_images_without_boxes(studio: Studio) -> None:
    services, actor, view = studio.bench.services, studio.bench.actor, studio.view()
    items = services.annotations.page(view, offset=0, limit=100)
    services.annotations.save(actor, studio.task, items[0].image_id, [Box(0, 1.0, 1.0, 9.0, 9.0)])
    _, job = services.prelabel.start(actor, studio.task, studio.model, {"conf": 0.001, "device": "cpu"})
    ended = studio.bench.completed(job)
    notes = ended.progress["notes"]["prelabelled"]
    assert (notes["images"], notes["total"]) == (11, 11) and notes["boxes"] > 0
    assert (ended.progress["step"], ended.progress["total_steps"]) == (11, 11)

    images = [services.annotations.image(view, item.image_id) for item in items]
    assert images[0].proposals is None and len(images[0].boxes) == 1
    assert all(image.proposals is not None and image.proposed_by == studio.model for image in images[1:])
    proposals = [each for image in images[1:] for each in image.proposals or ()]
    assert proposals and {each.class_id for each in proposals} <= {0, 1}, "the dataset's classes, by their names"
    assert all(0 <= each.x1 < each.x2 <= 64 and 0 <= each.y1 < each.y2 <= 64 for each in proposals)
    assert all(each.conf >= 0.001 for each in proposals)
    assert not any(image.annotated or image.boxes for image in images[1:])
    labels = services.yolo.directory(view.dataset, view.version) / "labels"
    assert len(list(labels.rglob("*.txt"))) == 1, "no file says what nobody has confirmed"


def test_a_stop_leaves_nothing(studio: Studio) -> None:
    services, actor = studio.bench.services, studio.bench.actor
    _, job = services.prelabel.start(actor, studio.task, studio.model, {"device": "cpu"})
    services.jobs.stop(actor, job.id, force=False, wait=0)
    assert studio.bench.wait(job).reason is EndReason.STOPPED_BY_USER
    assert not any(item.proposed for item in services.annotations.every_item(studio.view()))
