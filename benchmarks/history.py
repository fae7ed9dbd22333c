"""A metric's history: the answer must cost the same however long the line is."""

from __future__ import annotations

from statistics import median

from benchmarks.fill import add_jobs, add_points, database
from benchmarks.report import Goal, Row, ratio_at_most
from benchmarks.service import interleaved, ratio, trainyard, workplace

SMALL = 1000


def run(quick: bool) -> list[Row]:
    sizes = (SMALL, 10_000, 100_000 if quick else 1_000_000)
    with workplace() as home:
        data = home / "data"
        with database(data) as db:
            ids = dict(zip(sizes, add_jobs(db, len(sizes)), strict=True))
            for size, job in ids.items():
                add_points(db, job, size)
        with trainyard(data) as service:
            client = service.client()
            base = {size: f"/api/v1/training/{job}/metrics?metric=loss" for size, job in ids.items()}
            asks = {
                "limit=100": "&limit=100",
                "limit=1000": "&limit=1000",
                "limit=10000": "&limit=10000",
                "limit=1000 CSV": "&limit=1000&format=csv",
                "limit=1000 newest": "&limit=1000&window=last",
                "by epoch, limit=100": "&type=epoch&limit=100",
                "since the middle, limit=100": "&limit=100&since_step=MIDDLE",
            }
            rows: list[Row] = []
            for name, query in asks.items():
                urls = {size: base[size] + query.replace("MIDDLE", str(size // 2)) for size in sizes}
                rows += _rows(name, {size: (lambda u=url: client.seconds(u)) for size, url in urls.items()}, quick)
            detail = {size: f"/api/v1/training/{job}" for size, job in ids.items()}
            rows += _rows(
                "job detail", {size: (lambda u=url: client.seconds(u)) for size, url in detail.items()}, quick
            )
    return rows


def _rows(name: str, clocks: dict, quick: bool) -> list[Row]:
    """The first size is the baseline of the others."""
    interleaved(clocks, 1)
    found = interleaved(clocks, 5 if quick else 25)
    base = found[SMALL]
    rows = []
    for size in list(clocks)[1:]:
        goal: Goal | None = ratio_at_most(3)
        if "10000" in name:
            goal = None  # ten times the rows of what it is compared with
        rows.append(
            Row(
                f"metrics of {size:,} points, {name}" if name != "job detail" else f"{name} with {size:,} points",
                median(found[size]) * 1000,
                "ms",
                median(base) * 1000,
                "1,000 points",
                ratio(found[size], base),
                goal,
            )
        )
    return rows
