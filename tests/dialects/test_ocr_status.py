"""The OCR status document replayed, and the routes under /api/v1/ocr that make it true (contract 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.models.accounts import Actor, Role, Scope
from api.models.dialect import OCR_STATUS, OCR_V1, dialect_of
from api.models.job import EndReason, Failure, Job
from api.services.store import jobs as store
from api.services.store import ocr as ocr_store
from api.services.store import ocr_tables
from api.services.store.account_tables import teams
from tests.dialects.conftest import Site
from tests.unit import pages
from tests.unit.toys import ToyEngine

OCR = "/api/v1/ocr"
DENIED = {"detail": "You do not have permission to perform this action."}
OWNER = Actor(501, "owner", Role.MEMBER, frozenset({Scope.READ, Scope.RUN}), frozenset({9}))
MATE = Actor(502, "mate", Role.MEMBER, frozenset({Scope.READ, Scope.RUN}), frozenset({9}))
STRANGER = Actor(503, "stranger", Role.MEMBER, frozenset({Scope.READ, Scope.RUN}))
READER = Actor(501, "owner", Role.MEMBER, frozenset({Scope.READ}))


@pytest.fixture(autouse=True)
def clean(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A trainer that takes any request, and no documents."""
    trainer = ToyEngine()
    trainer.name = "kraken"
    monkeypatch.setitem(site.services.engines, "kraken", trainer)  # type: ignore[index]
    yield
    with site.services.db.write() as connection:
        for table in (ocr_tables.ocr_documents, ocr_tables.ocr_models):
            connection.execute(table.delete())


def document(site: Site, name: str = "a book", **more: Any) -> int:
    who = more.pop("who", OWNER)
    return int(site.data("POST", f"{OCR}/documents", {"name": name, **more}, code=201, who=who)["document_id"])


def upload(site: Site, document_id: int, name: str, content: bytes, who: Actor = OWNER, **fields: Any) -> TestResponse:
    parts = [f'name="{field}"\r\n\r\n{value}'.encode() for field, value in fields.items()]
    parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + content)
    body = b"".join(b"--XX\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--XX--\r\n"
    path, kind = f"{OCR}/documents/{document_id}/import", "multipart/form-data; boundary=XX"
    return site.call("POST", path, data=body, content_type=kind, who=who)


def taken(site: Site, document_id: int, name: str, content: bytes) -> Any:
    answer = upload(site, document_id, name, content)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]["part"]


def book(site: Site, number: int = 2, lines: int = 10, **more: Any) -> int:
    made = document(site, **more)
    for name, content in pages.book(number, lines).items():
        taken(site, made, name, content)
    return made


def model(site: Site, job: str = "segment", **more: Any) -> int:
    body = {"name": "Hebrew_Ashkenazy_Test_v5", "job": job, **more}
    return int(site.data("POST", f"{OCR}/models", body, code=201, who=OWNER)["model_id"])


def train(site: Site, model_id: int, *documents: int, **more: Any) -> Job:
    body = {"document_ids": list(documents), **more}
    data = site.data("POST", f"{OCR}/models/{model_id}/train", body, code=201, who=OWNER)
    assert data["engine"] == "kraken" and data["status"] == "queued"
    return site.job(str(data["task_id"]))


def bare(site: Site, path: str, code: int = 200, who: Any = OWNER) -> Any:
    answer = site.call("GET", path, who=who)
    assert answer.status_code == code, answer.text
    return answer.get_json()


def started(site: Site, job: Job, ago: float, **notes: Any) -> Job:
    running = site.running(job)
    with site.services.db.write() as connection:
        now = time.time()
        store.save(connection, running, now, started_at=now - ago, progress={"notes": notes})
    return site.job(job.id)


# ---- the document's three reads


def test_data_quality_as_documented(site: Site) -> None:
    made = book(site, 2, 10, name="Hebrew_Ashkenazy_Test_v1")
    found = bare(site, f"/api/documents/{made}/data-quality/")
    assert found["estimated_training_time"].pop("note").startswith("Rough estimate")
    assert found == {
        "document_id": made,
        "document_name": "Hebrew_Ashkenazy_Test_v1",
        "parts_count": 2,
        "lines_count": 20,
        "quality_checks": {
            "transcriptions": {"total": 20, "with_transcription": 20, "coverage_percent": 100.0, "status": "excellent"},
            "baselines": {"total": 20, "with_baseline": 20, "coverage_percent": 100.0, "status": "excellent"},
            "polygons": {"total": 20, "with_polygon": 20, "coverage_percent": 100.0, "status": "excellent"},
            "images": {"total": 2, "available": 2, "missing": 0, "status": "excellent"},
        },
        "readiness": {
            "ready_for_segmentation": True,
            "ready_for_recognition": True,
            "warnings": [],
            "recommendations": [],
        },
        "estimated_training_time": {"estimated_seconds": 45, "estimated_human": "~0m"},
    }


def test_data_quality_names_what_lacks(site: Site) -> None:
    made = document(site)
    taken(site, made, "a.xml", pages.xml("a.png", [pages.line(1), pages.line(2, "")]))
    taken(site, made, "b.png", pages.picture())
    found = bare(site, f"/api/documents/{made}/data-quality/")
    assert found["quality_checks"]["images"] == {"total": 2, "available": 1, "missing": 1, "status": "fair"}
    assert found["readiness"]["ready_for_recognition"] is False
    assert found["readiness"]["warnings"] == [
        "1 of 2 lines without a transcription, in: a.png",
        "1 of 2 images missing: a.png",
    ]


def test_training_status_before_any_training(site: Site) -> None:
    made = model(site, "recognize")
    assert bare(site, f"/api/models/{made}/training-status/") == {
        "model_id": made,
        "model_name": "Hebrew_Ashkenazy_Test_v5",
        "model_type": "Recognition",
        "training": False,
        "training_started_at": None,
        "training_duration_seconds": None,
        "training_duration_human": None,
        "current_epoch": None,
        "current_accuracy": None,
        "accuracy_percent": None,
        "data_stats": {
            "training_lines": 0,
            "validation_lines": 0,
            "total_lines": 0,
            "documents_count": 0,
            "parts_count": 0,
            "avg_lines_per_part": 0.0,
        },
        "file_size_mb": None,
        "recent_tasks": [],
    }


def test_training_status_as_documented(site: Site) -> None:
    made, source = model(site), book(site, 3, 13)
    job = train(site, made, source, epochs=50)
    waiting = bare(site, f"/api/models/{made}/training-status/")
    assert (waiting["training"], waiting["training_started_at"], waiting["recent_tasks"][0]["state"]) == (
        False, None, "Queued"
    )  # fmt: skip
    running = started(site, job, 21845.4, epochs_done=5, accuracy=0.156)
    with site.services.db.write() as connection:
        ocr_store.set_model_file(connection, made, "ocr_models/x", 16_022_241, 0.9, time.time())
    found = bare(site, f"/api/models/{made}/training-status/")
    (task,) = found["recent_tasks"]
    assert task.pop("created_at").endswith("Z") and task.pop("start") == found["training_started_at"]
    assert task == {
        "id": running.seq,
        "label": f"Segmentation training: Model {made}",
        "method": "core.tasks.segtrain",
        "state": "Running",
        "end": None,
        "messages": "Training set 36 lines, validation set 3; epoch 5, accuracy 0.156",
    }
    assert len(found["training_started_at"]) == len("2025-10-20T22:51:35Z")
    assert (found["training"], found["training_duration_human"]) == (True, "6h 4m 5s")
    assert (found["current_epoch"], found["current_accuracy"], found["accuracy_percent"]) == (5, 0.156, 15.6)
    assert found["file_size_mb"] == 15.28 and found["model_type"] == "Segmentation"
    assert found["data_stats"] == {
        "training_lines": 36,
        "validation_lines": 3,
        "total_lines": 39,
        "documents_count": 1,
        "parts_count": 3,
        "avg_lines_per_part": 13.0,
    }


@pytest.mark.parametrize(
    ("reason", "state"),
    [(EndReason.DONE, "Finished"), (EndReason.EXIT_CODE, "Crashed"), (EndReason.STOPPED_BY_USER, "Canceled")],
)
def test_the_last_training_stays_the_current_one(site: Site, reason: EndReason, state: str) -> None:
    made, source = model(site, "recognize"), book(site)
    running = started(site, train(site, made, source), 65, epochs_done=1, accuracy=0.0)
    site.ended(reason, Failure("unknown", "look at the log") if state == "Crashed" else None, running)
    found = bare(site, f"/api/models/{made}/training-status/")
    assert (found["training"], found["training_duration_human"]) == (False, "1m 5s")
    assert (found["current_epoch"], found["current_accuracy"], found["accuracy_percent"]) == (1, 0.0, 0.0)
    (task,) = found["recent_tasks"]
    assert (task["state"], task["method"]) == (state, "core.tasks.train") and task["end"].endswith("Z")
    assert ("look at the log" in task["messages"]) == (state == "Crashed")
    train(site, made, source)  # waits: what is told is still the one before
    found = bare(site, f"/api/models/{made}/training-status/")
    assert found["current_epoch"] == 1 and [t["state"] for t in found["recent_tasks"]] == ["Queued", state]


def test_active_trainings_as_documented(site: Site) -> None:
    assert bare(site, "/api/training/active/")["active_trainings"] == []
    made, other, source = model(site), model(site, "recognize"), book(site)
    first = started(site, train(site, made, source), 300, epochs_done=5, accuracy=0.156)
    assert started(site, train(site, other, source), 5).is_alive
    found = bare(site, "/api/training/active/")
    assert found.keys() == {"active_trainings", "total_active", "timestamp"} and found["total_active"] == 2
    newest, oldest = found["active_trainings"]
    assert (newest["current_accuracy"], newest["current_epoch"]) == (0.0, 0), "numbers, as the document formats them"
    assert "%" in f"{newest['current_accuracy']:.1%}"
    assert oldest.pop("started_at").endswith("Z")
    assert oldest == {
        "model_id": made,
        "model_name": "Hebrew_Ashkenazy_Test_v5",
        "model_type": "Segmentation",
        "duration_seconds": 300,
        "duration_human": "5m 0s",
        "current_accuracy": 0.156,
        "current_epoch": 5,
    }
    assert bare(site, "/api/training/active/", who=STRANGER)["total_active"] == 0
    site.ended(EndReason.DONE, job=first)
    assert bare(site, "/api/training/active/")["total_active"] == 1


def test_ten_recent_tasks_at_most(site: Site) -> None:
    made, source = model(site), book(site)
    for _ in range(11):
        site.ended(EndReason.DONE, job=started(site, train(site, made, source), 1))
    found = bare(site, f"/api/models/{made}/training-status/")["recent_tasks"]
    numbers = [task["id"] for task in found]
    assert len(numbers) == 10 and numbers == sorted(numbers, reverse=True)


def test_the_estimate_goes_by_what_was_measured(site: Site) -> None:
    made, source = model(site, "recognize"), book(site, 2, 10)
    running = started(site, train(site, made, source), 100, epochs_done=10)
    site.ended(EndReason.DONE, job=running)  # 20 lines, 10 epochs, 100 s: half a second
    found = bare(site, f"/api/documents/{source}/data-quality/")["estimated_training_time"]
    assert abs(found["estimated_seconds"] - 150) <= 1 and "measured here in 1 training" in found["note"]


# ---- the dialect


def test_a_token_is_needed_as_the_document_says() -> None:
    for path in ("/api/models/1/training-status/", "/api/training/active/", "/api/documents/1/data-quality/"):
        assert dialect_of(path) is OCR_STATUS and dialect_of(path).needs_token
    assert dialect_of(f"{OCR}/documents") is OCR_V1 and OCR_V1.needs_token
    assert not dialect_of("/api/v1/training/list").needs_token


def test_nobody(site: Site) -> None:
    assert bare(site, "/api/training/active/", 401, who=None) == {
        "detail": "Authentication credentials were not provided."
    }


@pytest.mark.parametrize(
    "path", ["/api/models/{}/training-status", "/api/documents/{}/data-quality", "/api/training/active"]
)
def test_a_path_without_its_slash_is_redirected(site: Site, path: str) -> None:
    path = path.format(7)
    answer = site.call("GET", f"{path}?a=1", who=OWNER)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"{path}/?a=1")


def test_what_is_not_there(site: Site) -> None:
    assert bare(site, "/api/models/999999/training-status/", 404) == {"error": "Model not found"}
    assert bare(site, "/api/documents/999999/data-quality/", 404) == {"error": "Document not found"}
    assert bare(site, "/api/models/0/training-status/", 404) == {"error": "Model not found"}
    for path in ("/api/models/x/training-status/", "/api/documents/1/other/"):
        assert list(bare(site, path, 404)) == ["error"]
    answer = site.call("POST", "/api/training/active/", who=OWNER)
    assert (answer.status_code, list(answer.get_json())) == (405, ["detail"])


@pytest.mark.parametrize("path", ["/api/", "/models/", "/admin/"])
def test_the_pages_that_the_document_links(site: Site, path: str) -> None:
    answer = site.client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/ui/")


# ---- who may what


def test_who_may_read_and_change_a_document(site: Site) -> None:
    with site.services.db.write() as connection:
        connection.execute(teams.delete())
        connection.execute(teams.insert().values(id=9, name="team", name_key="team", created_at=0.0))
    alone, shared = book(site), book(site, workspace_id=9)
    line = site.data("GET", f"{OCR}/documents/{alone}/lines", who=OWNER)["lines"][0]["line_id"]
    reads = ("", "/parts", "/lines", "/export")
    for who, ids in ((STRANGER, (alone, shared)), (MATE, (alone,))):
        for each in ids:
            assert bare(site, f"/api/documents/{each}/data-quality/", 403, who=who) == DENIED
            for path in reads:
                assert site.call("GET", f"{OCR}/documents/{each}{path}", who=who).status_code == 403
    assert bare(site, f"/api/documents/{shared}/data-quality/", who=MATE)["lines_count"] == 20
    for path in reads:
        assert site.call("GET", f"{OCR}/documents/{shared}{path}", who=MATE).status_code == 200
    for who in (MATE, STRANGER, READER):
        for each in (alone, shared):
            site.error("DELETE", f"{OCR}/documents/{each}", 403, who=who)
            assert upload(site, each, "a.xml", pages.xml("a.png"), who=who).status_code == 403
        site.error("PATCH", f"{OCR}/documents/{alone}/lines/{line}", 403, {"text": "x"}, who=who)
    assert [d["document_id"] for d in site.data("GET", f"{OCR}/documents", who=MATE)["documents"]] == [shared]
    assert site.data("GET", f"{OCR}/documents", who=STRANGER)["pagination"]["total"] == 0
    assert site.data("GET", f"{OCR}/documents")["pagination"]["total"] == 2, "the operator is an admin"
    site.error("POST", f"{OCR}/documents", 403, {"name": "x", "workspace_id": 9}, who=STRANGER)
    site.error("POST", f"{OCR}/documents", 403, {"name": "x", "workspace_id": 77}, who=OWNER)
    site.error("POST", f"{OCR}/documents", 403, {"name": "x"}, who=READER)
    site.data("DELETE", f"{OCR}/documents/{alone}")
    site.error("GET", f"{OCR}/documents/{alone}", 404, who=OWNER)


def test_who_may_read_and_train_a_model(site: Site) -> None:
    made, source = model(site), book(site)
    assert bare(site, f"/api/models/{made}/training-status/", 403, who=STRANGER) == DENIED
    body = {"document_ids": [source]}
    for who in (STRANGER, READER):
        site.error("POST", f"{OCR}/models/{made}/train", 403, body, who=who)
        site.error("DELETE", f"{OCR}/models/{made}", 403, who=who)
    theirs = site.data("POST", f"{OCR}/models", {"name": "m", "job": "segment"}, code=201, who=STRANGER)["model_id"]
    site.error("POST", f"{OCR}/models/{theirs}/train", 403, body, who=STRANGER)  # of a document that they may not read
    site.error("POST", f"{OCR}/models", 403, {"name": "m", "job": "segment", "base_model_id": made}, who=STRANGER)
    for who, total in ((STRANGER, 1), (OWNER, 1), (site.operator, 2)):
        assert site.data("GET", f"{OCR}/models", who=who)["pagination"]["total"] == total


# ---- taking in


def test_one_xml_and_its_image_in_either_order(site: Site) -> None:
    for order in (("a.xml", "a.png"), ("a.png", "a.xml")):
        made = document(site)
        content = {"a.xml": pages.xml("a.png", 4, "alto"), "a.png": pages.picture()}
        for name in order:
            part = taken(site, made, name, content[name])
        assert (part["name"], part["image_available"], part["lines_count"]) == ("a.png", True, 4)
        found = site.data("GET", f"{OCR}/documents/{made}", who=OWNER)
        assert (found["parts_count"], found["lines_count"], found["images_available"]) == (1, 4, 1)
        image = site.call("GET", f"{OCR}/documents/{made}/parts/{part['part_id']}/image", who=OWNER)
        assert image.data == content["a.png"]


@pytest.mark.parametrize("name", pages.HOSTILE)
def test_a_hostile_file_is_refused_and_the_document_unchanged(site: Site, name: str) -> None:
    made = book(site, 1, 2)
    before = site.data("GET", f"{OCR}/documents/{made}", who=OWNER)
    answer = upload(site, made, name, pages.HOSTILE[name])
    assert answer.status_code == 422, answer.text
    (error,) = answer.get_json()["data"]["errors"]
    assert error["field"] == "file" and name in error["message"]
    assert site.data("GET", f"{OCR}/documents/{made}", who=OWNER) == before


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xffjunk", b"II*\0"])
def test_a_broken_image_is_refused(site: Site, content: bytes) -> None:
    made = document(site)
    assert upload(site, made, "a.png", content).status_code == 422
    assert site.data("GET", f"{OCR}/documents/{made}", who=OWNER)["parts_count"] == 0


def test_names_of_uploads_are_names_only(site: Site) -> None:
    made = document(site)
    for name in ("../../../etc/cron.d/x.png", "C:x.png", "C:\\\\windows\\\\x.png", "/etc/x.png"):
        assert taken(site, made, name, pages.picture())["name"] == "x.png"
    directory = site.services.settings.data_dir / "documents" / str(made)
    assert len(list(directory.iterdir())) == 1, "each took the place of the one before"


def test_an_archive_is_a_job(site: Site) -> None:
    made = document(site)
    answer = upload(site, made, "book.zip", pages.archive(pages.book()))
    assert answer.status_code == 202, answer.text
    task = answer.get_json()["data"]["task"]
    assert (task["status"], task["document_id"], task["failed"], task["problems"]) == ("queued", made, None, [])
    job = site.job(str(task["task_id"]))
    assert (job.engine, job.dialect, job.seq) == ("ocr_import", "ocr_status", task["task_id"])
    imports = site.services.settings.data_dir / "imports"
    assert (imports / job.id / "upload").read_bytes().startswith(b"PK")
    assert site.data("GET", f"{OCR}/imports/{job.id}", who=OWNER) == task
    site.error("GET", f"{OCR}/imports/{job.id}", 403, who=STRANGER)
    site.error("DELETE", f"{OCR}/documents/{made}", 409, who=OWNER)
    training = train(site, model(site), book(site))
    site.error("GET", f"{OCR}/imports/{training.id}", 404, who=OWNER)
    assert site.data("POST", f"/api/v1/training/stop/{job.id}", who=OWNER)["status"] == "stopped"
    site.data("DELETE", f"{OCR}/documents/{made}", who=OWNER)


def test_a_directory_must_be_under_a_root(site: Site) -> None:
    made = document(site)
    root = site.services.settings.data_dir / "workspace" / "scans"
    root.mkdir(exist_ok=True)
    path = f"{OCR}/documents/{made}/import"
    assert site.data("POST", path, {"path": str(root)}, code=202, who=OWNER)["task"]["status"] == "queued"
    site.error("POST", path, 403, {"path": "/etc"}, who=OWNER)
    site.error("POST", path, 403, {"path": str(site.services.settings.data_dir)}, who=OWNER)
    for wrong in ({"path": "scans"}, {"path": str(root / "none")}, {"path": 5}, {}, {"path": str(root), "x": 1}):
        site.error("POST", path, 422, wrong, who=OWNER)


def test_bodies_of_imports(site: Site) -> None:
    made = document(site)
    path = f"{OCR}/documents/{made}/import"
    site.error("POST", path, 415, data=b"x", content_type="text/plain", who=OWNER)
    site.error("POST", path, 400, data=b"{", content_type="application/json", who=OWNER)
    site.error("POST", path, 422, data={"file": "text"}, content_type="multipart/form-data", who=OWNER)
    assert upload(site, made, "a.png", pages.picture(), other="x").status_code == 422
    site.error("POST", f"{OCR}/documents/999999/import", 404, {"path": "/x"}, who=OWNER)


# ---- looking, correcting, exporting


def test_lists_are_paged(site: Site) -> None:
    made = book(site, 3, 5)
    for kind, total in (("parts", 3), ("lines", 15)):
        seen = []
        for offset in range(0, total, 2):
            answer = site.data("GET", f"{OCR}/documents/{made}/{kind}?limit=2&offset={offset}", who=OWNER)
            assert answer["pagination"] == {
                "total": total, "limit": 2, "offset": offset, "has_more": offset + 2 < total
            }  # fmt: skip
            seen += [next(iter(each.values())) for each in answer[kind]]
        assert len(seen) == len(set(seen)) == total
        for wrong in ("limit=0", "limit=501", "offset=-1", "limit=x"):
            site.error("GET", f"{OCR}/documents/{made}/{kind}?{wrong}", 422, who=OWNER)
    part = site.data("GET", f"{OCR}/documents/{made}/parts", who=OWNER)["parts"][1]["part_id"]
    lines = site.data("GET", f"{OCR}/documents/{made}/parts/{part}/lines", who=OWNER)["lines"]
    assert [each["position"] for each in lines] == [1, 2, 3, 4, 5]
    assert lines[0]["baseline"] == [[2, 10], [30, 11], [58, 10]] and lines[0]["text"] == "line 1"
    other = document(site)
    site.error("GET", f"{OCR}/documents/{other}/parts/{part}/lines", 404, who=OWNER)
    site.error("GET", f"{OCR}/documents/{other}/parts/{part}/image", 404, who=OWNER)


def test_a_transcription_is_corrected(site: Site) -> None:
    made = book(site, 1, 2)
    line = site.data("GET", f"{OCR}/documents/{made}/lines", who=OWNER)["lines"][0]["line_id"]
    path = f"{OCR}/documents/{made}/lines/{line}"
    assert site.data("PATCH", path, {"text": "ש"}, who=OWNER)["text"] == "ש"
    assert site.data("PATCH", path, {"text": " "}, who=OWNER)["text"] == " "
    assert site.data("GET", f"{OCR}/documents/{made}", who=OWNER)["with_transcription"] == 1
    for wrong in ({"text": "a\x01"}, {"text": 5}, {}, {"text": "x", "baseline": []}):
        site.error("PATCH", path, 422, wrong, who=OWNER)
    site.error("PATCH", f"{OCR}/documents/{document(site)}/lines/{line}", 404, {"text": "x"}, who=OWNER)


@pytest.mark.parametrize("form", ["page", "alto"])
def test_an_export_holds_everything(site: Site, form: str) -> None:
    made = book(site, 2, 3, name="משנה / 1")
    answer = site.call("GET", f"{OCR}/documents/{made}/export?format={form}", who=OWNER)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert "filename*=UTF-8''" in answer.headers["Content-Disposition"]
    files = pages.unpacked(answer.data)
    assert sorted(files) == ["0001.png", "0001.xml", "0002.png", "0002.xml"]
    assert (b"<alto" in files["0001.xml"]) == (form == "alto")
    again = document(site)
    for name, content in files.items():
        taken(site, again, name, content)
    seen = ("position", "external_id", "baseline", "boundary", "text")
    ours, theirs = (site.data("GET", f"{OCR}/documents/{each}/lines", who=OWNER)["lines"] for each in (made, again))
    assert [[line[k] for k in seen] for line in ours] == [[line[k] for k in seen] for line in theirs]
    site.error("GET", f"{OCR}/documents/{made}/export?format=docx", 422, who=OWNER)
    assert site.services.streams.open == 0


# ---- models and trainings


def test_a_model_and_its_file(site: Site) -> None:
    made = model(site, "recognize")
    base = model(site, "recognize", base_model_id=made)
    site.error("GET", f"{OCR}/models/{made}/download", 404, who=OWNER)
    directory = site.services.settings.data_dir / "ocr_models" / str(made)
    directory.mkdir()
    (directory / "best.safetensors").write_bytes(b"weights")
    with site.services.db.write() as connection:
        relative = f"ocr_models/{made}/best.safetensors"
        ocr_store.set_model_file(connection, made, relative, 7, 0.97, time.time())
    found = site.data("GET", f"{OCR}/models/{made}", who=OWNER)
    assert (found["file_available"], found["accuracy"], found["file_size_mb"]) == (True, 0.97, 0.0)
    answer = site.call("GET", f"{OCR}/models/{made}/download", who=OWNER, headers={"Range": "bytes=0-2"})
    assert (answer.status_code, answer.data) == (206, b"wei")
    assert 'filename="Hebrew_Ashkenazy_Test_v5.safetensors"' in answer.headers["Content-Disposition"]
    site.data("DELETE", f"{OCR}/models/{made}", who=OWNER)
    assert not directory.exists()
    assert site.data("GET", f"{OCR}/models/{base}", who=OWNER)["base_model_id"] is None
    site.error("GET", f"{OCR}/models/{made}/download", 404, who=OWNER)


def test_what_models_cannot_be(site: Site) -> None:
    made = model(site)
    for wrong in (
        {"name": "m"}, {"name": "m", "job": "train"}, {"name": "", "job": "segment"}, {"name": "m", "job": "segment", "x": 1},
        {"name": "m", "job": "segment", "base_model_id": 999999}, {"name": "m", "job": "recognize", "base_model_id": made},
    ):  # fmt: skip
        site.error("POST", f"{OCR}/models", 422, wrong, who=OWNER)


def test_a_training_is_handed_to_the_engine(site: Site) -> None:
    made, source = model(site, "recognize"), book(site)
    options = {"epochs": 3, "lrate": 0.001, "batch_size": 2, "augment": True, "device": "cpu", "lag": 4, "seed": 5}
    job = train(site, made, source, **options)
    assert job.spec.params == {
        **options, "task": "train", "model_id": made, "document_ids": [source], "base_model": None
    }  # fmt: skip
    assert job.id == str(job.seq) and job.dialect == "ocr_status"
    again = site.error("POST", f"{OCR}/models/{made}/train", 409, {"document_ids": [source]}, who=OWNER)
    assert again["data"] == {"task_id": job.id}
    site.error("DELETE", f"{OCR}/models/{made}", 409, who=OWNER)
    site.error("DELETE", f"{OCR}/documents/{source}", 409, who=OWNER)
    assert site.data("GET", f"/api/v1/training/{job.id}", who=OWNER)["engine"] == "kraken"
    listed = site.data("GET", "/api/v1/training/list?dialect=ocr_status", who=OWNER)["tasks"]
    assert [each["task_id"] for each in listed] == [job.id]


def test_trainings_that_cannot_be(site: Site) -> None:
    made, empty = model(site), document(site)
    path = f"{OCR}/models/{made}/train"
    for wrong in (
        {}, {"document_ids": []}, {"document_ids": [999999]}, {"document_ids": [empty]}, {"document_ids": ["1"]},
        {"document_ids": [2**63]}, {"document_ids": [10**400]},
        {"document_ids": [1], "epochs": 0}, {"document_ids": [1], "lrate": 0}, {"document_ids": [1], "augment": "yes"},
        {"document_ids": [1], "more": 1},
    ):  # fmt: skip
        site.error("POST", path, 422, wrong, who=OWNER)
    site.error("POST", f"{OCR}/models/999999/train", 404, {"document_ids": [1]}, who=OWNER)


def test_an_evaluation(site: Site) -> None:
    made, source = model(site, "recognize"), book(site)
    path = f"{OCR}/models/{made}/evaluate"
    site.error("POST", path, 409, {"document_id": source}, who=OWNER)  # it has no file
    with site.services.db.write() as connection:
        ocr_store.set_model_file(connection, made, "ocr_models/1/best.safetensors", 7, 0.97, time.time())
    task = site.data("POST", path, {"document_id": source}, code=201, who=OWNER)["task_id"]
    params = site.job(str(task)).spec.params
    assert (params["task"], params["document_ids"]) == ("test", [source])
    assert params["base_model"] == str(site.services.settings.data_dir / "ocr_models/1/best.safetensors")
    assert bare(site, f"/api/models/{made}/training-status/")["recent_tasks"] == [], "it is no training"
    site.error("POST", f"{OCR}/models/{model(site)}/evaluate", 409, {"document_id": source}, who=OWNER)
