"""The YOLO train server dialect: every call of its document over real services, with real conversions of data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.test import TestResponse

from api.models.accounts import Actor, Role, scopes_of
from api.models.dialect import YOLO_TRAIN_SERVER, dialect_of
from api.models.job import EndReason, Job, JobStatus
from api.models.yolo import Preparation
from api.services.store import jobs as job_store
from api.services.store import train_server as store
from api.utils.training_wrapper import ERROR_MARK
from tests.dialects.conftest import Site, strict
from tests.unit import yolo_sets as sets

OWNER = Actor(9001, "owner", Role.MEMBER, scopes_of(Role.MEMBER))
STRANGER = Actor(9002, "stranger", Role.MEMBER, scopes_of(Role.MEMBER))


class Server:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.data_dir = site.services.settings.data_dir
        self.home = self.data_dir / "workspace"
        self.places = self.data_dir / "train_server"

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        more.setdefault("who", OWNER)
        return self.site.call(method, path, body, whole=True, **more)

    def ok(self, method: str, path: str, body: Any = None, code: int = 200, **more: Any) -> Any:
        response = self.call(method, path, body, **more)
        assert response.status_code == code, response.text
        return strict(response.data)

    def detail(self, method: str, path: str, code: int, body: Any = None, **more: Any) -> str:
        told = self.ok(method, path, body, code, **more)
        assert set(told) == {"detail"}
        return str(told["detail"])

    def folder(self, name: str, files: dict[str, bytes] | None = None) -> str:
        return str(sets.write(self.home / name, files or sets.flat(5)))

    def body(self, name: str = "insulator", **changes: Any) -> dict[str, Any]:
        return {"model_name": name, "train_ucd": str(self.home / "set"), "val_ucd": "None", "labels": "a,b", **changes}

    def start(self, name: str = "insulator", **changes: Any) -> Any:
        return self.ok("POST", "/start", self.body(name, **changes))

    def job(self, name: str = "insulator") -> Job:
        with self.site.services.db.read() as connection:
            return store.of(connection, name)[-1].job

    def data(self, name: str = "insulator") -> Any:
        return yaml.safe_load(Path(self.job(name).spec.params["data"]).read_text("utf-8"))

    def images(self, name: str = "insulator") -> dict[str, list[str]]:
        """File names by part, as data.yaml leads to them."""
        data = self.data(name)
        return {p: sorted(os.listdir(Path(data["path"], data[p][0]))) for p in ("train", "val")}

    def boxes(self, name: str = "insulator") -> dict[str, str]:
        place = Path(self.data(name)["path"])
        return {path.stem: path.read_text() for path in sorted(place.rglob("*.txt"))}

    def weights(self, name: str, file: str, content: bytes = b"weights") -> None:
        place = self.site.output(self.job(name)) / "weights"
        place.mkdir(exist_ok=True)
        (place / file).write_bytes(content)

    def ended(self, reason: EndReason, name: str = "insulator") -> Job:
        return self.site.ended(reason, job=self.site.running(self.job(name)))


@pytest.fixture
def server(site: Site) -> Iterator[Server]:
    made = Server(site)
    site.services.train_server.sweep()
    made.folder("set")
    yield made
    site.empty()
    site.services.train_server.sweep()


def ucd(count: int = 5, **changes: Any) -> bytes:
    shape = {"shape_type": "rectangle", "label": "b", "points": [[16, 12], [48, 36]], "conf": -1}
    codes = [f"Dcb{n:04}" for n in range(count)]
    document = {
        "dataset_name": "x",
        "label_used": ["a", "b"],
        "uc_list": codes,
        "shapes": {code: [shape] for code in codes},
        "size_info": {code: list(sets.SIZE) for code in codes},
        **changes,
    }
    return json.dumps(document).encode()


def cache(count: int = 5) -> dict[str, bytes]:
    return {f"img_cache/Dcb{n:04}.png": sets.picture(n) for n in range(count)}


#: what the document names: the request's fields, the answer's
DOCUMENT: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    ("post", "/start"): (
        {"model_type", "batch_size", "device", "epochs", "imgsz", "workers", "model_name", "train_ucd", "val_ucd",
         "labels", "continue_train", "hyp_dict"},
        {"message"},
    ),
    ("get", "/status"): (set(), {"Running", "Queued", "processes"}),
    ("get", "/terminate/{model_name}"): (set(), {"message"}),
    ("get", "/train_info/{model_name}"): (set(), {"train_log_std", "opt_yaml", "train_log_err"}),
    ("get", "/clear_train_cache/{model_name}"): (set(), {"message"}),
    ("get", "/cache_info"): (set(), {"train_info", "train"}),
    ("get", "/download_model/{model_name}/weights/{model_type}"): (set(), set()),
    ("get", "/gpu_info"): (set(), set()),
    ("get", "/help"): (set(), set()),
}  # fmt: skip


@pytest.mark.parametrize(("call", "fields"), DOCUMENT.items(), ids=lambda value: str(value[1])[:40])
def test_every_call_and_field_of_the_document(
    server: Server, call: tuple[str, str], fields: tuple[set[str], set[str]]
) -> None:
    (method, path), (asked, told) = call, fields
    operation = server.site.documented.spec["paths"][path][method]
    schemas = server.site.documented.spec["components"]["schemas"]

    def properties(node: dict[str, Any]) -> set[str]:
        schema = node["content"]["application/json"]["schema"]
        return set(schemas[schema["$ref"].rpartition("/")[2]]["properties"])

    if asked:
        assert properties(operation["requestBody"]) == asked
    if told:
        assert properties(operation["responses"]["200"]) >= told


class TestStart:
    def test_as_documented_with_every_default(self, server: Server) -> None:
        made = server.start()
        assert made["message"] == "Training started" and made["model_name"] == "insulator"
        assert made["task_id"].endswith("_" + made["safe_code"])
        assert any("yolov5su.pt is not there" in text for text in made["warnings"])
        assert any("GPU 0" in text for text in made["warnings"]) and made["ignored"] == []
        job = server.job()
        assert (job.id, job.dialect, job.engine, job.owner_id) == (
            made["task_id"], YOLO_TRAIN_SERVER.name, "ultralytics", OWNER.user_id,
        )  # fmt: skip
        params = job.spec.params
        assert (params["epochs"], params["imgsz"], params["batch"], params["workers"]) == (30, 640, 10, 8)
        assert params["model"]["value"].endswith("weights/yolov5su.pt") and params["device"] == "cpu"
        assert server.data()["names"] == ["a", "b"]
        assert {part: len(names) for part, names in server.images().items()} == {"train": 4, "val": 1}
        assert (
            dialect_of("/start") is YOLO_TRAIN_SERVER
            and server.site.get(
                f"/{job.id}",
            )["task_id"]
            == job.id
        )

    def test_weights_that_are_there_are_used(self, server: Server) -> None:
        weights = server.data_dir / "weights"
        weights.mkdir(exist_ok=True)
        (weights / "yolov5nu.pt").write_bytes(b"x")
        try:
            made = server.start(model_type="yolov5n", device=-1)
        finally:
            (weights / "yolov5nu.pt").unlink()
        assert made["warnings"] == ["device -1 is the CPU: it trains on the CPU, which is slow"]

    def test_on_a_gpu(self, server: Server) -> None:
        server.site.gpus(2)
        made = server.start(device=1)
        assert server.job().spec.resources.gpu_ids == (1,) and not any("GPU" in text for text in made["warnings"])
        server.site.running(server.job(), gpus=[1])
        shown = server.ok("GET", "/gpu_info")
        assert [gpu["index"] for gpu in shown] == [0, 1] and [gpu["running"] for gpu in shown] == [[], ["insulator"]]
        assert set(shown[0]) == {
            "index", "name", "memory_used", "memory_total", "utilization", "temperature", "running",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model_name", "x"), ("model_name", ".hidden"), ("model_name", "-rf"), ("model_name", "a/b"),
            ("model_name", "a b"), ("model_name", "ab\n"), ("model_type", "resnet50"), ("model_type", "../yolov5s"),
            ("epochs", 0), ("epochs", "30"), ("imgsz", 1), ("batch_size", 0), ("device", -2), ("device", "0"),
            ("workers", -1), ("continue_train", "yes"), ("labels", "a,,b"), ("labels", "a,a"), ("labels", ""),
            ("labels", "/nowhere/names.txt"), ("train_ucd", "no-such-set"), ("train_ucd", "relative/path"),
            ("val_ucd", "no-such-set"), ("hyp_dict", {"lr": 0.1}), ("hyp_dict", {"lr0": "fast"}),
            ("hyp_dict", {"lr0": 7}), ("hyp_dict", {"project": "/tmp"}), ("hyp_dict", [1]), ("surprise", 1),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused_and_leaves_nothing(self, server: Server, field: str, value: object) -> None:
        code = 403 if value == "/nowhere/names.txt" else 422
        told = server.detail("POST", "/start", code, server.body(**{field: value}))
        assert told.startswith(field), told
        if field == "model_type":
            assert "yolov5s, " in told and "yolo11n" in told
        if value == {"lr": 0.1}:
            assert "lr0" in told and "anchor_t" in told
        assert server.ok("GET", "/status")["processes"] == {} and not list(server.places.iterdir())

    @pytest.mark.parametrize("field", ["model_name", "train_ucd", "val_ucd", "labels"])
    def test_what_is_required(self, server: Server, field: str) -> None:
        body = server.body()
        del body[field]
        assert field in server.detail("POST", "/start", 422, body)

    def test_paths_stay_below_the_roots(self, server: Server, tmp_path: Path) -> None:
        sets.write(tmp_path / "out", sets.flat(3))
        (server.home / "link").unlink(missing_ok=True)
        (server.home / "link").symlink_to(tmp_path / "out")
        for path in (str(tmp_path / "out"), str(server.home / "link"), "/etc"):
            server.detail("POST", "/start", 403, server.body(train_ucd=path))
            server.detail("POST", "/start", 403, server.body(val_ucd=path))
        server.detail("POST", "/start", 403, server.body(labels="/etc/passwd"))

    def test_v5_names_and_scales(self, server: Server) -> None:
        table = {"lr0": 0.02, "momentum": 0.9, "box": 0.05, "cls": 0.5, "obj": 1.0, "fl_gamma": 0.0, "anchor_t": 4.0,
                 "cls_pw": 1.0, "hsv_h": 0.015, "close_mosaic": 4.0}  # fmt: skip
        made = server.start(hyp_dict=table)
        params = server.job().spec.params
        assert (params["box"], params["cls"], params["lr0"], params["close_mosaic"]) == (7.5, 0.5, 0.02, 4)
        assert params["optimizer"] == "SGD" and not {"obj", "cls_pw", "anchor_t"} & set(params)
        assert made["ignored"] == ["anchor_t", "cls_pw", "fl_gamma", "obj"]
        assert any("7.5" in text for text in made["warnings"]) and any("SGD" in text for text in made["warnings"])
        lines = server.ok("GET", "/train_info/insulator")["opt_yaml"]
        told = yaml.safe_load("\n".join(lines))
        assert told["box"] == 7.5 and told["optimizer"] == "SGD" and told["model_type"] == "yolov5s"
        assert told["ignored"] == made["ignored"] and told["hyp_dict"]["box"] == 0.05

    def test_the_scale_is_v5s_for_v5_alone(self, server: Server) -> None:
        server.start(model_type="yolo11n", hyp_dict={"box": 7.5, "lr0": 0.001, "optimizer": "AdamW"})
        params = server.job().spec.params
        assert params["box"] == 7.5 and params["optimizer"] == "AdamW"


class TestData:
    def test_a_split_folder_keeps_its_split(self, server: Server) -> None:
        files = {f"images/{part}/{n}.png": sets.picture(10 * k + n) for k, part in enumerate(("train", "val"))
                 for n in range(3 - k)}  # fmt: skip
        path = server.folder("split", files | {name.replace("images", "labels").replace("png", "txt"): b"1 .5 .5 .2 .2\n"
                                               for name in files})  # fmt: skip
        server.start(train_ucd=path)
        assert server.images() == {"train": ["0.png", "1.png", "2.png"], "val": ["0.png", "1.png"]}
        made = server.start("both", train_ucd=path, val_ucd=path)
        assert server.images("both") == server.images()
        assert not any("validation images" in text for text in made["warnings"])

    def test_two_sets_and_images_that_are_in_both(self, server: Server) -> None:
        val = server.folder("vals", sets.flat(2))
        made = server.start(val_ucd=val)
        assert {part: len(names) for part, names in server.images().items()} == {"train": 5, "val": 2}
        assert any("2 of 2 validation images are training images too" in text for text in made["warnings"])

    def test_a_ucd_with_its_image_cache(self, server: Server) -> None:
        server.folder("ucd", {**cache(), "json/train.json": ucd(4), "img_cache/other.png": sets.picture(50)})
        server.start(train_ucd=str(server.home / "ucd/json/train.json"))
        found = server.images()
        assert len(found["train"]) == 3 and len(found["val"]) == 1
        assert set(server.boxes().values()) == {"1 0.500000 0.500000 0.500000 0.500000\n"}
        server.folder("val", {**cache(), "val.json": ucd(2)})
        server.start(
            "two", train_ucd=str(server.home / "ucd/json/train.json"), val_ucd=str(server.home / "val/val.json")
        )
        assert {part: len(names) for part, names in server.images("two").items()} == {"train": 4, "val": 2}

    def test_what_a_ucd_holds_besides_boxes_is_told(self, server: Server) -> None:
        shapes = {
            "Dcb0000": [
                {"shape_type": "polygon", "label": "a", "points": [[0, 0], [32, 0], [32, 24]]},
                {"shape_type": "point", "label": "a", "points": [[3, 3], [4, 4]]},
                {"shape_type": "rectangle", "label": "z", "points": [[0, 0], [9, 9]]},
                {"shape_type": "rectangle", "label": "b", "points": [["x", 0], [9, 9]]},
                "nonsense",
            ]
        }
        server.folder("odd", {**cache(3), "odd.json": ucd(4, shapes=shapes)})
        made = server.start(train_ucd=str(server.home / "odd/odd.json"))
        assert (
            server.boxes()["Dcb0000"] == "0 0.250000 0.250000 0.500000 0.500000\n" and server.boxes()["Dcb0001"] == ""
        )
        told = "\n".join(made["warnings"])
        for words in (
            "Dcb0003",
            "polygon (the box",
            "1 shapes of type point",
            "of other classes",
            "damaged",
            "without a box",
        ):
            assert words in told, words

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"{", "cannot be read as JSON"), (b"[]", "is no JSON object"), (b"{}", "neither a UCD"),
            (ucd(0), "uc_list must be"), (ucd(1, uc_list=[1]), "uc_list must be"), (ucd(1, shapes=[1]), "shapes must be"),
            (ucd(2, shapes={"Dcb0000": 1}), "must be a list"), (ucd(1, uc_list=["../../secret"]), "there is no image"),
            (b'{"uc_list": ' + b"[" * 100_000, "cannot be read as JSON"),
        ],
    )  # fmt: skip
    def test_an_unreadable_ucd_is_told_clearly(self, server: Server, content: bytes, words: str) -> None:
        server.folder("bad", {**cache(2), "bad.json": content})
        told = server.detail("POST", "/start", 422, server.body(train_ucd=str(server.home / "bad/bad.json")))
        assert "train_ucd" in told and words in told and not list(server.places.iterdir())

    def test_a_coco_file(self, server: Server) -> None:
        server.folder("coco", {**sets.coco(), "images/other.png": sets.picture(99)})
        server.start(train_ucd=str(server.home / "coco/annotations/instances_all.json"), labels="cat,dog")
        assert sum(map(len, server.images().values())) == 4 and server.boxes()["1"].startswith("1 ")

    def test_labels_from_a_file(self, server: Server) -> None:
        (server.home / "names.txt").write_text("瓷瓶\n\n破损 \n", encoding="utf-8")
        server.start(labels=str(server.home / "names.txt"))
        assert server.data()["names"] == ["瓷瓶", "破损"]

    def test_a_dataset_of_the_platform_by_id_by_name_and_by_its_path(self, server: Server) -> None:
        known = server.site.services.yolo.register(OWNER, server.folder("mine"), "my set")
        server.start("by_id", train_ucd=known.id)
        server.start("by_name", train_ucd="my set", val_ucd=known.id)
        theirs = server.body("theirs", train_ucd=known.id)
        server.detail("POST", "/start", 403, theirs, who=STRANGER)
        server.detail("POST", "/start", 422, {**theirs, "train_ucd": "my set"}, who=STRANGER)
        place = server.data_dir / "datasets" / known.id
        place.mkdir(parents=True)
        server.detail("POST", "/start", 403, {**theirs, "train_ucd": str(place)}, who=STRANGER)
        server.detail("POST", "/start", 403, {**theirs, "train_ucd": str(place.parent)}, who=STRANGER)
        place.rmdir()

    def test_a_prepared_version_is_what_it_is(self, server: Server) -> None:
        """Its thumbnails are no images, and its split stays."""
        platform = server.site.services.yolo
        known = platform.register(OWNER, server.folder("ready"), "ready")
        _, version = platform.prepare(OWNER, known.id, Preparation(val_part=0.4))
        server.start("by_id", train_ucd=known.id)
        manifest = (server.data_dir / "datasets" / known.id / version.name / "manifest.jsonl").read_text().splitlines()
        expected = {"train": 3, "val": 2}
        assert {part: len(names) for part, names in server.images("by_id").items()} == expected and len(manifest) == 5
        for number, path in enumerate(("", version.name)):
            where = str(server.data_dir / "datasets" / known.id / path)
            server.start(f"by_path{number}", train_ucd=where)
            assert server.images(f"by_path{number}") == server.images("by_id")
        platform.delete(OWNER, known.id)
        assert server.boxes("by_id")

    def test_the_users_folder_is_left_as_it_is(self, server: Server) -> None:
        before = sorted(str(path) for path in server.home.rglob("*"))
        server.start()
        assert sorted(str(path) for path in server.home.rglob("*")) == before

    def test_files_that_cannot_be_used_are_told(self, server: Server) -> None:
        path = server.folder(
            "holes", {**sets.flat(4), "images/bad.png": b"no image", "labels/000.txt": b"7 .5 .5 .1 .1\n"}
        )
        made = server.start(train_ucd=path)
        assert any("train_ucd: 2 files were left out" in text and "bad.png" in text for text in made["warnings"])

    def test_one_image_is_no_split(self, server: Server) -> None:
        assert "val_ucd" in server.detail(
            "POST", "/start", 422, server.body(train_ucd=server.folder("one", sets.flat(1)))
        )


class TestNames:
    def test_one_name_is_one_model(self, server: Server) -> None:
        first = server.start()
        assert "is training already" in server.detail("POST", "/start", 409, server.body())
        assert "is training already" in server.detail("POST", "/start", 409, server.body(continue_train=True))
        server.ended(EndReason.DONE)
        assert "/clear_train_cache/insulator" in server.detail("POST", "/start", 409, server.body())
        assert server.job().id == first["task_id"]
        assert len(list(server.places.iterdir())) == 1

    def test_two_at_once_make_one(self, server: Server) -> None:
        def start(_: int) -> int:
            client = server.site.app.test_client(use_cookies=False)
            response = client.post("/start", json=server.body(), environ_overrides={"trainyard.actor": OWNER})
            return response.status_code

        with ThreadPoolExecutor(2) as pool:
            codes = sorted(pool.map(start, range(2)))
        assert codes == [200, 409] and len(list(server.places.iterdir())) == 1

    def test_continue_resumes_what_was_stopped(self, server: Server) -> None:
        made = server.start(epochs=7)
        server.ended(EndReason.STOPPED_BY_USER)
        (server.site.output(server.job()) / "last.pt").write_bytes(b"state")
        again = server.start(epochs=9, continue_train=True)
        job = server.job()
        assert again["task_id"] == made["task_id"] == job.id and job.attempt == 2 and job.status is JobStatus.QUEUED
        assert any("epochs 7" in text for text in again["warnings"])

    def test_continue_without_a_state_starts_fresh(self, server: Server) -> None:
        made = server.start("nothing", continue_train=True)
        server.ended(EndReason.EXIT_CODE, "nothing")
        again = server.start("nothing", continue_train=True, epochs=5)
        assert again["task_id"] != made["task_id"] and server.job("nothing").spec.params["epochs"] == 5

    def test_continue_after_the_end_begins_from_its_weights(self, server: Server) -> None:
        server.start()
        server.ended(EndReason.DONE)
        server.weights("insulator", "last.pt", b"the last")
        again = server.start(continue_train=True)
        model = server.job().spec.params["model"]
        assert model["kind"] == "weights" and Path(model["value"]).read_bytes() == b"the last"
        assert not any("random" in text for text in again["warnings"])
        assert server.ok("GET", "/status")["processes"]["insulator"]["task_id"] == again["task_id"]
        server.ended(EndReason.DONE)
        server.ok("DELETE", "/clear_train_cache/insulator")
        with server.site.services.db.read() as connection:
            assert not job_store.ids(connection)

    def test_somebody_elses_name(self, server: Server) -> None:
        server.start()
        server.detail("POST", "/start", 409, server.body(), who=STRANGER)
        server.ended(EndReason.DONE)
        server.detail("POST", "/start", 403, server.body(continue_train=True), who=STRANGER)
        assert server.ok("GET", "/status", who=STRANGER)["processes"] == {}
        assert server.ok("GET", "/cache_info", who=STRANGER) == {"train_info": [], "train": []}


class TestWatch:
    def test_status(self, server: Server) -> None:
        server.start("first", epochs=4)
        server.start("second")
        server.site.running(server.job("first"))
        for line in ('{"event": "fit", "epochs": 4, "batches": 2, "done": 0}',
                     '{"event": "epoch_start", "epoch": 2, "epochs": 4, "batches": 2}'):  # fmt: skip
            server.site.prints(server.job("first"), line + "\n")
        shown = server.ok("GET", "/status")
        assert (shown["Running"], shown["Queued"]) == (["first"], ["second"])
        first = shown["processes"]["first"]
        assert set(first) == {"status", "pid", "epoch", "epochs", "progress", "started_at", "task_id", "error"}
        assert (first["status"], first["epoch"], first["epochs"], first["progress"]) == ("running", 2, 4, None)
        assert shown["processes"]["second"]["status"] == "queued"

    def test_terminate_what_waits_and_what_does_not_train(self, server: Server) -> None:
        for method, name in (("GET", "one"), ("POST", "two")):
            server.start(name)
            assert server.ok(method, f"/terminate/{name}") == {"message": "Process terminated"}
            server.detail(method, f"/terminate/{name}", 409)
        assert server.ok("GET", "/status")["processes"]["one"]["status"] == "stopped"
        server.detail("GET", "/terminate/nobody", 404)

    def test_terminating_takes_its_time(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.services.yolo_train_server.STOP_SECONDS", 0.01)
        server.start()
        server.site.running(server.job())
        assert server.ok("GET", "/terminate/insulator", code=202) == {"message": "Terminating"}

    def test_train_info(self, server: Server) -> None:
        server.start()
        job = server.site.running(server.job())
        server.site.prints(job, "".join(f"line {n}\n{ERROR_MARK}warning {n}\n" for n in range(1500)))
        (server.site.services.settings.log_dir / f"{job.id}.stderr").write_text(
            "".join(f"warning {n}\n" for n in range(1500))
        )
        info = server.ok("GET", "/train_info/insulator")
        assert info["train_log_std"] == [f"line {n}" for n in range(500, 1500)]
        assert info["train_log_err"] == [f"warning {n}" for n in range(500, 1500)]
        few = server.ok("GET", "/train_info/insulator?lines=2")
        assert few["train_log_std"] == ["line 1498", "line 1499"] and len(few["train_log_err"]) == 2
        (server.site.output(job) / "args.yaml").write_text("task: detect\nlr0: 0.5\n")
        assert yaml.safe_load("\n".join(server.ok("GET", "/train_info/insulator")["opt_yaml"]))["lr0"] == 0.5
        server.detail("GET", "/train_info/nobody", 404)
        server.detail("GET", "/train_info/insulator?lines=0", 422)
        server.detail("GET", "/train_info/insulator", 403, who=STRANGER)

    def test_download(self, server: Server) -> None:
        server.start()
        server.detail("GET", "/download_model/insulator/weights/best.pt", 404)
        server.weights("insulator", "best.pt", b"the best")
        response = server.call("GET", "/download_model/insulator/weights/best.pt")
        assert response.data == b"the best" and "attachment" in response.headers["Content-Disposition"]
        server.detail("GET", "/download_model/insulator/weights/last.pt", 404)
        for name in ("epoch3.pt", "args.yaml", "best.pth"):
            server.detail("GET", f"/download_model/insulator/weights/{name}", 422)
        assert server.call("GET", "/download_model/insulator/weights/..%2Fargs.yaml").status_code in (404, 422)
        server.detail("GET", "/download_model/nobody/weights/best.pt", 404)

    def test_help(self, server: Server) -> None:
        page = server.call("GET", "/help", headers={"Accept": "text/html"})
        assert page.mimetype == "text/html" and "/clear_train_cache/{model_name}" in page.text
        calls = server.ok("GET", "/help", headers={"Accept": "application/json"})["calls"]
        rules = {rule.rule for rule in server.site.app.url_map.iter_rules() if rule.endpoint.startswith("YOLO train")}
        told = {call["path"].replace("{", "<string:").replace("}", ">") for call in calls}
        assert told == rules and all(call["curl"].startswith("curl ") for call in calls)

    def test_errors_are_bare(self, server: Server) -> None:
        server.detail("GET", "/start", 405)
        server.detail("GET", "/status/", 404)
        server.detail("POST", "/start", 400, data=b"{", content_type="application/json")
        server.detail("POST", "/start", 415, data=b"{}", content_type="text/plain")


class TestClear:
    def test_frees_the_name_and_removes_all_of_it(self, server: Server) -> None:
        server.start()
        job = server.job()
        assert server.ok("GET", "/clear_train_cache/insulator") == {
            "message": "Some of it could not be cleared",
            "clear_cache_success": [],
            "clear_cache_failed": {"insulator": "it is queued: terminate it first"},
        }
        server.ended(EndReason.DONE)
        server.site.prints(job, "hello\n")
        server.weights("insulator", "best.pt")
        assert server.ok("GET", "/cache_info") == {"train_info": ["insulator"], "train": ["insulator"]}
        output = server.site.output(job)
        assert server.ok("GET", "/clear_train_cache/insulator") == {
            "message": "Cache cleared", "clear_cache_success": ["insulator"], "clear_cache_failed": {},
        }  # fmt: skip
        assert not output.exists() and not list(server.places.iterdir())
        assert server.ok("GET", "/cache_info") == {"train_info": [], "train": []}
        server.detail("DELETE", "/clear_train_cache/insulator", 404)
        server.start()

    def test_all_that_do_not_train_and_nobody_elses(self, server: Server) -> None:
        for name in ("done", "busy"):
            server.start(name)
        server.ok("POST", "/start", server.body("theirs"), who=STRANGER)
        server.ended(EndReason.DONE, "done")
        server.ended(EndReason.DONE, "theirs")
        other = server.site.ended()
        cleared = server.ok("DELETE", "/clear_train_cache/*")
        assert cleared["clear_cache_success"] == ["done"] and set(cleared["clear_cache_failed"]) == {"busy"}
        server.detail("DELETE", "/clear_train_cache/theirs", 403)
        assert server.job("theirs").status is JobStatus.COMPLETED and server.site.job(other.id).id == other.id

    @pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2f..", "/", "workspace", "*x", "a%00b"])
    def test_nothing_else_can_be_named(self, server: Server, name: str) -> None:
        before = sorted(str(path) for path in server.home.rglob("*"))
        assert server.call("DELETE", f"/clear_train_cache/{name}").status_code == 404
        assert sorted(str(path) for path in server.home.rglob("*")) == before

    def test_what_nobody_knows_goes_at_the_start(self, server: Server) -> None:
        server.start()
        mine = {path.name for path in server.places.iterdir()}
        (server.places / "0123456789abcdef").mkdir()
        server.site.services.train_server.sweep()
        assert {path.name for path in server.places.iterdir()} == mine

    def test_a_job_deleted_elsewhere_frees_the_name_too(self, server: Server) -> None:
        made = server.start()
        server.ended(EndReason.DONE)
        server.site.services.jobs.delete(OWNER, made["task_id"], files=True)
        server.detail("GET", "/train_info/insulator", 404)
        server.start()
