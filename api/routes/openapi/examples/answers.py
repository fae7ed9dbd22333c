"""What examples are made of."""

from __future__ import annotations

from typing import Any

#: by method and path: a `request`, a content type of one, and by status what is answered
Examples = dict[tuple[str, str], dict[str, Any]]
WHEN = 1795259583


def enveloped(data: Any, message: str = "success", code: int = 200) -> dict[str, Any]:
    return {"code": code, "message": message, "data": data, "timestamp": WHEN}


def mirrored(bare: Examples) -> Examples:
    """Examples of the YOLO platform's bare paths, and the same in envelopes for their twins."""
    twins = {
        (method, f"/api/v1{path}"): {
            place: enveloped(example, code=int(place)) if place.isdigit() else example
            for place, example in examples.items()
        }
        for (method, path), examples in bare.items()
    }
    return {**bare, **twins}
