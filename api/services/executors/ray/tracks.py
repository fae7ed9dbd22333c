"""What is known of one job that was handed to Ray, and what its end there means."""

from __future__ import annotations

from dataclasses import dataclass, replace

from api.services.executors import cluster
from api.services.executors.base import Observation, RunState
from api.services.executors.ray.nodes import Amount, Load
from api.services.executors.records import Record

PENDING, RUNNING, STOPPED = "PENDING", "RUNNING", "STOPPED"
LIVE = (PENDING, RUNNING)
GONE = "GONE"  # our own word, beside Ray's: it does not know the job


@dataclass(slots=True, kw_only=True)
class Track(cluster.Track):
    """`name`: Ray's submission id; `job`: ours."""

    name: str
    job: str
    wanted: Amount
    at: float  # Unix seconds: since when it takes its resources
    status: str = PENDING
    message: str = ""
    node: str | None = None
    code: int | None = None  # of the entrypoint
    devices: tuple[int, ...] = ()
    sign: float = 0.0  # the keeper's last sign of life
    sign_at: float = 0.0  # monotonic: when that was seen
    stopped: bool = False  # Ray was told to stop it
    ended_at: float | None = None  # Unix seconds: it gave its resources back

    @property
    def note(self) -> str:
        return self.message

    @property
    def load(self) -> Load:
        return Load(self.job, self.wanted, self.node, self.at, self.ended_at, self.devices)


def conclude(seen: Observation, end: Record, *, asked: bool, recorded: bool) -> Observation:
    status, node = str(end["status"]), str(end.get("node") or "its node")
    began = seen.started_at is not None
    if status == STOPPED and not began:
        return replace(seen, state=RunState.EXITED, error="stopped before start" if asked else "stopped in Ray")
    if status == STOPPED:
        note = None if asked else "was stopped in Ray, and not by this service"
        return replace(seen, state=RunState.EXITED if recorded else RunState.VANISHED, note=note)
    if recorded:
        return seen
    message = str(end.get("message") or "no word of why")
    if status == GONE:
        return replace(seen, state=RunState.VANISHED, note="Ray does not know it any more: its head was started anew")
    if began:
        return replace(seen, state=RunState.VANISHED, note=f"was lost on {node}: {message}")
    output = str(end.get("output") or "")
    return replace(seen, state=RunState.EXITED, error=f"nothing began on Ray: {output or message}")
