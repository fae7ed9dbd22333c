"""New job, queue, people, webhooks and about."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import Service
from tests.console.conftest import REFUSED, Visitor, field_of, gpu_service

NASTY = '<img src=x onerror="window.hurt=1">'


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that may call this machine."""
    service = gpu_service(tmp_path_factory.mktemp("pages"), gpus=2, TRAINYARD_WEBHOOK_ALLOWED_HOSTS="127.0.0.1")
    yield service.start()
    service.close()


def dialog_of(page: Page, button: str) -> Page:
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
    return page


class TestNewJob:
    def test_what_is_wrong_stands_at_its_field(self, open_house: Service, visit: Visitor) -> None:
        here = visit(open_house.url)
        here.permitted = REFUSED
        page = here.go("/new")
        field_of(page, "model_type").select_option(label="sdxl")
        field_of(page, "dataset.directory.0.path").fill("/nowhere")
        field_of(page, "dataset.resolutions").fill("512, 768")
        field_of(page, "config.model.checkpoint_path").fill("somebody/a-model")
        field_of(page, "config.epochs").fill("0")
        expect(page.get_by_label("JSON", exact=True)).to_contain_text('"epochs": 0')
        page.get_by_role("button", name="Start the job").click()
        expect(field_of(page, "dataset.directory.0.path")).to_have_attribute("aria-invalid", "true")
        field_of(page, "dataset.directory.0.path").fill(str(open_house.images))
        page.get_by_role("button", name="Start the job").click()
        expect(field_of(page, "config.epochs")).to_have_attribute("aria-invalid", "true")
        expect(page).to_have_url(re.compile("#/new"))
        page.get_by_role("button", name="curl", exact=True).click()
        expect(page.get_by_label("curl", exact=True)).to_contain_text("/api/v1/training/start")

    def test_other_kinds_have_forms_of_their_own(self, open_house: Service, visit: Visitor) -> None:
        page = visit(open_house.url).go("/new")
        for kind, field in (
            ("Script", "script_path"),
            ("Preprocessing", "video_directory"),
            ("OCR model", "document_ids"),
            ("YOLO detector", "dataset_id"),
        ):
            page.get_by_role("group", name="Kind of job").get_by_role("button", name=re.compile(f"^{kind}")).click()
            expect(field_of(page, field)).to_be_visible()

    def test_the_address_fills_the_form(self, open_house: Service, visit: Visitor) -> None:
        """As the links of datasets and models ask for it."""
        here = visit(open_house.url)
        page = here.go("/new?engine=ultralytics&dataset_id=shapes&version=v2&base_model_id=model_7")
        for field, value in (("dataset_id", "shapes"), ("version", "v2"), ("base_model_id", "model_7")):
            expect(field_of(page, field)).to_have_value(value)
        expect(page.get_by_label("JSON", exact=True)).to_contain_text('"base_model_id": "model_7"')
        here.go("/new?engine=ultralytics&dataset_id=others")
        expect(field_of(page, "dataset_id")).to_have_value("others")
        expect(field_of(page, "base_model_id")).to_have_value("")
        here.go(f"/new?engine=diffusion_pipe&dataset={quote(NASTY)}")
        expect(field_of(page, "dataset.directory.0.path")).to_have_value(NASTY)
        assert page.evaluate("window.hurt") is None

    def test_a_script_is_started(self, open_house: Service, visit: Visitor) -> None:
        script = open_house.data / "workspace" / "hello.py"
        script.write_text("import sys; print(sys.argv[1:])")
        page = visit(open_house.url).go("/new?engine=script")
        field_of(page, "name").fill(NASTY)
        field_of(page, "framework").select_option(label="pytorch")
        field_of(page, "script_path").fill(str(script))
        field_of(page, "cpu").fill("1")
        field_of(page, "memory").fill(str(1 << 30))
        field_of(page, "gpu").fill("0")
        field_of(page, "args").fill("--one\ntwo words")
        page.get_by_role("button", name="Start the job").click()
        expect(page.get_by_role("heading", name=NASTY)).to_be_visible()
        expect(page.get_by_role("log")).to_contain_text("['--one', 'two words']")
        assert page.evaluate("window.hurt") is None


class TestQueue:
    def test_order_and_service(self, open_house: Service, visit: Visitor) -> None:
        page = visit(open_house.url).go("/queue")
        gpus = page.get_by_role("region", name="GPUs", exact=True).first
        gpus.get_by_role("row", name=re.compile("GPU 1")).get_by_role("button").click()
        page.get_by_role("dialog").get_by_label(re.compile("^Why")).fill("a new fan")
        dialog_of(page, "Take out of service")
        expect(gpus.get_by_role("row", name=re.compile("GPU 1"))).to_contain_text("a new fan")
        job = open_house.call(
            "POST", "/start", open_house.request(top={"gpu_id": 1, "wait": True, "description": "Waits"})
        ).expect(201)["task_id"]
        row = page.get_by_role("row", name=re.compile("^1 Waits"))
        expect(row).to_be_visible()
        row.get_by_role("combobox").select_option("7")
        expect(row.get_by_role("combobox")).to_have_value("7")
        row.get_by_role("button", name="Hold").click()
        held = page.get_by_role("row", name=re.compile("Held"))
        expect(held.get_by_role("button", name="Release")).to_be_visible()
        assert open_house.get(f"/{job}")["priority"] == 7
        held.get_by_role("button", name="Take out").click()
        dialog_of(page, "Take out")
        expect(page.get_by_text("Nothing waits.")).to_be_visible()
        gpus.get_by_role("button", name="Back into service").click()
        expect(gpus.get_by_text("a new fan")).to_have_count(0)


class TestPeople:
    def test_a_token_is_made_used_and_revoked(self, open_house: Service, visit: Visitor) -> None:
        page = visit(open_house.url).go("/people")
        page.get_by_role("button", name="New token").click()
        asked = page.get_by_role("dialog")
        asked.get_by_label("Label").fill(NASTY)
        asked.get_by_label("read").check()
        dialog_of(page, "Make it")
        token = page.get_by_label("Token", exact=True).inner_text()
        headers = {"Authorization": f"Token {token}"}
        told = httpx.get(f"{open_house.url}/api/v1/auth/me", headers=headers, trust_env=False).json()["data"]
        assert (told["via"], told["scopes"]) == ("token", ["read"])
        dialog_of(page, "Close")
        expect(page.get_by_text(token)).to_have_count(0)
        page.get_by_role("button", name=f"Revoke {NASTY}").click()
        dialog_of(page, "Revoke")
        expect(page.get_by_text("No token yet.")).to_be_visible()
        assert httpx.get(f"{open_house.url}/api/v1/auth/me", headers=headers, trust_env=False).status_code == 401
        assert page.evaluate("window.hurt") is None

    def test_users_and_workspaces(self, open_house: Service, visit: Visitor) -> None:
        here = visit(open_house.url)
        here.permitted = REFUSED  # a name that is taken
        page = here.go("/people")
        for _ in range(2):
            page.get_by_role("button", name="Add a user").click()
            page.get_by_role("dialog").get_by_label(re.compile("^Name")).fill("grace")
            dialog_of(page, "Add a user")
            expect(page.get_by_role("row", name=re.compile("grace"))).to_be_visible()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_label("Role of grace").select_option("admin")
        expect(page.get_by_text("grace is admin now.")).to_be_visible()
        page.get_by_role("button", name="Add a workspace").click()
        page.get_by_role("dialog").get_by_label(re.compile("^Name")).fill("vision")
        dialog_of(page, "Add a workspace")
        page.get_by_role("button", name="Add a member").click()
        page.get_by_role("dialog").get_by_label(re.compile("^The user")).fill("grace")
        dialog_of(page, "Add a member")
        page.get_by_role("button", name="Take grace out of vision").click()
        dialog_of(page, "Take out")
        expect(page.get_by_role("button", name="Take grace out of vision")).to_have_count(0)
        page.get_by_role("row", name=re.compile("grace")).get_by_role("button", name="Remove").click()
        dialog_of(page, "Remove")
        expect(page.get_by_role("row", name=re.compile("grace"))).to_have_count(0)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes what it is sent."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", bodies
    server.shutdown()
    server.server_close()


def test_webhooks(open_house: Service, receiver: tuple[str, list[bytes]], visit: Visitor) -> None:
    url, bodies = receiver
    page = visit(open_house.url).go("/webhooks")
    page.get_by_role("button", name="Add a webhook").first.click()
    page.get_by_role("dialog").get_by_label(re.compile("^URL")).fill(url)
    dialog_of(page, "Add a webhook")
    expect(page.get_by_label("Secret", exact=True)).to_contain_text("whsec_")
    dialog_of(page, "Close")
    page.get_by_role("link", name=url).click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("It arrived: 204.")).to_be_visible()
    assert len(bodies) == 1
    row = page.get_by_role("row", name=re.compile("webhook.test"))
    row.get_by_role("button", name="Look").click()
    expect(page.get_by_role("dialog")).to_contain_text("webhook.test")
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("It will be sent again.")).to_be_visible()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    dialog_of(page, "Delete")
    expect(page.get_by_text("No webhook yet.")).to_be_visible()


def test_about_says_what_can_be_trained(open_house: Service, visit: Visitor) -> None:
    page = visit(open_house.url).go("/about")
    trainers = page.get_by_role("region", name="Trainers")
    expect(trainers).to_contain_text("diffusion-pipe")
    expect(trainers.get_by_text("Ready").first).to_be_visible()


PLACES = {
    "/new": "Start the job",
    "/new?engine=ultralytics": "dataset_id",
    "/queue": "Nothing waits.",
    "/people": "Your tokens",
    "/webhooks": "No webhook yet.",
    "/about": "Trainers",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(open_house: Service, visit: Visitor, scheme: str) -> None:
    for place, text in PLACES.items():
        here = visit(open_house.url, color_scheme=scheme, reduced_motion="reduce")
        page = here.go(place)
        expect(page.get_by_text(text).first).to_be_visible()
        assert here.axe() == [], place
        if place == "/people":
            page.get_by_role("button", name="New token").click()
            assert here.axe() == [], "the dialog"
        page.context.close()


def test_a_phone_scrolls_one_way(open_house: Service, visit: Visitor) -> None:
    here = visit(open_house.url, viewport={"width": 390, "height": 844}, locale="zh-CN")
    for place in PLACES:
        page = here.go(place)
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("nav [aria-current]")).to_be_in_viewport()
        expect(page.locator(".loading")).to_have_count(0)
        assert page.evaluate(
            "document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
        ), place
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        page.goto("about:blank")
