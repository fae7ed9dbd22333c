"""The queue: every claim held against plain statements of what was promised, and what it says to those who wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from api.models.job import EndReason, JobStatus, Resources
from api.models.room import Grant, Offer, Room
from api.services.jobs import Request
from api.services.store import jobs as store
from api.services.store import leases, queue, schema
from api.services.store.database import Database
from api.services.store.queue import Waiting
from api.utils.errors import Conflict, Forbidden, Insufficient, Invalid, NotFound, TooMany
from tests.unit.toys import ADMIN, GIB, START, World, add_job, claim, member

ME, OTHER = member(1), member(2)
MACHINE = Room(gpus=(2, 0, 1, 3), places=2, cores=(0, 1, 2, 3), memory=8)


# ---- what is promised, over any history

needs = st.one_of(
    st.builds(Resources, gpus=st.integers(0, 5)),
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True).map(lambda ids: Resources(len(ids), tuple(ids))),
    st.builds(Resources, gpus=st.integers(0, 3), cpus=st.integers(1, 5), memory=st.integers(1, 9)),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2), needs),
        st.tuples(st.just("claim"), st.sets(st.integers(0, 3)), st.just(None)),
        st.tuples(st.just("claim"), st.just(frozenset()), st.just(None)),
        st.tuples(st.just("end"), st.integers(0, 20), st.just(None)),
        st.tuples(st.just("hold"), st.integers(0, 20), st.booleans()),
        st.tuples(st.just("priority"), st.integers(0, 20), st.integers(0, 2)),
    ),
    max_size=40,
)


def part(room: Room, wanted: Resources) -> tuple[object, ...]:
    """What of a room a job could use of what it needs: nobody behind it may make this less."""
    gpus = set(wanted.gpu_ids) & set(room.gpus) if wanted.gpu_ids else min(wanted.gpus, len(room.gpus))
    if wanted.cpus is None:
        return gpus, not wanted.gpus and room.places > 0
    return gpus, min(wanted.cpus, len(room.cores)), min(wanted.memory or 0, room.memory)


@given(steps)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_is_overtaken_on_what_he_waits_for(db: Database, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with db.write(durable=False) as connection:
        connection.execute(delete(schema.jobs))
        for what, number, value in steps:
            waiting, running = queue.line(connection, limit=99), store.with_status(connection, JobStatus.RUNNING)
            if what == "submit":
                add_job(connection, resources=value, priority=number)
            elif what == "claim":
                _claim_and_check(connection, waiting, set(number))
            elif what == "end" and running:
                store.finish(
                    connection, running[number % len(running)], EndReason.DONE, START, exit_code=0, failure=None
                )
            elif waiting and what in ("hold", "priority"):
                job = store.get(connection, waiting[number % len(waiting)].id)
                queue.reorder(connection, job, START, **{"held" if what == "hold" else what: value})


def _claim_and_check(connection: Connection, waiting: list[Waiting], strangers: set[int]) -> None:
    usable = replace(MACHINE, gpus=tuple(gpu for gpu in MACHINE.gpus if gpu not in strangers))
    offer = Offer(usable, MACHINE.gpus)
    before = leases.left_of(connection, usable)
    job = queue.claim(connection, offer, START)
    able = [one for one in waiting if not one.held and offer.could_ever(one.wanted)]
    if job is None:
        assert not able or before.short_of(able[0].wanted)  # the head starts as soon as it can
        return
    given = leases.held_by(job)
    wanted = job.spec.resources
    assert (len(given.gpus), len(given.cores)) == (wanted.gpus, wanted.cpus or 0)
    assert set(wanted.gpu_ids) <= set(given.gpus) <= set(before.gpus)
    assert set(given.cores) <= set(before.cores) and given.memory == (wanted.memory or 0) <= before.memory
    after = leases.left_of(connection, usable)
    assert after.places == before.places - (wanted.cpus is None and not wanted.gpus) >= 0
    ahead = [one for one in able if one.order < (-job.priority, job.seq)]
    for one in ahead:
        assert before.short_of(one.wanted) or _kept_back(before, able, one)
        assert part(after, one.wanted) == part(before, one.wanted)


def _kept_back(room: Room, able: list[Waiting], one: Waiting) -> bool:
    """Whether somebody ahead of it keeps what it could start with."""
    for other in able:
        if other.order < one.order:
            room = room.keeping(other.wanted)
    return bool(room.short_of(one.wanted))


# ---- cases by name


def test_cores_and_memory_are_leased_together(db: Database) -> None:
    room = {"cores": (1, 2, 3), "memory": 10}
    with db.write() as connection:
        jobs = [add_job(connection, cpus=cpus, memory=memory) for cpus, memory in ((1, 4), (1, 7), (1, 6))]
        first = claim(connection, **room)
        assert first is not None and (first.id, first.core_ids) == (jobs[0].id, (1,))
        assert claim(connection, **room) is None  # the second waits for memory, and keeps what the third could take
        store.finish(connection, first, EndReason.DONE, START, exit_code=0, failure=None)
        second = claim(connection, **room)
        assert second is not None and (second.id, second.core_ids) == (jobs[1].id, (1,))
        assert leases.left_of(connection, Room(**room)) == Room(cores=(2, 3), memory=3)


def test_a_core_has_one_holder(db: Database) -> None:
    with db.write() as connection:
        two = [add_job(connection, cpus=1, memory=1) for _ in range(2)]
        taken = [claim(connection, cores=(0, 1), memory=8) for _ in two]
        assert [job and job.core_ids for job in taken] == [(0,), (1,)]


def test_a_cpu_job_passes_a_job_that_waits_for_a_gpu(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=2, cpus=2, memory=4, priority=9)
        small, large = add_job(connection, cpus=2, memory=4), add_job(connection, cpus=1, memory=1)
        job = claim(connection, (0,), cores=(0, 1, 2, 3), memory=8)
        assert job is not None and job.id == small.id  # two cores and 4 bytes are kept for the first
        assert claim(connection, (0,), cores=(0, 1, 2, 3), memory=8) is None and large.status is JobStatus.QUEUED


def test_what_the_machine_cannot_hold_now_keeps_nothing_from_others(db: Database) -> None:
    with db.write() as connection:
        add_job(connection, gpus=3)
        add_job(connection, gpus=(7,))
        fits = add_job(connection, gpus=1)
        job = queue.claim(connection, Offer(Room(gpus=(0, 1)), gpus_in_all=(0, 1)), START)
        assert job is not None and (job.id, job.gpu_ids) == (fits.id, (0,))


def test_held_back_paused_and_over_the_limit(db: Database) -> None:
    with db.write() as connection:
        held, mine, more, theirs = [add_job(connection, owner=owner) for owner in (1, 1, 1, 2)]
        queue.reorder(connection, held, START, held=True)
        offer = Offer(Room(places=9), per_user=1)
        order = [queue.claim(connection, offer, START) for _ in range(3)]
        assert [job and job.id for job in order] == [mine.id, theirs.id, None]
        assert queue.position(connection, store.get(connection, held.id)) is None
        assert queue.position(connection, more) == 1
        queue.reorder(connection, held, START, held=False)
        first = store.get(connection, mine.id)
        ended = store.finish(connection, first, EndReason.EXIT_CODE, START, exit_code=1, failure=None)
        store.requeue(
            connection, ended, START, resume_from=None, output_dir="/o", new_series=True, not_before=START + 9
        )
        next_one = queue.claim(connection, offer, START)
        assert next_one is not None and next_one.id == held.id
        store.finish(connection, next_one, EndReason.DONE, START, exit_code=0, failure=None)
        third = queue.claim(connection, Offer(Room(places=9)), START + 8)
        assert third is not None and third.id == more.id
        assert queue.claim(connection, Offer(Room(places=9)), START + 8) is None
        again = queue.claim(connection, Offer(Room(places=9)), START + 9)
        assert again is not None and again.id == mine.id


# ---- what it says


def test_a_job_that_waits_for_gpus_is_told_who_has_them(world: World) -> None:
    world.source.occupy(1, 4312, 18_432)
    world.monitor.turn(1.0)
    holder = world.running(gpus=1)
    world.write(holder.id, "epoch 1/2\nstep=1 loss=1 took=60\n")
    job = world.submit(gpus=2)
    with world.db.write() as connection:
        store.save(
            connection, world.get(holder.id), START, progress={"step": 5, "total_steps": 45, "time_per_step": 60}
        )
    assert world.queue.reason(job) == (
        f"waits for 2 GPUs: GPU 0 is held by {holder.id} (about 40 min left); "
        "GPU 1 by pid 4312 (python), not ours, 18 GB"
    )
    assert world.queue.position(job) == 1 and world.queue.reason(holder) is None


def test_a_job_that_waits_for_cores_memory_or_a_place(world: World) -> None:
    big = world.running(cpus=3, memory=6 * GIB)
    cores = world.submit(cpus=2, memory=1 * GIB)
    both = world.submit(cpus=4, memory=8 * GIB)
    behind = world.submit(cpus=1, memory=1 * GIB)
    held_by = f"{big.id} (3 cores, 6 GiB)"
    assert world.queue.reason(cores) == f"waits for 2 cores, 1 of 4 are free: {held_by}"
    assert world.queue.reason(both) == (
        f"waits for 4 cores, 1 of 4 are free: {held_by}; and for 8 GiB of memory, 2 GiB of 8 GiB are free: {held_by}"
    )
    assert world.queue.reason(behind) == f"waits behind {cores.id}, for which what is free is kept"
    one, two, three = world.running(), world.running(), world.submit()
    assert world.queue.reason(three) == f"waits for one of the 2 CPU workers: {one.id}, {two.id}"
    assert [place.position for place in world.queue.line()] == [1, 2, 3, 4]


def test_held_paused_drained_and_limited_jobs_are_told_so(world: World) -> None:
    held = world.submit(gpus=1)
    world.orders.reorder(ME, held.id, held=True)
    assert world.queue.reason(held) == "is held; release it to let it start"
    world.orders.drain(ADMIN, 0, "a fan is broken")
    pair = world.submit(gpus=2)
    assert world.queue.reason(pair) == (
        "asks for more than this machine has now: 2 GPUs were asked for, and there is 1; "
        "GPU 0 is drained (a fan is broken)"
    )
    single = world.running(gpus=1)
    assert single.gpu_ids == (1,)
    line = {place.waiting.id: place for place in world.queue.line()}
    assert (line[held.id].position, line[pair.id].position) == (None, 1)
    world.orders.undrain(ADMIN, 0)
    world.per_user = 1
    world.revive()
    assert world.queue.reason(pair) == "waits for one of its owner's running jobs to end: 1 at a time are allowed"


def test_a_drained_gpu_gets_nothing_new(world: World) -> None:
    before = world.running(gpus=1)
    world.orders.drain(ADMIN, 0, "swap")
    world.orders.drain(ADMIN, 1, "swap too")
    job = world.submit(gpus=1)
    world.supervisor.step(times=3)
    assert world.status(before.id) is JobStatus.RUNNING and world.status(job.id) is JobStatus.QUEUED
    assert world.gpus.view().free == ()
    with pytest.raises(Forbidden):
        world.orders.undrain(ME, 1)
    with pytest.raises(NotFound):
        world.orders.drain(ADMIN, 7, "x")
    world.orders.undrain(ADMIN, 1)
    with pytest.raises(Conflict):
        world.orders.undrain(ADMIN, 1)
    world.supervisor.step(times=2)
    assert world.get(job.id).gpu_ids == (1,)


def test_only_who_may_change_a_job_moves_it_and_only_while_it_waits(world: World) -> None:
    first, second = world.submit(), world.submit()
    assert world.queue.position(second) == 2
    moved = world.orders.reorder(ME, second.id, priority=7)
    assert (moved.priority, world.queue.position(moved), world.queue.position(first)) == (7, 1, 2)
    with pytest.raises(Forbidden):
        world.orders.reorder(OTHER, second.id, priority=0)
    world.supervisor.step()
    with pytest.raises(Conflict):
        world.orders.reorder(ME, second.id, held=True)


# ---- what it refuses, and what it does again


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"cpus": 5, "memory": GIB}, "5 cores were asked for, and there are 4"),
        ({"cpus": 1, "memory": 9 * GIB}, "9 GiB of memory were asked for, and there are 8 GiB"),
        ({"cpus": 1, "memory": GIB, "gpus": 3}, "3 GPUs were asked for, and there are 2"),
        ({"gpus": (4,)}, "GPU 4 was asked for, and is not there"),
    ],
)
def test_the_impossible_is_refused_and_nothing_is_left_of_it(world: World, wanted: dict, words: str) -> None:
    with pytest.raises(Insufficient, match=words):
        world.submit(**wanted)
    assert world.queue.line() == []


def test_a_job_that_asks_for_cores_means_its_gpu(world: World) -> None:
    world.gpu_count = 0
    world.__post_init__()
    assert world.submit(gpus=1).spec.resources.gpus == 0  # trains on the CPU
    with pytest.raises(Insufficient):
        world.submit(gpus=1, cpus=1, memory=GIB)


def test_so_many_may_wait(world: World) -> None:
    world.max_queued = 2
    world.revive()
    world.submit(), world.submit()
    with pytest.raises(TooMany):
        world.submit()
    assert world.submit(OTHER).owner_id == OTHER.user_id


def test_a_request_that_is_sent_again_finds_its_job(world: World) -> None:
    request = Request("k", b"\1" * 32)
    job = world.submit(request=request)
    assert world.submit(request=request).id == job.id
    with pytest.raises(Invalid, match=job.id):
        world.submit(request=Request("k", b"\2" * 32))
    other = world.submit(OTHER, request=request)
    assert other.id != job.id
    world.revive()
    assert world.submit(request=request).id == job.id
    world.clock.tick(8 * 86400)
    world.jobs.forget_requests()
    assert world.submit(request=request).id != job.id


def test_retries_come_after_a_growing_pause_and_then_end(world: World) -> None:
    job = world.submit(max_retries=2)
    for number, pause in ((1, 10.0), (2, 20.0)):
        world.supervisor.step(times=2)
        world.executor.exit(world.handle(job.id), 3)
        world.supervisor.step()
        waits = world.get(job.id)
        assert (waits.status, waits.attempt, waits.retries) == (JobStatus.QUEUED, number + 1, number)
        assert waits.not_before == world.clock() + pause and "tried again in" in str(world.queue.reason(waits))
        world.supervisor.step()
        assert world.status(job.id) is JobStatus.QUEUED
        world.clock.tick(pause)
    world.supervisor.step(times=2)
    world.executor.exit(world.handle(job.id), 3)
    world.supervisor.step()
    ended = world.get(job.id)
    assert (ended.status, ended.attempt, ended.reason) == (JobStatus.FAILED, 3, EndReason.EXIT_CODE)
    with world.db.read() as connection:
        assert [attempt.exit_code for attempt in store.attempts_of(connection, ended)] == [3, 3, 3]
        outputs = {attempt.output_dir for attempt in store.attempts_of(connection, ended)}
    assert len(outputs) == 3  # nothing to resume from: each begins in a directory of its own
    world.jobs.restart(ME, job.id)
    assert world.get(job.id).retries == 0


def test_a_retry_goes_on_from_a_checkpoint(world: World) -> None:
    job = world.running(max_retries=1)
    world.save_state(job.id, 5)
    world.executor.vanish(world.handle(job.id))
    world.supervisor.step()
    again = world.get(job.id)
    assert (again.status, again.attempt, again.series) == (JobStatus.QUEUED, 2, 1)
    with world.db.read() as connection:
        assert store.attempt(connection, again).resume_from == "state-5"
        assert store.attempt(connection, again, 1).reason is EndReason.LOST


def test_a_stopped_job_is_not_tried_again(world: World) -> None:
    job = world.running(max_retries=5)
    world.jobs.stop(ME, job.id, force=True, wait=0.0)
    world.supervisor.step(times=3)
    assert world.status(job.id) is JobStatus.STOPPED


def test_a_stop_that_comes_after_the_end_keeps_it_from_being_tried_again(world: World) -> None:
    job = world.running(max_retries=5)
    world.executor.exit(world.handle(job.id), 3)
    world.clock.tick()
    assert world.jobs.stop(ME, job.id, force=False, wait=0.0).job.stop_requested_at is not None
    world.supervisor.step(times=3)
    ended = world.get(job.id)
    assert (ended.status, ended.attempt, ended.reason) == (JobStatus.FAILED, 1, EndReason.EXIT_CODE)


def test_what_was_held_is_not_held_once_it_has_ended(world: World) -> None:
    job = world.submit()
    world.orders.reorder(ME, job.id, held=True)
    assert world.jobs.stop(ME, job.id, force=False, wait=0.0).job.held is False


@pytest.mark.parametrize("hold", [False, True])
def test_after_a_failure_the_queue_goes_on_or_waits_for_its_owner(world: World, hold: bool) -> None:
    world.limits = replace(world.limits, hold_on_failure=hold)
    world.machine = replace(world.machine, places=1)
    world.revive()
    job, next_one, theirs = world.running(), world.submit(), world.submit(OTHER)
    world.executor.exit(world.handle(job.id), 1)
    world.supervisor.step(times=2)
    assert world.status(job.id) is JobStatus.FAILED
    assert world.get(next_one.id).held is hold and not world.get(theirs.id).held
    assert world.status(theirs.id if hold else next_one.id) is JobStatus.RUNNING


def test_a_job_is_held_to_the_cores_it_was_given(world: World) -> None:
    world.running(cpus=1, memory=GIB)
    job = world.running(cpus=2, memory=GIB)
    given = world.executor.runs[world.handle(job.id)].terms.resources
    assert (job.core_ids, given.cpu_ids, given.memory) == ((1, 2), (1, 2), GIB)


def test_leases_of_everything_are_rebuilt(world: World) -> None:
    job = world.running(gpus=1, cpus=2, memory=GIB)
    with world.db.write() as connection:
        leases.give_back(connection, job.seq)
    world.revive()
    world.supervisor.adopt()
    with world.db.read() as connection:
        assert leases.held_by(world.get(job.id)) == Grant((0,), (0, 1), GIB)
        assert leases.left_of(connection, world.machine).cores == (2, 3)
