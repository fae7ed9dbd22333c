"""Trainings of the YOLO platform: every example of its document, bare and enveloped. No child runs here."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.models.accounts import Actor, Role, scopes_of
from api.models.dialect import JOBS
from api.models.job import EndReason, Failure, Job, JobSpec
from api.services.store import jobs as store
from api.services.store import yolo_models
from tests.dialects.conftest import Site
from tests.dialects.test_yolo_datasets import BARE, ISO, OWNER, STRANGER, V1, Platform
from tests.unit import yolo_sets as sets

ASKED = {
    "version": "v1",
    "model_name": "yolov8n.pt",
    "epochs": 50,
    "imgsz": 640,
    "batch": 16,
    "base_model_id": None,
}
ITEM = {
    "job_id": str, "dataset_id": str, "version": str, "model_name": str, "epochs": int, "imgsz": int, "batch": int,
    "status": str, "created_at": str,
}  # fmt: skip
ADDED = {
    "can_resume", "log_file", "stopped_at", "failed_at", "error", "resume_count", "model_id", "base_model_id",
    "completed_at", "queue_position", "warnings",
}  # fmt: skip


class Trainings(Platform):
    """Jobs on one prepared dataset; an end is as if its child had come to it."""

    dataset: str = ""

    def create(self, code: int = 200, **more: Any) -> Any:
        body = {"dataset_id": self.dataset, "epochs": 2, "imgsz": 64, **more}
        return (
            self.ok("POST", "/train/jobs", body)["job_id"]
            if code == 200
            else self.detail("POST", "/train/jobs", code, body)
        )

    def begun(self, job_id: str) -> Job:
        return self.site.running(self.site.job(job_id))

    def one(self, job_id: str, **more: Any) -> Any:
        return self.ok("GET", f"/train/jobs/{job_id}", **more)

    def weights(self, job_id: str, *, state: bool) -> Path:
        """As its child leaves them."""
        output = self.site.output(self.site.job(job_id))
        (output / "weights").mkdir(exist_ok=True)
        (output / "weights" / "best.pt").write_bytes(b"best weights")
        if state:
            (output / "last.pt").write_bytes(b"state")
        return output

    def completed(self, job_id: str) -> Job:
        """As its worker does it: settled, then ended with its hook."""
        endings = self.site.services.supervisor.parts.endings
        job = self.begun(job_id)
        endings.settle(self.site.job(job_id))
        with self.site.services.db.write() as connection:
            return endings.finish(connection, store.get(connection, job.id), EndReason.DONE, time.time(), exit_code=0)


@pytest.fixture(scope="module")
def prepared(shared_site: Site) -> str:
    return Platform(shared_site, BARE).prepared()


@pytest.fixture(params=[BARE, V1], ids=["bare", "enveloped"])
def trainings(site: Site, prepared: str, request: pytest.FixtureRequest) -> Trainings:
    made = Trainings(site, request.param)
    made.dataset = prepared
    return made


@pytest.fixture
def bare(site: Site, prepared: str) -> Trainings:
    made = Trainings(site, BARE)
    made.dataset = prepared
    return made


@pytest.fixture
def disposable(bare: Trainings) -> Iterator[Trainings]:
    """With a dataset of its own."""
    kept, bare.dataset = bare.dataset, bare.prepared()
    yield bare
    bare.dataset = kept


class TestTheDocument:
    def test_create_list_and_detail(self, trainings: Trainings) -> None:
        made = trainings.ok("POST", "/train/jobs", {"dataset_id": trainings.dataset, **ASKED})
        assert re.fullmatch(r"job_\d{8}_\d{6}_[0-9a-f]{4}", made["job_id"])
        assert (made["status"], made["queue_position"], made["warnings"]) == ("running", 1, [])
        listed = trainings.ok("GET", "/train/jobs")
        (item,) = listed["jobs"]
        assert listed["total"] == 1 and set(item) >= ITEM.keys() | ADDED
        for name, kind in ITEM.items():
            assert type(item[name]) is kind, name
        assert {name: item[name] for name in ASKED} == ASKED and item["dataset_id"] == trainings.dataset
        assert ISO.fullmatch(item["created_at"]) and item["model_id"] is None
        detail = trainings.one(made["job_id"])
        assert {name: detail[name] for name in item} == item
        assert detail["log_file"].endswith(f"/{made['job_id']}.log") and detail["completed_at"] is None
        assert detail["progress"]["total_epochs"] is None and detail["queue_reason"]

    def test_what_is_left_out(self, trainings: Trainings) -> None:
        detail = trainings.one(trainings.ok("POST", "/train/jobs", {"dataset_id": trainings.dataset})["job_id"])
        shown = {name: detail[name] for name in ("version", "model_name", "epochs", "imgsz", "batch", "base_model_id")}
        assert shown == {**ASKED, "epochs": 10, "batch": -1}

    def test_stop_resume_and_delete(self, trainings: Trainings) -> None:
        job = trainings.create()
        stopped = trainings.ok("POST", f"/train/jobs/{job}/stop")
        assert stopped == {"ok": True, "message": "Training job stopped successfully"}
        detail = trainings.one(job)
        assert detail["status"] == "stopped" and ISO.fullmatch(detail["stopped_at"]) and detail["can_resume"] is True
        trainings.weights(job, state=True)
        resumed = trainings.ok("POST", f"/train/jobs/{job}/resume")
        told = {"ok": True, "message": "Training job resumed successfully", "job_id": job, "status": "running"}
        assert resumed == {**told, "warnings": []}
        detail = trainings.one(job)
        assert (detail["resume_count"], detail["can_resume"], detail["stopped_at"]) == (1, False, None)
        trainings.begun(job)
        assert "runs" in trainings.detail("DELETE", f"/train/jobs/{job}", 409)
        trainings.site.ended(EndReason.STOPPED_BY_USER, job=trainings.site.job(job))
        output = trainings.site.output(trainings.site.job(job))
        gone = trainings.ok("DELETE", f"/train/jobs/{job}")
        assert gone == {"ok": True, "message": "Training job deleted successfully"}
        assert not output.exists()
        trainings.detail("GET", f"/train/jobs/{job}", 404)

    def test_completed_with_a_model(self, trainings: Trainings) -> None:
        job = trainings.create()
        trainings.weights(job, state=False)
        assert trainings.completed(job).status == "completed"
        detail = trainings.one(job)
        assert detail["status"] == "completed" and ISO.fullmatch(detail["completed_at"])
        assert re.fullmatch(r"model_\d{8}_\d{6}_[0-9a-f]{8}", detail["model_id"]) and detail["can_resume"] is False
        further = trainings.create(base_model_id=detail["model_id"])
        assert trainings.one(further)["base_model_id"] == detail["model_id"]
        named = trainings.create(model_name=detail["model_id"])
        for made in (further, named):
            model = trainings.site.job(made).spec.params["model"]
            assert model["kind"] == "weights" and model["value"].endswith(
                f"/models/{detail['model_id']}/weights/best.pt"
            )

    def test_weights_that_are_gone_when_it_ends(self, trainings: Trainings) -> None:
        job = trainings.create()
        assert trainings.completed(job).status == "completed"
        detail = trainings.one(job)
        assert detail["model_id"] is None and "was gone when it ended" in detail["warnings"][0]

    def test_failed(self, trainings: Trainings) -> None:
        job = trainings.create()
        failure = Failure("missing_file", "place the file by hand", "a line")
        trainings.site.ended(EndReason.EXIT_CODE, failure, trainings.begun(job))
        detail = trainings.one(job)
        assert detail["status"] == "failed" and detail["error"] == "place the file by hand"
        assert ISO.fullmatch(detail["failed_at"]) and detail["can_resume"] is True
        assert detail["failure"] == {"kind": "missing_file", "hint": "place the file by hand", "line": "a line"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"epochs": 0}, "epochs"),
            ({"epochs": "5"}, "epochs"),
            ({"imgsz": 16}, "imgsz"),
            ({"batch": 1.5}, "batch"),
            ({"optimizer": "Magic"}, "optimizer"),
            ({"device": "0,1"}, "device"),
            ({"pretrained": "maybe"}, "pretrained"),
            ({"priority": 11}, "priority"),
            ({"model_name": "../../etc/passwd"}, "model_name"),
            ({"model_name": "/data/weights/yolov8n.pt"}, "model_name"),
            ({"model_name": "mine.pt"}, "model_name"),
            ({"model_name": "yolov8n.pt\n"}, "model_name"),
            ({"nonsense": 1}, "nonsense"),
            ({"save_json": True}, "save_json"),
            *[
                ({name: "x"}, name)
                for name in ("project", "name", "save_dir", "exist_ok", "resume", "data", "cfg", "model")
            ],
        ],
    )
    def test_wrong_values_name_their_field(self, trainings: Trainings, given: dict[str, Any], field: str) -> None:
        assert field in trainings.create(422, **given)
        assert trainings.ok("GET", "/train/jobs")["total"] == 0

    def test_a_refused_name_says_why(self, bare: Trainings) -> None:
        assert "resume: is chosen by the service: resume the job" in bare.create(422, resume=True)

    def test_what_is_not_there(self, trainings: Trainings) -> None:
        for given in (
            {"dataset_id": "ds_20240115_123456_00000000"}, {"version": "v9"}, {"base_model_id": "model_none"},
            {"base_model_id": "../x"}, {"model_name": "model_20240115_143000_00000000"},
        ):  # fmt: skip
            trainings.create(404, **given)
        for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/resume"), ("DELETE", "")):
            trainings.detail(method, f"/train/jobs/job_20240115_123456_0000{path}", 404)
        assert "dataset_id" in trainings.detail("POST", "/train/jobs", 422, {})

    def test_wrong_states(self, trainings: Trainings) -> None:
        job = trainings.create()
        assert "has not ended" in trainings.detail("POST", f"/train/jobs/{job}/resume", 409)
        trainings.weights(job, state=False)
        trainings.completed(job)
        made = trainings.one(job)["model_id"]
        told = trainings.detail("POST", f"/train/jobs/{job}/resume", 409)
        assert "is finished: there is nothing to resume" in told and f"base_model_id {made}" in told
        assert "already ended" in trainings.detail("POST", f"/train/jobs/{job}/stop", 409)

    def test_the_wrong_page(self, trainings: Trainings) -> None:
        for query in ({"limit": 0}, {"limit": 1001}, {"offset": -1}):
            trainings.detail("GET", "/train/jobs", 422, query_string=query)

    def test_jobs_of_other_kinds_are_not_found_here(self, bare: Trainings) -> None:
        other = bare.site.queued().id
        params = bare.site.job(bare.create()).spec.params
        spec = JobSpec("ultralytics", "x", params)
        elsewhere = bare.site.services.jobs.submit(OWNER, spec, JOBS).id
        for job in (other, elsewhere):
            bare.detail("GET", f"/train/jobs/{job}", 404, who=bare.site.operator)
        assert bare.ok("GET", "/train/jobs", who=bare.site.operator)["total"] == 1
        assert bare.site.get(f"/{elsewhere}")["engine"] == "ultralytics"


def test_pages_are_the_newest_first(bare: Trainings) -> None:
    made = [bare.create() for _ in range(5)]
    page = bare.ok("GET", "/train/jobs", query_string={"limit": 2, "offset": 1})
    assert [job["job_id"] for job in page["jobs"]] == made[3:1:-1] and page["total"] == 5
    assert [job["queue_position"] for job in page["jobs"]] == [4, 3]
    assert bare.ok("GET", "/train/jobs", who=STRANGER) == {"jobs": [], "total": 0}


def test_arguments_reach_the_engine_by_their_own_names(bare: Trainings) -> None:
    given = {
        "lr0": 0.003,
        "optimizer": "AdamW",
        "seed": 7,
        "patience": 5,
        "plots": False,
        "mosaic": 0.5,
        "freeze": [0, 1],
    }
    job = bare.create(**given, device="cpu", workers=0, priority=4, pretrained="auto", cos_lr=None)
    params = bare.site.job(job).spec.params
    assert {name: params[name] for name in given} == given
    assert (params["device"], params["workers"], params["pretrained"]) == ("cpu", 0, "auto") and "cos_lr" not in params
    assert bare.site.job(job).priority == 4 and bare.one(job)["arguments"]["lr0"] == 0.003


def test_the_same_request_sent_again_makes_one_job(bare: Trainings) -> None:
    body = {"dataset_id": bare.dataset}
    sent = [bare.ok("POST", "/train/jobs", body, headers={"Idempotency-Key": "k1"})["job_id"] for _ in range(2)]
    assert sent[0] == sent[1] and bare.ok("GET", "/train/jobs")["total"] == 1
    bare.detail("POST", "/train/jobs", 422, {**body, "epochs": 3}, headers={"Idempotency-Key": "k1"})


def test_ids_differ_within_a_second(bare: Trainings) -> None:
    """F39."""
    assert len({bare.create() for _ in range(40)}) == 40


class TestDatasets:
    def test_one_that_is_only_uploaded_is_prepared_first(self, bare: Trainings) -> None:
        bare.dataset = bare.upload()
        job = bare.create()
        assert bare.ok("GET", f"/datasets/{bare.dataset}")["versions"] == ["v1"]
        assert bare.site.job(job).spec.params["data"].endswith(f"/{bare.dataset}/v1/data.yaml")
        bare.dataset = bare.upload()
        bare.create(409, version="v2")
        assert bare.ok("GET", f"/datasets/{bare.dataset}")["versions"] == []

    def test_one_that_cannot_be_prepared(self, bare: Trainings) -> None:
        bare.dataset = bare.upload({"classes.txt": b"x"})
        assert "cannot be prepared" in bare.create(409)
        bare.dataset = bare.upload(
            {"images/train/1.png": sets.picture(1), "labels/train/1.txt": b"0 0.5 0.5 0.5 0.5\n"}
        )
        assert "no val images" in bare.create(409)

    def test_one_in_use_stays(self, disposable: Trainings) -> None:
        job = disposable.create()
        one = f"/datasets/{disposable.dataset}"
        assert f"job {job} uses" in disposable.detail("DELETE", one, 409)
        disposable.begun(job)
        disposable.detail("DELETE", one, 409)
        disposable.site.ended(EndReason.STOPPED_BY_USER, job=disposable.site.job(job))
        disposable.ok("DELETE", one)
        assert "was deleted" in disposable.detail("POST", f"/train/jobs/{job}/resume", 409)
        disposable.create(404)

    def test_a_stranger_may_not_use_it(self, bare: Trainings) -> None:
        bare.detail("POST", "/train/jobs", 403, {"dataset_id": bare.dataset}, who=STRANGER)

    def test_a_mate_may_train_on_what_is_prepared(self, bare: Trainings) -> None:
        accounts, operator = bare.site.services.accounts, bare.site.operator
        team = accounts.add_team(operator, "shapes").id
        people = []
        for name in ("ada", "ben"):
            user = accounts.add_user(operator, name, None, Role.MEMBER).id
            accounts.join(operator, team, user)
            people.append(Actor(user, name, Role.MEMBER, scopes_of(Role.MEMBER), frozenset({team})))
        owner, mate = people
        sent = bare.send(sets.packed(sets.flat()), workspace_id=str(team))
        shared = bare.ok("POST", "/datasets/upload", **sent, who=owner)["dataset_id"]
        bare.detail("POST", "/train/jobs", 403, {"dataset_id": shared}, who=mate)  # to prepare it is to change it
        bare.ok("POST", f"/datasets/{shared}/prepare", {}, who=owner)
        job = bare.ok("POST", "/train/jobs", {"dataset_id": shared}, who=mate)["job_id"]
        assert bare.one(job, who=owner)["workspace_id"] == team
        bare.detail("POST", f"/train/jobs/{job}/stop", 403, who=owner)


class TestResume:
    def test_without_a_state_the_best_weights_are_the_start(self, bare: Trainings) -> None:
        job = bare.create()
        bare.ok("POST", f"/train/jobs/{job}/stop")
        output = bare.weights(job, state=False)
        told = bare.ok("POST", f"/train/jobs/{job}/resume")
        assert "begins again at epoch 1, with the weights of best.pt" in told["message"]
        assert told["warnings"] == [told["message"]]
        fresh = bare.site.job(job)
        assert fresh.series == fresh.attempt == 2 and bare.site.output(fresh) == output

    def test_without_anything_it_starts_over(self, bare: Trainings) -> None:
        job = bare.create()
        bare.ok("POST", f"/train/jobs/{job}/stop")
        told = bare.ok("POST", f"/train/jobs/{job}/resume")
        assert "starts over" in told["message"] and told["warnings"] == [told["message"]]
        assert bare.one(job)["resume_count"] == 1

    def test_a_model_that_was_registered_survives_its_job(self, bare: Trainings) -> None:
        job = bare.create()
        bare.weights(job, state=False)
        bare.completed(job)
        made = bare.one(job)["model_id"]
        bare.ok("DELETE", f"/train/jobs/{job}")
        model = bare.site.services.models.get(OWNER, made)
        assert bare.site.services.models.weights(model).read_bytes() == b"best weights"


def test_the_jobs_dialect_tells_of_a_model_too(bare: Trainings) -> None:
    """Of a job that made one; scripts make none."""
    script = bare.site.home / "workspace" / "s.py"
    script.write_text("pass\n")
    body = {"name": "x", "framework": "pytorch", "script_path": str(script), "cpu": 1, "memory": 2**20, "gpu": 0}
    made = bare.site.call("POST", "/api/v1/training/jobs", body).get_json()["data"]["job_id"]
    path = f"/api/v1/training/jobs/{made}"
    assert bare.site.call("GET", path).get_json()["data"]["model_id"] is None
    job = bare.site.running(bare.site.job(made))
    with bare.site.services.db.write() as connection:
        progress = {"notes": {"model": {"id": "model_x", "size": 1}}}
        store.save(connection, job, time.time(), progress=progress)
    bare.site.ended(job=job)
    assert bare.site.call("GET", path).get_json()["data"]["model_id"] == "model_x"


def test_a_dataset_of_preprocessing_cannot_have_such_a_name(bare: Trainings) -> None:
    body = {"dataset_name": "ds_20240115_123456_5f2c8a1b", "video_directory": str(bare.site.images)}
    told = bare.site.error("POST", "/api/v1/preprocessing/start", 422, body)
    assert "must not look like the id of a YOLO dataset" in told["message"]


@pytest.fixture(autouse=True, scope="module")
def _tidy(shared_site: Site) -> Iterator[None]:
    yield
    with shared_site.services.db.write() as connection:
        connection.execute(yolo_models.models.delete())
    shutil.rmtree(shared_site.services.models.root, ignore_errors=True)
