"""What people do with documents: make, look, import, correct, export, remove. Knows no HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import OCR_V1
from api.models.job import Job, JobSpec
from api.models.ocr import Direction, Document, Line, LineCounts, Page, Part
from api.services.accounts import AccountService
from api.services.document_import import Ingestion, sync_directory
from api.services.engines.ocr_import import UPLOAD
from api.services.jobs import JobService
from api.services.quality import NAMED, Quality, Shortfalls
from api.services.store import documents as store
from api.services.store import ocr
from api.services.store.database import Database
from api.services.store.documents import NewPart
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from api.utils.images import BadImage, image_header, is_image
from api.utils.pagexml import MOST_BYTES, BadXml, TextLine, XmlPage, is_writable, read_page, write_alto, write_page
from api.utils.paths import PathPolicy
from api.utils.times import iso
from api.utils.zips import natural, plain_name
from api.utils.zipstream import ZipStream

DENIED = "You do not have permission to perform this action."
ENGINE = "ocr_import"
FORMATS = ("page", "alto")
PARSERS = 2  # files of strangers that are read in this process at a time


class DocumentService:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self,
        db: Database,
        jobs: JobService,
        accounts: AccountService,
        ingestion: Ingestion,
        roots: PathPolicy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._accounts = accounts
        self._ingestion = ingestion
        self._files = ingestion.files
        self._roots = roots
        self._clock = clock
        self._parsers = threading.BoundedSemaphore(PARSERS)

    def sweep(self) -> None:
        """At the start, before anything is imported: what crashes have left."""
        self._ingestion.sweep(starting=True)

    # ---- make and look

    def create(self, actor: Actor, given: Mapping[str, Any]) -> Document:
        actor.require_run()
        team = given.get("workspace_id")
        if team is not None:
            self._accounts.team_for(actor, team)
        now = self._clock()
        new = Document(
            id=0,
            owner_id=actor.user_id,
            team_id=team,
            name=given["name"],
            script=given.get("script"),
            language=given.get("language"),
            read_direction=Direction(given.get("read_direction", "ltr")),
            created_at=now,
            updated_at=now,
        )
        with self._db.write() as connection:
            return store.add(connection, new)

    def page(self, actor: Actor, *, limit: int, offset: int) -> tuple[list[tuple[Document, LineCounts]], int]:
        actor.require_read()
        with self._db.read() as connection:
            found, total = store.page(connection, actor.viewer, limit=limit, offset=offset)
            return [(each, store.counts(connection, [each.id])) for each in found], total

    def get(self, actor: Actor, document_id: int) -> tuple[Document, LineCounts]:
        with self._readable(actor, document_id) as (connection, document):
            return document, store.counts(connection, [document_id])

    def parts(self, actor: Actor, document_id: int, *, limit: int, offset: int) -> tuple[list[Part], int]:
        with self._readable(actor, document_id) as (connection, _):
            total = store.counts(connection, [document_id]).parts
            return store.parts_of(connection, document_id, limit=limit, offset=offset), total

    def lines(
        self, actor: Actor, document_id: int, part_id: int | None, *, limit: int, offset: int
    ) -> tuple[list[Line], int]:
        """Of a part, or of the whole document."""
        with self._readable(actor, document_id) as (connection, _):
            if part_id is not None:
                part = store.part(connection, document_id, part_id)
                return store.lines_of_part(connection, part_id, limit=limit, offset=offset), part.lines
            total = store.counts(connection, [document_id]).lines
            return store.lines_of(connection, document_id, limit=limit, offset=offset), total

    def open_image(self, actor: Actor, document_id: int, part_id: int) -> tuple[Part, BinaryIO]:
        with self._readable(actor, document_id) as (connection, _):
            part = store.part(connection, document_id, part_id)
        try:
            return part, open_beneath(self._files.data_dir, part.image or "")
        except FileNotFoundError:
            raise NotFound(f"part {part_id} has no image") from None

    def quality(self, actor: Actor, document_id: int) -> tuple[Document, Quality]:
        with self._readable(actor, document_id) as (connection, document):
            counts = store.counts(connection, [document_id])

            def short_of(what: str, number: int) -> list[str]:
                return [] if number == counts.lines else store.parts_short_of(connection, document_id, what, NAMED)

            complete = counts.images == counts.parts
            short = Shortfalls(
                without_text=short_of("with_text", counts.with_text),
                without_baseline=short_of("with_baseline", counts.with_baseline),
                without_polygon=short_of("with_polygon", counts.with_polygon),
                without_image=[] if complete else store.missing_images(connection, document_id, NAMED),
            )
            return document, Quality(counts, short, ocr.pace(connection))

    @contextmanager
    def _readable(self, actor: Actor, document_id: int) -> Iterator[tuple[Connection, Document]]:
        with self._db.read() as connection:
            document = store.get(connection, document_id)
            if not actor.may_read(document.owner_id, document.team_id):
                raise Forbidden(DENIED)
            yield connection, document

    def _mine(self, actor: Actor, document_id: int) -> Document:
        with self._readable(actor, document_id) as (_, document):
            actor.require_run()
            if not actor.may_change(document.owner_id):
                raise Forbidden(DENIED)
            return document

    # ---- change

    def set_text(self, actor: Actor, document_id: int, line_id: int, text: str) -> Line:
        self._mine(actor, document_id)
        if not is_writable(text):
            raise Invalid("text", "has a character that no XML file can hold")
        with self._db.write() as connection:
            line = store.line(connection, document_id, line_id)
            store.set_text(connection, line, text)
            store.touch(connection, document_id, self._clock())
            return store.line(connection, document_id, line_id)

    def delete(self, actor: Actor, document_id: int) -> None:
        """The rows, then the files; what a crash leaves of them is swept at the next start."""
        self._mine(actor, document_id)
        with self._db.write() as connection:
            user = store.live_use(connection, document_id)
            if user is not None:
                raise Conflict(f"job {user.id} uses the document; stop it first", data={"task_id": user.id})
            store.remove(connection, document_id)
        shutil.rmtree(self._files.of(document_id), ignore_errors=True)

    # ---- import

    def import_directory(self, actor: Actor, document_id: int, path: str) -> Job:
        document = self._mine(actor, document_id)
        resolved = self._roots.resolve("path", path)
        if not resolved.is_dir():
            raise Invalid("path", "is not a directory")
        spec = self._spec(document_id, resolved.name, path=str(resolved))
        return self._jobs.submit(actor, spec, OCR_V1, team_id=document.team_id)

    def import_upload(self, actor: Actor, document_id: int, filename: str, upload: BinaryIO) -> Job | Part:
        """One XML file or image is taken at once; an archive by a job. What it is, its content says."""
        document = self._mine(actor, document_id)
        start = upload.read(8)
        upload.seek(0)
        if start.startswith(b"PK"):
            return self._import_archive(actor, document, filename, upload)
        name = plain_name(filename) or "file"
        if is_image(start):
            return self._import_image(document_id, name, upload)
        with self._one_parser():
            content = upload.read(MOST_BYTES + 1)
            try:
                page = read_page(content)
            except BadXml as problem:
                raise Invalid("file", f"{name!r} {problem}") from None
        return self._import_page(document_id, name, page)

    @contextmanager
    def _one_parser(self) -> Iterator[None]:
        """Bounds the memory that hostile files can take of this process."""
        if not self._parsers.acquire(timeout=10):
            raise Unavailable("too many files are being read; try again", retry_after=2)
        try:
            yield
        finally:
            self._parsers.release()

    @staticmethod
    def _spec(document_id: int, name: str, **params: Any) -> JobSpec:
        return JobSpec(engine=ENGINE, name=f"Import: {name[:180]}", params={"document_id": document_id, **params})

    def _import_archive(self, actor: Actor, document: Document, filename: str, upload: BinaryIO) -> Job:
        """The upload gets its job's name before the job is there, so that no job is without its upload."""
        draft = self._files.imports / f"new-{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        try:
            with open(draft / UPLOAD, "wb") as file:
                shutil.copyfileobj(upload, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            return self._jobs.submit(
                actor,
                self._spec(document.id, plain_name(filename) or "archive"),
                OCR_V1,
                team_id=document.team_id,
                also=lambda _, job: self._name_upload(draft, self._files.imports / job.id),
            )
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _name_upload(self, draft: Path, final: Path) -> None:
        shutil.rmtree(final, ignore_errors=True)  # of a submission that was not committed
        draft.replace(final)
        sync_directory(final)
        sync_directory(final.parent)

    def _import_image(self, document_id: int, name: str, upload: BinaryIO) -> Part:
        try:
            header = image_header(upload)
        except BadImage as problem:
            raise Invalid("file", f"{name!r} {problem}") from None
        upload.seek(0)
        own = self._keep(document_id, header.extension, upload)
        with self._db.write() as connection:
            store.get(connection, document_id)
            known = store.part_wanting(connection, document_id, name)
            part = NewPart(known or name, self._files.relative(own), header.width, header.height, None, None)
            taken, replaced = self._put(connection, document_id, part)
        if replaced is not None:
            (self._files.data_dir / replaced).unlink(missing_ok=True)
        return taken

    def _keep(self, document_id: int, extension: str, upload: BinaryIO) -> Path:
        directory = self._files.of(document_id)
        directory.mkdir(exist_ok=True, mode=0o700)
        own = directory / (secrets.token_hex(8) + extension)
        draft = own.with_suffix(".draft")
        with open(draft, "wb") as file:
            shutil.copyfileobj(upload, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(own)
        sync_directory(directory)
        return own

    def _import_page(self, document_id: int, name: str, page: XmlPage) -> Part:
        wanted = plain_name(page.image)
        if not wanted:
            raise Invalid("file", f"{name!r} names no image")
        with self._db.write() as connection:
            store.get(connection, document_id)
            known = store.part_called(connection, document_id, wanted) or wanted
            part = NewPart(known, None, page.width, page.height, name, [line.flat() for line in page.lines])
            return self._put(connection, document_id, part)[0]

    def _put(self, connection: Connection, document_id: int, part: NewPart) -> tuple[Part, str | None]:
        """The part, and the image that is no longer its own."""
        replaced = store.put_part(connection, document_id, part)
        store.touch(connection, document_id, self._clock())
        found = store.part_named(connection, document_id, part.name)
        assert found is not None
        return found, replaced

    def import_state(self, actor: Actor, job_id: str) -> Job:
        job = self._jobs.get(actor, job_id)
        if job.engine != ENGINE:
            raise NotFound(f"there is no import {job_id!r}")
        return job

    # ---- export

    def export(self, actor: Actor, document_id: int, form: str) -> tuple[Document, Iterator[bytes]]:
        """A zip of XML and images, made while it is sent; a page at a time is read."""
        with self._readable(actor, document_id) as (connection, document):
            parts = store.parts_of(connection, document_id)
        return document, self._zipped(parts, form)

    def _zipped(self, parts: list[Part], form: str) -> Iterator[bytes]:
        archive = ZipStream()
        for part, xml_name in zip(parts, xml_names([part.name for part in parts]), strict=True):
            with self._db.read() as connection:
                page = Page(part, tuple(store.lines_of_part(connection, part.id)))
            described = as_xml(page, xml_name)
            moment = str(iso(self._clock()))
            content = write_alto(described) if form == "alto" else write_page(described, moment)
            yield from archive.add_bytes(xml_name, content)
            if part.image is not None:
                try:
                    image = open_beneath(self._files.data_dir, part.image)
                except FileNotFoundError:  # the document was changed meanwhile
                    continue
                with image:
                    yield from archive.add_file(part.name, image)
        yield from archive.finish()


def xml_names(images: Sequence[str]) -> list[str]:
    """`a.xml` for `a.png`; for another `a.jpg` then `a.jpg.xml`. An import goes by these names: where that is not the
    order of the pages, `1_a.xml`, `2_b.xml`, ... without folders."""
    taken = {name.casefold() for name in images}
    names = [_free(_beside(name), taken) for name in images]
    if sorted(names, key=natural) == names:
        return names
    digits = len(str(len(names)))
    stems = [f"{number:0{digits}}_{os.path.basename(name)[:-4]}" for number, name in enumerate(names, 1)]
    return [_free((f"{stem}{'_' * more}.xml" for more in count()), taken) for stem in stems]


def _beside(image: str) -> Iterator[str]:
    yield os.path.splitext(image)[0] + ".xml"
    yield f"{image}.xml"
    yield from (f"{image}.{number}.xml" for number in count(2))


def _free(candidates: Iterator[str], taken: set[str]) -> str:
    found = next(name for name in candidates if name.casefold() not in taken)
    taken.add(found.casefold())
    return found


def as_xml(page: Page, xml_name: str) -> XmlPage:
    """As the file of that name would say it, beside its image or above all folders."""
    lines = tuple(TextLine(line.external_id, line.baseline, line.boundary, line.text) for line in page.lines)
    image = os.path.basename(page.part.name) if os.path.dirname(xml_name) else page.part.name
    return XmlPage(image, page.part.width, page.part.height, lines)
