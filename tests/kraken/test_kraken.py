"""Real trainings and tests with kraken, small enough for two CPU cores, through the service's own job core."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.models.job import EndReason, Job, JobStatus
from api.models.ocr import ModelJob
from tests.kraken.conftest import Bench

pytestmark = [pytest.mark.kraken, pytest.mark.timeout(400)]

EPOCHS = 10


@dataclass
class Trained:
    job: Job
    model: int
    document: int
    path: str  # of the file that was kept


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Trained:
    """A recogniser after a training that learned."""
    document, model = bench.document(), bench.model()
    job = bench.completed(bench.submit("train", document, model, epochs=EPOCHS))
    file = bench.ocr_model(model).file
    assert file is not None
    return Trained(job, model, document, str(bench.data_dir / file))


def test_a_training_learns_and_its_best_model_is_kept(bench: Bench, trained: Trained) -> None:
    job = trained.job
    accuracy, loss = bench.epochs(job, "accuracy"), bench.epochs(job, "loss")
    assert sorted(accuracy) == sorted(loss) == list(range(1, EPOCHS + 1))
    best = max(value for value in accuracy.values() if value is not None)
    assert best > 0.4 and (loss[EPOCHS] or 99) < (loss[1] or 0) / 2, (accuracy, loss)
    model = bench.ocr_model(trained.model)
    file = Path(trained.path)
    assert file.is_file() and model.file_size == file.stat().st_size > 100_000
    assert model.accuracy == pytest.approx(best) and file.name == f"{job.id}_best_{best:.4f}.safetensors"
    assert [each.name for each in file.parent.iterdir()] == [file.name]  # and no file of an earlier epoch


def test_what_is_known_of_a_training_afterwards(bench: Bench, trained: Trained) -> None:
    progress, notes = trained.job.progress, trained.job.progress["notes"]
    assert progress["epoch"] == progress["total_epochs"] == notes["epochs_done"] == EPOCHS
    assert progress["step"] == progress["total_steps"] == EPOCHS * progress["total_batches"]
    assert notes["data"] == {"pages": 10, "training": 90, "validation": 10, "unit": "lines"}
    assert notes["accuracy"] == bench.epochs(trained.job, "accuracy")[EPOCHS]
    assert 0.0005 < notes["seconds_per_line_epoch"] < 1
    kinds = {found.name.partition("_")[0]: found.kind for found in bench.services.jobs.checkpoints(trained.job)}
    assert kinds["best"] == "weights" and "state" in kinds.values()


def test_the_error_rates_of_a_model(bench: Bench, trained: Trained) -> None:
    job = bench.completed(bench.submit("test", trained.document, trained.model, base_model=trained.path))
    result = job.progress["notes"]["result"]
    assert result["cer"] == pytest.approx(result["errors"] / result["characters"], abs=1e-4)
    assert result["errors"] == result["insertions"] + result["deletions"] + result["substitutions"]
    assert result["cer"] < 0.6 and result["cer"] <= result["wer"]
    assert bench.ocr_model(trained.model).file is not None  # a test keeps no file and takes none away


def test_a_base_model_gets_letters_that_are_new_to_it_and_stops_early(bench: Bench, trained: Trained) -> None:
    document, model = bench.document(pages=3, words=("öl", "früh", "tag")), bench.model()
    params = {"epochs": 30, "lag": 1, "lrate": 1e-9, "base_model": trained.path}  # too slow to become any better
    job = bench.completed(bench.submit("train", document, model, **params))
    assert bench.epochs(job, "accuracy").keys() == {1, 2}
    assert job.progress["notes"]["early_stopping"] == {"waited": 1, "lag": 1}
    assert (bench.ocr_model(model).file_size or 0) > (bench.ocr_model(trained.model).file_size or 0)


def test_stopped_inside_an_epoch_and_resumed(bench: Bench) -> None:
    """Not an epoch and not a step is trained twice."""
    document, model = bench.document(pages=6), bench.model()
    job = bench.submit("train", document, model, epochs=4)
    bench.wait(job, lambda seen: seen.progress.get("epoch", 0) >= 2)
    stopped = bench.services.jobs.stop(bench.actor, job.id, force=False, wait=60)
    assert stopped.job.status is JobStatus.STOPPED and stopped.checkpoint_saved
    assert bench.ocr_model(model).file is not None
    before, done = stopped.job.progress["step"], sorted(bench.epochs(job, "accuracy"))
    bench.services.jobs.resume(bench.actor, job.id, None)
    ended = bench.completed(job)
    assert sorted(bench.epochs(job, "accuracy")) == [1, 2, 3, 4]
    assert ended.progress["step"] == ended.progress["total_steps"] == 4 * ended.progress["total_batches"]
    again = [json.loads(line) for line in bench.log(job).splitlines() if line.startswith('{"event": "epoch"')]
    assert [each["epoch"] for each in again] == [1, 2, 3, 4] and done == list(range(1, len(done) + 1))
    fits = [json.loads(line) for line in bench.log(job).splitlines() if line.startswith('{"event": "fit"')]
    assert fits[0]["step"] == 0 and before <= fits[1]["step"] < 4 * fits[1]["batches"]


def test_a_segmenter(bench: Bench) -> None:
    document, model = bench.document(pages=6, lines=4), bench.model(ModelJob.SEGMENT)
    job = bench.completed(bench.submit("segtrain", document, model, epochs=3, lrate=0.005))
    assert bench.epochs(job, "mean_iu").keys() == bench.epochs(job, "bl_f1").keys() == {1, 2, 3}
    file = bench.ocr_model(model).file
    assert file is not None and (bench.data_dir / file).is_file()
    tested = bench.completed(bench.submit("test", document, model, base_model=str(bench.data_dir / file)))
    assert tested.progress["notes"]["result"]["bl_f1"] > 0.5


def test_lines_without_polygons_teach_no_recogniser(bench: Bench) -> None:
    job = bench.wait(bench.submit("train", bench.document(pages=1, polygons=False), bench.model(), epochs=1))
    assert (job.status, job.reason) == (JobStatus.FAILED, EndReason.EXIT_CODE)
    assert job.failure is not None and job.failure.kind == "dataset_empty" and "polygon" in job.failure.hint
    assert any("without a bounding polygon" in warning for warning in job.warnings)
