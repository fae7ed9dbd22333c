"""Documents in the database: pages are taken whole, counts stay true, and a report reads no lines."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from sqlalchemy import Integer, cast, event, func, select

from api.models.accounts import Actor
from api.models.job import EndReason, Job
from api.models.ocr import Direction, Document, LineCounts, ModelJob, OcrModel
from api.models.room import Grant
from api.services.accounts import AccountService
from api.services.document_import import DocumentFiles, Ingestion
from api.services.documents import DocumentService
from api.services.store import documents as store
from api.services.store import jobs, ocr, queue
from api.services.store.database import Database
from api.services.store.documents import NewPart
from api.services.store.ocr_tables import ocr_lines, ocr_parts
from api.utils.errors import NotFound
from api.utils.pagexml import FlatLine, TextLine, read_page
from api.utils.paths import AllowedRoots
from api.utils.zips import natural
from tests.postgres import sqlite_only
from tests.unit.pages import line, unpacked
from tests.unit.toys import START, World, add_job, member


def document(db: Database, name: str = "a book", owner: int = 1) -> int:
    new = Document(0, owner, None, name, None, None, Direction.LTR, START, START)
    with db.write() as connection:
        return store.add(connection, new).id


def part(
    name: str, lines: int | list[FlatLine] | None = 3, image: str | None = None, width: int | None = 60
) -> NewPart:
    flat = [line(n).flat() for n in range(1, lines + 1)] if isinstance(lines, int) else lines
    return NewPart(name, image, width, width and 40, f"{name}.xml", flat)


def put(db: Database, owner: int, *parts: NewPart) -> None:
    with db.write() as connection:
        for each in parts:
            store.put_part(connection, owner, each)


def counts(db: Database, *ids: int) -> LineCounts:
    with db.read() as connection:
        return store.counts(connection, ids)


def test_counts_are_those_of_the_lines(db: Database) -> None:
    """Whatever was put, replaced and corrected: the sums that parts keep are what counting would find."""
    dice = random.Random(5)
    book = document(db)
    for _ in range(60):
        lines = [
            TextLine(
                None,
                tuple((n, n) for n in range(dice.randint(0, 3))) or None,
                tuple((n, n) for n in range(dice.randint(0, 4))) or None,
                dice.choice(["", " ", "\t", "word"]),
            ).flat()
            for _ in range(dice.randint(0, 5))
        ]
        put(db, book, part(f"{dice.randint(1, 8)}.png", lines, dice.choice([None, "documents/1/x.png"])))
        with db.write() as connection:
            known = store.lines_of(connection, book, limit=100, offset=0)
            if known:
                store.set_text(connection, dice.choice(known), dice.choice(["", "  ", "new"]))
    with db.read() as connection:
        mine = ocr_lines.c.part_id == ocr_parts.c.id
        true = connection.execute(
            select(
                func.count(),
                func.sum(cast(ocr_lines.c.has_baseline, Integer)),
                func.sum(cast(ocr_lines.c.has_polygon, Integer)),
                func.sum(cast(ocr_lines.c.has_text, Integer)),
            ).join(ocr_parts, mine)
        ).one()
        every = store.lines_of(connection, book, limit=-1, offset=0)
    found = counts(db, book)
    assert (found.lines, found.with_baseline, found.with_polygon, found.with_text) == tuple(true)
    assert found.with_baseline == sum(len(each.baseline or ()) >= 2 for each in every)
    assert found.with_polygon == sum(len(each.boundary or ()) >= 3 for each in every)
    assert found.with_text == sum(bool(each.text.strip()) for each in every)
    assert found.parts == 8


def test_a_page_takes_the_place_of_the_one_with_its_name(db: Database) -> None:
    book = document(db)
    put(db, book, part("a.png", 3, "documents/1/old.png"), part("b.png", 2))
    with db.write() as connection:
        assert store.put_part(connection, book, part("a.png", 1, "documents/1/new.png")) == "documents/1/old.png"
        assert store.put_part(connection, book, part("a.png", 1, "documents/1/new.png")) is None
        assert store.put_part(connection, book, part("a.png", 4)) is None
        a, b = store.parts_of(connection, book)
    assert (a.name, a.position, a.lines, a.image) == ("a.png", 1, 4, "documents/1/new.png")
    assert (b.name, b.position, b.lines, b.image) == ("b.png", 2, 2, None)


def test_an_image_alone_leaves_the_lines_and_the_size_they_were_drawn_on(db: Database) -> None:
    book = document(db)
    put(db, book, part("a.png", 3), part("a.png", None, "documents/1/a.png", 600))
    with db.read() as connection:
        (found,) = store.parts_of(connection, book)
    assert (found.lines, found.image, found.width, found.xml_name) == (3, "documents/1/a.png", 60, "a.png.xml")


@sqlite_only
def test_the_report_reads_an_index_entry_a_page_and_no_line(db: Database) -> None:
    """The measure of the issue, counted and not timed."""
    steps: dict[int, int] = {}
    for lines in (1_000, 100_000):
        book = document(db)
        shared = [line(1).flat()] * 100
        put(db, book, *(part(f"{n}.png", shared, "documents/1/x.png") for n in range(lines // 100)))
        with db.read() as connection:
            raw = connection.connection.driver_connection
            taken = [0]
            raw.set_progress_handler(lambda taken=taken: taken.__setitem__(0, taken[0] + 1), 10)  # type: ignore[union-attr]
            found = store.counts(connection, [book])
            raw.set_progress_handler(None, 0)  # type: ignore[union-attr]
        assert (found.lines, found.parts) == (lines, lines // 100)
        steps[lines] = taken[0] * 10
    assert steps[100_000] < 100_000 / 4, "instructions of SQLite's machine: under one a line"
    asked: list[tuple[str, tuple[object, ...]]] = []
    with db.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
        store.counts(connection, [book])
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + asked[0][0], asked[0][1]).all()
    assert "ocr_lines" not in asked[0][0]
    assert "COVERING INDEX ix_ocr_parts_counts" in plan[0][-1], plan


def test_numbers_are_never_used_again(db: Database) -> None:
    first = document(db)
    with db.write() as connection:
        store.remove(connection, first)
    assert document(db) > first


def test_what_is_removed_takes_its_pages_along(db: Database) -> None:
    book = document(db)
    put(db, book, part("a.png"), part("b.png"))
    with db.write() as connection:
        store.remove(connection, book)
        assert connection.execute(select(func.count()).select_from(ocr_lines)).scalar_one() == 0
        with pytest.raises(NotFound, match="Document not found"):
            store.get(connection, book)


def test_lines_come_page_by_page(db: Database) -> None:
    book = document(db)
    put(db, book, part("a.png", 3), part("b.png", 3), part("c.png", 3))
    with db.read() as connection:
        every = store.lines_of(connection, book, limit=-1, offset=0)
        some = store.lines_of(connection, book, limit=4, offset=2)
    assert [each.position for each in every] == [1, 2, 3] * 3 and every[2:6] == some
    assert every[0].baseline == line(1).baseline and every[0].boundary == line(1).boundary


def test_names_in_folders(db: Database) -> None:
    book = document(db)
    put(db, book, part("x/1.png", image="documents/1/x.png"), part("y/1.png"), part("y/2%.png"))
    with db.read() as connection:
        assert store.part_called(connection, book, "1.png") is None  # which?
        assert store.part_wanting(connection, book, "1.png") == "y/1.png"
        assert store.part_called(connection, book, "2%.png") == "y/2%.png"
        assert store.part_called(connection, book, "%.png") is None
        assert store.part_wanting(connection, book, "3.png") is None


# ---- what a training was measured to take


def model(db: Database) -> int:
    new = OcrModel(0, 1, None, "m", ModelJob.RECOGNIZE, None, None, None, None, START, START)
    with db.write() as connection:
        return ocr.add_model(connection, new).id


def training(
    db: Database, lines: int, seconds: float, *, ended: bool = True, task: str = "train", **notes: object
) -> Job:
    with db.write() as connection:
        job = add_job(connection, engine="kraken", params={"task": task})
        ocr.add_training(connection, model_id=1, job=job, document_ids=[1], stats=LineCounts(1, 1, 1, lines))
        running = queue._take(connection, queue.waiting(connection, job), Grant((), place=True), START)
        jobs.save(connection, running, START, started_at=START, progress={"notes": notes})
        latest = jobs.get(connection, job.id)
        if not ended:
            return latest
        return jobs.finish(connection, latest, EndReason.DONE, START + seconds, exit_code=0, failure=None)


def test_the_pace_is_that_of_finished_trainings(db: Database) -> None:
    assert model(db) == 1
    with db.read() as connection:
        assert ocr.pace(connection) is None
    training(db, 100, 200.0, epochs_done=10)  # 0.2 s
    training(db, 1000, 1.0, ended=False, epochs_done=10)
    training(db, 1000, 1.0)  # said nothing of epochs
    training(db, 1000, 1.0, task="test", epochs_done=10)
    with db.read() as connection:
        found = ocr.pace(connection)
        assert found is not None and (found.trainings, round(found.seconds_per_line, 6)) == (1, 0.2)
    training(db, 300, 9999.0, epochs_done=10, seconds_per_line_epoch=0.4)  # its own word goes before the clock's
    with db.read() as connection:
        found = ocr.pace(connection)
        assert found is not None and (found.trainings, round(found.seconds_per_line, 6)) == (2, 0.35)


def test_one_model_is_worked_on_by_one_job(db: Database) -> None:
    model(db)
    with db.read() as connection:
        assert ocr.live_training(connection, 1) is None
    job = training(db, 1, 1.0, ended=False)
    with db.read() as connection:
        live = ocr.live_training(connection, 1)
        assert live is not None and live.job_id == job.id and live.document_ids == (1,)
        assert [each.job_id for each in ocr.running_trainings(connection)] == [job.id]
        assert ocr.training_of_job(connection, job) == live


def test_what_a_trainer_reads(db: Database) -> None:
    books = [document(db), document(db)]
    put(db, books[0], part("a.png", 2, "documents/1/a.png"), part("b.png", 1))
    put(db, books[1], part("a.png", 1))
    with db.read() as connection:
        found = list(ocr.pages_of(connection, books))
    assert [(page.part.document_id, page.part.name, len(page.lines)) for page in found] == [
        (books[0], "a.png", 2), (books[0], "b.png", 1), (books[1], "a.png", 1)
    ]  # fmt: skip


# ---- settling


@pytest.fixture
def files(tmp_path: Path) -> DocumentFiles:
    found = DocumentFiles(tmp_path)
    found.prepare()
    return found


def left(files: DocumentFiles, job: Job, pages: list[NewPart], images: dict[str, bytes] | None = None) -> None:
    """As a child leaves it."""
    (files.imports / job.id / "images").mkdir(parents=True)
    for name, content in (images or {}).items():
        (files.imports / job.id / "images" / name).write_bytes(content)
    rows = [{name: getattr(page, name) for name in NewPart.__dataclass_fields__} for page in pages]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (files.imports / job.id / "pages.jsonl").write_text(text)


def importing(db: Database, document_id: int) -> Job:
    with db.write() as connection:
        return add_job(connection, engine="ocr_import", params={"document_id": document_id})


def test_settling_twice_is_as_once(db: Database, files: DocumentFiles) -> None:
    book = document(db)
    job = importing(db, book)
    left(files, job, [part(f"{n}.png", 900, f"{n}.png") for n in range(5)], {f"{n}.png": b"x" for n in range(5)})
    settle = Ingestion(db, files)
    settle(job)
    first = counts(db, book)
    settle(job)
    assert counts(db, book) == first == LineCounts(1, 5, 5, 4500, 4500, 4500, 4500)
    with db.read() as connection:
        kept = {files.data_dir / str(each.image) for each in store.parts_of(connection, book)}
    assert kept == set(files.of(book).iterdir()) and len(kept) == 5


def test_settling_into_a_document_that_is_gone(db: Database, files: DocumentFiles) -> None:
    book = document(db)
    job = importing(db, book)
    left(files, job, [part("a.png")])
    with db.write() as connection:
        store.remove(connection, book)
    Ingestion(db, files)(job)
    assert not files.of(book).exists()


def test_what_is_swept(db: Database, files: DocumentFiles) -> None:
    book, gone = document(db), document(db)
    live, dead = importing(db, book), importing(db, book)
    with db.write() as connection:
        store.remove(connection, gone)
        jobs.finish(connection, dead, EndReason.LAUNCH_FAILED, START, exit_code=None, failure=None)
    for name in (live.id, dead.id, "job-not-committed-yet", "new-0123"):
        (files.imports / name).mkdir()
    for each in (book, gone):
        files.of(each).mkdir()
        (files.of(each) / "stray.png").touch()
    sweep = Ingestion(db, files).sweep
    sweep()
    assert {path.name for path in files.imports.iterdir()} == {live.id, "new-0123", "job-not-committed-yet"}
    sweep(starting=True)
    assert {path.name for path in files.imports.iterdir()} == {live.id}
    assert [path.name for path in files.of(book).iterdir()] == ["stray.png"], "an import into it may yet name it"
    with db.write() as connection:
        jobs.finish(connection, live, EndReason.LAUNCH_FAILED, START, exit_code=None, failure=None)
    sweep(starting=True)
    assert list(files.of(book).iterdir()) == [] and not files.of(gone).exists()


@pytest.mark.parametrize(
    ("images", "xml"),
    [
        (["1.png", "2.png", "10.png", "a/1.png", "b/1.png"], ["1.xml", "2.xml", "10.xml", "a/1.xml", "b/1.xml"]),
        (["b/a.png", "a.png", "a.jpg"], ["1_a.xml", "2_a.xml", "3_a.jpg.xml"]),
        (["2.png", "1.png", "1_2.xml"], ["1_2_.xml", "2_1.xml", "3_1_2.xml.xml"]),
    ],
)
def test_an_export_keeps_the_order_of_the_pages(
    world: World, tmp_path: Path, images: list[str], xml: list[str]
) -> None:
    """Also where two pages' XML would have one name, and where their names would sort otherwise."""
    files = DocumentFiles(world.workspaces.data_dir)
    files.prepare()
    service = DocumentService(
        world.db, world.jobs, AccountService(world.db), Ingestion(world.db, files), AllowedRoots([tmp_path])
    )
    book = document(world.db)
    put(world.db, book, *map(part, images))
    who: Actor = member(1)
    _, body = service.export(who, book, "page")
    content = unpacked(b"".join(body))
    assert list(content) == xml == sorted(xml, key=natural), "an import sorts them so"
    for name, image in zip(xml, images, strict=True):
        assert os.path.normpath(os.path.join(os.path.dirname(name), read_page(content[name]).image)) == image
