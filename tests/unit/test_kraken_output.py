"""What the kraken child printed in real runs (tests/fixtures/kraken), and what is read out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.models.events import Advance, Axis, Done, Fault, Level, LineType, Metric, Note, Saved, Warn
from api.models.job import Phase
from api.models.progress import EMPTY, Progress
from api.services.engines.base import Ending
from api.services.engines.kraken.failures import explain
from api.services.engines.kraken.output import NAN_LOSS, parse

LOGS = Path(__file__).resolve().parents[1] / "fixtures" / "kraken"


@dataclass
class Read:
    """What a whole log adds up to."""

    progress: Progress = EMPTY
    notes: dict[str, Any] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    saved: list[Saved] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    done: bool = False

    def epochs(self, name: str) -> dict[int | None, float | None]:
        return {m.epoch: m.value for m in self.metrics if m.name == name and m.axis is Axis.EPOCH}


def read(name: str) -> Read:
    found = Read()
    for line in (LOGS / f"{name}.log").read_text(encoding="utf-8").splitlines():
        for event in parse(line).events:
            if isinstance(event, Advance):
                found.progress = found.progress.advance(event)
                found.phases += [event.phase] if event.phase and event.phase not in found.phases[-1:] else []
            elif isinstance(event, Note):
                found.notes[event.key] = event.value
            elif isinstance(event, Metric):
                found.metrics.append(event)
            elif isinstance(event, Saved):
                found.saved.append(event)
            elif isinstance(event, Warn):
                found.warnings.append(event.text)
            elif isinstance(event, Fault):
                found.faults.append(event.line)
            elif isinstance(event, Done):
                found.done = True
    return found


def test_a_recognition_training() -> None:
    found = read("train")
    assert found.done and not found.faults and not found.warnings
    accuracy = found.epochs("accuracy")
    assert sorted(accuracy) == sorted(found.epochs("word_accuracy")) == sorted(found.epochs("loss"))
    assert sorted(accuracy) == list(range(1, 11)) and accuracy[10] == pytest.approx(0.7808, abs=1e-4)
    progress = found.progress
    assert (progress.epoch, progress.total_epochs, progress.step, progress.total_steps) == (10, 10, 230, 230)
    assert (progress.batch, progress.total_batches) == (23, 23) and not progress.total_steps_estimated
    assert progress.samples_per_second and progress.time_per_step
    assert found.notes["epochs_done"] == 10 and found.notes["accuracy"] == accuracy[10]
    assert found.notes["data"] == {"pages": 10, "training": 90, "validation": 10, "unit": "lines"}
    assert found.notes["model_file"]["name"] == "best_0.7808.safetensors"
    assert found.notes["model_file"]["accuracy"] == accuracy[10] and found.notes["model_file"]["epoch"] == 10
    assert 0 < found.notes["seconds_per_line_epoch"] < 0.1
    steps = [m.step for m in found.metrics if m.name == "loss" and m.axis is Axis.STEP]
    assert steps == sorted(steps) and steps[-1] == 230  # type: ignore[type-var]
    assert [found.phases[0], found.phases[-1]] == [Phase.LOADING, Phase.DONE]
    assert {Phase.TRAINING, Phase.EVALUATING} <= set(found.phases)
    assert found.saved[0].name == "epoch1_step23.ckpt" and found.saved[-1].kind == "weights"


def test_a_stop_inside_an_epoch_and_what_came_after() -> None:
    stopped, resumed = read("stopped"), read("resumed")
    assert not stopped.done and resumed.done
    assert (stopped.progress.epoch, stopped.notes["epochs_done"]) == (2, 1)
    assert stopped.notes["model_file"]["epoch"] == 1
    assert sorted(resumed.epochs("accuracy")) == [2, 3]
    assert resumed.progress.step == resumed.progress.total_steps == 69
    assert "seconds_per_line_epoch" in resumed.notes  # from its one whole epoch


def test_early_stopping() -> None:
    found = read("early_stopping")
    assert found.done and found.notes["early_stopping"] == {"waited": 1, "lag": 1}
    assert found.progress.epoch == 2 and found.progress.total_epochs == 9


def test_a_segmentation_training() -> None:
    found = read("segtrain")
    names = {m.name for m in found.metrics if m.axis is Axis.EPOCH}
    assert names == {
        "accuracy", "mean_acc", "mean_iu", "freq_iu", "bl_precision", "bl_recall", "bl_f1", "loss",
    }  # fmt: skip
    assert found.done and found.notes["data"]["unit"] == "pages"


def test_error_rates() -> None:
    found = read("test")
    result = found.notes["result"]
    assert result["errors"] / result["characters"] == pytest.approx(result["cer"], abs=1e-5)
    assert result["insertions"] + result["deletions"] + result["substitutions"] == result["errors"] == 206
    assert {m.name: m.value for m in found.metrics} == result
    assert found.done and found.notes["accuracy"] == pytest.approx(1 - result["cer"], abs=1e-5)
    assert found.progress.step == found.progress.total_steps == 25
    assert 0 < read("segtest").notes["result"]["mean_iu"] < 1


def test_what_was_left_out_is_said() -> None:
    assert read("from_base_model").warnings == [
        "1 pages (10 lines) are left out, their images are missing: page1.png",
        "1 lines without a baseline are left out",
        "1 lines without a transcription are left out",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("no_polygons", "dataset_empty", "polygon"),
        ("wrong_model", "bad_config", "segmentation"),
        ("bad_spec", "bad_config", "spec"),
    ],
)
def test_failures_that_were_seen(name: str, kind: str, hint: str) -> None:
    text = (LOGS / f"{name}.log").read_text(encoding="utf-8").splitlines()
    failure = explain(Ending(2, False, tuple(read(name).faults), tuple(text[-50:])))
    assert failure.kind == kind and hint in failure.hint and failure.line


@pytest.mark.parametrize(
    ("line", "kind", "hint"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "cuda_oom", "batch"),
        ("ModuleNotFoundError: No module named 'kraken'", "import_error", "make kraken"),
        ("RuntimeError: operator torchvision::nms does not exist", "import_error", "make kraken"),
        ("ValueError: Training data and model codec alphabets mismatch: {'ø'}", "bad_config", "from scratch"),
        ("ValueError: All 40 samples in dataset invalid.", "missing_file", "image"),
        ("ValueError: No training data in dataset. Please supply some.", "dataset_empty", "baseline"),
        ("OSError: [Errno 28] No space left on device", "disk_full", "disk"),
        ("[missing_file] the base model /m is not there", "missing_file", "/m is not there"),
        ("[incomplete] no epoch was finished", "incomplete", "Resume"),
    ],
)
def test_failures_by_their_words(line: str, kind: str, hint: str) -> None:
    failure = explain(Ending(1, False, (line,), ()))
    assert failure.kind == kind and hint in failure.hint


def test_a_child_that_was_ended_from_outside() -> None:
    assert explain(Ending(143, False, (), ("stopped: SIGTERM",))).kind == "signal"
    assert explain(Ending(-9, False, (), ())).kind == "killed_by_oom"
    assert explain(Ending(0, False, (), ("x",))).kind == "incomplete"


def test_a_loss_that_is_no_number() -> None:
    line = (
        '{"event": "batch", "epoch": 1, "batch": 2, "step": 2, "loss": null, "lr": 0.1, '
        '"seconds_per_batch": null, "items_per_second": null}'
    )
    events = parse(line).events
    assert Metric("loss", None, 2) in events and Warn(NAN_LOSS) in events


def test_an_accuracy_below_zero_is_shown_as_zero() -> None:
    line = (
        '{"event": "epoch", "epoch": 1, "step": 9, "metrics": {"accuracy": -0.5}, "seconds": 1.0, '
        '"seconds_per_line_epoch": null}'
    )
    events = parse(line).events
    assert Note("accuracy", 0.0) in events and Metric("accuracy", -0.5, epoch=1, axis=Axis.EPOCH) in events


def test_levels_of_plain_lines() -> None:
    assert parse("WARNING kraken.lib: x").level is Level.WARNING
    assert parse("Traceback (most recent call last):").level is Level.ERROR
    assert parse("epoch 1 of 2: accuracy 0.1") == parse("")
    assert parse('{"event": "result", "accuracy": 0.5}').type is LineType.EVAL


@given(st.text() | st.from_regex(r'\{"event": "(batch|epoch|fit|error|model|phase|done|x)".{0,40}', fullmatch=True))
def test_no_line_is_too_strange(line: str) -> None:
    parse(line)
    parse('{"event": "' + line)
