"""A real service whose jobs run on a real Slurm: every dialect's job, seen through the API like one of this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import engines
from tests.acceptance.harness import REPO, Service, wait_for
from tests.acceptance.test_scripts import MIB, Bench
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm
DEADLINE = 90.0


def environ(cluster: Cluster, home: Path) -> dict[str, str]:
    return {
        "SLURM_CONF": cluster.environ["SLURM_CONF"],
        "TRAINYARD_EXECUTOR": "slurm",
        "TRAINYARD_SHARED_DIR": str(home),
        "TRAINYARD_SLURM_ALLOW": "partition=brief",
    }


@pytest.fixture(scope="module")
def service(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")
    made = Service(home, environ=environ(slurm, home))
    try:
        yield made.start()
    finally:
        for line in slurm.run("squeue", "-h", "-o", "%i").split():
            slurm.run("scancel", line, check=False)
        made.close()


@pytest.fixture(scope="module")
def bench(service: Service) -> Bench:
    return Bench(service)


def code(detail: Any) -> int | None:
    found: int | None = detail["attempts"][-1]["exit_code"]
    return found


def number(cluster: Cluster, job: str) -> str:
    """Of a job in Slurm."""
    lines = cluster.run("squeue", "-h", "--states=all", "-o", "%i %k").splitlines()
    return next(line.split()[0] for line in lines if f":{job}." in line)


def test_the_mini_trainer_runs_to_its_end(slurm: Cluster, tmp_path: Path) -> None:
    mini = Service(tmp_path, fake=False, environ=environ(slurm, tmp_path))
    try:
        mini.start()
        job = mini.submit(epochs=2)
        detail = mini.wait_status(job, "completed", deadline=DEADLINE)
        assert code(detail) == 0 and mini.points(job)
        assert any("TRAINING COMPLETE!" in line["message"] for line in mini.log_pages(job))
        assert mini.get(f"/{job}/checkpoints")
    finally:
        mini.close()


def test_a_failing_job_tells_its_code_and_its_last_words(service: Service) -> None:
    job = service.submit(epochs=1, exit_at_step=3, exit_code=7)
    detail = service.wait_status(job, "failed", deadline=DEADLINE)
    assert code(detail) == 7 and detail["attempts"][-1]["reason"] == "exit_code"
    assert [step for step, _ in service.points(job)] == [1, 2, 3]


def test_a_soft_stop_saves_and_a_hard_one_ends(service: Service, tmp_path: Path) -> None:
    soft = service.submit(epochs=1000, steps_per_second=50)
    hard = service.submit(epochs=1000, steps_per_second=50, ignore_term=True)
    for job in (soft, hard):
        service.wait_step(job, 5, DEADLINE)
    service.call("POST", f"/stop/{soft}").expect(200)
    stopped = service.wait_status(soft, "stopped", deadline=DEADLINE)
    assert code(stopped) == 0 and service.get(f"/{soft}/checkpoints")
    service.call("POST", f"/stop/{hard}", {"force": True}).expect(200)
    assert service.wait_status(hard, "stopped", deadline=DEADLINE)["attempts"][-1]["exit_code"] == -9


def test_what_waits_tells_slurms_reason_and_can_be_stopped_and_deleted(bench: Bench, slurm: Cluster) -> None:
    service = bench.service
    sleeper = bench.script("import time; print('up', flush=True); time.sleep(600)", "sleeper.py")
    holders = [bench.submit(sleeper, cpu=2) for _ in range(2)]
    for job in holders:
        bench.wait_line(job, "up")
    waiting = [bench.submit(sleeper, cpu=2, priority=priority) for priority in (0, 5)]
    told = wait_for(lambda: "slurm: " in str(reason := bench.get(waiting[1])["queue_reason"]) and reason, 30)
    wait_for(lambda: "(Resources)" in bench.get(waiting[1])["queue_reason"], 30)
    assert all(bench.get(job)["status"] == "pending" for job in waiting), told
    line = {one["task_id"]: one["reason"] for one in service.get("/api/v1/queue")["jobs"]}
    assert line[waiting[1]] == "slurm: is the next, and waits for resources (Resources)"
    bench.call("POST", f"/{waiting[0]}/stop").expect(200)
    assert bench.end(waiting[0])["status"] == "cancelled"
    assert bench.get(waiting[0])["started_at"] is None and not bench.lines(waiting[0])
    service.call("DELETE", f"/{waiting[1]}").expect(200)
    states = slurm.run("squeue", "-h", "--states=all", "-o", "%T %k").splitlines()
    assert [s.split()[0] for s in states if any(job in s for job in waiting)] == ["CANCELLED"] * 2
    for job in holders:
        bench.call("POST", f"/{job}/stop").expect(200)
    assert {bench.end(job)["status"] for job in holders} == {"cancelled"}


def test_a_killed_service_finds_its_job_again_with_its_true_code(service: Service, tmp_path: Path) -> None:
    job = service.submit(epochs=2, hold_at_step=5, gate=str(tmp_path), exit_code=9)
    waiting = service.submit(epochs=1)
    service.wait_step(job, 5, DEADLINE)
    service.restart()
    assert service.status(job) == "running"
    (tmp_path / "go").touch()
    detail = service.wait_status(job, "failed", deadline=DEADLINE)
    assert (code(detail), len(detail["attempts"])) == (9, 1)
    assert [step for step, _ in service.points(job)] == list(range(1, 17))
    assert len(service.wait_status(waiting, "completed", deadline=DEADLINE)["attempts"]) == 1


@pytest.mark.parametrize("point", ["launch.after_lock", "launch.after_spawn", "worker.after_launch"])
def test_a_service_killed_around_sbatch_hands_over_once(
    service: Service, slurm: Cluster, tmp_path: Path, point: str
) -> None:
    service.terminate()
    service.start(fault=point)
    job = service.submit(epochs=1, hold_at_step=3, gate=str(tmp_path))
    service.wait_dead()
    if point != "launch.after_lock":  # it runs there already, and nobody here knows its number
        wait_for(lambda: (log := service.log_file(job)).exists() and "steps: 3" in log.read_text(), DEADLINE)
    service.start()
    service.wait_step(job, 3, DEADLINE)
    (tmp_path / "go").touch()
    detail = service.wait_status(job, "completed", deadline=DEADLINE)
    assert len(detail["attempts"]) == 1 and [step for step, _ in service.points(job)] == list(range(1, 9))
    assert slurm.run("squeue", "-h", "--states=all", "-o", "%k").count(f":{job}.") == 1


def test_a_lost_node_is_told_and_retried(bench: Bench, slurm: Cluster) -> None:
    once = bench.script(
        "import time, os; print('on', os.environ['SLURMD_NODENAME'], flush=True); time.sleep(600)", "n.py"
    )
    job = bench.submit(once, max_retries=0)
    node = wait_for(lambda: next((line.split()[1] for line in bench.lines(job) if line.startswith("on ")), ""), 60)
    slurm.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=fire")
    try:
        ended = bench.end(job)
        assert ended["status"] == "failed" and ended["attempts"][-1]["reason"] == "lost"
        assert f"its node failed ({node}, NODE_FAIL)" in bench.service.detail(job)["failure"]["hint"]
    finally:
        slurm.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        wait_for(slurm.idle, 60)


def test_over_its_memory_and_over_its_time(bench: Bench) -> None:
    eater = bench.script("import time; x = bytearray(300 << 20); time.sleep(600)", "eater.py")
    sleeper = bench.script("import time; time.sleep(600)", "sleeper.py")
    over = bench.submit(eater, memory=100 * MIB)
    late = bench.submit(sleeper, max_runtime=2)
    assert bench.end(over)["attempts"][-1]["reason"] == "out_of_memory"
    assert bench.end(late)["attempts"][-1]["reason"] == "timed_out"


def test_gpus_and_nodes_are_the_clusters(bench: Bench) -> None:
    service = bench.service
    free = [(0, "n1/0", "toy on n1", "available"), (1, "n1/1", "toy on n1", "available")]

    def shown() -> list[tuple[Any, ...]]:
        gpus = service.get("/api/v1/gpu/status")["gpus"]
        return [tuple(gpu[name] for name in ("gpu_id", "uuid", "name", "status")) for gpu in gpus]

    wait_for(lambda: shown() == free, 20)  # a test before may have had one
    script = bench.script(
        "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(600)", "g.py"
    )
    job = bench.submit(script, gpu=1)
    bench.wait_line(job, "0")
    held = wait_for(lambda: [g for g in service.get("/api/v1/gpu/status")["gpus"] if g["current_task"] == job], 20)
    assert held[0]["status"] == "training" and held[0]["gpu_id"] == 0
    assert service.call("PUT", "/api/v1/gpu/0/drain", {"reason": "dust"}).code == 409
    bench.call("POST", f"/{job}/stop").expect(200)
    bench.end(job)
    short = bench.call("POST", "", {"name": "x", "framework": "pytorch", "script_path": script, "cpu": 1,
                                    "memory": MIB, "gpu": 3})  # fmt: skip
    assert short.code == 507 and "no node of the cluster is large enough: 3 GPUs" in short.body["message"]


def test_a_job_may_choose_a_partition_that_an_admin_allows(bench: Bench, slurm: Cluster) -> None:
    script = bench.script("print('hello')", "hello.py")
    job = bench.submit(script, placement={"partition": "brief"})
    assert bench.end(job)["status"] == "completed"
    assert "Partition=brief" in slurm.run("scontrol", "show", "job", number(slurm, job))
    body: dict[str, Any] = {
        "name": "x",
        "framework": "pytorch",
        "script_path": script,
        "cpu": 1,
        "memory": MIB,
        "gpu": 0,
    }
    assert bench.call("POST", "", {**body, "placement": {"partition": "main"}}).code == 403
    assert bench.call("POST", "", {**body, "placement": {"uid": "0"}}).code == 422


def test_preprocessing_goes_the_same_way(service: Service) -> None:
    engines.preprocesses(service)


@pytest.mark.timeout(900)
def test_yolo_trains_and_its_model_is_registered(service: Service, tmp_path: Path) -> None:
    engines.yolo_trains(service, tmp_path)


@pytest.mark.timeout(900)
def test_yolo_that_is_stopped_keeps_its_last_weights(service: Service, tmp_path: Path) -> None:
    engines.yolo_stops(service, tmp_path)


def test_the_doctor_looks_at_the_cluster(service: Service, slurm: Cluster) -> None:
    given = {**slurm.environ, **service.environ}
    done = subprocess.run(
        [sys.executable, "run.py", "doctor", "--data-dir", str(service.data)],
        cwd=REPO, env=given, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "ok      slurm-wlm 22.05.8: 2 of 2 nodes up, 2 GPUs" in done.stdout or "of 2 nodes up, 2 GPUs" in done.stdout
    assert f"ok      shared directory {service.home} is read and written on a node" in done.stdout
