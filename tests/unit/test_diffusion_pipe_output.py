"""What the parser reads out of recorded runs of diffusion-pipe, and out of the lines that break parsers."""

from __future__ import annotations

import re
import time
from itertools import groupby
from pathlib import Path

import pytest

from api.models.events import Advance, Done, Event, Fault, Level, LineType, Metric, Parsed, Saved, Warn
from api.models.job import Phase
from api.services.engines.diffusion_pipe import output
from api.services.engines.diffusion_pipe.output import parse

FIXTURES = Path(__file__).parent.parent / "fixtures" / "diffusion_pipe"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def lines_of(name: str) -> list[str]:
    text = (FIXTURES / f"{name}.log").read_bytes().decode("utf-8")
    return [ANSI.sub("", line) for line in re.split(r"[\r\n]", text)]


def events_of(name: str) -> list[Event]:
    return [event for line in lines_of(name) for event in parse(line).events]


def phases_of(events: list[Event]) -> list[Phase]:
    phases = [e.phase for e in events if isinstance(e, Advance) and e.phase is not None]
    return [phase for phase, _ in groupby(phases)]


def one(line: str) -> Parsed:
    return parse(line)


C, L, T, E, S, D = (
    Phase.CACHING, Phase.LOADING, Phase.TRAINING, Phase.EVALUATING, Phase.SAVING, Phase.DONE,
)  # fmt: skip

GOLDEN = {
    "full_run": {
        "steps": list(range(1, 25)), "first": 1.4913, "last": 1.4945, "epochs": [2, 3], "done": True, "warnings": [],
        "saved": ["epoch1", "global_step16", "epoch2", "epoch3", "global_step24"],
        "phases": [C, L, E, T, S, T, E, T, S, T, E, T, S, E, S, D],
    },
    "resume": {
        "steps": list(range(25, 42)), "first": 1.4330, "last": None, "epochs": [4, 5], "done": True, "warnings": [],
        "saved": ["global_step33", "epoch4", "epoch5", "global_step41"], "phases": [C, L, T, S, T, E, T, S, E, S, D],
    },
    "save_quit": {
        "steps": list(range(1, 19)), "first": None, "last": None, "epochs": [2, 3], "done": False, "warnings": [],
        "saved": ["global_step8", "global_step18"], "phases": None,
    },
    "two_gpus_data_parallel": {
        "steps": list(range(1, 13)), "first": 1.5218, "last": 1.5082, "epochs": [2, 3], "done": True, "warnings": [],
        "saved": ["epoch1", "global_step8", "epoch2", "epoch3", "global_step12"],
        "phases": [C, L, E, T, S, T, E, T, S, T, E, T, S, E, S, D],
    },
    "warnings_skipped_files": {
        "steps": [3, 6, 9, 12], "first": 1.4972, "last": 1.4696, "epochs": [2, 3, 4, 5], "done": True,
        "warnings": [output.NO_CAPTION, output.UNREADABLE], "saved": ["step5", "step10", "global_step12", "step12"],
        "phases": [C, L, T, S, T, S, T, S, D],
    },
    "cache_only": {
        "steps": [], "first": None, "last": None, "epochs": [], "done": False, "warnings": [], "saved": [],
        "phases": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_a_recorded_run_is_understood(name: str) -> None:
    want, events = GOLDEN[name], events_of(name)
    losses = [e for e in events if isinstance(e, Metric) and e.name == "loss"]
    assert [e.step for e in losses] == want["steps"]
    assert [e.step for e in events if isinstance(e, Metric) and e.name == "lr"] == want["steps"]
    assert [e.step for e in events if isinstance(e, Advance) and e.samples_per_second] == want["steps"]
    if want["first"] is not None:
        assert losses[0].value == want["first"]
    if want["last"] is not None:
        assert losses[-1].value == want["last"]
    assert [e.epoch for e in events if isinstance(e, Advance) and e.epoch is not None] == want["epochs"]
    assert [e.name for e in events if isinstance(e, Saved)] == want["saved"]
    assert [e for e in events if isinstance(e, Fault)] == []
    assert any(isinstance(e, Done) for e in events) is want["done"]
    assert list(dict.fromkeys(e.text for e in events if isinstance(e, Warn))) == want["warnings"]
    if want["phases"] is not None:
        assert phases_of(events) == want["phases"]


def test_every_fixture_has_its_golden_row() -> None:
    assert {path.stem for path in FIXTURES.glob("*.log")} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_no_line_of_a_good_run_is_an_error(name: str) -> None:
    assert [line for line in lines_of(name) if parse(line).level is Level.ERROR] == []


def test_a_state_names_its_directory() -> None:
    states = [e for e in events_of("full_run") if isinstance(e, Saved) and e.kind == "state"]
    assert states[0] == Saved("state", "global_step16", "/data/run/out/20261121_07-20-43/global_step16")


def test_a_directory_with_spaces_and_brackets() -> None:
    line = "[Rank 0] Saving model checkpoint: /a b/[c]/d; e/global_step7/mp_rank_00_model_states.pt"
    assert Saved("state", "global_step7", "/a b/[c]/d; e/global_step7") in one(line).events


def test_the_step_line() -> None:
    found = one("steps: 18 loss: 1.4913 iter time (s): 0.392 samples/sec: 5.104")
    assert found.events == (
        Metric("loss", 1.4913, 18),
        Advance(phase=Phase.TRAINING, step=18, time_per_step=0.392, samples_per_second=5.104),
    )


@pytest.mark.parametrize(("word", "text"), [("nan", output.NAN_LOSS), ("-inf", output.INFINITE_LOSS)])
def test_a_loss_that_is_no_number_keeps_its_place(word: str, text: str) -> None:
    events = one(f"steps: 18 loss: {word} iter time (s): 3.235 samples/sec: 0.309").events
    assert Metric("loss", None, 18) in events
    assert Warn(text) in events


@pytest.mark.parametrize(
    ("rates", "values"),
    [
        ("[0.00015000000000000001], mom=[0.0]", {"lr": 0.00015000000000000001}),
        ("[0.99, 0.5], mom=[[0.9, 0.99], [0.9, 0.99]]", {"lr": 0.99, "lr/1": 0.5}),
        ("[0.0002], mom=[(0.9, 0.99)]", {"lr": 0.0002}),
        ("[1e-05, 2e-05, nan], mom=[0]", {"lr": 1e-05, "lr/1": 2e-05, "lr/2": None}),
    ],
)
def test_learning_rates_of_all_groups(rates: str, values: dict[str, float | None]) -> None:
    line = f"[2026-11-21 07:20:45,663] [INFO] [logging.py:123:log_dist] [Rank 0] step=9, skipped=0, lr={rates}"
    assert one(line).events == tuple(Metric(name, value, 9) for name, value in values.items())
    older = line.replace("logging.py:123", "logging.py:96")
    assert one(older).events == one(line).events


GLUED = [
    ("  0%|          | 0/4 [00:00<?, ? examples/s]steps: 3 loss: 1.5 iter time (s): 0.1 samples/sec: 2.0",
     [Metric("loss", 1.5, 3)]),
    ("Global batch size = 4[2026-11-21 07:33:22,437] [INFO] [l.py:1:x] [Rank 0] step=2, skipped=0, lr=[0.1], mom=[0]",
     [Metric("lr", 0.1, 2)]),
    ("steps: 12 loss: 1.5 iter time (s): 0.1 samples/sec: 2.0TRAINING COMPLETE!", [Metric("loss", 1.5, 12), Done()]),
    ("Saving model to directory epoch1Started new epoch: 2",
     [Saved("weights", "epoch1"), Advance(phase=Phase.TRAINING, epoch=2)]),
    ("100%|##| 36/36 [00:00<00:00, 40.46it/s]TRAINING COMPLETE!", [Done(), Advance(phase=Phase.DONE)]),
    ("steps: 1 loss: 2.5 iter time (s): 0.1 samples/sec: 2.0steps: 2 loss: 3.5 iter time (s): 0.1 samples/sec: 2.0",
     [Metric("loss", 2.5, 1), Metric("loss", 3.5, 2)]),
    ("?, ? examples/s][2026-11-21 07:32:42,155] [WARNING] [dataset.py:756:fn] Cound not find caption for /x/i.png. "
     "Skipping image.", [Warn(output.NO_CAPTION)]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "wanted"), GLUED)
def test_glued_lines_lose_nothing(line: str, wanted: list[Event]) -> None:
    events = one(line).events
    assert [e for e in events if e in wanted] == wanted


def test_resuming_counts_the_steps_that_are_done() -> None:
    events = one("Resuming training from checkpoint. Resuming at epoch: 4, step: 25").events
    assert events == (Advance(phase=Phase.TRAINING, epoch=4, step=24),)


def test_reloading_the_cache_is_not_caching() -> None:
    assert one("caching latents: (1.0, 1)").events == (Advance(phase=Phase.CACHING),)
    assert one("caching latents: [1.0, 1]").events == (Advance(phase=Phase.LOADING),)
    assert one("caching latents: (1.0, 64, 64, 1)").events == ()
    assert one("caching latents: /data/run/data/train").events == ()


FAULTS = [
    "RuntimeError: Invalid path: /nonexistent/images",
    "[rank0]: RuntimeError: Invalid path: /nonexistent/images",
    "[rank13]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.68 GiB.",
    "AssertionError",
    "[rank0]: AssertionError",
    "toml.decoder.TomlDecodeError: Not a homogeneous array (line 38 column 1 char 788)",
    "torch.distributed.DistNetworkError: The server socket has failed to listen",
    "train.py: error: unrecognized arguments: --bogus",
    "[2026-11-21 07:40:34,117] [ERROR] [launch.py:341:sigkill_handler] ['p'] exits with return code = -9",
    "KeyboardInterrupt",
    "[rank0]: KeyError: 'epochs'",
]


@pytest.mark.parametrize("line", FAULTS)
def test_the_last_line_of_a_traceback_is_a_fault(line: str) -> None:
    found = one(line)
    assert Fault(line) in found.events
    assert found.level is Level.ERROR


NO_FAULTS = [
    "WARNING:bitsandbytes.backends.cpu.ops:Failed to load CPU gemm: No module named 'kernels'",
    "/x/deprecation_utils.py:23: FutureWarning: `torch_dtype` is deprecated: Error: no",
    "UserWarning: something",
    "Error: something",
    "    raise RuntimeError('x')",
    "  File \"/x/y.py\", line 3, in f",
    "[2026-11-21 07:40:34,117] [WARNING] [dataset.py:802:fn] Media file /x.png could not be opened. Skipping. "
    "The exception was: RuntimeError: bad",
    "The above exception was the direct cause of the following exception:",
    "[rank0]:[W1121 07:00:00.1 ProcessGroupNCCL.cpp:1] Warning: destroy_process_group() was not called",
    "Errors: 3",
    "Process Process-2:",
]  # fmt: skip


@pytest.mark.parametrize("line", NO_FAULTS)
def test_what_only_looks_like_a_fault(line: str) -> None:
    assert not any(isinstance(e, Fault) for e in one(line).events)


LEVELS = [
    ("[2026-11-21 07:20:22,853] [WARNING] [real_accelerator.py:209:get_accelerator] Setting accelerator to CPU.",
     Level.WARNING, LineType.SYSTEM),
    ("[2026-11-21 07:20:26,429] [INFO] [runner.py:630:main] cmd = x", Level.INFO, LineType.SYSTEM),
    ("[2026-11-21 07:20:26,429] [INFO] [config.py:962:print]   dump_state .... False", Level.INFO, LineType.SYSTEM),
    ("[2026-11-21 07:20:26,429] [DEBUG] [comm.py:1:x] y", Level.DEBUG, LineType.SYSTEM),
    ("[2026-11-21 07:32:42,155] [WARNING] [dataset.py:396:x] size bucket (2.0, 96, 48, 1) is being completely "
     "dropped because it doesn't have enough images", Level.WARNING, LineType.TRAIN),
    ("WARNING: You have set a lot of resolutions in the dataset config.", Level.WARNING, LineType.TRAIN),
    ("a.py:23: FutureWarning: `x` is deprecated", Level.WARNING, LineType.TRAIN),
    ("[rank0]: Traceback (most recent call last):", Level.ERROR, LineType.TRAIN),
    ("0%| | 0/4 [00:00<?, ?it/s]Traceback (most recent call last):", Level.ERROR, LineType.TRAIN),
    ("  File \"/x/train.py\", line 95, in <module>", Level.ERROR, LineType.TRAIN),
    ("Running eval", Level.INFO, LineType.EVAL),
    ("steps: 1 loss: 1.0 iter time (s): 1.0 samples/sec: 1.0", Level.INFO, LineType.TRAIN),
    ("", Level.INFO, LineType.TRAIN),
]  # fmt: skip


@pytest.mark.parametrize(("line", "level", "kind"), LEVELS)
def test_level_and_type(line: str, level: Level, kind: LineType) -> None:
    assert (one(line).level, one(line).type) == (level, kind)


def test_warnings_are_the_same_text_for_every_file() -> None:
    lines = [f"[x] [WARNING] [dataset.py:756:fn] Cound not find caption for /x/{i}.png. Skipping." for i in range(9)]
    assert {event for line in lines for event in one(line).events} == {Warn(output.NO_CAPTION)}


HOSTILE = [
    "step=" + "1" * 65536,
    "steps: " + "1" * 65536,
    "step=1, skipped=0, lr=[" * 2800,
    "steps: 1 loss: " * 4300,
    "Saving model checkpoint: " * 2600,
    "Saving model checkpoint: " + "/" * 65000,
    "[rank0]: " + "a." * 32000 + "Error",
    "A" * 65000 + "Error: x",
    "AError" * 10000,
    '  File "' * 8000,
    "aWarning" * 8000,
    "A_" * 32000 + "Warning: ",
    "caching latents: (" * 3600,
    "[2026-11-21 " * 5400,
    "TRAINING COMPLETE" * 3800,
    "exits with return code = " * 2600,
]


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:20])
def test_the_longest_lines_cost_little(line: str) -> None:
    """10 ms is the aim; the limit here only tells linear from quadratic on a busy machine."""
    started = time.process_time()
    parse(line)
    assert time.process_time() - started < 0.15
