"""Bad input: the stated code, in the envelope, with nothing started and nothing written. Hostile input: data."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toml

from tests.acceptance.harness import BASE, MINI, Service

START = f"{BASE}/start"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("faults"))
    workspace = service.data / "workspace"
    (workspace / "empty").mkdir()
    (workspace / "text").mkdir()
    (workspace / "text" / "picture.png").write_text("this is no picture")
    (workspace / "out").symlink_to(MINI / "data" / "train")
    (workspace / "up").symlink_to("/")
    try:
        yield service.start()
    finally:
        service.close()


@pytest.fixture
def unchanged(lab: Service) -> Iterator[Service]:
    """Afterwards everything is as it was before."""
    files, jobs = lab.files(), lab.get("/list")["pagination"]["total"]
    yield lab
    assert lab.files() == files
    assert lab.get("/list")["pagination"]["total"] == jobs
    assert lab.processes() == []


def check_envelope(answer: Any, code: int) -> None:
    assert answer.code == code, f"{answer.code}, not {code}: {answer.raw[:600]!r}"
    assert set(answer.body) == {"code", "message", "data", "timestamp"}
    assert answer.body["code"] == code and isinstance(answer.body["timestamp"], int) and answer.body["message"]
    assert b"Traceback" not in answer.raw


# ---- bodies that are no JSON, or no object

RAW = [
    (b"{", 400), (b"", 422), (b"{'a': 1}", 400), (b'{"a": NaN}', 400), (b'{"a": Infinity}', 400),
    (b'{"a": -Infinity}', 400), (b'{"a": 1e999}', 400), (b'{"a": "\xff"}', 400), (b"[" * 100_000, 400),
    (b'{"a":' * 100_000, 400), (b"\xef\xbb\xbf{", 400), (b"[]", 422), (b"null", 422), (b"7", 422), (b'"x"', 422),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code"), RAW, ids=[repr(body[:14]) for body, _ in RAW])
def test_a_body_that_is_no_object(unchanged: Service, body: bytes, code: int) -> None:
    answer = unchanged.call("POST", START, content=body, headers={"Content-Type": "application/json"})
    check_envelope(answer, code)


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(unchanged: Service, kind: str) -> None:
    check_envelope(unchanged.call("POST", START, content=b"{}", headers={"Content-Type": kind}), 415)


def test_no_content_type(unchanged: Service) -> None:
    check_envelope(unchanged.call("POST", START, content=b'{"model_type": "sdxl"}'), 415)


def test_an_oversize_body_is_413(unchanged: Service) -> None:
    body = b'{"description": "' + b"x" * (20 << 20) + b'"}'
    check_envelope(unchanged.call("POST", START, content=body, headers={"Content-Type": "application/json"}), 413)


# ---- requests with one thing wrong

Change = Callable[[dict[str, Any]], Any]


def top(**values: Any) -> Change:
    return lambda body: body.update(values)


def without(key: str) -> Change:
    return lambda body: body.pop(key)


def config(**values: Any) -> Change:
    return lambda body: body["config"].update(values)


def model(**values: Any) -> Change:
    return lambda body: body["config"]["model"].update(values)


def dataset(**values: Any) -> Change:
    return lambda body: body["dataset"].update(values)


def path(value: Any) -> Change:
    """In the dataset; `WORK` stands for the workspace."""

    def change(body: dict[str, Any]) -> None:
        entry = body["dataset"]["directory"][0]
        work = str(Path(entry["path"]).parent)
        entry["path"] = value.replace("WORK", work) if isinstance(value, str) else value

    return change


def output(value: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        work = str(Path(body["dataset"]["directory"][0]["path"]).parent)
        body["config"]["output_dir"] = value.replace("WORK", work)

    return change


WRONG: dict[str, tuple[Change, int, str]] = {  # name -> change, code, field
    "no model_type": (without("model_type"), 422, "model_type"),
    "no dataset": (without("dataset"), 422, "dataset"),
    "null model_type": (top(model_type=None), 422, "model_type"),
    "unknown model_type": (top(model_type="sdxxl"), 422, "model_type"),
    "model_type 7": (top(model_type=7), 422, "model_type"),
    "long model_type": (top(model_type="s" * 201), 422, "model_type"),
    "unknown key": (top(modeltype="x"), 422, "modeltype"),
    "mass assignment": (top(status="completed"), 422, "status"),
    "own id": (top(task_id="x"), 422, "task_id"),
    "gpu_id string": (top(gpu_id="0"), 422, "gpu_id"),
    "gpu_id true": (top(gpu_id=True), 422, "gpu_id"),
    "gpu_id 1.5": (top(gpu_id=1.5), 422, "gpu_id"),
    "gpu_id -2": (top(gpu_id=-2), 422, "gpu_id"),
    "gpu_id 2**63": (top(gpu_id=2**63), 422, "gpu_id"),
    "gpu_id 10**400": (top(gpu_id=10**400), 422, "gpu_id"),
    "num_gpus 0": (top(num_gpus=0), 422, "num_gpus"),
    "num_gpus and gpu_id": (top(num_gpus=2, gpu_id=0), 422, "num_gpus"),
    "wait 1": (top(wait=1), 422, "wait"),
    "wait yes": (top(wait="yes"), 422, "wait"),
    "priority 11": (top(priority=11), 422, "priority"),
    "priority -1": (top(priority=-1), 422, "priority"),
    "tags string": (top(tags="x"), 422, "tags"),
    "tags object": (top(tags={"a": 1}), 422, "tags"),
    "tags 51": (top(tags=["x"] * 51), 422, "tags"),
    "tag empty": (top(tags=[""]), 422, "tags"),
    "tag 201": (top(tags=["x" * 201]), 422, "tags"),
    "tag NUL": (top(tags=["a\0b"]), 422, "tags"),
    "description 10001": (top(description="x" * 10_001), 422, "description"),
    "description NUL": (top(description="a\0b"), 422, "description"),
    "description object": (top(description={}), 422, "description"),
    "config list": (top(config=[]), 422, "config"),
    "config string": (top(config="epochs = 1"), 422, "config"),
    "dataset list": (top(dataset=[]), 422, "dataset"),
    "dataset empty": (top(dataset={}), 422, "dataset"),
    "unknown config key": (config(epoch=1), 422, "config.epoch"),
    "epochs 0": (config(epochs=0), 422, "config.epochs"),
    "epochs -1": (config(epochs=-1), 422, "config.epochs"),
    "epochs string": (config(epochs="2"), 422, "config.epochs"),
    "epochs true": (config(epochs=True), 422, "config.epochs"),
    "epochs 1.5": (config(epochs=1.5), 422, "config.epochs"),
    "epochs 10**18": (config(epochs=10**18), 422, "config.epochs"),
    "epochs list": (config(epochs=[1]), 422, "config.epochs"),
    "save_dtype": (config(save_dtype="bfloat17"), 422, "config.save_dtype"),
    "lr_scheduler": (config(lr_scheduler="poly"), 422, "config.lr_scheduler"),
    "gradient_clipping": (config(gradient_clipping=-1), 422, "config.gradient_clipping"),
    "both ways": (config(save={"save_every_n_epochs": 2}), 422, "config.save.save_every_n_epochs"),
    "unknown in group": (config(save={"x": 2}), 422, "config.save.x"),
    "group no object": (config(optimization=[]), 422, "config.optimization"),
    "pipeline_stages 3": (config(pipeline_stages=3), 422, "config.pipeline_stages"),
    "optimizer without type": (config(optimizer={"lr": 1e-3}), 422, "config.optimizer.type"),
    "optimizer lr": (config(optimizer={"type": "adamw", "lr": -1}), 422, "config.optimizer.lr"),
    "adapter alpha": (config(adapter={"type": "lora", "alpha": 1}), 422, "config.adapter.alpha"),
    "adapter type": (config(adapter={"type": "dora"}), 422, "config.adapter.type"),
    "adapter rank": (config(adapter={"type": "lora", "rank": 0}), 422, "config.adapter.rank"),
    "eval string": (config(eval_datasets=["/x.toml"]), 422, "config.eval_datasets.0"),
    "wandb without key": (config(monitoring={"enable_wandb": True}), 422, "config.monitoring.wandb_api_key"),
    "resume path": (config(resume_from_checkpoint="../x"), 422, "config.resume_from_checkpoint"),
    "model type differs": (model(type="flux"), 422, "config.model.type"),
    "model path missing": (model(checkpoint_path="/no/such/model"), 422, "config.model.checkpoint_path"),
    "model without path": (lambda b: b["config"]["model"].pop("checkpoint_path"), 422, "config.model.checkpoint_path"),
    "mixed list": (model(x_list=[1, "a"]), 422, "config.model.x_list"),
    "NUL in config": (model(x_text="a\0b"), 422, "config.model.x_text"),
    "NUL in key": (model(**{"x\0y": 1}), 422, "config.model"),
    "huge number": (model(x_big=10**40), 422, "config.model.x_big"),
    "directory empty list": (dataset(directory=[]), 422, "dataset.directory"),
    "directory no list": (dataset(directory="x"), 422, "dataset.directory"),
    "resolutions": (dataset(resolutions=["x"]), 422, "dataset.resolutions"),
    "too many resolutions": (dataset(resolutions=[32, 64, 96, 128]), 422, "dataset.resolutions"),
    "path 7": (path(7), 422, "dataset.directory.0.path"),
    "path empty": (path(""), 422, "dataset.directory.0.path"),
    "path relative": (path("images"), 422, "dataset.directory.0.path"),
    "path dots": (path("../../etc"), 422, "dataset.directory.0.path"),
    "path home": (path("~/images"), 422, "dataset.directory.0.path"),
    "path NUL": (path("WORK/a\0b"), 422, "dataset.directory.0.path"),
    "path long": (path("WORK/" + "x" * 5000), 422, "dataset.directory.0.path"),
    "path missing": (path("WORK/nothing"), 422, "dataset.directory.0.path"),
    "path without media": (path("WORK/empty"), 422, "dataset.directory.0.path"),
    "path with a false picture": (path("WORK/text"), 422, "dataset.directory.0.path"),
    "path is a file": (path("WORK/images/red_cross.png"), 422, "dataset.directory.0.path"),
    "path outside": (path("/etc"), 403, ""),
    "path root": (path("/"), 403, ""),
    "path out by dots": (path("WORK/../../.."), 403, ""),
    "path out by a link": (path("WORK/out"), 403, ""),
    "path out below a link": (path("WORK/up/etc"), 403, ""),
    "path the database": (path("WORK/.."), 403, ""),
    "path configs": (path("WORK/../configs"), 403, ""),
    "mask outside": (
        lambda b: b["dataset"]["directory"][0].update(mask_path="/etc"), 403, "",
    ),
    "output relative": (output("runs"), 422, "config.output_dir"),
    "output outside": (output("/var/tmp/x"), 403, ""),
    "output by a link": (output("WORK/up/var/tmp/x"), 403, ""),
    "output not empty": (output("WORK/images"), 422, "config.output_dir"),
    "eval config outside": (config(eval_datasets=[{"name": "e", "config": "/etc/passwd"}]), 403, ""),
    "env LD_PRELOAD": (top(env={"LD_PRELOAD": "x"}), 422, "env"),
    "env PYTHONPATH": (top(env={"PYTHONPATH": "x"}), 422, "env"),
    "env PATH": (top(env={"PATH": "x"}), 422, "env"),
    "env BASH_ENV": (top(env={"BASH_ENV": "x"}), 422, "env"),
    "env CUDA": (top(env={"CUDA_VISIBLE_DEVICES": "0"}), 422, "env"),
    "env own": (top(env={"TRAINYARD_FAULT": "x"}), 422, "env"),
    "env number": (top(env={"A": 1}), 422, "env"),
    "env NUL": (top(env={"A": "a\0b"}), 422, "env"),
    "env name": (top(env={"A=B": "x"}), 422, "env"),
    "env empty name": (top(env={"": "x"}), 422, "env"),
    "no such gpu": (top(gpu_id=1023), 507, ""),
    "no such gpu, waiting": (top(gpu_id=1023, wait=True), 507, ""),
    "too many gpus": (top(num_gpus=1024), 507, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_one_thing_wrong(unchanged: Service, name: str) -> None:
    change, code, field = WRONG[name]
    body = unchanged.request()
    change(body)
    answer = unchanged.call("POST", START, body)
    check_envelope(answer, code)
    if code == 422:
        fields = [error["field"] for error in answer.data["errors"]]
        assert any(one == field or one.startswith(field) for one in fields), (fields, answer.body["message"])
    if code == 507:
        told = {"required_gpus", "available_gpus", "busy_gpus", "recommended_action"}
        assert set(answer.data) == told | {"short_of", "cpu_total", "memory_total"} and answer.data["short_of"] == [
            "gpus"
        ]


def test_half_a_surrogate_pair(unchanged: Service) -> None:
    body = b'{"model_type": "sdxl", "description": "\\ud800", "dataset": {}}'
    check_envelope(unchanged.call("POST", START, content=body, headers={"Content-Type": "application/json"}), 422)


def test_all_that_is_wrong_is_said_at_once(unchanged: Service) -> None:
    body = unchanged.request(config={"epochs": -1, "save_dtype": "x", "bogus": 1})
    answer = unchanged.call("POST", START, body)
    check_envelope(answer, 422)
    assert answer.body["message"]


@pytest.mark.parametrize(
    ("method", "where", "code"),
    [
        ("GET", "/api/v1/nothing", 404), ("GET", f"{BASE}/list/", 404), ("GET", START, 405),
        ("PUT", f"{BASE}/list", 405),
        ("TRACE", f"{BASE}/list", 405), ("POST", f"{BASE}/list", 405), ("GET", f"{BASE}/..%2f..%2fx", 404),
        ("GET", f"{BASE}/" + "x" * 300, 404), ("GET", f"{BASE}/a%00b", 404), ("DELETE", f"{BASE}/list", 405),
    ],
)  # fmt: skip
def test_paths_and_methods(unchanged: Service, method: str, where: str, code: int) -> None:
    answer = unchanged.call(method, where)
    check_envelope(answer, code)
    if code == 405:
        assert answer.headers.get("allow")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 400), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Referer": "http://evil.example/x"}, 403),
        ({"Authorization": "Bearer wrong"}, 401), ({"X-Forwarded-For": "127.0.0.1"}, 401),
    ],
)  # fmt: skip
def test_who_may_not_write(unchanged: Service, headers: dict[str, str], code: int) -> None:
    check_envelope(unchanged.call("POST", START, unchanged.request(), headers=headers), code)


# ---- input that means harm is kept as it is, and does none

HOSTILE = [
    "plain", "'", '"', "''' \"\"\"", "a\nb", "a\r\nb", "tab\there", "; rm -rf /", "$(touch CANARY)", "`touch CANARY`",
    "| touch CANARY", "&& touch CANARY", "-rf", "--config=evil", "@/etc/passwd", "{{7*7}}", "%s%n", "../../x", "a/b\\c",
    'x"\n[model]\ntype = "flux"', "]]\n[[directory]]\npath = '/etc'", "\\u0041 \\n \\", "é ✓ 漢字 🚂",
    "\u2028\u2029\x85",
    "\u202eright to left", "<script>alert(1)</script>", "=HYPERLINK(1)", "null", "true", "nan", "x" * 200, "é" * 200,
    "#no comment", " spaces ", "\x7f",
]  # fmt: skip


def test_hostile_strings_are_data(lab: Service) -> None:
    canary = lab.home / "CANARY"
    texts = [text.replace("CANARY", str(canary)) for text in HOSTILE]
    values: dict[str, Any] = {f"x_text{n}": text for n, text in enumerate(texts)}
    values |= {f"x_list{n}": [text, "b"] for n, text in enumerate(texts)}
    values |= {f"x_deep{n}": {"a": {"b": text}} for n, text in enumerate(texts)}
    keys = {
        text: 1
        for text in texts
        if text.isascii() and "\x7f" not in text and "[model]" not in text and "passw" not in text
    }
    wanted = {"model": {"checkpoint_path": "fake", **values}, "optimizer": {"type": "adamw", "lr": 1e-3, "x": texts[3]}}
    body = lab.request(
        epochs=1,
        config={**wanted, "model": {**wanted["model"], "x_names": keys}},
        top={"description": "\n".join(texts), "tags": texts, "env": {f"X_{n}": t for n, t in enumerate(texts)}},
    )
    job = lab.call("POST", START, copy.deepcopy(body)).expect(201)["task_id"]
    detail = lab.wait_status(job, "completed")
    assert detail["description"] == body["description"] and detail["tags"] == texts
    written = toml.load(lab.data / "configs" / f"{job}.toml")
    for kept in (detail["config"]["model"], written["model"]):
        assert {name: kept[name] for name in values} == values
        assert kept["x_names"] == keys
    assert written["optimizer"]["x"] == texts[3]
    assert {name: value for name, value in detail["environment"].items() if name.startswith("X_")} == body["env"]
    assert not canary.exists()
    assert set(os.listdir(lab.home)) <= {"data", "service.err", "service.1.out"}
    for text in texts:
        found = lab.get("/list", params={"tag": text})["tasks"]
        assert [one["task_id"] for one in found] == [job], text
    assert lab.get("/list", params={"q": "%s%n"})["pagination"]["total"] == 1
    assert lab.get("/list", params={"q": "_%_%_zzz"})["pagination"]["total"] == 0


@pytest.mark.parametrize("change", [model(x_list=HOSTILE), model(x_names={"é": 1})], ids=["list", "key"])
def test_what_the_trainer_could_not_read_is_refused(unchanged: Service, change: Change) -> None:
    """Its old TOML reader has bugs: what it would read as something else is not written."""
    body = unchanged.request()
    change(body)
    answer = unchanged.call("POST", START, body)
    check_envelope(answer, 422)
    assert answer.data["errors"][0]["field"].startswith("config.model.x_")


def test_directories_with_hostile_names(lab: Service) -> None:
    name = "a b'\"\n;$(id)`x` é%s[model]\\"
    images = lab.data / "workspace" / name
    shutil.copytree(lab.images, images)
    where = lab.data / "workspace" / ("out " + name)
    body = lab.request(epochs=1, config={"output_dir": str(where)})
    body["dataset"]["directory"][0]["path"] = str(images)
    job = lab.call("POST", START, body).expect(201)["task_id"]
    detail = lab.wait_status(job, "completed")
    assert detail["output_dir"] == str(where)
    assert detail["dataset"]["directory"][0]["path"] == str(images)
    names = {one["name"] for one in detail["checkpoints"]}
    assert {"global_step8", "epoch1"} <= names
    paths = [one["path"] for one in lab.get(f"/{job}/artifacts")["artifacts"]]
    assert any(one.endswith("/latest") for one in paths)
    lab.call("DELETE", f"/{job}", params={"files": "true"}).expect(200)
    assert images.is_dir() and not where.exists()


def test_secrets_are_masked_and_kept(lab: Service) -> None:
    secret = "s3cr3t-" + "x" * 20
    monitoring = {"enable_wandb": True, "wandb_api_key": secret, "wandb_tracker_name": "t", "wandb_run_name": "r"}
    job = lab.submit(epochs=1, config={"monitoring": monitoring}, top={"env": {"MY_TOKEN": secret}})
    lab.wait_status(job, "completed")
    for where in (f"/{job}", "/list", f"/{job}/logs", f"/{job}/progress"):
        assert secret.encode() not in lab.call("GET", where).raw, where
    config_file = lab.data / "configs" / f"{job}.toml"
    assert secret in config_file.read_text() and config_file.stat().st_mode & 0o777 == 0o600
    assert secret not in lab.errors()
