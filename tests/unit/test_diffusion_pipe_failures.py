"""Texts of failures -> class and hint (facts/diffusion_pipe.md 1.8)."""

from __future__ import annotations

import pytest

from api.models.job import FAILURE_KINDS
from api.services.engines.base import Ending
from api.services.engines.diffusion_pipe.failures import RULES, explain
from api.services.engines.diffusion_pipe.output import parse
from api.services.engines.failures import GENERIC, classify

TEXTS = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.68 GiB.", "cuda_oom", "micro_batch"),
    ("RuntimeError: CUDA error: out of memory", "cuda_oom", "blocks_to_swap"),
    ("NotImplementedError: Using RTX 4000 series doesn't support faster communication broadband via P2P or IB.", "nccl",
     "NCCL_P2P_DISABLE"),
    ("torch.distributed.DistBackendError: NCCL error in: x.cpp", "nccl", "NCCL"),
    ("torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. "
     "port: 29500, EADDRINUSE", "port_busy", "port"),
    ("AssertionError: Torch not compiled with CUDA enabled", "no_gpu", "nvidia-smi"),
    ("RuntimeError: Found no NVIDIA driver on your system.", "no_gpu", "driver"),
    ("ModuleNotFoundError: No module named 'hyvideo'", "import_error", "submodule"),
    ("ModuleNotFoundError: No module named 'comfy.model_management'", "import_error", "submodule"),
    ("ModuleNotFoundError: No module named 'mpi4py'", "import_error", "launcher"),
    ("ModuleNotFoundError: No module named 'optimi'", "import_error", "optimi"),
    ("ImportError: libcudart.so.12: cannot open shared object file", "import_error", "versions"),
    ("TypeError: 'autocommit' is an invalid keyword argument for Connection()", "import_error", "3.12"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/data/run/nope.toml'", "missing_file",
     "/data/run/nope.toml"),
    ("RuntimeError: Invalid path: /nonexistent/images", "missing_file", "/nonexistent/images"),
    ("RuntimeError: Invalid mask_path: /m", "missing_file", "mask_path"),
    ("AssertionError: Directory /x had no images/videos!", "dataset_empty", "/x"),
    ("OSError: We couldn't connect to 'https://huggingface.co' to load this model, /no is not the path to a directory",
     "missing_file", "config.model"),
    ("RuntimeError: Processed dataset was empty. Probably caused by rounding down for each size bucket.",
     "dataset_empty", "micro_batch_size_per_gpu"),
    ("RuntimeError: ConcatenatedBatchedDataset is empty", "dataset_empty", "num_repeats"),
    ("NotImplementedError: Model type notamodel is not implemented", "bad_config", "notamodel"),
    ("NotImplementedError: This script forces alpha=rank to make the saved LoRA format simpler", "bad_config", "alpha"),
    ("NotImplementedError: Adapter type dora is not implemented", "bad_config", "lokr"),
    ("toml.decoder.TomlDecodeError: Not a homogeneous array (line 38 column 1 char 788)", "bad_config", "homogeneous"),
    ("train.py: error: unrecognized arguments: --bogus", "bad_config", "--bogus"),
    ("ValueError: fp8_scaled weights are not supported. Please use bf16 or normal fp8 weights.", "bad_config", "bf16"),
    ("TypeError: AdamW.__init__() got an unexpected keyword argument 'foo'", "bad_config", "foo"),
    ("KeyError: 'epochs'", "bad_config", "epochs"),
    ("OSError: [Errno 28] No space left on device", "disk_full", "disk"),
    ("RuntimeError: [enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory", "killed_by_oom",
     "memory"),
    ("PermissionError: [Errno 13] Permission denied: '/data/x'", "missing_file", "/data/x"),
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "[rank0]: "])
@pytest.mark.parametrize(("text", "kind", "word"), TEXTS, ids=lambda value: str(value)[:30])
def test_a_traceback_is_classified(text: str, kind: str, word: str, prefix: str) -> None:
    line = prefix + text
    faults = tuple(event.line for event in parse(line).events if hasattr(event, "fatal"))
    assert faults == (line,)
    failure = explain(Ending(1, False, faults, ("Traceback (most recent call last):", line)))
    assert (failure.kind, failure.line) == (kind, line)
    assert word in failure.hint


def test_the_bare_assertions_are_told_by_the_lines_before() -> None:
    source = "    assert 'save_every_n_epochs' in config or 'save_every_n_steps' in config"
    assert explain(Ending(1, False, ("AssertionError",), (source, "AssertionError"))).kind == "bad_config"
    latest = "[2026-11-21 07:00:00,000] [WARNING] [engine.py:3304:load_checkpoint] Unable to find latest file at /x"
    assert explain(Ending(1, False, ("AssertionError",), (latest, "AssertionError"))).kind == "missing_file"


CODE = "[2026-11-21 07:40:34,117] [ERROR] [launch.py:341:sigkill_handler] [...] exits with return code = {}"


@pytest.mark.parametrize(
    ("code", "tail", "oom", "kind"),
    [
        (-9, (), False, "killed_by_oom"), (247, (CODE.format(-9),), False, "killed_by_oom"),
        (247, (), False, "killed_by_oom"), (137, (), False, "killed_by_oom"), (1, ("x",), True, "killed_by_oom"),
        (-15, (), False, "signal"), (245, (CODE.format(-11),), False, "signal"), (250, (), False, "signal"),
        (139, (), False, "signal"), (-2, ("KeyboardInterrupt",), False, "signal"),
        (0, (), False, "incomplete"), (0, ("Manually quitting",), False, "incomplete"),
        (0, ("WARNING: You have set a lot of resolutions in the dataset config.",), False, "incomplete"),
        (1, ("ValueError: strange",), False, "unknown"), (None, (), False, "unknown"), (3, (), False, "unknown"),
        (255, (), False, "signal"),
    ],
)  # fmt: skip
def test_an_ending_without_a_known_text(code: int | None, tail: tuple[str, ...], oom: bool, kind: str) -> None:
    assert explain(Ending(code, False, (), tail, oom)).kind == kind


def test_the_cause_is_shown_and_not_what_followed_from_it() -> None:
    faults = ("BrokenPipeError: [Errno 32] Broken pipe", "ValueError: the cause", CODE.format(1))
    assert explain(Ending(1, False, faults, ())).line == "ValueError: the cause"
    assert explain(Ending(1, False, faults[:1], ())).line == faults[0]


def test_more_than_three_resolutions_are_named() -> None:
    line = "WARNING: You have set a lot of resolutions in the dataset config."
    assert "dataset.resolutions" in explain(Ending(0, False, (), (line,))).hint


def test_every_kind_is_one_of_the_contract() -> None:
    assert {rule.kind for rule in (*RULES, *GENERIC)} <= set(FAILURE_KINDS)


def test_other_engines_use_the_general_rules() -> None:
    failure = classify(Ending(1, False, (), ("ModuleNotFoundError: No module named 'ultralytics'",)), what="yolo")
    assert failure.kind == "import_error"
    assert "ultralytics" in failure.hint
    assert "yolo" in classify(Ending(0, False, (), ()), what="yolo").hint
