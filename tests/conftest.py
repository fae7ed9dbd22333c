"""What the whole run shares."""

from __future__ import annotations

import pytest

from tests import postgres


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the last fixture, also where the run was interrupted."""
    postgres.end()


def pytest_report_header() -> str:
    return f"database: {'PostgreSQL' if postgres.WANTED else 'SQLite'}"
