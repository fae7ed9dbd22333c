"""Models of the YOLO platform: every example of its document, bare and enveloped, and what is done to them."""

from __future__ import annotations

import io
import json
import pickle
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api.models.accounts import Actor
from api.models.events import Axis, Metric
from api.models.job import EndReason, Job, JobSpec
from api.models.yolo_model import YoloModel
from api.services.engines.base import Availability
from api.services.executors.short import Ended
from api.services.store.jobs import save
from api.services.store.metric_writer import SeriesWriter
from api.utils.errors import Unavailable
from tests.dialects.conftest import Site
from tests.dialects.test_yolo_datasets import BARE, ISO, OWNER, STRANGER, V1, Platform
from tests.unit.weights_trial import Call
from tests.unit.yolo_models import HISTORY, packed, registered, trial

DOCUMENT = {"model_id", "name", "description", "weights_path", "file_size", "file_size_mb", "created_at", "job_id",
            "dataset_id", "tags"}  # fmt: skip
FACTS: dict[str, Any] = {
    "task": "detect", "classes": ["a", "b"], "imgsz": 64, "epochs": 2, "base_model": "yolov8n.pt",
    "model_info": {"task": "detect", "model_type": "yolov8n", "total_params": 3, "trainable_params": 2,
                   "total_params_m": 0.0},
    "metrics": {"metrics/mAP50(B)": 0.5}, "series": {"epoch": [1, 2], "train/box_loss": [2, 1]},
}  # fmt: skip


class Checker:
    """In the child's place: finds any weights good."""

    def __init__(self, ended: Ended | None = None, facts: dict[str, Any] | None = None) -> None:
        self.ended, self.facts = ended or Ended(0, ""), facts or FACTS
        self.weights: list[bytes] = []

    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended:
        self.weights.append(Path(json.loads(given)["weights"]).read_bytes())
        (cwd / "facts.json").write_text(json.dumps(self.facts))
        return self.ended

    def close(self) -> None: ...


class Models(Platform):
    def sent(self, files: dict[str, bytes | dict[str, Any]], name: str = "my_model.zip", **form: str) -> dict[str, Any]:
        return self.send(packed(files), name, **form)

    def kept(self) -> set[str]:
        """Directories of models, drafts aside; of those there is none."""
        root = self.site.services.models.root
        assert not (root / ".drafts").exists() or list((root / ".drafts").iterdir()) == []
        return {path.name for path in root.iterdir() if not path.name.startswith(".")} if root.exists() else set()

    def model(self, owner: Actor = OWNER, **fields: Any) -> YoloModel:
        return registered(self.site.services, owner, **fields)


@pytest.fixture(params=[BARE, V1], ids=["bare", "enveloped"])
def models(site: Site, request: pytest.FixtureRequest) -> Models:
    return Models(site, request.param)


@pytest.fixture
def bare(site: Site) -> Models:
    return Models(site, BARE)


@pytest.fixture
def checker(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checker]:
    made = Checker()
    monkeypatch.setattr(site.services.model_uploads, "_runner", made)
    yield made
    assert list((site.services.settings.data_dir / "tmp").iterdir()) == []


# ---- the document


def test_look_change_and_delete(models: Models) -> None:
    made = models.model()
    one = f"/models/{made.id}"
    item = next(each for each in models.ok("GET", "/models")["models"] if each["model_id"] == made.id)
    assert set(item) >= DOCUMENT and ISO.fullmatch(item["created_at"])
    assert item["weights_path"] == str(models.site.services.models.weights(made)) and item["file_size_mb"] == 0.0
    detail = models.ok("GET", one)
    assert {name: detail[name] for name in item} == item
    assert detail["training_metrics"]["mAP50"] == 0.6 and detail["training_metrics"]["mAP50-95"] is None
    assert detail["training_metrics"]["training_history"] == HISTORY
    body = {"name": "Updated Model Name", "description": "Updated description", "tags": ["updated", "tags"]}
    changed = models.ok("PUT", one, body)
    assert {name: changed[name] for name in body} == body and models.ok("GET", one) == changed
    assert models.ok("PUT", one, {"tags": []})["name"] == "Updated Model Name"
    assert models.ok("DELETE", one) == {"ok": True, "message": "Model deleted successfully"}
    assert made.id not in models.kept()
    assert "there is no model" in models.detail("GET", one, 404)


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"tags": "x"},
        {"tags": [1]},
        {"name": "a\0"},
        {"name": "a\nb"},
        {"tags": ["\x1b"]},
        {"weights_path": "/x"},
    ],
)
def test_changes_that_cannot_be(bare: Models, body: dict[str, Any]) -> None:
    made = bare.model()
    assert next(iter(body)) in bare.detail("PUT", f"/models/{made.id}", 422, body)
    assert bare.ok("GET", f"/models/{made.id}")["name"] == made.name


def test_the_list_shows_what_one_may_read(bare: Models) -> None:
    made = bare.model()
    assert made.id not in {each["model_id"] for each in bare.ok("GET", "/models", who=STRANGER)["models"]}


# ---- upload, with the real child


def test_export_and_upload_again(bare: Models) -> None:
    models, (home, _) = bare, trial()
    weights = (home / "good.pt").read_bytes()
    made = models.ok("POST", "/models/upload", **models.sent({"weights/best.pt": weights}))
    assert set(made) >= DOCUMENT | {"source", "classes"}
    assert (made["name"], made["description"], made["tags"], made["source"]) == (
        "my_model", "Uploaded model from my_model.zip", ["uploaded"], "uploaded",
    )  # fmt: skip
    assert made["classes"] == ["square", "disc"] and made["file_size"] == len(weights)
    assert (made["task"], made["imgsz"], made["epochs"], made["base_model"]) == ("detect", 64, 2, "yolov8n.pt")
    assert made["training_metrics"]["mAP50"] == 0.5
    assert made["training_metrics"]["training_history"]["train_box_loss"] == [3.0, 2.0]
    assert made["model_info"]["total_params"] > 10_000
    one = f"/models/{made['model_id']}"
    assert Path(made["weights_path"]).read_bytes() == weights
    assert sorted(path.name for path in Path(made["weights_path"]).parents[1].rglob("*")) == ["best.pt", "weights"]

    answer = models.call("GET", f"{one}/export")
    assert answer.mimetype == "application/zip" and f'{made["model_id"]}.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert sorted(archive.namelist()) == [f"{made['model_id']}/model.json", f"{made['model_id']}/weights/best.pt"]
        assert archive.read(f"{made['model_id']}/weights/best.pt") == weights

    again = models.ok("POST", "/models/upload", **models.send(answer.data, "again.zip"))
    assert again["model_id"] != made["model_id"], "the id is taken"
    same = ("name", "description", "tags", "classes", "training_metrics", "model_info", "imgsz", "base_model")
    assert {name: again[name] for name in same} == {name: made[name] for name in same}
    assert again["origin"]["model_id"] == made["model_id"]


def test_weights_that_would_run_code(models: Models, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    evil = packed(
        {"archive/data.pkl": pickle.dumps(Call(exec, f"open({str(trap)!r}, 'w')"), 2), "archive/version": b"3\n"}
    )
    before = models.kept()
    told = models.detail("POST", "/models/upload", 400, **models.sent({"m/weights/best.pt": evil, "m/model.json": {}}))
    assert "m/weights/best.pt names builtins.exec, which is no part of a YOLO model" in told.replace(
        "__builtin__", "builtins"
    )
    assert not trap.exists() and models.kept() == before


# ---- upload, the archive


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["weights/best.pt"], "weights/best.pt"),
        (["m/weights/last.pt", "m/weights/best.pt", "m/args.yaml"], "m/weights/best.pt"),
        (["weights/epoch3.pt", "weights/last.pt"], "weights/last.pt"),
        (["weights/b.pt", "weights/a.pt"], "weights/a.pt"),
        (["weights/my.PT", "__MACOSX/weights/best.pt", "weights/._my.pt"], "weights/my.PT"),
    ],
)
def test_both_layouts(bare: Models, checker: Checker, names: list[str], taken: str) -> None:
    made = bare.ok("POST", "/models/upload", **bare.sent({name: name.encode() for name in names}))
    assert checker.weights == [taken.encode()] and Path(made["weights_path"]).read_bytes() == taken.encode()
    assert made["weights_path"].endswith("/weights/best.pt")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"best.pt": b"x"}, "has no weights/*.pt"),
        ({"a/b/weights/best.pt": b"x"}, "has no weights/*.pt"),
        ({"weights/best.onnx": b"x"}, "has no weights/*.pt"),
        ({"a/weights/best.pt": b"x", "b/weights/best.pt": b"x"}, "holds several models: a/, b/"),
        ({"../weights/best.pt": b"x"}, "unsafe name"),
        ({"/weights/best.pt": b"x"}, "unsafe name"),
        ({"weights/best.pt": b"x", "model.json": b"{"}, "model.json is no JSON"),
        ({"weights/best.pt": b"x", "model.json": {"name": 1}}, "model.json name: must be"),
        ({"weights/best.pt": b"x", "model.json": {"classes": ["a"]}}, "names 1 classes, and weights/best.pt has 2"),
    ],
)
def test_archives_that_are_refused(bare: Models, checker: Checker, files: dict[str, Any], says: str) -> None:
    before = bare.kept()
    assert says in bare.detail("POST", "/models/upload", 400, **bare.sent(files))
    assert bare.kept() == before


def test_what_is_no_upload(bare: Models, checker: Checker) -> None:
    assert "zip" in bare.detail("POST", "/models/upload", 400, **bare.send(b"no zip"))
    assert "file" in bare.detail("POST", "/models/upload", 422, data={})
    more = bare.sent({"weights/best.pt": b"x"}, path="/etc/passwd")
    assert "path: unknown field" in bare.detail("POST", "/models/upload", 422, **more)
    more = bare.sent({"weights/best.pt": b"x"}, workspace_id="999")
    assert "workspace 999" in bare.detail("POST", "/models/upload", 403, **more)
    assert checker.weights == []


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("model_20240115_999999", True), ("model_../../x", False), ("../model_1", False), ("model_" + "x" * 59, False),
        ("mine", False), (".drafts", False), ("model_a b", False), ("model_1\n", None),
    ],
)  # fmt: skip
def test_the_id_of_the_archive(bare: Models, checker: Checker, wanted: str, kept: bool | None) -> None:
    files: dict[str, Any] = {"weights/best.pt": b"x", "model.json": {"model_id": wanted}}
    if kept is None:
        assert "model_id: must be" in bare.detail("POST", "/models/upload", 400, **bare.sent(files))
        return
    made = bare.ok("POST", "/models/upload", **bare.sent(files))
    assert (made["model_id"] == wanted) is kept
    again = bare.ok("POST", "/models/upload", **bare.sent(files))
    assert again["model_id"] not in (made["model_id"], wanted)
    for each in (made, again):
        bare.ok("DELETE", f"/models/{each['model_id']}")


def test_the_folder_is_an_id_too(bare: Models, checker: Checker) -> None:
    made = bare.ok("POST", "/models/upload", **bare.sent({"model_20240115_123457/weights/best.pt": b"x"}))
    assert made["model_id"] == "model_20240115_123457"
    bare.ok("DELETE", "/models/model_20240115_123457")


def test_lineage_of_another_service_is_told_and_not_believed(bare: Models, checker: Checker) -> None:
    """Else an upload could pass for what somebody's training left."""
    theirs = bare.model()
    said = {"name": "n", "job_id": theirs.job_id, "dataset_id": theirs.dataset_id, "tags": [], "description": ""}
    said |= {"base_model": "yolo11s.pt"}
    made = bare.ok("POST", "/models/upload", **bare.sent({"weights/best.pt": b"x", "model.json": said}), who=STRANGER)
    assert (made["job_id"], made["dataset_id"], made["source"]) == (None, None, "uploaded")
    assert made["origin"] == {"job_id": theirs.job_id, "dataset_id": theirs.dataset_id, "base_model": "yolo11s.pt"}
    assert made["base_model"] == "yolo11s.pt", "the weights name the file that their last run began from"
    assert (made["name"], made["description"], made["tags"], made["classes"]) == ("n", "", [], ["a", "b"])


@pytest.mark.parametrize(
    ("ended", "code", "says"),
    [
        (Ended(3, "warning: x\nnames os.system, which"), 400, "weights/best.pt names os.system, which"),
        (Ended(-9, "", timed_out=True), 400, "takes more time or memory"),
        (Ended(-24, ""), 400, "takes more time or memory"),
        (Ended(1, "Traceback"), 503, "ended with exit code 1"),
    ],
)
def test_how_the_check_ends(bare: Models, checker: Checker, ended: Ended, code: int, says: str) -> None:
    checker.ended = ended
    before = bare.kept()
    assert says in bare.detail("POST", "/models/upload", code, **bare.sent({"weights/best.pt": b"x"}))
    assert bare.kept() == before


def test_without_ultralytics(bare: Models, checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Availability(False, None, "there is no ultralytics")
    monkeypatch.setattr(bare.site.services.model_uploads, "_state", lambda: state)
    told = bare.detail("POST", "/models/upload", 503, **bare.sent({"weights/best.pt": b"x"}))
    assert "there is no ultralytics" in told and checker.weights == []


def test_two_at_a_time(bare: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = bare.site.services.model_uploads
    monkeypatch.setattr(uploads, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr("api.services.yolo_model_upload.PATIENCE", 0.0)
    with uploads._one_place(), pytest.raises(Unavailable, match="too many models"), uploads._one_place():
        pass


# ---- what crashes leave


def test_sweep(site: Site, bare: Models) -> None:
    kept, root = bare.model(), site.services.models.root
    for name in (".drafts/x", "model_20200101_000000_abcd/weights", "somebody's"):
        (root / name).mkdir(parents=True)
    site.services.models.sweep()
    assert {kept.id, "somebody's"} <= bare.kept() and "model_20200101_000000_abcd" not in bare.kept()
    (root / "somebody's").rmdir()


# ---- delete


def test_a_model_in_use_stays(models: Models) -> None:
    made = models.model()
    job = models.ok("POST", f"/models/{made.id}/export", {"format": "onnx"})["job_id"]
    assert f"job {job} uses the model" in models.detail("DELETE", f"/models/{made.id}", 409)
    models.site.services.jobs.stop(OWNER, job, force=False, wait=0)
    models.ok("DELETE", f"/models/{made.id}")
    assert models.detail("GET", f"/models/{made.id}/exports/{job}", 404)


# ---- charts


def is_png(content: bytes) -> tuple[int, int]:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return picture.size


def test_charts(models: Models) -> None:
    made = models.model()
    sizes = {}
    for kind in ("all", "loss", "metrics"):
        answer = models.call("GET", f"/models/{made.id}/charts?chart_type={kind}")
        assert (answer.status_code, answer.mimetype) == (200, "image/png")
        sizes[kind] = is_png(answer.data)
    assert sizes["all"][1] == 2 * sizes["loss"][1]
    assert is_png(models.call("GET", f"/models/{made.id}/charts").data) == sizes["all"]
    assert "chart_type" in models.detail("GET", f"/models/{made.id}/charts?chart_type=both", 422)


def test_charts_of_a_model_without_history(models: Models) -> None:
    made = models.model(history=None)
    assert "no training history" in models.detail("GET", f"/models/{made.id}/charts", 409)


def training(site: Site, **changes: Any) -> Job:
    from api.models.dialect import YOLO_PLATFORM

    params = {"task": "train", "model": {"kind": "architecture", "value": "yolov8tiny.yaml"}, "device": "cpu"}
    data = site.services.settings.data_dir / "datasets" / "data.yaml"
    data.parent.mkdir(exist_ok=True)
    data.write_text("names: [a]\n")
    spec = JobSpec("ultralytics", "a training", {**params, "data": str(data), **changes})
    return site.services.jobs.submit(OWNER, spec, YOLO_PLATFORM)


def test_charts_of_a_training_that_still_runs(models: Models) -> None:
    site = models.site
    job = site.running(training(site))
    path = f"/train/jobs/{job.id}/charts"
    assert "has no epoch yet" in models.detail("GET", path, 409)
    with site.services.db.write() as connection:
        writer = SeriesWriter(job.seq, 1)
        points = [Metric("train/box_loss", 3.0 / epoch, epoch=epoch, axis=Axis.EPOCH) for epoch in (1, 2, 3)]
        writer.write(connection, [*points, Metric("metrics/mAP50(B)", 0.5, epoch=3, axis=Axis.EPOCH)], time.time())
    assert is_png(models.call("GET", f"{path}?chart_type=loss").data)
    assert is_png(models.call("GET", path).data)
    assert models.detail("GET", path, 403, who=STRANGER)
    assert models.detail("GET", "/train/jobs/job_none/charts", 404)
    other = site.queued()
    assert models.detail("GET", f"/train/jobs/{other.id}/charts", 404, who=site.operator)


# ---- exports and validations


def test_an_export(models: Models) -> None:
    site, made = models.site, models.model()
    one = f"/models/{made.id}"
    asked = {"format": "onnx", "imgsz": 128, "half": False, "dynamic": True}
    started = models.ok("POST", f"{one}/export", asked)
    assert (started["status"], started["format"], started["file"]) == ("running", "onnx", None)
    assert started["arguments"] == {"imgsz": 128, "half": False, "dynamic": True}
    here = f"{one}/exports/{started['job_id']}"
    assert models.ok("GET", here) == started and models.ok("GET", f"{one}/exports") == {"exports": [started]}
    assert "has made no file" in models.detail("GET", f"{here}/file", 409)
    job = site.job(started["job_id"])
    weights = str(site.services.models.weights(made))
    assert job.spec.params["model"] == {"kind": "weights", "value": weights} and job.spec.params["device"] == "cpu"

    running = site.running(job)
    (site.output(running) / "best.onnx").write_bytes(b"onnx")
    with site.services.db.write() as connection:
        notes = {"exported": {"name": "best.onnx", "size_bytes": 4, "format": "onnx"}}
        save(connection, running, time.time(), progress={"notes": notes})
    site.ended(EndReason.DONE, job=running)
    done = models.ok("GET", here)
    assert done["status"] == "completed" and ISO.fullmatch(done["completed_at"])
    assert done["file"] == {"name": "best.onnx", "size_bytes": 4, "url": f"{models.twin}{here}/file"}
    answer = models.call("GET", f"{here}/file")
    assert answer.data == b"onnx" and f'{made.id}.onnx"' in answer.headers["Content-Disposition"]
    assert models.call("GET", f"{here}/file", headers={"Range": "bytes=1-2"}).data == b"nn"
    (site.output(running) / "best.onnx").unlink()
    assert "not there any more" in models.detail("GET", f"{here}/file", 404)
    other = models.model()
    assert models.detail("GET", f"/models/{other.id}/exports/{job.id}", 404)
    assert models.detail("GET", f"{one}/validations/{job.id}", 404)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"format": "openvino"}, "format: openvino needs openvino, which"),
        ({"format": "onnx", "half": True}, "half: onnx in 16 bit needs onnxruntime, which"),
        ({"format": "ncnn"}, "format: ncnn needs ncnn and pnnx, which"),
        ({"format": "engine"}, "format: engine is made on a GPU, and this machine has none"),
        ({"format": "torchscript", "half": True}, "half: torchscript in 16 bit is made on a GPU"),
        ({"format": "gif"}, "format: must be one of onnx, torchscript"),
        ({"imgsz": 8}, "imgsz"),
        ({"dynamic": "yes"}, "dynamic"),
        ({"project": "/tmp"}, "project"),
    ],
)
def test_exports_that_cannot_be(bare: Models, body: dict[str, Any], says: str) -> None:
    made = bare.model()
    assert says in bare.detail("POST", f"/models/{made.id}/export", 422, body)
    assert bare.ok("GET", f"/models/{made.id}/exports") == {"exports": []}


def test_what_a_missing_format_needs_is_told_with_what_there_is(bare: Models) -> None:
    made = bare.model()
    told = bare.detail("POST", f"/models/{made.id}/export", 422, {"format": "openvino"})
    assert "without it there are: onnx, torchscript" in told


def test_a_validation(models: Models) -> None:
    site, made = models.site, models.model(classes=["person", "car"])
    dataset = models.prepared()
    version = site.services.yolo.version(OWNER, dataset, "v1")[1]
    names = version.summary["classes"]
    one = f"/models/{made.id}"
    if len(names) != 2:
        told = models.detail("POST", f"{one}/validate", 409, {"dataset_id": dataset})
        assert f"has {len(names)} classes, model {made.id} has 2" in told
    made = models.model(classes=["other"] * len(names))
    one = f"/models/{made.id}"
    started = models.ok("POST", f"{one}/validate", {"dataset_id": dataset, "version": "v1", "conf": 0.1})
    assert (started["status"], started["metrics"], started["classes"]) == ("running", None, [])
    assert "called otherwise in the dataset: 'other' is" in started["warnings"][0]
    job = site.running(site.job(started["job_id"]))
    assert job.spec.params["data"] == str(
        site.services.yolo.directory(*site.services.yolo.version(OWNER, dataset, "v1")) / "data.yaml"
    )
    site.prints(
        job,
        '{"event": "result", "metrics": {"metrics/precision(B)": 0.5, "metrics/recall(B)": 0.25, "metrics/mAP50(B)": '
        '0.75, "metrics/mAP50-95(B)": null}, "classes": [{"class": "a", "mAP50-95": 0.5}]}\n{"event": "done"}\n',
        final=True,
    )
    site.ended(EndReason.DONE, job=job)
    done = models.ok("GET", f"{one}/validations/{job.id}")
    assert done["metrics"] == {"mAP50": 0.75, "mAP50-95": None, "precision": 0.5, "recall": 0.25}
    assert done["classes"] == [{"class": "a", "mAP50-95": 0.5}] and done["status"] == "completed"
    assert models.ok("GET", f"{one}/validations") == {"validations": [done]}
    assert models.ok("GET", f"{one}/exports") == {"exports": []}


def test_validations_that_cannot_be(bare: Models) -> None:
    made = bare.model()
    one = f"/models/{made.id}/validate"
    uploaded = bare.upload()
    assert "is not prepared" in bare.detail("POST", one, 409, {"dataset_id": uploaded})
    assert bare.detail("POST", one, 404, {"dataset_id": "ds_none"})
    assert "dataset_id" in bare.detail("POST", one, 422, {})
    assert "conf" in bare.detail("POST", one, 422, {"dataset_id": uploaded, "conf": 2})
    assert "data" in bare.detail("POST", one, 422, {"dataset_id": uploaded, "data": "/etc/passwd"})
    assert bare.detail("POST", one, 403, {"dataset_id": uploaded}, who=STRANGER)


def test_a_reader_may_use_a_model_and_sees_only_own_jobs(bare: Models) -> None:
    team = 77
    made = bare.model(team=team)
    mate = replace(STRANGER, team_ids=frozenset({team}))
    started = bare.ok("POST", f"/models/{made.id}/export", {"format": "torchscript"}, who=mate)
    assert bare.ok("GET", f"/models/{made.id}/exports", who=mate)["exports"] == [started]
    assert bare.site.job(started["job_id"]).owner_id == mate.user_id
    assert bare.detail("DELETE", f"/models/{made.id}", 403, who=mate)
