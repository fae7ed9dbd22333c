"""A real Ray on loopback, in a process namespace of its own: its end is the end of all that it started."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.services.executors.ray import Ray
from api.services.executors.ray.client import RayError

REPO = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("TRAINYARD_TEST_RAY", REPO / ".venv-ray" / "bin" / "ray"))
HOST = "127.0.0.2"  # Ray replaces 127.0.0.1 by an address that others can reach
CPUS, GPUS, MEMORY = 2, 2, 2_000_000_000


class NoRay(RuntimeError):
    """This machine cannot have one; the message says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


class Cluster:
    """Of one node, and others that `join`. `start` and `kill` may follow each other."""

    def __init__(self) -> None:
        if not PROGRAM.exists():
            raise NoRay(f"{PROGRAM} is not there (make test-ray installs it)")
        if (
            not (shutil.which("unshare") and shutil.which("setpriv"))
            or subprocess.run(self._apart("true"), check=False).returncode
        ):
            raise NoRay("it wants process namespaces of its own (setpriv and unshare of util-linux)")
        self.home = Path(tempfile.mkdtemp(prefix="ty-ray-", dir="/tmp"))  # short: sockets lie in it
        self.token = secrets.token_hex(16)
        self.gcs, self.dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.dashboard}"
        self.client = Ray(self.address, self.token)
        self.process: subprocess.Popen[bytes] | None = None
        self.others: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def _apart(*argv: str) -> list[str]:
        """Dies with whoever starts it, and all that it starts dies with it."""
        return ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *argv]

    def start(self, tries: int = 3) -> None:
        """Ray gives a start up after 30 s, which a busy machine can take."""
        self.process = self._spawn(
            "--head", f"--node-ip-address={HOST}", f"--port={self.gcs}", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard}", f"--ray-client-server-port={free_port()}", f"--num-cpus={CPUS}",
            f"--num-gpus={GPUS}", f"--temp-dir={self.home}",
        )  # fmt: skip
        try:
            until(self._ready, 90, "Ray to answer")
        except NoRay:
            self.kill()
            if tries == 1:
                raise
            self.start(tries - 1)

    def join(self, host: str, cpus: int) -> subprocess.Popen[bytes]:
        """A second node. It ends with the process that is given back, and with this object."""
        made = self._spawn(f"--address={HOST}:{self.gcs}", f"--node-ip-address={host}", f"--num-cpus={cpus}")
        self.others.append(made)
        until(
            lambda: any(node["node_ip"] == host and node["state"] == "ALIVE" for node in self.client.nodes()), 60, host
        )
        return made

    def _spawn(self, *flags: str) -> subprocess.Popen[bytes]:
        argv = [
            str(PROGRAM), "start", "--block", f"--dashboard-agent-listen-port={free_port()}", "--min-worker-port=0",
            "--max-worker-port=0", f"--memory={MEMORY}", "--object-store-memory=78643200", "--disable-usage-stats",
        ]  # fmt: skip
        given = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TRAINYARD_"))}
        given |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}
        given["AUTOSCALER_UPDATE_INTERVAL_S"] = "1"  # between two reports of what is used
        given |= {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
        with open(self.home / "ray.out", "ab") as out:
            return subprocess.Popen(
                self._apart(*argv, *flags), env=given, cwd=self.home, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise NoRay(f"ray start ended: {(self.home / 'ray.out').read_text()[-800:]}")
        try:
            usage = self.client.status().get("loadMetricsReport") or {}
            return bool(usage.get("usageByNode")) and bool(self.client.nodes())
        except RayError:
            return False

    def kill(self) -> None:
        """The head and its node at once."""
        if self.process is not None:
            self.end(self.process)
            self.process = None

    @staticmethod
    def end(node: subprocess.Popen[bytes]) -> None:
        """With all that it started: it is the parent of a process namespace."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait(10)

    def close(self) -> None:
        for node in self.others:
            self.end(node)
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def raw(self, name: str) -> dict[str, Any]:
        """A job as Ray tells of it."""
        found = self.client._json("GET", f"/api/jobs/{name}")
        return dict(found)
