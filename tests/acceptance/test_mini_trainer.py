"""Real runs of examples/mini_diffusion_pipe, which stands in for diffusion-pipe's train.py elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TRAINER = Path(__file__).resolve().parents[2] / "examples" / "mini_diffusion_pipe"
DEADLINE = 60.0
STEP = re.compile(
    r"^steps: (\d+) loss: (\d+\.\d{4}) iter time \(s\): \d+\.\d{3} samples/sec: \d+\.\d{3}$", re.MULTILINE
)
EPOCHS, STEPS_PER_EPOCH = 6, 8

CONFIG = """
output_dir = '{home}/out'
dataset = '{home}/dataset.toml'
epochs = {epochs}
micro_batch_size_per_gpu = 4
save_every_n_epochs = 3
checkpoint_every_n_epochs = 3
eval_every_n_epochs = 6
{extra}
[model]
type = 'sdxl'
checkpoint_path = '{trainer}/checkpoints/mini.safetensors'
dtype = 'bfloat16'
[adapter]
type = 'lora'
rank = 8
[optimizer]
type = 'adamw'
lr = 4e-3
"""


@dataclass
class Home:
    """A folder with the bundled data, the configs, and what the runs leave."""

    path: Path

    def write(self, epochs: int = EPOCHS, extra: str = "") -> Path:
        config = self.path / "config.toml"
        config.write_text(CONFIG.format(home=self.path, epochs=epochs, extra=extra, trainer=TRAINER))
        return config

    def use_images(self, folder: Path) -> None:
        (self.path / "dataset.toml").write_text(f"resolutions = [32]\n[[directory]]\npath = '{folder}'\n")

    @property
    def run_dir(self) -> Path:
        (found,) = (self.path / "out").iterdir()
        return found


def make_home(path: Path) -> Home:
    for name in ("train", "eval"):
        shutil.copytree(TRAINER / "data" / name, path / name, ignore=shutil.ignore_patterns("cache"))
    (path / "eval.toml").write_text(f"resolutions = [32]\n[[directory]]\npath = '{path}/eval'\n")
    home = Home(path)
    home.use_images(path / "train")
    return home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(config: Path, *flags: str) -> list[str]:
    port = str(free_port())
    return [sys.executable, "train.py", "--deepspeed", "--config", str(config), "--master_port", port, *flags]


def environment() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def train(config: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(config, *flags),
        cwd=TRAINER,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a trainer whose whole output goes to `log`; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def starter(config: Path) -> subprocess.Popen[bytes]:
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(
                command(config), cwd=TRAINER, env=environment(), stdout=log, stderr=subprocess.STDOUT
            )
        started.append(process)
        return process

    yield starter
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def losses(output: str) -> dict[int, float]:
    return {int(step): float(loss) for step, loss in STEP.findall(output)}


def scalars(run_dir: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run_dir))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, subprocess.CompletedProcess[str]]:
    """One whole run with evaluation, looked at by several tests."""
    home = make_home(tmp_path_factory.mktemp("trained"))
    eval_sets = f"eval_datasets = [{{name = 'shapes', config = '{home.path}/eval.toml'}}]"
    result = train(home.write(extra=eval_sets))
    assert result.returncode == 0, result.stderr[-2000:]
    return home, result


def test_a_whole_run_reports_every_step_and_its_end(
    trained: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    _, result = trained
    assert list(losses(result.stdout)) == list(range(1, EPOCHS * STEPS_PER_EPOCH + 1))
    lines = result.stdout.splitlines()
    assert lines[-1] == "TRAINING COMPLETE!"
    assert "Global batch size = 4" in lines
    assert re.search(
        r"^\[[\d :,-]{23}\] \[INFO\] \[logging\.py:123:log_dist\] \[Rank 0\] "
        r"step=1, skipped=0, lr=\[0\.004\], mom=\[\(0\.9, 0\.999\)\]$",
        result.stdout,
        re.MULTILINE,
    )
    marks = [line for line in lines if line.startswith(("Started new", "Saving model to"))]
    assert marks == [
        "Started new epoch: 2",
        "Started new epoch: 3",
        "Saving model to directory epoch3",
        "Started new epoch: 4",
        "Started new epoch: 5",
        "Started new epoch: 6",
        "Saving model to directory epoch6",
    ]


def test_it_learns(trained: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    home, _ = trained
    epoch_losses = [loss for _, loss in scalars(home.run_dir, "train/epoch_loss")]
    assert len(epoch_losses) == EPOCHS
    assert epoch_losses[-1] < epoch_losses[0] / 2
    (before, first), (after, last) = scalars(home.run_dir, "shapes/loss")
    assert (before, after) == (0, EPOCHS * STEPS_PER_EPOCH)
    assert last < first / 2


def test_the_run_directory_holds_what_diffusion_pipe_writes(
    trained: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = trained
    names = {path.name for path in home.run_dir.iterdir() if "tfevents" not in path.name}
    assert names == {
        *("config.toml", "dataset.toml", "eval.toml", "samples", "latest"),
        *("epoch3", "epoch6", "global_step24", "global_step48"),
    }
    assert re.fullmatch(r"\d{8}_\d\d-\d\d-\d\d", home.run_dir.name)
    assert (home.run_dir / "latest").read_text() == "global_step48"
    assert (home.run_dir / "global_step48" / "mp_rank_00_model_states.pt").stat().st_size > 0
    assert (home.run_dir / "epoch6" / "lora.safetensors").stat().st_size > 0
    assert len(list((home.run_dir / "samples").glob("step0000*.png"))) == 3


def test_save_quit_then_resume_makes_the_same_steps(
    home: Home,
    start: Callable[..., subprocess.Popen[bytes]],
    trained: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    log = home.path / "log"
    process = start(home.write(epochs=10_000))
    wait_for(lambda: 2 in losses(log.read_text()))
    (home.run_dir / "save").touch()
    wait_for((home.run_dir / "latest").exists)
    assert not (home.run_dir / "save").exists()
    (home.run_dir / "save_quit").touch()
    assert process.wait(DEADLINE) == 0
    output = log.read_text()
    assert output.splitlines()[-1] == "Manually quitting"
    assert "TRAINING COMPLETE!" not in output
    stopped = max(losses(output))
    assert (home.run_dir / "latest").read_text() == f"global_step{stopped}"

    last = stopped + STEPS_PER_EPOCH + 2
    config = home.write(epochs=10_000, extra=f"max_steps = {last}")
    resumed = train(config, "--resume_from_checkpoint", home.run_dir.name)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    epoch = stopped // STEPS_PER_EPOCH + 1
    announced = f"Resuming training from checkpoint. Resuming at epoch: {epoch}, step: {stopped + 1}"
    assert announced in resumed.stdout.splitlines()
    assert list(losses(resumed.stdout)) == list(range(stopped + 1, last + 1))
    assert len(list(home.run_dir.glob("events.out.tfevents.*"))) == 2
    uninterrupted = losses(trained[1].stdout)
    for step, loss in losses(resumed.stdout).items():
        assert step not in uninterrupted or loss == pytest.approx(uninterrupted[step], abs=2e-3)


def test_a_missing_image_folder_fails_with_its_name(home: Home) -> None:
    home.use_images(home.path / "nowhere")
    result = train(home.write())
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"[rank0]: RuntimeError: Invalid path: {home.path}/nowhere"


def test_an_empty_image_folder_hangs_after_its_traceback(
    home: Home, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    empty = home.path / "empty"
    empty.mkdir()
    home.use_images(empty)
    process = start(home.write())
    log = home.path / "log"
    wait_for(lambda: f"AssertionError: Directory {empty} had no images/videos!" in log.read_text())
    assert "Process Process-2:" in log.read_text()
    children = psutil.Process(process.pid).children
    wait_for(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in children()))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)


def test_an_unknown_flag_ends_with_2(home: Home) -> None:
    result = train(home.write(), "--bogus")
    assert result.returncode == 2
    assert "train.py: error: unrecognized arguments: --bogus" in result.stderr
