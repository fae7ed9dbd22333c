"""What Home costs with 1,000 jobs and 8 GPUs. The time is printed (`-s`); only its order is held here, on any machine."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from api.models.job import JobStatus
from benchmarks.fill import add_jobs, database
from tests.console.conftest import Visitor, gpu_service

MOST_BYTES = 300_000
MOST_SECONDS = 5.0


def test_home_with_a_thousand_jobs(tmp_path: Path, visit: Visitor) -> None:
    service = gpu_service(tmp_path)
    with database(service.data) as db:
        add_jobs(db, 1000, status=JobStatus.COMPLETED)
    try:
        here = visit(service.start().url)
        page = here.go()
        expect(page.get_by_role("article", name="GPU 7")).to_be_visible()
        seconds = page.evaluate("performance.now()") / 1000
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        sizes = "performance.getEntriesByType('resource').map(e => e.transferSize).reduce((a, b) => a + b, 0)"
        print(f"first paint {paint:.2f} s, GPUs shown after {seconds:.2f} s, {here.received} bytes")
        assert here.received < MOST_BYTES and page.evaluate(sizes) < MOST_BYTES
        assert paint < MOST_SECONDS
        page.close()
    finally:
        service.close()
