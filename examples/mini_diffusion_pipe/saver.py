"""The run directory: weights, resumable checkpoints, sample images, and the `save`/`save_quit` files."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from console import log, log_rank0, say
from diffusion import save_grid
from lora import save_lora
from model import save_model
from run_state import Run

STATE_FILE = "mp_rank_00_model_states.pt"


def create_run_dir(config: dict[str, Any], config_path: str) -> Path:
    """`<output_dir>/20261121_07-20-43` with copies of the config, dataset and eval TOMLs."""
    run_dir = Path(config["output_dir"]) / datetime.now(UTC).strftime("%Y%m%d_%H-%M-%S")
    run_dir.mkdir(parents=True, exist_ok=True)
    for source in [config_path, config["dataset"], *(entry["config"] for entry in config["eval_datasets"])]:
        shutil.copy(source, run_dir)
    return run_dir


def find_run_dir(config: dict[str, Any], wanted: str | bool) -> Path:
    output_dir = Path(config["output_dir"])
    run_dir = output_dir / wanted if isinstance(wanted, str) else max(output_dir.glob("*"), default=output_dir)
    latest = run_dir / "latest"
    if not latest.is_file():
        log(
            f"Unable to find latest file at {latest}, if trying to load latest checkpoint please ensure "
            "this file exists or pass an explicit checkpoint tag when loading a checkpoint.",
            "engine.py:3304:load_checkpoint",
            "WARNING",
        )
        raise AssertionError
    return run_dir


class Saver:
    def __init__(self, run: Run, run_dir: Path, config_path: str) -> None:
        self.run, self.run_dir, self.config_path = run, run_dir, config_path
        self.checkpointed_step = self.saved_step = 0
        self.last_checkpoint = time.monotonic()
        config = run.config
        self.every_steps = config.get("save_every_n_steps")
        if "save_every_n_examples" in config:
            self.every_steps = max(1, config["save_every_n_examples"] // run.global_batch)
            say(f"Computed save_every_n_steps = {self.every_steps}")

    def resumed(self) -> None:
        """What the checkpoint's own step left need not be saved again."""
        step, epoch = self.run.step, self.run.loader.epoch - 1
        self.checkpointed_step = step
        if any((self.run_dir / name).exists() for name in (f"step{step}", f"epoch{epoch}")):
            self.saved_step = step

    def end_epoch(self, epoch: int) -> None:
        """`epoch` is the one that has just ended."""
        config = self.run.config
        if epoch % config.get("checkpoint_every_n_epochs", epoch + 1) == 0:
            self.save_checkpoint()
        if epoch % config.get("save_every_n_epochs", epoch + 1) == 0:
            self.save_weights(f"epoch{epoch}")

    def end_step(self) -> bool:
        """Saves what is due after a step. True: someone asked to save and quit."""
        step = self.run.step
        if self.every_steps and step % self.every_steps == 0:
            self.save_weights(f"step{step}")
        minutes = self.run.config.get("checkpoint_every_n_minutes")
        if minutes and time.monotonic() - self.last_checkpoint >= minutes * 60:
            self.save_checkpoint()
        if self._asked("save_quit"):
            self.save_checkpoint()
            say("Manually quitting")
            return True
        if self._asked("save"):
            self.save_checkpoint()
        return False

    def finish(self, name: str) -> None:
        if self.checkpointed_step != self.run.step:
            self.save_checkpoint()
        if self.saved_step != self.run.step:
            self.save_weights(name)

    def _asked(self, name: str) -> bool:
        request = self.run_dir / name
        if not request.exists():
            return False
        request.unlink(missing_ok=True)
        return True

    def save_weights(self, name: str) -> None:
        say(f"Saving model to directory {name}")
        folder = self.run_dir / name
        folder.mkdir(exist_ok=True)
        dtype = self.run.config["save_dtype"]
        if "adapter" in self.run.config:
            save_lora(self.run.model, folder / "lora.safetensors", dtype)
        else:
            save_model(self.run.model, folder / "model.safetensors", dtype)
        shutil.copy(self.config_path, folder)
        self.save_samples()
        self.saved_step = self.run.step

    def save_samples(self) -> None:
        save_grid(self.run.samples(), self.run_dir / "samples" / f"step{self.run.step:06d}.png")

    def save_checkpoint(self) -> None:
        """The file and then `latest` appear whole or not at all."""
        tag = f"global_step{self.run.step}"
        log_rank0(f"[Torch] Checkpoint {tag} is about to be saved!")
        path = self.run_dir / tag / STATE_FILE
        log_rank0(f"Saving model checkpoint: {path}")
        path.parent.mkdir(exist_ok=True)
        with open(path.with_name(STATE_FILE + ".tmp"), "wb") as file:
            torch.save(self.run.state(), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
        pointer = self.run_dir / "latest.tmp"
        pointer.write_text(tag)
        os.replace(pointer, self.run_dir / "latest")
        self.checkpointed_step = self.run.step
        self.last_checkpoint = time.monotonic()


def load_checkpoint(run: Run, run_dir: Path, flags: Any) -> None:
    path = run_dir / (run_dir / "latest").read_text().strip() / STATE_FILE
    log_rank0(f"[Torch] Begin Load checkpoint from {path}...")
    state = torch.load(path, map_location=run.device, weights_only=True)
    log_rank0(f"[Torch] End Load checkpoint from {path}...")
    run.restore(state, flags)
    say(f"Resuming training from checkpoint. Resuming at epoch: {run.loader.epoch}, step: {run.step + 1}")
