"""Videos through a real service and a real model, as far as a browser that plays the result."""

from __future__ import annotations

import base64
import json
import random
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import pytest

from tests.acceptance.harness import wait_for
from tests.infer.conftest import Inference
from tests.unit.videos import make_video, rotate

pytestmark = [pytest.mark.infer, pytest.mark.timeout(300)]
CHROMIUM = shutil.which("chromium")


def film(inference: Inference, path: Path, **fields: str) -> Any:
    response = inference.post("/infer/video/model_a", {"file": (path.name, path.read_bytes())}, **fields)
    assert response.status_code == 200, response.text[:500]
    return response.json()


def looked_into(data: bytes, tmp_path: Path) -> tuple[str, str, tuple[int, int], list[float]]:
    path = tmp_path / "result.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        times = [float(frame.time or 0) for frame in container.decode(stream)]
        return context.name, context.pix_fmt or "", (context.width, context.height), times


def test_the_result_is_h264_of_as_many_frames(inference: Inference, tmp_path: Path) -> None:
    source = make_video(tmp_path / "x.mp4", seconds=1, fps=25, size=(160, 90))
    told = film(inference, source, conf="0.1")
    data = base64.b64decode(told["video_data"], validate=True)
    codec, form, size, times = looked_into(data, tmp_path)
    assert (codec, form, size, len(times)) == ("h264", "yuv420p", (160, 90), 25)
    assert times == pytest.approx([n / 25 for n in range(25)], abs=0.002)
    assert data.index(b"moov") < data.index(b"mdat")
    assert told["stats"]["total_frames"] == 25 and len(told["stats"]["detections_per_frame"]) == 25
    assert told["summary"]["total_detections"] == sum(told["stats"]["detections_per_frame"]) > 0
    part = inference.service.client.get(told["video_url"], headers={"Range": "bytes=5-104"})
    assert part.status_code == 206 and part.content == data[5:105]


def test_times_odd_sizes_and_rotation_are_kept(inference: Inference, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.52, 1.3]
    told = film(inference, make_video(tmp_path / "vfr.mp4", times=times, size=(64, 48)))
    assert looked_into(base64.b64decode(told["video_data"]), tmp_path)[3] == pytest.approx(times, abs=0.002)
    turned = make_video(tmp_path / "turned.mp4", seconds=0.2, size=(96, 64))
    rotate(turned)
    told = film(inference, turned)
    assert looked_into(base64.b64decode(told["video_data"]), tmp_path)[2] == (64, 96)
    odd = make_video(tmp_path / "odd.mkv", seconds=0.2, size=(67, 49), codec="ffv1")
    told = film(inference, odd)
    assert (told["video_info"]["width"], told["video_info"]["height"]) == (67, 49)
    assert looked_into(base64.b64decode(told["video_data"]), tmp_path)[2] == (66, 48)


class Listener:
    """Who connects, and what they say first."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.said: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                self.said.append(client.recv(2000))


def test_files_that_are_no_videos_or_name_others(inference: Inference, tmp_path: Path) -> None:
    listener = Listener()
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/x.ts"
    whole = make_video(tmp_path / "x.mp4").read_bytes()
    files = {
        "list.mp4": f"#EXTM3U\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n".encode(),
        "concat.mp4": f"ffconcat version 1.0\nfile '{url}'\n".encode(),
        "passwd.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "half.mp4": whole[: len(whole) // 2],
        "noise.mp4": random.Random(1).randbytes(5000),
        "empty.mp4": b"",
        "picture.mp4": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    }
    for name, data in files.items():
        for path in ("/infer/video/model_a", "/infer/video/model_a/stream"):
            response = inference.post(path, {"file": (name, data)})
            assert response.status_code == 422 and f"'{name}'" in response.json()["detail"], (name, response.text[:300])
    listener.socket.close()
    assert not listener.said and not inference.drafts


def test_mutated_videos_do_no_harm(inference: Inference, tmp_path: Path) -> None:
    chance = random.Random(3)
    whole = make_video(tmp_path / "x.mp4", seconds=0.4).read_bytes()
    film(inference, tmp_path / "x.mp4")
    child = inference.child()
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert inference.post("/infer/video/model_a", {"file": ("x.mp4", bytes(data))}).status_code in (200, 422)
    assert inference.child() == child and not inference.drafts


def test_frames_are_streamed_as_they_are_made(inference: Inference, tmp_path: Path) -> None:
    source = make_video(tmp_path / "x.mp4", seconds=0.4)
    files = {"file": ("x.mp4", source.read_bytes())}
    url = "/api/v1/infer/video/model_a/stream"
    with inference.service.client.stream("POST", url, files=files, data={"conf": "0.1"}, timeout=60) as response:
        told = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    assert [one["type"] for one in told] == ["info", *["frame"] * 10, "complete"]
    assert base64.b64decode(told[1]["image_data"]).startswith(b"\xff\xd8\xff") and told[1]["detections"]


def test_a_client_that_leaves_stops_the_work(inference: Inference, tmp_path: Path) -> None:
    """Some thousand frames, of which a few are read; then of a film nothing is."""
    source = make_video(tmp_path / "long.mp4", seconds=120, fps=25).read_bytes()
    address = urlsplit(inference.service.url)
    film(inference, make_video(tmp_path / "x.mp4"))
    for path in ("/infer/video/model_a/stream", "/infer/video/model_a"):
        request = inference.service.client.build_request("POST", path, files={"file": ("long.mp4", source)})
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection((address.hostname, address.port), timeout=60) as client:
            client.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
            if path.endswith("stream"):
                assert b"200" in client.recv(20_000)
            else:
                wait_for(lambda: inference.drafts, 30, "the work to begin")
        inference.until_quiet()
    child = inference.child()
    assert child is not None
    busy = child.cpu_percent(0.5)
    wait_for(lambda: child.cpu_percent(0.3) < 20, 20, f"idleness after {busy} %")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no /usr/bin/chromium (Debian: apt-get install chromium)")
def test_a_browser_plays_the_result(inference: Inference, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    told = film(inference, make_video(tmp_path / "x.mp4", seconds=0.6, size=(160, 90)))
    page = tmp_path / "page.html"
    told_by = Listener()
    home = f"http://127.0.0.1:{told_by.socket.getsockname()[1]}/"
    page.write_text(
        f"""<video id=v muted src="{inference.service.url}{told["video_url"]}"></video><script>
        const v = document.getElementById("v"), tell = text => fetch("{home}" + text, {{mode: "no-cors"}});
        v.onerror = () => tell("error_" + v.error.code);
        v.onended = () => tell(`played_${{v.videoWidth}}x${{v.videoHeight}}_${{v.duration.toFixed(1)}}_`);
        v.play();
        </script>"""
    )
    argv = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--autoplay-policy=no-user-gesture-required",
        "--remote-debugging-port=0", page.as_uri(),
    ]  # fmt: skip
    with open(tmp_path / "chromium.log", "wb") as log:
        browser = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_for(lambda: told_by.said, 90, "the browser to play or refuse it")
    finally:
        browser.terminate()
        browser.wait(20)
        told_by.socket.close()
    assert b"GET /played_160x90_0.6_ " in told_by.said[0]
