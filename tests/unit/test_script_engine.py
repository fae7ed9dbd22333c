"""The script engine: what a request may name, how a script is started, what it leaves, why it failed."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.models.events import Axis, Fault, Reading, Source
from api.models.job import EndReason, Failure, Job, JobSpec, JobStatus, Phase
from api.models.workspace import Workspace
from api.services.engines.base import Ending, Launch
from api.services.engines.script import ScriptEngine, environment_id
from api.services.engines.script.checks import SCRIPT_MAX
from api.services.executors.local import LocalExecutor
from api.services.store import jobs as store
from api.services.store import metrics
from api.utils.errors import Conflict, Forbidden, Invalid
from api.utils.paths import AllowedRoots
from tests.unit.test_script_output import LOGS, segments
from tests.unit.toys import World


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    (path / "train.py").write_text("print('Epoch 1/1, Loss: 0.5')\n")
    (path / "images").mkdir()
    return path


@pytest.fixture
def engine(root: Path) -> ScriptEngine:
    return ScriptEngine(AllowedRoots((root,)), sys.executable)


def spec(root: Path, **params: Any) -> JobSpec:
    return JobSpec("script", "a job", {"script_path": str(root / "train.py"), **params})


def launch(checked: JobSpec, tmp_path: Path, **more: Any) -> Launch:
    workspace = Workspace("j1", 1, tmp_path / "c", tmp_path / "log", tmp_path / "cfg", tmp_path / "out" / "j1")
    job = Job("j1", 1, "jobs", checked, JobStatus.RUNNING, 1, None, 0.0, 0.0)
    given: dict[str, Any] = {"gpu_ids": (), "ports": (), "base_env": {"PATH": "/bin", "RANK": "3"}, **more}
    return Launch(job=job, workspace=workspace, **given)


# ---- validate


def test_defaults_are_filled_in(engine: ScriptEngine, root: Path) -> None:
    found = engine.validate(spec(root)).params
    assert found["python"] == sys.executable and found["args"] == [] and found["framework"] == "pytorch"
    assert found["env_id"] == environment_id(sys.executable)
    assert found["script"] == str(root / "train.py") and len(found["script_sha256"]) == 64
    assert engine.validate(replace(spec(root), params=found)).params == found  # as for a restart


def test_hostile_script_paths(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("")
    (root / "link.py").symlink_to(outside)
    os.mkfifo(root / "fifo")
    (root / "device").symlink_to("/dev/zero")
    for path in (outside, root / "link.py", root / ".." / "outside.py", root / "device", "/etc/passwd"):
        with pytest.raises(Forbidden):
            engine.validate(spec(root, script_path=str(path)))
    wrong = (
        "train.py",
        "",
        "a\0b",
        None,
        7,
        str(root / "none.py"),
        str(root / "fifo"),
        str(root),
        "-c",
        "\ud800",
        "/" * 5000,
    )
    for value in wrong:
        with pytest.raises(Invalid) as caught:
            engine.validate(spec(root, script_path=value))
        assert caught.value.field == "script_path", value
    with pytest.raises(Invalid, match="is required"):
        engine.validate(JobSpec("script", "a", {}))


def test_a_device_is_not_read(root: Path) -> None:
    with pytest.raises(Invalid, match="not a regular file"):
        ScriptEngine(AllowedRoots((Path("/dev"),)), sys.executable).validate(spec(root, script_path="/dev/zero"))


def test_a_huge_script_is_not_read(engine: ScriptEngine, root: Path) -> None:
    os.truncate(root / "train.py", SCRIPT_MAX + 1)
    with pytest.raises(Invalid, match="larger"):
        engine.validate(spec(root))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("args", "--lr 1"), ("args", [1]), ("args", ["a\0b"]), ("args", ["x"] * 257), ("args", ["x" * 70_000]),
        ("args", ["\ud800"]), ("framework", "caffe"), ("framework", None), ("python", "python3"), ("python", "/none"),
        ("python", "/etc"), ("python", "/etc/passwd"), ("python", 3), ("dataset_path", "/root/none"),
        ("surprise", 1),
    ],
)  # fmt: skip
def test_other_fields(engine: ScriptEngine, root: Path, field: str, value: Any) -> None:
    with pytest.raises((Invalid, Forbidden)) as caught:
        engine.validate(spec(root, **{field: value}))
    assert isinstance(caught.value, Forbidden) or caught.value.field == field


def test_the_dataset_is_a_directory(engine: ScriptEngine, root: Path) -> None:
    assert engine.validate(spec(root, dataset_path=str(root / "images"))).params["dataset"] == str(root / "images")
    for value in (str(root / "train.py"), str(root / "none"), 5):
        with pytest.raises(Invalid) as caught:
            engine.validate(spec(root, dataset_path=value))
        assert caught.value.field == "dataset_path"


# ---- prepare


def test_the_command(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    nasty = ["--config=evil", "-rf", "; $(id) `id` | & \n", "@file"]
    checked = engine.validate(spec(root, args=nasty, dataset_path=str(root / "images")))
    command = engine.prepare(launch(checked, tmp_path, gpu_ids=(1, 3)))
    assert command.argv == (sys.executable, str(root / "train.py"), *nasty) and command.cwd == str(root)
    assert command.env["TRAINYARD_OUTPUT_DIR"] == str(tmp_path / "out" / "j1")
    assert Path(command.env["TRAINYARD_OUTPUT_DIR"]).is_dir()
    assert command.env["TRAINYARD_DATASET_DIR"] == str(root / "images")
    assert command.env["CUDA_VISIBLE_DEVICES"] == "1,3" and "RANK" not in command.env
    assert command.env["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_the_command_without_gpu_and_dataset(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    checked = replace(engine.validate(spec(root)), env={"RANK": "0"})
    env = engine.prepare(launch(checked, tmp_path)).env
    assert env["CUDA_VISIBLE_DEVICES"] == "" and "TRAINYARD_DATASET_DIR" not in env and env["RANK"] == "3"


def test_a_script_that_changed_is_refused(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    checked = engine.validate(spec(root))
    (root / "train.py").write_text("import os\n")
    with pytest.raises(Conflict, match="changed between submit and start"):
        engine.prepare(launch(checked, tmp_path))
    (root / "train.py").unlink()
    with pytest.raises(Invalid, match="does not exist"):
        engine.prepare(launch(checked, tmp_path))
    (root / "other.py").write_text("print('Epoch 1/1, Loss: 0.5')\n")
    (root / "train.py").symlink_to(root / "other.py")  # the same bytes, in another place
    with pytest.raises(Conflict, match="changed between submit and start"):
        engine.prepare(launch(checked, tmp_path))


def test_an_interpreter_that_went_away(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    checked = engine.validate(spec(root, python=str(python)))
    assert checked.params["python"] == str(python)  # its symlink kept: a virtual environment is found by it
    python.unlink()
    with pytest.raises(Conflict, match="cannot be used"):
        engine.prepare(launch(checked, tmp_path))


def test_availability(root: Path) -> None:
    assert ScriptEngine(AllowedRoots((root,)), sys.executable).availability().available
    gone = ScriptEngine(AllowedRoots((root,)), "/none/python").availability()
    assert not gone.available and "/none/python" in str(gone.reason)


def test_environment_ids(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("")
        for python in ("python", "python3"):
            (tmp_path / name / "bin" / python).symlink_to(sys.executable)
    one = environment_id(str(tmp_path / "one" / "bin" / "python"))
    assert one == environment_id(str(tmp_path / "one" / "bin" / "python3"))
    assert one != environment_id(str(tmp_path / "two" / "bin" / "python"))
    assert len(one) == 12 and one.startswith("env-") and int(one[4:], 16) >= 0


# ---- what is left behind


def test_checkpoints_are_the_complete_ones(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    work = launch(engine.validate(spec(root)), tmp_path).workspace
    out = work.output_dir
    (out / "checkpoint-30").mkdir(parents=True)
    (out / "checkpoint-40").mkdir()
    (out / "checkpoint-30" / "trainer_state.json").write_text("{}")
    (out / "checkpoint-30" / "model.safetensors").write_text("x")
    with zipfile.ZipFile(out / "epoch=2-step=20.ckpt", "w") as file:
        file.writestr("data", "x" * 1000)
    whole = (out / "epoch=2-step=20.ckpt").read_bytes()
    (out / "half.pt").write_bytes(whole[:600])
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (out / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    (out / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"12")
    (out / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n....")
    os.utime(out / "old.h5", (1.0, 1.0))
    (out / "new.h5").write_bytes(b"\x89HDF\r\n\x1a\n....")
    os.utime(out / "new.h5", (time.time() + 60,) * 2)
    (out / "link.pt").symlink_to(out / "a.safetensors")
    (out / "notes.txt").write_text("x")
    found = {c.name: c for c in engine.checkpoints(work)}
    assert set(found) == {"checkpoint-30", "epoch=2-step=20.ckpt", "a.safetensors", "old.h5"}
    assert {c.kind for c in found.values()} == {"weights"}
    ckpt = found["epoch=2-step=20.ckpt"]
    assert (ckpt.epoch, ckpt.step, ckpt.size_bytes) == (2, 20, len(whole)) and found["checkpoint-30"].step == 30
    assert engine.checkpoints(replace(work, output_dir=tmp_path / "none")) == []


def test_event_files(engine: ScriptEngine, root: Path, tmp_path: Path) -> None:
    work = replace(launch(engine.validate(spec(root)), tmp_path).workspace, output_dir=LOGS / "events")
    names = [path.relative_to(LOGS / "events").parts[:-1] for path in engine.event_files(work)]
    assert names == [("keras", "train"), ("keras", "validation"), ("tb", "compare_a"), ("tb", "compare_b"), ("tb",)]


SPEC = JobSpec("script", "x")


def test_scalars_of_event_files(engine: ScriptEngine) -> None:
    assert engine.from_tensorboard(SPEC, "loss", 5, 0.5, 9.0, "tb") == (
        Reading(Source.FILE, (("loss", 0.5),), counted=5, phase=Phase.TRAINING, at=9.0),
    )
    assert engine.from_tensorboard(SPEC, "epoch_loss", 0, 0.5, 9.0, "validation") == (
        Reading(Source.FILE, (("validation/epoch_loss", 0.5),), epoch=1, at=9.0),
    )
    (curve,) = engine.from_tensorboard(SPEC, "compare/x", 1, 2.0, 9.0, "compare_x_a")
    assert isinstance(curve, Reading) and curve.values == (("compare/x/a", 2.0),)
    assert engine.from_tensorboard(SPEC, "train/epoch", 5, 0.5, 9.0, "r") == ()
    assert engine.from_tensorboard(SPEC, "loss", 2**62, 0.5, 9.0, "r") == ()


# ---- failures

KINDS = {
    "shape": "unknown", "import": "import_error", "missing": "missing_file", "syntax": "bad_config",
    "torch_memory": "killed_by_oom", "tensorflow_memory": "killed_by_oom", "chained": "unknown",
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_recorded_failures(engine: ScriptEngine, name: str) -> None:
    found = explained(engine, list(segments(LOGS / f"fail_{name}.log")))
    assert found.kind == KINDS[name] and found.hint and found.line


def explained(engine: ScriptEngine, lines: list[str], code: int = 1) -> Failure:
    faults = tuple(e.line for line in lines for e in engine.parse(line).events if isinstance(e, Fault))
    return engine.explain(Ending(code, False, faults, tuple(lines[-50:])))


def test_what_a_hint_says(engine: ScriptEngine) -> None:
    assert "a_module_that_is_not_there" in explained(engine, list(segments(LOGS / "fail_import.log"))).hint
    assert "/data/train/labels.csv" in explained(engine, list(segments(LOGS / "fail_missing.log"))).hint
    assert explained(engine, ["done"], 3).kind == "unknown" and explained(engine, [], -9).kind == "killed_by_oom"
    assert engine.explain(Ending(None, False, (), (), oom_killed=True)).kind == "killed_by_oom"


# ---- a job, from submit to its end, with real processes

SCRIPT = """
import os, sys, pathlib
print("args", sys.argv[1:], flush=True)
for epoch in range(1, 4):
    print(f"Epoch {epoch}/3, Loss: {1 / epoch:.4f}", flush=True)
out = pathlib.Path(os.environ["TRAINYARD_OUTPUT_DIR"])
(out / "seen.txt").write_text(os.environ["CUDA_VISIBLE_DEVICES"] + "|" + os.getcwd())
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def real(world: World, root: Path) -> World:
    world.engines["script"] = ScriptEngine(AllowedRoots((root,)), sys.executable)
    world.executor = LocalExecutor()  # type: ignore[assignment]
    world.revive()
    return world


def ended(world: World, job: Job) -> Job:
    world.clock.now = time.time()
    limit = time.monotonic() + 30
    while not world.get(job.id).status.is_terminal and time.monotonic() < limit:
        world.clock.now = time.time()
        world.supervisor.step()
        time.sleep(0.02)
    return world.get(job.id)


def test_a_script_from_submit_to_its_end(real: World, root: Path) -> None:
    (root / "train.py").write_text(SCRIPT)
    job = real.submit(engine="script", params={"script_path": str(root / "train.py"), "args": ["0", "a b"]})
    done = ended(real, job)
    assert (done.status, done.reason) == (JobStatus.COMPLETED, EndReason.DONE)
    with real.db.read() as connection:
        points = metrics.last_points(
            connection, metrics.segments(connection, done, 1, Axis.EPOCH, "loss"), 10, None
        ).points
        output = store.attempt(connection, done).output_dir
    assert [(p.x, p.value, p.epoch) for p in points] == [(1, 1.0, 1), (2, 0.5, 2), (3, 0.3333, 3)]
    assert (Path(output) / "seen.txt").read_text() == f"|{root}"
    assert done.progress["epoch"] == done.progress["total_epochs"] == done.progress["epochs_done"] == 3
    assert done.progress["loss"] == 0.3333


def test_an_exit_code_fails_it(real: World, root: Path) -> None:
    (root / "train.py").write_text(SCRIPT)
    failed = ended(real, real.submit(engine="script", params={"script_path": str(root / "train.py"), "args": ["3"]}))
    assert (failed.status, failed.reason) == (JobStatus.FAILED, EndReason.EXIT_CODE)
    assert failed.failure is not None and failed.failure.kind == "unknown" and "exit code 3" in failed.failure.hint


def test_a_script_that_changes_while_it_waits(real: World, root: Path) -> None:
    job = real.submit(engine="script", params={"script_path": str(root / "train.py")})
    (root / "train.py").write_text("print('other')")
    failed = ended(real, job)
    assert (failed.status, failed.reason) == (JobStatus.FAILED, EndReason.LAUNCH_FAILED)
    assert failed.failure is not None and "changed between submit and start" in failed.failure.hint


def test_a_stop_that_the_script_answers_with_exit_code_0(real: World, root: Path) -> None:
    (root / "train.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('step 1/9 loss=1', flush=True)\ntime.sleep(60)\n"
    )
    job = real.submit(engine="script", params={"script_path": str(root / "train.py")})
    limit = time.monotonic() + 20
    while real.get(job.id).progress.get("step") != 1 and time.monotonic() < limit:
        real.clock.now = time.time()
        real.supervisor.step()
        time.sleep(0.02)
    with real.db.write() as connection:
        store.save(connection, real.get(job.id), real.clock(), stop_requested_at=time.time())
    stopped = ended(real, job)
    assert (stopped.status, stopped.reason) == (JobStatus.STOPPED, EndReason.STOPPED_BY_USER)
