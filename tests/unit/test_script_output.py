"""What scripts print, as recorded from real runs (tests/fixtures/script): the exact series, totals and phases."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.models.events import PLAIN, Axis, Fault, Level, Metric, Reading, Warn
from api.models.job import JobStatus, Phase
from api.models.progress import Progress, shown
from api.models.reading import NAMES, Readings
from api.services.engines.script import output
from api.utils.logreader import Cursor, read

LOGS = Path(__file__).parents[1] / "fixtures" / "script"
STEP, EPOCH = Axis.STEP, Axis.EPOCH
Series = dict[tuple[str, Axis], list[tuple[int, float | None]]]


class Run(NamedTuple):
    """What a recorded log adds up to."""

    series: Series
    progress: Progress
    faults: list[str]
    warnings: list[str]

    def steps(self, name: str) -> list[tuple[int, float | None]]:
        return self.series[name, STEP]

    def epochs(self, name: str) -> list[tuple[int, float | None]]:
        return self.series[name, EPOCH]

    @property
    def names(self) -> set[tuple[str, Axis]]:
        return set(self.series)

    @property
    def group(self) -> dict[str, object]:
        return shown(self.progress, JobStatus.RUNNING, 0.0, None, 10.0)


def segments(path: Path) -> Iterator[str]:
    """The texts that ingestion parses, of a log that is read in one turn."""
    with open(path, "rb") as file:
        chunk = read(file.fileno(), Cursor(), final=True)
    for line in chunk.lines:
        yield from chunk.parts.get(line.number, ()) if line.bar else [line.text]


def follow(texts: Iterator[str] | list[str], start: Progress | None = None) -> Run:
    run = Run({}, start or Progress(), [], [])
    progress, readings, metrics = run.progress, Readings(), list[Metric]()
    for text in texts:
        for event in output.parse(text).events:
            if isinstance(event, Reading):
                progress, found = readings.take(progress, event, 5.0)
                metrics += found
            elif isinstance(event, Fault):
                run.faults.append(event.line)
            elif isinstance(event, Warn):
                run.warnings.append(event.text)
    progress, found = readings.flush(progress, 5.0)
    for metric in (*metrics, *found):
        points = run.series.setdefault((metric.name, metric.axis), [])
        last = points[-1][0] if points else -1
        given_x = metric.epoch if metric.axis is EPOCH else metric.step
        x = given_x if given_x is not None else max(last, 0) + 1  # as the store counts
        if x > last:
            points.append((x, metric.value))
    return run._replace(progress=progress)


def log(name: str) -> Run:
    return follow(segments(LOGS / f"{name}.log"))


# ---- lines that people print


def test_the_contracts_line() -> None:
    run = log("plain_contract")
    assert run.series == {("loss", EPOCH): [(1, 3.4424), (2, 0.8677), (3, 0.1529), (4, 0.1049)]}
    assert (run.group["current_epoch"], run.group["total_epochs"], run.group["current_step"]) == (4, 4, None)
    assert run.group["overall_progress"] == 99.99 and run.progress.phase is Phase.TRAINING


def test_steps_that_begin_anew_in_each_epoch() -> None:
    run = log("plain_brackets")
    assert [x for x, _ in run.steps("loss")] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert run.steps("loss")[2] == (15, 0.7598) and set(run.names) == {("loss", STEP)}
    assert (run.progress.step, run.progress.total_steps, run.progress.total_epochs) == (40, 40, 4)
    assert (run.progress.total_steps_estimated, run.group["total_batches"]) == (True, 10)


def test_steps_that_begin_anew_without_a_total() -> None:
    run = log("plain_restarting")
    assert [x for x, _ in run.steps("train_loss")] == [5, 10, 15, 20, 25, 30]
    assert run.epochs("train_loss") == [(1, 0.8677), (2, 0.1049), (3, 0.0775)]
    assert run.epochs("val_loss") == [(1, 0.2066), (2, 0.0879), (3, 0.0695)]


def test_steps_that_go_on() -> None:
    run = log("plain_keyvalue")
    assert run.steps("loss")[-1] == (30, 0.1128) and [x for x, _ in run.steps("lr")] == [5, 10, 15, 20, 25, 30]
    assert (run.progress.epoch, run.progress.total_steps) == (3, None)


def test_epochs_from_zero_with_values_of_their_own_lines() -> None:
    run = log("plain_transfer")
    assert run.steps("train_loss") == [(1, 3.4424), (2, 0.8677), (3, 0.1529), (4, 0.1049)]
    assert run.steps("val_acc") == [(1, 0.4), (2, 0.5), (3, 0.6), (4, 0.7)]  # `Best val Acc` is none of them
    assert (run.progress.epoch, run.progress.total_epochs, run.progress.epochs_done) == (4, 4, 3)


def test_pytorch_tutorials() -> None:
    cifar = log("plain_cifar")
    assert [x for x, _ in cifar.steps("loss")] == [20, 40, 60, 80, 100, 120, 140, 160]
    mnist = log("plain_mnist")
    assert mnist.steps("loss") == [(1, 3.099286), (2, 3.921566), (3, 1.422567), (4, 0.867564)]
    assert mnist.steps("test_loss") == [(1, 1.883), (2, 0.2066)]
    assert (mnist.progress.epoch, mnist.progress.step) == (2, None)  # what it counts are samples


def test_iterations_without_epochs() -> None:
    run = log("plain_iter")
    assert run.steps("loss") == [(10, 2.031), (20, 0.631), (30, 0.129), (40, 0.07)] and len(run.steps("lr")) == 4
    assert (run.progress.total_steps, run.progress.total_steps_estimated) == (40, False)
    gpt = log("plain_nanogpt")
    assert [x for x, _ in gpt.steps("loss")] == [0, 5, 10, 15, 20, 25, 30]
    assert gpt.steps("val_loss") == [(0, 1.883), (10, 0.1143), (20, 0.0832), (30, 0.0711)]
    assert gpt.steps("train_loss")[0] == (0, 3.4424)


def test_json_lines() -> None:
    run = log("plain_json")
    assert run.steps("loss")[:2] == [(1, 3.09928560256958), (2, 4.208453178405762)] and len(run.steps("loss")) == 20
    assert run.steps("val/loss") == [(10, 1.8829638957977295), (20, 0.20659728348255157)]
    assert (run.progress.epoch, run.progress.step) == (2, 20)


def test_lines_of_pythons_logging() -> None:
    run = log("plain_logging")
    assert run.epochs("loss") == [(1, 3.4424), (2, 0.8677), (3, 0.1529)] and len(run.epochs("acc")) == 3
    levels = [output.parse(text).level for text in segments(LOGS / "plain_logging.log")]
    assert levels == [Level.INFO] * 3 + [Level.WARNING, Level.ERROR] + [Level.INFO] * 2
    assert run.faults == [] and run.progress.total_epochs == 3


def test_what_is_no_number() -> None:
    run = log("plain_nan")
    assert run.epochs("loss") == [(1, 3.4424), (2, None), (3, None)] and set(run.warnings) == {output.NOT_A_NUMBER}


# ---- libraries


@pytest.mark.parametrize(
    "name", ["keras_bar", "keras_lines", "keras_torch", "keras2", "keras2_lines", "keras_checkpoint"]
)
def test_keras(name: str) -> None:
    run = log(name)
    assert [x for x, _ in run.epochs("val_loss")] == [1, 2, 3] == [x for x, _ in run.epochs("accuracy")]
    assert {20, 40, 60} <= {x for x, _ in run.steps("loss")} <= set(range(1, 61))
    assert (run.progress.step, run.progress.total_steps, run.progress.total_epochs) == (60, 60, 3)
    assert run.progress.epochs_done == 3 and run.faults == []
    assert run.progress.time_per_step is not None and 0 < run.progress.time_per_step < 1


def test_keras_values() -> None:
    run = log("keras_lines")
    assert run.epochs("loss") == [(1, 0.7350), (2, 0.6920), (3, 0.6581)]  # not the 0.6424 of evaluate()
    assert run.epochs("val_accuracy") == [(1, 0.5156), (2, 0.5469), (3, 0.6406)]
    assert log("keras_tensorboard").epochs("lr") == [(1, 0.001), (2, 0.001), (3, 0.001)]
    assert log("keras_noval").names == {(n, a) for n in ("loss", "accuracy") for a in (STEP, EPOCH)}


def test_lightning_under_tqdm() -> None:
    run = log("lightning_tqdm")
    assert run.steps("train_loss") == [(10, 3.19), (20, 0.281), (30, 0.113)]
    assert run.steps("val/loss") == [(10, 1.88), (20, 1.88), (30, 0.207)]  # as the bar shows it
    assert (run.progress.epoch, run.progress.total_epochs, run.progress.step) == (3, 3, 30)
    assert run.progress.phase is Phase.EVALUATING and run.names == {("train_loss", STEP), ("val/loss", STEP)}


def test_lightning_under_rich() -> None:
    run = log("lightning_rich")
    assert run.series == {("train_loss", STEP): [(30, 0.113)], ("val/loss", STEP): [(30, 0.108)]}
    assert (run.progress.epoch, run.progress.total_epochs, run.progress.step) == (3, 3, 30)


def test_hugging_face() -> None:
    run = log("hf_trainer")
    losses = [(5, 0.6932), (10, 0.6926), (15, 0.6923), (20, 0.693), (25, 0.693), (30, 0.6927)]
    assert run.steps("loss") == losses
    assert run.steps("lr")[0] == (5, 4.333e-05) and run.steps("grad_norm")[-1] == (30, 0.2932)
    assert run.steps("eval_loss") == [(10, 0.6929), (20, 0.6926), (30, 0.6925)]
    assert run.steps("train_loss") == [(30, 0.6928)]
    assert (run.progress.step, run.progress.total_steps, run.progress.epoch) == (30, 30, 3)  # not the evaluation's 20


def test_hugging_face_without_a_bar() -> None:
    run = log("hf_notqdm")
    assert run.steps("loss") == list(enumerate([0.6932, 0.6926, 0.6923, 0.693, 0.693, 0.6927], 1))
    assert (run.progress.step, run.progress.epoch, run.progress.epochs_done) == (None, 3, 3)


def test_torchvisions_reference_scripts() -> None:
    run = log("torchvision")
    assert [x for x, _ in run.steps("loss")] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert run.steps("loss")[1] == (10, 2.3865) and run.steps("acc1")[-1] == (70, 51.0)
    assert run.steps("test_loss") == [(30, 0.1155), (70, 0.0752)] and run.steps("img/s")[0] == (0, 1234.5)
    assert (run.progress.epoch, run.progress.step) == (2, 70) and ("eta", STEP) not in run.names


# ---- bars of tqdm


def redraws(name: str) -> list[str]:
    """Every redraw, as if each was read in a turn of its own."""
    text = (LOGS / f"{name}.log").read_text("utf-8").replace("\n", "\r")
    return [part for part in text.split("\r") if part.strip()]


def test_a_bar_an_epoch() -> None:
    run = follow(redraws("tqdm_epochs"))
    assert run.progress.total_steps == 30 and run.progress.total_epochs == 3
    assert max(x for x, _ in run.steps("loss")) == 30 and run.names == {("loss", STEP), ("lr", STEP)}
    assert all(a < b for (a, _), (b, _) in pairwise(run.steps("loss")))  # one point a step, not one a redraw
    assert follow(redraws("tqdm_epochs") * 1).series == run.series
    assert log("tqdm_epochs").steps("loss") == [(10, 3.19), (20, 0.281), (30, 0.113)]


def test_a_bar_that_begins_anew_and_names_no_epoch() -> None:
    for run in (follow(redraws("tqdm_plain")), log("tqdm_plain")):
        assert run.steps("loss")[-1] == (30, 0.113) and run.progress.step == 30
        assert run.progress.total_steps is None  # nobody knows how often it will


def test_a_bar_over_all_steps() -> None:
    run = follow(redraws("tqdm_steps"))
    assert (run.progress.step, run.progress.total_steps) == (60, 60) and len(run.steps("grad norm")) <= 61
    assert log("tqdm_endless").steps("loss") == [(20, 0.526)]


def test_a_bar_of_epochs() -> None:
    run = follow(redraws("tqdm_outer"))
    assert run.epochs("loss") == [(1, 3.4424), (2, 0.8677), (3, 0.1529), (4, 0.1049), (5, 0.0875)]
    assert (run.progress.epochs_done, run.progress.total_epochs) == (5, 5)


def test_bars_that_count_something_else_say_nothing() -> None:
    for text in redraws("tqdm_epochs"):
        if text.startswith("Loading images"):
            assert output.parse(text) == PLAIN
        if text.startswith("Validating"):
            (event,) = output.parse(text).events
            assert event == Reading(phase=Phase.EVALUATING)


# ---- failures


FAULTS = {
    "shape": ["RuntimeError: mat1 and mat2 shapes cannot be multiplied (3x5 and 4x2)"],
    "import": ["ModuleNotFoundError: No module named 'a_module_that_is_not_there'"],
    "missing": ["FileNotFoundError: [Errno 2] No such file or directory: '/data/train/labels.csv'"],
    "syntax": ["SyntaxError: invalid syntax"],
    "caught": ["KeyError: 'missing'"],
    "chained": ["ValueError: invalid literal for int() with base 10: 'x'", "RuntimeError: the config is bad"],
}


@pytest.mark.parametrize("kind", FAULTS)
def test_the_last_line_of_a_traceback(kind: str) -> None:
    assert log(f"fail_{kind}").faults == FAULTS[kind]
    events = [e for text in segments(LOGS / f"fail_{kind}.log") for e in output.parse(text).events]
    assert not any(isinstance(event, Fault) and event.fatal for event in events)  # the script may have caught it


def test_levels_of_a_traceback_and_of_warnings() -> None:
    levels = [output.parse(text).level for text in segments(LOGS / "fail_shape.log")]
    assert levels[0] is Level.WARNING and levels[2] is levels[3] is levels[-1] is Level.ERROR
    absl = [output.parse(text).level for text in segments(LOGS / "fail_tensorflow_memory.log")]
    assert absl[1] is Level.INFO and absl[3] is Level.WARNING


# ---- what nobody meant to be read


@pytest.mark.parametrize(
    "line",
    [
        "", "loading data ...", "using 4 workers", "batch_size=32 num_workers=4", "listening on 0.0.0.0:8080",
        "loss improved from 0.5 to 0.4", "Total params: 161", "2026-11-21 13:12:53,505 INFO saved", "a: 1: 2",
        "version=2.1 seed=42", "[1/4] loading", "100%|##########| 10/10 [00:00<00:00, 3.2MB/s]", "{}", "[]", '{"a":',
        "epoch_time=3.2", "Best val Acc: 0.700000", '{"batch_size": 32, "name": "x"}', "Epochs:", "step",
    ],
)  # fmt: skip
def test_lines_that_carry_nothing(line: str) -> None:
    assert not [event for event in output.parse(line).events if isinstance(event, Reading) and event.values]


N = 64 * 1024
HOSTILE = [
    "step=" + "1" * N, "loss: " * N, "loss " * N, "a" * N, " " * N, "epoch" * N, "Epoch " * N, "{'" * N,
    "{'a': 1, " * N, '{"a":' * N, '{"a":' + "[" * 16000, '{"a": ' + "1" * 16000 + "}", "%|" * N, "1%|" + "█" * N,
    "10%|##| 1/2 [" * N, "val " * N + "loss=1", "A.b" * N, "Error: " * N, "a.A" * N, "│ loss │ " * N, "1/2 ━" * N,
    "1/2 00:00 • 0:00:00 " * N, "loss=1 " * N, "loss=." + "1" * N, "a=1" * N, "\t" * N, "/s 1it [" * N, "=1" * N,
    "100%|##| 5/5 [00:00<00:00, 1.0it/s, " + "a b=1, " * N + "]", "W0000 " * N, "test:" * N, '{"x":' * 900 + "1" + "}" * 900,
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_cost_little(line: str) -> None:
    times = []
    for _ in range(3):
        begin = time.thread_time()
        output.parse(line[:N])
        times.append(time.thread_time() - begin)
    assert min(times) < 0.05


def storable(run: Run) -> bool:
    numbers = [x for points in run.series.values() for x, _ in points]
    values = [value for points in run.series.values() for _, value in points if value is not None]
    counts = [run.progress.step, run.progress.epoch, run.progress.total_steps, run.progress.epochs_done]
    return all(0 <= n < 2**63 for n in (*numbers, *(c for c in counts if c))) and all(map(math.isfinite, values))


TOKENS = st.sampled_from(
    "epoch Epoch: step= loss=0.5 loss: acc [1/10] 3/5 [1, 20] {'loss': '0.4', } 50%|# 5/10 [00:01<00:02, 3.1it/s it["
    ' ━━━ │ nan inf 1e999 999999999999 99999999999999999999 -1 0 val test train {" "epoch": 1.5 , } ] | •'.split()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(TOKENS | st.text(max_size=8), max_size=12).map(" ".join), max_size=8))
def test_nothing_that_is_printed_breaks_it(texts: list[str]) -> None:
    run = follow(texts)
    assert storable(run)
    assert follow(texts).series == run.series


def test_names_are_bounded() -> None:
    run = follow([f"epoch={n} step={n} name_{n}=1 loss=0.5" for n in range(1, 2000)])
    assert len(run.names) == NAMES and len(run.steps("loss")) == 1999


def test_numbers_are_bounded() -> None:
    run = follow(
        [
            "epoch=999999999999999999999 step=99999999999999999999999 loss=1",
            '{"epoch": 1, "step": 123456789012345678901234567890, "loss": 1e999}',
            '{"epoch": 1e300, "loss": 1}', '{"epoch": -5, "step": -7, "loss": 1}', '{"step": true, "loss": false}',
            "epoch=999999999 step=999999999999/999999999999 loss=1e400",
        ]
    )  # fmt: skip
    assert storable(run)
