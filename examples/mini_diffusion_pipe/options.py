"""The command line and the config file: diffusion-pipe's flags, keys and defaults."""

from __future__ import annotations

import argparse
from typing import Any

import toml
import torch

MODEL_TYPE = "sdxl"
DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8": torch.float8_e4m3fn,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
DEFAULTS: dict[str, Any] = {
    "eval_datasets": [],
    "micro_batch_size_per_gpu": 1,
    "pipeline_stages": 1,
    "gradient_accumulation_steps": 1,
    "eval_gradient_accumulation_steps": 1,
    "gradient_clipping": 1.0,
    "warmup_steps": 0,
    "lr_scheduler": "constant",
    "steps_per_print": 1,
    "logging_steps": 1,
    "x_axis_examples": False,
    "eval_before_first_step": True,
    "uncond_fraction": 0.0,
    "resume_from_checkpoint": False,
}


def parse_flags(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train.py", description="Trains a mini diffusion model.", allow_abbrev=False)
    add = parser.add_argument
    add("--config", help="path of the TOML config file")
    add("--local_rank", type=int, default=-1, help="given by the launcher")
    add(
        "--resume_from_checkpoint",
        nargs="?",
        const=True,
        default=None,
        help="a run directory's name; none = last",
    )
    add("--reset_dataloader", action="store_true", help="on resume start the epoch afresh")
    add("--reset_optimizer", action="store_true", help="on resume forget the optimizer and the lr schedule")
    add("--reset_optimizer_params", action="store_true", help="on resume take lr etc. from the config")
    add("--regenerate_cache", action="store_true", default=None, help="rebuild the cache")
    add("--cache_only", action="store_true", help="cache the data, then exit")
    add("--trust_cache", action="store_true", help="use a cache without checking its fingerprint")
    add("--i_know_what_i_am_doing", action="store_true", help="skip the checks of the dataset config")
    add("--master_port", type=int, default=29500, help="port of the rendezvous")
    add("--dump_dataset", default=None, metavar="DIR", help="write the cached images as PNGs, then exit")
    add("--test_sample", action="store_true", help="write example.png, then exit")
    add("--deepspeed", action="store_true", help="has no effect")
    add("--deepspeed_config", default=None, help="must not be given")
    add("--deepscale", action="store_true", help="has no effect")
    add("--deepscale_config", default=None, help="must not be given")
    return parser.parse_args(argv)


def load_config(path: str) -> dict[str, Any]:
    """Reads the config, fills in the defaults and refuses what cannot be trained."""
    config: dict[str, Any] = toml.load(path)
    # fmt: off
    assert 'save_every_n_epochs' in config or 'save_every_n_steps' in config \
        or 'save_every_n_examples' in config
    # fmt: on
    config = {**DEFAULTS, **config}
    batch = config["micro_batch_size_per_gpu"]
    config.setdefault("image_micro_batch_size_per_gpu", batch)
    config.setdefault("eval_micro_batch_size_per_gpu", batch)
    config.setdefault("eval_image_micro_batch_size_per_gpu", config["eval_micro_batch_size_per_gpu"])
    config["optimizer"]["type"]  # required, like those below: a KeyError names it
    config["dataset"], config["output_dir"]
    _check_model(config["model"])
    _check_adapter(config.get("adapter"))
    dtype = config["model"]["dtype"]
    config["save_dtype"] = DTYPES[config.get("save_dtype", dtype)]
    return config


def _check_model(model: dict[str, Any]) -> None:
    if model["type"] != MODEL_TYPE:
        raise NotImplementedError(f"Model type {model['type']} is not implemented")
    model["dtype"] = DTYPES[model["dtype"]] and model["dtype"]


def _check_adapter(adapter: dict[str, Any] | None) -> None:
    if adapter is None:
        return
    if adapter["type"] != "lora":
        raise NotImplementedError(f"Adapter type {adapter['type']} is not implemented")
    if "alpha" in adapter:
        raise NotImplementedError("This script forces alpha=rank to keep the scaling at 1; remove alpha")


def batch_size_for(setting: int | list[list[int]], side: float) -> int:
    """A plain batch size, or `[[side, batch size], ...]`: then that of the nearest side."""
    if isinstance(setting, int):
        return setting
    return int(min(setting, key=lambda pair: abs(pair[0] - side))[1])
