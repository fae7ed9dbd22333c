"""The service is killed, with and without its trainings: what it acknowledged holds, and what it shows is true."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.harness import REPO, TERMINAL, Service, alive, losses, wait_for

Maker = Callable[..., Service]
STEP = re.compile(r"^steps: (\d+) loss: (\S+) ", re.MULTILINE)


def control(service: Service, job: str, attempt: int = 1) -> Path:
    return service.data / "attempts" / job / str(attempt)


def verdict(service: Service, job: str) -> Any:
    """What the keeper recorded; None while there is nothing."""
    path = control(service, job) / "exit.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def record(service: Service, job: str) -> Any:
    return json.loads((control(service, job) / "pid.json").read_bytes())


def printed(service: Service, job: str) -> list[tuple[int, float]]:
    path = service.log_file(job)
    return [(int(s), float(v)) for s, v in STEP.findall(path.read_text())] if path.exists() else []


def check_history(service: Service, job: str) -> None:
    """One attempt, started once; each step of the log once among the metrics, each line once among the lines."""
    detail = service.detail(job)
    assert len(detail["attempts"]) == 1
    path = service.log_file(job)
    text = path.read_text() if path.exists() else ""
    assert text.count("Global batch size") <= 1
    assert service.points(job) == printed(service, job)
    assert [line["message"] for line in service.log_pages(job)] == text.splitlines()


def test_five_kills_under_four_running_and_three_queued(make_service: Maker) -> None:
    service = make_service(workers=4).start()
    ends: list[dict[str, int]] = [{}, {"exit_code": 3}, {"signal": 9}, {}, {"exit_code": 7}, {"signal": 11}, {}]
    expected = [0, 3, -9, 0, 7, -11, 0]
    gates = [service.home / f"gate{n}" for n in range(7)]
    jobs = []
    for number, (gate, end) in enumerate(zip(gates, ends, strict=True)):
        gate.mkdir()
        hold = {"hold_at_step": 20, "gate": str(gate)}  # so that each kill meets what it is meant to meet
        jobs.append(service.submit(epochs=4 + number, steps_per_second=40, **hold, **end))
    wait_for(lambda: [job["status"] for job in service.jobs()].count("running") == 4, what="4 running")
    assert [service.status(job) for job in jobs[4:]] == ["queued"] * 3

    def let(*numbers: int) -> None:
        for number in numbers:
            (gates[number] / "go").touch()

    wait_for(lambda: all(printed(service, job) for job in jobs[:4]), what="steps")
    service.restart()  # in the middle of the steps of four
    wait_for(lambda: all(len(printed(service, job)) == 20 for job in jobs[:4]), what="the four to hold")
    service.kill()
    let(0, 1)
    wait_for(lambda: all(verdict(service, job) for job in jobs[:2]), what="two ends while the service is down")
    service.start()
    service.wait_step(jobs[4], 1)
    service.restart()  # two of the three that waited have just begun
    service.wait_step(jobs[5], 1)
    service.kill()
    let(2, 3, 4)
    wait_for(lambda: all(verdict(service, job) for job in jobs[2:5]), what="three ends while the service is down")
    service.start()
    service.restart()  # as soon as it was there
    let(5, 6)
    for number, (job, code) in enumerate(zip(jobs, expected, strict=True)):
        detail = service.wait_status(job, "completed" if code == 0 else "failed", deadline=40)
        assert detail["attempts"][0]["exit_code"] == code, (job, detail["attempts"])
        assert detail["attempts"][0]["reason"] == ("done" if code == 0 else "exit_code")
        assert service.points(job) == losses(8 * (4 + number))
        assert detail["progress"]["current_step"] == 8 * (4 + number)
        check_history(service, job)
    assert service.starts == 6
    assert service.processes() == []


class Chaos:
    """Random submissions, stops and kills; remembers what was acknowledged."""

    def __init__(self, service: Service, seed: int) -> None:
        self.service, self.random = service, random.Random(seed)
        self.codes: dict[str, int] = {}  # acknowledged jobs and the exit codes they were told to have
        self.stops: set[str] = set()  # acknowledged
        self.seen: dict[str, str] = {}  # terminal statuses that were shown

    def submit(self) -> None:
        code = self.random.choice([0, 0, 1, 7, 137, -9, -11, -15])
        end: dict[str, int] = {"exit_code": code} if code > 0 else {"signal": -code} if code else {}
        steps = self.random.choice([0, 40, 100])
        answer = self.service.call(
            "POST", "/start", self.service.request(epochs=self.random.randint(1, 6), steps_per_second=steps, **end)
        )
        self.codes[answer.expect(201)["task_id"]] = code

    def stop(self) -> None:
        job = self.random.choice(sorted(self.codes))
        answer = self.service.call("POST", f"/stop/{job}", {"force": self.random.random() < 0.5}, params={"wait": 0})
        if answer.code == 409:
            return
        answer.expect(200)
        self.stops.add(job)

    def look(self) -> None:
        for job in self.service.jobs():
            known = self.seen.get(job["task_id"])
            assert known in (None, job["status"]), f"{job['task_id']} was {known} and is {job['status']}"
            if job["status"] in TERMINAL:
                self.seen[job["task_id"]] = job["status"]

    def act(self) -> None:
        """A moment of life, ended by SIGKILL."""
        end = time.monotonic() + self.random.uniform(0.0, 1.2)
        with contextlib.suppress(httpx.TransportError):  # killed in the middle of an answer: nothing was acknowledged
            self.service.client.timeout = httpx.Timeout(5)
            while time.monotonic() < end:
                what = self.random.random()
                if what < 0.25 and len(self.codes) < 16:
                    self.submit()
                elif what < 0.33 and self.codes:
                    self.stop()
                else:
                    self.look()
                    time.sleep(self.random.uniform(0.0, 0.08))

    def check(self) -> None:
        service = self.service
        for _ in range(max(0, 6 - len(self.codes))):
            self.submit()
        wait_for(lambda: all(job["status"] in TERMINAL for job in service.jobs()), 60, "the end of all", every=0.2)
        self.look()
        assert set(self.codes) <= set(self.seen), "an acknowledged job is gone"
        for job, code in self.codes.items():
            detail = service.detail(job)
            (attempt,) = detail["attempts"]
            kept = verdict(service, job)
            assert attempt["exit_code"] == (kept["code"] if kept else None), (job, detail)
            if job in self.stops and detail["status"] != "stopped":
                # it had ended when the stop was asked for
                assert kept is not None and kept["code"] == code and not kept["stopped"], (job, detail, kept)
            if job not in self.stops:
                assert attempt["exit_code"] == code, (job, detail)
                assert detail["status"] == ("completed" if code == 0 else "failed")
            check_history(service, job)
        assert service.processes() == []


def chaos(service: Service, seed: int, kills: int) -> None:
    run = Chaos(service.start(), seed)
    for _ in range(kills):
        run.act()
        service.kill()
        if run.random.random() < 0.3:  # also while it starts
            service.start(ready=False, wait=False)
            time.sleep(run.random.uniform(0.3, 1.5))
            service.kill()
        service.start()
    run.check()


def test_chaos(make_service: Maker) -> None:
    chaos(make_service(workers=4), seed=1, kills=4)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(10, 16))
def test_more_chaos(make_service: Maker, seed: int) -> None:
    chaos(make_service(workers=4), seed=seed, kills=20)


class TestTerm:
    def test_it_leaves_and_the_trainings_go_on(self, make_service: Maker) -> None:
        service = make_service().start()
        jobs = [service.submit(epochs=20, steps_per_second=40) for _ in range(2)]
        for job in jobs:
            service.wait_step(job, 3)
        pids = [service.detail(job)["attempts"][0]["pid"] for job in jobs]
        with service.stream(f"/{jobs[0]}/events") as events:
            next(events)
            started = time.monotonic()
            assert service.terminate(10) == 0
        assert time.monotonic() - started < 10
        assert all(alive(pid) for pid in pids)
        count = len(printed(service, jobs[0]))
        wait_for(lambda: len(printed(service, jobs[0])) > count + 3)
        service.start()
        for job, pid in zip(jobs, pids, strict=True):
            detail = service.wait_status(job, "completed")
            assert detail["attempts"][0]["pid"] == pid
            assert service.points(job) == losses(160)
            check_history(service, job)


class TestTwoServices:
    def test_the_second_is_refused_in_one_line(self, service: Service) -> None:
        argv = [sys.executable, "run.py", "--data-dir", str(service.data), "--port", "0"]
        second = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1 and second.stdout == ""
        (line,) = second.stderr.splitlines()
        assert str(service.pid) in line and str(service.data) in line
        job = service.submit(epochs=1)
        service.wait_status(job, "completed")


class TestForcedStop:
    def test_no_process_is_left(self, shared: Service) -> None:
        """Not of a group, not of one that ignores SIGTERM, not of one that escaped into a session of its own."""
        kinds: list[dict[str, Any]] = [{"children": 3}, {"ignore_term": True, "children": 2}, {"escape": True}]
        jobs = [shared.submit(epochs=1000, steps_per_second=20, **x) for x in (*kinds, {"escape": True})]
        for job in jobs:
            shared.wait_step(job, 1)
        tree = wait_for(lambda: len(found := shared.processes()) == 5 + 4 + 3 + 3 and found, what="keepers and trees")
        sessions = {Path(f"/proc/{each.pid}/stat").read_text().rsplit(")", 1)[1].split()[3] for each in tree}
        assert len(sessions) == 2 + 2 + 3 + 3, "each keeper, trainer and escaped one has a session of its own"
        for job in jobs[:3]:
            shared.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 0}).expect(200)
        shared.call("POST", f"/stop/{jobs[3]}", params={"wait": 0}).expect(200)  # saves, quits, and is swept after
        for job in jobs:
            assert shared.wait_status(job, "stopped")["attempts"][0]["exit_code"] in (0, -15, -9)
        assert [each.pid for each in tree if alive(each.pid)] == []
        assert shared.processes() == []

    def test_a_stop_is_asked_again_with_force(self, shared: Service) -> None:
        gate = shared.home / "never"
        gate.mkdir(exist_ok=True)
        job = shared.submit(epochs=1000, steps_per_second=20, save_seconds=60)
        shared.wait_step(job, 1)
        first = shared.call("POST", f"/stop/{job}", params={"wait": 0}).expect(200)
        assert first["status"] == "running" and first["stop_requested_at"] and first["grace_seconds"] >= 10
        assert shared.get(f"/{job}/progress")["stop_requested_at"] == first["stop_requested_at"]
        again = shared.call("POST", f"/stop/{job}", params={"wait": 0}).expect(200)
        assert again["stop_requested_at"] == first["stop_requested_at"]
        last = shared.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 20}).expect(200)
        assert last["status"] == "stopped" and last["checkpoint_saved"] is False
        assert shared.processes() == []


class TestTheMachineGoesDown:
    def test_jobs_are_lost_and_can_go_on(self, make_service: Maker) -> None:
        service = make_service().start()
        job = service.submit(epochs=200, steps_per_second=60)
        waiting = [service.submit(epochs=200, steps_per_second=60) for _ in range(4)][-1]
        service.wait_step(job, 10)
        assert service.status(waiting) == "queued"
        count = len(service.points(job))
        assert service.process is not None
        service.process.kill()
        service.kill_all()
        wait_for(lambda: service.kill_all() == 0)
        service.kill()
        service.start()
        detail = service.wait_status(job, "failed")
        assert detail["failure"]["kind"] == "lost" and detail["attempts"][0]["reason"] == "lost"
        assert detail["attempts"][0]["exit_code"] is None
        assert len(service.points(job)) >= count
        check_history(service, job)
        service.wait_step(waiting, 1)  # what had not begun begins
        service.call("POST", f"/stop/{waiting}", {"force": True}).expect(200)
        saved = [c["step"] for c in service.get(f"/{job}/checkpoints")["checkpoints"] if c["kind"] == "state"][-1]
        service.call("POST", f"/resume/{job}").expect(200)
        service.wait_step(job, saved + 20)
        service.call("POST", f"/stop/{job}", params={"wait": 20}).expect(200)
        points = service.points(job)
        assert points == losses(len(points)) and len(points) >= saved + 20

    def test_a_keeper_that_is_killed(self, make_service: Maker) -> None:
        """The trainer goes on, is followed and can be stopped; its exit code is nobody's to know."""
        service = make_service().start()
        jobs = [service.submit(epochs=epochs, steps_per_second=40) for epochs in (10, 1000)]
        for job in jobs:
            service.wait_step(job, 2)
            psutil.Process(record(service, job)["keeper"]).send_signal(signal.SIGKILL)
        detail = service.wait_status(jobs[0], "failed")
        assert detail["attempts"][0]["exit_code"] is None and detail["failure"]["kind"] == "lost"
        assert service.points(jobs[0]) == losses(80)
        answer = service.call("POST", f"/stop/{jobs[1]}", {"force": True}, params={"wait": 20}).expect(200)
        assert answer["status"] == "stopped"
        assert service.processes() == []
