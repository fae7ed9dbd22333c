"""A mini diffusion trainer with the flags, config keys, files and output of diffusion-pipe's train.py."""

from __future__ import annotations

import math
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from caching import Bucket, CacheMode, cache_datasets
from console import log, log_rank0, name_rank_in_tracebacks, say
from data import load_directories
from diffusion import save_grid
from evaluation import Evaluator
from loader import Loader
from lora import add_lora, load_lora
from model import MiniUNet, load_model
from optim import Schedule, make_optimizer, momenta
from options import load_config, parse_flags
from run_state import Run
from saver import Saver, create_run_dir, find_run_dir, load_checkpoint

SEED = 2468


def start_process(flags: Namespace) -> tuple[torch.device, Any]:
    """The device, and the store that holds the rendezvous port as long as the training lives."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world != 1:
        raise NotImplementedError(f"The mini trainer runs on one device; WORLD_SIZE is {world}")
    os.environ["MASTER_PORT"] = str(flags.master_port)
    cuda = torch.cuda.is_available()
    if not cuda:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    backend = "nccl" if cuda else "gloo"
    log(f"Initializing TorchBackend in DeepSpeed with backend {backend}", "comm.py:852:init_distributed")
    name_rank_in_tracebacks()
    store = TCPStore("127.0.0.1", flags.master_port, 1, is_master=True)
    return torch.device("cuda:0" if cuda else "cpu"), store


def cache(config: dict[str, Any], flags: Namespace) -> tuple[list[list[Bucket]], list[dict[str, Any]]]:
    """The cached buckets and the config of the training's dataset, then of each eval dataset."""
    paths = [config["dataset"], *(entry["config"] for entry in config["eval_datasets"])]
    loaded = [load_directories(path, flags.i_know_what_i_am_doing) for path in paths]
    mode = CacheMode(regenerate=bool(flags.regenerate_cache), trust=flags.trust_cache)
    buckets = cache_datasets([directories for directories, _ in loaded], mode)
    return buckets, [dataset for _, dataset in loaded]


def make_model(config: dict[str, Any], device: torch.device) -> MiniUNet:
    torch.manual_seed(SEED)  # of the LoRA weights and dropout; the rest has generators of its own
    model = load_model(Path(config["model"]["checkpoint_path"]))
    adapter = config.get("adapter")
    if adapter is not None:
        add_lora(model, adapter["rank"], adapter.get("dropout", 0.0), adapter.get("exclude_modules"))
        if "init_from_existing" in adapter:
            load_lora(model, Path(adapter["init_from_existing"]))
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        total = sum(p.numel() for p in model.parameters())
        share = 100 * trained / total
        say(f"trainable params: {trained:,} || all params: {total:,} || trainable%: {share:.4f}")
    return model.to(device).train()


def make_run(config: dict[str, Any], device: torch.device, buckets: list[Bucket], ratio: float) -> Run:
    model = make_model(config, device)
    batch = config["image_micro_batch_size_per_gpu"]
    loader = Loader(buckets, batch, config["gradient_accumulation_steps"], ratio)
    run = Run(config, model, loader, device)
    say(f"Global batch size = {run.global_batch}")
    run.optimizer = make_optimizer(model, config, run.global_batch)
    total = min(config["epochs"] * len(loader), config.get("max_steps", math.inf))
    run.schedule = Schedule(run.optimizer, config, int(total))
    for stage in ("Basic", "Final"):
        log_rank0(f"DeepSpeed {stage} Optimizer = {type(run.optimizer).__name__}")
    return run


def report(run: Run, loss: float, seconds: float, steps: int) -> None:
    rates = [group["lr"] for group in run.optimizer.param_groups]
    log_rank0(f"step={run.step}, skipped=0, lr={rates}, mom={momenta(run.optimizer)}")
    speed = steps * run.global_batch / seconds
    say(f"steps: {run.step} loss: {loss:.4f} iter time (s): {seconds / steps:.3f} samples/sec: {speed:.3f}")


class Training:
    """The loop: steps, and after each what is due."""

    def __init__(self, run: Run, saver: Saver, evaluator: Evaluator, writer: Any) -> None:
        self.run, self.saver, self.evaluator, self.writer = run, saver, evaluator, writer
        self.epoch_losses: list[float] = []
        self.unreported, self.since = 0, time.monotonic()

    def x(self) -> int:
        return self.run.step * (self.run.global_batch if self.run.config["x_axis_examples"] else 1)

    def loop(self) -> bool:
        """False if it was asked to save and quit."""
        run, config = self.run, self.run.config
        last_step = config.get("max_steps", math.inf)
        while run.loader.epoch <= config["epochs"] and run.step < last_step:
            epoch = run.loader.epoch
            self.since = time.monotonic() if not self.unreported else self.since
            loss, norm = run.train_step()
            self.record(loss, norm)
            ended = epoch if run.loader.epoch != epoch else None
            if ended is not None:
                self.end_epoch(ended)
            if self.saver.end_step():
                return False
            if self.evaluator.due(ended):
                self.evaluator.evaluate(self.x())
        self.saver.finish(f"epoch{config['epochs']}" if run.loader.epoch > config["epochs"] else f"step{run.step}")
        return True

    def record(self, loss: float, norm: float) -> None:
        config = self.run.config
        self.epoch_losses.append(loss)
        self.unreported += 1
        if self.run.step % config["steps_per_print"] == 0:
            report(self.run, loss, time.monotonic() - self.since, self.unreported)
            self.unreported = 0
        if self.run.step % config["logging_steps"] == 0:
            self.writer.add_scalar("train/loss", loss, self.x())
            self.writer.add_scalar("train/grad_norm", norm, self.x())

    def end_epoch(self, epoch: int) -> None:
        self.saver.end_epoch(epoch)
        self.writer.add_scalar("train/epoch_loss", sum(self.epoch_losses) / len(self.epoch_losses), epoch)
        self.epoch_losses.clear()
        if epoch < self.run.config["epochs"]:
            say(f"Started new epoch: {epoch + 1}")


def dump_images(buckets: list[Bucket], folder: Path) -> None:
    for number, bucket in enumerate(buckets):
        for index, pixels in enumerate(bucket.images):
            save_grid(torch.from_numpy(pixels)[None] / 127.5 - 1, folder / f"{number}_{index}.png", zoom=1)


def train(run: Run, eval_buckets: list[list[Bucket]], flags: Namespace, eval_ratios: list[float]) -> None:
    from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second to import

    config = run.config
    resume = flags.resume_from_checkpoint or config["resume_from_checkpoint"]
    run_dir = find_run_dir(config, resume) if resume else create_run_dir(config, flags.config)
    writer = SummaryWriter(log_dir=str(run_dir))
    saver = Saver(run, run_dir, flags.config)
    batch, accumulation = (
        config["eval_image_micro_batch_size_per_gpu"],
        config["eval_gradient_accumulation_steps"],
    )
    loaders = {
        entry["name"]: Loader(buckets, batch, accumulation, ratio)
        for entry, buckets, ratio in zip(config["eval_datasets"], eval_buckets, eval_ratios, strict=True)
    }
    training = Training(run, saver, Evaluator(run, loaders, writer), writer)
    if resume:
        load_checkpoint(run, run_dir, flags)
        saver.resumed()
    else:
        saver.save_samples()
        if config["eval_before_first_step"]:
            training.evaluator.evaluate(0)
    finished = training.loop()
    writer.close()
    if finished:
        say("TRAINING COMPLETE!")


def main() -> None:
    flags = parse_flags()
    config = load_config(flags.config)
    device, _store = start_process(flags)
    say("using video_clip_mode=single_beginning")
    buckets, datasets = cache(config, flags)
    if flags.cache_only:
        return
    if flags.dump_dataset is not None:
        dump_images(buckets[0], Path(flags.dump_dataset))
        return
    ratios = [float(dataset.get("subsample_ratio", 1.0)) for dataset in datasets]
    run = make_run(config, device, buckets[0], ratios[0])
    if flags.test_sample:
        save_grid(run.samples(), Path("example.png"))
        return
    train(run, buckets[1:], flags, ratios[1:])


if __name__ == "__main__":
    main()
