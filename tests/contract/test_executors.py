"""Every executor through one suite, then what only real processes can show of the local one."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.models.job import Command, Resources
from api.models.workspace import Workspace
from api.services.executors import local as local_module
from api.services.executors import records
from api.services.executors.base import Executor, LaunchError, Observation, RunState, Terms
from api.services.executors.fake import FakeExecutor
from api.services.executors.local import PYTHON, LocalExecutor
from api.utils import faults
from api.utils import training_wrapper as keeper

REPO = Path(__file__).parents[2]
ENDED = (RunState.EXITED, RunState.VANISHED)
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
CODES = [0, 1, 7, 137, -9, -11, -15]


class Bench:
    """An executor, and trainers that behave in the ways the suite needs."""

    executor: Executor
    patience = 15.0  # seconds

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "a b'\"\n;$(id) é"  # a nasty path for everything
        self.directory.mkdir()
        self.numbers = itertools.count(1)
        self.handles: list[str] = []

    def workspace(self) -> Workspace:
        n = next(self.numbers)
        at = self.directory
        workspace = Workspace(f"job{n}", 1, at / "control" / f"job{n}.1", at / f"{n}.log", at, at)
        self.handles.append(self.executor.handle(workspace))
        return workspace

    def start(
        self, *argv: str, workspace: Workspace | None = None, cwd: str = "/", **resources: Any
    ) -> tuple[str, Workspace]:
        workspace = workspace or self.workspace()
        self.executor.launch(Command(argv, ENV, cwd), workspace, Terms(Resources(**resources)))
        return self.executor.handle(workspace), workspace

    def tick(self) -> None:
        time.sleep(0.004)

    def until(self, condition: Callable[[], Any], seconds: float | None = None) -> Any:
        seconds = seconds or self.patience
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            self.tick()
        raise AssertionError(f"not within {seconds} s: {condition}")

    def state(self, handle: str) -> RunState:
        return self.executor.poll(handle).state

    def end(self, handle: str) -> Observation:
        self.until(lambda: self.state(handle) in ENDED)
        return self.executor.poll(handle)

    def close(self) -> None:
        for handle in self.handles:
            self.executor.stop(handle, 0)
        self.until(lambda: all(self.state(each) in (*ENDED, RunState.ABSENT) for each in self.handles))

    def ends(self, code: int, workspace: Workspace | None = None) -> str:
        raise NotImplementedError

    def says(self, text: str, workspace: Workspace) -> None:
        raise NotImplementedError

    def runs(self, workspace: Workspace | None = None) -> str:
        raise NotImplementedError

    def stubborn(self) -> str:
        raise NotImplementedError

    def hears_sigterm(self, handle: str) -> None:
        """Waits until a stubborn one got it."""

    def broken(self) -> str:
        raise NotImplementedError

    def orphan(self, handle: str) -> None:
        raise NotImplementedError


class ShellBench(Bench):
    """Its trainers are real processes, whose keeper leaves its records where we see them."""

    def sh(self, script: str, workspace: Workspace | None = None, **resources: Any) -> tuple[str, Workspace]:
        return self.start("/bin/sh", "-c", script, workspace=workspace, **resources)

    def ends(self, code: int, workspace: Workspace | None = None) -> str:
        return self.sh(f"exit {code}" if code >= 0 else f"kill {code} $$", workspace)[0]

    def says(self, text: str, workspace: Workspace) -> None:
        self.start("/usr/bin/printf", "%s", text, workspace=workspace)

    def runs(self, workspace: Workspace | None = None) -> str:
        handle, workspace = self.sh("echo up; exec sleep 60", workspace)
        self.prints(workspace)
        return handle

    def stubborn(self) -> str:
        handle, workspace = self.sh("trap 'echo no' TERM; echo up; while :; do sleep 0.05; done")
        self.prints(workspace)
        return handle

    def hears_sigterm(self, handle: str) -> None:
        log = Path(json.loads(Path(handle, keeper.LAUNCH).read_bytes())["log"])
        self.until(lambda: "no" in log.read_text())

    def broken(self) -> str:
        return self.start("/no/such/trainer")[0]

    def prints(self, workspace: Workspace) -> None:
        """Waits until it has printed and its executor knows that it runs, which a cluster's hears later; or for its end."""
        handle = self.executor.handle(workspace)
        self.until(
            lambda: (self.log(workspace) and self.state(handle) is RunState.RUNNING) or self.state(handle) in ENDED
        )

    def log(self, workspace: Workspace) -> str:
        return workspace.log.read_text() if workspace.log.exists() else ""

    def record(self, handle: str, name: str = keeper.PID) -> dict[str, Any]:
        path = Path(handle, name)
        self.until(path.exists)
        record: dict[str, Any] = json.loads(path.read_bytes())
        return record


class LocalBench(ShellBench):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.executor: LocalExecutor = LocalExecutor(linger=0.3)

    def orphan(self, handle: str) -> None:
        """Kills the keeper: the trainer lives on."""
        os.kill(self.record(handle)["keeper"], signal.SIGKILL)
        self.until(lambda: self.state(handle) is RunState.ORPHAN)

    def gone(self, keeper_pid: int, handle: str) -> None:
        """Waits for the end of a keeper that was killed, and of its fork at the gate."""
        self.until(lambda: self.state(handle) and keeper_pid not in self.executor._keepers)
        self.until(lambda: self.state(handle) is not RunState.RUNNING)

    def pids(self, handle: str) -> tuple[int, ...]:
        usage = self.executor.usage(handle)
        assert usage
        return usage.pids

    def output(self, *argv: str, **resources: Any) -> str:
        handle, workspace = self.start(*argv, **resources)
        assert self.end(handle).exit_code == 0
        return workspace.log.read_text()


class FakeBench(Bench):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.now = 1000.0
        self.executor: FakeExecutor = FakeExecutor(lambda: self.now)

    def tick(self) -> None:
        self.now += 0.05

    def ends(self, code: int, workspace: Workspace | None = None) -> str:
        self.executor.exit_next(code)
        return self.start("x", workspace=workspace)[0]

    def says(self, text: str, workspace: Workspace) -> None:
        handle, _ = self.start("x", workspace=workspace)
        self.executor.write(handle, text)
        self.executor.exit(handle, 0)

    def runs(self, workspace: Workspace | None = None) -> str:
        return self.start("x", workspace=workspace)[0]

    def stubborn(self) -> str:
        handle = self.runs()
        self.executor.runs[handle].stubborn = True
        return handle

    def broken(self) -> str:
        self.executor.break_next("No such file or directory: /no/such/trainer")
        return self.runs()

    def orphan(self, handle: str) -> None:
        self.executor.orphan(handle)


@pytest.fixture(params=[LocalBench, FakeBench], ids=["local", "fake"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Bench = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBench]:
    made = LocalBench(tmp_path)
    yield made
    made.close()


# --- every executor -------------------------------------------------------------------------------------------------


def test_nothing_is_known_of_what_was_never_launched(bench: Bench) -> None:
    handle = bench.executor.handle(bench.workspace())
    assert bench.executor.poll(handle) == Observation(RunState.ABSENT)
    assert bench.executor.usage(handle) is None


def test_equal_workspaces_have_equal_handles_and_others_have_others(bench: Bench) -> None:
    one, other = bench.workspace(), bench.workspace()
    assert bench.executor.handle(one) == bench.executor.handle(one) != bench.executor.handle(other)


@pytest.mark.parametrize("code", CODES)
def test_the_exit_code_is_the_real_one(bench: Bench, code: int) -> None:
    seen = bench.end(bench.ends(code))
    assert (seen.state, seen.exit_code, seen.error, seen.oom_killed) == (RunState.EXITED, code, None, False)
    assert seen.pid and seen.started_at and seen.ended_at and seen.started_at <= seen.ended_at


def test_a_run_is_seen_to_run_and_uses_something(bench: Bench) -> None:
    handle = bench.runs()
    seen, usage = bench.executor.poll(handle), bench.executor.usage(handle)
    assert seen.state is RunState.RUNNING and seen.exit_code is None and seen.ended_at is None
    assert usage and seen.pid in usage.pids


def test_output_is_appended_to_the_log_of_the_job(bench: Bench) -> None:
    first = bench.workspace()
    second = Workspace(first.job_id, 2, Path(f"{first.control}b"), first.log, first.config_dir, first.output_dir)
    for text, workspace in (("one\n", first), ("two é\r", second)):
        bench.says(text, workspace)
        bench.end(bench.executor.handle(workspace))
    assert first.log.read_bytes() == "one\ntwo é\r".encode()


def test_a_launch_repeated_starts_once(bench: Bench) -> None:
    workspace = bench.workspace()
    handle = bench.runs(workspace)
    pid = bench.executor.poll(handle).pid
    bench.runs(workspace)
    assert bench.executor.poll(handle).pid == pid
    bench.executor.stop(handle, 5)
    end = bench.end(handle)
    bench.ends(0, workspace)
    assert bench.executor.poll(handle) == end


def test_a_stop_is_graceful_and_may_be_repeated(bench: Bench) -> None:
    handle = bench.runs()
    for _ in range(3):
        bench.executor.stop(handle, 60)
    assert bench.end(handle).exit_code == -15


def test_what_ignores_sigterm_is_killed_after_its_grace(bench: Bench) -> None:
    handle = bench.stubborn()
    bench.executor.stop(handle, 0.3)
    assert bench.state(handle) is RunState.RUNNING
    seen = bench.end(handle)
    assert seen.exit_code == -9 and not seen.oom_killed


def test_a_smaller_grace_shortens_and_a_larger_one_changes_nothing(bench: Bench) -> None:
    handle = bench.stubborn()
    bench.executor.stop(handle, 600)
    bench.hears_sigterm(handle)
    for grace in (0.2, 600):
        bench.executor.stop(handle, grace)
    assert bench.end(handle).exit_code == -9


def test_a_stop_before_the_start_prevents_it(bench: Bench) -> None:
    workspace = bench.workspace()
    handle = bench.executor.handle(workspace)
    bench.executor.stop(handle, 5)
    assert bench.state(handle) is RunState.ABSENT
    bench.runs(workspace)
    seen = bench.end(handle)
    assert (seen.exit_code, seen.error, seen.started_at) == (None, "stopped before start", None)
    assert not workspace.log.exists() or not workspace.log.stat().st_size


def test_a_stop_after_the_end_changes_nothing(bench: Bench) -> None:
    handle = bench.ends(7)
    end = bench.end(handle)
    bench.executor.stop(handle, 0)
    assert bench.executor.poll(handle) == end


def test_a_trainer_that_cannot_be_started_has_ended_with_the_reason(bench: Bench) -> None:
    seen = bench.end(bench.broken())
    assert (seen.state, seen.exit_code) == (RunState.EXITED, None)
    assert seen.error == "No such file or directory: /no/such/trainer"


def test_an_orphan_can_be_stopped_and_its_code_is_unknown(bench: Bench) -> None:
    handle = bench.runs()
    pid = bench.executor.poll(handle).pid
    bench.orphan(handle)
    usage = bench.executor.usage(handle)
    assert bench.executor.poll(handle).pid == pid and usage and pid in usage.pids
    bench.executor.stop(handle, 60)
    seen = bench.end(handle)
    assert (seen.state, seen.exit_code, seen.pid) == (RunState.VANISHED, None, pid)
    assert bench.executor.usage(handle) is None


def test_what_has_ended_can_be_forgotten_and_what_runs_cannot(bench: Bench) -> None:
    handle = bench.runs()
    with pytest.raises(RuntimeError):
        bench.executor.forget(handle)
    bench.executor.stop(handle, 5)
    bench.end(handle)
    for _ in range(2):
        bench.executor.forget(handle)
        assert bench.state(handle) is RunState.ABSENT


# --- local: what the trainer finds ----------------------------------------------------------------------------------


def test_the_environment_is_exactly_the_one_given(local: LocalBench) -> None:
    given = {"PATH": "/bin", "SECRET": "ü$x\n=1", "EMPTY": "", "BYTES": os.fsdecode(b"\xff")}
    workspace = local.workspace()
    local.executor.launch(Command(("cat", "/proc/self/environ"), given, "/"), workspace, Terms())
    local.end(local.executor.handle(workspace))
    found = dict(item.split(b"=", 1) for item in workspace.log.read_bytes().rstrip(b"\0").split(b"\0"))
    assert found == {os.fsencode(name): os.fsencode(value) for name, value in given.items()}


def test_signals_are_as_at_login(local: LocalBench) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        status = local.output("/bin/cat", "/proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    masks = dict(line.split(":\t", 1) for line in status.splitlines())
    of_libc = 0b11 << 31  # 32 and 33, which no program can set
    assert int(masks["SigBlk"], 16) == int(masks["SigIgn"], 16) & ~of_libc == 0


def test_no_descriptor_leaks(local: LocalBench) -> None:
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        lines = local.output("/bin/ls", "-l", "/proc/self/fd").splitlines()[1:]
    finally:
        os.close(leak)
    fds = {int(left.split()[-1]): right for left, right in (line.split(" -> ") for line in lines if " -> " in line)}
    assert fds.pop(0) == "/dev/null" and set(fds) == {1, 2, 3}  # 3 is what ls reads


def test_the_kernel_would_shoot_the_trainer_first(local: LocalBench) -> None:
    script = "cat /proc/self/oom_score_adj; (setsid cat /proc/self/oom_score_adj)"
    assert local.output("/bin/sh", "-c", script) == "500\n500\n"
    handle = local.runs()
    own = Path("/proc/self/oom_score_adj").read_text()
    assert Path(f"/proc/{local.record(handle)['keeper']}/oom_score_adj").read_text() == own


def test_it_leads_a_session_of_its_own_in_the_directory_given(local: LocalBench, tmp_path: Path) -> None:
    handle, workspace = local.start("/bin/sh", "-c", "pwd; exec sleep 60", cwd=str(tmp_path))
    local.prints(workspace)
    pid = local.executor.poll(handle).pid
    assert pid and os.getsid(pid) == os.getpgid(pid) == pid
    assert local.log(workspace) == f"{tmp_path}\n"


def test_nobody_else_reads_what_may_hold_secrets(local: LocalBench) -> None:
    old = os.umask(0)
    try:
        handle, workspace = local.sh("umask")
        local.end(handle)
    finally:
        os.umask(old)
    assert local.log(workspace).strip() == "0000"
    assert Path(handle).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in [*Path(handle).iterdir(), workspace.log]} == {0o600}


def test_it_is_held_to_the_cores_it_was_given(local: LocalBench) -> None:
    core = max(os.sched_getaffinity(0))
    handle, _ = local.sh("echo; exec sleep 60", cpus=1, cpu_ids=(core,))
    assert local.until(lambda: os.sched_getaffinity(local.record(handle)["pid"]) == {core})


# --- local: what cannot be started ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [
        (("no-such-trainer",), "/", "No such file or directory: no-such-trainer"),
        (("/etc/passwd",), "/", "Permission denied: /etc/passwd"),
        (("/bin/true",), "/no/such/root", "No such file or directory: /no/such/root"),
        (("/bin/true", "a\0b"), "/", "ValueError('embedded null byte')"),
    ],
)
def test_why_nothing_could_be_started(local: LocalBench, argv: tuple[str, ...], cwd: str, error: str) -> None:
    seen = local.end(local.start(*argv, cwd=cwd)[0])
    assert (seen.exit_code, seen.error, seen.started_at) == (None, error, None)


def test_the_directory_of_the_log_is_gone(local: LocalBench) -> None:
    at = local.workspace()
    workspace = Workspace("x", 1, at.control, at.log / "gone" / "x.log", at.config_dir, at.output_dir)
    seen = local.end(local.start("/bin/true", workspace=workspace)[0])
    assert seen.exit_code is None and seen.error == f"No such file or directory: {workspace.log}"


def test_a_control_directory_that_cannot_be_made_is_a_launch_error(local: LocalBench) -> None:
    (local.directory / "control").touch()
    with pytest.raises(LaunchError, match=r"File exists|Not a directory"):
        local.start("/bin/true")
    (local.directory / "control").unlink()


def test_no_interpreter_is_a_launch_error_and_a_broken_one_an_end(local: LocalBench) -> None:
    local.executor = LocalExecutor(python="/no/such/python")
    with pytest.raises(LaunchError, match="No such file or directory: /no/such/python"):
        local.start("/bin/true")
    local.executor = LocalExecutor(python="/bin/false")
    seen = local.end(local.start("/bin/true")[0])
    assert seen.error == "the keeper ended with code 1 and left no record"


# --- local: the whole tree ------------------------------------------------------------------------------------------

ESCAPED = """
import os, signal, sys, time
if not os.fork():
    os.setsid()
    if os.fork(): os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.closerange(0, 3)
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(60)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read(): time.sleep(0.005)
print("up", flush=True)
if sys.argv[2] == "stay": time.sleep(60)
sys.exit(3)
"""


@pytest.mark.parametrize("launcher", ["stay", "leave"])
def test_a_grandchild_in_a_session_of_its_own_is_swept(local: LocalBench, launcher: str, tmp_path: Path) -> None:
    if launcher == "stay":
        local.executor = LocalExecutor(linger=600)  # the grace of the stop holds, not this
    handle, workspace = local.start(PYTHON, "-I", "-S", "-c", ESCAPED, str(tmp_path / "pid"), launcher)
    local.prints(workspace)
    if launcher == "stay":
        usage = local.executor.usage(handle)
        assert usage and int((tmp_path / "pid").read_text()) in usage.pids
        local.executor.stop(handle, 0.2)
    assert local.end(handle).exit_code == (-15 if launcher == "stay" else 3)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_ranks_that_outlive_their_launcher_are_ended_before_the_attempt_is(local: LocalBench) -> None:
    handle, workspace = local.sh("sleep 60 & (trap '' TERM; echo up; sleep 60; sleep 60) & sleep 0.1; exit 1")
    assert local.end(handle).exit_code == 1
    assert local.log(workspace) == "up\n"
    pid = local.record(handle)["pid"]
    assert not [each for each in keeper.processes() if each.session == pid]


def test_a_suspended_trainer_can_be_stopped_gracefully(local: LocalBench) -> None:
    handle, workspace = local.sh("trap 'echo saved; exit 5' TERM; echo up; kill -STOP $$; sleep 60 & wait")
    local.prints(workspace)
    local.executor.stop(handle, 60)
    assert local.end(handle).exit_code == 5 and local.log(workspace) == "up\nsaved\n"


def test_a_trainer_that_closes_its_output_still_runs(local: LocalBench, tmp_path: Path) -> None:
    handle, _ = local.sh(f"exec >&- 2>&- <&-; touch '{tmp_path}/closed'; sleep 0.3; exit 4")
    local.until((tmp_path / "closed").exists)
    assert local.state(handle) is RunState.RUNNING
    assert local.end(handle).exit_code == 4


def test_a_stop_races_the_start(local: LocalBench) -> None:
    stops = []
    for n in range(30):
        workspace = local.workspace()
        handle = local.executor.handle(workspace)
        stop = threading.Timer(n * 0.002, local.executor.stop, (handle, 5))
        stop.start()
        local.sh("exec sleep 60", workspace)
        stops.append((stop, handle))
    for stop, handle in stops:
        stop.join()
        assert local.end(handle).exit_code in (None, -15)


def test_a_launch_races_itself_and_polls(local: LocalBench) -> None:
    """A poll must never make a launch believe that it came late, nor see an end that is none."""
    for _ in range(5):
        workspace = local.workspace()
        handle = local.executor.handle(workspace)
        seen: set[RunState] = set()
        over = threading.Event()

        def watch(handle: str = handle, seen: set[RunState] = seen, over: threading.Event = over) -> None:
            while not over.is_set():
                seen.add(local.state(handle))

        threads = [threading.Thread(target=local.sh, args=("echo once", workspace)) for _ in range(4)]
        watcher = threading.Thread(target=watch)
        for thread in (watcher, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        assert local.end(handle).exit_code == 0
        over.set()
        watcher.join()
        assert local.log(workspace) == "once\n"
        assert seen <= {RunState.ABSENT, RunState.RUNNING, RunState.EXITED}


def test_a_launch_that_overtakes_a_poll_is_not_taken_for_an_orphan(
    local: LocalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = local.runs()
    answers = [False]  # the lock as it was a moment ago
    held = local_module._held
    monkeypatch.setattr(local_module, "_held", lambda control: answers.pop() if answers else held(control))
    assert local.state(handle) is RunState.RUNNING


# --- local: the service dies, the keeper dies, the machine dies ------------------------------------------------------

SERVICE = """
import sys, os, signal, json
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors.base import Terms
from api.services.executors.local import LocalExecutor
from api.utils import faults
control, log = map(Path, sys.argv[2:4])
faults.arm(sys.argv[4] or None)
exec(sys.argv[6])
command = Command(("/bin/sh", "-c", sys.argv[5]), {"PATH": "/bin:/usr/bin"}, "/")
LocalExecutor(linger=0.3).launch(command, Workspace("j", 1, control, log, log.parent, log.parent), Terms())
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_service(workspace: Workspace, script: str, point: str = "", first: str = "") -> None:
    """A service that launches and is killed: at the crash point, or right after."""
    control, log = str(workspace.control), str(workspace.log)
    argv = [sys.executable, "-c", SERVICE, str(REPO), control, log, point, script, first]
    done = subprocess.run(argv, check=False)
    assert done.returncode == -9


def test_a_run_outlives_the_service_and_the_next_one_learns_its_code(local: LocalBench, tmp_path: Path) -> None:
    workspace = local.workspace()
    handle = local.executor.handle(workspace)
    killed_service(workspace, f"echo a; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; echo b; exit 7")
    assert local.state(handle) is RunState.RUNNING
    (tmp_path / "go").touch()
    assert local.end(handle).exit_code == 7
    assert local.log(workspace) == "a\nb\n"


def test_a_service_without_standard_streams_launches_all_the_same(local: LocalBench) -> None:
    workspace = local.workspace()
    killed_service(workspace, "echo out; echo err >&2; exit 7", first="os.closerange(0, 3)")
    assert local.end(local.executor.handle(workspace)).exit_code == 7
    assert local.log(workspace) == "out\nerr\n"


def apart(local: LocalBench, script: str, workspace: Workspace | None = None) -> tuple[str, Workspace]:
    """Its standard error kept in a file of its own too."""
    workspace = workspace or local.workspace()
    local.executor.launch(Command(("/bin/sh", "-c", script), ENV, "/", errors_apart=True), workspace, Terms())
    return local.executor.handle(workspace), workspace


def test_standard_error_has_a_file_of_its_own_and_marked_lines_in_the_log(local: LocalBench, tmp_path: Path) -> None:
    script = (
        f"printf '50%%'; echo one >&2; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; printf 'a\\rb\\nlast' >&2"
    )
    handle, workspace = apart(local, script)
    local.until(lambda: local.log(workspace) == "50%\n[stderr] one\n")
    (tmp_path / "go").touch()
    assert local.end(handle).exit_code == 0
    assert local.log(workspace) == "50%\n[stderr] one\n[stderr] a\n[stderr] b\n[stderr] last\n"
    assert workspace.errors.read_bytes() == b"one\na\rb\nlast"


def test_another_attempt_marks_what_it_prints_itself(local: LocalBench) -> None:
    handle, first = apart(local, "echo one >&2")
    local.end(handle)
    second = replace(first, attempt=2, control=first.control.with_name("again"))
    handle, _ = apart(local, "echo two; echo three >&2", second)
    local.handles.append(handle)
    local.end(handle)
    assert local.log(first) == "[stderr] one\ntwo\n[stderr] three\n"
    assert first.errors.read_text() == "one\nthree\n"


def test_a_flood_of_errors_is_all_there(local: LocalBench) -> None:
    handle, workspace = apart(local, "i=0; while [ $i -lt 60000 ]; do echo line $i >&2; i=$((i+1)); done")
    assert local.end(handle).exit_code == 0
    expected = [f"line {n}" for n in range(60_000)]
    assert [line.removeprefix("[stderr] ") for line in local.log(workspace).splitlines()] == expected
    assert workspace.errors.read_text().splitlines() == expected


def test_errors_found_at_the_end_are_cut_at_lines_alone(tmp_path: Path) -> None:
    """More than one piece of them, of which no turn before has taken any."""
    log, errors = tmp_path / "log", tmp_path / "errors"
    echo = keeper.Echo(str(errors), str(log))
    lines = [f"line {n}" for n in range(keeper.ECHO // 4)] + ["the last, without its end"]
    errors.write_text("\n".join(lines))
    while echo.turn(final=True):
        pass
    assert [line.removeprefix(keeper.ERROR_MARK) for line in log.read_text().splitlines()] == lines


def test_errors_are_printed_on_when_the_keeper_is_killed(local: LocalBench, tmp_path: Path) -> None:
    script = f"touch '{tmp_path}/begun'; until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; echo out; echo err >&2"
    handle, workspace = apart(local, script)
    local.until((tmp_path / "begun").exists)
    os.kill(json.loads(Path(handle, keeper.PID).read_bytes())["keeper"], signal.SIGKILL)
    (tmp_path / "go").touch()
    local.until(lambda: local.state(handle) is RunState.VANISHED)
    assert local.log(workspace) == "out\n" and workspace.errors.read_text() == "err\n"


@pytest.mark.parametrize("point", sorted(point for point in faults.POINTS if point.startswith("launch.")))
def test_a_launch_cut_short_anywhere_starts_once(local: LocalBench, point: str) -> None:
    workspace = local.workspace()
    killed_service(workspace, "echo once", point)
    assert local.state(local.executor.handle(workspace)) in (
        {RunState.RUNNING, RunState.EXITED} if point == "launch.after_spawn" else {RunState.ABSENT}
    )
    handle, _ = local.sh("echo once", workspace)
    assert local.end(handle).exit_code == 0 and local.log(workspace) == "once\n"


def test_a_keeper_killed_at_any_moment_of_its_start_leaves_nothing_unrecorded(local: LocalBench) -> None:
    """Whoever kills the keeper: if the trainer ran there is a pid.json, if there is none a launch starts it once."""
    for n in range(12):
        workspace = local.workspace()
        handle, _ = local.sh("echo once; exec sleep 60", workspace)
        pid = next(pid for pid, whose in local.executor._keepers.items() if whose == handle)
        threading.Event().wait(n * 0.004)
        os.kill(pid, signal.SIGKILL)
        local.gone(pid, handle)
        if local.state(handle) is RunState.ABSENT:
            assert not local.log(workspace)
            local.sh("echo once; exec sleep 60", workspace)
            local.prints(workspace)
        local.executor.stop(handle, 0)
        local.end(handle)
        assert local.log(workspace) in ("", "once\n")


def test_an_orphan_that_ignores_sigterm_is_killed_with_its_tree(local: LocalBench, tmp_path: Path) -> None:
    handle, workspace = local.sh(
        "trap '' TERM; setsid sh -c 'sleep 60' & sleep 60 & echo up; while :; do sleep 0.05; done"
    )
    local.prints(workspace)
    local.orphan(handle)
    pids = local.pids(handle)
    assert len(pids) >= 3
    local.executor.stop(handle, 0.2)
    assert local.state(handle) is RunState.ORPHAN
    assert local.end(handle).state is RunState.VANISHED
    assert not [pid for pid in pids if (each := keeper.process(pid)) and not each.zombie]


def test_ranks_of_an_orphan_whose_trainer_is_gone_are_still_its_own(local: LocalBench) -> None:
    handle, workspace = local.sh("setsid sleep 60 & echo up; exec sleep 61")
    local.prints(workspace)
    local.orphan(handle)
    os.kill(local.record(handle)["pid"], signal.SIGKILL)
    local.until(lambda: local.record(handle)["pid"] not in local.pids(handle))
    assert local.state(handle) is RunState.ORPHAN
    local.executor.stop(handle, 5)
    assert local.end(handle).state is RunState.VANISHED


@pytest.mark.parametrize("lie", ["starttime", "boot_id"])
def test_a_stranger_with_the_same_number_is_neither_adopted_nor_signalled(local: LocalBench, lie: str) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as stranger:
        found = keeper.process(stranger.pid)
        assert found
        workspace = local.workspace()
        workspace.control.mkdir(parents=True)
        truth = {"pid": stranger.pid, "starttime": found.starttime, "boot_id": keeper.boot_id()}
        wrong = {"starttime": found.starttime - 1, "boot_id": "another"}[lie]
        rest = {"keeper": 1, "keeper_starttime": 1, "log": [0, 0], "started_at": 1.0}
        keeper.put(str(workspace.control), keeper.PID, truth | rest | {lie: wrong})
        handle = local.executor.handle(workspace)
        assert local.state(handle) is RunState.VANISHED
        local.executor.stop(handle, 0)
        local.executor._press(handle)
        stale = keeper.Process(stranger.pid, keeper.read(f"/proc/{stranger.pid}/stat"))
        stale.starttime -= 1
        keeper.send(stale, signal.SIGKILL)
        assert local.executor.usage(handle) is None
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.1)
        stranger.kill()


def test_sigterm_to_the_keeper_is_a_stop(local: LocalBench) -> None:
    handle = local.runs()
    os.kill(local.record(handle)["keeper"], signal.SIGTERM)
    assert local.end(handle).exit_code == -15
    assert local.record(handle, keeper.EXIT)["why"] == "stopped"


def test_a_launch_by_another_version_of_the_service_is_refused_in_words(local: LocalBench) -> None:
    workspace = local.workspace()
    handle = local.executor.handle(workspace)
    records.make(handle)
    keeper.put(handle, keeper.LAUNCH, {"v": 2})
    lock = local_module._claim(handle)
    assert lock is not None
    local.executor._keepers[local.executor._spawn(handle, lock)] = handle
    os.close(lock)
    assert "version 2" in str(local.end(handle).error)


# --- local: out of disk, out of memory --------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    at = tmp_path / "tiny"
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", at], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.xfail(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", at], check=True)


def test_a_full_disk_loses_no_verdict_and_no_stop(local: LocalBench, tiny_disk: Path) -> None:
    local.directory = tiny_disk
    fill = f"dd if=/dev/zero of={tiny_disk}/fill bs=4k 2>/dev/null; "
    handle, _ = local.sh(fill + "exit 28")
    assert local.end(handle).exit_code == 28
    (tiny_disk / "fill").unlink()
    handle, _ = local.sh(fill + f"trap '' TERM; touch {local.directory}/full; while :; do sleep 0.05; done")
    local.until((tiny_disk / "full").exists)
    local.until(lambda: not os.statvfs(tiny_disk).f_bavail)
    for grace in (600, 0.2):
        local.executor.stop(handle, grace)
    assert local.end(handle).exit_code == -9
    with pytest.raises(LaunchError, match="No space left on device"):
        local.sh("true")


EATER = "import time; x = bytearray(120 << 20); print('up', flush=True); time.sleep(60)"


def test_a_tree_over_its_memory_is_ended(local: LocalBench) -> None:
    handle, _ = local.start(PYTHON, "-I", "-S", "-c", EATER, memory=60 << 20)
    seen = local.end(handle)
    assert (seen.exit_code, seen.oom_killed) == (-9, True)
    assert seen.peak_rss_bytes and seen.peak_rss_bytes > 60 << 20


def test_what_the_kernel_kills_for_memory_is_told_apart(local: LocalBench, tmp_path: Path) -> None:
    group = Path(f"/sys/fs/cgroup/memory/trainyard-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(50 << 20))
    except OSError as error:
        pytest.xfail(f"no memory control group can be made here: {error}")
    try:
        handle, _ = local.sh(f"until [ -e '{tmp_path}/go' ]; do sleep 0.02; done; exec {PYTHON} -ISc '{EATER}'")
        record = local.record(handle)
        for pid in (record["keeper"], record["pid"]):
            (group / "cgroup.procs").write_text(str(pid))
        (tmp_path / "go").touch()
        seen = local.end(handle)
        assert (seen.exit_code, seen.oom_killed) == (-9, True)
    finally:
        local.until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_peak_memory_is_reported(local: LocalBench) -> None:
    seen = local.end(local.start(PYTHON, "-I", "-S", "-c", "x = bytearray(64 << 20)")[0])
    assert seen.peak_rss_bytes and 64 << 20 < seen.peak_rss_bytes < 128 << 20


# --- local: the rest --------------------------------------------------------------------------------------------------


def test_ended_keepers_are_reaped(local: LocalBench) -> None:
    handle = local.ends(0)
    local.end(handle)
    local.until(lambda: local.state(handle) is not RunState.ABSENT and not local.executor._keepers)


def test_the_lock_can_be_asked_about_without_being_taken(local: LocalBench) -> None:
    control = str(local.directory)
    lock = local_module._claim(control)
    assert lock is not None and local_module._claim(control) is None and local_module._held(control)
    copy = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, 0)
    os.close(lock)
    assert local_module._held(control), "it belongs to the open file, not to a descriptor or a process"
    os.close(copy)
    assert not local_module._held(control)


def test_an_unknown_crash_point_is_refused() -> None:
    for call in (faults.arm, faults.fault):
        with pytest.raises(ValueError, match=r"no crash point 'launch.somewhere'; there are: .*launch.after_lock"):
            call("launch.somewhere")


def test_a_refused_launch_leaves_nothing(tmp_path: Path) -> None:
    bench = FakeBench(tmp_path)
    bench.executor.refuse_next("no room")
    with pytest.raises(LaunchError, match="no room"):
        bench.runs()
    assert bench.executor.launches == [] and bench.state(bench.handles[0]) is RunState.ABSENT
    assert bench.state(bench.runs()) is RunState.RUNNING
    bench.executor.vanish(bench.handles[1])
    assert bench.executor.poll(bench.handles[1]).state is RunState.VANISHED
