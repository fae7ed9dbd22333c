"""Two services over one cluster: only the one that supervises asks it, and the other says that it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api import app as composition
from api.models.job import JobSpec
from api.services.container import Services
from api.services.fitting import ClusterFitting
from api.services.leadership import Leadership
from api.settings import load
from api.utils.errors import Unavailable
from tests.unit.test_leadership import Lock
from tests.unit.test_ray_executor import Dashboard, until

SILENCE = "this service stands by and does not ask Ray"


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    made = Dashboard()
    made.has_nodes(gpus=1)
    made.says("GET", "/api/jobs/", [])
    yield made
    made.close()


@pytest.fixture
def services(tmp_path: Path, dashboard: Dashboard) -> Iterator[Services]:
    """Of a service whose database's lock another has."""
    given = {
        "data_dir": str(tmp_path),
        "shared_dir": str(tmp_path),
        "executor": "ray",
        "ray_address": dashboard.address,
    }
    built = composition.build_services(load(given, {}), dict(os.environ))
    lock = Lock()
    lock.says = False
    made = replace(built, leadership=Leadership(tmp_path, lock))
    composition.start(made)
    yield made
    composition.stop(made)


def asking(services: Services, says: bool) -> None:
    """Another turn of the leadership, with another answer of the lock."""
    lock: Any = services.leadership._lock
    lock.says = says
    until(lambda: services.leadership.leads is says)


def test_only_the_leader_asks(services: Services, dashboard: Dashboard) -> None:
    assert services.cluster is not None and not dashboard.asked
    assert services.cluster.problem() == SILENCE
    assert services.gpus.monitor.snapshot().stale, "how many GPUs there are is not known, which is not none"
    with pytest.raises(Unavailable, match=SILENCE):
        ClusterFitting(services.cluster).check(JobSpec("script", "a job", {}))

    asking(services, True)
    until(lambda: services.gpus.known() == (0,))
    assert services.cluster.problem() is None

    asking(services, False)
    asked = len(dashboard.asked)
    assert services.cluster.problem() == SILENCE
    until(lambda: services.gpus.monitor.snapshot().stale)
    assert len(dashboard.asked) == asked
