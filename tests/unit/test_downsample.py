"""Thinning a curve must not change what it shows."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.utils.downsample import lttb

values = st.none() | st.floats(allow_nan=False, allow_infinity=False)
curves = st.lists(values, max_size=200).map(lambda ys: [(float(x), y) for x, y in enumerate(ys)])


@given(curves, st.integers(-1, 60))
def test_kept_points_are_some_of_them_in_order(points: list[tuple[float, float | None]], limit: int) -> None:
    kept = lttb(points, limit)
    assert len(kept) == min(len(points), max(limit, 0))
    assert kept == sorted(set(kept)) and set(kept) <= set(range(len(points)))
    if points and limit >= 1:
        assert kept[0] == 0
    if points and limit >= 2:
        assert kept[-1] == len(points) - 1


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), values), max_size=50), st.integers(0, 20))
def test_equal_x_do_not_matter(points: list[tuple[float, float | None]], limit: int) -> None:
    assert len(lttb(sorted(points, key=lambda point: point[0]), limit)) == min(len(points), limit)


@given(st.integers(0, 9999), st.floats(1e-3, 1e12), st.booleans(), st.integers(3, 1000))
def test_a_spike_stays(at: int, height: float, down: bool, limit: int) -> None:
    points = [(float(x), 0.5) for x in range(10_000)]
    points[at] = (float(at), 0.5 - height if down else 0.5 + height)
    assert at in lttb(points, limit)


@given(st.integers(1, 9998), st.integers(3, 1000))
def test_one_missing_value_is_no_gap(at: int, limit: int) -> None:
    points: list[tuple[float, float | None]] = [(float(x), 0.5) for x in range(10_000)]
    points[at] = (float(at), None)
    assert at not in lttb(points, limit)


def test_a_gap_stays_a_gap_and_what_is_beyond_it_is_seen() -> None:
    points: list[tuple[float, float | None]] = [(x, None if 300 <= x < 600 else 1.0) for x in range(1000)]
    points[650] = (650.0, 9.0)
    kept = lttb(points, 50)
    assert sum(points[index][1] is None for index in kept) >= 12
    assert 650 in kept


def test_only_missing_values() -> None:
    assert lttb([(x, None) for x in range(100)], 10)[::9] == [0, 99]


@pytest.mark.parametrize(("limit", "kept"), [(0, []), (-5, []), (1, [0]), (2, [0, 9])])
def test_small_limits(limit: int, kept: list[int]) -> None:
    assert lttb([(x, 1.0) for x in range(10)], limit) == kept


def test_infinite_and_huge_values() -> None:
    ys = [math.inf, 1e308, -1e308, -math.inf, 0.0] * 20
    assert len(lttb(list(enumerate(ys)), 10)) == 10


def test_ten_thousand_points_are_quick() -> None:
    points = [(float(x), math.sin(x / 100)) for x in range(10_000)]
    times = []
    for _ in range(5):
        before = time.process_time()
        lttb(points, 1000)
        times.append(time.process_time() - before)
    assert min(times) < 0.05  # 0.005 on a quiet machine
