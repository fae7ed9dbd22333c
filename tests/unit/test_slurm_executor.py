"""The Slurm executor against a stand-in for Slurm's commands: what a real one shows only with luck."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from api.models.cluster import Node
from api.models.job import Command, Resources
from api.models.workspace import Workspace
from api.services.executors.base import RunState, Terms
from api.services.executors.slurm import Slurm, SlurmExecutor
from api.services.executors.slurm.commands import Row
from api.utils import training_wrapper as keeper


class Controller(Slurm):
    """Its jobs are in the state that `says`; `meanwhile` happens while it answers, after it has looked."""

    def __init__(self) -> None:
        super().__init__({})
        self.says: dict[int, str] = {}
        self.comments: dict[int, str] = {}
        self.cancelled: list[int] = []
        self.told: list[int] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def submit(self, flags: Sequence[str], *arguments: str) -> int:
        number = len(self.says) + 1
        self.says[number] = "PENDING"
        self.comments[number] = next(flag.partition("=")[2] for flag in flags if flag.startswith("--comment="))
        return number

    def jobs(self) -> dict[int, Row]:
        rows = {number: Row(number, state, "n1", self.comments[number], "None") for number, state in self.says.items()}
        self.meanwhile()
        return rows

    def cancel(self, job: int, *, tell: bool = False) -> None:
        (self.told if tell else self.cancelled).append(job)

    def nodes(self) -> tuple[Node, ...]:
        return ()


class Stand:
    def __init__(self, home: Path) -> None:
        self.slurm = Controller()
        self.executor = SlurmExecutor(self.slurm, patience=0.2)
        self.workspace = Workspace("job-1", 1, home / "control", home / "log", home, home)
        self.handle = self.executor.handle(self.workspace)

    def launch(self) -> None:
        self.executor.launch(Command(("/bin/true",), {}, "/"), self.workspace, Terms(Resources()))

    def begins(self) -> None:
        keeper.put(self.handle, keeper.PID, {"pid": 7, "started_at": 1.0})

    @property
    def state(self) -> RunState:
        return self.executor.poll(self.handle).state


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_what_begins_while_slurm_answers_was_not_requeued(stand: Stand) -> None:
    stand.launch()
    stand.slurm.meanwhile = stand.begins
    stand.executor.turn()
    assert not stand.slurm.cancelled
    stand.slurm.says[1] = "RUNNING"
    stand.executor.turn()
    assert stand.state is RunState.RUNNING and not stand.slurm.cancelled


def test_what_slurm_put_back_after_it_began_is_withdrawn(stand: Stand) -> None:
    stand.launch()
    stand.begins()
    stand.executor.turn()
    assert stand.slurm.cancelled == [1]
    assert (stand.state, str(stand.executor.poll(stand.handle).note)[:16]) == (RunState.VANISHED, "Slurm put it bac")


def test_a_launch_cut_short_finds_the_one_of_two_that_has_begun(stand: Stand) -> None:
    """An sbatch that was believed to have failed left the first."""
    stand.launch()
    stand.slurm.submit([f"--comment={stand.slurm.comments[1]}"])
    stand.slurm.submit([f"--comment={stand.slurm.comments[1]}"])
    stand.slurm.says = {1: "FAILED", 2: "PENDING", 3: "RUNNING"}
    Path(stand.handle, SlurmExecutor.record).unlink()
    again = Stand(stand.workspace.control.parent)
    again.slurm = again.executor._slurm = stand.slurm
    again.launch()
    assert stand.slurm.cancelled == [2] and len(stand.slurm.says) == 3
    again.executor.turn()
    assert again.executor._tracks[again.handle].job == 3


def test_a_directory_that_was_taken_away_keeps_no_other_job_from_being_heard_of(stand: Stand) -> None:
    stand.launch()
    shutil.rmtree(stand.handle)
    stand.slurm.says[1] = "CANCELLED"
    stand.executor.turn()
    assert not stand.executor._tracks


def test_a_stop_is_told_again_only_where_it_is_to_come_sooner(stand: Stand) -> None:
    stand.launch()
    stand.begins()
    stand.slurm.says[1] = "RUNNING"
    for grace, times in ((60, 1), (60, 1), (600, 1), (5, 2)):
        stand.executor.stop(stand.handle, grace)
        stand.executor.turn()
        assert stand.slurm.told == [1] * times
    assert not stand.slurm.cancelled


def test_nothing_is_known_before_slurm_has_answered(stand: Stand) -> None:
    stand.executor._slurm = Slurm({"PATH": "/nowhere"})
    assert stand.executor.problem() == "this service stands by and does not ask Slurm"
    stand.executor.start()
    try:
        assert (
            stand.executor.problem() == "Slurm cannot be asked: scontrol cannot be started: No such file or directory"
        )
    finally:
        while not stand.executor.close():
            pass
