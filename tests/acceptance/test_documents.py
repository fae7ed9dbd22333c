"""What we tell people to type works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "run.py", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    log = open(tmp_path / "service.log", "w")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as service:
        assert service.stdout is not None
        line = service.stdout.readline()
        assert line.startswith("Serving on "), (tmp_path / "service.log").read_text()
        yield line.split()[-1]
        service.terminate()
        assert service.wait(15) == 0
    log.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_curl_page_runs_from_top_to_bottom(base_url: str, tmp_path: Path) -> None:
    blocks = FENCE.findall((ROOT / "docs" / "curl.md").read_text())
    assert len(blocks) >= 8
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = "set -eu\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "BASE": base_url}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert '"checkpoint_saved":true' in done.stdout
    assert '"status":"completed"' in done.stdout
    assert (tmp_path / "examples").exists()
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_api_walk_passes_on_a_private_service() -> None:
    done = subprocess.run([sys.executable, "test_training_api.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("checks passed")
    assert "WRONG" not in done.stdout + done.stderr


def test_the_api_walk_fails_on_a_wrong_answer() -> None:
    command = [sys.executable, "test_training_api.py", "--base-url", "http://127.0.0.1:9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "WRONG" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_trains_and_says_where_things_are(tmp_path: Path) -> None:
    command = [sys.executable, "examples/demo.py", "--data-dir", str(tmp_path / "demo"), "--epochs", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(re.findall(r"^  (weights|checkpoint|log|samples) +(\S+)$", done.stdout, re.MULTILINE))
    assert set(found) == {"weights", "checkpoint", "log", "samples"}
    assert all(Path(path).exists() for path in found.values())
    first, last = re.search(r"loss +([\d.]+) -> ([\d.]+)", done.stdout).groups()  # type: ignore[union-attr]
    assert float(last) < float(first)


def test_requirements_leave_a_diffusion_pipe_environment_as_it_is() -> None:
    """Packages that diffusion-pipe names too (its requirements.txt of 2026-08) have a lower bound from us at most."""
    from packaging.requirements import Requirement

    theirs = set(
        "deepspeed toml transformers diffusers datasets pillow sentencepiece protobuf peft torch-optimi tensorboard "
        "tqdm safetensors bitsandbytes imageio av einops accelerate loguru omegaconf iopath termcolor hydra-core "
        "easydict ftfy pytorch-optimizer wandb optimum-quanto wheel ninja torch torchvision torchaudio numpy".split()
    )
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    ours = [Requirement(line) for line in lines if line and not line.startswith("#")]
    shared = [one for one in ours if one.name.lower() in theirs]
    assert {one.name for one in shared} >= {"torch", "toml", "tensorboard"}
    for one in shared:
        assert all(part.operator == ">=" for part in one.specifier), str(one)
