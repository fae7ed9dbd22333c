"""What is known of one job that was handed to Slurm, and what its end there means."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from api.services.executors import cluster
from api.services.executors.base import Observation, RunState
from api.services.executors.records import Record

FINAL = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED"}
    | {"REVOKED", "DEADLINE"}
)
REQUEUED, GONE = "REQUEUED", "GONE"  # our own words, beside Slurm's
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD")
#: ends that took the job's processes along, whatever they still wrote
LOST = {
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not boot",
    "PREEMPTED": "Slurm took the node for a job that goes before it",
    "REVOKED": "Slurm gave it to another cluster",
    REQUEUED: "Slurm put it back into its queue after it had begun, and it was withdrawn from there",
    GONE: "Slurm does not know it any more",
}

#: printed by a cluster that measures memory without control groups; its state says FAILED or CANCELLED then
OVER_MEMORY = re.compile(r"exceeded (\w+ )?memory limit|oom.kill", re.IGNORECASE)

#: Slurm's reasons why a job waits, for a person; the others are shown as they are
REASONS = {
    "None": "will be looked at soon",
    "Priority": "waits behind jobs that go before it",
    "Resources": "is the next, and waits for resources",
    "Dependency": "waits for another job",
    "BeginTime": "its time has not come",
    "JobHeldUser": "is held in Slurm",
    "JobHeldAdmin": "is held in Slurm by an admin",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is not active",
    "PartitionNodeLimit": "asks for more than its partition allows",
    "PartitionTimeLimit": "may run longer than its partition allows",
    "ReqNodeNotAvail": "a node that it needs is not available",
    "Reservation": "waits for a reservation",
    "Licenses": "waits for a licence",
    "BadConstraints": "no node can ever satisfy what it asks for",
    "NodeDown": "a node that it needs is down",
    "launch failed requeued held": "its start failed on a node, and Slurm holds it",
}


def waits(reason: str) -> str:
    """Slurm's reason in words, with the word itself for whoever looks it up."""
    words = REASONS.get(reason) or REASONS.get(reason.partition(",")[0])
    if words is None:
        limit = reason.startswith(("QOS", "Assoc", "MaxJobs", "MaxMem", "MaxCpu"))
        words = "a limit of its account or quality of service is reached" if limit else "waits"
    return f"{words} ({reason})"


@dataclass(slots=True, kw_only=True)
class Track(cluster.Track):
    """`job`: Slurm's number; `name`: our id."""

    job: int
    name: str
    gpus: int
    have: tuple[int, bool]  # priority and hold, as Slurm has them
    want: tuple[int, bool]
    begun: bool = False  # its keeper had begun before Slurm was last asked
    state: str = "PENDING"
    reason: str = ""
    node: str = ""
    told: float | None = None  # the `kill_at` of which its keeper was told
    cancelled: bool = False
    places: tuple[tuple[str, int], ...] | None = None  # node and number of each GPU; None: not asked yet

    @property
    def note(self) -> str:
        if self.state in (*WAITING, GONE):
            return waits(self.reason or "None")
        return f"is starting on {self.node or 'a node'}"

    @property
    def pending(self) -> bool:
        return self.state in WAITING


def conclude(seen: Observation, end: Record, *, asked: bool, recorded: bool) -> Observation:
    """`end["output"]`: what the batch script itself printed."""
    state, node, output = str(end["state"]), str(end.get("node") or "its node"), str(end.get("output") or "")
    began = seen.started_at is not None
    if state in LOST:
        told = f"{LOST[state]} ({node}, {state})" if state != GONE else LOST[GONE]
        return replace(seen, state=RunState.VANISHED, exit_code=None, note=told)
    if state in ("TIMEOUT", "DEADLINE"):
        told = f"Slurm ended it at its time limit ({state})"
        return replace(seen, state=RunState.EXITED, timed_out=True, note=told)
    if state == "OUT_OF_MEMORY" or (not recorded and OVER_MEMORY.search(output)):
        return replace(
            seen, state=RunState.EXITED, oom_killed=True, note="Slurm ended it over the memory that it had asked for"
        )
    if state == "CANCELLED":
        return _cancelled(seen, began=began, asked=asked, recorded=recorded)
    if recorded:
        return seen
    if began:
        return replace(seen, state=RunState.VANISHED, note=f"its keeper on {node} was killed")
    why = f"nothing began on {node}" + (f": {output}" if output else f" ({state})")
    return replace(seen, state=RunState.EXITED, error=why)


def _cancelled(seen: Observation, *, began: bool, asked: bool, recorded: bool) -> Observation:
    if not began:
        return replace(seen, state=RunState.EXITED, error="stopped before start" if asked else "cancelled in Slurm")
    note = None if asked else "was cancelled in Slurm, and not by this service"
    return replace(seen, state=RunState.EXITED if recorded else RunState.VANISHED, note=note)
