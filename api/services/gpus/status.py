"""What can be done with each GPU, from what the driver says, who leases it and which processes are ours."""

from __future__ import annotations

from collections.abc import Mapping, Set

from api.models.gpu import GpuHolder, GpuProcess, GpuSnapshot, GpuState, GpuStatus, GpuSummary

FOREIGN_LIMIT_MB = 1000  # contract 1: a foreign process is left out of account up to here
PREPROCESSING = "preprocessing"

Leases = Mapping[int, GpuHolder]
NONE: frozenset[int] = frozenset()

#: Rules of thumb, not promises: the free memory in MB from which a usual training of a kind fits with small
#: batches. yolo: n to m models at 640 px, batch 16. ocr: kraken's default network. captioning: Florence-2
#: large, half precision. lora-sdxl: rank 32 at 1024 px with gradient checkpointing. lora-video: a LoRA of
#: a 13 B video model in fp8 on short clips. full-finetune: all weights of a model of about 3 B, bf16.
RULES_OF_THUMB = (
    (4 * 1024, "yolo"),
    (4 * 1024, "ocr"),
    (4 * 1024, "captioning"),
    (12 * 1024, "lora-sdxl"),
    (24 * 1000, "lora-video"),  # a "24 GB" card shows a little less than 24 * 1024
    (40 * 1000, "full-finetune"),
)


def foreign(state: GpuState, own_pids: Set[int]) -> tuple[GpuProcess, ...]:
    """The processes on a GPU that are not ours, however small."""
    return tuple(process for process in state.processes if process.pid not in own_pids)


def intruders(state: GpuState, own_pids: Set[int]) -> tuple[GpuProcess, ...]:
    """The foreign processes over the limit. One of unknown size has all that the others leave."""
    rest = unaccounted_mb(state)
    sized = (
        (process, rest if process.memory_mb is None else process.memory_mb) for process in foreign(state, own_pids)
    )
    return tuple(
        GpuProcess(process.pid, process.name, memory) for process, memory in sized if memory > FOREIGN_LIMIT_MB
    )


def unaccounted_mb(state: GpuState) -> int:
    """Used memory that no listed process owns up to. A container does not see other containers'."""
    known = sum(process.memory_mb or 0 for process in state.processes)
    return max(0, (state.memory_used_mb or 0) - known)


def is_hidden_use(state: GpuState) -> bool:
    """Whether somebody whom the driver does not show holds more than the limit."""
    nobody_else = all(process.memory_mb is not None for process in state.processes)
    return nobody_else and unaccounted_mb(state) > FOREIGN_LIMIT_MB


def status_of(
    state: GpuState, holder: GpuHolder | None, own_pids: Set[int], stale: bool = False, drained: bool = False
) -> GpuStatus:
    """A GPU that is lost or not answered for is unknown even while a job leases it."""
    if stale or state.lost:
        return GpuStatus.UNKNOWN
    if holder is not None and holder.job_id is None:
        return GpuStatus.BUSY
    if holder is not None:
        return GpuStatus.PREPROCESSING if holder.engine == PREPROCESSING else GpuStatus.TRAINING
    taken = drained or state.taken or intruders(state, own_pids) or is_hidden_use(state)
    return GpuStatus.BUSY if taken else GpuStatus.AVAILABLE


def statuses(
    snapshot: GpuSnapshot, leases: Leases, own_pids: Set[int], drained: Set[int] = NONE
) -> dict[int, GpuStatus]:
    return {
        gpu.index: status_of(gpu, leases.get(gpu.index), own_pids, snapshot.stale, gpu.index in drained)
        for gpu in snapshot.gpus
    }


def free_gpus(snapshot: GpuSnapshot, leases: Leases, own_pids: Set[int], drained: Set[int] = NONE) -> tuple[int, ...]:
    """The available ones, most free memory first, the lower number first among equals."""
    known = statuses(snapshot, leases, own_pids, drained)
    free = [gpu for gpu in snapshot.gpus if known[gpu.index] is GpuStatus.AVAILABLE]
    return tuple(gpu.index for gpu in sorted(free, key=lambda gpu: (-(gpu.memory_free_mb or 0), gpu.index)))


def summary(snapshot: GpuSnapshot, leases: Leases, own_pids: Set[int], drained: Set[int] = NONE) -> GpuSummary:
    known = statuses(snapshot, leases, own_pids, drained)
    free = [gpu for gpu in snapshot.gpus if known[gpu.index] is GpuStatus.AVAILABLE]
    return GpuSummary(
        total=len(known),
        available=len(free),
        busy=sum(status not in (GpuStatus.AVAILABLE, GpuStatus.UNKNOWN) for status in known.values()),
        total_memory_mb=sum(gpu.memory_total_mb or 0 for gpu in snapshot.gpus),
        available_memory_mb=sum(gpu.memory_free_mb or 0 for gpu in free),
    )


def why_busy(state: GpuState, holder: GpuHolder | None, own_pids: Set[int], stale: bool = False) -> str | None:
    """Why nothing can start on a GPU, in words for a user; None if something can.

    "GPU 2 by pid 4312 (python), not ours, 18 GB"
    """
    gpu, status = f"GPU {state.index}", status_of(state, holder, own_pids, stale)
    if status is GpuStatus.AVAILABLE:
        return None
    if status is GpuStatus.UNKNOWN:
        if state.node is not None:
            return f"{gpu} is unknown: node {state.node} is down, or was not heard of lately"
        return f"{gpu} is unknown: " + ("it fell off the bus" if state.lost else "the driver does not answer")
    if holder is not None:
        return f"{gpu} by " + (holder.engine if holder.job_id is None else f"job {holder.job_id} ({holder.engine})")
    if state.taken:
        return f"{gpu} by another job of the cluster"
    who = [f"pid {p.pid} ({p.name or 'unknown'}), not ours, {_size(p.memory_mb)}" for p in intruders(state, own_pids)]
    hidden = f"a process that the driver does not show, {_size(unaccounted_mb(state))}"
    return f"{gpu} by " + (" and ".join(who) or hidden)


def why_all_busy(snapshot: GpuSnapshot, leases: Leases, own_pids: Set[int]) -> str:
    """The reasons of all GPUs that are not available, for a queue's or an error's text; "" if none."""
    reasons = (why_busy(gpu, leases.get(gpu.index), own_pids, snapshot.stale) for gpu in snapshot.gpus)
    return "; ".join(reason for reason in reasons if reason)


def recommended_for(memory_free_mb: int | None) -> tuple[str, ...]:
    """What usually fits into that much free memory; see RULES_OF_THUMB."""
    return tuple(word for need, word in RULES_OF_THUMB if (memory_free_mb or 0) >= need)


def _size(mb: int | None) -> str:
    if mb is None:
        return "of unknown size"
    gb = mb / 1024
    return f"{gb:.0f} GB" if gb >= 10 else f"{gb:.1f} GB"
