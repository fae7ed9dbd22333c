"""The Ray executor and its client against a stand-in for Ray's dashboard: what a real one shows only with luck."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.models.job import Command, Resources
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.base import LaunchError, RunState, Terms
from api.services.executors.local import LocalExecutor
from api.services.executors.ray import Ray, RayExecutor
from api.services.executors.ray.client import RayError, Row
from api.services.executors.ray.submission import BEGAN
from api.utils import training_wrapper as keeper
from api.utils.errors import Unavailable

Answer = tuple[int, bytes]


class Dashboard:
    """Answers as `answers` says, by method and the beginning of the path; and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str, str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                token = self.headers.get("Authorization", "")
                outer.asked.append((self.command, self.path, token, json.loads(raw or b"{}")))
                fits = [
                    (len(k[1]), v)
                    for k, v in outer.answers.items()
                    if self.command == k[0] and self.path.startswith(k[1])
                ]
                status, text = max(fits, default=(0, (404, b"nothing")))[1]
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.answers[method, path] = status, body if isinstance(body, bytes) else json.dumps(body).encode()

    def has_nodes(self, cpus: float = 2.0, gpus: float = 0.0) -> None:
        total = {"CPU": cpus, "GPU": gpus}
        node = {"node_id": "id", "node_ip": "a", "node_name": "a", "state": "ALIVE", "resources_total": total}
        self.says("GET", "/api/v0/nodes", {"data": {"result": {"result": [node]}}})
        self.says("GET", "/api/cluster_status", {"data": {"clusterStatus": {"time": time.time()}}})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    made = Dashboard()
    yield made
    made.close()


# --- the client -------------------------------------------------------------------------------------------------------


def test_the_token_goes_with_each_request_and_with_none_to_another_place(dashboard: Dashboard) -> None:
    dashboard.says("GET", "/api/jobs/", [], status=302)
    with pytest.raises(RayError, match="Ray answered 302"):
        Ray(dashboard.address, "secret").jobs()
    assert [(path, token) for _, path, token, _ in dashboard.asked] == [("/api/jobs/", "Bearer secret")]


@pytest.mark.parametrize(("token", "told"), [("t", "does not know the token"), ("", "asks for a token")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_setting(dashboard: Dashboard, token: str, told: str, status: int) -> None:
    dashboard.says("GET", "/api/version", b"Unauthorized", status=status)
    with pytest.raises(RayError) as caught:
        Ray(dashboard.address, token).version()
    assert str(caught.value) == f"{dashboard.address} {told} (TRAINYARD_RAY_TOKEN)" and not caught.value.transient


def test_what_is_not_ray_is_told(dashboard: Dashboard) -> None:
    dashboard.says("GET", "/api/version", b"<html>")
    with pytest.raises(RayError, match="answers what is not Ray's"):
        Ray(dashboard.address).version()


def test_a_submission_whose_answer_was_an_error_may_have_been_taken(dashboard: Dashboard) -> None:
    dashboard.says("POST", "/api/jobs/", b"Traceback\nValueError: Job with submission_id x already exists", status=500)
    ray = Ray(dashboard.address)
    with pytest.raises(RayError, match="Ray answered 500: ValueError: Job with"):
        ray.submit("x", {})
    dashboard.says("GET", "/api/jobs/x", {"status": "RUNNING", "driver_exit_code": None, "driver_node_id": "n"})
    ray.submit("x", {})
    assert ray.job("x") == Row("RUNNING", node="n") and ray.job("y") is None


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(RayError, match="cannot be reached: ") as caught:
        Ray("http://127.0.0.1:9", seconds=1.0).jobs()
    assert caught.value.transient


# --- the executor -----------------------------------------------------------------------------------------------------


class Stand:
    def __init__(self, dashboard: Dashboard, home: Path) -> None:
        self.dashboard = dashboard
        self.executor = RayExecutor(Ray(dashboard.address), patience=0.2)
        self.workspace = Workspace("job-1", 1, home / "control", home / "log", home, home)
        self.handle = self.executor.handle(self.workspace)

    def launch(self, **wanted: Any) -> None:
        self.executor.launch(Command(("/bin/true",), {}, "/"), self.workspace, Terms(Resources(**wanted)))

    def submitted(self) -> list[dict[str, Any]]:
        return [body for method, path, _, body in self.dashboard.asked if (method, path) == ("POST", "/api/jobs/")]

    def begins(self) -> None:
        Path(self.handle, BEGAN).mkdir()
        keeper.put(self.handle, keeper.PID, {"pid": 7, "started_at": 1.0})

    def breathes(self) -> None:
        keeper.put(self.handle, keeper.USAGE, {"at": time.time(), "cpu_seconds": 1.0, "rss_bytes": 1, "pids": [7]})


@pytest.fixture
def stand(dashboard: Dashboard, tmp_path: Path) -> Stand:
    dashboard.has_nodes()
    dashboard.says("GET", "/api/jobs/", [])
    dashboard.says("POST", "/api/jobs/", {"submission_id": "x"})
    dashboard.says("GET", "/api/jobs/job-1", b"no such job", status=404)
    dashboard.says("GET", "/api/jobs/job-1.1", b"no such job", status=404)
    made = Stand(dashboard, tmp_path)
    made.executor.turn()
    return made


def test_nothing_is_submitted_before_anything_is_known(dashboard: Dashboard, tmp_path: Path) -> None:
    stand = Stand(dashboard, tmp_path)
    silence = "this service stands by and does not ask Ray"
    assert stand.executor.problem() == stand.executor.state().problem == silence
    with pytest.raises(Unavailable, match=silence):
        stand.launch()
    assert not dashboard.asked


def until(look: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_that_stands_by_reads_what_another_wrote(stand: Stand, tmp_path: Path) -> None:
    stand.launch()
    second = RayExecutor(Ray(stand.dashboard.address), interval=0.01, patience=0.01)
    record, asked = Path(stand.handle, RayExecutor.record).read_bytes(), len(stand.dashboard.asked)
    seen = second.poll(stand.handle)
    assert (seen.state, seen.note) == (RunState.PENDING, "this service stands by and does not ask Ray")
    stand.begins()
    assert second.poll(stand.handle).state is RunState.RUNNING
    assert (Path(stand.handle, RayExecutor.record).read_bytes(), len(stand.dashboard.asked)) == (record, asked)

    second.start()
    second.start()
    assert second.poll(stand.handle).state is RunState.RUNNING
    until(lambda: second.poll(stand.handle).state is RunState.VANISHED)  # Ray's list does not have it
    assert second.problem() is None and second.state().nodes
    until(second.close)
    asked = len(stand.dashboard.asked)
    assert not second.state().nodes and "stands by" in str(second.problem())
    second.start()
    until(lambda: second.state().nodes)
    assert len(stand.dashboard.asked) > asked
    until(second.close)


def test_what_has_no_room_is_not_submitted(stand: Stand) -> None:
    with pytest.raises(Unavailable, match="no node of the cluster has room for all of it now"):
        stand.launch(cpus=3, memory=0)
    assert not stand.submitted()


def test_a_job_that_ray_refuses_is_told(stand: Stand) -> None:
    stand.dashboard.says("POST", "/api/jobs/", b"entrypoint_num_cpus: what?", status=400)
    with pytest.raises(LaunchError, match="Ray refuses it: Ray answered 400: entrypoint_num_cpus"):
        stand.launch()


def test_room_is_counted_from_the_submission_on(stand: Stand) -> None:
    stand.launch(cpus=2, memory=0)
    assert stand.submitted()[0]["entrypoint_num_cpus"] == 2
    assert [node.cpus_used for node in stand.executor.state().nodes] == [2]
    keeper.put(stand.handle, keeper.EXIT, {"code": 0})
    assert [node.cpus_used for node in stand.executor.state().nodes] == [0]


def test_a_head_started_anew_knows_no_job_and_one_that_breathes_runs_on(stand: Stand) -> None:
    stand.launch()
    stand.begins()
    for _ in range(5):
        stand.breathes()
        stand.executor.turn()
        assert stand.executor.poll(stand.handle).state is RunState.RUNNING
        time.sleep(0.1)  # five of these are longer than its patience
    deadline = time.monotonic() + 5
    while stand.executor.poll(stand.handle).state is RunState.RUNNING and time.monotonic() < deadline:
        stand.executor.turn()
    seen = stand.executor.poll(stand.handle)
    assert (seen.state, seen.note) == (RunState.VANISHED, "Ray does not know it any more: its head was started anew")


def test_what_is_stopped_before_it_began_cannot_begin(stand: Stand) -> None:
    stand.launch()
    assert stand.executor.poll(stand.handle).state is RunState.PENDING
    stand.executor.stop(stand.handle, 5)
    seen = stand.executor.poll(stand.handle)
    assert (seen.state, seen.error) == (RunState.EXITED, "stopped before start") and Path(stand.handle, BEGAN).is_dir()


def test_a_stop_that_the_keeper_does_not_heed_is_rays_business(stand: Stand) -> None:
    stand.launch()
    stand.begins()
    name = records.read(stand.handle, "ray.json")
    assert name
    stand.dashboard.says("GET", "/api/jobs/", [{"submission_id": name["name"], "status": "RUNNING"}])
    stand.executor.stop(stand.handle, 600)
    stand.executor.turn()
    stops = [path for _, path, _, _ in stand.dashboard.asked if path.endswith("/stop")]
    assert not stops and (records.read(stand.handle, keeper.STOP) or {})["grace"] == 600
    track = stand.executor._tracks[stand.handle]
    track.kill_at = time.monotonic()
    stand.dashboard.says("POST", f"/api/jobs/{name['name']}/stop", {"stopped": True})
    stand.executor.turn()
    assert track.stopped


def test_what_this_machine_began_is_followed_here(stand: Stand) -> None:
    """The setting was changed while a job ran."""
    here = LocalExecutor(linger=0.3)
    here.launch(Command(("/bin/sleep", "60"), {}, "/"), stand.workspace, Terms())
    deadline = time.monotonic() + 15
    while stand.executor.poll(stand.handle).pid is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stand.executor.poll(stand.handle).state is RunState.RUNNING
    stand.launch()
    stand.executor.stop(stand.handle, 5)
    while here.poll(stand.handle).state is not RunState.EXITED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stand.executor.poll(stand.handle).exit_code == -15 and not stand.submitted()


def test_a_launch_cut_short_whose_job_runs_is_found_again(stand: Stand) -> None:
    stand.launch()
    stand.begins()
    Path(stand.handle, "ray.json").unlink()
    again = Stand(stand.dashboard, stand.workspace.control.parent)
    again.executor.turn()
    assert again.executor.poll(stand.handle).state is RunState.ABSENT
    again.executor.stop(stand.handle, 600)  # reaches it all the same
    assert (records.read(stand.handle, keeper.STOP) or {})["grace"] == 600
    again.launch()
    assert again.executor.poll(stand.handle).state is RunState.RUNNING and len(stand.submitted()) == 1
