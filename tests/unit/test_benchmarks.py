"""That `make bench` can say what it measured; never what that was."""

from __future__ import annotations

from importlib import import_module

import pytest

from benchmarks.report import Row, at_least, at_most, ratio_at_least, ratio_at_most, shown, table

NAMES = ("startup", "rates", "ingest", "child", "submit", "history", "jobs", "documents", "streams", "preprocessing")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").run)


def test_verdicts() -> None:
    goals = {
        at_most(2): "ok",
        at_most(1): "MISS",
        at_least(1): "ok",
        ratio_at_most(1): "ok",
        ratio_at_least(0.9): "MISS",
    }
    for goal, verdict in goals.items():
        assert Row("x", 1.5, "s", 3.0, "y", 0.5, goal).verdict == verdict
    assert Row("x", 1.5, "s", goal=ratio_at_most(1)).verdict == "MISS"  # nothing to compare with
    assert Row("x", 1.5, "s").verdict == ""


def test_the_table_is_aligned() -> None:
    text = table([Row("a", 1234.5, "/s", 2000.0, "hello", 0.617, ratio_at_least(0.5)), Row("bb", 0.5, "s")])
    assert text.splitlines()[2].split() == ["a", "1,234", "/s", "2,000", "/s", "x0.62", "≥", "x0.5", "ok", "hello"]
    assert [shown(number) for number in (0, 0.01234, 99.94, 1e6)] == ["0", "0.0123", "99.9", "1,000,000"]
