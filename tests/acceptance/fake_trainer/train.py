"""A fake at the seam between the diffusion_pipe engine and train.py: its flags, files and lines, without a model.

The service cannot tell it from the real one, and starts it in a fifth of a second, so that tests can start hundreds.
The lifecycle suite runs over the bundled real trainer too (examples/mini_diffusion_pipe), so that what is faked here
stays true. The shapes of the lines are those of tests/fixtures/diffusion_pipe.

It is steered through keys inside [model], which the service passes through unchanged:

    x_steps_per_epoch 8, x_steps_per_second 100    how long it takes
    x_hold_at_step N, x_gate DIR                   waits after step N until DIR/go exists (N 0: before the first)
    x_exit_at_step N with x_exit_code or x_signal  ends there; without N, after the last step
    x_ignore_term, x_escape                        SIGTERM means nothing; a grandchild with its own session and
                                                   without our output means the same and sleeps for ever
    x_raw_file PATH                                prints these bytes as they are before the first step
    x_flood_lines N, x_flood_seconds S             prints numbered lines as fast as it can before the first step
    x_bar_bytes N, x_line_bytes N                  a progress bar of about N bytes; one line of N bytes
    x_hang_after_traceback N                       after step N a final traceback, then nothing for ever
    x_burn_cpu_after_traceback N, x_burn_seconds   after step N a caught traceback, silence and work, then on
    x_save_seconds S                               how long a save takes
    x_children N                                   sleeping children in our process group
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import toml

STATE = "mp_rank_00_model_states.pt"
FLOOD = b"flood %d of a child that prints as fast as it can\n"


def loss_of(step: int) -> float:
    """What the loss of a step is, in every run."""
    return (step * 7919 % 100_003) / 10_000


def say(text: str) -> None:
    print(text, flush=True)


def log(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S") + ",000"
    say(f"[{stamp}] [INFO] [logging.py:123:log_dist] [Rank 0] {text}")


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--local_rank", type=int, default=-1)
    parser.add_argument("--resume_from_checkpoint", nargs="?", const=True, default=None)
    parser.add_argument("--master_port", type=int, default=29500)
    for switch in ("deepspeed", "reset_dataloader", "reset_optimizer", "regenerate_cache", "trust_cache"):
        parser.add_argument(f"--{switch}", action="store_true")
    return parser.parse_args()


class Trainer:
    def __init__(self, config_path: str, resume: str | None) -> None:
        self.config_path = config_path
        self.config: dict[str, Any] = toml.load(config_path)
        toml.load(self.config["dataset"])
        self.x = {k[2:]: v for k, v in self.config["model"].items() if k.startswith("x_")}
        self.per_epoch = self.x.get("steps_per_epoch", 8)
        self.total = min(self.config["epochs"] * self.per_epoch, self.config.get("max_steps", 1 << 60))
        self.step = self.saved_at = 0
        output = Path(self.config["output_dir"])
        if resume:
            self.run = output / resume
            self.step = int((self.run / "latest").read_text().removeprefix("global_step"))
        else:
            self.run = output / time.strftime("%Y%m%d_%H-%M-%S", time.gmtime())
            self.run.mkdir(parents=True)
            for source in (config_path, self.config["dataset"]):
                (self.run / Path(source).name).write_bytes(Path(source).read_bytes())

    def main(self) -> None:
        self.misbehave()
        say("using video_clip_mode=single_beginning")
        say("Global batch size = 1")
        if self.step:
            log(f"[Torch] Begin Load checkpoint from {self.run}/global_step{self.step}/{STATE}...")
            epoch = self.step // self.per_epoch + 1
            say(f"Resuming training from checkpoint. Resuming at epoch: {epoch}, step: {self.step + 1}")
        self.print_oddities()
        self.hold()
        while self.step < self.total:
            self.train_step()
            if self.asked("save_quit"):
                self.save_state()
                say("Manually quitting")
                return
            if self.asked("save"):
                self.save_state()
            self.hold()
            self.leave_early()
        if self.saved_at != self.step:
            self.save_state()
            self.save_weights(f"step{self.step}")
        self.leave()
        say("TRAINING COMPLETE!")

    # ---- steps and saves

    def train_step(self) -> None:
        rate = self.x.get("steps_per_second", 100)
        time.sleep(1 / rate if rate else 0)
        self.step += 1
        log(f"step={self.step}, skipped=0, lr=[0.0002], mom=[0.0]")
        say(f"steps: {self.step} loss: {loss_of(self.step):.4f} iter time (s): 0.010 samples/sec: 100.000")
        self.break_down()
        if self.step % self.per_epoch:
            return
        epoch = self.step // self.per_epoch
        if epoch % self.config.get("checkpoint_every_n_epochs", epoch + 1) == 0:
            self.save_state()
        if epoch % self.config.get("save_every_n_epochs", epoch + 1) == 0:
            self.save_weights(f"epoch{epoch}")
        if self.step < self.total:
            say(f"Started new epoch: {epoch + 1}")

    def asked(self, name: str) -> bool:
        try:
            (self.run / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def save_state(self) -> None:
        name = f"global_step{self.step}"
        log(f"[Torch] Checkpoint {name} is about to be saved!")
        path = self.run / name / STATE
        log(f"Saving model checkpoint: {path}")
        path.parent.mkdir(exist_ok=True)
        time.sleep(self.x.get("save_seconds", 0))
        path.write_bytes(b"state of step %d\n" % self.step * 100)
        (self.run / "latest.tmp").write_text(name)
        (self.run / "latest.tmp").replace(self.run / "latest")
        self.saved_at = self.step

    def save_weights(self, name: str) -> None:
        say(f"Saving model to directory {name}")
        (self.run / name).mkdir(exist_ok=True)
        (self.run / name / "lora.safetensors").write_bytes(b"weights\n" * 100)
        self.saved_at = self.step

    # ---- ways to go wrong

    def misbehave(self) -> None:
        if self.x.get("ignore_term"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(self.x.get("children", 0)):
            if os.fork() == 0:
                signal.pause()
        if self.x.get("escape") and os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            while True:
                signal.pause()

    def print_oddities(self) -> None:
        out = sys.stdout.buffer
        if "raw_file" in self.x:
            out.write(Path(self.x["raw_file"]).read_bytes())
        if "flood_lines" in self.x:
            for first in range(0, self.x["flood_lines"], 1000):
                last = min(first + 1000, self.x["flood_lines"])
                out.write(b"".join(FLOOD % n for n in range(first, last)))
        if "flood_seconds" in self.x:
            end, count = time.monotonic() + self.x["flood_seconds"], 0
            while time.monotonic() < end:
                out.write(b"".join(FLOOD % (count + n) for n in range(1000)))
                count += 1000
            out.write(b"flood over after %d lines\n" % count)
        if "line_bytes" in self.x:
            out.write(b"A" * self.x["line_bytes"] + b"\nafter the long line\n")
        if "bar_bytes" in self.x:
            redraw = "\r 45%|####5     | {0}/1000000 [00:10<00:12, 99.0it/s]"
            count = self.x["bar_bytes"] // len(redraw.format(100_000))
            for first in range(0, count, 1000):
                out.write("".join(redraw.format(first + n) for n in range(1000)).encode())
            out.write(b"\r100%|##########| 1000000/1000000 [00:22<00:00, 99.0it/s]\nafter the bar\n")
        out.flush()

    def hold(self) -> None:
        gate = self.x.get("gate")
        while gate and self.x.get("hold_at_step", 0) == self.step and not Path(gate, "go").exists():
            if self.asked("save_quit"):
                self.save_state()
                say("Manually quitting")
                sys.exit(0)
            time.sleep(0.01)

    def break_down(self) -> None:
        for key in ("hang_after_traceback", "burn_cpu_after_traceback"):
            if self.x.get(key) == self.step:
                print("Traceback (most recent call last):", file=sys.stderr)
                print('  File "/opt/train.py", line 1, in <module>', file=sys.stderr)
                print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.68 GiB.", file=sys.stderr)
                if key.startswith("hang"):
                    while True:
                        signal.pause()
                end = time.monotonic() + self.x.get("burn_seconds", 5)
                while time.monotonic() < end:
                    pass

    def leave_early(self) -> None:
        if self.x.get("exit_at_step") == self.step:
            self.leave(or_else=0)

    def leave(self, or_else: int | None = None) -> None:
        if "signal" in self.x:
            os.kill(os.getpid(), self.x["signal"])
        code = self.x.get("exit_code", or_else)
        if code is not None:
            sys.stdout.flush()
            os._exit(code)


if __name__ == "__main__":
    given = flags()
    Trainer(given.config, given.resume_from_checkpoint).main()
