"""What Ray says of its nodes, and how much of it is free for a job of ours now. Pure.

Ray reports what is used every five seconds. Between two reports our own jobs are counted by what we know of them: what
others use is what was reported, less what our jobs took at that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.models.cluster import Node, NodeGpu

Amount = tuple[float, float, float]  # cores, GPUs, bytes
NOTHING: Amount = (0.0, 0.0, 0.0)
SLACK = 2.0  # seconds for which Ray may still count what has ended
FORGOTTEN = 3600.0  # seconds after which a node that is gone is not shown any more


@dataclass(frozen=True, slots=True)
class Machine:
    """A node as last reported. `used`: by whomever, at `at`."""

    id: str
    name: str
    state: str
    up: bool
    total: Amount
    used: Amount = NOTHING
    at: float = 0.0
    kind: str | None = None  # of its GPUs
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a job of ours takes. `node` None: Ray has not said where. `until` None: it is there now."""

    job: str
    wanted: Amount
    node: str | None = None
    since: float = 0.0
    until: float | None = None
    devices: tuple[int, ...] = ()


def parse(rows: Iterable[dict[str, Any]], status: dict[str, Any], now: float) -> tuple[Machine, ...]:
    """Of a machine that has joined more than once, its newest life."""
    report = (status.get("loadMetricsReport") or {}).get("usageByNode") or {}
    at, newest = float(status.get("time") or 0.0), {}
    for row in sorted(rows, key=lambda row: (row.get("state") == "ALIVE", row.get("start_time_ms") or 0)):
        ended = (row.get("end_time_ms") or 0) / 1000
        up = row.get("state") == "ALIVE"
        if up or now - ended < FORGOTTEN:
            newest[str(row["node_ip"])] = _machine(row, report.get(row["node_id"]) or {}, at)
    return tuple(sorted(newest.values(), key=lambda machine: machine.name))


def _machine(row: dict[str, Any], used: dict[str, Any], at: float) -> Machine:
    there = row.get("resources_total") or {}
    kinds = [str(name).partition(":")[2] for name in there if str(name).startswith("accelerator_type:")]
    return Machine(
        id=str(row["node_id"]),
        name=str(row.get("node_name") or row["node_ip"]),
        state=str(row.get("state")),
        up=row.get("state") == "ALIVE",
        total=(there.get("CPU", 0.0), there.get("GPU", 0.0), there.get("memory", 0.0)),
        used=(_used(used, "CPU"), _used(used, "GPU"), _used(used, "memory")),
        at=at,
        kind=kinds[0] if kinds else None,
        reason=row.get("state_message") or None,
    )


def _used(report: dict[str, Any], name: str) -> float:
    return float((report.get(name) or [0.0])[0])


def nodes(machines: Sequence[Machine], loads: Sequence[Load]) -> tuple[Node, ...]:
    """As they are now, with what is not placed yet on the first node that holds it."""
    loads = [_placed(load, machines) for load in loads]
    taken = {machine.id: _taken(machine, loads) for machine in machines}
    for load in loads:
        if load.until is None and load.node is None:
            for machine in machines:
                if machine.up and _fits(machine.total, taken[machine.id], load.wanted):
                    taken[machine.id] = _sum(taken[machine.id], load.wanted)
                    break
    return tuple(_node(machine, taken[machine.id], loads) for machine in machines)


def _placed(load: Load, machines: Sequence[Machine]) -> Load:
    """One that ended before Ray said where it was, was where as much as it takes was in use."""
    if load.node is not None or load.until is None:
        return load
    there = next((machine.id for machine in machines if _fits(machine.used, NOTHING, load.wanted)), None)
    return replace(load, node=there)


def _taken(machine: Machine, loads: Sequence[Load]) -> Amount:
    here = [load for load in loads if load.node == machine.id]
    reported, now = NOTHING, NOTHING
    for load in here:
        if load.since <= machine.at and (load.until is None or load.until + SLACK >= machine.at):
            reported = _sum(reported, load.wanted)
        if load.until is None:
            now = _sum(now, load.wanted)
    others = [max(0.0, used - ours) for used, ours in zip(machine.used, reported, strict=True)]
    return _sum((others[0], others[1], others[2]), now)


def _fits(total: Amount, taken: Amount, wanted: Amount) -> bool:
    return all(used + more <= there for there, used, more in zip(total, taken, wanted, strict=True))


def _sum(one: Amount, other: Amount) -> Amount:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _node(machine: Machine, taken: Amount, loads: Sequence[Load]) -> Node:
    count = int(machine.total[1])
    ours = {n: load.job for load in loads if load.node == machine.id and load.until is None for n in load.devices}
    unnamed = max(0, -int(-taken[1] // 1) - len(ours))  # in use, and nobody says which
    others = [index for index in range(count) if index not in ours][:unnamed]
    return Node(
        name=machine.name,
        state=machine.state,
        up=machine.up,
        cpus=int(machine.total[0]),
        memory=int(machine.total[2]),
        gpus=tuple(NodeGpu(n, machine.kind, n in ours or n in others, ours.get(n)) for n in range(count)),
        cpus_used=-int(-taken[0] // 1),
        memory_used=int(taken[2]),
        reason=machine.reason,
    )
