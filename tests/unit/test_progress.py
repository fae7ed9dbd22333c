"""Progress: what the events of an attempt add up to, and how it is shown. Numbers are measured or null."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.models.events import Advance, Axis, Metric
from api.models.job import JobStatus, Phase
from api.models.progress import Progress, duration, shown

RUNNING = JobStatus.RUNNING


def after(*events: Advance | Metric, start: Progress | None = None) -> Progress:
    progress = start or Progress()
    for event in events:
        progress = progress.advance(event) if isinstance(event, Advance) else progress.measure([event])
    return progress


def epoch(number: int, **more: Any) -> Advance:
    return Advance(epoch=number, **more)


def steps(first: int, last: int) -> list[Advance]:
    return [Advance(step=step) for step in range(first, last + 1)]


def view(
    progress: Progress, status: JobStatus = RUNNING, ended: float | None = None, now: float = 100.0
) -> dict[str, Any]:
    return shown(progress, status, 10.0, ended, now)


# ---- epochs and totals


def test_nothing_is_known_before_the_first_line() -> None:
    group = shown(Progress(), JobStatus.QUEUED, None, None, 5.0)
    assert not any(value for value in group.values())
    assert group["overall_progress"] is None and group["training_time"] is None


def test_the_first_epoch_is_counted_from_the_first_step() -> None:
    progress = after(*steps(1, 3))
    assert (progress.epoch, progress.current_epoch()) == (None, 1)
    assert view(progress)["current_batch"] == 3


def test_steps_per_epoch_are_learnt_when_the_second_begins() -> None:
    progress = after(epoch(1, total_epochs=5), *steps(1, 7))
    assert (progress.steps_per_epoch, progress.total_steps) == (None, None)
    progress = after(epoch(2), start=progress)
    assert (progress.steps_per_epoch, progress.total_steps, progress.total_steps_estimated) == (7, 35, True)
    group = view(after(*steps(8, 9), start=progress))
    assert (group["current_batch"], group["total_batches"], group["epoch_progress"]) == (2, 7, 28.57)
    assert (group["current_epoch"], group["overall_progress"]) == (2, 25.71)


def test_a_trainer_that_names_no_first_epoch() -> None:
    assert after(Advance(total_epochs=2), *steps(1, 4), epoch(2)).total_steps == 8


def test_a_step_that_comes_with_its_epoch_belongs_to_it() -> None:
    both = [Advance(epoch=1 + (s - 1) // 5, step=s, batch=1 + (s - 1) % 5, total_epochs=4) for s in range(1, 7)]
    progress = after(*both)
    assert (progress.steps_per_epoch, progress.total_steps, progress.batch) == (5, 20, 1)


def test_a_limit_of_steps_is_all_that_is_known_until_the_epochs_are() -> None:
    begun = after(Advance(total_epochs=3, max_steps=1000), epoch(1), *steps(1, 4))
    assert (begun.total_steps, begun.total_steps_estimated) == (1000, True)
    progress = after(epoch(2), start=begun)
    assert (progress.total_steps, progress.total_steps_estimated) == (12, True)


def test_a_limit_that_the_epochs_do_not_reach_is_no_estimate() -> None:
    progress = after(Advance(total_epochs=3, max_steps=6), epoch(1), *steps(1, 4), epoch(2), *steps(5, 6))
    assert (progress.total_steps, progress.total_steps_estimated) == (6, False)


def filed(progress: Progress, *told: Metric) -> Progress:
    for metric in told:
        progress = progress.filed(metric)
    return progress


def test_steps_that_the_log_leaves_out_make_no_length_of_an_epoch() -> None:
    """steps_per_print 10, 16 steps an epoch: what the log tells at the ends of epochs are the steps 10, 30 and 40."""
    told = (Advance(step=10), epoch(2), Advance(step=20), Advance(step=30), epoch(3), Advance(step=40))
    progress = after(Advance(total_epochs=3, steps_apart=10), *told)
    assert (progress.steps_per_epoch, progress.total_steps) == (None, None)
    assert view(progress)["current_batch"] is None and view(progress)["overall_progress"] is None


def test_event_files_tell_how_long_an_epoch_is() -> None:
    whole = [Metric("train/loss", 0.5, step, at=1.0) for step in range(1, 17)]
    end = Metric("loss", 0.5, epoch=1, axis=Axis.EPOCH, at=1.0)
    progress = after(Advance(total_epochs=3, steps_apart=10), Advance(step=10), epoch(2))
    progress = filed(progress, *whole, end)
    assert (progress.step, progress.steps_per_epoch, progress.total_steps) == (16, 16, 48)
    assert view(after(Advance(step=20), start=progress))["current_batch"] == 4
    assert filed(progress, Metric("loss", 0.4, epoch=2, axis=Axis.EPOCH, at=1.0)) == progress


def test_event_files_that_leave_out_steps_tell_nothing() -> None:
    thin = [Metric("train/loss", 0.5, step, at=1.0) for step in (3, 6, 9)]
    progress = filed(after(Advance(total_epochs=3)), *thin, Metric("loss", 0.5, epoch=1, axis=Axis.EPOCH, at=1.0))
    assert (progress.steps_per_epoch, progress.total_steps) == (None, None)


def test_what_the_trainer_says_wins_over_an_estimate() -> None:
    progress = after(Advance(total_epochs=3), epoch(1), *steps(1, 4), epoch(2))
    assert progress.total_steps == 12
    progress = after(Advance(total_steps=11), epoch(3), start=progress)
    assert (progress.total_steps, progress.total_steps_estimated) == (11, False)


def test_an_estimate_is_never_less_than_what_was_done() -> None:
    progress = after(Advance(total_epochs=2), epoch(1), *steps(1, 4), epoch(2), *steps(5, 11))
    assert progress.total_steps == 11 and view(progress)["overall_progress"] == 99.99


def test_nothing_goes_back() -> None:
    progress = after(epoch(3), Advance(step=30))
    assert after(epoch(2), Advance(step=29), Advance(step=30), epoch(3), start=progress) == progress


# ---- a resume


CARRIED = {"total_epochs": 6, "total_steps": 60, "total_steps_estimated": True, "steps_per_epoch": 10}


def test_a_resume_goes_on_where_it_was() -> None:
    progress = after(Advance(epoch=3, step=24), *steps(25, 26), start=Progress.from_dict(CARRIED))
    assert (progress.base_step, progress.total_steps, progress.steps_per_epoch) == (23, 60, 10)
    assert (progress.epoch_start_step, view(progress)["current_batch"]) == (20, 6)
    assert after(epoch(4), start=progress).steps_per_epoch == 10


def test_a_finished_training_that_is_resumed_is_in_no_epoch_behind_the_last() -> None:
    progress = after(Advance(epoch=7, step=60), start=Progress.from_dict(CARRIED))
    assert view(progress)["current_epoch"] == 6


def test_a_resume_inside_an_epoch_of_unknown_length_learns_from_the_next_whole_one() -> None:
    progress = after(Advance(epoch=2, step=17, total_epochs=4), *steps(18, 20))
    assert view(progress)["current_batch"] is None
    progress = after(epoch(3), start=progress)
    assert progress.steps_per_epoch is None and progress.total_steps is None
    progress = after(*steps(21, 30), epoch(4), start=progress)
    assert (progress.steps_per_epoch, progress.total_steps) == (10, 40)


def test_a_resume_in_the_first_epoch_does_not_take_its_rest_for_the_whole() -> None:
    assert after(*steps(6, 10), epoch(2)).steps_per_epoch is None


# ---- values


def test_losses() -> None:
    values = [3.0, 2.0, None, 4.0]
    progress = after(*(Metric("loss", value, step) for step, value in enumerate(values, 1)))
    assert (progress.loss, progress.best_loss) == (4.0, 2.0)
    progress = after(Metric("loss", None, 9), start=progress)
    assert (progress.loss, progress.best_loss) == (None, 2.0)


def test_epoch_losses() -> None:
    losses = [(1, 0.9), (2, 0.5), (3, None), (4, 0.7)]
    progress = after(*(Metric("loss", value, epoch=number, axis=Axis.EPOCH) for number, value in losses))
    assert (progress.epoch_loss, progress.best_epoch, progress.best_epoch_loss, progress.loss) == (0.7, 2, 0.5, None)


def test_other_metrics() -> None:
    progress = after(Metric("lr", 1e-4, 1), Metric("grad_norm", 2.0, 1), Metric("eval/loss", 9.0, 1))
    assert (progress.learning_rate, progress.grad_norm, progress.loss) == (1e-4, 2.0, None)


# ---- shown


@pytest.mark.parametrize("status", list(JobStatus))
def test_only_the_completed_are_at_100(status: JobStatus) -> None:
    progress = Progress(step=10, total_steps=10, epoch=1, epoch_start_step=0, steps_per_epoch=10)
    assert (view(progress, status)["overall_progress"] == 100.0) is (status is JobStatus.COMPLETED)
    assert view(Progress(), status)["overall_progress"] == (100.0 if status is JobStatus.COMPLETED else None)


def test_the_estimate_of_the_end() -> None:
    progress = Progress(step=10, total_steps=40, time_per_step=2.5)
    group = view(progress)
    assert (group["eta_seconds"], group["eta_formatted"]) == (75.0, "1m 15s")
    assert view(progress, JobStatus.STOPPED, 20.0)["eta_seconds"] is None
    for unknown in ({"step": None}, {"total_steps": None}, {"time_per_step": None}):
        assert view(Progress.from_dict(progress.to_dict() | unknown))["eta_seconds"] is None
    assert view(Progress(step=50, total_steps=40, time_per_step=2.5))["eta_seconds"] == 0.0


def test_the_time_that_it_took() -> None:
    assert view(Progress(), now=100.0)["training_time"] == 90.0
    assert view(Progress(), JobStatus.FAILED, 40.0, now=999.0)["training_time_formatted"] == "30s"
    assert view(Progress(), now=5.0)["training_time"] == 0.0  # the clock was set back


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (59.9, "59s"), (60, "1m 0s"), (245, "4m 5s"), (3600, "1h 0m 0s"), (3661, "1h 1m 1s"),
        (360_000, "100h 0m 0s"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# ---- kept


small = st.one_of(st.none(), st.integers(0, 50))
advances = st.builds(
    Advance, phase=st.one_of(st.none(), st.sampled_from(Phase)), epoch=small, total_epochs=small, step=small,
    total_steps=small, batch=small, total_batches=small,
    samples_per_second=st.none(), time_per_step=st.one_of(st.none(), st.floats(0, 100)),
)  # fmt: skip
measures = st.builds(
    Metric, st.sampled_from(["loss", "lr", "grad_norm"]), st.one_of(st.none(), st.floats(-1e6, 1e6)), small, small,
    st.sampled_from(Axis),
)  # fmt: skip


@given(st.lists(st.one_of(advances, measures)))
def test_any_progress_survives_json_and_never_goes_back(events: list[Advance | Metric]) -> None:
    progress = Progress()
    for event in events:
        before, progress = progress, after(event, start=progress)
        assert Progress.from_dict(json.loads(json.dumps(progress.to_dict(), allow_nan=False))) == progress
        assert (progress.step or 0) >= (before.step or 0) and (progress.epoch or 0) >= (before.epoch or 0)
        group = view(progress)
        for share in (group["overall_progress"], group["epoch_progress"]):
            assert share is None or 0 <= share <= 100
        assert group["overall_progress"] != 100.0
        assert group["current_batch"] is None or group["current_batch"] >= 0


def test_what_an_older_version_kept_is_read() -> None:
    assert Progress.from_dict({}) == Progress()
    assert Progress.from_dict({"of": "tomorrow", "step": 3, "faults": ["x"]}) == Progress(step=3, faults=("x",))


def test_unknowns_are_not_kept() -> None:
    assert Progress().to_dict() == {"phase": "queued"}
    assert Progress(loss=0.0, step=0, finished=True).to_dict() == {
        "phase": "queued", "loss": 0.0, "step": 0, "finished": True,
    }  # fmt: skip
