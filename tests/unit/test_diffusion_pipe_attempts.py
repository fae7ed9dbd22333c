"""What an attempt is started with, and what it leaves: configs, commands, run directories, checkpoints."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toml

from api.models.events import Advance, Axis, Metric
from api.models.job import Command, Job, JobSpec, JobStatus, Resources
from api.models.workspace import Workspace
from api.services.engines.base import Launch
from api.services.engines.diffusion_pipe import DiffusionPipeEngine
from api.utils.errors import Conflict, Invalid, Unavailable
from api.utils.paths import AllowedRoots

ID = "train_20261121_101010_abcdef01"
RUN, LATER = "20261121_07-20-43", "20261121_09-00-00"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A root with an interpreter of its own."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in ("python",):
        (tmp_path / "venv" / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "venv" / "bin" / name).chmod(0o755)
    (tmp_path / "dp").mkdir()
    (tmp_path / "dp" / "train.py").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


def engine_of(home: Path, launcher: str = "auto") -> DiffusionPipeEngine:
    return DiffusionPipeEngine(
        home / "dp", str(home / "venv" / "bin" / "python"), launcher, AllowedRoots([home / "data"])
    )


def install_deepspeed(home: Path, *, script: bool = True) -> None:
    package = home / "venv" / "lib" / "python3.12" / "site-packages" / "deepspeed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if script:
        (home / "venv" / "bin" / "deepspeed").write_text("#!/bin/sh\n")
        (home / "venv" / "bin" / "deepspeed").chmod(0o755)


def workspace_of(home: Path, attempt: int = 1) -> Workspace:
    return Workspace(ID, attempt, home / "control", home / "x.log", home / "cfg", home / "out" / ID)


def job_of(home: Path, engine: DiffusionPipeEngine, **config: Any) -> Job:
    params = {"model_type": "flux", "config": {"model": {"diffusers_path": "hub"}, **config}}
    dataset = {"resolutions": [512], "directory": [{"path": str(home / "data")}]}
    spec = engine.validate(JobSpec("diffusion_pipe", "x", params=params, dataset=dataset))
    return Job(ID, 1, "training_v1", spec, JobStatus.RUNNING, 1, None, 0.0, 0.0)


def start(
    home: Path, launcher: str = "auto", gpus: tuple[int, ...] = (), ports: tuple[int, ...] = (4001, 4002),
    resume: str | None = None, attempt: int = 1, **config: Any,
) -> Command:  # fmt: skip
    engine = engine_of(home, launcher)
    env = {"PATH": "/bin", "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "7", "RANK": "3", "HOME": "/h"}
    workspace = workspace_of(home, attempt)
    return engine.prepare(Launch(job_of(home, engine, **config), workspace, gpus, ports, env, resume))


def make_run(home: Path, name: str = RUN, job_id: str = ID) -> Path:
    run = home / "out" / ID / name
    run.mkdir(parents=True)
    (run / f"{job_id}.toml").write_text("")
    (run / "events.out.tfevents.1.h.2.0").write_text("")
    return run


def save_state(run: Path, step: int, *, latest: bool = True, size: int = 10) -> None:
    (run / f"global_step{step}").mkdir()
    (run / f"global_step{step}" / "mp_rank_00_model_states.pt").write_bytes(b"x" * size)
    (run / f"global_step{step}" / "layer_00-model_states.pt").write_bytes(b"x" * 5)
    if latest:
        (run / "latest").write_text(f"global_step{step}")


def age(path: Path, seconds: float) -> None:
    for file in [path, *path.glob("*")]:
        os.utime(file, (file.stat().st_atime, file.stat().st_mtime - seconds))


# ---- configs and commands


def test_the_files_are_private_and_read_back_as_asked(home: Path) -> None:
    inner = {"resolutions": [512], "directory": [{"path": str(home / "data")}]}
    start(home, eval_datasets=[{"name": "e", "config": inner}], adapter={"type": "lora"})
    workspace = workspace_of(home)
    files = [workspace.config, workspace.dataset_config, workspace.eval_config(0)]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
    main = toml.loads(workspace.config.read_text())
    assert main["output_dir"] == str(workspace.output_dir)
    assert main["dataset"] == str(workspace.dataset_config)
    assert main["eval_datasets"] == [{"name": "e", "config": str(workspace.eval_config(0))}]
    assert main["model"] == {"type": "flux", "dtype": "bfloat16", "diffusers_path": "hub"}
    assert toml.loads(workspace.dataset_config.read_text()) == inner
    assert workspace.output_dir.is_dir()
    assert [p.name for p in workspace.config_dir.iterdir() if "draft" in p.name] == []


def test_the_plain_launcher(home: Path) -> None:
    command = start(home, "python")
    config = str(workspace_of(home).config)
    python = str(home / "venv" / "bin" / "python")
    assert command.argv[:4] == (python, "-u", "train.py", "--deepspeed")
    rest = command.argv[4:]
    assert dict(zip(rest[::2], rest[1::2], strict=True)) == {
        "--local_rank": "0", "--config": config, "--master_port": "4001",
    }  # fmt: skip
    assert command.cwd == str(home / "dp")
    wanted = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": "4001", "CUDA_VISIBLE_DEVICES": "", "HOME": "/h", "PYTHONUNBUFFERED": "1",
              "PATH": f"{home / 'venv' / 'bin'}:/bin"}  # fmt: skip
    assert dict(command.env) == wanted
    assert start(home, "python", (3,)).env["CUDA_VISIBLE_DEVICES"] == "3"


def test_the_plain_launcher_has_one_gpu(home: Path) -> None:
    with pytest.raises(Invalid, match="deepspeed"):
        start(home, "python", (0, 1))


def test_the_deepspeed_launcher(home: Path) -> None:
    install_deepspeed(home)
    command = start(home, "auto", (2, 3))
    assert command.argv == (
        str(home / "venv" / "bin" / "deepspeed"), "--include", "localhost:2,3", "--master_port", "4002",
        "train.py", "--deepspeed", "--config", str(workspace_of(home).config), "--master_port", "4001",
    )  # fmt: skip
    assert not {"CUDA_VISIBLE_DEVICES", "RANK", "MASTER_PORT"} & set(command.env)


def test_deepspeed_without_its_script_or_a_gpu(home: Path) -> None:
    install_deepspeed(home, script=False)
    command = start(home)
    assert command.argv[1:5] == ("-u", "-m", "deepspeed.launcher.runner", "--num_gpus=1")
    assert command.env["DS_ACCELERATOR"] == "cpu"


def test_ports_and_interpreter_must_be_there(home: Path) -> None:
    install_deepspeed(home)
    with pytest.raises(Unavailable, match="port"):
        start(home, ports=(4001,))
    (home / "venv" / "bin" / "python").unlink()
    with pytest.raises(Unavailable, match="interpreter"):
        start(home)


def test_a_disk_that_cannot_be_written(home: Path) -> None:
    (home / "cfg").write_text("a file where a directory should be")
    with pytest.raises(Unavailable, match="cannot be written"):
        start(home)


def test_availability(home: Path) -> None:
    engine = engine_of(home)
    assert (engine.availability().available, engine.availability().version) == (True, None)
    (home / "dp" / ".git").mkdir()
    (home / "dp" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (home / "dp" / ".git" / "packed-refs").write_text(f"# pack\n{'8f83dbf' + '0' * 33} refs/heads/main\n")
    assert engine.availability().version == "8f83dbf"
    (home / "dp" / ".git" / "HEAD").write_text("a" * 40)
    assert engine.availability().version == "aaaaaaa"
    assert replace(engine, bundled=home).availability().version == "bundled"
    assert "deepspeed" in (engine_of(home, "deepspeed").availability().reason or "")
    (home / "dp" / "train.py").unlink()
    assert not engine.availability().available


# ---- run directories


def test_a_soft_stop_goes_to_the_run_of_this_attempt(home: Path) -> None:
    engine, workspace = engine_of(home), workspace_of(home)
    old = make_run(home)
    start(home)
    assert engine.soft_stop(workspace) is False
    other = make_run(home, "20261121_08-00-00", job_id="train_another")
    assert engine.soft_stop(workspace) is False
    run = make_run(home, LATER)
    assert engine.soft_stop(workspace) is True
    assert (run / "save_quit").is_file()
    assert not (old / "save_quit").exists()
    assert not (other / "save_quit").exists()


def test_event_files_of_this_attempt_only(home: Path) -> None:
    engine = engine_of(home)
    start(home)
    run = make_run(home)
    save_state(run, 8)
    assert list(engine.event_files(workspace_of(home))) == [run / "events.out.tfevents.1.h.2.0"]
    start(home, resume="global_step8", attempt=2)
    assert list(engine.event_files(workspace_of(home, 2))) == []
    (run / "events.out.tfevents.9.h.2.0").write_text("")
    assert list(engine.event_files(workspace_of(home, 2))) == [run / "events.out.tfevents.9.h.2.0"]


def test_a_resume_names_the_run_and_clears_old_signals(home: Path) -> None:
    run = make_run(home)
    for step in (8, 16):
        save_state(run, step)
    (run / "save_quit").write_text("")
    make_run(home, LATER)
    command = start(home, resume="global_step8", attempt=2)
    assert command.argv[-2:] == ("--resume_from_checkpoint", RUN)
    assert (run / "latest").read_text() == "global_step8"
    assert not (run / "save_quit").exists()
    assert engine_of(home).soft_stop(workspace_of(home, 2)) is True
    assert (run / "save_quit").exists()
    assert {c.name for c in engine_of(home).checkpoints(workspace_of(home, 2))} == {"global_step8", "global_step16"}


@pytest.mark.parametrize("name", ["global_step99", "epoch1", "../x", ""])
def test_nothing_to_resume(home: Path, name: str) -> None:
    save_state(make_run(home), 8)
    with pytest.raises(Conflict):
        start(home, resume=name)


def test_checkpoints_that_are_complete(home: Path) -> None:
    run = make_run(home)
    save_state(run, 8)
    save_state(run, 16)
    age(run, 100)
    for step in (8, 16):
        age(run / f"global_step{step}", 200 - step)
    save_state(run, 24, latest=False)  # being written
    save_state(run, 4, size=0)
    (run / "latest").write_text("global_step16")
    os.utime(run / "latest", (1, (run / "global_step16" / "layer_00-model_states.pt").stat().st_mtime + 1))
    for name, files in {"epoch1": ["adapter_model.safetensors", "tmp/"], "epoch2": ["adapter_model.safetensors"],
                        "step5": ["model.safetensors", "c.toml"], "step6": ["c.toml"]}.items():  # fmt: skip
        (run / name).mkdir()
        for file in files:
            if file.endswith("/"):
                (run / name / file).mkdir()
            else:
                (run / name / file).write_bytes(b"abc")
    (run / "epoch9").symlink_to(run / "epoch2")
    found = engine_of(home).checkpoints(workspace_of(home))
    assert [(c.name, c.kind, c.epoch, c.step, c.size_bytes) for c in found if c.kind == "state"] == [
        ("global_step8", "state", None, 8, 15), ("global_step16", "state", None, 16, 15),
    ]  # fmt: skip
    assert {(c.name, c.epoch, c.step, c.size_bytes) for c in found if c.kind == "weights"} == {
        ("epoch2", 2, None, 3), ("step5", None, 5, 6),
    }  # fmt: skip


def test_no_output_directory_is_no_checkpoint(home: Path) -> None:
    assert engine_of(home).checkpoints(workspace_of(home)) == []
    assert list(engine_of(home).event_files(workspace_of(home))) == []


# ---- what it knows beforehand, and from TensorBoard


def test_totals(home: Path) -> None:
    engine = engine_of(home)
    assert list(engine.totals(job_of(home, engine), workspace_of(home))) == [Advance(total_epochs=60)]
    job = job_of(home, engine, epochs=3, max_steps=100)
    assert list(engine.totals(job, workspace_of(home))) == [Advance(total_epochs=3, max_steps=100)]
    job = job_of(home, engine, steps_per_print=10)
    assert list(engine.totals(job, workspace_of(home))) == [Advance(total_epochs=60, steps_apart=10)]


@pytest.mark.parametrize(
    ("tag", "metric"),
    [
        ("train/epoch_loss", Metric("loss", 0.5, epoch=7, axis=Axis.EPOCH, at=9.0)),
        ("train/loss", Metric("train/loss", 0.5, 7, at=9.0)),
        ("train/grad_norm", Metric("grad_norm", 0.5, 7, at=9.0)),
        ("train/prodigy_d", Metric("prodigy_d", 0.5, 7, at=9.0)),
        ("train/automagic_avg_lr", Metric("automagic_avg_lr", 0.5, 7, at=9.0)),
        ("cats/loss", Metric("eval/cats/loss", 0.5, 7, at=9.0)),
        ("cats/loss_quantile_0.10", Metric("eval/cats/loss_quantile_0.10", 0.5, 7, at=9.0)),
        ("eval/loss", Metric("eval/eval/loss", 0.5, 7, at=9.0)),
        ("eval/eval_time_sec", Metric("eval/eval_time_sec", 0.5, 7, at=9.0)),
    ],
)
def test_scalars(home: Path, tag: str, metric: Metric) -> None:
    spec = JobSpec("diffusion_pipe", "x", {"config": {"micro_batch_size_per_gpu": 1}})
    assert list(engine_of(home).from_tensorboard(spec, tag, 7, 0.5, 9.0, "run")) == [metric]


@pytest.mark.parametrize(("micro", "step"), [(4, 16), ([[512, 4]], 192)])
def test_an_x_axis_of_examples_is_brought_back_to_steps(home: Path, micro: object, step: int) -> None:
    """Batches by resolution have no one size: there the x stays what train.py wrote."""
    config = {"x_axis_examples": True, "micro_batch_size_per_gpu": micro, "gradient_accumulation_steps": 3}
    spec = JobSpec("diffusion_pipe", "x", {"config": {**config, "pipeline_stages": 2}}, resources=Resources(gpus=2))
    engine = engine_of(home)
    (loss,) = engine.from_tensorboard(spec, "train/loss", 192, 0.5, 9.0, "run")
    (epoch,) = engine.from_tensorboard(spec, "train/epoch_loss", 2, 0.5, 9.0, "run")
    assert isinstance(loss, Metric) and isinstance(epoch, Metric) and (loss.step, epoch.epoch) == (step, 2)
