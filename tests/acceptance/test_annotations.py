"""Annotation through deaths of the service: rows and label files tell the same afterwards (F38)."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.acceptance.harness import Service
from tests.acceptance.test_yolo_datasets import places, upload
from tests.unit import yolo_sets as sets

Maker = Callable[..., Service]
TASKS = "/api/v1/annotations/tasks"
BOX = {"class_id": 1, "x1": 16.0, "y1": 12.0, "x2": 48.0, "y2": 36.0}


def labels(service: Service, dataset: str) -> dict[str, str]:
    place = service.data / "datasets" / dataset / "v1" / "labels"
    return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*")) if path.is_file()}


def names(service: Service, dataset: str) -> Any:
    path: Path = service.data / "datasets" / dataset / "v1" / "data.yaml"
    return yaml.safe_load(path.read_text())["names"]


def images(count: int = 5) -> bytes:
    return sets.packed({f"images/train/{n}.png": sets.picture(n) for n in range(count)} | {
        "images/val/9.png": sets.picture(9), "labels/val/9.txt": b"0 0.5 0.5 0.5 0.5\n", "data.yaml": b"names: [cat]",
    })  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["annotation.importing", "annotation.named", "annotation.saved", "annotation.written"]
)
def test_boxes_and_their_files_agree_after_a_crash(make_service: Maker, point: str) -> None:
    service = make_service().start(fault=point)
    dataset = upload(service, images()).expect(200)["dataset_id"]
    body = {"dataset_id": dataset, "classes": ["cat", "dog"]}
    with contextlib.suppress(httpx.TransportError):  # the answer dies with the service
        task = service.call("POST", TASKS, body).expect(200)
        service.call("POST", f"{TASKS}/{task['task_id']}/items/train_3", {"boxes": [BOX]})
    assert service.wait_dead() == -signal.SIGKILL
    service.start()

    made = service.get(TASKS)["tasks"]
    if point == "annotation.importing":
        assert made == [] and names(service, dataset) == {0: "cat"}
        made = [service.call("POST", TASKS, body).expect(200)]
    assert names(service, dataset) == {0: "cat", 1: "dog"}
    (task,) = made
    assert (task["classes"], task["total_items"], task["imported_annotations"]) == (["cat", "dog"], 6, 1)
    item = f"{TASKS}/{task['task_id']}/items/train_3"
    if point in ("annotation.importing", "annotation.named"):
        assert service.get(item)["boxes"] == []
        service.call("POST", item, {"boxes": [BOX]}).expect(200)
    assert service.get(item)["boxes"] == [BOX]
    line = "0.500000 0.500000 0.500000 0.500000\n"
    assert labels(service, dataset) == {"train/3.txt": f"1 {line}", "val/9.txt": f"0 {line}"}
    assert places(service) == [f"{dataset}/source", f"{dataset}/v1"]
    assert service.get(f"{TASKS}/{task['task_id']}")["annotated_count"] == 2
