"""Scripts as jobs, on a real service with real children: what they ask for they get, and nobody else pays for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Maker
from tests.acceptance.harness import REPO, Service, wait_for

JOBS = "/api/v1/training/jobs"
MIB = 1 << 20
ENDED = ("completed", "failed", "cancelled")


class Bench:
    """A service and the token that its jobs dialect asks for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        made = service.call("POST", "/api/v1/auth/tokens", {"label": "tests"}).expect(201)
        self.token = made["token"]
        self.headers = {"Authorization": f"Bearer {self.token}"}

    def call(self, method: str, path: str = "", body: Any = None, **more: Any) -> Any:
        return self.service.call(method, JOBS + path, body, headers={**self.headers, **more.pop("headers", {})}, **more)

    def script(self, text: str, name: str = "train.py") -> str:
        path = self.service.data / "workspace" / name
        path.write_text(text)
        return str(path)

    def submit(self, script: str, **wanted: Any) -> str:
        body = {"name": "a script", "framework": "pytorch", "script_path": script, "cpu": 1, "memory": 512 * MIB,
                "gpu": 0, **wanted}  # fmt: skip
        return str(self.call("POST", "", body).expect(201)["job_id"])

    def get(self, job: str) -> Any:
        return self.call("GET", f"/{job}").expect(200)

    def end(self, job: str, deadline: float = 60.0) -> Any:
        wait_for(lambda: self.get(job)["status"] in ENDED, deadline, f"the end of {job}")
        return self.get(job)

    def lines(self, job: str) -> list[str]:
        return list(self.call("GET", f"/{job}/logs").expect(200)["logs"])

    def wait_line(self, job: str, line: str) -> None:
        wait_for(lambda: line in self.lines(job), 60, f"{line!r} from {job}")


@pytest.fixture(scope="module")
def bench(shared: Service) -> Iterator[Bench]:
    yield Bench(shared)


def test_a_script_from_the_queue_to_its_metrics(bench: Bench) -> None:
    script = bench.script((REPO / "examples" / "train_script.py").read_text(), "line.py")
    job = bench.submit(script, name="line fit", args=["--epochs", "12", "--pause", "0"])
    done = bench.end(job)
    assert (done["status"], done["exit_code"], done["queue_position"]) == ("completed", 0, None)
    assert bench.lines(job)[0].startswith("Epoch 1/12, Loss: ") and len(bench.lines(job)) == 12
    progress = bench.service.get(f"/{job}/progress")
    assert (progress["progress"]["current_epoch"], progress["progress"]["overall_progress"]) == (12, 100.0)
    assert progress["metrics"]["current_loss"] or progress["metrics"]["epoch_loss"]
    points = bench.service.get(f"/{job}/metrics", params={"type": "epoch"})["data"]
    assert [p["epoch"] for p in points] == list(range(1, 13))
    assert [p["value"] for p in points] == [float(line.rpartition(" ")[2]) for line in bench.lines(job)]
    detail = bench.service.detail(job)
    assert json.loads((Path(detail["output_dir"]) / "line.json").read_text())["slope"] > 0
    assert [f["path"] for f in bench.service.get(f"/{job}/artifacts")["artifacts"]] == ["line.json"]


def test_what_a_script_finds_around_it(bench: Bench) -> None:
    text = "import json, os, sys\nprint(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]))\n"
    script = bench.script(text, "look.py")
    job = bench.submit(script, args=["--a=1", "$(id); `id` | & \n two lines", "-rf"], env={"MINE": "yes"})
    assert bench.end(job)["status"] == "completed"
    argv, cwd, env = json.loads(bench.lines(job)[0])
    assert argv == [script, "--a=1", "$(id); `id` | & \n two lines", "-rf"] and cwd == os.path.dirname(script)
    assert (env["MINE"], env["CUDA_VISIBLE_DEVICES"], env["PYTHONUNBUFFERED"]) == ("yes", "", "1")
    assert Path(env["TRAINYARD_OUTPUT_DIR"]).is_dir()
    assert not {name for name in env if name.startswith("TRAINYARD_")} - {
        "TRAINYARD_OUTPUT_DIR",
        "TRAINYARD_DATASET_DIR",
    }
    assert bench.token not in json.dumps([argv, cwd, env])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_jobs_that_ask_for_a_core_have_one_each(bench: Bench) -> None:
    text = (
        "import os, pathlib, sys, time\nprint(sorted(os.sched_getaffinity(0)))\nprint('there')\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    )
    script, go = bench.script(text, "core.py"), bench.service.home / "go"
    jobs = [bench.submit(script, args=[str(go)]) for _ in range(2)]
    for job in jobs:
        bench.wait_line(job, "there")
    cores = [json.loads(bench.lines(job)[0]) for job in jobs]
    assert [len(mine) for mine in cores] == [1, 1] and cores[0] != cores[1]
    waits = bench.submit(script, args=[str(go)], cpu=len(os.sched_getaffinity(0)))
    shown = bench.get(waits)
    assert shown["status"] == "pending" and shown["queue_reason"].startswith("waits for ")
    assert all(job in shown["queue_reason"] for job in jobs)
    go.touch()
    assert [bench.end(job)["status"] for job in (*jobs, waits)] == ["completed"] * 3


def test_a_job_over_its_memory_ends_and_its_neighbour_does_not_notice(bench: Bench) -> None:
    hog = bench.script(
        "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x' * (8 << 20)))\n    time.sleep(0.02)\n",
        "hog.py",
    )
    calm = bench.script(
        "import time\nfor i in range(1, 41):\n    print(f'step={i} loss={1 / i:.4f}')\n    time.sleep(0.1)\n", "calm.py"
    )
    neighbour, over = bench.submit(calm, memory=256 * MIB), bench.submit(hog, memory=128 * MIB)
    ended = bench.end(over)
    assert (ended["status"], ended["failure"]["kind"]) == ("failed", "killed_by_oom")
    assert ended["attempts"][0]["reason"] == "out_of_memory"
    assert "more memory than it had asked for" in ended["failure"]["hint"]  # its own request, and not the machine's end
    beside = bench.end(neighbour)
    assert (beside["status"], beside["exit_code"]) == ("completed", 0)
    assert bench.lines(neighbour)[-1].startswith("step=40 ")


def test_more_than_the_machine_has(bench: Bench) -> None:
    script = bench.script("print(1)")
    for field, value in (("cpu", 4096), ("memory", 1 << 49), ("gpu", 64)):
        body = {"name": "x", "framework": "pytorch", "script_path": script, "cpu": 1, "memory": MIB, "gpu": 0}
        refused = bench.call("POST", "", {**body, field: value})
        assert refused.code == 507 and refused.body["code"] == 507


def test_a_script_that_fails_is_explained(bench: Bench) -> None:
    job = bench.submit(bench.script("import no_such_library\n", "broken.py"))
    ended = bench.end(job)
    assert (ended["status"], ended["exit_code"], ended["failure"]["kind"]) == ("failed", 1, "import_error")
    assert "no_such_library" in ended["failure"]["line"]


def test_a_script_that_changed_while_it_waited_is_not_run(bench: Bench) -> None:
    text = "import pathlib, sys, time\nprint('there')\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    go = bench.service.home / "go2"
    cores = len(os.sched_getaffinity(0))
    first = bench.submit(bench.script(text, "wait.py"), args=[str(go)], cpu=cores)
    bench.wait_line(first, "there")
    job = bench.submit(bench.script("print('as submitted')\n", "swap.py"), cpu=cores)
    bench.script("print('something else')\n", "swap.py")
    go.touch()
    ended = bench.end(job)
    assert (ended["status"], ended["attempts"][0]["reason"]) == ("failed", "launch_failed")
    assert "changed" in ended["failure"]["hint"] and bench.lines(job) == []


def test_limits_of_time_and_stops(bench: Bench) -> None:
    script = bench.script("import time\nprint('there')\ntime.sleep(600)\n", "sleep.py")
    late = bench.submit(script, max_runtime=1)
    stopped = bench.submit(script)
    bench.wait_line(stopped, "there")
    assert bench.call("POST", f"/{stopped}/stop").code == 200
    assert bench.end(stopped)["status"] == "cancelled"
    ended = bench.end(late)
    assert (ended["status"], ended["failure"]["kind"]) == ("failed", "timed_out")


def test_the_queue_survives_a_kill_and_keeps_its_order(make_service: Maker) -> None:
    service = make_service().start()
    bench = Bench(service)
    cores = len(os.sched_getaffinity(0))
    text = "import pathlib, sys, time\nprint('there')\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    go, order = service.home / "go", service.home / "order"
    first = bench.submit(bench.script(text, "wait.py"), args=[str(go)], cpu=cores)
    note = bench.script("import sys\nopen(sys.argv[1], 'a').write(sys.argv[2] + '\\n')\n", "note.py")
    jobs = {
        name: bench.submit(note, args=[str(order), name], cpu=cores, priority=priority)
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 10), ("e", 5))
    }
    held = bench.submit(note, args=[str(order), "held"], cpu=cores, priority=10)
    service.call("POST", f"/hold/{held}").expect(200)
    bench.wait_line(first, "there")
    service.restart()
    queue = service.get("/api/v1/queue")["jobs"]
    assert [one["task_id"] for one in queue] == [*(jobs[name] for name in "dbeac"), held]
    service.call("PATCH", f"/{jobs['c']}", {"priority": 9}).expect(200)
    go.touch()
    assert [bench.end(job)["status"] for job in (first, *jobs.values())] == ["completed"] * 6
    assert order.read_text().split() == ["d", "c", "b", "e", "a"]
    assert bench.get(held)["status"] == "pending"
    service.call("POST", f"/release/{held}").expect(200)
    assert bench.end(held)["status"] == "completed"


def test_a_request_sent_again_after_a_kill_is_the_same_job(make_service: Maker) -> None:
    service = make_service().start(fault="submit.after_insert")
    bench = Bench(service)
    body = {"name": "x", "framework": "pytorch", "script_path": bench.script("print(1)"), "cpu": 1, "memory": 64 * MIB,
            "gpu": 0}  # fmt: skip
    key = {"Idempotency-Key": "once"}
    try:
        bench.call("POST", "", body, headers=key)
    except Exception as problem:
        assert "disconnect" in str(problem).lower() or "reset" in str(problem).lower(), problem
    service.wait_dead()
    service.start()
    bench.service.close_client()
    job = bench.call("POST", "", body, headers=key).expect(201)["job_id"]
    assert bench.end(job)["status"] == "completed"
    assert [one["task_id"] for one in service.jobs()] == [job]


def test_a_token_from_the_command_line(make_service: Maker) -> None:
    """Made while the service runs; the local operator needs one here, too."""
    service = make_service().start()
    line = [sys.executable, "run.py"]
    where = ["--data-dir", str(service.data)]
    known = {"cwd": REPO, "capture_output": True, "text": True, "check": True}
    subprocess.run([*line, "user", "add", "ada", *where], input="correct horse battery\n", **known)
    token = subprocess.run([*line, "token", "create", "ada", *where], **known).stdout.splitlines()[-1]
    answer = service.call("GET", JOBS, headers={"Authorization": f"Token {token}"})
    assert answer.code == 200 and answer.body["code"] == 0
    assert service.call("GET", JOBS).code == 401
