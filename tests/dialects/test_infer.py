"""Inference of the YOLO platform: every call of its document, bare and enveloped, over a child without torch."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.models.accounts import Actor, Role, scopes_of
from api.models.inference import LookOptions, SentFile
from api.models.room import Room
from api.services.executors.warm import WarmExecutor
from api.services.gpus.fake import FakeSource
from api.services.infer_gpu import InferGpu
from api.services.infer_process import InferLimits, InferProcess
from api.services.inference import Look
from api.services.store import leases
from api.settings import ROOT
from tests.dialects.conftest import Site, envelope, make_site, strict
from tests.infer.models import add_model

OWNER = Actor(9001, "owner", Role.MEMBER, scopes_of(Role.MEMBER))
STRANGER = Actor(9002, "stranger", Role.MEMBER, scopes_of(Role.MEMBER))
FLAT = {"class_id": 1, "class_name": "=disc", "conf": 0.875, "x1": 1.0, "y1": 2.0, "x2": 30.5, "y2": 40.25}
FOUND = {**FLAT, "confidence": 0.875, "bbox": {"x1": 1.0, "y1": 2.0, "x2": 30.5, "y2": 40.25}}
KINDS = ("good", "crash", "broken", "large", "odd", "endless", "torn", "garbage")


def png(width: int = 64, height: int = 48, end: bytes = b"") -> bytes:
    """Its header: more is not looked at here."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0" + end


@dataclass
class Twin:
    """Calls at one of the two renderings."""

    site: Site
    root: str

    def post(self, path: str, files: Any = (), *, who: Actor = OWNER, **fields: Any) -> TestResponse:
        """`files`: (field, bytes, name)."""
        data: dict[str, Any] = dict(fields)
        for field, content, name in files:
            data.setdefault(field, []).append((io.BytesIO(content), name))
        return self.site.call("POST", self.root + path, who=who, data=data, content_type="multipart/form-data")

    def ok(self, response: TestResponse) -> Any:
        assert response.status_code == 200, response.text
        return envelope(response)["data"] if self.root else strict(response.data)

    def refused(self, response: TestResponse, code: int) -> str:
        assert response.status_code == code, response.text
        return str(envelope(response)["message"] if self.root else strict(response.data)["detail"])

    def call(self, method: str, path: str, who: Actor = OWNER, **more: Any) -> TestResponse:
        return self.site.call(method, self.root + path, who=who, **more)

    def image(self, content: bytes | None = None, name: str = "one.png", model: str = "good", **fields: Any) -> Any:
        return self.post(f"/infer/{model}", [("file", content or png(), name)], **fields)


@pytest.fixture(scope="module")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("infer")
    site = make_site(home, FakeSource(0), infer_image_bytes="2000", infer_video_bytes="5000")
    weights = home / "weights.pt"
    weights.write_bytes(b"weights")
    for kind in KINDS:
        add_model(site.services, OWNER, weights, kind)
    inference = site.services.inference
    process = InferProcess(
        WarmExecutor(ROOT, sys.executable, "/usr/bin"),
        InferGpu(site.services.db, site.services.gpus, True),
        InferLimits(4, 300.0, 1 << 30, 20.0, 600.0),
        home=home / "config",
        weights=home,
        log_file=home / "child.log",
        module="tests.unit.infer_toy",
    )
    inference.process = inference._looker._process = process
    yield site
    inference.close()
    site.services.db.close()


@pytest.fixture(params=["", "/api/v1"], ids=["bare", "enveloped"])
def twin(toy_site: Site, request: pytest.FixtureRequest) -> Twin:
    return Twin(toy_site, request.param)


def child_log(site: Site) -> str:
    return (site.home / "child.log").read_text()


# ---- images


def test_an_image(twin: Twin) -> None:
    told = twin.ok(twin.image(conf="0.5"))
    assert told.keys() == {"session_id", "model_id", "image_path", "image_width", "image_height", "detections"}
    assert (told["model_id"], told["image_width"], told["image_height"]) == ("good", 64, 48)
    assert told["detections"] == [FOUND]
    shown = twin.site.call("GET", f"/static/{told['image_path']}", who=OWNER)
    assert (shown.status_code, shown.data, shown.mimetype) == (200, png(), "image/png")
    assert twin.site.call("GET", f"/static/{told['image_path']}", who=STRANGER).status_code == 403


def test_the_picture_with_its_boxes(twin: Twin) -> None:
    response = twin.post("/infer/good?format=image", [("file", png(), "a.png")])
    assert (response.status_code, response.mimetype, response.data) == (200, "image/jpeg", b"\xff\xd8\xff drawn")
    assert "format" in twin.refused(twin.post("/infer/good?format=gif", [("file", png(), "a.png")]), 422)


def test_options_reach_the_model_from_form_or_query(twin: Twin) -> None:
    files = [("file", png(), "a.png")]
    twin.ok(twin.post("/infer/good?imgsz=100&classes=2,0,2", files, conf="0", iou="1", max_det="7"))
    wanted = {"conf": 0.0, "iou": 1.0, "imgsz": 128, "max_det": 7, "classes": [2, 0]}
    assert str(wanted) in child_log(twin.site)
    twin.ok(twin.post("/infer/good", files))
    assert str({"conf": 0.25, "iou": 0.7, "imgsz": 64, "max_det": 300, "classes": None}) in child_log(twin.site)


@pytest.mark.parametrize(
    "fields",
    [
        {"conf": "1.01"}, {"conf": "x"}, {"conf": "nan"}, {"iou": "-1"}, {"imgsz": "31"}, {"imgsz": "1e3"},
        {"max_det": "0"}, {"classes": "a"}, {"classes": "1,"}, {"source": "http://x/"}, {"workspace_id": "a"},
        {"imgsz": "99999"},
    ],
)  # fmt: skip
def test_wrong_options_are_named(twin: Twin, fields: dict[str, str]) -> None:
    assert next(iter(fields)) in twin.refused(twin.image(**fields), 422)


def test_an_option_twice_is_refused(twin: Twin) -> None:
    assert "conf" in twin.refused(twin.post("/infer/good?conf=0.1", [("file", png(), "a.png")], conf="0.2"), 422)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "neither"), (b"<svg/>", "neither"), (png(20_000, 20_000), "pixels"), (png(0, 5), "size"),
        (png(end=b"x" * 3000), "bytes"), (png(end=b"bad"), "decoded"), (b"II*\0" + b"\0" * 40, "neither JPEG nor PNG"),
        (b"BM" + b"\0" * 40, "neither JPEG nor PNG"),
        (b"\xff\xd8\xff\xe0", "damaged"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_by_name(twin: Twin, content: bytes, problem: str) -> None:
    told = twin.refused(twin.post("/infer/good", [("file", content, "my file.png")]), 422)
    assert "'my file.png'" in told and problem in told
    assert not list((twin.site.services.inference.sessions.files.root / ".drafts").iterdir())


def test_files_and_values_are_not_taken_for_each_other(twin: Twin) -> None:
    for name in ("conf", "workspace_id"):
        both = [("file", png(), "a.png"), (name, b"0.9", "b.txt")]
        assert f"{name}: must be a value" in twin.refused(twin.post("/infer/good", both), 422)
    assert "file: must be a file" in twin.refused(twin.post("/infer/good", file="a.png"), 422)
    assert "files: unknown" in twin.refused(twin.post("/infer/good", [("files", png(), "a.png")]), 422)


@pytest.mark.parametrize(
    "body",
    [
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xc4\xe3.png"\r\n\r\n'
        + png()
        + b"\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + png(),
    ],
    ids=["a name in GBK", "cut off"],
)
def test_a_form_that_cannot_be_read_is_no_empty_one(twin: Twin, body: bytes) -> None:
    response = twin.call("POST", "/infer/good", data=body, content_type="multipart/form-data; boundary=b")
    assert "form cannot be read" in twin.refused(response, 400)


def test_thousands_of_files_are_told_how_many_they_may_be(twin: Twin) -> None:
    files = [("files", png(), "a.png")] * 1001
    assert "at most 1000 files" in twin.refused(twin.post("/infer/good/export", files), 413)


def test_a_file_is_needed(twin: Twin) -> None:
    assert "file" in twin.refused(twin.post("/infer/good"), 422)
    two = [("file", png(), "a.png"), ("file", png(), "b.png")]
    assert "file" in twin.refused(twin.post("/infer/good", two), 422)


@pytest.mark.parametrize(("model", "code"), [("nobody", 404), ("broken", 409), ("large", 507)])
def test_a_model_that_cannot(twin: Twin, model: str, code: int) -> None:
    twin.refused(twin.image(model=model), code)


@pytest.mark.parametrize("model", ["crash", "garbage"])
def test_a_crash_is_answered_and_mended(twin: Twin, model: str) -> None:
    response = twin.image(model=model)
    assert twin.refused(response, 503) and response.headers["Retry-After"] == "1"
    twin.ok(twin.image())


# ---- batches and exports


def test_a_batch(twin: Twin) -> None:
    files = [("files", png(), "a.png"), ("files", b"none", "b.png"), ("files", png(end=b"bad"), "c.png"),
             ("files", png(end=b"empty"), "d.png")]  # fmt: skip
    told = twin.ok(twin.post("/infer/batch/run", files, model_ids="good, torn"))
    assert [(row["model_id"], row["images"][0]["filename"]) for row in told["results"]] == [
        ("good", "a.png"), ("good", "d.png"), ("torn", "a.png"), ("torn", "d.png"),
    ]  # fmt: skip
    first = told["results"][0]
    assert first["detections"] == [FOUND] and first["model_name"] == "the good" and first["image_width"] == 64
    assert first["images"] == [
        {"filename": "a.png", "image_width": 64, "image_height": 48, "detections": [FOUND], "detection_count": 1}
    ]
    assert [error["filename"] for error in told["errors"]] == ["b.png", "c.png"]
    assert (told["total_models"], told["total_images"]) == (2, 2)
    assert first["image_path"] == told["results"][2]["image_path"]


def test_a_batch_of_nothing(twin: Twin) -> None:
    one = [("files", png(), "a.png")]
    assert "model_ids" in twin.refused(twin.post("/infer/batch/run", one), 422)
    assert "nobody" in twin.refused(twin.post("/infer/batch/run", one, model_ids="good,nobody"), 404)
    assert "files" in twin.refused(twin.post("/infer/batch/run", model_ids="good"), 422)
    assert "model_ids: is given twice" in twin.refused(
        twin.post("/infer/batch/run", one, model_ids=["good", "odd"]), 422
    )
    assert "'x.png'" in twin.refused(twin.post("/infer/batch/run", [("files", b"", "x.png")], model_ids="good"), 422)


def test_an_export_and_its_zip(twin: Twin) -> None:
    files = [("files", png(), "=SUM(1,2).png"), ("files", png(end=b"empty"), 'b",\n.png'), ("files", b"", "c")]
    told = twin.ok(twin.post("/infer/good/export", files))
    assert told.keys() == {"session_id", "results", "errors", "session_dir"}
    row = told["results"][0]
    assert row["detections"] == [FLAT] and row["detection_count"] == 1 and row["model_id"] == "good"
    assert Path(told["session_dir"]).is_dir()
    archive = twin.call("GET", f"/infer/results/{told['session_id']}/export")
    assert archive.mimetype == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.data)) as found:
        assert found.testzip() is None
        uuids = [row["image_uuid"] for row in told["results"]]
        assert set(found.namelist()) == {"results.csv", "metadata.json", *(f"images/{uuid}.jpg" for uuid in uuids)}
        table = list(csv.reader(io.TextIOWrapper(found.open("results.csv"), "utf-8", newline="")))
        metadata = json.loads(found.read("metadata.json"))
    assert table[0] == [
        "image_uuid", "image_filename", "model_id", "image_width", "image_height", "detection_count",
        "detection_index", "class_id", "class_name", "confidence", "x1", "y1", "x2", "y2",
    ]  # fmt: skip
    assert table[1] == [
        uuids[0], "'=SUM(1,2).png", "good", "64", "48", "1", "0", "1", "'=disc",
        "0.875", "1.0", "2.0", "30.5", "40.25",
    ]  # fmt: skip
    assert table[2][5:] == ["0", *[""] * 8] and len(table) == 3
    assert metadata["session_id"] == told["session_id"] and len(metadata["images"]) == 2
    assert metadata["errors"] == told["errors"]


# ---- videos


def test_a_video(twin: Twin) -> None:
    response = twin.post("/infer/video/good", [("file", b"video", "street.mp4")], conf="0.3")
    told = twin.ok(response)
    film = bytes(range(256)) * 40
    assert base64.b64decode(told["video_data"], validate=True) == film
    assert told["stats"] == {"total_frames": 5, "detections_per_frame": [0, 1, 0, 1, 0]}
    assert told["video_info"] == {
        "fps": 25.0, "width": 64, "height": 48, "total_frames": 5, "processed_frames": 5,
    }  # fmt: skip
    assert told["summary"] == {"total_detections": 2, "frames_with_detections": 2}
    assert told["video_url"] == f"{twin.root}/infer/results/{told['session_id']}/video"
    part = twin.site.call("GET", told["video_url"], who=OWNER, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data, part.mimetype) == (206, film[10:20], "video/mp4")
    assert twin.site.call("GET", told["video_url"], who=OWNER, headers={"Range": "bytes=99999-"}).status_code == 416
    place = twin.site.services.inference.sessions.files.of(told["session_id"])
    assert sorted(path.name for path in place.iterdir()) == ["metadata.json", "video.mp4"]


def test_a_video_is_left_where_it_is(twin: Twin) -> None:
    """For those who show it from `video_url`."""
    told = twin.ok(twin.post("/infer/video/good?video_data=false", [("file", b"video", "street.mp4")]))
    assert told["video_data"] is None and told["summary"]["total_detections"] == 2
    assert twin.site.call("GET", told["video_url"], who=OWNER).data == bytes(range(256)) * 40


def test_a_video_that_is_none(twin: Twin) -> None:
    for path in ("/infer/video/good", "/infer/video/good/stream"):
        assert "'x.mp4'" in twin.refused(twin.post(path, [("file", b"bad", "x.mp4")]), 422)
        assert "'x.mp4'" in twin.refused(twin.post(path, [("file", b"x" * 5001, "x.mp4")]), 422)
        twin.refused(twin.post(path, [("file", b"video", "x.mp4")], conf="2"), 422)
    assert not list((twin.site.services.inference.sessions.files.root / ".drafts").iterdir())


def events(response: TestResponse) -> list[Any]:
    assert response.mimetype == "text/event-stream"
    return [strict(line.removeprefix("data: ").encode()) for line in response.text.split("\n\n") if line]


def test_a_stream_of_frames(twin: Twin) -> None:
    first, *frames, last = events(twin.post("/infer/video/good/stream", [("file", b"video", "x.mp4")]))
    assert first == {"type": "info", "fps": 25.0, "width": 64, "height": 48, "total_frames": 5}
    assert last == {"type": "complete", "processed_frames": 5}
    assert [(frame["type"], frame["frame"], frame["frame_number"]) for frame in frames] == [
        ("frame", number, number) for number in range(5)
    ]
    assert base64.b64decode(frames[0]["image_data"]) == b"\xff\xd8\xff frame" and frames[0]["detections"] == [FOUND]
    assert frames[0]["frame_data"] == frames[0]["image_data"]


def test_a_stream_that_fails_on_the_way_says_so(twin: Twin) -> None:
    told = events(twin.post("/infer/video/torn/stream", [("file", b"video", "x.mp4")]))
    assert told[-1]["type"] == "error" and "frame 2" in told[-1]["detail"] and len(told) == 4


def test_a_stream_that_nobody_reads_ends(toy_site: Site) -> None:
    inference = toy_site.services.inference
    for started in (False, True):
        with toy_site.app.test_request_context("/infer/video/endless/stream", method="POST"):
            model = inference.model(OWNER, "endless")
            sent = SentFile("x.mp4", io.BytesIO(b"video"), 5)
            frames = inference.frames(Look(OWNER, LookOptions()), model, sent)
            if started:
                next(frames.frames)
            before = child_log(toy_site).count("cancelled")
            frames.close()
        twin = Twin(toy_site, "")
        twin.ok(twin.image())  # told after the cancellation, over the same socket
        assert child_log(toy_site).count("cancelled") == before + 1
    assert not list((inference.sessions.files.root / ".drafts").iterdir())


# ---- the GPU


def test_a_gpu_is_leased_like_a_job_s(toy_site: Site) -> None:
    inference, twin = toy_site.services.inference, Twin(toy_site, "")
    life = inference.process._life
    if life is not None and life.child is not None:  # it began without one
        inference.process._retire(life)
    toy_site.gpus(1)
    try:
        twin.ok(twin.image())
        (gpu,) = toy_site.get("/api/v1/gpu/status")["gpus"]
        assert (gpu["status"], gpu["task_type"], gpu["current_task"]) == ("busy", "inference", None)
        assert toy_site.services.gpus.view().why_not(0) == "GPU 0 by inference"
        with toy_site.services.db.read() as connection:
            assert leases.left_of(connection, Room(gpus=(0,))).gpus == ()
        job = toy_site.queued(gpu_id=None)
        assert toy_site.services.queue.reason(job)
        inference.process._used -= 100
        inference.process.tidy()  # a job waits
        deadline = time.monotonic() + 20
        while toy_site.services.gpus.view().free != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        twin.ok(twin.image())  # on the CPU: the job is not overtaken
        assert toy_site.services.gpus.view().free == (0,)
    finally:
        toy_site.gpus(0)
        toy_site.empty()


# ---- sessions


def test_sessions_are_listed_shown_and_deleted(twin: Twin) -> None:
    made = twin.ok(twin.image())["session_id"]
    listed = twin.ok(twin.call("GET", "/infer/results?limit=1"))
    assert listed["total"] >= 1 and [one["session_id"] for one in listed["sessions"]] == [made]
    assert made not in twin.call("GET", "/infer/results", STRANGER).text
    shown = twin.ok(twin.call("GET", f"/infer/results/{made}"))
    assert shown["kind"] == "image" and len(shown["images"]) == 1 and shown["video_url"] is None
    for path in ("export", "video"):
        twin.refused(twin.call("GET", f"/infer/results/{made}/{path}"), 409)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/export"), ("GET", "/video")):
        twin.refused(twin.call(method, f"/infer/results/{made}{path}", STRANGER), 403)
        twin.refused(twin.call(method, f"/infer/results/session_none{path}"), 404)
    assert twin.ok(twin.call("DELETE", f"/infer/results/{made}"))["ok"] is True
    twin.refused(twin.call("GET", f"/infer/results/{made}"), 404)
    assert not twin.site.services.inference.sessions.files.of(made).exists()


def test_a_stranger_cannot_use_a_model(twin: Twin) -> None:
    twin.refused(twin.image(who=STRANGER), 403)
    one = [("files", png(), "a.png")]
    twin.refused(twin.post("/infer/batch/run", one, model_ids="good", who=STRANGER), 403)


def test_sessions_end_with_their_time(toy_site: Site) -> None:
    twin = Twin(toy_site, "")
    made = twin.ok(twin.image())["session_id"]
    sessions = toy_site.services.inference.sessions
    sessions.tidy()
    assert sessions.files.of(made).exists()
    now = sessions._clock()
    sessions._clock = lambda: now + 8 * 86400
    try:
        sessions.tidy()
    finally:
        sessions._clock = lambda: now
    assert not sessions.files.of(made).exists()
    twin.refused(twin.call("GET", f"/infer/results/{made}"), 404)


def test_what_a_crash_left_is_swept_and_what_is_kept_stays(toy_site: Site) -> None:
    twin = Twin(toy_site, "")
    made = twin.ok(twin.image())["session_id"]
    sessions = toy_site.services.inference.sessions
    orphan = sessions.files.of("session_20240115_123456_a1b2c3d4")
    foreign, draft = sessions.files.root / "somebody's", sessions.files.root / ".drafts" / "x"
    for place in (orphan, foreign, draft):
        place.mkdir(parents=True)
    sessions.sweep()
    assert not orphan.exists() and not draft.exists() and foreign.exists() and sessions.files.of(made).exists()


def test_no_path_leads_out_of_a_session(toy_site: Site) -> None:
    twin = Twin(toy_site, "")
    made = twin.ok(twin.post("/infer/good/export", [("files", png(), "a.png")]))["session_id"]
    for path in (f"{made}/metadata.json", f"{made}/images/../metadata.json", f"{made}/uploads/x.jpg", f"{made}/images"):
        assert twin.call("GET", f"/static/inference_results/{path}").status_code == 404
