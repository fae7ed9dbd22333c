"""What the ultralytics child printed in real runs (tests/fixtures/ultralytics), and what is read out of it."""

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
from api.services.engines.ultralytics.failures import explain
from api.services.engines.ultralytics.output import NAN_LOSS, parse
from api.utils.logreader import clean
from api.utils.training_wrapper import ERROR_MARK

LOGS = Path(__file__).resolve().parents[1] / "fixtures" / "ultralytics"
COLUMNS = {
    "time", "train/box_loss", "train/cls_loss", "train/dfl_loss", "metrics/precision(B)", "metrics/recall(B)",
    "metrics/mAP50(B)", "metrics/mAP50-95(B)", "val/box_loss", "val/cls_loss", "val/dfl_loss", "lr/pg0", "lr/pg1", "lr/pg2",
}  # fmt: skip


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

    def epochs(self, name: str) -> list[int | None]:
        return [m.epoch for m in self.metrics if m.name == name and m.axis is Axis.EPOCH]


def read(name: str) -> Read:
    found = Read()
    for line in (LOGS / f"{name}.log").read_text(encoding="utf-8").splitlines():
        for event in parse(clean(line.encode())).events:
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


def test_a_training() -> None:
    found = read("train")
    assert found.done and not found.faults and not found.warnings
    assert {m.name for m in found.metrics if m.axis is Axis.EPOCH} == COLUMNS
    assert all(found.epochs(name) == [1, 2, 3] for name in COLUMNS)
    progress = found.progress
    assert (progress.epoch, progress.total_epochs, progress.step, progress.total_steps) == (3, 3, 6, 6)
    assert (progress.batch, progress.total_batches) == (2, 2) and not progress.total_steps_estimated
    assert progress.samples_per_second and progress.time_per_step
    steps = [m.step for m in found.metrics if m.name == "loss"]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert found.notes["epochs_done"] == 3 and found.notes["classes"] == 3 and found.notes["best_epoch"] == 3
    assert "metrics/mAP50(B)" in found.notes["result"] and found.notes["model_file"]["name"] == "best.pt"
    assert "early_stopping" not in found.notes
    assert found.notes["class_names"] == ["square", "disc", "triangle"]
    about = found.notes["model_info"]
    assert (about["task"], about["model_type"]) == ("detect", "yolov8n-tiny")
    assert 0 < about["trainable_params"] < about["total_params"] and about["total_params_m"] == 0.913
    assert {(each.kind, each.name) for each in found.saved} == {("state", "last.pt"), ("weights", "best.pt")}
    assert [found.phases[0], found.phases[-1]] == [Phase.LOADING, Phase.DONE]
    assert {Phase.TRAINING, Phase.EVALUATING, Phase.SAVING} <= set(found.phases)


def test_a_stop_inside_an_epoch_and_what_came_after() -> None:
    stopped, resumed = read("stopped"), read("resumed")
    assert not stopped.done and resumed.done and not stopped.faults
    assert (stopped.progress.epoch, stopped.notes["epochs_done"]) == (2, 1)
    assert stopped.epochs("train/box_loss") + resumed.epochs("train/box_loss") == [1, 2, 3]
    assert resumed.progress.step == resumed.progress.total_steps == 24
    assert min(m.step for m in resumed.metrics if m.step is not None) == 9  # the second epoch's first batch


def test_a_validation_and_an_export() -> None:
    assert set(read("validate").notes["result"]) == {name for name in COLUMNS if name.startswith("metrics/")}
    exported = read("export")
    assert exported.done and exported.notes["exported"]["name"] == "best.onnx"
    assert Saved("weights", "best.onnx") in exported.saved


def ending(name: str, code: int = 1) -> Ending:
    return Ending(code, False, tuple(read(name).faults), tuple((LOGS / f"{name}.log").read_text().splitlines()[-20:]))


def test_failures_of_real_runs() -> None:
    missing = explain(ending("missing_weights", 2))
    assert missing.kind == "missing_file" and "place the file by hand at /data/weights/yolov8n.pt" in missing.hint
    empty = explain(ending("no_labels"))
    assert empty.kind == "dataset_empty" and "No labels found" in (empty.line or "")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "cuda_oom"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("RuntimeError: Training failed: NaN persisted for 4 epochs", "bad_config"),
        (
            "RuntimeError: Dataset '/d/data.yaml' error: Dataset 'data.yaml' images not found, missing path '/d'",
            "dataset_empty",
        ),
        ("RuntimeError: operator torchvision::nms does not exist", "import_error"),
        ("ConnectionError: Download failure for https://x. Environment is not online.", "missing_file"),
        ("ModuleNotFoundError: No module named 'onnx'", "import_error"),
        ("[bad_config] last.pt belongs to a finished training: there is nothing to resume", "bad_config"),
        ("[nonsense] {0} {1}", "unknown"),
        ("[bad_config] braces {0} {x} of a path", "bad_config"),
    ],
)
def test_kinds_of_failure(line: str, kind: str) -> None:
    assert explain(Ending(1, False, (line,), ())).kind == kind


def test_a_run_whose_loss_is_nan() -> None:
    found = read("nan")
    assert found.warnings[0] == NAN_LOSS and found.done  # ultralytics went on from its last state
    values = {m.epoch: m.value for m in found.metrics if m.name == "train/box_loss"}
    assert values[1] is None and values[2] is not None


def test_a_loss_that_is_no_number() -> None:
    line = (
        '{"event": "batch", "epoch": 2, "batch": 3, "batches": 8, "loss": {"box_loss": null, "cls_loss": 0.1}, "lr": 0.01, '
        '"images_per_second": 9.5, "seconds_per_batch": 0.1}'
    )
    events = parse(line).events
    assert Warn(NAN_LOSS) in events and Metric("loss", None, 11) in events


def test_early_stopping() -> None:
    events = parse('{"event": "trained", "epoch": 12, "epochs": 50, "best_epoch": 7}').events
    assert events == (Note("best_epoch", 7), Note("early_stopping", {"epoch": 12, "epochs": 50}))


def test_a_resume_with_only_the_validation_left() -> None:
    (event,) = parse('{"event": "fit", "epochs": 5, "done": 5, "batches": null}').events
    assert event == Advance(Phase.EVALUATING, epoch=5, total_epochs=5)


def test_lines_for_people_have_a_level() -> None:
    assert parse("WARNING ⚠️ no labels found").level is Level.WARNING
    assert parse("Traceback (most recent call last):").level is Level.ERROR
    assert parse("1/3  0G  0.46 0.91 0.27 9 64: 100%").events == ()
    assert parse('{"event": "epoch_start", "epoch": 1, "epochs": 3, "batches": 2}').type is LineType.TRAIN


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "batch"}', '{"event": "epoch", "epoch": "x"}', '{"event": "nosuch"}', '{"event": ["x"]}', '{"event": "batch',
        '{"event": "phase", "phase": "nosuch"}', '{"event": "batch", "epoch": 1, "batch": 1, "batches": 1, "loss": 3}',
        '{"event": "epoch", "epoch": 1, "epochs": 1, "metrics": []}', '{"event": "' + "[" * 5000,
    ],
)  # fmt: skip
def test_what_looks_like_an_event_and_is_none(line: str) -> None:
    assert parse(line).events == ()


@given(st.text(max_size=200))
def test_any_line_can_be_read(text: str) -> None:
    parse(text)
    parse('{"event": "' + text)


def test_progress_of_a_model_that_proposes_boxes() -> None:
    line = '{"event": "prelabelled", "done": 16, "total": 40, "boxes": 23}'
    advance, note = parse(line).events
    assert isinstance(advance, Advance) and (advance.step, advance.total_steps) == (16, 40)
    assert note == Note("prelabelled", {"images": 16, "total": 40, "boxes": 23})


def test_a_line_of_standard_error_says_what_it_would_say_without_its_mark() -> None:
    for line in (
        "Traceback (most recent call last):",
        "RuntimeError: CUDA error",
        "WARNING: slow",
        '{"event": "done"}',
    ):
        assert parse(ERROR_MARK + line) == parse(line)
    last = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    told = explain(Ending(1, False, (), (ERROR_MARK + last,)))
    assert told == explain(Ending(1, False, (), (last,))) and told.kind == "cuda_oom"
