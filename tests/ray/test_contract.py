"""The executors' suite over a real Ray, and what only Ray can show."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.models.job import Command, Resources
from api.services.executors.base import LaunchError, RunState, Terms
from api.services.executors.ray import Ray, RayExecutor
from api.services.executors.ray.submission import BEGAN
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable
from tests.contract.cluster import EVERY, ClusterBench
from tests.contract.test_executors import ENV
from tests.ray.cluster import CPUS, GPUS, MEMORY, Cluster, until

globals().update({test.__name__: test for test in EVERY})
pytestmark = pytest.mark.ray


class RayBench(ClusterBench):
    def __init__(self, directory: Path, cluster: Cluster) -> None:
        super().__init__(directory)
        self.cluster = cluster
        self.executor: RayExecutor = self.another()

    def another(self) -> RayExecutor:
        made = RayExecutor(self.cluster.client, linger=0.3, interval=0.1, patience=1.0)
        made.start()
        until(lambda: made.state().at or made._failures, 20, "what Ray has")
        return made

    def idle(self) -> bool:
        """As Ray reports it: what the test before has used may be in its report yet."""
        return all(
            not node.cpus_used and not any(gpu.busy for gpu in node.gpus) for node in self.executor.state().nodes
        )

    def name(self, handle: str) -> str:
        return str(self.record(handle, RayExecutor.record)["name"])


@pytest.fixture
def bench(ray: Cluster, tmp_path: Path) -> Iterator[RayBench]:
    made = RayBench(tmp_path, ray)
    made.until(made.idle)
    yield made
    made.close()


# --- what a job finds, and what is asked for --------------------------------------------------------------------------


def test_resources_are_handed_on_and_the_environment_is_not_shown(bench: RayBench) -> None:
    workspaces = [bench.workspace(), bench.workspace()]
    env = {**ENV, "CUDA_VISIBLE_DEVICES": "7", "SECRET": "ü$x\n=1"}
    script = 'echo "$CUDA_VISIBLE_DEVICES $SECRET ${RAY_AUTH_TOKEN-none}"; sleep 60'
    for workspace in workspaces:
        terms = Terms(Resources(gpus=1, cpus=1, memory=300 << 20), name="$(id)\n", priority=4)
        bench.executor.launch(Command(("/bin/sh", "-c", script), env, "/"), workspace, terms)
    bench.until(lambda: all(bench.log(workspace).count("\n") == 2 for workspace in workspaces))
    assert sorted(bench.log(workspace) for workspace in workspaces) == [f"{gpu} ü$x\n=1 none\n" for gpu in (0, 1)]
    shown = bench.cluster.raw(bench.name(bench.executor.handle(workspaces[0])))
    assert "SECRET" not in str(shown) and shown["metadata"]["trainyard_job"] == workspaces[0].job_id
    bench.until(lambda: all(gpu.job for gpu in bench.executor.state().nodes[0].gpus))
    node = bench.executor.state().nodes[0]
    assert {gpu.job for gpu in node.gpus} == {workspace.job_id for workspace in workspaces}
    assert (node.cpus, node.cpus_used, node.memory, node.memory_used) == (CPUS, 2, MEMORY, 600 << 20)
    usage = bench.until(
        lambda: (found := bench.cluster.client.status()["loadMetricsReport"]["usage"])["CPU"][0] == 2 and found
    )
    assert (usage["GPU"], usage["memory"][0]) == ([2.0, float(GPUS)], 2 * float(300 << 20))
    with pytest.raises(Unavailable, match="no node of the cluster has room for all of it now"):
        bench.start("/bin/true", cpus=1, memory=1 << 20)


def test_what_is_given_back_can_be_had_at_once(bench: RayBench) -> None:
    """Ray's own report is up to five seconds old."""
    for _ in range(2):
        handle, _ = bench.start("/bin/true", cpus=CPUS, memory=200 << 20)
        assert bench.end(handle).exit_code == 0


def test_there_is_nothing_to_choose(bench: RayBench) -> None:
    bench.executor.check_placement({})
    with pytest.raises(Forbidden, match=r"placement\.partition"):
        bench.executor.check_placement({"partition": "main"})


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_a_service_that_starts_again_learns_the_code(bench: RayBench, tmp_path: Path) -> None:
    handle, workspace = bench.sh(f"echo a; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; echo b; exit 7")
    bench.prints(workspace)
    bench.restart()
    assert bench.state(handle) is RunState.RUNNING
    (tmp_path / "go").touch()
    assert bench.end(handle).exit_code == 7 and bench.log(workspace) == "a\nb\n"
    name = bench.name(handle)
    bench.until(lambda: bench.cluster.client.job(name) is None)  # Ray's list does not grow


def test_a_launch_cut_short_after_the_submission_is_found_again_and_starts_once(bench: RayBench) -> None:
    handle, workspace = bench.sh("echo once; sleep 60")
    bench.prints(workspace)
    bench.until(bench.executor.close)
    Path(handle, RayExecutor.record).unlink()
    bench.executor = bench.another()
    assert bench.state(handle) is RunState.ABSENT
    bench.sh("echo once; sleep 60", workspace)
    assert bench.state(handle) is RunState.RUNNING and bench.log(workspace) == "once\n"


def test_what_was_stopped_before_ray_began_it_never_runs(bench: RayBench) -> None:
    handle, workspace = bench.sh("echo ran")
    bench.executor.stop(handle, 0)
    seen = bench.end(handle)
    if Path(handle, keeper.PID).exists():  # Ray was faster
        pytest.skip("it had begun")
    assert (seen.state, seen.exit_code, seen.error) == (RunState.EXITED, None, "stopped before start")
    bench.until(lambda: not bench.executor._tracks)
    assert not bench.log(workspace) and Path(handle, BEGAN).exists()


def test_a_keeper_that_is_killed_takes_the_job_along(bench: RayBench) -> None:
    handle = bench.runs()
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal() and _is_keeper(each, handle)]
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGKILL)
    seen = bench.end(handle)
    assert (seen.state, seen.exit_code) == (RunState.VANISHED, None)
    assert str(seen.note).startswith("was lost on 127.0.0.2: ")


def _is_keeper(entry: Path, handle: str) -> bool:
    """By its arguments: the numbers that it has in its namespace are others here."""
    try:
        argv = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return keeper.__file__.encode() in argv and handle.encode() in argv


def test_somebody_elses_stop_is_not_ours(bench: RayBench) -> None:
    handle = bench.runs()
    bench.cluster.client.stop(bench.name(handle))
    seen = bench.end(handle)
    assert seen.exit_code == -15 and seen.note == "was stopped in Ray, and not by this service"


def test_an_interpreter_that_the_node_lacks_is_told(bench: RayBench) -> None:
    bench.executor._python = "/no/such/python"
    seen = bench.end(bench.start("/bin/true")[0])
    assert seen.state is RunState.EXITED and "/no/such/python" in str(seen.error)


# --- the wrong Ray ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "told"),
    [("", "asks for a token (TRAINYARD_RAY_TOKEN)"), ("wrong", "does not know the token (TRAINYARD_RAY_TOKEN)")],
)
def test_a_wrong_token_is_told(bench: RayBench, token: str, told: str) -> None:
    bench.until(bench.executor.close)
    right, wrong = bench.cluster.client, Ray(bench.cluster.address, token)
    bench.cluster.client = wrong
    try:
        bench.executor = bench.another()
        assert str(bench.executor.problem()).endswith(f"{bench.cluster.address} {told}")
        assert [fine for fine, _ in bench.executor.check()] == [False]
    finally:
        bench.cluster.client = right


def test_a_token_that_was_changed_fails_the_job_and_an_address_that_is_silent_does_not(bench: RayBench) -> None:
    bench.until(bench.executor.close)  # before it hears of it itself
    bench.executor.turn()
    bench.executor._ray = Ray(bench.cluster.address, "wrong")
    with pytest.raises(LaunchError, match=r"Ray refuses it: .* does not know the token"):
        bench.start("/bin/true")
    bench.executor._ray = Ray("http://127.0.0.1:9", "x")
    with pytest.raises(Unavailable, match="cannot be reached: "):
        bench.start("/bin/true")


def test_poll_asks_nobody(bench: RayBench, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = bench.runs()

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a poll must not ask")

    bench.until(bench.executor.close)
    bench.executor.turn()
    with monkeypatch.context() as patched:
        patched.setattr(Ray, "_json", refused)
        assert bench.executor.poll(handle).state is RunState.RUNNING and bench.executor.state().nodes
    bench.executor = bench.another()
