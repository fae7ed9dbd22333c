"""Documents, their parts and their lines: the only SQL that touches them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.sql.dml import Insert

from api.models.accounts import Viewer
from api.models.job import Job, JobStatus
from api.models.ocr import Direction, Document, Line, LineCounts, Part, Points
from api.services.store import jobs
from api.services.store.bulk import insert_rows
from api.services.store.ocr_tables import ocr_documents, ocr_lines, ocr_parts
from api.services.store.viewers import seen_by
from api.utils.errors import NotFound
from api.utils.pagexml import FlatLine


@dataclass(frozen=True, slots=True)
class NewPart:
    """A page as an import read it. `lines` None: the import has an image only, and says nothing about lines."""

    name: str
    image: str | None
    width: int | None
    height: int | None
    xml_name: str | None
    lines: Sequence[FlatLine] | None


# ---- documents


def _document(row: Row[Any]) -> Document:
    fields = dict(row._mapping)
    return Document(**{**fields, "read_direction": Direction(fields["read_direction"])})


def add(connection: Connection, new: Document) -> Document:
    """A row; the id of `new` is not looked at."""
    values = {name: getattr(new, name) for name in Document.__dataclass_fields__ if name != "id"}
    made = connection.execute(insert(ocr_documents).values(values)).inserted_primary_key
    return replace(new, id=int(made[0]))  # type: ignore[index]


def get(connection: Connection, document_id: int) -> Document:
    row = connection.execute(select(ocr_documents).where(ocr_documents.c.id == document_id)).first()
    if row is None:
        raise NotFound("Document not found")
    return _document(row)


def page(connection: Connection, viewer: Viewer, *, limit: int, offset: int) -> tuple[list[Document], int]:
    """Newest first, with the number of all that the viewer may see."""
    query = select(ocr_documents).where(*seen_by(viewer, ocr_documents))
    rows = connection.execute(query.order_by(ocr_documents.c.id.desc()).limit(limit).offset(offset))
    total = connection.execute(query.with_only_columns(func.count()).select_from(ocr_documents)).scalar_one()
    return [_document(row) for row in rows], int(total)


def exists(connection: Connection, document_id: int) -> bool:
    return connection.execute(select(ocr_documents.c.id).where(ocr_documents.c.id == document_id)).first() is not None


def remove(connection: Connection, document_id: int) -> None:
    """The row and, by the foreign keys, its parts and lines."""
    connection.execute(delete(ocr_documents).where(ocr_documents.c.id == document_id))


def touch(connection: Connection, document_id: int, now: float) -> None:
    connection.execute(update(ocr_documents).where(ocr_documents.c.id == document_id).values(updated_at=now))


# ---- what documents add up to


def counts(connection: Connection, document_ids: Sequence[int]) -> LineCounts:
    """By the counts that each part keeps: reads an index, one entry a part."""
    parts = ocr_parts.c
    sums = (func.coalesce(func.sum(column), 0) for column in (parts.lines, parts.with_baseline, parts.with_polygon))
    query = select(func.count(), func.count(parts.image), *sums, func.coalesce(func.sum(parts.with_text), 0))
    row = connection.execute(query.where(parts.document_id.in_(list(document_ids)))).one()
    pages, images, lines, baselines, polygons, texts = map(int, row)
    return LineCounts(len(document_ids), pages, images, lines, baselines, polygons, texts)


def missing_images(connection: Connection, document_id: int, limit: int) -> list[str]:
    """Names of images that parts want and do not have, in the document's order."""
    query = select(ocr_parts.c.name).where(ocr_parts.c.document_id == document_id, ocr_parts.c.image.is_(None))
    return list(connection.execute(query.order_by(ocr_parts.c.position).limit(limit)).scalars())


# ---- parts


def _part(row: Row[Any]) -> Part:
    return Part(**row._mapping)


def parts_of(connection: Connection, document_id: int, *, limit: int | None = None, offset: int = 0) -> list[Part]:
    query = select(ocr_parts).where(ocr_parts.c.document_id == document_id).order_by(ocr_parts.c.position)
    return [_part(row) for row in connection.execute(query.limit(limit).offset(offset))]


def part(connection: Connection, document_id: int, part_id: int) -> Part:
    mine = (ocr_parts.c.document_id == document_id, ocr_parts.c.id == part_id)
    row = connection.execute(select(ocr_parts).where(*mine)).first()
    if row is None:
        raise NotFound(f"document {document_id} has no part {part_id}")
    return _part(row)


def part_named(connection: Connection, document_id: int, name: str) -> Part | None:
    mine = (ocr_parts.c.document_id == document_id, ocr_parts.c.name == name)
    row = connection.execute(select(ocr_parts).where(*mine)).first()
    return None if row is None else _part(row)


def put_part(connection: Connection, document_id: int, new: NewPart) -> str | None:
    """A page, whole: a new part, or in place of the lines (or the image) of the one with its name.

    The image that it had before, if another takes its place.
    """
    before = part_named(connection, document_id, new.name)
    lines = new.lines or ()
    values: dict[str, Any] = {"image": new.image, "width": new.width, "height": new.height}
    if before is not None and (new.lines is None or new.width is None) and before.width is not None:
        values |= {"width": before.width, "height": before.height}  # lines are drawn on the page of their XML
    if new.lines is not None or before is None:
        values |= {"xml_name": new.xml_name, **_line_counts(lines)}
    if before is None:
        last = select(func.coalesce(func.max(ocr_parts.c.position), 0)).where(ocr_parts.c.document_id == document_id)
        position = connection.execute(last).scalar_one() + 1
        values |= {"document_id": document_id, "position": position, "name": new.name}
        part_id = connection.execute(insert(ocr_parts).values(values)).inserted_primary_key[0]  # type: ignore[index]
    else:
        part_id = before.id
        if new.image is None:
            values.pop("image")
        connection.execute(update(ocr_parts).where(ocr_parts.c.id == part_id).values(values))
        if new.lines is not None:
            connection.execute(delete(ocr_lines).where(ocr_lines.c.part_id == part_id))
    rows = [(part_id, number, *line) for number, line in enumerate(lines, 1)]  # as the columns stand
    insert_rows(connection, _new_lines, rows, [c.name for c in ocr_lines.c if c.name != "id"])
    replaced = before.image if before is not None and new.image is not None else None
    return replaced if replaced != new.image else None


def _new_lines(_: Connection) -> Insert:
    return insert(ocr_lines).inline()


def _line_counts(lines: Sequence[FlatLine]) -> dict[str, int]:
    return {
        "lines": len(lines),
        "with_baseline": sum(line.has_baseline for line in lines),
        "with_polygon": sum(line.has_polygon for line in lines),
        "with_text": sum(line.has_text for line in lines),
    }


# ---- lines


def _decoded(text: str | None) -> Points | None:
    return None if text is None else tuple((x, y) for x, y in json.loads(text))


_LINES = select(
    *(ocr_lines.c[name] for name in ("id", "part_id", "position", "external_id", "baseline", "boundary", "text"))
)


def _line(row: Row[Any]) -> Line:
    fields = dict(row._mapping)
    return Line(**{**fields, "baseline": _decoded(row.baseline), "boundary": _decoded(row.boundary)})


def lines_of_part(connection: Connection, part_id: int, *, limit: int | None = None, offset: int = 0) -> list[Line]:
    query = _LINES.where(ocr_lines.c.part_id == part_id).order_by(ocr_lines.c.position)
    return [_line(row) for row in connection.execute(query.limit(limit).offset(offset))]


def lines_of(connection: Connection, document_id: int, *, limit: int, offset: int) -> list[Line]:
    """In the order of the parts, and in each of its lines."""
    query = _LINES.join(ocr_parts, ocr_parts.c.id == ocr_lines.c.part_id)
    query = query.where(ocr_parts.c.document_id == document_id)
    query = query.order_by(ocr_parts.c.position, ocr_lines.c.position).limit(limit).offset(offset)
    return [_line(row) for row in connection.execute(query)]


def line(connection: Connection, document_id: int, line_id: int) -> Line:
    query = _LINES.join(ocr_parts, ocr_parts.c.id == ocr_lines.c.part_id)
    row = connection.execute(query.where(ocr_parts.c.document_id == document_id, ocr_lines.c.id == line_id)).first()
    if row is None:
        raise NotFound(f"document {document_id} has no line {line_id}")
    return _line(row)


def set_text(connection: Connection, before: Line, text: str) -> None:
    """A line's transcription, and its part's count of them."""
    now = bool(text.strip())
    connection.execute(update(ocr_lines).where(ocr_lines.c.id == before.id).values(text=text, has_text=now))
    more = int(now) - int(bool(before.text.strip()))
    mine = ocr_parts.c.id == before.part_id
    connection.execute(update(ocr_parts).where(mine).values(with_text=ocr_parts.c.with_text + more))


# ---- who uses a document


def _live(connection: Connection, engines: Sequence[str]) -> list[Job]:
    found = [*jobs.with_status(connection, JobStatus.QUEUED), *jobs.with_status(connection, JobStatus.RUNNING)]
    return [job for job in found if job.engine in engines]


def live_import(connection: Connection, document_id: int) -> Job | None:
    """An import into the document that waits or runs."""
    found = (job for job in _live(connection, ["ocr_import"]) if job.spec.params.get("document_id") == document_id)
    return next(found, None)


def live_use(connection: Connection, document_id: int) -> Job | None:
    """A job that reads the document, or puts something into it."""
    trainings = _live(connection, ["kraken"])
    found = (job for job in trainings if document_id in job.spec.params.get("document_ids", ()))
    return next(found, None) or live_import(connection, document_id)


def parts_short_of(connection: Connection, document_id: int, what: str, limit: int) -> list[str]:
    """Names of parts with lines that lack something: `with_baseline`, `with_polygon` or `with_text`."""
    short = (ocr_parts.c.document_id == document_id, ocr_parts.c[what] < ocr_parts.c.lines)
    query = select(ocr_parts.c.name).where(*short).order_by(ocr_parts.c.position).limit(limit)
    return list(connection.execute(query).scalars())


def part_called(connection: Connection, document_id: int, base: str) -> str | None:
    """The name of the one part whose image is called `base` in whatever folder; None if there is none, or several."""
    names = _called(connection, document_id, base)
    return names[0] if len(names) == 1 else None


def part_wanting(connection: Connection, document_id: int, base: str) -> str | None:
    """The same; of several, the one that lacks its image."""
    names = _called(connection, document_id, base)
    if len(names) > 1:
        mine = (ocr_parts.c.document_id == document_id, ocr_parts.c.name.in_(names), ocr_parts.c.image.is_(None))
        names = list(connection.execute(select(ocr_parts.c.name).where(*mine)).scalars())
    return names[0] if len(names) == 1 else None


def _called(connection: Connection, document_id: int, base: str) -> list[str]:
    if part_named(connection, document_id, base) is not None:
        return [base]
    same = ocr_parts.c.name.endswith("/" + base, autoescape=True)
    query = select(ocr_parts.c.name).where(ocr_parts.c.document_id == document_id, same)
    return list(connection.execute(query).scalars())
