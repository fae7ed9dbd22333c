"""What the whole run shares."""

from __future__ import annotations

import pytest

from tests import postgres


def pytest_sessionfinish(session: pytest.Session) -> None:
    postgres.end()


def pytest_report_header() -> str:
    return f"database: {'PostgreSQL' if postgres.WANTED else 'SQLite'}"
