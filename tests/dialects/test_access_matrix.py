"""Who may do what, over every route there is: a route that is not in the table below fails.

`read` and `change` are about somebody's thing: who stands outside gets 403, a team mate may read, owner and admin may
do everything. That no token or a wrong one is 401 on all of them is tested against a real service, since the gate in
front of the application decides it (tests/acceptance/test_no_entry.py).
"""

from __future__ import annotations

import io
import re
import zipfile
from itertools import count

import pytest

from api.models.accounts import Actor, Role, Scope, scopes_of
from api.models.dialect import YOLO_PLATFORM, YOLO_TRAIN_SERVER
from api.models.job import JobSpec
from api.services.store import train_server
from tests.dialects.conftest import Site, template
from tests.unit import pages, yolo_models
from tests.unit.yolo_boxes import labelled

READERS = {"stranger": False, "mate": True, "owner": True, "admin": True}
CHANGERS = {"stranger": False, "mate": False, "owner": True, "admin": True}
ADMINS = {"stranger": False, "mate": False, "owner": False, "admin": True}
ANYBODY = {"stranger": True, "mate": True, "owner": True, "admin": True}

ALONE = {"stranger": False, "mate": False, "owner": True, "admin": True}  # made without a workspace

T = "/api/v1/training"
OCR = "/api/v1/ocr"
P = "/api/v1/preprocessing"
D = f"{P}/datasets/{{dataset_name}}"
TWINS = ("", "/api/v1")  # of the YOLO platform's paths


def both(*routes: str) -> list[str]:
    """The bare path and the enveloped one of each."""
    return [f"{method} {twin}{path}" for method, path in (route.split(" ") for route in routes) for twin in TWINS]


Y = "/datasets/{dataset_id}"
S = "/infer/results/{session_id}"
INFER = (
    "POST /infer/{model_id}", "POST /infer/{model_id}/export", "POST /infer/video/{model_id}",
    "POST /infer/video/{model_id}/stream",
)  # fmt: skip
TRAIN = "/train/jobs/{job_id}"
A = "/annotations/tasks/{annotation_task_id}"
M = "/models/{model_id}"
ROUTES: dict[str, dict[str, bool]] = {
    # whoever has come in
    **dict.fromkeys(
        [
            "GET /", "GET /ui/", "GET /ui/{build_id}/{asset}", "GET /api/v1/system/live",
            "POST /api/token-auth/", "POST /api/v1/auth/login", "POST /api/v1/auth/logout",
            "GET /api/v1/auth/me", "POST /api/v1/auth/password", "GET /api/v1/auth/tokens", "POST /api/v1/auth/tokens",
            "GET /api/v1/auth/workspaces", "GET /api/v1/docs", "GET /ui/docs/{name}", "GET /api/v1/openapi.json",
            "GET /api/v1/engines", "GET /api/v1/system/overview", "GET /api/v1/queue", "GET /healthz", "GET /readyz",
            "GET /metrics", "GET /api/v1/gpu/status", "GET /api/v1/gpu/summary", "GET /api/v1/gpu/available",
            "GET /api/v1/gpu/{gpu_id}/details", f"GET {T}/list", f"GET {T}/events", f"POST {T}/start", f"POST {T}/preview",
            "GET /api/v1/webhooks",
            "POST /api/v1/webhooks",
            f"POST {P}/start", f"GET {P}/datasets", f"GET {P}/check/{{dataset_name}}",
            f"GET {T}/jobs", "GET /api/v1/webhooks", "POST /api/v1/webhooks", f"POST {T}/jobs",
            "GET /api/", "GET /models/", "GET /admin/", "GET /api/training/active/", f"GET {OCR}/documents",
            f"POST {OCR}/documents", f"GET {OCR}/models", f"POST {OCR}/models",
            *both("GET /datasets", "POST /datasets/upload", "POST /datasets/register", "GET /train/jobs"),
            *both("GET /datasets", "POST /datasets/upload", "POST /datasets/register", "GET /annotations/tasks"),
            *both("GET /models", "POST /models/upload"),
            *both("GET /infer/results", "POST /infer/batch/run"),
            "POST /start", "GET /status", "GET /cache_info", "GET /gpu_info", "GET /help",
        ],
        ANYBODY,
    ),
    **dict.fromkeys(
        [
            f"GET {P}/status/{{preprocessing_id}}", f"GET {D}", f"GET {D}/items", f"GET {D}/items/{{number}}/caption",
            f"GET {D}/items/{{number}}/media", f"GET {D}/items/{{number}}/thumbnail",
            f"GET {T}/{{task_id}}", f"GET {T}/{{task_id}}/request", f"GET {T}/{{task_id}}/progress", f"GET {T}/{{task_id}}/metrics",
            f"GET {T}/{{task_id}}/metrics/names", f"GET {T}/{{task_id}}/logs", f"GET {T}/{{task_id}}/logs/search",
            f"GET {T}/{{task_id}}/logs/stream", f"GET {T}/{{task_id}}/events", f"GET {T}/{{task_id}}/checkpoints",
            f"GET {T}/{{task_id}}/artifacts", f"GET {T}/{{task_id}}/artifacts/{{path}}", f"GET {T}/jobs/{{job_id}}",
            f"GET {T}/jobs/{{job_id}}/logs", "GET /api/v1/auth/workspaces/{workspace_id}/members", "GET /api/v1/webhooks/{webhook_id}",
            "GET /api/v1/webhooks/{webhook_id}/deliveries", "GET /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
            *both(f"GET {Y}", f"GET {Y}/prepare", f"GET {Y}/export/annotated", f"GET {Y}/export/original"), "GET /static/{static_path}",
            *both(*INFER, f"GET {S}", f"GET {S}/export", f"GET {S}/video"),
            *both(f"GET {TRAIN}", "GET /logs/stream", "GET /logs/tail", "GET /logs/lines"),
            *both(f"GET {A}", f"GET {A}/items", f"GET {A}/items/{{image_id}}", f"GET {A}/export"),
            *both(
                f"GET {M}", f"GET {M}/export", f"GET {M}/charts", f"GET {M}/exports", f"GET {M}/exports/{{job_id}}",
                f"GET {M}/exports/{{job_id}}/file", f"GET {M}/validations", f"GET {M}/validations/{{job_id}}",
                f"POST {M}/export", f"POST {M}/validate", "GET /train/jobs/{job_id}/charts",
            ),
        ],
        READERS,
    ),
    **dict.fromkeys(
        ["GET /train_info/{model_name}", "GET /download_model/{model_name}/weights/{model_type}"],
        ALONE,
    ),
    **dict.fromkeys(
        [
            "GET /terminate/{model_name}", "POST /terminate/{model_name}", "GET /clear_train_cache/{model_name}",
            "DELETE /clear_train_cache/{model_name}",
        ],
        CHANGERS,
    ),
    **dict.fromkeys(
        [
            f"GET {OCR}/documents/{{document_id}}", f"GET {OCR}/documents/{{document_id}}/parts",
            f"GET {OCR}/documents/{{document_id}}/lines", f"GET {OCR}/documents/{{document_id}}/export",
            f"GET {OCR}/documents/{{document_id}}/parts/{{part_id}}/lines", f"GET {OCR}/imports/{{import_id}}",
            f"GET {OCR}/documents/{{document_id}}/parts/{{part_id}}/image", f"GET {OCR}/models/{{model_id}}",
            f"GET {OCR}/models/{{model_id}}/download", "GET /api/models/{model_id}/training-status/",
            "GET /api/documents/{document_id}/data-quality/",
        ],
        READERS,
    ),
    **dict.fromkeys(
        [
            f"DELETE {OCR}/documents/{{document_id}}", f"POST {OCR}/documents/{{document_id}}/import",
            f"PATCH {OCR}/documents/{{document_id}}/lines/{{line_id}}", f"DELETE {OCR}/models/{{model_id}}",
            f"POST {OCR}/models/{{model_id}}/train", f"POST {OCR}/models/{{model_id}}/evaluate",
        ],
        CHANGERS,
    ),
    **dict.fromkeys(
        [
            f"POST {P}/cancel/{{preprocessing_id}}", f"DELETE {D}", f"PUT {D}/items/{{number}}/caption",
            f"POST {D}/captions", f"POST {D}/toml",
            f"DELETE {T}/{{task_id}}", f"PATCH {T}/{{task_id}}", f"POST {T}/stop/{{task_id}}",
            f"POST {T}/resume/{{task_id}}", f"POST {T}/restart/{{task_id}}", f"POST {T}/hold/{{task_id}}",
            f"POST {T}/release/{{task_id}}", f"DELETE {T}/jobs/{{job_id}}", f"POST {T}/jobs/{{job_id}}/stop",
            "PATCH /api/v1/webhooks/{webhook_id}",
            "DELETE /api/v1/webhooks/{webhook_id}", "POST /api/v1/webhooks/{webhook_id}/test",
            "POST /api/v1/webhooks/{webhook_id}/rotate-secret",
            "POST /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
            *both("POST /train/jobs"),  # on a dataset that is not prepared yet, which changes it
            *both(f"DELETE {TRAIN}", f"POST {TRAIN}/stop", f"POST {TRAIN}/resume"),
            *both(
                f"PUT {Y}", f"DELETE {Y}", f"POST {Y}/prepare", "POST /annotations/tasks", f"DELETE {A}",
                f"POST {A}/items/{{image_id}}", f"POST {A}/import", f"POST {A}/prelabel", f"POST {A}/export",
            ),
            *both(f"PUT {M}", f"DELETE {M}"),
            *both(f"DELETE {S}"),
        ],
        CHANGERS,
    ),
    **dict.fromkeys(
        [
            "PUT /api/v1/gpu/{gpu_id}/drain", "DELETE /api/v1/gpu/{gpu_id}/drain", "GET /api/v1/auth/users",
            "POST /api/v1/auth/users", "PATCH /api/v1/auth/users/{user_id}", "DELETE /api/v1/auth/users/{user_id}",
            "POST /api/v1/auth/workspaces", "POST /api/v1/auth/workspaces/{workspace_id}/members",
            "DELETE /api/v1/auth/workspaces/{workspace_id}/members/{user_id}",
        ],
        ADMINS,
    ),
}  # fmt: skip
ROUTES["DELETE /api/v1/auth/tokens/{token_id}"] = CHANGERS
#: the local operator's browser alone
ROUTES["POST /api/v1/auth/session"] = dict.fromkeys(ANYBODY, False)
#: where somebody else's thing is not there at all
HIDDEN = {"DELETE /api/v1/auth/tokens/{token_id}"}
#: these ask for the password, whatever the token
BY_PASSWORD = {"POST /api/token-auth/", "POST /api/v1/auth/login", "POST /api/v1/auth/password"}
#: open streams: only those who may not are asked for, the others would be told for ever
STREAMS = {f"GET {T}/{{task_id}}/events", f"GET {T}/{{task_id}}/logs/stream", *both("GET /logs/stream")}
QUERIES = {
    f"GET {T}/{{task_id}}/logs/search": "?keyword=x",
    **dict.fromkeys(both("GET /logs/stream", "GET /logs/tail", "GET /logs/lines"), "?job_id={train/job_id}"),
}
#: GETs that change something, as their document has it
CHANGING = {"GET /terminate/{model_name}", "GET /clear_train_cache/{model_name}"}
#: what a body must hold to get as far as the question whose thing it is
BODIES = {
    f"POST {OCR}/documents": {"name": "x"},
    f"POST {OCR}/models": {"name": "x", "job": "segment"},
    f"POST {OCR}/documents/{{document_id}}/import": {"path": "not absolute"},
    f"PATCH {OCR}/documents/{{document_id}}/lines/{{line_id}}": {"text": "x"},
    f"POST {OCR}/models/{{model_id}}/train": {"document_ids": [999_999]},
    f"POST {OCR}/models/{{model_id}}/evaluate": {"document_id": 999_999},
    f"PUT {D}/items/{{number}}/caption": {"caption": "x"},
    f"POST {D}/captions": {"find": "x", "replace": "y"},
    f"PATCH {T}/{{task_id}}": {"priority": 3},
    "PATCH /api/v1/webhooks/{webhook_id}": {"description": "x"},
    "PUT /api/v1/gpu/{gpu_id}/drain": {"reason": "x"},
    "POST /api/v1/auth/users": {"name": "new one", "password": "correct horse battery"},
    "PATCH /api/v1/auth/users/{user_id}": {"role": "member"},
    "POST /api/v1/auth/workspaces": {"name": "new one"},
    **{route: {"path": "not/absolute"} for route in both("POST /datasets/register")},
    **{route: {"dataset_id": "{dataset_id}"} for route in both("POST /train/jobs")},
    **{route: {"dataset_id": "ds_none"} for route in both(f"POST {M}/validate")},
    "POST /api/v1/auth/workspaces/{workspace_id}/members": {"name": "stranger"},
    **{route: {"dataset_id": "{labelled_id}"} for route in both("POST /annotations/tasks")},
    **{route: {"boxes": []} for route in both(f"POST {A}/items/{{image_id}}")},
    **{route: {"model_id": "model_x"} for route in both(f"POST {A}/prelabel")},
    "POST /start": {"model_name": "x1", "train_ucd": "nothing", "val_ucd": "None", "labels": "a"},
}
#: of these the answer does not depend on who asks, and asking would end a session or wait for ever
NOT_CALLED = {"POST /api/v1/auth/logout", f"GET {T}/events", "GET /api/v1/system/live"}


COUNT = count()


class Town:
    """A workspace with an owner of things and a mate, a stranger, and an admin. Things are made anew for each call."""

    def __init__(self, site: Site) -> None:
        accounts, operator = site.services.accounts, site.operator
        self.site = site
        known = {user.name: user for user in accounts.users(operator)}
        self.ids = {
            name: (known.get(name) or accounts.add_user(operator, name, None, role)).id
            for name, role in (
                ("stranger", Role.MEMBER), ("mate", Role.MEMBER), ("owner", Role.MEMBER), ("admin", Role.ADMIN),
                ("someone", Role.MEMBER),
            )
        }  # fmt: skip
        teams = {team.name: team.id for team in accounts.teams(operator)}
        self.team = teams.get("town") or accounts.add_team(operator, "town").id
        for name in ("mate", "owner"):
            if self.ids[name] not in {user.id for user in accounts.members(operator, self.team)}:
                accounts.join(operator, self.team, self.ids[name])

    def actor(self, name: str, scopes: frozenset[Scope] | None = None) -> Actor:
        role = Role.ADMIN if name == "admin" else Role.MEMBER
        teams = frozenset({self.team}) if name in ("mate", "owner") else frozenset()
        return Actor(self.ids[name], name, role, scopes or scopes_of(role), teams)

    def things(self) -> dict[str, object]:
        """One of everything that the owner has, for the parameters of paths."""
        site, owner = self.site, self.actor("owner")
        task = site.data("POST", "/start", site.request(workspace_id=self.team), code=201, who=owner)["task_id"]
        script = site.home / "workspace" / "matrix.py"
        script.write_text("pass\n")
        body = {
            "name": "x", "framework": "pytorch", "script_path": str(script), "cpu": 1, "memory": 2**20, "gpu": 0,
            "workspace_id": self.team,
        }  # fmt: skip
        job = site.call("POST", f"{T}/jobs", body, who=owner).get_json()["data"]["job_id"]
        token = site.services.accounts.create_token(owner, "x")[0].id
        images = self.dataset(owner)
        labelled_id, annotation = labelled(site.services.db, owner.user_id, self.team)
        for one in site.call("GET", "/api/v1/webhooks", who=owner).get_json()["data"]["webhooks"]:
            site.call("DELETE", f"/api/v1/webhooks/{one['id']}", who=owner)
        hook = {"url": "http://hooks.invalid/", "workspace_id": self.team, "enabled": False}
        webhook = site.data("POST", "/api/v1/webhooks", hook, code=201, who=owner)["id"]
        dataset = f"matrix{next(COUNT)}"
        wanted = {"dataset_name": dataset, "video_directory": str(site.images), "workspace_id": self.team}
        preprocessing = site.data("POST", f"{P}/start", wanted, code=202, who=owner)["preprocessing_id"]
        registered = self.registered(owner)
        return self.pages() | {
            "model_name": self.model(owner), "model_type": "best.pt",
            "preprocessing_id": preprocessing, "dataset_name": dataset, "number": 1,
            "webhook_id": webhook, "delivery_id": 1,
            "models/model_id": registered, "infer/model_id": registered, "session_id": self.session(owner), "models/job_id": "x",
            "dataset_id": images, "train/job_id": self.training(owner), "static_path": f"datasets/{images}/v1/images/train/x.jpg",
            "labelled_id": labelled_id, "annotation_task_id": annotation, "image_id": "train_000000",
            "task_id": task, "job_id": job, "path": "x", "name": "index.html", "build_id": "x", "asset": "app.js", "gpu_id": 0, "token_id": token,
            "user_id": self.ids["someone"], "workspace_id": self.team,
        }  # fmt: skip

    def pages(self) -> dict[str, object]:
        """A document with a page, an import into it, and a model."""
        site, owner = self.site, self.actor("owner")

        def made(path: str, body: dict[str, object], code: int = 201) -> dict[str, int]:
            found: dict[str, int] = site.data("POST", f"{OCR}/{path}", body, code=code, who=owner)
            return found

        document = made("documents", {"name": "x", "workspace_id": self.team})["document_id"]
        form = {"file": (io.BytesIO(pages.xml("a.png", 1)), "a.xml")}
        page = site.data("POST", f"{OCR}/documents/{document}/import", data=form, who=owner)["part"]["part_id"]
        line = site.data("GET", f"{OCR}/documents/{document}/lines", who=owner)["lines"][0]["line_id"]
        model = made("models", {"name": "x", "job": "segment", "workspace_id": self.team})["model_id"]
        scans = {"path": str(site.home / "workspace")}
        task: object = site.data("POST", f"{OCR}/documents/{document}/import", scans, code=202, who=owner)["task"][
            "task_id"
        ]
        return {"document_id": document, "part_id": page, "line_id": line, "model_id": model, "import_id": task}

    def training(self, owner: Actor) -> str:
        """As if its dataset had been deleted since: nothing of these tests looks for it."""
        data = self.site.home / "workspace" / "data.yaml"
        data.touch()
        params = {"task": "train", "model": {"kind": "architecture", "value": "yolov8n.yaml"}, "data": str(data)}
        lineage = {"dataset_id": "ds_gone", "version": "v1"}
        echoed = {"model_name": "yolov8n.yaml", "base_model_id": None}
        spec = JobSpec("ultralytics", "x", params, lineage, extra=echoed)
        return self.site.services.jobs.submit(owner, spec, YOLO_PLATFORM, team_id=self.team).id

    def model(self, owner: Actor) -> str:
        """Of the YOLO train server, waiting in the queue; nothing is read of its training set."""
        name = f"model{next(COUNT)}"
        place = self.site.services.settings.data_dir / "train_server" / name
        place.mkdir(parents=True)
        (place / "data.yaml").write_text("{}")
        start = {"kind": "architecture", "value": "yolov8tiny.yaml"}
        params = {"task": "train", "device": "cpu", "data": str(place / "data.yaml"), "model": start}
        self.site.services.jobs.submit(
            owner,
            JobSpec("ultralytics", name, params),
            YOLO_TRAIN_SERVER,
            also=lambda connection, job: train_server.add(connection, job, name, place.name),
        )
        return name

    def session(self, owner: Actor) -> str:
        sessions = self.site.services.inference.sessions
        with sessions.files.draft() as draft:
            for name in ("video.mp4", "results.csv", "metadata.json"):
                (draft / name).touch()
            (draft / "images").mkdir()
            summary = {"images": 0, "detections": 0}
            return sessions.keep(owner, sessions.new_id(), draft, "export", [], summary, self.team, durable=False).id

    def dataset(self, owner: Actor) -> str:
        """Not prepared: nothing of these tests reads its files."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("classes.txt", "x")
        archive.seek(0)
        return self.site.services.yolo.upload(owner, "x.zip", archive, 1, self.team).id

    def registered(self, owner: Actor) -> str:
        """A row alone: nothing of these tests reads its weights."""
        return yolo_models.registered(self.site.services, owner, self.team).id


def filled(target: str, things: dict[str, object]) -> str:
    """With the things of its own part where they have the same name: `train/job_id` is the job of /train/jobs/{job_id}."""
    first = target.removeprefix("/api/v1").split("/")[1]

    def thing(name: re.Match[str]) -> str:
        return str(things.get(f"{first}/{name[1]}") or things[name[1]])

    return re.sub(r"{([\w/]+)}", thing, target)


def body_of(route: str, things: dict[str, object]) -> object:
    given = BODIES.get(route)
    if not isinstance(given, dict):
        return given
    named = (value for value in given.values() if isinstance(value, str) and value.startswith("{"))
    filled_in = {value: things[value[1:-1]] for value in named}
    return {name: filled_in.get(value, value) if isinstance(value, str) else value for name, value in given.items()}


@pytest.fixture
def town(site: Site) -> Town:
    site.gpus(1)
    return Town(site)


def routes(site: Site) -> list[str]:
    return sorted(
        f"{method} {template(rule.rule)}"
        for rule in site.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def test_every_route_is_in_the_table(site: Site) -> None:
    assert routes(site) == sorted(ROUTES)


@pytest.mark.parametrize("route", sorted(set(ROUTES) - NOT_CALLED))
def test_who_may(town: Town, route: str) -> None:
    method, path = route.split(" ")
    things = town.things()
    for name, allowed in ROUTES[route].items():
        if allowed and route in STREAMS:
            continue
        target = filled(path + QUERIES.get(route, ""), things)
        status = town.site.call(method, target, body_of(route, things), who=town.actor(name), whole=True).status_code
        refused = 404 if route in HIDDEN else 403
        assert (status == refused) is not allowed and status != 401, f"{name}: {status}"
        if allowed and (method != "GET" or route in CHANGING):
            things = town.things()  # what was there may be gone, or another


@pytest.mark.parametrize("route", sorted(r for r in ROUTES if r in CHANGING or not r.startswith("GET ")))
def test_a_token_that_may_only_read_changes_nothing(town: Town, route: str) -> None:
    if route in NOT_CALLED or route in BY_PASSWORD:
        return
    method, path = route.split(" ")
    name = "admin" if ROUTES[route] is ADMINS else "owner"
    things = town.things()
    body = body_of(route, things)
    if route in (f"POST {T}/start", f"POST {T}/preview"):
        body = town.site.request()
    elif route == f"POST {P}/start":
        body = {"dataset_name": "mine", "video_directory": str(town.site.images)}
    elif route in (f"POST {T}/jobs", "POST /api/v1/auth/password", "POST /api/v1/auth/tokens", "POST /api/v1/webhooks"):
        body = {
            f"POST {T}/jobs": {"name": "x", "framework": "pytorch", "script_path": str(town.site.home / "workspace" / "matrix.py"),
                               "cpu": 1, "memory": 2**20, "gpu": 0},
            "POST /api/v1/auth/password": {"password": "x", "new_password": "correct horse battery"},
            "POST /api/v1/auth/tokens": {"label": "x"},
            "POST /api/v1/webhooks": {"url": "http://hooks.invalid/"},
        }[route]  # fmt: skip
    who = town.actor(name, frozenset({Scope.READ}))
    assert town.site.call(method, filled(path, town.things()), body, who=who, whole=True).status_code == 403
