"""What train.py prints when it fails (facts/diffusion_pipe.md 1.8), and what to change then."""

from __future__ import annotations

from api.models.job import Failure
from api.services.engines.base import Ending
from api.services.engines.failures import GENERIC, classify, first_match, lines_of, rule

_OOM = (
    "The GPU's memory was not enough: lower micro_batch_size_per_gpu, the dataset's resolutions or frame_buckets; set "
    "activation_checkpointing, blocks_to_swap (with an adapter) or model.transformer_dtype float8; or lease more GPUs "
    "with pipeline_stages. While caching: lower caching_batch_size."
)

RULES = (
    rule("cuda_oom", r"CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError", _OOM),
    rule(
        "cuda_oom",
        r"CUDA error: out of memory",
        "Memory ran out while blocks were swapped (pinned main memory, often under WSL): lower blocks_to_swap, give "
        "WSL more memory, or free main memory.",
    ),
    rule(
        "dataset_empty",
        r"AssertionError: Directory (.{1,300}?) had no images/videos",
        "{0} holds no image or video: correct dataset.directory path (subdirectories are not searched).",
    ),
    rule(
        "dataset_empty",
        r"Processed dataset was empty|ConcatenatedBatchedDataset is empty",
        "No size bucket holds as many items as one batch: lower micro_batch_size_per_gpu or "
        "gradient_accumulation_steps, raise num_repeats, or add captions (items without one are skipped).",
    ),
    rule(
        "nccl",
        r"doesn't support faster communication broadband via P2P or IB",
        "This GPU needs NCCL_P2P_DISABLE=1 and NCCL_IB_DISABLE=1: set both in env.",
    ),
    rule(
        "import_error",
        r"No module named 'mpi4py'",
        "DeepSpeed found no rank variables and tried MPI: start through the deepspeed launcher, or set RANK and the "
        "like (TRAINYARD_DIFFUSION_PIPE_LAUNCHER).",
    ),
    rule(
        "import_error",
        r"No module named '(hyvideo|comfy[\w.]{0,80})",
        "The checkout lacks a submodule ({0}): run git submodule update --init --recursive in the diffusion-pipe "
        "root, and remove a pip package of that name.",
    ),
    rule(
        "import_error",
        r"'autocommit' is an invalid keyword argument",
        "diffusion-pipe needs Python 3.12 or newer: set TRAINYARD_DIFFUSION_PIPE_PYTHON to such an interpreter.",
    ),
    rule(
        "missing_file",
        r"Invalid (path|mask_path|control_path): (.{1,300})",
        "{1} does not exist: correct {0} in dataset.directory.",
    ),
    rule(
        "missing_file",
        r"Unable to find latest file",
        "There is no checkpoint to resume from in that run directory: resume from another one, or restart.",
    ),
    rule(
        "missing_file",
        r"couldn't connect to 'https://huggingface\.co'|is not the path to a directory containing"
        r"|not a local folder and is not a valid model identifier",
        "A model is not where the request says, and cannot be downloaded: correct the paths in config.model.",
    ),
    rule(
        "bad_config",
        r"fp8_scaled weights are not supported",
        "This file holds fp8_scaled weights: use bf16 or normal fp8 weights in config.model.",
    ),
    rule(
        "bad_config",
        r"Model type (.{1,100}?) is not implemented",
        "This diffusion-pipe does not know the model type {0}: correct model_type or update the checkout.",
    ),
    rule("bad_config", r"This script forces alpha=rank", "Leave out config.adapter.alpha: train.py uses alpha = rank."),
    rule("bad_config", r"Adapter type (.{1,100}?) is not implemented", "Use lora or lokr as config.adapter.type."),
    rule(
        "bad_config",
        r"assert 'save_every_n_epochs' in config",
        "Set one of save_every_n_epochs, save_every_n_steps and save_every_n_examples.",
    ),
    rule("bad_config", r"TomlDecodeError: (.{1,200})", "train.py cannot read a TOML: {0}."),
    rule("bad_config", r"train\.py: error: (.{1,200})", "train.py refuses its arguments: {0}."),
    rule(
        "bad_config",
        r"TypeError: .{0,200}unexpected keyword argument '(\w{1,80})'",
        "{0} is not a setting that this optimizer (or model) takes: correct config.optimizer.",
    ),
    rule(
        "bad_config",
        r"\A(?:\[rank\d{1,5}\]:\s?)?KeyError: '([\w.-]{1,80})'",
        "train.py misses the key {0} in the config: add it to config or config.model.",
    ),
    rule(
        "bad_config",
        r"\A(?:\[rank\d{1,5}\]:\s?)?NotImplementedError: (.{1,200})",
        "train.py does not support what the config asks for: {0}",
    ),
)

_INCOMPLETE = (
    rule(
        "incomplete",
        r"You have set a lot of resolutions",
        "train.py refused to start: more than 3 resolutions in the dataset. Set at most 3 in dataset.resolutions.",
    ),
    rule(
        "incomplete", r"Manually quitting", "A save_quit file in the run directory ended the training early: resume it."
    ),
)


def explain(ending: Ending) -> Failure:
    """train.py's own texts first, then what holds for any trainer."""
    if ending.exit_code == 0 and not ending.oom_killed:
        quiet = first_match(_INCOMPLETE, list(lines_of(ending)))
        if quiet is not None:
            return quiet
    return classify(ending, (*RULES, *GENERIC), what="train.py")
