"""What is wrong with somebody's files: counted by kind, the first offenders by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MOST = 200  # issues that are told one by one
PER_KIND = 40  # so that one kind does not hide the others


class Unusable(Exception):
    """The dataset cannot be prepared; the text says why."""


@dataclass
class Findings:
    """`kinds` counts all issues, told or not; `dropped` counts what a conversion has no place for."""

    issues: list[dict[str, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, file: str, problem: str) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] <= PER_KIND and len(self.issues) < MOST:
            self.issues.append({"file": file[:500], "problem": problem[:500]})

    def told(self) -> dict[str, Any]:
        return {"issues": self.issues, "issue_counts": dict(sorted(self.kinds.items())), "dropped": dict(self.dropped)}
