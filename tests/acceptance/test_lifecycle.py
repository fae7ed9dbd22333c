"""A training's life over HTTP, from its start to its removal: the same suite over the fake trainer and the real one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import TERMINAL, Event, Service, losses, wait_for

STEP_LINE = re.compile(r"^steps: (\d+) loss: (\S+) ", re.MULTILINE)


@dataclass
class Lab:
    """A running service and how its trainer is used."""

    service: Service
    name: str

    def submit(self, epochs: int = 2, **wanted: Any) -> str:
        return self.service.submit(epochs=epochs, **wanted)

    def long(self, **wanted: Any) -> str:
        """One that runs until it is stopped."""
        return self.service.submit(epochs=2000, **wanted)

    def printed(self, job: str) -> list[tuple[int, float]]:
        """The losses as the log file has them."""
        return [(int(s), float(v)) for s, v in STEP_LINE.findall(self.service.log_file(job).read_text())]


@pytest.fixture(scope="module", params=["fake", "mini"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    service = Service(tmp_path_factory.mktemp(request.param), fake=request.param == "fake", workers=2)
    try:
        yield Lab(service.start(), request.param)
    finally:
        service.close()


def run_dir(service: Service, job: str) -> Path:
    directory = Path(service.detail(job)["output_dir"])
    return next(path for path in sorted(directory.iterdir(), reverse=True) if path.is_dir())


class TestTheWholeWay:
    def test_when_it_ends_everything_is_there(self, lab: Lab) -> None:
        service = lab.service
        job = lab.submit(epochs=2, top={"description": "a test", "tags": ["x"]})
        wait_for(lambda: service.status(job) in TERMINAL, 60, "its end", every=0.002)
        # nothing below waits: a terminal status means that all of it is complete
        detail = service.detail(job)
        points = service.points(job)
        text = service.log_file(job).read_text()
        page = service.get(f"/{job}/logs", params={"tail": 1})
        assert detail["status"] == "completed", detail
        assert points == lab.printed(job)
        steps = [step for step, _ in points]
        assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 6
        assert "TRAINING COMPLETE!" in text
        progress = detail["progress"]
        assert progress["current_step"] == progress["total_steps"] == len(steps)
        assert (progress["overall_progress"], progress["current_epoch"], progress["total_epochs"]) == (100.0, 2, 2)
        assert detail["phase"] == "done"
        assert detail["metrics"]["current_loss"] == points[-1][1]
        assert detail["metrics"]["best_loss"] == min(value for _, value in points)
        states = [c for c in detail["checkpoints"] if c["kind"] == "state"]
        assert states[-1]["step"] == len(steps) and states[-1]["loss"] == points[-1][1]
        assert {"epoch1", "epoch2"} <= {c["name"] for c in detail["checkpoints"] if c["kind"] == "weights"}
        assert all(Path(c["path"]).is_dir() and c["size_bytes"] > 0 for c in detail["checkpoints"])
        (attempt,) = detail["attempts"]
        assert (attempt["number"], attempt["exit_code"], attempt["reason"]) == (1, 0, "done")
        assert attempt["started_at"] <= attempt["ended_at"] and attempt["pid"] > 0
        assert page["total_lines"] == service.log_pages(job)[-1]["line_number"]
        assert detail["description"] == "a test" and detail["tags"] == ["x"]
        assert service.points(job, "lr")[-1][0] == len(steps)
        if lab.name == "mini":  # these come from the TensorBoard file
            assert [step for step, _ in service.points(job, "grad_norm")] == steps
            epochs = service.get(f"/{job}/metrics", params={"type": "epoch"})["data"]
            assert [point["epoch"] for point in epochs] == [1, 2]

    def test_the_next_end_changes_nothing(self, lab: Lab) -> None:
        service = lab.service
        job = next(job["task_id"] for job in service.jobs() if job["status"] == "completed")
        assert service.call("POST", f"/stop/{job}").code == 409
        assert service.status(job) == "completed"
        assert service.call("POST", f"/resume/{job}", {"checkpoint": "global_step999"}).code == 404

    def test_a_resumed_one_goes_on_and_is_never_doubled(self, lab: Lab) -> None:
        service = lab.service
        job = lab.long(steps_per_second=30)
        service.wait_step(job, 2, 60)
        answer = service.call("POST", f"/stop/{job}", {"force": False}, params={"wait": 30}).expect(200)
        assert answer["status"] == "stopped" and answer["checkpoint_saved"] is True
        detail = service.detail(job)
        assert (detail["attempts"][0]["reason"], detail["attempts"][0]["exit_code"]) == ("stopped_by_user", 0)
        first = service.points(job)
        assert answer["last_checkpoint"] == f"global_step{len(first)}"
        assert "Manually quitting" in service.log_file(job).read_text()
        assert detail["progress"]["overall_progress"] is None or detail["progress"]["overall_progress"] < 100

        again = service.call("POST", f"/resume/{job}", {}).expect(200)
        assert again["task_id"] == job
        service.wait_step(job, len(first) + 2, 60)
        service.call("POST", f"/stop/{job}", params={"wait": 30}).expect(200)
        detail = service.wait_status(job, "stopped")
        whole = service.points(job)
        assert whole[: len(first)] == first
        assert [step for step, _ in whole] == list(range(1, len(whole) + 1)) and len(whole) >= len(first) + 2
        assert whole == lab.printed(job)
        assert [a["number"] for a in detail["attempts"]] == [1, 2]
        assert detail["attempts"][1]["resume_from"] == answer["last_checkpoint"]
        assert {a["series"] for a in detail["attempts"]} == {1}
        assert len(list(Path(detail["output_dir"]).iterdir())) == 1  # it went on in its own run directory

    def test_a_restarted_one_begins_a_new_series(self, lab: Lab) -> None:
        service = lab.service
        job = lab.submit(epochs=1)
        service.wait_status(job, "completed", deadline=60)
        before = service.points(job)
        service.call("POST", f"/restart/{job}").expect(200)
        assert service.status(job) in ("queued", "running")
        detail = service.wait_status(job, "completed", deadline=60)
        after = service.points(job)
        assert [step for step, _ in after] == [step for step, _ in before]
        assert service.points(job, attempt=1) == before
        assert [a["series"] for a in detail["attempts"]] == [1, 2]
        first, second = (Path(a["output_dir"]) for a in detail["attempts"])
        assert first != second and first.is_dir() and second.is_dir()
        assert lab.printed(job) == before + after

    def test_a_forced_stop(self, lab: Lab) -> None:
        service = lab.service
        job = lab.long(steps_per_second=30)
        service.wait_step(job, 1, 60)
        answer = service.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 20}).expect(200)
        assert answer["status"] == "stopped"
        (attempt,) = service.detail(job)["attempts"]
        assert attempt["exit_code"] in (-15, -9)
        assert service.processes() == []

    def test_deletion_with_files(self, lab: Lab) -> None:
        service = lab.service
        job = lab.long(steps_per_second=30)
        service.wait_step(job, 1, 60)
        assert service.call("DELETE", f"/{job}").code == 409
        service.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 20}).expect(200)
        assert any(job in name for name in service.files())
        service.call("DELETE", f"/{job}", params={"files": "true"}).expect(200)
        assert [name for name in service.files() if job in name] == []
        assert service.call("GET", f"/{job}").code == 404
        assert service.call("DELETE", f"/{job}").code == 404

    def test_two_at_once_with_ports_of_their_own(self, lab: Lab) -> None:
        service = lab.service
        jobs = [lab.long(steps_per_second=30) for _ in range(2)]
        for job in jobs:
            service.wait_step(job, 1, 60)
        assert {service.status(job) for job in jobs} == {"running"}
        commands = [service.detail(job)["command"] for job in jobs]
        ports = {command[command.index("--master_port") + 1] for command in commands}
        assert len(ports) == 2
        for job in jobs:
            service.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 20}).expect(200)
        for job in jobs:
            service.wait_status(job, "stopped")


class TestTheQueue:
    def test_it_starts_in_order_and_the_urgent_first(self, make_service: Any) -> None:
        service = make_service(workers=1).start()
        gate = service.home / "gate"
        gate.mkdir()
        running = service.submit(hold_at_step=1, gate=str(gate))
        service.wait_step(running, 1)
        waiting = [service.submit(epochs=1) for _ in range(3)]
        urgent = service.submit(epochs=1, top={"priority": 5})
        assert [service.detail(job)["queue_position"] for job in (urgent, *waiting)] == [1, 2, 3, 4]
        assert {service.status(job) for job in (urgent, *waiting)} == {"queued"}
        cancelled = waiting.pop(1)
        assert service.call("POST", f"/stop/{cancelled}").expect(200)["status"] == "stopped"
        dropped = service.submit()
        service.call("DELETE", f"/{dropped}").expect(200)
        (gate / "go").touch()
        details = [service.wait_status(job, "completed") for job in (running, urgent, *waiting)]
        starts = [detail["started_at"] for detail in details]
        assert starts == sorted(starts)
        ends = [detail["attempts"][0]["ended_at"] for detail in details]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
        assert service.detail(cancelled)["attempts"][0]["pid"] is None


class TestRefusals:
    def test_unknown_ids_are_404_everywhere(self, shared: Service) -> None:
        job = "train_20200101_000000_00000000"
        for path in ("", "/progress", "/metrics", "/metrics/names", "/logs", "/logs/search?keyword=x", "/checkpoints"):
            assert shared.call("GET", f"/{job}{path}").code == 404, path
        for path in ("/logs/stream", "/events", "/artifacts", "/artifacts/a"):
            assert shared.call("GET", f"/{job}{path}").code == 404, path
        for action in ("stop", "resume", "restart"):
            assert shared.call("POST", f"/{action}/{job}").code == 404, action
        assert shared.call("DELETE", f"/{job}").code == 404

    def test_what_runs_cannot_be_resumed_restarted_or_deleted(self, shared: Service) -> None:
        job = shared.submit(epochs=500, steps_per_second=20)
        shared.wait_step(job, 1)
        for action in ("resume", "restart"):
            assert shared.call("POST", f"/{action}/{job}").code == 409
        assert shared.call("DELETE", f"/{job}").code == 409
        shared.call("POST", f"/stop/{job}", {"force": True}, params={"wait": 20}).expect(200)
        assert shared.call("POST", f"/stop/{job}").code == 409

    def test_nothing_to_resume_is_409(self, shared: Service) -> None:
        job = shared.submit(epochs=1, exit_at_step=2, exit_code=3)
        detail = shared.wait_status(job, "failed")
        assert detail["attempts"][0]["exit_code"] == 3 and detail["failure"]["kind"]
        assert shared.call("POST", f"/resume/{job}").code == 409

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=501", "limit=x", "offset=-1", "status=done", "limit=99999999999999999999"],
    )
    def test_a_bad_list_query_is_422(self, shared: Service, query: str) -> None:
        assert shared.call("GET", f"/list?{query}").code == 422

    def test_queries_of_one_job(self, shared: Service) -> None:
        job = shared.submit(epochs=1)
        shared.wait_status(job, "completed")
        for path in (
            "metrics?limit=0", "metrics?limit=10001", "metrics?type=minute", "metrics?since_step=-1",
            "logs?tail=10001", "logs?offset=-1", "logs?level=LOUD", "logs?since=yesterday", "logs?type=x",
            "logs/search", "logs/search?keyword=", "logs/search?keyword=(&regex=true",
        ):  # fmt: skip
            assert shared.call("GET", f"/{job}/{path}").code == 422, path
        assert shared.call("POST", f"/stop/{job}?wait=61").code == 422


@pytest.fixture(scope="module")
def done(shared: Service) -> str:
    job = shared.submit(epochs=20, steps_per_second=0)
    shared.wait_status(job, "completed")
    return job


class TestLogs:
    def test_paging_returns_each_line_once(self, shared: Service, done: str) -> None:
        wanted = shared.log_file(done).read_text().splitlines()
        for limit in (1000, 7):
            lines = shared.log_pages(done, limit)
            assert [line["message"] for line in lines] == wanted
            assert [line["line_number"] for line in lines] == list(range(1, len(wanted) + 1))

    def test_tail_and_totals(self, shared: Service, done: str) -> None:
        wanted = shared.log_file(done).read_text().splitlines()
        for tail in (0, 1, 3, 10_000):
            page = shared.get(f"/{done}/logs", params={"tail": tail})
            assert [line["message"] for line in page["logs"]] == (wanted[-tail:] if tail else [])
            assert page["total_lines"] == len(wanted)

    def test_search(self, shared: Service, done: str) -> None:
        found = shared.get(f"/{done}/logs/search", params={"keyword": "STEPS: 12 LOSS"})
        assert found["total_matches"] == 1 and found["results"][0]["matched_text"] == "steps: 12 loss"
        assert found["results"][0]["step"] in (11, 12) and found["complete"] is True
        found = shared.get(f"/{done}/logs/search", params={"keyword": r"^steps: \d+0 ", "regex": "true", "limit": 3})
        assert found["total_matches"] == 16 and len(found["results"]) == 3

    def test_filters(self, shared: Service, done: str) -> None:
        every = shared.get(f"/{done}/logs", params={"tail": 10_000})["logs"]
        train = shared.get(f"/{done}/logs", params={"tail": 10_000, "type": "train"})["logs"]
        assert [line for line in every if line["type"] == "train"] == train and train
        assert shared.get(f"/{done}/logs", params={"level": "WARNING"})["logs"] == []
        assert shared.get(f"/{done}/logs", params={"since": "2999-01-01T00:00:00Z"})["logs"] == []


class TestMetrics:
    def test_thinned_raw_and_csv(self, shared: Service, done: str) -> None:
        assert shared.points(done) == losses(160)
        thin = shared.get(f"/{done}/metrics", params={"limit": 20})
        assert (thin["total_points"], thin["downsampled"], len(thin["data"])) == (160, True, 20)
        assert [thin["data"][0]["step"], thin["data"][-1]["step"]] == [1, 160]
        last = shared.get(f"/{done}/metrics", params={"limit": 5, "window": "last"})["data"]
        assert [point["step"] for point in last] == [156, 157, 158, 159, 160]
        since = shared.get(f"/{done}/metrics", params={"limit": 1000, "since_step": 150})["data"]
        assert since[-1]["step"] == 160 and {p["step"] for p in since} <= set(range(150, 161))
        csv = shared.call("GET", f"/{done}/metrics", params={"format": "csv", "limit": 1000})
        assert csv.headers["content-type"].startswith("text/csv") and csv.raw.count(b"\n") == 161
        names = {row["name"] for row in shared.get(f"/{done}/metrics/names")["metrics"]}
        assert {"loss", "lr"} <= names


class TestArtifacts:
    def test_ranges_are_the_bytes_of_the_file(self, shared: Service, done: str) -> None:
        listed = shared.get(f"/{done}/artifacts")
        root = Path(listed["directory"])
        assert {a["path"] for a in listed["artifacts"]} == {
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
        }
        one = next(a for a in listed["artifacts"] if a["path"].endswith("global_step160/mp_rank_00_model_states.pt"))
        content = (root / one["path"]).read_bytes()
        assert one["size_bytes"] == len(content)
        path = f"/{done}/artifacts/{one['path']}"
        assert shared.call("GET", path).raw == content
        for spec, wanted in (
            ("bytes=0-9", content[:10]), ("bytes=100-", content[100:]), ("bytes=-7", content[-7:]),
            (f"bytes=5-{len(content) * 2}", content[5:]),
        ):  # fmt: skip
            part = shared.call("GET", path, headers={"Range": spec})
            assert (part.code, part.raw) == (206, wanted), spec
            assert part.headers["content-range"].endswith(f"/{len(content)}")
        assert shared.call("GET", path, headers={"Range": f"bytes={len(content)}-"}).code == 416

    def test_no_way_out(self, shared: Service, done: str) -> None:
        root = run_dir(shared, done)
        (root / "link").symlink_to("/etc/passwd")
        (root / "links").symlink_to("/etc")
        for path in (
            f"{root.name}/link", f"{root.name}/links/passwd", "..%2f..%2ftrainyard.db", "%2e%2e/%2e%2e/trainyard.db",
            "....//x", "%2fetc/passwd", f"{root.name}", "a%00b", "x" * 3000,
        ):  # fmt: skip
            answer = shared.call("GET", f"/{done}/artifacts/{path}")
            assert answer.code in (404, 400, 414), (path, answer.code)
            assert b"root:" not in answer.raw


def collect(events: Iterator[Event], most: int | None = None) -> list[Event]:
    found: list[Event] = []
    for event in events:
        found.append(event)
        if event.kind == "end" or len(found) == most:
            break
    return found


class TestStreams:
    def test_a_log_stream_that_was_dropped_gives_every_line_once(self, shared: Service) -> None:
        job = shared.submit(epochs=25, steps_per_second=150)
        seen: list[Event] = []
        last: str | None = None
        for most in (5, 60, 1, 90, None):
            with shared.stream(f"/{job}/logs/stream", last) as events:
                seen += collect(events, most)
            last = seen[-1].id or last
        assert seen[-1].kind == "end" and seen[-1].data == {"status": "completed"}
        lines = [event.data for event in seen[:-1]]
        wanted = shared.log_file(job).read_text().splitlines()
        assert [line["line_number"] for line in lines] == list(range(1, len(wanted) + 1))
        assert [line["message"] for line in lines] == wanted

    def test_a_late_one_begins_with_the_last_lines_and_ends(self, shared: Service, done: str) -> None:
        with shared.stream(f"/{done}/logs/stream") as events:
            seen = collect(events)
        total = shared.log_file(done).read_text().count("\n")
        assert [e.data["line_number"] for e in seen[:-1]] == list(range(total - 49, total + 1))
        assert seen[-1].kind == "end"

    def test_a_bad_last_event_id_is_422(self, shared: Service, done: str) -> None:
        for bad in ("x", "-1", "1" * 30):
            assert shared.call("GET", f"/{done}/events", headers={"Last-Event-ID": bad}).code == 422

    def test_job_events_end(self, shared: Service) -> None:
        job = shared.submit(epochs=4, steps_per_second=100)
        with shared.stream(f"/{job}/events") as events:
            seen = collect(events)
        assert seen[-1].kind == "end" and seen[-1].data["status"] == "completed"
        assert {"progress", "status", "metric", "log"} <= {event.kind for event in seen}
        statuses = [e.data["status"] for e in seen if e.kind == "status"]
        assert statuses[-1] == "completed"
        ids = [int(e.id) for e in seen if e.id is not None]
        assert ids == sorted(ids)
        points = [p for e in seen if e.kind == "metric" for p in e.data["points"] if p["name"] == "loss"]
        steps = [p["step"] for p in points]
        assert len(steps) == len(set(steps)) and steps[-1] == 32

    def test_job_events_go_on_after_a_drop(self, shared: Service) -> None:
        job = shared.submit(epochs=6, steps_per_second=60)
        with shared.stream(f"/{job}/events") as events:
            seen = collect(events, 4)
        with shared.stream(f"/{job}/events", seen[-1].id) as events:
            seen += collect(events)
        steps = [p["step"] for e in seen if e.kind == "metric" for p in e.data["points"] if p["name"] == "loss"]
        assert steps == sorted(set(steps)) and steps[-1] == 48
        assert steps == list(range(steps[0], 49))

    def test_events_of_all(self, shared: Service) -> None:
        ready = threading.Event()
        seen: list[Event] = []
        wanted: set[str] = set()

        def listen() -> None:
            with shared.stream("/events", str(start)) as events:
                ready.set()
                for event in events:
                    seen.append(event)
                    ended = {e.data["task_id"] for e in seen if e.data.get("status") == "completed"}
                    if wanted and wanted <= ended:
                        return

        with shared.stream(f"/{shared.submit(epochs=1)}/events") as first:
            start = int(next(e.id for e in first if e.id is not None))
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        assert ready.wait(10)
        wanted |= {shared.submit(epochs=2), shared.submit(epochs=2)}
        thread.join(20)
        assert not thread.is_alive(), seen
        assert {event.kind for event in seen} <= {"status", "progress"}
        ids = [int(event.id or -1) for event in seen]
        assert ids == sorted(set(ids)) and ids[0] > start
