"""The queue is an engine's: jobs are handed over, stay queued until it begins them, and are withdrawn when stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.models.cluster import Node, NodeGpu
from api.models.job import Command, EndReason, JobStatus
from api.models.workspace import Workspace
from api.services.executors.base import RunState, Terms
from api.services.executors.fake import FakeCluster
from api.services.handover import RETRY_SECONDS
from api.services.store.database import Database
from api.utils.errors import Forbidden, Insufficient, Unavailable
from tests.unit.toys import GIB, World, member


@pytest.fixture
def cluster(tmp_path: Path, db: Database) -> World:
    world = World(tmp_path, db, cluster=True)
    nodes(world).nodes = (
        Node("n1", "idle", cpus=8, memory=16 * GIB, gpus=(NodeGpu(0), NodeGpu(1))),
        Node("n2", "idle", cpus=4, memory=64 * GIB),
    )
    return world


def nodes(world: World) -> FakeCluster:
    assert isinstance(world.executor, FakeCluster)
    return world.executor


def turn(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.clock.tick()
        world.supervisor.step()
        world.supervisor.turn()


def test_a_job_is_queued_until_the_engine_begins_it(cluster: World) -> None:
    job = cluster.submit(gpus=1, name="first", priority=3)
    turn(cluster)
    assert cluster.executor.runs[cluster.handle(job.id)].terms.priority == 3
    assert cluster.status(job.id) is JobStatus.QUEUED
    assert cluster.queue.reason(cluster.get(job.id)) == "fakecluster: waits for resources"
    cluster.executor.begin(cluster.handle(job.id))
    turn(cluster)
    running = cluster.get(job.id)
    assert (running.status, running.gpu_ids) == (JobStatus.RUNNING, ())
    cluster.write(job.id, "step=1 loss=0.5\nDONE\n")
    cluster.executor.exit(cluster.handle(job.id), 0)
    turn(cluster)
    assert cluster.status(job.id) is JobStatus.COMPLETED
    assert len(cluster.executor.launches) == 1


def test_gpus_are_a_count_and_the_node_says_which(cluster: World) -> None:
    job = cluster.submit(gpus=(1,))
    assert cluster.get(job.id).warnings == ("fakecluster chooses the GPU; the number that was asked for is not heeded",)
    turn(cluster)
    launch = cluster.engine.prepared[-1]
    assert launch.gpu_ids == (0,) and launch.placed


def test_a_stop_withdraws_what_is_pending_and_only_then_is_it_stopped(cluster: World) -> None:
    job = cluster.submit()
    turn(cluster)
    cluster.jobs.stop(member(), job.id, force=False, wait=0.0)
    assert cluster.status(job.id) is JobStatus.QUEUED
    assert cluster.queue.reason(cluster.get(job.id)) == "is being withdrawn from fakecluster"
    turn(cluster, 2)
    ended = cluster.get(job.id)
    assert (ended.status, ended.started_at) == (JobStatus.STOPPED, None)
    early = cluster.submit()
    cluster.jobs.stop(member(), early.id, force=False, wait=0.0)
    turn(cluster)
    assert cluster.status(early.id) is JobStatus.STOPPED and len(cluster.executor.launches) == 1


def test_what_is_held_is_not_handed_over_and_what_was_is_held_there(cluster: World) -> None:
    there = cluster.submit()
    turn(cluster)
    here = cluster.submit()
    for job in (there, here):
        cluster.orders.reorder(member(), job.id, held=True)
    turn(cluster, 2)
    assert cluster.executor.poll(cluster.handle(here.id)).state is RunState.ABSENT
    assert nodes(cluster).amended == [(cluster.handle(there.id), 0, True)]
    assert cluster.queue.reason(cluster.get(there.id)) == "is held in fakecluster; release it to let it start"
    assert cluster.queue.reason(cluster.get(here.id)) == "is held; release it to let it start"
    cluster.orders.reorder(member(), there.id, held=False, priority=7)
    turn(cluster)
    assert nodes(cluster).amended[1:] == [(cluster.handle(there.id), 7, False)]


def test_no_more_of_a_user_are_handed_over_than_may_run(tmp_path: Path, db: Database) -> None:
    world = World(tmp_path, db, cluster=True, per_user=1)
    first, second = world.submit(), world.submit()
    turn(world)
    assert len(world.executor.launches) == 1
    assert "1 at a time are allowed" in str(world.queue.reason(world.get(second.id)))
    world.executor.begin(world.handle(first.id))
    turn(world)
    world.executor.exit(world.handle(first.id), 1)
    turn(world, 2)
    assert len(world.executor.launches) == 2


def test_an_engine_that_is_away_is_tried_again_and_the_reason_is_told(
    cluster: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the controller does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(cluster.executor, "launch", away)
        job = cluster.submit()
        turn(cluster)
    told = cluster.queue.reason(cluster.get(job.id))
    assert told == "fakecluster does not take it yet: the controller does not answer"
    cluster.clock.tick(RETRY_SECONDS)
    turn(cluster)
    assert len(cluster.executor.launches) == 1


def test_one_that_is_not_taken_yet_keeps_nobody_else(cluster: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = cluster.executor.launch

    def picky(command: Command, workspace: Workspace, terms: Terms) -> None:
        if terms.name == "too much":
            raise Unavailable("a limit of its account")
        taken(command, workspace, terms)

    monkeypatch.setattr(cluster.executor, "launch", picky)
    first, second = cluster.submit(name="too much"), cluster.submit(name="modest")
    turn(cluster)
    assert cluster.executor.poll(cluster.handle(second.id)).state is RunState.PENDING
    prepared = len(cluster.engine.prepared)
    turn(cluster, 3)
    assert len(cluster.engine.prepared) == prepared, "it is tried again after a pause"
    assert "a limit of its account" in str(cluster.queue.reason(cluster.get(first.id)))


def test_a_stop_of_a_handing_over_that_was_cut_short_leaves_word_for_it(cluster: World) -> None:
    job = cluster.submit()
    cluster.jobs.stop(member(), job.id, force=False, wait=0.0)
    turn(cluster)
    assert cluster.status(job.id) is JobStatus.STOPPED
    assert cluster.executor.stops == [(cluster.handle(job.id), 0)]


def test_what_the_engine_refuses_has_failed_to_launch(cluster: World) -> None:
    cluster.executor.refuse_next("invalid partition")
    job = cluster.submit()
    turn(cluster)
    ended = cluster.get(job.id)
    assert (ended.reason, ended.error_message) == (EndReason.LAUNCH_FAILED, "invalid partition")


def test_what_ended_between_two_looks_ran_all_the_same(cluster: World) -> None:
    job = cluster.submit()
    turn(cluster)
    handle = cluster.handle(job.id)
    cluster.executor.begin(handle)
    cluster.executor.exit(handle, 3)
    turn(cluster, 2)
    assert cluster.get(job.id).reason is EndReason.EXIT_CODE


def test_a_service_that_starts_again_hands_nothing_over_twice(cluster: World) -> None:
    job = cluster.submit()
    turn(cluster)
    cluster.revive()
    turn(cluster, 2)
    assert len(cluster.executor.launches) == 1 and cluster.status(job.id) is JobStatus.QUEUED


def test_a_pending_job_is_withdrawn_before_it_is_deleted(cluster: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = cluster.submit()
    turn(cluster)
    handle = cluster.handle(job.id)
    monkeypatch.setattr(cluster.jobs, "_wait_for_end", lambda job_id, wait: (turn(cluster, 2), cluster.get(job_id))[1])
    cluster.jobs.delete(member(), job.id, files=False)
    assert cluster.executor.poll(handle).state is not RunState.PENDING


def test_a_job_must_fit_on_one_node(cluster: World) -> None:
    cluster.submit(cpus=4, memory=60 * GIB)
    with pytest.raises(Insufficient, match=r"no node of the cluster is large enough: .*memory"):
        cluster.submit(cpus=8, memory=60 * GIB)
    with pytest.raises(Insufficient, match="3 GPUs were asked for, and there are 2"):
        cluster.submit(gpus=3)
    with pytest.raises(Forbidden, match="partition"):
        cluster.submit(extra={"placement": {"partition": "secret"}})
