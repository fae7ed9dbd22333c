"""The executors' suite over a real Ray, and what only Ray can show."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.models.job import Command, Resources
from api.services.executors.base import LaunchError, RunState, Terms
from api.services.executors.ray import Ray, RayExecutor
from api.services.executors.ray import executor as module
from api.services.executors.ray.submission import BEGAN
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable
from tests.contract import test_executors as suite
from tests.contract.test_executors import ENDED, ENV, ShellBench
from tests.ray.cluster import CPUS, GPUS, MEMORY, Cluster, until

#: what the suite asks of every executor, but that a trainer outlives its keeper: Ray ends what is left of a job
EVERY = (
    suite.test_nothing_is_known_of_what_was_never_launched,
    suite.test_equal_workspaces_have_equal_handles_and_others_have_others,
    suite.test_the_exit_code_is_the_real_one,
    suite.test_a_run_is_seen_to_run_and_uses_something,
    suite.test_output_is_appended_to_the_log_of_the_job,
    suite.test_a_launch_repeated_starts_once,
    suite.test_a_stop_is_graceful_and_may_be_repeated,
    suite.test_what_ignores_sigterm_is_killed_after_its_grace,
    suite.test_a_smaller_grace_shortens_and_a_larger_one_changes_nothing,
    suite.test_a_stop_before_the_start_prevents_it,
    suite.test_a_stop_after_the_end_changes_nothing,
    suite.test_a_trainer_that_cannot_be_started_has_ended_with_the_reason,
    suite.test_what_has_ended_can_be_forgotten_and_what_runs_cannot,
)
globals().update({test.__name__: test for test in EVERY})
pytestmark = pytest.mark.ray


class RayBench(ShellBench):
    def __init__(self, directory: Path, cluster: Cluster) -> None:
        super().__init__(directory)
        self.cluster = cluster
        self.executor: RayExecutor = self.another()

    def another(self) -> RayExecutor:
        """As of a service that starts again."""
        made = RayExecutor(self.cluster.client, linger=0.3, interval=0.1, patience=1.0)
        made.start()
        until(lambda: made.state().at or made.problem(), 20, "what Ray has")
        return made

    def restart(self) -> None:
        self.executor.close()
        self.executor = self.another()

    def runs(self, workspace: object = None) -> str:
        handle = super().runs(workspace)  # type: ignore[arg-type]
        self.until(lambda: Path(handle, keeper.USAGE).exists() or self.state(handle) in ENDED)
        return handle

    def name(self, handle: str) -> str:
        return str(self.record(handle, module.RAY)["name"])

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.executor.close()


@pytest.fixture
def bench(ray: Cluster, tmp_path: Path) -> Iterator[RayBench]:
    made = RayBench(tmp_path, ray)
    yield made
    made.close()
