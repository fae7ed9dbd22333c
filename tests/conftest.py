"""What the whole run shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests import postgres

settings.register_profile("unhurried", deadline=None)  # no test waits for the clock, and none is judged by it
settings.load_profile("unhurried")


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the last fixture, also where the run was interrupted."""
    postgres.end()


def pytest_report_header() -> str:
    return f"database: {'PostgreSQL' if postgres.WANTED else 'SQLite'}"
