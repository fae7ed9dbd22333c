"""What going through the service adds to Ray: from a submission to the first line.

Ray is a real one on loopback; `make test-ray` installs it.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.report import Row, ratio_at_most
from benchmarks.service import interleaved, trainer, trainyard, workplace
from benchmarks.slurm import CHILD, anytime, first_line, ours
from tests.ray.cluster import Cluster

NUMBERS = itertools.count(1)


def bare(cluster: Cluster, script: Path) -> float:
    """Seconds from before the submission to the moment that the child's first line names."""
    name = f"bare-{next(NUMBERS)}"
    began = time.time()
    entrypoint = f"exec {os.path.realpath(sys.executable)} -u {script}"
    cluster.client.submit(name, {"entrypoint": entrypoint, "entrypoint_num_cpus": 1})
    return first_line(lambda: [x for x in cluster.client.output(name).splitlines() if x.startswith("first ")]) - began


def run(quick: bool) -> list[Row]:
    cluster = Cluster()
    try:
        cluster.start()
        with workplace() as home:
            data, script = home / "data", home / "trainer" / "train.py"
            env = {
                **trainer(script.parent, CHILD),
                "TRAINYARD_EXECUTOR": "ray",
                "TRAINYARD_SHARED_DIR": str(home),
                "TRAINYARD_RAY_ADDRESS": cluster.address,
                "TRAINYARD_RAY_TOKEN": cluster.token,
            }
            with trainyard(data, env=env) as service:
                client = service.client()
                clocks = {
                    "bare": lambda: anytime(lambda: bare(cluster, script)),
                    "ours": lambda: anytime(lambda: ours(client, data)),
                }
                found = interleaved(clocks, 3 if quick else 15)
    finally:
        cluster.close()
    mine, theirs = median(found["ours"]) * 1000, median(found["bare"]) * 1000
    return [Row("Ray: submit → first line, p50", mine, "ms", theirs, "Jobs API", mine / theirs, ratio_at_most(1.2))]
