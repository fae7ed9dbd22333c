"""Why a child process ended badly, from its exit code and its last lines; the classes are contract 1's.

What is here holds for any trainer in Python with torch; an engine puts its own rules before these.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.models.job import Failure
from api.services.engines.base import Ending

LINE_MAX = 500


@dataclass(frozen=True, slots=True)
class Rule:
    """A line that `pattern` is found in shows a failure of this kind. `{0}` in the hint is the first group."""

    kind: str
    pattern: re.Pattern[str]
    hint: str


def rule(kind: str, pattern: str, hint: str) -> Rule:
    return Rule(kind, re.compile(pattern), hint)


CUDA_OOM = rule(
    "cuda_oom",
    r"CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|HIP out of memory|CUBLAS_STATUS_ALLOC_FAILED",
    "The GPU's memory was not enough: use a smaller batch, a smaller resolution or fewer frames, a smaller model "
    "type, or a GPU with more memory; and check that no other process uses this GPU.",
)

GENERIC: tuple[Rule, ...] = (
    rule(
        "disk_full",
        r"No space left on device|Errno 28\b|Disk quota exceeded|database or disk is full",
        "The disk is full: free space where the outputs and the dataset's cache lie, and start again.",
    ),
    CUDA_OOM,
    rule(
        "cuda_oom",
        r"CUDA error: out of memory",
        "The GPU (or its pinned main memory) had no room left: free memory on GPU and host, use a smaller batch.",
    ),
    rule(
        "nccl",
        r"NCCL error|DistBackendError|ncclSystemError|ncclInternalError|ncclUnhandledCudaError",
        "The GPUs could not talk to each other (NCCL): set NCCL_P2P_DISABLE=1 and NCCL_IB_DISABLE=1 in env, or use "
        "one GPU.",
    ),
    rule(
        "port_busy",
        r"EADDRINUSE|[Aa]ddress already in use|failed to listen on any local network address",
        "The port of the training was taken by another process: start it again, another port is chosen then.",
    ),
    rule(
        "no_gpu",
        r"Torch not compiled with CUDA|Found no NVIDIA driver|No CUDA GPUs are available"
        r"|CUDA driver version is insufficient|no CUDA-capable device|CUDA unknown error|invalid device ordinal",
        "No usable GPU: check the driver (nvidia-smi) and that the trainer's torch was built for CUDA.",
    ),
    rule(
        "killed_by_oom",
        r"can't allocate memory|Cannot allocate memory|\AMemoryError\b|std::bad_alloc",
        "The machine's main memory was not enough: use fewer worker processes and a smaller batch, or add memory.",
    ),
    rule(
        "import_error",
        r"ModuleNotFoundError: No module named '?([\w.]{1,200})",
        "The trainer's environment lacks the module {0}: install the trainer's requirements into its interpreter.",
    ),
    rule(
        "import_error",
        r"\A(?:\[rank\d{1,5}\]:\s?)?ImportError\b|undefined symbol|cannot open shared object file",
        "A module of the trainer's environment cannot be loaded: its versions do not fit together; reinstall the "
        "trainer's requirements.",
    ),
    rule(
        "missing_file",
        r"FileNotFoundError\b.{0,200}?No such file or directory: '([^']{1,300})'",
        "{0} does not exist, or not for the service's user: correct the path in the request.",
    ),
    rule(
        "missing_file",
        r"FileNotFoundError\b|NotADirectoryError\b|IsADirectoryError\b",
        "A file that the request names does not exist: correct the path.",
    ),
    rule(
        "missing_file",
        r"PermissionError\b.{0,200}?'([^']{1,300})'",
        "The service's user may not use {0}: change its permissions or the path.",
    ),
)

SECONDARY = re.compile(r"BrokenPipeError|ConnectionResetError|EOFError|exits with return code|KeyboardInterrupt")
_NAMES: Mapping[int, str] = {int(known): known.name for known in signal.Signals}
_LAUNCHER_CODE = re.compile(r"exits with return code = -(\d{1,3})\b")


def lines_of(ending: Ending) -> Iterator[str]:
    """Faults oldest first (the first is the cause), then the tail from its end."""
    yield from ending.faults
    yield from reversed(ending.tail)


def first_match(rules: Iterable[Rule], lines: Sequence[str]) -> Failure | None:
    """The earlier rule wins, whichever line it is found in."""
    for candidate in rules:
        for line in lines:
            found = candidate.pattern.search(line)
            if found is not None:
                hint = candidate.hint.format(*(group or "" for group in found.groups()))
                return Failure(candidate.kind, hint, line.strip()[:LINE_MAX])
    return None


def death_signal(ending: Ending) -> int | None:
    """The signal that ended the child, also where a launcher or a shell passed it on as a code."""
    code = ending.exit_code
    if code is not None and code < 0:
        return -code
    for line in (*ending.faults, *ending.tail):
        found = _LAUNCHER_CODE.search(line)
        if found is not None:
            return int(found[1])
    if code is not None and code > 128:
        number = code - 128 if code <= 128 + 64 else 256 - code
        return number if 0 < number < signal.NSIG else None
    return None


def of_signal(number: int, ending: Ending) -> Failure:
    """SIGKILL that nobody here sent is nearly always the kernel's, for memory."""
    line = next((text for text in reversed((*ending.faults, *ending.tail)) if _LAUNCHER_CODE.search(text)), None)
    if number == signal.SIGKILL:
        return Failure(
            "killed_by_oom",
            "The trainer was killed (SIGKILL), most likely by the kernel because main memory ran out: use fewer worker "
            "processes, a smaller batch or caching batch, or a machine with more memory (dmesg tells for sure).",
            line,
        )
    name = _NAMES.get(number, f"signal {number}")
    if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
        hint = f"The trainer crashed ({name}): usually a driver, torch or extension that do not fit together."
    else:
        hint = f"The trainer was ended from outside ({name}): a person, another program or a shutdown; resume it."
    return Failure("signal", hint, line)


def classify(ending: Ending, rules: Iterable[Rule] = GENERIC, *, what: str = "The trainer") -> Failure:
    """The class of an ending without success."""
    lines = [line for line in lines_of(ending) if line.strip()]
    if ending.oom_killed:
        return of_signal(signal.SIGKILL, ending)
    known = first_match(rules, lines)
    if known is not None:
        return known
    number = death_signal(ending)
    if number is not None:
        return of_signal(number, ending)
    fault = next((text for text in ending.faults if not SECONDARY.search(text)), None)
    shown = fault or next(iter(ending.faults), None) or next(iter(lines), None)
    shown = shown.strip()[:LINE_MAX] if shown else None
    if ending.exit_code == 0:
        return Failure("incomplete", f"{what} ended with exit code 0, but without saying that it finished.", shown)
    code = "unknown" if ending.exit_code is None else str(ending.exit_code)
    return Failure("unknown", f"{what} ended with exit code {code}; the line and the end of the log tell why.", shown)
