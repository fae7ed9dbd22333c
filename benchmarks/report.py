"""One measured figure, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure, or its ratio to the baseline, should be."""

    sense: str  # "<=" | ">="
    bound: float
    of: str  # "ratio" | "value"

    def met(self, value: float, ratio: float | None) -> bool:
        number = ratio if self.of == "ratio" else value
        if number is None:
            return False
        return number <= self.bound if self.sense == "<=" else number >= self.bound

    def text(self, unit: str) -> str:
        sign = "≤" if self.sense == "<=" else "≥"
        return f"{sign} x{self.bound:g}" if self.of == "ratio" else f"{sign} {shown(self.bound)} {unit}"


def ratio_at_most(bound: float) -> Goal:
    return Goal("<=", bound, "ratio")


def ratio_at_least(bound: float) -> Goal:
    return Goal(">=", bound, "ratio")


def at_most(bound: float) -> Goal:
    return Goal("<=", bound, "value")


def at_least(bound: float) -> Goal:
    return Goal(">=", bound, "value")


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio`: measured to baseline, as the benchmark says (the median over rounds, or of the two bests)."""

    what: str
    measured: float
    unit: str
    baseline: float | None = None
    against: str = ""  # what the baseline is
    ratio: float | None = None
    goal: Goal | None = None

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "ok" if self.goal.met(self.measured, self.ratio) else "MISS"

    def cells(self) -> tuple[str, ...]:
        baseline = "" if self.baseline is None else f"{shown(self.baseline)} {self.unit}"
        return (
            self.what,
            f"{shown(self.measured)} {self.unit}",
            baseline,
            "" if self.ratio is None else f"x{self.ratio:.2f}",
            "" if self.goal is None else self.goal.text(self.unit),
            self.verdict,
            self.against,
        )

    def as_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "measured": self.measured,
            "unit": self.unit,
            "baseline": self.baseline,
            "against": self.against,
            "ratio": self.ratio,
            "target": None if self.goal is None else self.goal.text(self.unit),
            "verdict": self.verdict,
        }


HEADINGS = ("what", "measured", "baseline", "ratio", "target", "", "the baseline is")


def shown(number: float) -> str:
    """Three figures, and thousands apart."""
    if number and abs(number) < 100:
        return f"{number:.3g}"
    return f"{number:,.0f}"


def table(rows: Sequence[Row]) -> str:
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
    right = (1, 2, 3)
    lines = [
        "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
