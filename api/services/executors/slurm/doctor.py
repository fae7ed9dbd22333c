"""For `run.py doctor`: the commands, the controller, and what a node sees of the shared directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.services.executors.slurm.commands import Slurm, SlurmError
from api.utils import training_wrapper as keeper

COMMANDS = ("sbatch", "squeue", "scontrol", "scancel", "srun")
#: run on a node: reads the probe, finds the keeper, writes beside the probe
PROBE = (
    "import sys; open(sys.argv[2]); text = open(sys.argv[1]).read(); "
    "open(sys.argv[1] + '.node', 'w').write(text); print(text)"
)
Told = tuple[bool | None, str]


def findings(slurm: Slurm, flags: Sequence[str], python: str, shared: Sequence[Path]) -> Iterator[Told]:
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        yield False, f"Slurm's commands are not on the PATH: {', '.join(missing)}"
        return
    try:
        version, nodes = slurm.version(), slurm.nodes()
    except SlurmError as problem:
        yield False, f"Slurm does not answer: {problem}"
        return
    up = [node for node in nodes if node.up]
    yield bool(up), f"{version}: {len(up)} of {len(nodes)} nodes up, {sum(len(node.gpus) for node in up)} GPUs"
    for node in nodes:
        if not node.up:
            yield None, f"node {node.name} is {node.state}" + (f": {node.reason}" if node.reason else "")
    for directory in shared:
        yield _seen_by_a_node(slurm, flags, python, directory)


def _seen_by_a_node(slurm: Slurm, flags: Sequence[str], python: str, directory: Path) -> Told:
    try:
        with tempfile.TemporaryDirectory(prefix=".trainyard-", dir=directory) as folder:
            probe = Path(folder, "probe")
            probe.write_text(os.path.basename(folder))
            argv = [python, "-I", "-S", "-c", PROBE, str(probe), keeper.__file__]
            said = slurm.try_out(flags, argv).strip()
            seen = said == probe.read_text() and Path(f"{probe}.node").exists()
    except OSError as problem:
        return False, f"shared directory {directory} cannot be used here: {problem.strerror}"
    except SlurmError as problem:
        busy = "immediate" in str(problem).lower() or "busy" in str(problem).lower()
        what = "no node is free now to look at" if busy else "a node cannot use"
        return (None if busy else False), f"{what} the shared directory {directory}: {problem}"
    return seen, f"shared directory {directory} is " + (
        "read and written on a node" if seen else f"another one there: {said}"
    )
