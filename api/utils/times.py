"""Times as the documents write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=8192)  # a list that is looked at again and again shows the same moments
def iso(moment: float | None) -> str | None:
    """ISO 8601 UTC with Z, to the millisecond, of Unix seconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
