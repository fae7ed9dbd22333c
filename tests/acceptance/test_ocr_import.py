"""Documents through a real service: an archive is imported by a real child, and a crash in between is mended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import REPO, Service, wait_for
from tests.unit import pages

Maker = Callable[..., Service]
OCR = "/api/v1/ocr"
ENDED = ("completed", "failed", "stopped")


def token_of(service: Service, name: str = "scribe") -> dict[str, str]:
    """Of a new user, by the command line."""

    def run(*words: str) -> str:
        command = [sys.executable, "run.py", *words, "--data-dir", str(service.data)]
        done = subprocess.run(command, cwd=REPO, input="a long password\n", capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].strip()

    run("user", "add", name)
    return {"Authorization": "Token " + run("token", "create", name)}


class Scribe:
    """A client of the OCR routes."""

    def __init__(self, service: Service, headers: Mapping[str, str]) -> None:
        self.service, self.headers = service, headers

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.service.call(method, path, body, headers=self.headers, **more)

    def get(self, path: str) -> Any:
        return self.call("GET", path).expect(200)

    def document(self, name: str = "a book") -> int:
        return int(self.call("POST", f"{OCR}/documents", {"name": name}).expect(201)["document_id"])

    def upload(self, document: int, name: str, content: bytes) -> Any:
        return self.call("POST", f"{OCR}/documents/{document}/import", files={"file": (name, content)})

    def ended(self, task: int, deadline: float = 40) -> Any:
        def look() -> Any:
            state = self.get(f"{OCR}/imports/{task}")
            return state if state["status"] in ENDED else None

        return wait_for(look, deadline, "the import to end")

    def imported(self, document: int, content: bytes) -> Any:
        task = self.upload(document, "book.zip", content).expect(202)["task"]
        return self.ended(task["task_id"])


@pytest.fixture(scope="module")
def scribe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    service = Service(tmp_path_factory.mktemp("ocr"))
    try:
        headers = token_of(service)
        yield Scribe(service.start(), headers)
    finally:
        service.close()


def test_an_archive_becomes_a_document_and_an_archive_again(scribe: Scribe) -> None:
    book = pages.book(12, 20)
    first = scribe.document()
    state = scribe.imported(first, pages.archive(book))
    assert state["status"] == "completed", state
    assert (state["pages"], state["lines"], state["images"], state["failed"]) == (12, 240, 12, 0)
    report = scribe.call("GET", f"/api/documents/{first}/data-quality/").expect(200)
    assert (report["parts_count"], report["lines_count"]) == (12, 240)
    assert report["readiness"]["ready_for_recognition"] is True
    for form in ("page", "alto"):
        out = scribe.call("GET", f"{OCR}/documents/{first}/export?format={form}")
        again = pages.unpacked(out.raw)
        assert again.keys() == book.keys()
        assert all(again[name] == book[name] for name in book if name.endswith(".png"))
        second = scribe.document("a copy")
        assert scribe.imported(second, out.raw)["status"] == "completed"
        ours, theirs = (scribe.get(f"{OCR}/documents/{each}/lines?limit=500")["lines"] for each in (first, second))
        seen = ("position", "external_id", "baseline", "boundary", "text")
        assert [[line[k] for k in seen] for line in ours] == [[line[k] for k in seen] for line in theirs]
        scribe.call("DELETE", f"{OCR}/documents/{second}").expect(200)
    wait_for(lambda: not list((scribe.service.data / "imports").iterdir()), 10, "what imports left to be swept")
    assert sorted(p.name for p in (scribe.service.data / "documents").iterdir()) == [str(first)]
    assert scribe.service.errors().count("Traceback") == 0


def test_a_job_like_every_other(scribe: Scribe) -> None:
    document = scribe.document()
    state = scribe.imported(document, pages.archive(pages.book(2) | {"bad.xml": b"<alto><x></alto>"}))
    assert (state["status"], state["pages"], state["failed"]) == ("completed", 2, 1)
    (problem,) = state["problems"]
    assert problem.startswith("bad.xml is not well-formed XML")
    detail = scribe.get(f"/api/v1/training/{state['task_id']}")
    assert (detail["engine"], detail["dialect"], detail["status"]) == ("ocr_import", "ocr_status", "completed")
    logs = scribe.get(f"/api/v1/training/{state['task_id']}/logs?level=WARNING")
    assert [line["level"] for line in logs["logs"]] == ["WARNING"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (pages.archive({"../up.xml": pages.xml("a.png")}), "unsafe name"),
        (pages.archive({"readme.txt": b"hello"}), "neither XML nor images"),
        (b"PK\3\4 no zip at all", "no zip"),
    ],
)
def test_an_archive_that_cannot_be_used_leaves_the_document_as_it_was(
    scribe: Scribe, content: bytes, word: str
) -> None:
    document = scribe.document()
    state = scribe.imported(document, content)
    assert state["status"] == "failed" and word in state["error_message"], state
    assert scribe.get(f"{OCR}/documents/{document}")["parts_count"] == 0


def test_a_directory(scribe: Scribe) -> None:
    root = pages.put(scribe.service.data / "workspace" / "scans", pages.book(3))
    (root / "link.xml").symlink_to("/etc/passwd")
    document = scribe.document()
    started = scribe.call("POST", f"{OCR}/documents/{document}/import", {"path": str(root)}).expect(202)
    state = scribe.ended(started["task"]["task_id"])
    assert (state["status"], state["pages"], state["failed"]) == ("completed", 3, 0)
    assert (root / "0001.png").exists()


def test_an_upload_without_a_token_is_refused_before_it_is_read(scribe: Scribe) -> None:
    answer = httpx.post(
        f"{scribe.service.url}{OCR}/documents/1/import", files={"file": ("a.zip", b"x" * 3_000_000)}, trust_env=False
    )
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Token"


@pytest.mark.parametrize("point", ["import.before_batch", "import.after_batch"])
def test_a_crash_while_pages_become_rows_is_mended(make_service: Maker, point: str) -> None:
    service = make_service()
    headers = token_of(service)
    scribe = Scribe(service.start(fault=point), headers)
    document = scribe.document()
    task = scribe.upload(document, "book.zip", pages.archive(pages.book(4, 700))).expect(202)["task"]["task_id"]
    service.wait_dead()
    service.start()
    state = scribe.ended(task)
    assert (state["status"], state["pages"], state["lines"]) == ("completed", 4, 2800)
    found = scribe.get(f"{OCR}/documents/{document}")
    assert (found["parts_count"], found["lines_count"], found["images_available"]) == (4, 2800, 4)
    assert len(list((service.data / "documents" / str(document)).iterdir())) == 4


def test_the_data_directory_holds_nothing_that_others_may_read(scribe: Scribe) -> None:
    for name in ("imports", "documents", "ocr_models"):
        assert Path(scribe.service.data / name).stat().st_mode & 0o077 == 0
