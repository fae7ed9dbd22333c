"""Real trainings, exports and validations with ultralytics, through the service's own job core."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.models.job import EndReason, Job, JobStatus
from api.utils.errors import Conflict
from tests.yolo.conftest import Bench

pytestmark = pytest.mark.yolo

EPOCHS = 3


def said(log: str, name: str) -> list[dict[str, Any]]:
    """The child's events of one name."""
    return [json.loads(line) for line in log.splitlines() if line.startswith(f'{{"event": "{name}"')]


@dataclass
class Trained:
    job: Job
    output: Path

    @property
    def best(self) -> Path:
        return self.output / "weights" / "best.pt"


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Trained:
    job = bench.completed(bench.submit(epochs=EPOCHS))
    return Trained(job, bench.output(job))


def test_what_is_known_of_a_training_afterwards(bench: Bench, trained: Trained) -> None:
    progress, notes = trained.job.progress, trained.job.progress["notes"]
    assert progress["epoch"] == progress["total_epochs"] == notes["epochs_done"] == EPOCHS
    assert progress["step"] == progress["total_steps"] == EPOCHS * 2 and progress["total_batches"] == 2
    assert notes["classes"] == 3 and 1 <= notes["best_epoch"] <= EPOCHS
    assert set(notes["result"]) >= {"metrics/mAP50(B)", "metrics/mAP50-95(B)"}
    assert notes["model_file"] == {"name": "best.pt", "size_bytes": trained.best.stat().st_size}
    assert not trained.job.warnings and trained.job.failure is None


def test_every_column_of_results_csv_is_a_metric_by_epoch(bench: Bench, trained: Trained) -> None:
    with open(trained.output / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    columns = [name for name in rows[0] if name != "epoch"]
    assert {"train/box_loss", "metrics/mAP50(B)", "val/dfl_loss", "lr/pg2", "time"} <= set(columns)
    for name in columns:
        if name != "time":
            expected = {int(row["epoch"]): pytest.approx(float(row[name]), rel=1e-4) for row in rows}
            assert bench.epochs(trained.job, name) == expected, name
    assert len(bench.epochs(trained.job, "time")) == EPOCHS


def test_a_finished_training_leaves_weights_and_nothing_to_resume(bench: Bench, trained: Trained) -> None:
    found = bench.services.jobs.checkpoints(trained.job)
    assert {(each.name, each.kind) for each in found} == {("best.pt", "weights"), ("last.pt", "weights")}
    with pytest.raises(Conflict, match="no checkpoint to resume from"):
        bench.services.jobs.resume(bench.actor, trained.job.id, None)


def test_nothing_is_written_beside_the_dataset(bench: Bench, trained: Trained) -> None:
    there = {path.suffix for path in bench.data.parent.rglob("*") if path.is_file()}
    assert there == {".png", ".txt", ".yaml"}


def test_stopped_inside_an_epoch_and_resumed(bench: Bench) -> None:
    """No epoch is repeated, none is left out, and the state is there at once."""
    job = bench.submit(epochs=4, batch=1)
    bench.wait(job, lambda seen: seen.progress.get("epoch", 0) >= 2)
    asked = time.monotonic()
    stopped = bench.services.jobs.stop(bench.actor, job.id, force=False, wait=60)
    took = time.monotonic() - asked
    assert stopped.job.status is JobStatus.STOPPED and took < 20, took
    states = [each.name for each in bench.services.jobs.checkpoints(stopped.job) if each.kind == "state"]
    assert states == ["last.pt"]
    done = said(bench.log(job), "epoch")[-1]["epoch"]
    assert 1 <= done < 4
    bench.services.jobs.resume(bench.actor, job.id, None)
    ended = bench.completed(job)
    log = bench.log(job)
    assert [each["epoch"] for each in said(log, "epoch")] == [1, 2, 3, 4]
    assert [each["done"] for each in said(log, "fit")] == [0, done]
    assert sorted(bench.epochs(job, "train/box_loss")) == [1, 2, 3, 4]
    assert ended.progress["step"] == ended.progress["total_steps"] == 4 * 16
    with open(bench.output(job) / "results.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_export_and_validation(bench: Bench, trained: Trained) -> None:
    exported = bench.completed(bench.other("export", trained.best, format="torchscript", imgsz=64))
    note = exported.progress["notes"]["exported"]
    assert note["name"] == "best.torchscript" and note["format"] == "torchscript"
    file = bench.output(exported) / note["name"]
    assert file.stat().st_size == note["size_bytes"] > 1_000_000
    assert not list(trained.best.parent.glob("*.torchscript"))  # nothing beside the weights
    validated = bench.completed(bench.other("validate", trained.best, data=str(bench.data), imgsz=64, plots=False))
    result = validated.progress["notes"]["result"]
    assert result == pytest.approx(trained.job.progress["notes"]["result"], abs=1e-3)


def test_weights_that_are_not_there(bench: Bench) -> None:
    path = bench.data_dir / "weights" / "yolov8n.pt"
    job = bench.wait(bench.submit(epochs=1, model={"kind": "weights", "value": str(path)}))
    assert (job.status, job.reason) == (JobStatus.FAILED, EndReason.EXIT_CODE)
    assert job.failure is not None and job.failure.kind == "missing_file"
    assert f"place the file by hand at {path}" in job.failure.hint


def test_hostile_keys_of_a_data_yaml_never_reach_ultralytics(bench: Bench, tmp_path: Path) -> None:
    """`download:` is code that ultralytics runs, a *.cache file is a pickle that it loads."""
    trap = bench.data_dir / "sprung"
    source = bench.data.read_text()
    hostile = bench.data.with_name("hostile.yaml")
    hostile.write_text(
        source + f"download: |\n  open({str(trap)!r}, 'w').close()\nchannels: 3\nyaml_file: /etc/passwd\n"
    )
    cache = bench.data.parent / "labels" / "train.cache"
    cache.write_bytes(_pickle_trap(trap))
    try:
        job = bench.completed(bench.submit(epochs=1, data=str(hostile)))
    finally:
        cache.unlink()
        hostile.unlink()
    assert not trap.exists()
    own = (bench.output(job) / ".trainyard" / "data.yaml").read_text()
    assert "download" not in own and "yaml_file" not in own and "channels" not in own


def _pickle_trap(path: Path) -> bytes:
    import io
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(path), "w"))

    import numpy

    buffer = io.BytesIO()
    numpy.save(buffer, {"version": Trap()}, allow_pickle=True)  # type: ignore[arg-type]
    assert pickle.dumps(Trap())
    return buffer.getvalue()


def test_a_dataset_without_labels(bench: Bench) -> None:
    bare = bench.data_dir / "datasets" / "bare"
    for split in ("train", "val"):
        (bare / "images" / split).mkdir(parents=True)
        for image in sorted((bench.data.parent / "images" / split).iterdir())[:2]:
            (bare / "images" / split / image.name).write_bytes(image.read_bytes())
    data = bare / "data.yaml"
    data.write_text(f"path: {bare}\ntrain: images/train\nval: images/val\nnames: [a]\n")
    job = bench.wait(bench.submit(epochs=1, data=str(data)))
    assert job.status is JobStatus.FAILED and job.failure is not None
    assert job.failure.kind == "dataset_empty", job.failure
