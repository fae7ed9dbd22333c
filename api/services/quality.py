"""The data-quality report of a document (contract 5): arithmetic on counts, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.models.ocr import LineCounts, Pace

SECONDS_PER_LINE = 0.15  # of an epoch, where no training was measured here
EPOCHS = 15
NAMED = 10  # files that a warning names
READY = 80.0  # percent


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """Names of the files concerned, the first few."""

    without_text: Sequence[str] = ()
    without_baseline: Sequence[str] = ()
    without_polygon: Sequence[str] = ()
    without_image: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Quality:
    counts: LineCounts
    short: Shortfalls = field(default_factory=Shortfalls)
    pace: Pace | None = None

    def checks(self) -> dict[str, Any]:
        counts, missing = self.counts, self.missing
        return {
            "transcriptions": _check(counts.lines, "with_transcription", counts.with_text),
            "baselines": _check(counts.lines, "with_baseline", counts.with_baseline),
            "polygons": _check(counts.lines, "with_polygon", counts.with_polygon),
            "images": {
                "total": counts.parts,
                "available": counts.images,
                "missing": missing,
                "status": status(percent(counts.images, counts.parts)) if missing else "excellent",
            },
        }

    @property
    def missing(self) -> int:
        return self.counts.parts - self.counts.images

    def readiness(self) -> dict[str, Any]:
        counts = self.counts
        complete = counts.lines > 0 and not self.missing
        return {
            "ready_for_segmentation": complete and percent(counts.with_baseline, counts.lines) >= READY,
            "ready_for_recognition": complete and percent(counts.with_text, counts.lines) >= READY,
            "warnings": self._warnings(),
            "recommendations": self._recommendations(),
        }

    def _warnings(self) -> list[str]:
        counts, short, lines = self.counts, self.short, self.counts.lines
        if not lines and not counts.parts:
            return ["The document has no lines"]
        found = [] if lines else ["The document has no lines"]
        for what, number, names in (
            ("transcription", lines - counts.with_text, short.without_text),
            ("baseline", lines - counts.with_baseline, short.without_baseline),
            ("boundary polygon, which recognition needs", lines - counts.with_polygon, short.without_polygon),
        ):
            if number:
                found.append(f"{number} of {_lines(lines)} without a {what}, in: {_named(names)}")
        if self.missing:
            found.append(f"{self.missing} of {counts.parts} images missing: {_named(short.without_image)}")
        return found

    def _recommendations(self) -> list[str]:
        counts, lines = self.counts, self.counts.lines
        if not lines:
            return ["Import ALTO or PAGE XML with its images"]
        found = []
        for verb, number, use, names in (
            ("Transcribe", counts.with_text, "recognition", self.short.without_text),
            ("Draw the baselines of", counts.with_baseline, "segmentation", self.short.without_baseline),
        ):
            if percent(number, lines) < READY:
                more = -(-lines * 4 // 5) - number
                found.append(f"{verb} {more} more {_word(more)} to be ready for {use}, in: {_named(names)}")
        if counts.with_polygon < lines:
            short = lines - counts.with_polygon
            found.append(
                f"Draw the boundary polygons of {short} {_word(short)}, in: {_named(self.short.without_polygon)}"
            )
        if self.missing:
            noun = "image" if self.missing == 1 else "images"
            found.append(f"Upload {self.missing} missing {noun}: {_named(self.short.without_image)}")
        return found

    def estimate(self) -> dict[str, Any]:
        per_line = self.pace.seconds_per_line if self.pace is not None else SECONDS_PER_LINE
        seconds = int(round(self.counts.lines * EPOCHS * per_line, 3))
        if self.pace is None:
            basis = f"{SECONDS_PER_LINE} s a line and epoch, {EPOCHS} epochs; no training was measured here yet"
        else:
            noun = "training" if self.pace.trainings == 1 else "trainings"
            basis = f"{per_line:.3g} s a line and epoch, {EPOCHS} epochs; measured here in {self.pace.trainings} {noun}"
        return {
            "estimated_seconds": seconds,
            "estimated_human": roughly(seconds),
            "note": f"Rough estimate, actual time may vary significantly ({basis})",
        }


def percent(part: int, whole: int) -> float:
    """0 of nothing."""
    return 100.0 * part / whole if whole else 0.0


def status(coverage: float) -> str:
    return next((word for least, word in ((95, "excellent"), (80, "good"), (50, "fair")) if coverage >= least), "poor")


def roughly(seconds: int) -> str:
    """`~2h 29m`, `~7m`: minutes rounded down."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"~{hours}h {minutes}m" if hours else f"~{minutes}m"


def _check(total: int, name: str, number: int) -> Mapping[str, Any]:
    coverage = percent(number, total)
    return {"total": total, name: number, "coverage_percent": round(coverage, 1), "status": status(coverage)}


def _word(number: int) -> str:
    return "line" if number == 1 else "lines"


def _lines(number: int) -> str:
    return f"{number} {_word(number)}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names)
