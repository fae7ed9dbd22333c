"""A trained model uploaded, exported to other formats, which then load, and measured on a dataset."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from api.models.job import Job
from api.models.yolo import Preparation
from api.models.yolo_model import YoloModel
from api.services.yolo_history import history_of
from api.services.yolo_model_jobs import exported
from tests.unit.yolo_models import packed
from tests.yolo.conftest import PYTHON, Bench

pytestmark = pytest.mark.yolo
EPOCHS = 2


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Job:
    return bench.completed(bench.submit(epochs=EPOCHS))


@pytest.fixture(scope="module")
def model(bench: Bench, trained: Job) -> YoloModel:
    """What ultralytics itself has written passes the check, and says where it comes from."""
    weights = bench.output(trained) / "weights" / "best.pt"
    archive = io.BytesIO(packed({"weights/best.pt": weights.read_bytes()}))
    return bench.services.model_uploads.upload(bench.actor, "shapes.zip", archive)


def test_what_its_weights_say(bench: Bench, trained: Job, model: YoloModel) -> None:
    assert (model.task, model.classes) == ("detect", ("square", "disc", "triangle"))
    assert (model.info["imgsz"], model.info["epochs"]) == (64, EPOCHS)
    assert 500_000 < model.info["model_info"]["trainable_params"] < model.info["model_info"]["total_params"] < 1_200_000
    with bench.services.db.read() as connection:
        recorded = history_of(connection, trained)
    assert recorded is not None and model.history is not None
    assert model.history["epochs"] == recorded["epochs"] == [1, 2]
    for key in ("train_box_loss", "val_dfl_loss", "metrics_mAP50"):
        assert model.history[key] == pytest.approx(recorded[key], rel=1e-3, abs=1e-4), key
    assert bench.services.charts.of_model(bench.actor, model.id, "all")[:4] == b"\x89PNG"
    assert bench.services.charts.of_job(trained, "all")[:4] == b"\x89PNG"


def test_a_state_in_the_middle_of_a_run_is_taken_too(bench: Bench, trained: Job) -> None:
    job = bench.submit(epochs=50)
    bench.wait(job, lambda seen: seen.progress.get("epoch", 0) >= 2)
    bench.services.jobs.stop(bench.actor, job.id, force=False, wait=60)
    state = bench.output(job) / "last.pt"
    archive = io.BytesIO(packed({"weights/last.pt": state.read_bytes()}))
    made = bench.services.model_uploads.upload(bench.actor, "state.zip", archive)
    assert made.classes == ("square", "disc", "triangle")


ONNX = (
    "import onnx, sys; m = onnx.load(sys.argv[1]); onnx.checker.check_model(m); "
    "print([d.dim_param or d.dim_value for d in m.graph.input[0].type.tensor_type.shape.dim])"
)
TORCHSCRIPT = "import torch, sys; print(list(torch.jit.load(sys.argv[1])(torch.zeros(1, 3, 64, 64))[0].shape))"


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ({"format": "onnx", "imgsz": 64}, ONNX, "[1, 3, 64, 64]"),
        ({"format": "onnx", "dynamic": True}, ONNX, "['batch', 3, 'height', 'width']"),
        ({"format": "torchscript"}, TORCHSCRIPT, "[7, 84]"),
    ],
)
def test_exports_that_load(bench: Bench, model: YoloModel, asked: dict[str, Any], code: str, says: str) -> None:
    job = bench.completed(bench.services.model_jobs.export(bench.actor, model.id, asked))
    name, file = bench.services.model_jobs.open(bench.actor, model.id, job.id)
    note = exported(job)
    assert note is not None and name.startswith(model.id) and note["format"] == asked["format"]
    with file:
        path = Path(file.name) if isinstance(file.name, str) else bench.output(job) / note["name"]
    told = subprocess.run([PYTHON, "-c", code, str(path)], capture_output=True, text=True, timeout=100)
    assert told.returncode == 0 and says in told.stdout, f"{told.stdout}\n{told.stderr}"
    assert path.stat().st_size == note["size_bytes"] > 500_000
    left = {each.name for each in bench.output(job).iterdir()}
    assert left == {note["name"], ".trainyard"}, "nothing else is left beside it"
    assert sorted(each.name for each in bench.services.models.weights(model).parent.iterdir()) == ["best.pt"]


def test_measured_on_a_dataset(bench: Bench, trained: Job, model: YoloModel) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted(bench.data.parent.rglob("*")):
            if path.suffix in (".png", ".txt"):
                archive.write(path, path.relative_to(bench.data.parent))
        archive.writestr("classes.txt", "square\ndisc\ntriangle\n")
    size = made.tell()
    made.seek(0)
    dataset = bench.services.yolo.upload(bench.actor, "shapes.zip", made, size)
    bench.services.yolo.prepare(bench.actor, dataset.id, Preparation())
    asked = {"dataset_id": dataset.id, "version": "v1", "device": "cpu"}
    job = bench.completed(bench.services.model_jobs.validate(bench.actor, model.id, asked))
    notes = job.progress["notes"]
    assert notes["result"] == pytest.approx(trained.progress["notes"]["result"], abs=1e-3)
    assert [name for name, _ in notes["result_by_class"]] == ["square", "disc", "triangle"]
    assert not job.warnings
