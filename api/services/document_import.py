"""The end of an import: pages that its child has read become rows, whole pages and a few at a time."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.models.job import Job
from api.services.store import documents as store
from api.services.store import jobs
from api.services.store.database import Database
from api.services.store.documents import NewPart
from api.utils.errors import NotFound
from api.utils.faults import fault
from api.utils.pagexml import FlatLine

log = logging.getLogger(__name__)
BATCH_LINES = 2000  # a transaction holds the one writer for some tens of milliseconds


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    """Where documents and imports keep theirs."""

    data_dir: Path

    @property
    def imports(self) -> Path:
        """A directory for each import, named after its job; `new-…` while it is uploaded."""
        return self.data_dir / "imports"

    @property
    def documents(self) -> Path:
        return self.data_dir / "documents"

    @property
    def models(self) -> Path:
        return self.data_dir / "ocr_models"

    def prepare(self) -> None:
        for directory in (self.imports, self.documents, self.models):
            directory.mkdir(exist_ok=True, mode=0o700)

    def of(self, document_id: int) -> Path:
        return self.documents / str(document_id)

    def relative(self, path: Path) -> str:
        return str(path.relative_to(self.data_dir))


class Ingestion:
    """Settles imports. Doing it twice is as doing it once: a page takes the place of the one with its name."""

    def __init__(self, db: Database, files: DocumentFiles, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self.files = files
        self._clock = clock

    def __call__(self, job: Job) -> None:
        """Of an import whose child has done its work. What of the document is gone meanwhile stays gone."""
        document_id = job.spec.params["document_id"]
        source = self.files.imports / job.id
        with self._db.read() as connection:
            if not store.exists(connection, document_id):
                log.info("job %s: document %s was removed meanwhile", job.id, document_id)
                return
        target = self.files.of(document_id)
        target.mkdir(exist_ok=True, mode=0o700)
        for batch in _batches(source / "pages.jsonl"):
            self._take(job, document_id, source / "images", target, batch)

    def _take(self, job: Job, document_id: int, images: Path, target: Path, batch: list[dict[str, Any]]) -> None:
        pages = [self._page(job, images, target, raw) for raw in batch]
        sync_directory(target)
        fault("import.before_batch")
        replaced: list[str] = []
        with self._db.write(durable=False) as connection:  # the job's end is durable, and comes after
            if not store.exists(connection, document_id):
                return
            for page in pages:
                before = store.put_part(connection, document_id, page)
                replaced += [before] if before else []
            store.touch(connection, document_id, self._clock())
        fault("import.after_batch")
        for name in replaced:
            (self.files.data_dir / name).unlink(missing_ok=True)

    def _page(self, job: Job, images: Path, target: Path, raw: dict[str, Any]) -> NewPart:
        """The page as the child wrote it, its image moved to the document."""
        image: str | None = None
        if raw["image"] is not None:
            own = target / f"{job.id}_{raw['image']}"
            if (images / raw["image"]).exists():
                (images / raw["image"]).replace(own)
            image = self.files.relative(own) if own.exists() else None
        lines = raw["lines"]
        return NewPart(
            name=raw["name"],
            image=image,
            width=raw["width"],
            height=raw["height"],
            xml_name=raw["xml_name"],
            lines=None if lines is None else [FlatLine(*line) for line in lines],
        )

    # ---- leftovers

    def sweep(self, *, starting: bool = False) -> None:
        """Removes what imports that have ended left, and, at the start, uploads and files that no row knows."""
        for directory in self.files.imports.iterdir():
            ended = self._has_ended(directory.name)
            if ended or (ended is None and starting):
                shutil.rmtree(directory, ignore_errors=True)
        if starting:
            self._sweep_documents()

    def _has_ended(self, job_id: str) -> bool | None:
        """None: there is no such job, or not yet (an upload gets its job's name before that is committed)."""
        with self._db.read() as connection:
            try:
                return jobs.get(connection, job_id).status.is_terminal
            except NotFound:
                return None

    def _sweep_documents(self) -> None:
        for directory in self.files.documents.iterdir():
            with self._db.read() as connection:
                if not store.exists(connection, int(directory.name)):
                    shutil.rmtree(directory)
                    continue
                known = {
                    Path(part.image).name for part in store.parts_of(connection, int(directory.name)) if part.image
                }
                live = store.live_import(connection, int(directory.name))
            if not live:  # else its images are moved in before their rows are there
                for file in directory.iterdir():
                    if file.name not in known:
                        file.unlink()


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            page = json.loads(line)
            batch.append(page)
            size += 20 + len(page["lines"] or ())
            if size >= BATCH_LINES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
