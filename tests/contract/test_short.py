"""Children that a request waits for: what they say, how they end, and that none outlives its time or its service."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from api.services.executors.short import LONGEST_ERROR, ShortExecutor

SCRIPTS = {
    "echo": "import sys; open('got', 'wb').write(sys.stdin.buffer.read())",
    "says": "import sys; print('on stdout'); sys.exit('it is broken')",
    "loud": "import sys; sys.stderr.write('x' * 100_000 + 'the end'); sys.exit(1)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "sleeps": "import subprocess, time; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid)); time.sleep(60)",
    "env": "import json, os; json.dump(dict(os.environ), open('env', 'w'))",
    "deaf": "pass",
}


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShortExecutor:
    for name, text in SCRIPTS.items():
        (tmp_path / f"toy_{name}.py").write_text(text)
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("LD_PRELOAD_X", "x")
    return ShortExecutor(tmp_path)


def test_what_it_is_given(short: ShortExecutor, tmp_path: Path) -> None:
    assert short.run("toy_echo", b"a\0b", cwd=tmp_path, seconds=20).code == 0
    assert (tmp_path / "got").read_bytes() == b"a\0b"
    assert short.run("toy_deaf", b"x" * 1_000_000, cwd=tmp_path, seconds=20).code == 0


def test_how_it_ends(short: ShortExecutor, tmp_path: Path) -> None:
    said = short.run("toy_says", b"", cwd=tmp_path, seconds=20)
    assert (said.code, said.error, said.timed_out) == (1, "it is broken", False)
    assert short.run("toy_killed", b"", cwd=tmp_path, seconds=20).code == -signal.SIGKILL
    assert short.run("toy_nothing", b"", cwd=tmp_path, seconds=20).code == 1
    loud = short.run("toy_loud", b"", cwd=tmp_path, seconds=20).error
    assert len(loud) <= LONGEST_ERROR and loud.endswith("the end")


def test_its_environment_is_made_from_nothing(short: ShortExecutor, tmp_path: Path) -> None:
    """A15."""
    short.run("toy_env", b"", cwd=tmp_path, seconds=20)
    text = (tmp_path / "env").read_text()
    assert "SECRET_TOKEN" not in text and "LD_PRELOAD_X" not in text and str(tmp_path) in text


def gone(tmp_path: Path) -> bool:
    pid = int((tmp_path / "pid").read_text())
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait(look: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not look():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_its_time_is_limited(short: ShortExecutor, tmp_path: Path) -> None:
    ended = short.run("toy_sleeps", b"", cwd=tmp_path, seconds=2)
    assert ended.timed_out and ended.code == -signal.SIGKILL
    wait(lambda: gone(tmp_path))


def test_closing_ends_it(short: ShortExecutor, tmp_path: Path) -> None:
    thread = threading.Thread(target=lambda: short.run("toy_sleeps", b"", cwd=tmp_path, seconds=60))
    thread.start()
    wait(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    short.close()
    thread.join(10)
    assert not thread.is_alive()
    wait(lambda: gone(tmp_path))
    assert short.run("toy_deaf", b"", cwd=tmp_path, seconds=20).code == -signal.SIGKILL
