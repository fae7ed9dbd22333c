"""Where jobs run, as the setting `executor` says."""

from __future__ import annotations

from api.services.executors.base import Executor
from api.services.executors.local import LocalExecutor
from api.settings import Settings


def build_executor(settings: Settings) -> Executor:
    """One case an executor; nothing else knows which is in use."""
    return LocalExecutor()
