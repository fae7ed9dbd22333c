"""The real inference process, killed, stopped and left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from api.settings import ROOT
from tests.acceptance.harness import wait_for
from tests.infer.conftest import PYTHON, Maker
from tests.infer.test_images import picture
from tests.unit.videos import make_video

pytestmark = [pytest.mark.infer, pytest.mark.timeout(300)]


def test_its_death_and_hanging_are_answered_with_503(make_inference: Maker, tmp_path: Path) -> None:
    inference = make_inference(TRAINYARD_INFER_SECONDS="25")
    assert inference.image(picture()).status_code == 200
    long = make_video(tmp_path / "long.mp4", seconds=60).read_bytes()
    for how in (signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP):
        child, answers = inference.child(), []
        assert child is not None

        def ask() -> None:
            answers.append(inference.post("/infer/video/model_a", {"file": ("x.mp4", long)}))  # noqa: B023

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(lambda: inference.drafts, 30, "the work to begin")
        child.send_signal(how)
        assert inference.service.client.get("/healthz").status_code == 200
        asking.join(60)
        assert [answer.status_code for answer in answers] == [503], how
        assert answers[0].headers["Retry-After"]
        wait_for(lambda: not child.is_running(), 10, "its end")  # noqa: B023
        assert inference.image(picture()).status_code == 200
    assert not inference.drafts


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_it_does_not_outlive_the_service(make_inference: Maker, how: str) -> None:
    inference = make_inference()
    assert inference.image(picture()).status_code == 200
    child = inference.child()
    assert child is not None
    if how == "kill":
        child.suspend()  # it cannot see that its socket closed: the kernel ends it
        inference.service.kill()
    else:
        assert inference.service.terminate() == 0
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_it_ends_when_nobody_asks(make_inference: Maker) -> None:
    inference = make_inference(TRAINYARD_INFER_IDLE="2")
    assert inference.image(picture()).status_code == 200
    wait_for(lambda: inference.child() is None, 30, "its end")
    assert inference.image(picture()).status_code == 200
    assert inference.service.client.get("/infer/results").json()["total"] == 2


def test_a_gpu_that_does_nothing_leaves_the_cpu(tmp_path: Path) -> None:
    """The driver names one, and it cannot be used."""
    code = (
        "import torch; torch.cuda.is_available = lambda: True;"
        "from api.children.yolo_infer.__main__ import usable_gpu; print(usable_gpu())"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "7"}
    done = subprocess.run([PYTHON, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.stdout.split() == ["False"] and "Traceback" in done.stderr


def test_a_crash_leaves_no_session_without_its_row(make_inference: Maker) -> None:
    inference = make_inference("inference.named")
    with pytest.raises(httpx.TransportError):
        inference.image(picture())
    assert inference.service.wait_dead() == -signal.SIGKILL
    results = inference.service.data / "inference_results"
    assert [path for path in results.iterdir() if path.name.startswith("session_")]
    inference.service.start()
    assert inference.service.client.get("/infer/results").json()["total"] == 0
    assert [path for path in results.iterdir() if path.name.startswith("session_")] == []
