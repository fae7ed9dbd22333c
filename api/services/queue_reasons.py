"""Why a job waits, in words that a person understands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from api.models.job import Job, Resources
from api.models.progress import duration, expected_end
from api.models.room import Lane, Offer, Room
from api.services.gpus.desk import GpuView
from api.services.store import leases
from api.services.store.queue import Waiting


class Scene:
    """One moment of the machine, against which the queue is gone through from its head."""

    def __init__(self, offer: Offer, gpus: GpuView, running: Sequence[Job], now: float) -> None:
        self._offer = offer
        self._gpus = gpus
        self._running = running
        self._now = now
        self._free = _without_leases(offer.room, running)
        self._room = self._free
        self._blocked: list[Waiting] = []

    def explain(self, waiting: Waiting) -> str:
        """Why it does not run yet. To be called in the queue's order: what it keeps from others is remembered."""
        wanted = waiting.wanted
        if waiting.held:
            return "is held; release it to let it start"
        if waiting.not_before > self._now:
            return f"failed and is tried again in {duration(waiting.not_before - self._now)}"
        limit = self._offer.per_user
        if limit and sum(job.owner_id == waiting.owner_id for job in self._running) >= limit:
            return f"waits for one of its owner's running jobs to end: {limit} at a time are allowed"
        if not self._offer.could_ever(wanted):
            where = "this machine has" if self._offer.nodes is None else "any node of the cluster has"
            return f"asks for more than {where} now: {self._impossible(wanted)}"
        short = self._free.short_of(wanted)
        given = self._room.grant(wanted)
        on_a_node = self._offer.fits_a_node(wanted)
        if given is not None and on_a_node:
            self._room = self._room.less(given)
            return "is about to start"
        ahead = self._ahead(wanted)
        self._room, self._offer = self._room.keeping(wanted), self._offer.keeping(wanted)
        self._blocked.append(waiting)
        if not short and not on_a_node:
            return "waits for a node of the cluster that has room for all of it"
        if not short:
            return f"waits behind {ahead or 'those ahead of it'}, for which what is free is kept"
        return "waits for " + "; and for ".join(self._lack(word, wanted) for word in short)

    def _lack(self, word: str, wanted: Resources) -> str:
        if word == "gpus":
            return self._lack_of_gpus(wanted)
        if word == "place":
            return f"one of the {_many(self._offer.room.places, 'CPU worker')}: {self._holders(Lane.PLACE)}"
        if word == "cores":
            free, total = len(self._free.cores), len(self._offer.room.cores)
            text = f"{_many(wanted.cpus or 0, 'core')}, {free} of {total} are free"
        else:
            there = f"{_size(self._free.memory)} of {_size(self._offer.room.memory)}"
            text = f"{_size(wanted.memory or 0)} of memory, {there} are free"
        return f"{text}: {self._holders(Lane.CORES)}"

    def _lack_of_gpus(self, wanted: Resources) -> str:
        if wanted.gpu_ids:
            named = wanted.gpu_ids
            text = "GPU " + ", ".join(str(gpu) for gpu in named)
        else:
            named = tuple(gpu.index for gpu in self._gpus.snapshot.gpus)
            text = _many(wanted.gpus, "GPU")
        reasons = [self._why(gpu) for gpu in named if gpu not in self._room.gpus]
        return f"{text}: " + "; ".join(reasons)

    def _why(self, gpu: int) -> str:
        holder = next((job for job in self._running if gpu in job.gpu_ids), None)
        if holder is not None:
            return f"GPU {gpu} is held by {self._named(holder)}"
        told = self._gpus.why_not(gpu)
        if told is not None:
            return told
        keeper = next((w.id for w in self._blocked if gpu in w.wanted.gpu_ids or not w.wanted.gpu_ids), None)
        return (
            f"GPU {gpu} is kept for {keeper}, which is ahead of it"
            if keeper
            else f"GPU {gpu} goes to a job ahead of it"
        )

    def _holders(self, lane: Lane) -> str:
        mine = [job for job in self._running if _holds(job, lane)]
        return ", ".join(self._named(job) for job in mine) or "a job ahead of it takes it"

    def _named(self, job: Job) -> str:
        end = expected_end(job.progress, self._now)
        left = "" if end is None else f" (about {_about(end - self._now)} left)"
        if job.spec.resources.cpus is None:
            return job.id + left
        memory = _size(job.spec.resources.memory or 0)
        return f"{job.id} ({_many(job.spec.resources.cpus, 'core')}, {memory}){left}"

    def _ahead(self, wanted: Resources) -> str | None:
        """The first of those ahead that keeps something of it."""
        for waiting in self._blocked:
            theirs = waiting.wanted
            if (wanted.gpus and theirs.gpus) or (wanted.cpus and theirs.cpus):
                return waiting.id
        return None

    def _impossible(self, wanted: Resources) -> str:
        whole = replace(self._offer.room, gpus=self._offer.gpus_in_all)
        return what_is_short(wanted, whole) + "".join(
            f"; {told}"
            for gpu in self._gpus.snapshot.gpus
            if gpu.index not in whole.gpus and (told := self._gpus.why_not(gpu.index))
        )


def what_is_short(wanted: Resources, machine: Room) -> str:
    """`2 GPUs were asked for, and there is 1; ...`: of a job that a machine cannot hold."""
    told = []
    for word in machine.short_of(wanted):
        if word == "gpus" and wanted.gpu_ids:
            missing = [gpu for gpu in wanted.gpu_ids if gpu not in machine.gpus]
            told.append(f"GPU {missing[0]} was asked for, and is not there")
        elif word == "gpus":
            told.append(_asked(_many(wanted.gpus, "GPU"), wanted.gpus, len(machine.gpus)))
        elif word == "cores":
            told.append(_asked(_many(wanted.cpus or 0, "core"), wanted.cpus or 0, len(machine.cores)))
        elif word == "memory":
            told.append(f"{_size(wanted.memory or 0)} of memory were asked for, and there are {_size(machine.memory)}")
    return "; ".join(told)


def advice(short: Sequence[str], known: Sequence[int]) -> str:
    """What to do about a job that a machine cannot hold."""
    if "gpus" not in short:
        return "ask for less"
    if known:
        return "leave gpu_id out, or ask for GPUs that exist"
    return "leave gpu_id and num_gpus out to train on the CPU, or ask for gpu 0"


def _asked(what: str, number: int, there: int) -> str:
    return f"{what} {'was' if number == 1 else 'were'} asked for, and there {'is' if there == 1 else 'are'} {there}"


def _without_leases(room: Room, running: Iterable[Job]) -> Room:
    left = room
    for job in running:
        left = left.less(leases.held_by(job))
        left = replace(left, places=max(0, left.places - _holds(job, Lane.PLACE)), memory=max(0, left.memory))
    return left


def _holds(job: Job, lane: Lane) -> bool:
    wanted = job.spec.resources
    if lane is Lane.CORES:
        return wanted.cpus is not None
    return wanted.cpus is None and not wanted.needs_gpu


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _size(count: int) -> str:
    gigabytes = count / 1024**3
    if gigabytes < 1:
        return f"{count / 1024**2:.0f} MiB"
    return f"{gigabytes:.1f}".removesuffix(".0") + " GiB"  # of a machine with 23.5 GiB it is not said that it has 24


def _about(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
