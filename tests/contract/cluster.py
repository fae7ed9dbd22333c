"""What the suites of the executors that run jobs on a cluster share."""

from __future__ import annotations

from api.models.workspace import Workspace
from api.services.executors.base import ClusterExecutor
from tests.contract import test_executors as suite
from tests.contract.test_executors import ENDED, ShellBench

#: what the suite asks of every executor, but that a trainer outlives its keeper: a cluster ends what is left of a job
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


class ClusterBench(ShellBench):
    executor: ClusterExecutor
    patience = 60.0  # an engine's own processes want their share of a busy machine

    def another(self) -> ClusterExecutor:
        """As of a service that starts again."""
        raise NotImplementedError

    def restart(self) -> None:
        self.until(self.executor.close)
        self.executor = self.another()

    def runs(self, workspace: Workspace | None = None) -> str:
        handle = super().runs(workspace)
        self.until(lambda: self.executor.usage(handle) or self.state(handle) in ENDED)
        return handle

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.until(self.executor.close)
