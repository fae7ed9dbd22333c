"""The kraken engine: requests, the files of an attempt, where kraken is, and what a job's end changes."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.models.events import Advance
from api.models.job import EndReason, Job, JobSpec, JobStatus, Resources
from api.models.ocr import Line, ModelJob, OcrModel, Page, Part
from api.models.workspace import Workspace
from api.services.document_import import DocumentFiles
from api.services.endings import Endings
from api.services.engines.base import Launch
from api.services.engines.interpreter import Interpreter
from api.services.engines.kraken import KrakenEngine, files
from api.services.engines.kraken.request import SEED
from api.services.ocr_training_end import model_keeper
from api.services.store import jobs as store
from api.services.store import ocr
from api.services.store.database import Database
from api.settings import ROOT
from api.utils.errors import Conflict, Forbidden, Invalid, Unavailable
from api.utils.paths import AllowedRoots
from tests.unit.toys import START, World, add_job

SPEC = "[1,32,0,1 Cr3,3,16 Mp2,2 S1(1x0)1,3 Lbx64]"


def environment(directory: Path, version: str | None = "7.1.1") -> str:
    """An interpreter whose environment has (or lacks) kraken's metadata. It is never run."""
    python = directory / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/false\n")
    python.chmod(0o755)
    packages = directory / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    for name in ("kraken_other-1.dist-info", *([f"kraken-{version}.dist-info"] if version else [])):
        (packages / name).mkdir()
    return str(python)


def page(number: int, image: str | None, *texts: str) -> Page:
    lines = tuple(Line(n, number, n, None, ((1, 2), (3, 4)), None, text) for n, text in enumerate(texts, 1))
    part = Part(number, 1, number, f"p{number}.png", image, 10, 10, None, len(lines), 0, 0, 0)
    return Page(part, lines)


PAGES = {1: page(1, "documents/1/a.png", "é\n", '"quoted"'), 2: page(2, None)}


def pages(ids: Sequence[int]) -> list[Page]:
    return [PAGES[each] for each in ids]


@pytest.fixture
def engine(tmp_path: Path) -> KrakenEngine:
    (tmp_path / "out").mkdir()
    data = tmp_path / "data"
    roots = AllowedRoots([tmp_path / "out"])
    return KrakenEngine(environment(tmp_path / "venv"), ROOT, data, data / "ocr_models", roots, pages)


def spec(**params: Any) -> JobSpec:
    return JobSpec("kraken", "a job", {"task": "train", "model_id": 1, "document_ids": [1, 2], **params})


def launch(engine: KrakenEngine, tmp_path: Path, job: Job, **changes: Any) -> Launch:
    workspace = Workspace(job.id, 1, tmp_path / "c", tmp_path / "log", tmp_path / "configs", tmp_path / "out" / job.id)
    return Launch(**{
        "job": replace(job, spec=engine.validate(job.spec)), "workspace": workspace, "gpu_ids": (), "ports": (),
        "base_env": {"PATH": "/bin"}, **changes,
    })  # fmt: skip


@pytest.fixture
def job(world: World) -> Job:
    with world.db.write() as connection:
        return add_job(connection, engine="kraken", params=spec().params)


# ---- requests


def test_defaults(engine: KrakenEngine) -> None:
    checked = engine.validate(spec())
    assert checked.params == {
        "task": "train", "model_id": 1, "document_ids": [1, 2], "epochs": 50, "lrate": None, "batch_size": 1,
        "augment": False, "device": None, "base_model": None, "spec": None, "lag": None, "seed": None,
    }  # fmt: skip
    assert engine.validate(checked) == checked  # as a resume does


@pytest.mark.parametrize(
    ("device", "asked", "got"),
    [
        (None, Resources(), Resources(gpus=1)),
        ("cuda", Resources(), Resources(gpus=1)),
        ("cuda:2", Resources(), Resources(gpus=1, gpu_ids=(2,))),
        ("cpu", Resources(gpus=1, cpus=2), Resources(cpus=2)),
    ],
)
def test_devices(engine: KrakenEngine, device: str | None, asked: Resources, got: Resources) -> None:
    assert engine.validate(replace(spec(device=device), resources=asked)).resources == got


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("task", {"task": "pretrain"}),
        ("document_ids", {"document_ids": []}),
        ("document_ids", {"document_ids": [1, 1]}),
        ("document_ids", {"document_ids": [True]}),
        ("document_ids", {"document_ids": "1"}),
        ("epochs", {"epochs": 0}),
        ("epochs", {"epochs": 1.5}),
        ("batch_size", {"batch_size": 10**6}),
        ("lrate", {"lrate": float("nan")}),
        ("lrate", {"lrate": -1}),
        ("lag", {"lag": 0}),
        ("seed", {"seed": 2**32}),
        ("augment", {"augment": "yes"}),
        ("device", {"device": "cuda:x"}),
        ("device", {"device": "cpu\n"}),
        ("spec", {"spec": "1,32,0,1 Lbx64"}),
        ("spec", {"spec": "[1,32,0,1 " + "Lbx64 " * 1000 + "]"}),
        ("spec", {"spec": "[1,32,0,1 Lbx64]; rm"}),
        ("base_model", {"task": "test"}),
        ("base_model", {"base_model": "relative.safetensors"}),
        ("base_model", {"base_model": 5}),
        ("learning_rate", {"learning_rate": 1}),
    ],
)
def test_refused(engine: KrakenEngine, field: str, params: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        engine.validate(spec(**params))
    assert refused.value.field == field


def test_base_models_are_data_and_come_from_the_roots(engine: KrakenEngine, tmp_path: Path) -> None:
    inside = tmp_path / "out" / "m.safetensors"
    assert engine.validate(spec(base_model=str(inside))).params["base_model"] == str(inside)
    with pytest.raises(Forbidden):
        engine.validate(spec(base_model="/etc/m.safetensors"))
    with pytest.raises(Invalid):  # a checkpoint is a pickle
        engine.validate(spec(base_model=str(tmp_path / "out" / "epoch1_step1.ckpt")))


def test_two_gpus_are_one_too_many(engine: KrakenEngine) -> None:
    with pytest.raises(Invalid):
        engine.validate(replace(spec(), resources=Resources(gpus=2)))


def test_the_schema_knows_every_parameter(engine: KrakenEngine) -> None:
    assert set(engine.schema()["properties"]) == set(engine.validate(spec()).params)


# ---- where kraken is


def test_availability(engine: KrakenEngine, tmp_path: Path) -> None:
    assert (engine.availability().available, engine.availability().version) == (True, "7.1.1")
    old = replace(engine, python=environment(tmp_path / "old", "5.3.0")).availability()
    assert not old.available and old.version == "5.3.0" and "too old" in (old.reason or "")
    none = replace(engine, python=environment(tmp_path / "none", None)).availability()
    assert not none.available and "make kraken" in (none.reason or "")
    gone = replace(engine, python="/nowhere/python").availability()
    assert not gone.available and "/nowhere/python" in (gone.reason or "")


def test_without_kraken_nothing_is_queued(engine: KrakenEngine, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="make kraken"):
        replace(engine, python=environment(tmp_path / "none", None)).validate(spec())


def test_the_services_own_interpreter_is_asked_directly() -> None:
    own = Interpreter(sys.executable)
    assert own.version_of("flask") is not None and own.version_of("no-such-thing") is None


# ---- an attempt


def test_prepare(engine: KrakenEngine, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job, gpu_ids=(3,))
    command = engine.prepare(start)
    path = files.settings_file(start.workspace)
    assert command.argv == (engine.python, "-u", "-m", "api.children.kraken_train", str(path))
    assert command.env["CUDA_VISIBLE_DEVICES"] == "3" and command.env["PYTHONPATH"] == command.cwd == str(ROOT)
    settings = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (settings["accelerator"], settings["seed"], settings["resume"]) == ("cuda", SEED, None)
    assert settings["keep"] == str(tmp_path / "data" / "ocr_models" / "1" / job.id)
    rows = [json.loads(row) for row in Path(settings["data"]).read_text("utf-8").splitlines()]
    assert [row["image"] for row in rows] == [str(tmp_path / "data" / "documents/1/a.png"), None]
    assert [line["text"] for line in rows[0]["lines"]] == ["é\n", '"quoted"']


def test_on_a_cpu_no_gpu_is_seen(engine: KrakenEngine, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job)
    command = engine.prepare(start)
    settings = json.loads(files.settings_file(start.workspace).read_text())
    assert command.env["CUDA_VISIBLE_DEVICES"] == ""
    assert (settings["accelerator"], settings["threads"], settings["workers"]) == ("cpu", 1, 0)


def test_a_resume_goes_on_with_the_same_lines(engine: KrakenEngine, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job)
    engine.prepare(start)
    (start.workspace.output_dir / "epoch2_step40.ckpt").write_bytes(b"x")
    before = files.data_file(start.workspace).read_bytes()
    again = replace(start, resume_from="epoch2_step40.ckpt", workspace=replace(start.workspace, attempt=2))
    replace(engine, pages=lambda ids: []).prepare(again)
    assert files.data_file(start.workspace).read_bytes() == before
    settings = json.loads(files.settings_file(again.workspace).read_text())
    assert settings["resume"] == str(start.workspace.output_dir / "epoch2_step40.ckpt")
    for name in ("epoch3_step60.ckpt", "../epoch2_step40.ckpt", "best_0.5.safetensors"):
        with pytest.raises(Conflict):
            engine.prepare(replace(again, resume_from=name))


def test_a_stop_is_a_file_of_the_attempt(engine: KrakenEngine, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job)
    assert not engine.soft_stop(replace(start.workspace, config_dir=tmp_path / "gone"))
    engine.prepare(start)
    stop = Path(json.loads(files.settings_file(start.workspace).read_text())["stop"])
    assert not stop.exists() and engine.soft_stop(start.workspace) and stop.exists()
    assert engine.soft_stop(start.workspace)
    assert not files.stop_file(replace(start.workspace, attempt=2)).exists()


def test_the_files_of_a_job_go_with_it(engine: KrakenEngine, world: World, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job)
    engine.prepare(replace(start, workspace=replace(start.workspace, config_dir=world.workspaces.config_dir)))
    other = world.workspaces.config_dir / f"{job.id}5_attempt1.json"
    other.touch()
    world.workspaces.note_removal(job, [])
    world.workspaces.finish_removals(lambda _id: False)
    assert list(world.workspaces.config_dir.iterdir()) == [other]


def test_checkpoints(engine: KrakenEngine, tmp_path: Path) -> None:
    out = tmp_path / "out" / "j"
    workspace = Workspace("j", 1, tmp_path, tmp_path, tmp_path, out)
    assert engine.checkpoints(workspace) == []
    out.mkdir()
    for name in ("epoch10_step200.ckpt", "epoch9_step190.ckpt", "best_0.9000.safetensors", ".epoch11_step1.ckpt.part"):
        (out / name).write_bytes(b"12345")
    (out / "epoch12_step300.ckpt").symlink_to("/etc/passwd")
    found = engine.checkpoints(workspace)
    assert [(c.name, c.kind, c.epoch, c.step) for c in found] == [
        ("best_0.9000.safetensors", "weights", None, None),
        ("epoch9_step190.ckpt", "state", 9, 190),
        ("epoch10_step200.ckpt", "state", 10, 200),
    ]
    assert {c.size_bytes for c in found} == {5}


def test_totals(engine: KrakenEngine, tmp_path: Path, job: Job) -> None:
    start = launch(engine, tmp_path, job)
    assert engine.totals(start.job, start.workspace) == (Advance(total_epochs=50),)


# ---- the end of a job


def ended(db: Database, data_dir: Path, note: dict[str, Any] | None, reason: EndReason) -> OcrModel:
    new = OcrModel(0, 1, None, "a model", ModelJob.RECOGNIZE, None, None, None, None, START, START)
    with db.write() as connection:
        model = ocr.add_model(connection, new)
        params = {**spec().params, "model_id": model.id}
        row = store.NewJob(
            JobSpec("kraken", "a job", params), "ocr", 1, None, lambda _id: "/x", lambda: f"job{model.id}"
        )
        taken = store.transition(connection, store.add(connection, row, START), JobStatus.RUNNING, START)
        progress = {} if note is None else {"progress": {"notes": {"model_file": note}}}
        store.save(connection, taken, START, **progress)
        latest = store.get(connection, taken.id)
        Endings({"kraken": model_keeper(DocumentFiles(data_dir))}).finish(connection, latest, reason, START + 5)
    with db.read() as connection:
        return ocr.get_model(connection, model.id)


NOTE = {"name": "best_0.9000.safetensors", "size_bytes": 16_000_000, "epoch": 4, "accuracy": 0.9}


@pytest.mark.parametrize("reason", [EndReason.DONE, EndReason.STOPPED_BY_USER, EndReason.EXIT_CODE])
def test_the_kept_file_becomes_the_models(db: Database, tmp_path: Path, reason: EndReason) -> None:
    model = ended(db, tmp_path, NOTE, reason)
    assert model.file == f"ocr_models/{model.id}/job{model.id}_best_0.9000.safetensors"
    assert (model.file_size, model.accuracy) == (16_000_000, 0.9)


def test_without_a_file_the_model_stays_as_it_was(db: Database, tmp_path: Path) -> None:
    assert ended(db, tmp_path, None, EndReason.STOPPED_BY_USER).file is None
