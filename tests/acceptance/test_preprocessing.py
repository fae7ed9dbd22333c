"""From videos to a trained model, through a real service that is killed on the way."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Maker
from tests.acceptance.harness import Service, wait_for
from tests.unit.videos import look, make_image, make_video

BASE = "/api/v1/preprocessing"
KEY = "sk-very-secret-4711"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that twenty of it take some seconds."""
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=3, size=(640, 360))


def fill(service: Service, clip: Path, count: int) -> Path:
    directory = service.data / "workspace" / "clips"
    directory.mkdir(exist_ok=True)
    for index in range(count):
        shutil.copy(clip, directory / f"{index:03}.mp4")
    return directory


def submit(service: Service, directory: Path, name: str = "cats", **more: Any) -> str:
    body = {"dataset_name": name, "video_directory": str(directory), **more}
    return str(service.call("POST", f"{BASE}/start", body).expect(202)["preprocessing_id"])


def status(service: Service, job: str) -> Any:
    return service.get(f"{BASE}/status/{job}")


def wait(service: Service, job: str, *words: str) -> Any:
    def look_at() -> Any:
        seen = status(service, job)
        assert seen["status"] in ("pending", "running", *words), (seen, service.errors())
        return seen if seen["status"] in words else None

    return wait_for(look_at, 60, f"{job} to be {words}")


def wait_files(service: Service, job: str, count: int) -> None:
    wait_for(lambda: status(service, job)["progress"]["processed_videos"] >= count, 30, f"{count} files of {job}")


def names(service: Service) -> list[str]:
    """What lies where datasets are, drafts and all, but for the place of the YOLO platform's own drafts."""
    return sorted(path.name for path in (service.data / "datasets").iterdir() if path.name != ".yolo-drafts")


def test_from_videos_to_weights(make_service: Maker) -> None:
    service = make_service(fake=False).start()
    directory = fill(service, make_video(service.home / "wide.mp4", seconds=2, size=(128, 64)), 4)
    for index in range(4):
        make_video(directory / f"tall{index}.webm", seconds=1, size=(64, 128), codec="libvpx")
        make_image(directory / f"z{index}.jpg", (64, 64))
    (directory / "broken.mp4").write_bytes(b"not a video")
    job = submit(service, directory, prompt_prefix="sks")
    seen = wait(service, job, "completed")
    assert len(seen["output_files"]) == 12 and [each["file"] for each in seen["errors"]] == ["broken.mp4"]
    assert any("use_qwen_optimize" in warning for warning in seen["warnings"])

    url = f"{BASE}/datasets/cats"
    changed = service.call("POST", f"{url}/captions", {"find": "sks", "replace": "ohwx"}).expect(200)
    assert changed["changed"] == 12
    video = service.call("GET", f"{url}/items/1/media")
    (service.home / "got.mp4").write_bytes(video.raw)
    assert video.headers["content-type"] == "video/mp4" and len(look(service.home / "got.mp4").frames) == 32

    wanted = {"resolutions": [32], "frame_buckets": [1, 13], "micro_batch_size_per_gpu": 2, "epochs": 2}
    plan = service.call("POST", f"{url}/toml", wanted).expect(200)
    dataset = {**plan["dataset"], "directory": [{"path_id": "cats", "num_repeats": 1}]}
    training = service.submit(dataset=dataset, epochs=2, config={"micro_batch_size_per_gpu": 2})
    service.wait_status(training, "completed", deadline=100)
    progress = service.get(f"/{training}/progress")["progress"]
    assert progress["current_step"] == plan["total_steps"] == 12
    assert service.call("DELETE", url).expect(200) == {"dataset_name": "cats"}
    assert names(service) == []


def test_cancelled_half_way(make_service: Maker, clip: Path) -> None:
    service = make_service(fake=False).start()
    directory = fill(service, clip, 40)
    job = submit(service, directory)
    wait_files(service, job, 2)
    assert any(name.endswith(".part") for name in names(service))
    seen = service.call("POST", f"{BASE}/cancel/{job}?wait=20").expect(200)
    assert seen["status"] == "cancelled"
    wait_for(lambda: not names(service), 10, "nothing to be left")
    assert not service.processes()
    assert service.get(f"{BASE}/check/cats")["exists"] is False
    submit(service, directory)


def test_the_service_is_killed_half_way(make_service: Maker, clip: Path) -> None:
    service = make_service(fake=False).start()
    job = submit(service, fill(service, clip, 10))
    wait_files(service, job, 2)
    service.restart()
    seen = wait(service, job, "completed")
    assert len(seen["output_files"]) == 10 and names(service) == ["cats"]
    assert len(service.points(job, "file_seconds")) == 10


def test_all_is_killed_half_way(make_service: Maker, clip: Path) -> None:
    service = make_service(fake=False).start()
    job = submit(service, fill(service, clip, 40))
    wait_files(service, job, 2)
    service.kill()
    while service.kill_all():
        pass
    service.start()
    assert wait(service, job, "failed")["error_message"]
    wait_for(lambda: not names(service), 10, "nothing to be left")
    service.call("POST", f"/restart/{job}").expect(200)
    assert service.get(f"{BASE}/check/cats")["exists"] is True


def test_the_child_is_killed(make_service: Maker, clip: Path) -> None:
    service = make_service(fake=False).start()
    job = submit(service, fill(service, clip, 40))
    wait_files(service, job, 1)
    (child,) = [each for each in service.processes() if each.cmdline()[-1].endswith("plan.json")]
    child.kill()
    assert wait(service, job, "failed")["error_message"]
    wait_for(lambda: not names(service) and not service.processes(), 10, "nothing to be left")


def test_two_at_once(make_service: Maker, clip: Path) -> None:
    service = make_service(fake=False).start()
    directory = fill(service, clip, 1)
    body = {"dataset_name": "cats", "video_directory": str(directory)}
    assert service.client is not None  # one for all threads
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.call("POST", f"{BASE}/start", body).code, range(16)))
    assert sorted(answers) == [202] + [409] * 15
    (job,) = service.jobs()
    wait(service, job["task_id"], "completed")


# ---- the key of a request


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[str | None]]]:
    """An OpenAI-compatible endpoint, and the Authorization of each request to it."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers.get("Authorization"))
            data = json.dumps({"choices": [{"message": {"content": "a white square"}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1", seen
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_key_that_is_written_nowhere(make_service: Maker, clip: Path, endpoint: tuple[str, list[str | None]]) -> None:
    """The first job gets its key. The second waits while the service is killed: it goes on without, and says so."""
    url, seen = endpoint
    service = make_service(
        fake=False,
        workers=1,
        environ={
            "TRAINYARD_OPENAI_BASE_URL": url,
            "TRAINYARD_OPENAI_MODEL": "m",
            "DASHSCOPE_API_KEY": "sk-of-the-service",
        },
    )
    service.start()  # fmt: skip
    directory = fill(service, clip, 10)
    first = submit(service, directory, "first", qwen_api_key=KEY)
    second = submit(service, directory, "second", qwen_api_key=KEY)
    wait_files(service, first, 1)
    tree = [psutil.Process(service.pid), *service.processes()]
    assert len(tree) >= 4
    for each in tree:
        shown = [each.cmdline(), each.environ() if each.pid != service.pid else {}]
        assert KEY not in str(shown) and "sk-of-the-service" not in str(shown), each
    service.restart()
    assert not wait(service, first, "completed")["warnings"]
    assert any("qwen_api_key" in warning for warning in wait(service, second, "completed")["warnings"])
    assert seen[:10] == [f"Bearer {KEY}"] * 10 and seen[10:] == ["Bearer sk-of-the-service"] * 10
    assert service.get(f"{BASE}/datasets/second/items")["items"][0]["caption"] == "a white square"
    for path in (*service.data.rglob("*"), *service.home.glob("service.*")):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
