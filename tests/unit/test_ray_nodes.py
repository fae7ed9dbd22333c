"""What Ray reports, and how much of it is free for a job of ours: no process, no Ray."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from api.models.cluster import ClusterState, Node
from api.models.job import Resources
from api.models.room import Offer, Room
from api.models.workspace import Workspace
from api.services.executors.base import Observation, RunState, Terms
from api.services.executors.ray import submission
from api.services.executors.ray.nodes import Load, nodes, parse
from api.services.executors.ray.tracks import conclude

NOW = 10_000.0


def row(name: str, state: str = "ALIVE", **other: Any) -> dict[str, Any]:
    there = {"CPU": 4.0, "GPU": 2.0, "memory": 1e9, "accelerator_type:A100": 1.0, f"node:{name}": 1.0}
    return {"node_id": f"id-{name}", "node_ip": name, "node_name": name, "state": state, "resources_total": there,
            "start_time_ms": 1, "end_time_ms": 0, **other}  # fmt: skip


def status(at: float = NOW, **used: dict[str, list[float]]) -> dict[str, Any]:
    return {"time": at, "loadMetricsReport": {"usageByNode": {f"id-{name}": each for name, each in used.items()}}}


def used(*loads: Load, at: float = NOW, report: dict[str, list[float]] | None = None) -> tuple[int, int, int]:
    node = nodes(parse([row("a")], status(at, a=report or {}), NOW), loads)[0]
    return node.cpus_used, sum(gpu.busy for gpu in node.gpus), node.memory_used


def test_nodes_are_read_with_what_others_use() -> None:
    machines = parse([row("b"), row("a")], status(a={"CPU": [1.5, 4.0], "GPU": [0.5, 2.0]}), NOW)
    a, b = nodes(machines, [])
    assert (a.name, a.cpus, a.memory, [gpu.name for gpu in a.gpus]) == ("a", 4, 10**9, ["A100", "A100"])
    assert (a.cpus_used, [gpu.busy for gpu in a.gpus], b.cpus_used) == (2, [True, False], 0)
    assert a.free == Room((1,), 2, (0, 1), 10**9)


def test_a_node_that_joined_again_is_shown_once_and_one_long_gone_not_at_all() -> None:
    gone = {"state": "DEAD", "end_time_ms": (NOW - 60) * 1000, "state_message": "missed heartbeats"}
    old = {"state": "DEAD", "end_time_ms": (NOW - 7200) * 1000}
    rows = [row("a"), {**row("a"), **gone, "node_id": "before"}, {**row("b"), **gone}, {**row("c"), **old}]
    found = nodes(parse(rows, status(), NOW), [])
    assert [(node.name, node.up, node.reason) for node in found] == [
        ("a", True, None),
        ("b", False, "missed heartbeats"),
    ]
    assert ClusterState(found).room.gpus == (0, 1)


def test_an_answer_without_a_report_is_no_use() -> None:
    assert nodes(parse([row("a")], {"loadMetricsReport": None}, NOW), [])[0].cpus_used == 0


MINE = (2.0, 1.0, 1e8)
REPORTED: dict[str, list[float]] = {"CPU": [3.0, 4.0], "GPU": [1.0, 2.0], "memory": [3e8, 1e9]}


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load("j", MINE, "id-a", since=NOW - 5), (3, 1, 300_000_000)),  # in the report
        (Load("j", MINE, "id-a", since=NOW + 1), (5, 2, 400_000_000)),  # newer than the report
        (Load("j", MINE, "id-a", since=NOW - 5, until=NOW + 1), (1, 0, 200_000_000)),  # over since the report
        (Load("j", MINE, None, since=NOW - 5, until=NOW + 1), (1, 0, 200_000_000)),  # and Ray never said where it was
        (Load("j", MINE, "id-a", since=NOW - 9, until=NOW - 5), (3, 1, 300_000_000)),  # over before it
        (Load("j", MINE, "id-b", since=NOW - 5), (3, 1, 300_000_000)),  # elsewhere
    ],
)
def test_between_two_reports_our_own_jobs_are_counted_by_what_we_know(load: Load, expected: tuple[int, ...]) -> None:
    assert used(load, report=REPORTED) == expected


def test_a_job_not_placed_yet_counts_where_it_fits() -> None:
    machines = parse([row("a"), row("b")], status(a={"CPU": [3.0, 4.0]}), NOW)
    assert [node.cpus_used for node in nodes(machines, [Load("j", (2.0, 0.0, 0.0), since=NOW + 1)])] == [3, 2]


def test_which_gpus_are_ours_is_what_the_job_found() -> None:
    load = Load("j", (0.0, 1.0, 0.0), "id-a", since=NOW - 5, devices=(1,))
    node = nodes(parse([row("a")], status(a={"GPU": [2.0, 2.0]}), NOW), [load])[0]
    assert [(gpu.busy, gpu.job) for gpu in node.gpus] == [(True, None), (True, "j")]


# --- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (Resources(cpus=3, memory=5, gpus=1), (3, 1, 5)),
        (Resources(gpus=2), (0, 2, 0)),
        (Resources(), (1, 0, 0)),  # Ray runs a job that asks for nothing on its head
    ],
)
def test_what_is_asked_of_ray(wanted: Resources, asked: tuple[int, ...]) -> None:
    assert submission.asked(wanted) == asked


def test_no_word_of_the_entrypoint_is_read_by_its_shell() -> None:
    handle = "/s/a b'\"\n;$(id) `x` é"
    text = submission.entrypoint("/py thon", "/k'eeper.py", handle)
    words = shlex.split(text)
    assert words[:2] == ["mkdir", f"{handle}/began"] and words[-7:] == [
        "/py thon", "-I", "-S", "/k'eeper.py", handle, "9", "9</dev/null",
    ]  # fmt: skip
    one = Workspace("job-1", 2, Path(handle), Path("/l"), Path("/c"), Path("/o"))
    body = submission.body(handle, one, Terms(Resources(cpus=1, memory=7), name="$(id)"), "/p", "/k")
    assert "$(id)" not in str({**body, "entrypoint": ""}) and "entrypoint_num_gpus" not in body
    assert submission.submission_id(handle, one).startswith("job-1.2-")


# --- ends -------------------------------------------------------------------------------------------------------------

BEGAN = Observation(RunState.EXITED, pid=1, started_at=1.0)


@pytest.mark.parametrize(
    ("seen", "end", "state", "told"),
    [
        (BEGAN, {"status": "GONE"}, RunState.VANISHED, "Ray does not know it any more: its head was started anew"),
        (BEGAN, {"status": "FAILED", "message": "actor died", "node": "n1"}, RunState.VANISHED,
         "was lost on n1: actor died"),
        (BEGAN, {"status": "STOPPED"}, RunState.VANISHED, "was stopped in Ray, and not by this service"),
        (Observation(RunState.EXITED), {"status": "FAILED", "message": "within 900 s"}, RunState.EXITED,
         "nothing began on Ray: within 900 s"),
        (Observation(RunState.EXITED), {"status": "FAILED", "message": "m", "output": "no such file"}, RunState.EXITED,
         "nothing began on Ray: no such file"),
        (Observation(RunState.EXITED), {"status": "STOPPED"}, RunState.EXITED, "stopped in Ray"),
    ],
)  # fmt: skip
def test_an_end_without_a_record(seen: Observation, end: dict[str, Any], state: RunState, told: str) -> None:
    found = conclude(seen, end, asked=False, recorded=False)
    assert (found.state, found.note or found.error) == (state, told)


# --- the queue in front -----------------------------------------------------------------------------------------------


def offer(*machines: Node) -> Offer:
    state = ClusterState(machines)
    return Offer(state.room, state.room.gpus, 0, tuple(n.room for n in machines), tuple(n.free for n in machines))


def test_a_job_must_fit_on_one_node() -> None:
    there = offer(Node("a", "", cpus=4, cpus_used=3, memory=100), Node("b", "", cpus=4, cpus_used=2, memory=100))
    assert there.fits_a_node(Resources(cpus=2, memory=1)) and not there.fits_a_node(Resources(cpus=3, memory=1))
    assert there.could_ever(Resources(cpus=4, memory=1)) and not there.could_ever(Resources(cpus=5, memory=1))
    assert not offer().could_ever(Resources()) and Offer(Room()).fits_a_node(Resources(cpus=9))


def test_what_comes_free_on_a_node_is_kept_for_who_waits_for_it() -> None:
    there = offer(Node("a", "", cpus=4, cpus_used=1, memory=100), Node("b", "", cpus=2, memory=100))
    kept = there.keeping(Resources(cpus=4, memory=1))
    assert [len(node.cores) for node in kept.free_nodes] == [0, 2] and kept.free_nodes[0].places == 0
    assert kept.fits_a_node(Resources()) and not kept.keeping(Resources(cpus=2, memory=1)).fits_a_node(Resources())
