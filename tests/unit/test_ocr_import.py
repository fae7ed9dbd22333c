"""The child that takes archives and directories apart, run as it is; and the engine that understands it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.models.events import Advance, Done, Fault, Level, Note, Warn
from api.models.job import JobSpec
from api.services.engines.base import Ending
from api.services.engines.ocr_import import OcrImportEngine
from api.utils.errors import Invalid
from tests.unit import pages

REPO = Path(__file__).resolve().parents[2]


class Run:
    """One run of the child, and what it left."""

    def __init__(self, target: Path, source: Path, archive: bool, **limits: int) -> None:
        plan = {"source": str(source), "archive": archive, "target": str(target), "files": 10_000, "bytes": 10**9}
        (target / "plan.json").write_text(json.dumps(plan | limits))
        command = [sys.executable, "-m", "api.children.ocr_import", str(target / "plan.json")]
        done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60)
        assert done.stderr == b""
        self.code = done.returncode
        self.lines = done.stdout.decode().splitlines()
        self.said = [json.loads(line) for line in self.lines]
        self.target = target

    @property
    def pages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.target / "pages.jsonl").read_text().splitlines()]

    @property
    def seen(self) -> list[tuple[str, bool, int | None]]:
        """Name, whether its image is there, and how many lines."""
        found = []
        for page in self.pages:
            if page["image"] is not None:
                assert (self.target / "images" / page["image"]).stat().st_size
            lines = page["lines"]
            found.append((page["name"], page["image"] is not None, None if lines is None else len(lines)))
        return found

    @property
    def failed(self) -> dict[str, str]:
        return {said["file"]: said["message"] for said in self.said if said["event"] == "failed"}


def run_folder(tmp_path: Path, files: dict[str, bytes], **limits: int) -> Run:
    (tmp_path / "target").mkdir()
    return Run(tmp_path / "target", pages.put(tmp_path / "source", files), False, **limits)


def run_zip(tmp_path: Path, content: bytes, **limits: int) -> Run:
    (tmp_path / "target").mkdir()
    (tmp_path / "book.zip").write_bytes(content)
    return Run(tmp_path / "target", tmp_path / "book.zip", True, **limits)


@pytest.mark.parametrize("form", ["page", "alto"])
def test_a_book(tmp_path: Path, form: str) -> None:
    run = run_zip(tmp_path, pages.archive(pages.book(3, 4, form)))
    assert run.code == 0 and run.seen == [(f"000{n}.png", True, 4) for n in (1, 2, 3)]
    page = run.pages[0]
    assert (page["width"], page["height"], page["xml_name"]) == (60, 40, "0001.xml")
    assert page["lines"][0] == list(pages.line(1).flat())
    assert run.said[-1] == {"event": "end", "pages": 3, "lines": 12, "images": 3, "failed": 0}
    assert sorted(os.listdir(run.target / "images")) == sorted(p["image"] for p in run.pages)


def test_pages_come_in_the_order_that_people_count(tmp_path: Path) -> None:
    run = run_folder(tmp_path, {f"page{n}.xml": pages.xml(f"page{n}.png") for n in (1, 2, 10, 9)})
    assert [name for name, *_ in run.seen] == ["page1.png", "page2.png", "page9.png", "page10.png"]


def test_where_images_are_looked_for(tmp_path: Path) -> None:
    """Beside the XML, above it as Transkribus has it, anywhere if there is one such name; else it is missing."""
    image = pages.picture()
    run = run_folder(
        tmp_path,
        {
            "a/1.xml": pages.xml("1.png"), "a/1.png": image, "b/1.png": image,
            "t/page/2.xml": pages.xml("2.jpg"), "t/2.jpg": pages.picture(form="JPEG"),
            "u/3.xml": pages.xml("C:\\scans\\3.png"), "v/3.png": image,
            "u/4.xml": pages.xml("../../../etc/4.png"),
            "u/5.xml": pages.xml("/abs/5.png"),
        },
    )  # fmt: skip
    assert run.code == 0 and set(run.seen) == {
        ("a/1.png", True, 3), ("t/2.jpg", True, 3), ("v/3.png", True, 3), ("4.png", False, 3), ("5.png", False, 3),
        ("b/1.png", True, None),
    }  # fmt: skip


def test_what_cannot_be_read_is_said_and_the_rest_is_taken(tmp_path: Path) -> None:
    files = pages.book(2) | dict(pages.HOSTILE) | {"bad.png": b"<svg/>", "twice.xml": pages.xml("0001.png")}
    files["broken.xml"] = pages.xml("broken.png")
    files["broken.png"] = b"\x89PNG junk"
    run = run_zip(tmp_path, pages.archive(files))
    assert run.code == 0
    assert run.seen == [("0001.png", True, 3), ("0002.png", True, 3), ("broken.png", False, 3)]
    assert run.failed.keys() == set(pages.HOSTILE) | {"bad.png", "twice.xml", "broken.png"}
    assert "neither PNG nor JPEG" in run.failed["bad.png"] and "like another file" in run.failed["twice.xml"]
    assert run.said[-1]["failed"] == len(run.failed)


def test_an_odd_size_is_said(tmp_path: Path) -> None:
    run = run_folder(tmp_path, {"a.xml": pages.xml("a.png"), "a.png": pages.picture(120, 80)})
    (odd,) = (said for said in run.said if said["event"] == "odd")
    assert "60 x 40" in odd["message"] and "120 x 80" in odd["message"]


@pytest.mark.parametrize(
    ("content", "limits", "word"),
    [
        (pages.archive({"../a.xml": b""}), {}, "unsafe name"),
        (pages.archive({"a.txt": b""}), {}, "neither XML nor images"),
        (pages.archive(pages.book(3)), {"files": 5}, "at most 5"),
        (pages.archive(pages.book(3)), {"bytes": 500}, "more than 500 bytes"),
        (b"PK\3\4", {}, "no zip"),
    ],
)
def test_archives_that_cannot_be_used(tmp_path: Path, content: bytes, limits: dict[str, int], word: str) -> None:
    run = run_zip(tmp_path, content, **limits)
    assert run.code == 3 and not (run.target / "pages.jsonl").exists()
    assert word in run.said[-1]["message"]


def test_directories_with_traps(tmp_path: Path) -> None:
    """Links are not followed, nothing waits for a fifo, odd names are passed over."""
    source = pages.put(tmp_path / "source", pages.book(1))
    secret = pages.put(tmp_path / "secret", {"x.xml": pages.xml("x.png"), "x.png": pages.picture()})
    (source / "link.xml").symlink_to(secret / "x.xml")
    (source / "folder").symlink_to(secret)
    os.mkfifo(source / "pipe.xml")
    (source / os.fsdecode(b"\xff.xml")).write_bytes(pages.xml("y.png"))
    (source / "new\nline.xml").write_bytes(pages.xml("z.png"))
    (tmp_path / "target").mkdir()
    run = Run(tmp_path / "target", source, False)
    assert run.code == 0 and run.seen == [("0001.png", True, 3)] and run.failed == {}
    (tmp_path / "more").mkdir()
    assert Run(tmp_path / "more", source, False, files=1).code == 3


# ---- the engine


@pytest.fixture
def engine(tmp_path: Path) -> OcrImportEngine:
    return OcrImportEngine(tmp_path, 10, 10)


def test_the_engine_understands_the_child(engine: OcrImportEngine, tmp_path: Path) -> None:
    run = run_zip(tmp_path, pages.archive(pages.book(2) | {"bad.xml": b"<x/>"}))
    events = [event for line in run.lines for event in engine.parse(line).events]
    assert [e for e in events if isinstance(e, Warn)] == [
        Warn("bad.xml is neither ALTO nor PAGE: its root element is 'x'")
    ]
    last = {e.key: e.value for e in events if isinstance(e, Note)}
    assert last == {"pages": 2, "lines": 6, "images": 2, "failed": 1}
    steps = [e.step for e in events if isinstance(e, Advance)]
    assert steps == [1, 2, 3] and isinstance(events[-1], Done)


def test_lines_that_the_child_did_not_print(engine: OcrImportEngine) -> None:
    for line in ("", "Traceback", "[]", "5", "null", '{"event": "else"}', "{"):
        assert engine.parse(line).events == ()
    parsed = engine.parse('{"event": "unusable", "message": "the archive is no zip"}')
    assert parsed.level is Level.ERROR and parsed.events == (Fault("the archive is no zip"),)
    failure = engine.explain(Ending(3, False, ("the archive is no zip",), ()))
    assert "nothing was imported: the archive is no zip" in failure.hint


def test_a_directory_that_is_gone(engine: OcrImportEngine, tmp_path: Path) -> None:
    assert engine.validate(JobSpec("ocr_import", "x", {"document_id": 1, "path": str(tmp_path)}))
    with pytest.raises(Invalid, match="path"):
        engine.validate(JobSpec("ocr_import", "x", {"document_id": 1, "path": str(tmp_path / "none")}))
