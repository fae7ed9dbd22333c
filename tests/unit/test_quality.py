"""The contract's arithmetic of a document's quality."""

from __future__ import annotations

from typing import Any

import pytest

from api.models.ocr import LineCounts, Pace
from api.services.quality import Quality, Shortfalls, percent, roughly, status


def quality(lines: int = 1000, *, pace: Pace | None = None, short: Shortfalls | None = None, **less: int) -> Quality:
    """Complete, but for what is said to lack."""
    counts = LineCounts(
        documents=1,
        parts=10,
        images=10 - less.get("images", 0),
        lines=lines,
        with_baseline=lines - less.get("baselines", 0),
        with_polygon=lines - less.get("polygons", 0),
        with_text=lines - less.get("texts", 0),
    )
    return Quality(counts, short or Shortfalls(), pace)


def test_the_document_of_the_contract() -> None:
    found = Quality(LineCounts(1, 56, 56, 3979, 3979, 3979, 3979))
    assert found.checks()["transcriptions"] == {
        "total": 3979, "with_transcription": 3979, "coverage_percent": 100.0, "status": "excellent"
    }  # fmt: skip
    assert found.checks()["images"] == {"total": 56, "available": 56, "missing": 0, "status": "excellent"}
    assert found.readiness() == {
        "ready_for_segmentation": True, "ready_for_recognition": True, "warnings": [], "recommendations": []
    }  # fmt: skip
    estimate = found.estimate()
    assert (estimate["estimated_seconds"], estimate["estimated_human"]) == (8952, "~2h 29m")
    assert estimate["note"].startswith("Rough estimate, actual time may vary significantly")


@pytest.mark.parametrize(
    ("coverage", "word"),
    [(100, "excellent"), (95, "excellent"), (94.99, "good"), (80, "good"), (79.99, "fair"), (50, "fair"),
     (49.99, "poor"), (0, "poor")],
)  # fmt: skip
def test_the_scale(coverage: float, word: str) -> None:
    assert status(coverage) == word


@pytest.mark.parametrize(
    ("less", "segmentation", "recognition"),
    [
        ({}, True, True),
        ({"texts": 200}, True, True),
        ({"texts": 201}, True, False),
        ({"baselines": 201}, False, True),
        ({"polygons": 1000}, True, True),  # a warning, no more
        ({"images": 1}, False, False),
    ],
)
def test_readiness(less: dict[str, int], segmentation: bool, recognition: bool) -> None:
    found = quality(**less).readiness()
    assert (found["ready_for_segmentation"], found["ready_for_recognition"]) == (segmentation, recognition)
    assert bool(found["warnings"]) == bool(less)


def test_an_empty_document() -> None:
    found = Quality(LineCounts(1))
    checks = found.checks()
    assert {checks[name]["coverage_percent"] for name in ("transcriptions", "baselines", "polygons")} == {0.0}
    assert {checks[name]["status"] for name in ("transcriptions", "baselines")} == {"poor"}
    assert checks["images"] == {"total": 0, "available": 0, "missing": 0, "status": "excellent"}
    ready = found.readiness()
    assert not ready["ready_for_segmentation"] and not ready["ready_for_recognition"]
    assert ready["warnings"] and ready["recommendations"]
    assert found.estimate()["estimated_human"] == "~0m"
    assert percent(0, 0) == 0.0


def test_images_only_is_not_ready() -> None:
    found = quality(0).readiness()
    assert not found["ready_for_segmentation"] and found["warnings"] == ["The document has no lines"]


def test_images_go_by_the_same_scale_once_one_is_missing() -> None:
    def words(images: int) -> Any:
        return quality(images=images).checks()["images"]["status"]

    assert [words(n) for n in (0, 1, 3, 6)] == ["excellent", "good", "fair", "poor"]


def test_warnings_name_the_number_and_the_files() -> None:
    short = Shortfalls(["a.png"], ["b.png"], ["c.png"], ["d.png", "e.png"])
    found = quality(texts=300, baselines=250, polygons=1, images=2, short=short).readiness()
    assert found["warnings"] == [
        "300 of 1000 lines without a transcription, in: a.png",
        "250 of 1000 lines without a baseline, in: b.png",
        "1 of 1000 lines without a boundary polygon, which recognition needs, in: c.png",
        "2 of 10 images missing: d.png, e.png",
    ]
    assert found["recommendations"] == [
        "Transcribe 100 more lines to be ready for recognition, in: a.png",
        "Draw the baselines of 50 more lines to be ready for segmentation, in: b.png",
        "Draw the boundary polygons of 1 line, in: c.png",
        "Upload 2 missing images: d.png, e.png",
    ]


def test_coverage_has_one_decimal() -> None:
    assert quality(3, texts=1).checks()["transcriptions"]["coverage_percent"] == 66.7


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "~0m"), (59, "~0m"), (60, "~1m"), (479, "~7m"), (3599, "~59m"), (3600, "~1h 0m")]
)
def test_rough_times_round_minutes_down(seconds: int, text: str) -> None:
    assert roughly(seconds) == text


def test_the_estimate_says_what_it_is_from() -> None:
    found = quality(pace=Pace(3, 0.02)).estimate()
    assert found["estimated_seconds"] == 300 and "measured here in 3 trainings" in found["note"]
    assert (
        quality().estimate()["estimated_seconds"] == 2250 and "no training was measured" in quality().estimate()["note"]
    )
