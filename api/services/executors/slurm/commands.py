"""Slurm's commands, each with a timeout, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.models.cluster import Node
from api.services.executors.cluster import EngineError
from api.services.executors.slurm.nodes import parse_allocation, parse_nodes

SECONDS = 20.0  # a controller that is away is told of after 9 to 18
COMMENT = "trainyard:"
BATCH = Path(__file__).with_name("batch.sh")
#: what Slurm says when it may take the same job a little later
TRANSIENT = re.compile(
    r"unable to contact|socket timed out|connection refused|zero bytes|temporarily|in standby|not respond|"
    r"no route to host|communication connection failure|accounting/qos policy|"
    r"authentication|munge|job submission .* disabled|unexpected message|cannot connect",
    re.IGNORECASE,
)
#: names of the environment that its commands may need; nothing else of ours goes to a node by way of sbatch
PASSED = re.compile(r"PATH|HOME|USER|LOGNAME|TZ|SLURM_.*|SBATCH_.*|MUNGE_.*|SQUEUE_.*")


class SlurmError(EngineError):
    """A command that failed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job, as squeue shows it."""

    job: int
    state: str  # PENDING, RUNNING, COMPLETED, NODE_FAIL, ...
    nodes: str
    comment: str
    reason: str


class Slurm:
    """The command line. Every method may take up to `seconds`, and raises SlurmError."""

    def __init__(self, environ: Mapping[str, str], seconds: float = SECONDS) -> None:
        self._environ = {name: value for name, value in environ.items() if PASSED.fullmatch(name)}
        self._environ["LC_ALL"] = "C"
        self._seconds = seconds

    def submit(self, flags: Sequence[str], *arguments: str) -> int:
        """The job's number."""
        said = self._run("sbatch", "--parsable", *flags, str(BATCH), *arguments)
        number = said.strip().splitlines()[-1].partition(";")[0] if said.strip() else ""
        if not number.isdecimal():
            raise SlurmError(f"sbatch answered {said[:200]!r} instead of a job's number", transient=True)
        return int(number)

    def jobs(self) -> dict[int, Row]:
        """All jobs of this service's user that Slurm still knows, by number."""
        shown = self._run(
            "squeue", "--noheader", "--all", "--states=all", f"--user={os.geteuid()}", "--format=%i|%T|%N|%k|%r"
        )
        found: dict[int, Row] = {}
        for line in shown.splitlines():
            fields = line.split("|", 4)
            if len(fields) == 5 and fields[0].isdecimal() and fields[3].startswith(COMMENT):
                found[int(fields[0])] = Row(int(fields[0]), fields[1], fields[2], fields[3], fields[4])
        return found

    def cancel(self, job: int, *, tell: bool = False) -> None:
        """`tell`: only a SIGTERM to the job's first process, our keeper, which does the rest."""
        self._run("scancel", *(("--batch", "--signal=TERM") if tell else ()), str(job))

    def set_nice(self, job: int, nice: int) -> None:
        self._run("scontrol", "update", f"JobId={job}", f"Nice={nice}")

    def hold(self, job: int, held: bool) -> None:
        self._run("scontrol", "hold" if held else "release", str(job))

    def gpus_of(self, job: int) -> tuple[tuple[str, int], ...]:
        """Node and number of each GPU that a running job has."""
        return parse_allocation(self._run("scontrol", "--oneliner", "--details", "show", "job", str(job)))

    def nodes(self) -> tuple[Node, ...]:
        return parse_nodes(self._run("scontrol", "--oneliner", "--details", "show", "node"))

    def version(self) -> str:
        return self._run("sbatch", "--version").strip()

    def try_out(self, flags: Sequence[str], argv: Sequence[str]) -> str:
        """What a small program prints that is run on some node now, if there is room for it now."""
        return self._run("srun", "--immediate=15", "--ntasks=1", "--time=2", "--chdir=/", *flags, *argv)

    def _run(self, *argv: str) -> str:
        try:
            done = subprocess.run(
                argv,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SlurmError(f"{argv[0]} did not answer within {self._seconds:.0f} s", transient=True) from None
        except OSError as problem:
            raise SlurmError(f"{argv[0]} cannot be started: {problem.strerror}", transient=True) from None
        if done.returncode:
            said = _shortened(done.stderr.decode(errors="replace"), argv[0])
            raise SlurmError(said, transient=bool(TRANSIENT.search(said)))
        return done.stdout.decode(errors="replace")


def _shortened(said: str, command: str) -> str:
    """Its last lines, without the words before each."""
    lines = [re.sub(rf"^({command}|slurm_\w+): (error|fatal): ", "", line).strip() for line in said.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))[-500:] or f"{command} failed and said nothing"
