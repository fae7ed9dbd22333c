"""Where inference sessions lie: `<data>/inference_results/<session>/`, each whole or not there.

`uploads/` has the images as they were sent, `images/` those with boxes drawn, beside `results.csv`, `metadata.json`
and `video.mp4`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from api.models.inference import Detection, SentFile
from api.utils import drafts
from api.utils.disks import sync_directory, sync_file_system
from api.utils.downloads import open_beneath
from api.utils.errors import Insufficient
from api.utils.zipstream import ZipStream

UPLOADS, IMAGES, VIDEO, CSV, METADATA = "uploads", "images", "video.mp4", "results.csv", "metadata.json"
MOST_LISTED = 1000
ROOM = 64 * 1024**2  # bytes that an upload leaves free
FOLDER = "inference_results"
_SESSION = re.compile(r"session_\d{8}_\d{6}_[0-9a-f]{8}")
COLUMNS = (
    "image_uuid", "image_filename", "model_id", "image_width", "image_height", "detection_count", "detection_index",
    "class_id", "class_name", "confidence", "x1", "y1", "x2", "y2",
)  # fmt: skip


class InferFiles:
    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / FOLDER
        self._drafts = self.root / ".drafts"

    def of(self, session_id: str) -> Path:
        return self.root / session_id

    def sweep(self, known: set[str]) -> None:
        """At the start: drafts, and sessions that no row knows."""
        shutil.rmtree(self._drafts, ignore_errors=True)
        if not self.root.is_dir():
            return
        for place in self.root.iterdir():
            if _SESSION.fullmatch(place.name) and place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def draft(self) -> AbstractContextManager[Path]:
        """A directory for what is being made, gone afterwards unless it has got its name."""
        return drafts.draft(self._drafts)

    def settle(self, draft: Path) -> None:
        """All of it is on the disk. Not for copies of what the client has: waiting for the disk costs more than they
        are worth."""
        sync_file_system(draft)

    def name(self, draft: Path, session_id: str) -> None:
        """For use in the transaction that tells of it."""
        draft.replace(self.of(session_id))

    def named(self) -> None:
        sync_directory(self.root)

    def receive(self, sent: SentFile, place: Path) -> Path:
        """A video, copied to where the process may read it. Raises Insufficient."""
        if sent.size + ROOM > shutil.disk_usage(place).free:
            raise Insufficient(f"the disk has no room for the {sent.size} bytes of {sent.name!r}")
        path = place / "source"
        sent.file.seek(0)
        with open(path, "xb") as file:
            shutil.copyfileobj(sent.file, file, 1 << 20)
        return path

    def open(self, session_id: str, relative: str) -> BinaryIO:
        """Raises FileNotFoundError."""
        return open_beneath(self.of(session_id), relative)

    def images(self, session_id: str) -> list[str]:
        """As /static has them, sorted."""
        place = self.of(session_id)
        folders = [folder for folder in (UPLOADS, IMAGES) if (place / folder).is_dir()]
        found = sorted(f"{folder}/{name}" for folder in folders for name in os.listdir(place / folder))
        return [f"{FOLDER}/{session_id}/{relative}" for relative in found[:MOST_LISTED]]

    def zip(self, session_id: str) -> Iterator[bytes]:
        """Raises FileNotFoundError before the first byte."""
        place = self.of(session_id)
        with open_beneath(place, CSV) as table, open_beneath(place, METADATA) as metadata:
            documents = {CSV: table.read(), METADATA: metadata.read()}
        return _zipped(place, documents)

    def remove(self, session_id: str) -> None:
        shutil.rmtree(self.of(session_id), ignore_errors=True)


def _zipped(place: Path, documents: Mapping[str, bytes]) -> Iterator[bytes]:
    archive = ZipStream()
    for name, content in documents.items():
        yield from archive.add_bytes(name, content)
    for name in sorted(os.listdir(place / IMAGES)):
        with open_beneath(place, f"{IMAGES}/{name}") as file:
            yield from archive.add_file(f"{IMAGES}/{name}", file)
    yield from archive.finish()


class ResultTable:
    """`results.csv`: a row a detection, one with count 0 for an image without any."""

    def __init__(self, directory: Path) -> None:
        self._file = open(directory / CSV, "x", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def add(self, image: Sequence[Any], detections: Sequence[Detection]) -> None:
        """`image`: the first five columns."""
        head = [harmless(cell) for cell in image] + [len(detections)]
        for index, found in enumerate(detections):
            self._writer.writerow([*head, index, *(harmless(cell) for cell in found)])
        if not detections:
            self._writer.writerow([*head, *[""] * (len(COLUMNS) - len(head))])

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ResultTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula, quoted as spreadsheets do."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8", errors="replace")
