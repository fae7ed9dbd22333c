"""What `scontrol show node` and `show job` print, read. Pure."""

from __future__ import annotations

import re

from api.models.cluster import Node, NodeGpu

#: words of a node's state that keep jobs from being started on it
OUT = frozenset({"DOWN", "DRAIN", "DRAINING", "DRAINED", "FAIL", "FAILING", "ERROR", "UNKNOWN", "MAINT", "FUTURE"})
MEBIBYTE = 1 << 20


def parse_nodes(text: str) -> tuple[Node, ...]:
    """Of `scontrol --oneliner --details show node`."""
    return tuple(_node(line) for line in text.splitlines() if line.startswith("NodeName="))


def _node(line: str) -> Node:
    plain, _, reason = line.partition(" Reason=")
    fields = dict(re.findall(r"(?:^| )(\w+)=(\S*)", plain))
    state = fields.get("State", "UNKNOWN")
    words = set(re.split(r"\+", state.rstrip("*~#!%$@^-")))
    return Node(
        name=fields["NodeName"],
        state=state,
        up=not (words & OUT or "*" in state),
        cpus=_number(fields.get("CPUEfctv") or fields.get("CPUTot")),
        memory=_number(fields.get("RealMemory")) * MEBIBYTE,
        gpus=_gpus(fields.get("Gres", ""), fields.get("GresUsed", "")),
        cpus_used=_number(fields.get("CPUAlloc")),
        memory_used=_number(fields.get("AllocMem")) * MEBIBYTE,
        reason=reason.strip() or None,
    )


def _gpus(there: str, used: str) -> tuple[NodeGpu, ...]:
    """`gpu:a100:2(S:0-1),gpu:v100:1` and `gpu:a100:1(IDX:0),gpu:v100:0(IDX:N/A)`."""
    names: list[str | None] = []
    for kind, count in _counted(there):
        names += [kind] * count
    busy = {index for _, _, text in _pieces(used) for index in _indexes(text)}
    return tuple(NodeGpu(index, name, index in busy) for index, name in enumerate(names))


def _counted(text: str) -> list[tuple[str | None, int]]:
    return [(kind or None, int(count)) for kind, count, _ in _pieces(text)]


def _pieces(text: str) -> list[tuple[str, str, str]]:
    """Kind, number and what stands in brackets, of each kind of GPU."""
    return re.findall(r"(?:^|,)gpu(?::([^:,()]+(?=:)))?:(\d+)(?:\(([^)]*)\))?", text)


def _indexes(text: str) -> list[int]:
    """`IDX:0-1,3`"""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text.partition("IDX:")[2]):
        found += range(int(first), int(last or first) + 1)
    return found


def parse_allocation(text: str) -> tuple[tuple[str, int], ...]:
    """Node and number of each GPU, of `scontrol --oneliner --details show job N`, of a job on one node."""
    found = []
    for node, gres in re.findall(r" Nodes=(\S+) CPU_IDs=\S* Mem=\S* GRES=(\S*)", text):
        found += [(node, index) for _, _, inside in _pieces(gres) for index in _indexes(inside)]
    return tuple(found)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
