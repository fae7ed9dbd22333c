"""An app over real services: no child is started, so jobs stay where a test puts them. GPUs are fake.

Every answer is held against the OpenAPI document: its status must be listed and its body must fit the schema.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from PIL import Image
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from api import app as composition
from api.models.accounts import Actor
from api.models.dialect import YOLO_PLATFORM, dialect_of
from api.models.job import EndReason, Failure, Job
from api.models.room import Grant
from api.services.container import Services
from api.services.gpus.fake import FakeSource
from api.services.ingest import Ingestor
from api.services.store import jobs as store
from api.services.store import queue, schema
from api.settings import load
from tests import postgres

BASE = "/api/v1/training"
ROOTED = ("/api", "/healthz", "/readyz", "/metrics")
LATER = 10.0**6  # seconds for which a reading of the fake GPUs stays fresh


class Documented:
    """The OpenAPI document as a judge of answers."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.spec: dict[str, Any] = app.extensions["openapi"]
        self._validators: dict[str, Draft202012Validator] = {}

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """A response, followed to where it is described."""
        name = node.get("$ref", "").removeprefix("#/components/responses/")
        return self.spec["components"]["responses"][name] if name else node

    def operation(self, path: str, method: str) -> dict[str, Any] | None:
        """Of a request's path; None where the router knows none."""
        adapter = self.app.url_map.bind("localhost")
        try:
            rule, _ = adapter.match(path, method=method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        return self.spec["paths"].get(template(rule.rule), {}).get(method.lower())

    def fit(self, schema: dict[str, Any], value: Any) -> None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self.spec["components"]}
            self._validators[key] = Draft202012Validator(whole)
        errors = [f"{list(e.absolute_path)}: {e.message}"[:500] for e in self._validators[key].iter_errors(value)]
        assert not errors, errors

    def judge(self, method: str, path: str, response: TestResponse) -> None:
        operation = self.operation(path, method)
        if operation is None:
            return
        status = str(response.status_code)
        assert status in operation["responses"], f"{method} {path}: {status} is not documented: {response.text[:300]}"
        content = self.resolve(operation["responses"][status]).get("content", {})
        if not response.data:
            return
        assert response.mimetype in content, f"{method} {path}: {status} is {response.mimetype}, not {list(content)}"
        if response.mimetype == "application/json":
            self.fit(content["application/json"]["schema"], strict(response.data))


def template(rule: str) -> str:
    """A rule of the router as OpenAPI writes it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


def strict(raw: bytes) -> Any:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} in an answer")

    return json.loads(raw, parse_constant=refuse)


@dataclass
class Site:
    """One service that is never started, and a client that comes as the local operator unless told otherwise."""

    app: Flask
    services: Services
    source: FakeSource
    home: Path
    documented: Documented
    operator: Actor = field(init=False)

    def __post_init__(self) -> None:
        self.services.accounts.ensure_operator()
        self.operator = self.services.accounts.operator()
        self.client = self.app.test_client(use_cookies=False)

    # ---- GPUs

    def gpus(self, count: int) -> FakeSource:
        self.source.resize(count)
        self.look()
        return self.source

    def look(self) -> None:
        """The monitor asks its source."""
        self.services.gpus.monitor.turn(time.monotonic() + LATER)

    # ---- HTTP

    def call(
        self, method: str, path: str, body: Any = None, *, who: Any = ..., whole: bool = False, **more: Any
    ) -> TestResponse:
        """`path` from the root, or (unless `whole`) relative to training v1."""
        rooted = whole or path.startswith(ROOTED) or dialect_of(path) is YOLO_PLATFORM
        path = path if rooted else BASE + path
        actor = self.operator if who is ... else who
        more.setdefault("environ_overrides", {})["trainyard.actor"] = actor
        if body is not None:
            more |= {"data": json.dumps(body), "content_type": "application/json"}
        response = self.client.open(path, method=method, buffered=True, **more)
        assert response.headers["X-Request-ID"]
        if method != "HEAD":
            self.documented.judge(method, path.partition("?")[0], response)
        return response

    def data(self, method: str, path: str, body: Any = None, *, code: int = 200, **more: Any) -> Any:
        """What stands in the envelope."""
        response = self.call(method, path, body, **more)
        assert response.status_code == code, response.text
        return envelope(response)["data"]

    def get(self, path: str, **query: Any) -> Any:
        return self.data("GET", path, query_string=query)

    def error(self, method: str, path: str, code: int, body: Any = None, **more: Any) -> Any:
        """The envelope of a refusal."""
        response = self.call(method, path, body, **more)
        assert response.status_code == code, response.text
        return envelope(response)

    # ---- what a test needs

    @property
    def images(self) -> Path:
        return self.services.settings.data_dir / "workspace" / "images"

    def request(self, **changes: Any) -> dict[str, Any]:
        """The smallest body that POST /start accepts."""
        return {
            "model_type": "sdxl",
            "dataset": {"resolutions": [32], "directory": [{"path": str(self.images)}]},
            "config": {"model": {"checkpoint_path": "somebody/a-model"}},
            **changes,
        }

    def start(self, **changes: Any) -> Any:
        return self.data("POST", "/start", self.request(**changes), code=201)

    def queued(self, **changes: Any) -> Job:
        return self.job(self.start(**changes)["task_id"])

    def job(self, job_id: str) -> Job:
        with self.services.db.read() as connection:
            return store.get(connection, job_id)

    def running(self, job: Job | None = None, *, gpus: Sequence[int] = (), **changes: Any) -> Job:
        """As if a worker had claimed it."""
        wanted = job or self.queued(**changes)
        with self.services.db.write() as connection:
            given = Grant(tuple(gpus), place=not gpus)
            return queue._take(connection, queue.waiting(connection, wanted), given, time.time())

    def ended(self, reason: EndReason = EndReason.DONE, failure: Failure | None = None, job: Job | None = None) -> Job:
        running = job or self.running()
        with self.services.db.write() as connection:
            latest = store.get(connection, running.id)
            code = 0 if reason is EndReason.DONE else None
            return store.finish(connection, latest, reason, time.time(), exit_code=code, failure=failure)

    def prints(self, job: Job, text: str | bytes, *, final: bool = False) -> None:
        """As if its trainer had printed this and the worker had read it."""
        with self.services.db.read() as connection:
            attempt = store.attempt(connection, job)
        workspace = self.services.jobs._workspaces.of(attempt)
        workspace.log.parent.mkdir(parents=True, exist_ok=True)
        with open(workspace.log, "ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        engine = self.services.engines[job.engine]
        ingestor = Ingestor(self.services.db, engine, self.job(job.id), attempt, workspace)
        while ingestor.turn(time.time(), final=final).behind:
            pass

    def output(self, job: Job) -> Path:
        with self.services.db.read() as connection:
            path = Path(store.attempt(connection, job).output_dir)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def saves(self, job: Job, step: int, kind: str = "state") -> str:
        """As if its trainer had saved."""
        run = self.output(job) / "20261121_10-49-58"
        run.mkdir(exist_ok=True)
        (run / f"{job.id}.toml").touch()
        if kind == "state":
            place = run / f"global_step{step}"
            place.mkdir(parents=True)
            (place / "mp_rank_00_model_states.pt").write_bytes(b"x" * 100)
            (run / "latest").write_text(place.name)
        else:
            place = run / f"epoch{step}"
            place.mkdir(parents=True)
            (place / "adapter_model.safetensors").write_bytes(b"x" * 2048)
        return place.name

    def empty(self) -> None:
        with self.services.db.write() as connection:
            connection.execute(schema.jobs.delete())


def envelope(response: TestResponse) -> Any:
    """The body, which must be one."""
    body = strict(response.data)
    assert set(body) == {"code", "message", "data", "timestamp"}, body
    assert body["code"] == response.status_code
    assert isinstance(body["message"], str)
    assert abs(body["timestamp"] - time.time()) < 60 and isinstance(body["timestamp"], int)
    return body


def make_site(home: Path, source: FakeSource, **given: str) -> Site:
    settings = load({"data_dir": str(home), **given}, postgres.environment())
    services = composition.build_services(settings, {}, source)
    services.leadership.leads = True  # it is never started, and there is no other
    app = composition.build_app(services)
    site = Site(app, services, source, home, Documented(app))
    site.images.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(site.images / "1.png")
    return site


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("site"), FakeSource(0))
    yield site
    site.services.db.close()


@pytest.fixture
def site(shared_site: Site) -> Site:
    """Without jobs and without GPUs."""
    shared_site.empty()
    shared_site.source.resize(0)
    shared_site.look()
    return shared_site
