"""A real Slurm of two nodes on loopback: its own munge, its own directories, ended by the pids that it left there."""

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

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
CONFIG = """
ClusterName=trainyard-test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={home}/run/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool.%n
SlurmctldPidFile={home}/run/slurmctld.pid
SlurmdPidFile={home}/run/%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=900
PriorityType=priority/basic
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=1
KillWait=2
SlurmdTimeout=300
InactiveLimit=0
MinJobAge=300
GresTypes=gpu
NodeName=n1 NodeAddr=127.0.0.1 NodeHostname=localhost Port={n1} CPUs=2 RealMemory=2000 Gres=gpu:toy:2 State=UNKNOWN
NodeName=n2 NodeAddr=127.0.0.1 NodeHostname=localhost Port={n2} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=brief Nodes=n2 MaxTime=1 State=UP
"""
GRES = "NodeName=n1 Name=gpu Type=toy File={home}/gpu[0-1]\n"


class NoSlurm(RuntimeError):
    """This machine cannot have one; the message says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


class Cluster:
    """Started by `start`; `environ` is what its commands need."""

    def __init__(self) -> None:
        missing = [name for name in DAEMONS if shutil.which(name) is None]
        if missing:
            raise NoSlurm(f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)")
        if os.geteuid() != 0:
            raise NoSlurm("a Slurm of its own wants to be started as root")
        self.home = Path(tempfile.mkdtemp(prefix="trainyard-slurm-"))
        self.home.chmod(0o755)
        for name in ("run", "state", "spool.n1", "spool.n2", "shared"):
            (self.home / name).mkdir(mode=0o755)
        self.environ = {**os.environ, "SLURM_CONF": str(self.home / "slurm.conf")}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.controller: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._munge()
        self._devices()
        ports = {"controller": free_port(), "n1": free_port(), "n2": free_port()}
        (self.home / "slurm.conf").write_text(CONFIG.format(home=self.home, user="root", **ports))
        (self.home / "gres.conf").write_text(GRES.format(home=self.home))
        self.start_controller()
        for name in ("n1", "n2"):
            self.start_node(name)
        until(lambda: self.run("sinfo", "-h", "-o", "%T").split() == ["idle"] * 1 or self.idle(), 30, "nodes idle")

    def idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-o", "%N %T").split()
        return states.count("idle") >= 2 and not {"down", "unk*"} & set(states)

    def _munge(self) -> None:
        key = self.home / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        run = self.home / "run"
        daemon = self._spawn(
            "munged", "--foreground", "--force", f"--socket={run}/munge.socket", f"--key-file={key}",
            f"--pid-file={run}/munged.pid", f"--log-file={self.home}/munged.log", f"--seed-file={self.home}/seed",
            "--num-threads=2",
        )  # fmt: skip
        until(lambda: (run / "munge.socket").exists() or daemon.poll() is not None, 10, "munged")
        if daemon.poll() is not None:
            raise NoSlurm(f"munged ended: {(self.home / 'munged.log').read_text()[-500:]}")

    def _devices(self) -> None:
        """Slurm wants a character device for each GPU; these are like /dev/null."""
        for index in (0, 1):
            try:
                os.mknod(self.home / f"gpu{index}", 0o20666, os.makedev(1, 3))
            except PermissionError:
                raise NoSlurm("no device can be made here (mknod)") from None

    def start_controller(self) -> None:
        self.controller = self._spawn("slurmctld", "-D")
        until(lambda: self.run("scontrol", "ping", check=False).find("UP") > 0, 20, "slurmctld")

    def start_node(self, name: str) -> None:
        self.nodes[name] = self._spawn("slurmd", "-D", "-N", name)

    def _spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        with open(self.home / f"{argv[0]}.out", "ab") as out:
            made = subprocess.Popen(argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.processes.append(made)
        return made

    def run(self, *argv: str, check: bool = True) -> str:
        done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=30, check=False)
        if check and done.returncode:
            raise AssertionError(f"{argv}: {done.stderr}")
        return done.stdout

    def close(self) -> None:
        """Jobs first, then the daemons that this object started and their step daemons, by pid."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("scancel", "--user=root", check=False)
            until(lambda: not self.run("squeue", "-h", check=False).strip(), 10, "jobs to go")
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self._end_steps()
        shutil.rmtree(self.home, ignore_errors=True)

    def _end_steps(self) -> None:
        """slurmstepd outlives its slurmd; ours are known by the configuration in their environment."""
        mark = f"SLURM_CONF={self.home}/slurm.conf".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if (
                    mark in (entry / "environ").read_bytes().split(b"\0")
                    and b"slurm" in (entry / "cmdline").read_bytes()
                ):
                    os.kill(int(entry.name), signal.SIGKILL)
