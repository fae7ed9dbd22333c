"""The executors' suite over a real Slurm, and what only Slurm can show."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.models.job import Command, Resources
from api.services.executors.base import LaunchError, Observation, RunState, Terms
from api.services.executors.local import PYTHON, LocalExecutor
from api.services.executors.slurm import Choices, Slurm, SlurmExecutor
from api.services.executors.slurm import executor as module
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable
from tests.contract.cluster import EVERY, ClusterBench
from tests.contract.test_executors import ENDED, ENV
from tests.slurm.cluster import Cluster

globals().update({test.__name__: test for test in EVERY})
pytestmark = pytest.mark.slurm


class SlurmBench(ClusterBench):
    def __init__(self, directory: Path, cluster: Cluster, choices: Choices | None = None) -> None:
        super().__init__(directory)
        self.cluster = cluster
        self.choices = choices or Choices()
        self.executor: SlurmExecutor = self.another()

    def another(self) -> SlurmExecutor:
        made = SlurmExecutor(Slurm(self.cluster.environ), self.choices, linger=0.3, interval=0.1, patience=1.0)
        made.start()
        return made

    def number(self, handle: str) -> int:
        return int(self.record(handle, SlurmExecutor.record)["job"])


@pytest.fixture
def bench(slurm: Cluster, tmp_path: Path) -> Iterator[SlurmBench]:
    made = SlurmBench(tmp_path, slurm)
    yield made
    made.close()


# --- what a job finds, and what is asked for --------------------------------------------------------------------------


def test_resources_priority_and_time_are_handed_on(bench: SlurmBench) -> None:
    workspace = bench.workspace()
    terms = Terms(
        Resources(gpus=1, cpus=2, memory=300 << 20), name="a name\n#SBATCH --uid=0; $(id)", priority=4, max_runtime=600
    )
    bench.executor.launch(Command(("/bin/sleep", "60"), ENV, "/"), workspace, terms)
    number = bench.number(bench.executor.handle(workspace))
    shown = bench.cluster.run("scontrol", "-o", "-d", "show", "job", str(number))
    for words in ("NumCPUs=2", "mem=300M", "TresPerNode=gres:gpu:1", "TimeLimit=00:11:00", "Nice=600", "Requeue=0"):
        assert words in shown, words
    assert "JobName=a_name_SBATCH_--uid_0_id" in shown and f":{workspace.job_id}.1 " in shown


def test_the_devices_are_those_that_slurm_gave(bench: SlurmBench) -> None:
    workspaces = [bench.workspace(), bench.workspace()]
    env = {**ENV, "CUDA_VISIBLE_DEVICES": "7", "SECRET": "ü$x\n=1"}
    for workspace in workspaces:
        command = Command(
            ("/bin/sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES $SECRET ${SLURM_NTASKS-none}"; sleep 60'), env, "/"
        )
        bench.executor.launch(command, workspace, Terms(Resources(gpus=1)))
    bench.until(lambda: all(bench.log(workspace).count("\n") == 2 for workspace in workspaces))
    seen = sorted(bench.log(workspace) for workspace in workspaces)
    assert seen == [f"{gpu} ü$x\n=1 none\n" for gpu in (0, 1)]
    bench.until(lambda: bench.executor.state().nodes and all(g.job for g in bench.executor.state().nodes[0].gpus), 20)
    assert {gpu.job for gpu in bench.executor.state().nodes[0].gpus} == {w.job_id for w in workspaces}
    shown = bench.cluster.run("scontrol", "show", "job", str(bench.number(bench.executor.handle(workspaces[0]))))
    assert "SECRET" not in shown


def test_a_job_may_choose_what_an_admin_allows(slurm: Cluster, tmp_path: Path) -> None:
    choices = Choices(partition="main", allow={"partition": frozenset({"brief"})}, extra=("--mem=150M",))
    bench = SlurmBench(tmp_path, slurm, choices)
    try:
        bench.executor.check_placement({"partition": "brief"})
        for wrong in ({"partition": "main"}, {"qos": "high"}, {"uid": "0"}):
            with pytest.raises(Forbidden):
                bench.executor.check_placement(wrong)
        workspace = bench.workspace()
        terms = Terms(placement={"partition": "brief"})
        bench.executor.launch(Command(("/bin/sleep", "60"), ENV, "/"), workspace, terms)
        shown = bench.cluster.run("scontrol", "show", "job", str(bench.number(bench.executor.handle(workspace))))
        assert "Partition=brief" in shown and "mem=150M" in shown
    finally:
        bench.close()


def test_what_slurm_refuses_is_told_in_its_words(bench: SlurmBench) -> None:
    bench.executor._choices = Choices(partition="nowhere")
    with pytest.raises(LaunchError, match=r"Slurm refuses it: .*[Ii]nvalid partition"):
        bench.start("/bin/true")


# --- the queue is Slurm's ---------------------------------------------------------------------------------------------


def test_one_that_stands_by_reads_what_another_wrote_and_takes_over(bench: SlurmBench) -> None:
    handle = bench.runs()
    held = bench.workspace()
    waiting = bench.executor.handle(held)
    bench.executor.launch(Command(("/bin/true",), ENV, "/"), held, Terms(held=True))
    second = SlurmExecutor(Slurm(bench.cluster.environ), linger=0.3, interval=0.1, patience=1.0)
    records = [Path(each, SlurmExecutor.record).read_bytes() for each in (handle, waiting)]
    silence = "this service stands by and does not ask Slurm"
    assert second.poll(handle).state is RunState.RUNNING
    assert (second.poll(waiting).state, second.poll(waiting).note) == (RunState.PENDING, silence)
    assert second.problem() == second.state().problem == silence and not second.state().nodes
    assert [Path(each, SlurmExecutor.record).read_bytes() for each in (handle, waiting)] == records

    bench.executor.amend(waiting, Terms())  # released by the first
    bench.until(lambda: bench.state(waiting) is RunState.EXITED)
    assert second.poll(waiting).state is RunState.EXITED
    bench.until(bench.executor.close)
    second.start()
    try:
        assert second.poll(handle).state is RunState.RUNNING
        bench.until(lambda: second.problem() is None)
        second.stop(handle, 1)
        bench.until(lambda: second.poll(handle).state is RunState.EXITED)
    finally:
        bench.until(second.close)


def test_what_waits_is_pending_with_the_reason_and_can_be_withdrawn(bench: SlurmBench) -> None:
    first = [bench.start("/bin/sleep", "60", cpus=2, memory=100 << 20)[0] for _ in range(2)]
    bench.until(lambda: all(bench.state(handle) is RunState.RUNNING for handle in first))
    waiting, workspace = bench.start("/bin/sh", "-c", "echo ran", cpus=2, memory=100 << 20)
    told = "is the next, and waits for resources (Resources)"
    bench.until(lambda: bench.executor.poll(waiting).note == told)
    bench.executor.amend(waiting, Terms(priority=9, held=True))
    bench.until(lambda: "JobHeld" in str(bench.executor.poll(waiting).note))
    assert "Nice=100" in bench.cluster.run("scontrol", "show", "job", str(bench.number(waiting)))
    bench.restart()
    bench.until(lambda: "JobHeld" in str(bench.executor.poll(waiting).note))
    bench.executor.amend(waiting, Terms(priority=9))
    bench.until(lambda: "JobHeld" not in str(bench.executor.poll(waiting).note))
    bench.executor.stop(waiting, 0)
    seen = bench.end(waiting)
    assert (seen.state, seen.exit_code, seen.error) == (RunState.EXITED, None, "stopped before start")
    assert not bench.log(workspace)


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_a_service_that_starts_again_learns_the_code(bench: SlurmBench, tmp_path: Path) -> None:
    handle, workspace = bench.sh(f"echo a; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; echo b; exit 7")
    bench.prints(workspace)
    bench.restart()
    assert bench.state(handle) is RunState.RUNNING
    (tmp_path / "go").touch()
    assert bench.end(handle).exit_code == 7 and bench.log(workspace) == "a\nb\n"


def test_a_launch_cut_short_after_sbatch_is_found_again_and_starts_once(bench: SlurmBench) -> None:
    handle, workspace = bench.sh("echo once; sleep 60")
    number = bench.number(handle)
    bench.prints(workspace)
    Path(handle, SlurmExecutor.record).unlink()
    bench.restart()
    assert bench.state(handle) is RunState.ABSENT
    bench.sh("echo once; sleep 60", workspace)
    assert bench.number(handle) == number and bench.log(workspace) == "once\n"
    bench.until(lambda: bench.state(handle) is RunState.RUNNING)


def test_a_stop_reaches_a_launch_that_was_cut_short(bench: SlurmBench) -> None:
    handle = bench.runs()
    Path(handle, SlurmExecutor.record).unlink()
    bench.restart()
    bench.executor.stop(handle, 0)
    assert bench.end(handle).exit_code in (-9, -15)


def test_what_was_begun_on_this_machine_is_followed_to_its_end(bench: SlurmBench) -> None:
    workspace = bench.workspace()
    here = LocalExecutor(linger=0.3)
    here.launch(Command(("/bin/sh", "-c", "echo up; exec sleep 60"), ENV, "/"), workspace, Terms())
    bench.prints(workspace)
    handle = bench.executor.handle(workspace)
    bench.executor.launch(Command(("/bin/sh", "-c", "echo twice"), ENV, "/"), workspace, Terms())
    assert bench.state(handle) is RunState.RUNNING
    bench.executor.stop(handle, 5)
    assert bench.end(handle).exit_code == -15 and bench.log(workspace) == "up\n"


def test_the_batch_script_runs_once_even_if_slurm_runs_it_twice(bench: SlurmBench) -> None:
    handle, workspace = bench.sh("echo once; exit 3")
    assert bench.end(handle).exit_code == 3
    argv = [
        "/bin/sh",
        str(Path(module.__file__).with_name("batch.sh")),
        bench.executor._python,
        keeper.__file__,
        handle,
    ]
    assert os.spawnv(os.P_WAIT, "/bin/sh", argv) == 75
    assert bench.log(workspace) == "once\n"


def test_a_keeper_that_is_killed_takes_the_job_along(bench: SlurmBench) -> None:
    handle = bench.runs()
    record = bench.record(handle)
    os.kill(record["keeper"], signal.SIGKILL)
    seen = bench.end(handle)
    assert (seen.state, seen.exit_code) == (RunState.VANISHED, None)
    assert "its keeper on n" in str(seen.note)
    bench.until(lambda: not Path(f"/proc/{record['pid']}").exists())


def test_a_node_that_goes_down_is_told_truly(bench: SlurmBench) -> None:
    handle = bench.runs()
    node = bench.until(lambda: bench.cluster.run("squeue", "-h", "-o", "%N", "-j", str(bench.number(handle))).strip())
    bench.cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=fire in the rack")
    try:
        seen = bench.end(handle)
        assert (seen.state, seen.note) == (RunState.VANISHED, f"its node failed ({node}, NODE_FAIL)")
        bench.until(lambda: any(not each.up for each in bench.executor.state().nodes), 20)
        down = next(each for each in bench.executor.state().nodes if each.name == node)
        assert str(down.reason).startswith("fire in the rack")
    finally:
        bench.cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        bench.until(bench.cluster.idle, 30)


def test_somebody_elses_scancel_is_not_our_stop(bench: SlurmBench) -> None:
    handle = bench.runs()
    bench.cluster.run("scancel", str(bench.number(handle)))
    seen = bench.end(handle)
    assert seen.exit_code == -15 and seen.note == "was cancelled in Slurm, and not by this service"


def test_a_controller_that_is_away_is_told_of_and_loses_nothing(bench: SlurmBench, tmp_path: Path) -> None:
    handle, workspace = bench.sh(f"echo a; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; exit 6")
    bench.prints(workspace)
    bench.executor._slurm._seconds = 2.0
    controller = bench.cluster.controller
    assert controller is not None
    controller.send_signal(signal.SIGSTOP)
    try:
        told = bench.until(bench.executor.problem, 40)  # a question under way has the patience of before
        assert re.fullmatch(r"Slurm cannot be asked: .+ (did not answer within 2 s|timed out .+)", told)
        assert bench.state(handle) is RunState.RUNNING
        with pytest.raises(Unavailable, match="sbatch did not answer within 2 s"):
            bench.start("/bin/true")
        (tmp_path / "go").touch()
        assert bench.end(handle).exit_code == 6
    finally:
        controller.send_signal(signal.SIGCONT)
    bench.until(lambda: bench.executor.problem() is None, 40)


# --- limits -----------------------------------------------------------------------------------------------------------

EATER = "import time; x = bytearray(400 << 20); print('up', flush=True); time.sleep(60)"


def test_over_its_memory_it_is_ended_and_told(bench: SlurmBench) -> None:
    handle, _ = bench.start(PYTHON, "-I", "-S", "-c", EATER, cpus=1, memory=60 << 20)
    assert bench.end(handle).oom_killed


def test_over_its_time_limit_it_is_ended_and_told(bench: SlurmBench) -> None:
    handle, workspace = bench.sh("echo up; exec sleep 600")
    bench.prints(workspace)
    bench.cluster.run("scontrol", "update", f"JobId={bench.number(handle)}", "EndTime=now+5")  # not the past
    bench.until(lambda: bench.state(handle) in ENDED, 90)  # Slurm looks at its clock twice a minute
    seen = bench.executor.poll(handle)
    assert (seen.state, seen.timed_out) == (RunState.EXITED, True)
    assert seen.note == "Slurm ended it at its time limit (TIMEOUT)"


def test_poll_asks_nobody(bench: SlurmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = bench.runs()

    def refused(*_: object) -> None:
        raise AssertionError("a poll must not start a command")

    with monkeypatch.context() as patched:
        patched.setattr(Slurm, "_run", refused)
        bench.until(bench.executor.close)
        assert bench.executor.poll(handle).state is RunState.RUNNING
        assert isinstance(bench.executor.poll(handle), Observation)
    bench.executor = bench.another()


def test_forgotten_records_are_gone(bench: SlurmBench) -> None:
    handle = bench.ends(0)
    bench.end(handle)
    assert json.loads(Path(handle, keeper.EXIT).read_text())["code"] == 0
    bench.executor.forget(handle)
    assert not Path(handle).exists()
