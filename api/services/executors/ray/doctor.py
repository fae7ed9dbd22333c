"""For `run.py doctor`: Ray's address and token, its nodes, and what a node sees of the shared directory."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.services.executors.ray import nodes
from api.services.executors.ray.client import Ray, RayError
from api.services.executors.ray.tracks import LIVE
from api.utils import training_wrapper as keeper

SECONDS = 30.0  # for a node to look at the shared directory
#: run on a node: reads the probe, finds the keeper, writes beside the probe
PROBE = (
    "import sys; open(sys.argv[2]).close(); text = open(sys.argv[1]).read(); "
    "open(sys.argv[1] + '.node', 'w').write(text)"
)
Told = tuple[bool | None, str]


def findings(ray: Ray, python: str, shared: Sequence[Path]) -> Iterator[Told]:
    try:
        version = ray.version()
        machines = nodes.parse(ray.nodes(), ray.status(), time.time())
    except RayError as problem:
        yield False, f"Ray does not answer: {problem}"
        return
    up = [machine for machine in machines if machine.up]
    gpus = sum(int(machine.total[1]) for machine in up)
    yield bool(up), f"Ray {version} at {ray.address}: {len(up)} of {len(machines)} nodes up, {gpus} GPUs"
    for machine in machines:
        if not machine.up:
            yield None, f"node {machine.name} is {machine.state}" + (f": {machine.reason}" if machine.reason else "")
    for directory in shared:
        yield _seen_by_a_node(ray, python, directory)


def _seen_by_a_node(ray: Ray, python: str, directory: Path) -> Told:
    try:
        with tempfile.TemporaryDirectory(prefix=".trainyard-", dir=directory) as folder:
            probe = Path(folder, "probe")
            probe.write_text(os.path.basename(folder))
            argv = [python, "-I", "-S", "-c", PROBE, str(probe), keeper.__file__]
            said = _run(ray, f"trainyard-doctor{os.path.basename(folder)}", shlex.join(argv))
            seen = Path(f"{probe}.node").exists()
    except OSError as problem:
        return False, f"shared directory {directory} cannot be used here: {problem.strerror}"
    except TimeoutError as problem:
        return None, f"{problem} to look at the shared directory {directory}"
    except RayError as problem:
        return False, f"a node cannot look at the shared directory {directory}: {problem}"
    if seen:
        return True, f"shared directory {directory} is read and written on a node"
    return False, f"a node cannot use the shared directory {directory}: {said}"


def _run(ray: Ray, name: str, entrypoint: str) -> str:
    """What it printed last."""
    ray.submit(name, {"entrypoint": f"exec {entrypoint}", "entrypoint_num_cpus": 1})
    end = time.monotonic() + SECONDS
    while (row := ray.job(name)) is not None and row.status in LIVE:
        if time.monotonic() > end:
            ray.stop(name)
            raise TimeoutError("no node is free now")
        time.sleep(0.3)
    lines = ray.output(name).strip().splitlines()
    ray.delete(name)
    return lines[-1][:300] if lines else "it printed nothing"
