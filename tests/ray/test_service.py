"""A real service whose jobs run on a real Ray: every dialect's job, seen through the API like one of this machine."""

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
from tests.ray.cluster import Cluster

pytestmark = pytest.mark.ray
DEADLINE = 90.0
GATED = (
    "import pathlib, sys, time\nprint('up', flush=True)\n"
    "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
)


def environ(cluster: Cluster, home: Path) -> dict[str, str]:
    return {
        "TRAINYARD_EXECUTOR": "ray",
        "TRAINYARD_SHARED_DIR": str(home),
        "TRAINYARD_RAY_ADDRESS": cluster.address,
        "TRAINYARD_RAY_TOKEN": cluster.token,
    }


@pytest.fixture(scope="module")
def service(ray: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")
    made = Service(home, environ=environ(ray, home))
    try:
        made.start()
        wait_for(lambda: ready(made).code == 200, 20, "the service to be ready")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def bench(service: Service) -> Bench:
    return Bench(service)


def ready(service: Service) -> Any:
    return service.call("GET", "/readyz")


def code(detail: Any) -> int | None:
    found: int | None = detail["attempts"][-1]["exit_code"]
    return found


def in_ray(cluster: Cluster, job: str) -> bool:
    return any(name.startswith(f"{job}.") for name in cluster.client.jobs())


def test_the_mini_trainer_runs_to_its_end(ray: Cluster, tmp_path: Path) -> None:
    mini = Service(tmp_path, fake=False, environ=environ(ray, tmp_path))
    try:
        mini.start()
        wait_for(lambda: ready(mini).code == 200, 20)
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


def test_a_soft_stop_saves_and_a_hard_one_ends(service: Service) -> None:
    soft = service.submit(epochs=1000, steps_per_second=50)
    service.wait_step(soft, 5, DEADLINE)
    service.call("POST", f"/stop/{soft}").expect(200)
    stopped = service.wait_status(soft, "stopped", deadline=DEADLINE)
    assert code(stopped) == 0 and service.get(f"/{soft}/checkpoints")
    hard = service.submit(epochs=1000, steps_per_second=50, ignore_term=True)
    service.wait_step(hard, 5, DEADLINE)
    service.call("POST", f"/stop/{hard}", {"force": True}).expect(200)
    assert code(service.wait_status(hard, "stopped", deadline=DEADLINE)) == -9


def test_what_waits_waits_in_our_queue_by_priority(bench: Bench, ray: Cluster) -> None:
    script, gates = bench.script(GATED, "gated.py"), [bench.service.home / f"go{n}" for n in range(3)]
    first = bench.submit(script, cpu=2, args=[str(gates[0])])
    bench.wait_line(first, "up")
    low = bench.submit(script, cpu=2, args=[str(gates[1])])
    high = bench.submit(script, cpu=2, args=[str(gates[2])], priority=5)
    shown = bench.get(high)
    assert (shown["status"], shown["queue_position"]) == ("pending", 1)
    assert str(shown["queue_reason"]).startswith("waits for 2 cores, 0 of 2 are free")
    assert in_ray(ray, first) and not in_ray(ray, low) and not in_ray(ray, high)
    gates[0].touch()
    bench.wait_line(high, "up")
    assert bench.get(low)["status"] == "pending" and not in_ray(ray, low)
    gates[2].touch()
    bench.wait_line(low, "up")
    bench.call("POST", f"/{low}/stop").expect(200)
    assert [bench.end(job)["status"] for job in (first, high, low)] == ["completed", "completed", "cancelled"]


def test_what_another_user_of_ray_has_is_not_given_twice(bench: Bench, ray: Cluster) -> None:
    ray.client.submit(
        "a-stranger", {"entrypoint": "exec sleep 100", "entrypoint_num_cpus": 2, "entrypoint_num_gpus": 2}
    )
    try:
        gpus = "/api/v1/gpu/status"
        wait_for(lambda: {gpu["status"] for gpu in bench.service.get(gpus)["gpus"]} == {"busy"}, 30)
        job = bench.submit(bench.script("print('hello')", "hello.py"))
        told = "waits for a node of the cluster that has room for all of it"
        wait_for(lambda: bench.get(job)["queue_reason"] == told, 20)
        assert bench.get(job)["status"] == "pending" and not in_ray(ray, job)
    finally:
        ray.client.stop("a-stranger")
    assert bench.end(job)["status"] == "completed"


@pytest.mark.parametrize(
    ("wanted", "short"), [({"cpu": 3}, "cores"), ({"gpu": 3}, "gpus"), ({"memory": 1 << 40}, "memory")]
)
def test_what_no_node_can_hold_is_refused(bench: Bench, wanted: dict[str, int], short: str) -> None:
    body = {"name": "x", "framework": "pytorch", "script_path": bench.script("", "x.py"), "cpu": 1, "memory": MIB,
            "gpu": 0, **wanted}  # fmt: skip
    answer = bench.call("POST", "", body)
    assert answer.code == 507 and "no node of the cluster is large enough" in answer.body["message"]
    assert answer.data["short_of"] == [short]


def test_a_killed_service_finds_its_job_again_with_its_true_code(service: Service, tmp_path: Path) -> None:
    job = service.submit(epochs=2, hold_at_step=5, gate=str(tmp_path), exit_code=9)
    service.wait_step(job, 5, DEADLINE)
    service.restart()
    assert service.status(job) == "running"
    (tmp_path / "go").touch()
    detail = service.wait_status(job, "failed", deadline=DEADLINE)
    assert (code(detail), len(detail["attempts"])) == (9, 1)
    assert [step for step, _ in service.points(job)] == list(range(1, 17))


@pytest.mark.parametrize("point", ["launch.after_lock", "launch.after_spawn"])
def test_a_service_killed_around_the_submission_submits_once(service: Service, point: str) -> None:
    service.terminate()
    service.start(fault=point)
    wait_for(lambda: ready(service).code == 200, 20)
    job = service.submit(epochs=1)
    service.wait_dead()
    service.start()
    detail = service.wait_status(job, "completed", deadline=DEADLINE)
    assert len(detail["attempts"]) == 1
    assert [step for step, _ in service.points(job)] == list(range(1, 9))


def test_gpus_are_the_clusters(bench: Bench) -> None:
    service = bench.service
    free = [(0, "GPU on 127.0.0.2", "available"), (1, "GPU on 127.0.0.2", "available")]

    def shown() -> list[tuple[Any, ...]]:
        gpus = service.get("/api/v1/gpu/status")["gpus"]
        return [tuple(gpu[name] for name in ("gpu_id", "name", "status")) for gpu in gpus]

    wait_for(lambda: shown() == free, 20)  # a test before may have had one
    text = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(600)"
    job = bench.submit(bench.script(text, "g.py"), gpu=1)
    device = int(wait_for(lambda: bench.lines(job), 60)[0])
    held = wait_for(lambda: [g for g in service.get("/api/v1/gpu/status")["gpus"] if g["current_task"] == job], 20)
    assert [(gpu["gpu_id"], gpu["status"]) for gpu in held] == [(device, "training")]
    bench.call("POST", f"/{job}/stop").expect(200)
    bench.end(job)


def test_over_its_memory_and_over_its_time(bench: Bench) -> None:
    eater = bench.script("import time; x = bytearray(300 << 20); time.sleep(600)", "eater.py")
    sleeper = bench.script("import time; time.sleep(600)", "sleeper.py")
    over, late = bench.submit(eater, memory=100 * MIB), bench.submit(sleeper, max_runtime=2)
    assert bench.end(over)["attempts"][-1]["reason"] == "out_of_memory"
    assert bench.end(late)["attempts"][-1]["reason"] == "timed_out"


def test_preprocessing_goes_the_same_way(service: Service) -> None:
    engines.preprocesses(service)


@pytest.mark.timeout(900)
def test_yolo_trains_and_its_model_is_registered(service: Service, tmp_path: Path) -> None:
    engines.yolo_trains(service, tmp_path)


@pytest.mark.timeout(900)
def test_yolo_that_is_stopped_keeps_its_last_weights(service: Service, tmp_path: Path) -> None:
    engines.yolo_stops(service, tmp_path)


def doctor(service: Service, **other: str) -> str:
    done = subprocess.run(
        [sys.executable, "run.py", "doctor", "--data-dir", str(service.data)],
        cwd=REPO, env={"PATH": "/usr/bin:/bin", **service.environ, **other}, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    return done.stdout


def test_the_doctor_looks_at_the_cluster(service: Service, ray: Cluster) -> None:
    told = doctor(service)
    assert f"at {ray.address}: 1 of 1 nodes up, 2 GPUs" in told
    assert f"shared directory {service.home} is read and written on a node" in told


def test_a_wrong_token_is_told_wherever_somebody_looks(ray: Cluster, tmp_path: Path) -> None:
    wrong = Service(tmp_path, environ={**environ(ray, tmp_path), "TRAINYARD_RAY_TOKEN": "wrong-token"})
    try:
        wrong.start()
        told = "does not know the token (TRAINYARD_RAY_TOKEN)"
        wait_for(lambda: ready(wrong).code == 503 and told in ready(wrong).raw.decode(), 20)
        assert "wrong-token" not in ready(wrong).raw.decode() + wrong.errors()
        bench = Bench(wrong)
        body = {"name": "x", "framework": "pytorch", "script_path": bench.script("", "x.py"), "cpu": 1,
                "memory": MIB, "gpu": 0}  # fmt: skip
        refused = bench.call("POST", "", body)
        assert refused.code == 503 and told in refused.body["message"]
        assert told in doctor(wrong)
    finally:
        wrong.close()


def test_a_node_that_dies_is_told_and_the_log_stays(bench: Bench, ray: Cluster) -> None:
    node = ray.join("127.0.0.3", cpus=3)
    script = bench.script("import time; print('up', flush=True); time.sleep(600)", "far.py")
    body = {"name": "far", "framework": "pytorch", "script_path": script, "cpu": 3, "memory": 100 * MIB, "gpu": 0}
    job = str(wait_for(lambda: (made := bench.call("POST", "", body)).code == 201 and made.data["job_id"], 30))
    bench.wait_line(job, "up")
    ray.end(node)
    ended = bench.end(job, DEADLINE)
    assert (ended["status"], ended["attempts"][-1]["reason"]) == ("failed", "lost")
    assert bench.service.detail(job)["failure"]["hint"].startswith("was lost on 127.0.0.3: ")
    assert bench.lines(job) == ["up"]


def test_a_ray_that_is_lost_loses_its_jobs_and_not_our_queue(bench: Bench, ray: Cluster) -> None:
    """Last: it takes Ray, head and node, from under everybody."""
    service = bench.service
    script = bench.script("import time; print('up', flush=True); time.sleep(600)", "lost.py")
    lost = bench.submit(script, cpu=2)
    bench.wait_line(lost, "up")
    waits = bench.submit(bench.script("print('hello')", "hello.py"))
    ray.kill()
    wait_for(lambda: ready(service).code == 503, 30)
    assert "cannot be reached" in ready(service).raw.decode()
    assert "cannot be reached" in bench.get(waits)["queue_reason"]
    assert bench.get(lost)["status"] == "running"  # nobody knows better yet
    ray.start()
    ended = bench.end(lost, DEADLINE)
    assert (ended["status"], ended["attempts"][-1]["reason"]) == ("failed", "lost")
    assert "Ray does not know it any more" in service.detail(lost)["failure"]["hint"]
    assert bench.end(waits, DEADLINE)["status"] == "completed"
