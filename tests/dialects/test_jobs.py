"""The jobs dialect: every call, field and code of its document and of contract 2."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from api.models.accounts import ALL_SCOPES, Actor, Role, Scope, scopes_of
from api.models.dialect import JOBS, dialect_of
from api.models.job import EndReason, Failure, JobStatus
from api.models.room import Grant
from api.services.store import leases, schema
from tests.dialects.conftest import Site, strict

BASE = "/api/v1/training/jobs"
GIB = 1024**3


class Person:
    """A user of the site. That a token is asked for is the gate's business, and tested there."""

    def __init__(self, site: Site, name: str, role: Role = Role.MEMBER, scopes: frozenset[Scope] | None = None) -> None:
        accounts = site.services.accounts
        known = {user.name: user for user in accounts.users(site.operator)}
        self.user = known.get(name) or accounts.add_user(site.operator, name, None, role)
        self.site = site
        self.scopes = scopes or scopes_of(role)

    @property
    def actor(self) -> Actor:
        teams = self.site.services.accounts.teams(Actor(0, "", Role.ADMIN, ALL_SCOPES))
        mine = {t.id for t in teams if self.user in self.site.services.accounts.members(self.site.operator, t.id)}
        return Actor(self.user.id, self.user.name, self.user.role, self.scopes, frozenset(mine))

    def call(self, method: str, path: str = "", **given: Any) -> tuple[int, Any]:
        """The status, and what stands inside `data` (of an error the whole body)."""
        url = path if path.startswith("/api") else BASE + path
        response = self.site.call(method, url, given.pop("json", None), who=self.actor, **given)
        if not response.data:
            return response.status_code, None
        body = strict(response.data)
        assert set(body) == {"code", "message", "data", "timestamp"}
        if response.status_code >= 400:
            assert body["code"] == response.status_code
            return response.status_code, body
        assert body["code"] == (0 if url.startswith(BASE) else response.status_code)
        return response.status_code, body["data"]

    def create(self, **changes: Any) -> Any:
        code, data = self.call("POST", json=self.request(**changes))
        assert code == 201, data
        return data

    def request(self, **changes: Any) -> dict[str, Any]:
        body = {
            "name": "ResNet Training", "framework": "pytorch", "script_path": str(self.site.script), "cpu": 1,
            "memory": GIB, "gpu": 0,
        }  # fmt: skip
        return {key: value for key, value in {**body, **changes}.items() if value is not ...}


@pytest.fixture
def ana(site: Site) -> Iterator[Person]:
    script = site.home / "workspace" / "train.py"
    script.write_text("print('Epoch 1/2, Loss: 0.5')\n")
    site.script = script  # type: ignore[attr-defined]
    yield Person(site, "ana")
    site.empty()


@pytest.fixture
def bob(site: Site, ana: Person) -> Person:
    return Person(site, "bob")


@pytest.fixture
def root(site: Site, ana: Person) -> Person:
    return Person(site, "root", Role.ADMIN)


# ---- what the document shows


def test_the_documented_tour(site: Site, ana: Person) -> None:
    made = ana.create(description="图像分类模型训练", priority=5)
    assert set(made) == {"job_id", "name", "status", "created_at"}
    assert re.fullmatch(r"job-[a-z2-7]{8}", made["job_id"]) and made["status"] == "pending"
    code, page = ana.call("GET")
    assert code == 200 and page["pagination"] == {"page": 1, "page_size": 20, "total": 1, "total_pages": 1}
    assert page["items"] == [
        {"job_id": made["job_id"], "name": "ResNet Training", "status": "pending", "framework": "pytorch", "cpu": 1,
         "gpu": 0, "started_at": None, "created_at": made["created_at"]}
    ]  # fmt: skip
    code, job = ana.call("GET", "/" + made["job_id"])
    assert code == 200 and job["description"] == "图像分类模型训练" and job["script_path"] == str(site.script)
    assert (job["memory"], job["priority"], job["queue_position"]) == (GIB, 5, 1)
    assert re.fullmatch(r"env-[0-9a-f]{8}", job["env_id"]) and job["model_id"] is None
    assert [a["number"] for a in job["attempts"]] == [1] and job["exit_code"] is None
    running = site.running(site.job(made["job_id"]))
    site.prints(running, "Epoch 1/100, Loss: 0.5234\nEpoch 2/100, Loss: 0.4123\n")
    code, logs = ana.call("GET", f"/{made['job_id']}/logs")
    assert logs == {"logs": ["Epoch 1/100, Loss: 0.5234", "Epoch 2/100, Loss: 0.4123"]}
    assert ana.call("GET", f"/{made['job_id']}/logs?lines=1")[1]["logs"] == ["Epoch 2/100, Loss: 0.4123"]
    assert ana.call("DELETE", "/" + made["job_id"])[0] == 409
    response = site.call("POST", f"{BASE}/{made['job_id']}/stop", who=ana.actor)
    body = strict(response.data)
    assert (response.status_code, body["code"], body["message"], body["data"]) == (200, 0, "训练任务停止中", None)
    site.ended(EndReason.STOPPED_BY_USER, job=running)
    assert ana.call("GET", "/" + made["job_id"])[1]["status"] == "cancelled"
    assert ana.call("POST", f"/{made['job_id']}/stop")[0] == 409
    gone = site.call("DELETE", f"{BASE}/{made['job_id']}", who=ana.actor)
    assert (gone.status_code, gone.data) == (204, b"")
    assert ana.call("GET", "/" + made["job_id"])[0] == 404


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (EndReason.DONE, "completed"),
        (EndReason.EXIT_CODE, "failed"),
        (EndReason.OUT_OF_MEMORY, "failed"),
        (EndReason.STOPPED_BY_USER, "cancelled"),
    ],
)
def test_status_words(site: Site, ana: Person, reason: EndReason, word: str) -> None:
    job = site.running(site.job(ana.create()["job_id"]))
    assert ana.call("GET", f"/{job.id}")[1]["status"] == "running"
    failure = Failure("killed_by_oom", "ask for more memory") if reason.status is JobStatus.FAILED else None
    site.ended(reason, failure, job)
    shown = ana.call("GET", f"/{job.id}")[1]
    assert shown["status"] == word and shown["ended_at"] and shown["attempts"][0]["reason"] == reason
    assert (shown["failure"] and shown["failure"]["kind"]) == (failure and "killed_by_oom")
    assert [job["job_id"] for job in ana.call("GET", f"?status={word}")[1]["items"]] == [job.id]
    other = {"completed", "failed", "cancelled", "pending", "running"} - {word}
    assert all(ana.call("GET", f"?status={o}")[1]["items"] == [] for o in other)


def test_lists_are_paged_sorted_and_filtered(site: Site, ana: Person) -> None:
    jobs = [ana.create(name=name, priority=priority)["job_id"] for name, priority in (("b", 1), ("c", 9), ("a", 5))]

    def listed(query: str = "") -> list[int]:
        return [jobs.index(item["job_id"]) for item in ana.call("GET", query)[1]["items"]]

    assert listed() == [2, 1, 0] and listed("?order=asc") == [0, 1, 2]
    assert listed("?sort_by=name&order=asc") == [2, 0, 1] and listed("?sort_by=priority") == [1, 2, 0]
    assert listed("?page_size=2&page=2") == [0] and listed("?page=9") == []
    site.running(site.job(jobs[1]))
    assert listed("?sort_by=started_at")[0] == 1
    page = ana.call("GET", "?page_size=2")[1]
    assert page["pagination"] == {"page": 1, "page_size": 2, "total": 3, "total_pages": 2}
    site.start()  # of another dialect: not in this list
    assert len(listed()) == 3


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "page_size=0", "page_size=101", "status=queued", "sort_by=owner_id", "order=up",
     "workspace_id=0"],
)  # fmt: skip
def test_absurd_queries(ana: Person, query: str) -> None:
    code, body = ana.call("GET", "?" + query)
    assert code == 422 and body["data"]["errors"][0]["field"] == query.partition("=")[0]


# ---- what it refuses


@pytest.mark.parametrize("field", ["name", "framework", "script_path", "cpu", "memory", "gpu"])
@pytest.mark.parametrize("value", [..., None])
def test_what_is_required(ana: Person, field: str, value: Any) -> None:
    code, body = ana.call("POST", json=ana.request(**{field: value}))
    assert code == 422 and [e["field"] for e in body["data"]["errors"]] == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x" * 201), ("name", "a\0b"), ("name", 5), ("framework", "jax"), ("cpu", 0), ("cpu", -1),
        ("cpu", 1.0), ("cpu", "1"), ("cpu", True), ("memory", 2**20 - 1), ("memory", 2**63), ("gpu", -1), ("gpu", 10**9),
        ("priority", 11), ("priority", -1), ("workspace_id", "1"), ("dataset_id", ""), ("dataset_id", 1.5),
        ("dataset_id", "\ud800"), ("dataset_id", "a\0b"),
        ("dataset_id", "no-such-dataset"), ("args", "--epochs"), ("args", [1]), ("args", ["a\0b"]), ("env", {"A": 1}),
        ("max_runtime", 0), ("max_retries", -1), ("status", "completed"), ("job_id", "job-aaaaaaaa"),
    ],
)  # fmt: skip
def test_absurd_fields(site: Site, ana: Person, field: str, value: Any) -> None:
    code, body = ana.call("POST", json=ana.request(**{field: value}))
    assert code == 422 and body["data"]["errors"][0]["field"].split(".")[0] == field, body
    assert ana.call("GET")[1]["items"] == []


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "PATH", "BASH_ENV", "CUDA_VISIBLE_DEVICES", "TRAINYARD_X", "a b", ""],
)
def test_variables_that_change_which_program_runs(ana: Person, name: str) -> None:
    code, body = ana.call("POST", json=ana.request(env={name: "x"}))
    assert code == 422 and body["data"]["errors"][0]["field"] == f"env.{name}"


def test_scripts_outside_the_roots_and_things_that_are_none(site: Site, ana: Person, tmp_path: Path) -> None:
    inside = site.home / "workspace"
    outside = tmp_path / "train.py"
    outside.write_text("print(1)")
    (inside / "link.py").unlink(missing_ok=True)
    (inside / "link.py").symlink_to(outside)
    fifo = inside / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo)
    for path, code in [
        (outside, 403), (inside / "link.py", 403), (inside / ".." / ".." / "etc" / "passwd", 403), ("/etc/passwd", 403),
        (inside / "missing.py", 422), (inside, 422), (fifo, 422), ("train.py", 422), ("/dev/null", 403),
    ]:  # fmt: skip
        assert ana.call("POST", json=ana.request(script_path=str(path)))[0] == code, path
    assert ana.call("GET")[1]["items"] == []


@pytest.mark.parametrize(
    ("wanted", "short"), [({"gpu": 1}, "gpus"), ({"cpu": 60_000}, "cores"), ({"memory": 2**50}, "memory")]
)
def test_the_impossible(ana: Person, wanted: dict[str, int], short: str) -> None:
    code, body = ana.call("POST", json=ana.request(**wanted))
    assert code == 507 and body["data"]["short_of"] == [short] and "asked for" in body["message"]


def test_a_number_of_an_unknown_dataset_is_kept_and_said(ana: Person) -> None:
    job = ana.call("GET", "/" + ana.create(dataset_id=789)["job_id"])[1]
    assert job["dataset_id"] == 789 and "789" in job["warnings"][0]


# ---- again


def test_a_request_that_is_sent_again(ana: Person, bob: Person) -> None:
    key = {"Idempotency-Key": "resnet-1"}
    first = ana.call("POST", json=ana.request(), headers=key)
    assert first[0] == 201 and ana.call("POST", json=ana.request(), headers=key) == first
    code, body = ana.call("POST", json=ana.request(name="other"), headers=key)
    assert code == 422 and body["data"]["errors"][0]["field"] == "Idempotency-Key"
    assert bob.call("POST", json=bob.request(), headers=key)[1]["job_id"] != first[1]["job_id"]
    assert ana.call("POST", json=ana.request(), headers={"Idempotency-Key": "x" * 201})[0] == 422
    assert ana.call("GET")[1]["pagination"]["total"] == 1


# ---- who


def test_a_token_is_needed_even_by_the_local_operator() -> None:
    assert JOBS.needs_token and dialect_of(BASE + "/job-aaaaaaaa/logs") is JOBS
    assert dialect_of("/api/v1/training/list") is not JOBS


def test_whose_is_whose(site: Site, ana: Person, bob: Person, root: Person) -> None:
    accounts = site.services.accounts
    team = accounts.add_team(site.operator, f"vision {len(accounts.teams(site.operator))}").id
    for person in (ana, bob):
        accounts.join(site.operator, team, person.user.id)
    own, shared = ana.create()["job_id"], ana.create(workspace_id=team)["job_id"]
    eve = Person(site, "eve")
    assert ana.call("GET", f"/{shared}")[1]["workspace_id"] == team
    for person, job, read, change in (
        (ana, own, 200, 200), (bob, own, 403, 403), (bob, shared, 200, 403), (eve, shared, 403, 403),
        (root, own, 200, 200),
    ):  # fmt: skip
        assert person.call("GET", f"/{job}")[0] == read
        assert person.call("GET", f"/{job}/logs")[0] == read
        if change != 200:
            assert person.call("POST", f"/{job}/stop")[0] == change
            assert person.call("DELETE", f"/{job}")[0] == change
            assert person.call("PATCH", f"/api/v1/training/{job}", json={"priority": 9})[0] == change
    assert [j["job_id"] for j in bob.call("GET")[1]["items"]] == [shared]
    assert [j["job_id"] for j in ana.call("GET", f"?workspace_id={team}")[1]["items"]] == [shared]
    assert eve.call("GET")[1]["items"] == []
    assert len(root.call("GET")[1]["items"]) == 2
    assert eve.call("POST", json=eve.request(workspace_id=team))[0] == 403
    assert ana.call("POST", json=ana.request(workspace_id=10**9))[0] == 403
    assert root.call("POST", f"/{own}/stop")[0] == 200


def test_the_dialects_know_their_own(site: Site, ana: Person, root: Person) -> None:
    mine, other = root.create()["job_id"], site.start()["task_id"]
    for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/stop"), ("DELETE", "")):
        assert root.call(method, f"/{other}{path}")[0] == 404
    assert site.get(f"/{mine}")["dialect"] == "jobs" and site.get(f"/{mine}")["status"] == "queued"
    assert {task["task_id"] for task in site.get("/list")["tasks"]} == {mine, other}
    assert [task["task_id"] for task in site.get("/list", dialect="jobs", engine="script")["tasks"]] == [mine]
    assert root.call("DELETE", "")[0] == 405


# ---- the queue


def test_the_queue_is_shown_with_reasons(site: Site, ana: Person, bob: Person, root: Person) -> None:
    cores = len(site.services.queue.offer().room.cores)
    all_of_it = site.running(site.job(ana.create(cpu=cores)["job_id"]))
    with site.services.db.write() as connection:
        leases.take(connection, all_of_it.seq, Grant(cores=site.services.queue.offer().room.cores, memory=GIB))
        connection.execute(
            update(schema.jobs).where(schema.jobs.c.seq == all_of_it.seq).values(core_ids=list(range(cores)))
        )
    waits = ana.create()["job_id"]
    theirs = bob.create(priority=1)["job_id"]
    queue = root.call("GET", "/api/v1/queue")[1]
    assert [(j["task_id"], j["position"]) for j in queue["jobs"]] == [(theirs, 1), (waits, 2)] and queue["waiting"] == 2
    assert all_of_it.id in queue["jobs"][0]["reason"] and queue["jobs"][0]["reason"].startswith("waits for 1 core")
    mine = ana.call("GET", "/api/v1/queue")[1]
    assert [j["task_id"] for j in mine["jobs"]] == [waits] and mine["waiting"] == 2
    assert ana.call("GET", f"/{waits}")[1]["queue_reason"] == queue["jobs"][1]["reason"]
    held = ana.call("POST", f"/api/v1/training/hold/{waits}")[1]
    assert (held["held"], held["queue_position"]) == (True, None)
    assert ana.call("POST", f"/api/v1/training/release/{waits}")[1]["queue_position"] == 2
    assert ana.call("PATCH", f"/api/v1/training/{waits}", json={"priority": 9})[1]["queue_position"] == 1
    for body in ({}, {"priority": 11}, {"priority": 1, "status": "done"}):
        assert ana.call("PATCH", f"/api/v1/training/{waits}", json=body)[0] == 422
    assert ana.call("POST", f"/api/v1/training/hold/{all_of_it.id}")[0] == 409


def test_a_gpu_is_drained_by_an_admin(site: Site, ana: Person, root: Person) -> None:
    site.gpus(2)
    path = "/api/v1/gpu/1/drain"
    assert ana.call("PUT", path, json={"reason": "x"})[0] == 403
    assert root.call("PUT", path, json={})[0] == 422
    drained = root.call("PUT", path, json={"reason": "a fan is broken"})[1]["drained"]
    assert (drained["reason"], drained["by"]) == ("a fan is broken", "root")
    shown = {gpu["gpu_id"]: gpu for gpu in site.get("/api/v1/gpu/status")["gpus"]}
    assert (shown[1]["status"], shown[1]["drained"], shown[0]["drained"]) == ("busy", "a fan is broken", None)
    assert [gpu["gpu_id"] for gpu in site.get("/api/v1/gpu/available")["available_gpus"]] == [0]
    assert root.call("PUT", "/api/v1/gpu/7/drain", json={"reason": "x"})[0] == 404
    assert root.call("DELETE", path)[1]["drained"] is None
    assert root.call("DELETE", path)[0] == 409


def test_a_token_that_may_only_read(site: Site, ana: Person) -> None:
    reader = Person(site, "ana", scopes=frozenset({Scope.READ}))
    job = ana.create()["job_id"]
    assert reader.call("GET", f"/{job}")[0] == 200
    assert reader.call("POST", json=reader.request())[0] == 403
    assert reader.call("DELETE", f"/{job}")[0] == 403
