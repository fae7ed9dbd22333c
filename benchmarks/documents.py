"""Documents: what the quality report of a large one costs, and how fast one is imported."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from api.models.ocr import Direction, Document
from api.services.store import documents as store
from api.services.store.database import Database
from api.utils.pagexml import TextLine, XmlPage, write_page
from benchmarks.fill import database
from benchmarks.report import Row, ratio_at_most
from benchmarks.service import Client, interleaved, ratio, trainyard, until, workplace

SMALL, LARGE, A_PAGE = 1_000, 100_000, 70  # lines
LINE = TextLine("l", ((10, 50), (300, 50)), ((8, 20), (302, 20), (302, 60), (8, 60)), "in the beginning")


def run(quick: bool) -> list[Row]:
    imported = 7_000 if quick else 70_000
    with workplace() as home:
        data = home / "data"
        with database(data) as db:
            ids = {size: _filled(db, size) for size in (SMALL, LARGE)}
            empty = _filled(db, 0)
        scans = _scans(data / "workspace" / "scans", imported)
        with trainyard(data, "--auth", "off") as service:
            client = service.client()
            urls = {str(size): f"/api/documents/{made}/data-quality/" for size, made in ids.items()}
            clocks = {size: (lambda u=url: client.seconds(u)) for size, url in urls.items()}
            interleaved(clocks, 2)
            found = interleaved(clocks, 10 if quick else 50)
            large, small = found[str(LARGE)], found[str(SMALL)]
            what = f"data quality of {LARGE:,} lines"
            report = Row(
                what,
                median(large) * 1000,
                "ms",
                median(small) * 1000,
                "1,000 lines",
                ratio(large, small),
                ratio_at_most(3),
            )
            seconds = _import(client, empty, scans)
    return [report, Row(f"lines imported a second, of {imported:,}", imported / seconds, "/s")]


def _filled(db: Database, lines: int) -> int:
    now = time.time()
    flat = [LINE.flat()] * A_PAGE
    with db.write() as connection:
        made = store.add(connection, Document(0, 1, None, f"{lines} lines", None, None, Direction.LTR, now, now)).id
        for number in range(-(-lines // A_PAGE)):
            part = store.NewPart(f"{number}.png", "documents/x.png", 600, 800, f"{number}.xml", flat)
            store.put_part(connection, made, part)
    return made


def _scans(root: Path, lines: int) -> Path:
    root.mkdir(parents=True)
    for number in range(lines // A_PAGE):
        page = XmlPage(f"{number}.png", 600, 800, (LINE,) * A_PAGE)
        (root / f"{number}.xml").write_bytes(write_page(page, "2026-11-21T12:00:00Z"))
    return root


def _import(client: Client, document: int, scans: Path) -> float:
    """Seconds from the request until every line is in the tables."""
    began = time.perf_counter()
    answer = client.data("POST", f"/api/v1/ocr/documents/{document}/import", {"path": str(scans)})
    task = answer["task"]["task_id"]
    until(lambda: client.data("GET", f"/api/v1/ocr/imports/{task}")["status"] == "completed", 300)
    return time.perf_counter() - began
