"""Files that are there whole or not at all, also through a power cut."""

from __future__ import annotations

from pathlib import Path

from api.children.common.whole import settle


def draft_of(path: Path) -> Path:
    return Path(path.with_name(f".{path.name}.part"))


class WholePath(type(Path())):  # type: ignore[misc]  # the class of this platform's paths
    """A path whose bytes are written aside: ultralytics writes its checkpoints straight over the old ones."""

    def write_bytes(self, data: bytes) -> int:
        draft = draft_of(self)
        written = draft.write_bytes(data)
        settle(draft, Path(self))
        return written
