"""What people see and do on the console."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import REPO, Service
from tests.console.conftest import REFUSED, Visitor, gpu_service

NASTY = '<img src=x onerror="window.hurt=1">'


@pytest.fixture(scope="module")
def endless(site: Service) -> str:
    """A job that runs for as long as the tests of the module."""
    job = site.submit(top={"description": NASTY, "tags": ["demo"]}, epochs=1000, steps_per_epoch=50, steps_per_second=5)
    site.wait_step(job, 3)
    return job


@pytest.fixture(scope="module")
def blocked(site: Service, endless: str) -> str:
    """One that waits: it wants more GPUs than are free."""
    return str(
        site.call(
            "POST", "/start", site.request(top={"num_gpus": 1, "gpu_id": 2, "wait": True, "description": "Later"})
        ).expect(201)["task_id"]
    )


def test_home_is_live(site: Service, endless: str, blocked: str, visit: Visitor) -> None:
    here = visit(site.url)
    page = here.go()
    expect(page.get_by_role("article", name=re.compile("^GPU"))).to_have_count(8)
    running = page.get_by_role("region", name="Running")
    expect(running.get_by_text(NASTY)).to_be_visible()
    bar = running.get_by_role("progressbar")
    expect(bar).to_be_visible()
    step = running.get_by_text(re.compile("step"))
    before = step.inner_text()
    expect(step).not_to_have_text(before)
    waiting = page.get_by_role("region", name="Queue").get_by_role("listitem")
    expect(waiting).to_contain_text("Later")
    expect(waiting).to_contain_text("GPU 2")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert here.received < 300_000, f"{here.received} bytes"
    streams = page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/live')).length")
    assert streams <= 1


def test_a_name_is_text(site: Service, endless: str, visit: Visitor) -> None:
    here = visit(site.url)
    for place in ("/", "/jobs", f"/job/{endless}"):
        page = here.go(place)
        expect(page.get_by_text(NASTY).first).to_be_visible()
        assert page.evaluate("window.hurt") is None and page.locator("img[src=x]").count() == 0
        page.goto("about:blank")


def test_jobs_are_found(site: Service, endless: str, blocked: str, visit: Visitor) -> None:
    page = visit(site.url).go("/jobs")
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="Later")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Running")).click()
    expect(rows.filter(has_text="Later")).to_have_count(0)
    expect(rows.filter(has_text=NASTY)).to_have_count(1)
    assert "status=running" in page.url
    page.get_by_role("searchbox").fill("no such job")
    expect(page.get_by_text("No job is like that.")).to_be_visible()
    page.get_by_role("searchbox").fill("onerror")
    page.get_by_role("link", name=NASTY).click()
    expect(page.get_by_role("heading", name=NASTY)).to_be_visible()


def test_a_job_is_watched_stopped_resumed_and_deleted(site: Service, visit: Visitor) -> None:
    job = site.submit(top={"description": "Watched"}, epochs=1000, steps_per_epoch=5, steps_per_second=10)
    site.wait_step(job, 8)
    page = visit(site.url).go(f"/job/{job}")
    expect(page.get_by_role("heading", name="Watched")).to_be_visible()
    expect(page.locator(".plot canvas")).to_be_visible()
    log = page.get_by_role("log")
    expect(log).to_contain_text("loss:")
    before = log.inner_text()
    expect(log).not_to_have_text(before)
    page.get_by_role("button", name="Log", exact=True).click()
    expect(page.locator(".plot canvas")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Queued; it goes on from its newest checkpoint.")).to_be_visible()
    site.wait_status(job, "running")
    expect(page.locator(".status.running").first).to_be_visible()
    site.call("POST", f"/stop/{job}", {"force": True}).expect(200)
    page.get_by_role("button", name="Delete").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("are lost")
    asked.get_by_role("checkbox").check()
    asked.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("#/jobs$"))
    expect(page.get_by_text("Deleted.")).to_be_visible()
    site.call("GET", f"/{job}").expect(404)


def test_a_lost_service_is_regained(tmp_path: Path, visit: Visitor) -> None:
    service = gpu_service(tmp_path, gpus=1).start()
    try:
        here = visit(service.url)
        here.permitted = REFUSED
        page = here.go()
        expect(page.get_by_text("Nothing runs.")).to_be_visible()
        port = urlsplit(service.url).port
        service.kill()
        expect(page.get_by_text("Connection lost")).to_be_visible()
        service.start("--port", str(port))
        service.submit(top={"description": "After the restart"}, epochs=1000, steps_per_epoch=50, steps_per_second=5)
        expect(page.get_by_text("After the restart").first).to_be_visible(timeout=30_000)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
    finally:
        service.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that asks everybody for a token; `ada` may sign in."""
    service = gpu_service(tmp_path_factory.mktemp("guarded"), gpus=1)
    command = [sys.executable, "run.py", "user", "add", "ada", "--data-dir", str(service.data)]
    subprocess.run(command, input=b"correct horse\n", cwd=REPO, check=True, capture_output=True)
    yield service.start("--auth", "required")
    service.close()


def sign_in(page: Page, password: str) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_people_sign_in_and_out(guarded: Service, visit: Visitor) -> None:
    here = visit(guarded.url)
    here.permitted = REFUSED  # 401 and 400 are what is asked for
    page = here.go()
    expect(page.get_by_role("heading", name="Sign in to Trainyard")).to_be_visible()
    assert here.axe() == []
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Unable to log in")
    sign_in(page, "correct horse")
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Trainyard")).to_be_visible()


def test_an_ended_session_does_not_keep_the_local_operator_out(site: Service, visit: Visitor) -> None:
    here = visit(site.url)
    here.page.context.add_cookies([{"name": "trainyard_session", "value": "tys_1_gone", "url": site.url}])
    page = here.go()
    expect(page.get_by_role("article", name="GPU 0")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    here.permitted = REFUSED
    page.get_by_role("button", name="Continue as the local operator").click()
    expect(page.get_by_role("article", name="GPU 0")).to_be_visible()


def test_both_languages_have_the_same_words(site: Service, visit: Visitor) -> None:
    page = visit(site.url, locale="zh-CN").go()
    expect(page.get_by_role("link", name="概览")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_label("语言").select_option("en")
    expect(page.get_by_role("link", name="Home")).to_be_visible()
    base = page.locator("script[type=module]").get_attribute("src").removesuffix("app.js")  # type: ignore[union-attr]
    static = REPO / "api" / "static" / "ui"
    modules = [
        str(p.relative_to(static))
        for p in [
            *static.glob("pages/**/*.js"),
            *static.glob("components/*.text.js"),
            *static.glob("components/words.js"),
        ]
    ]
    tables = page.evaluate(
        """async ([base, modules]) => {
          for (const module of modules) await import(base + module);
          return (await import(base + "core/i18n.js")).tables;
        }""",
        [base, modules],
    )
    assert len(tables) >= 6
    for words in tables:
        assert words["en"].keys() == words["zh"].keys()
        for key, text in words["en"].items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", words["zh"][key])), key


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(site: Service, endless: str, blocked: str, visit: Visitor, scheme: str) -> None:
    for place in ("/", "/jobs", f"/job/{endless}"):
        here = visit(site.url, color_scheme=scheme, reduced_motion="reduce")
        page = here.go(place)
        expect(page.get_by_text(NASTY).first).to_be_visible()
        if "/job/" in place:
            expect(page.locator(".plot canvas")).to_be_visible()
        assert here.axe() == [], place


def test_a_phone_scrolls_one_way(site: Service, endless: str, blocked: str, visit: Visitor) -> None:
    here = visit(site.url, viewport={"width": 390, "height": 844})
    for place in ("/", "/jobs", f"/job/{endless}"):
        page = here.go(place)
        expect(page.get_by_text(NASTY).first).to_be_visible()
        assert page.evaluate(
            "document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
        ), place
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


def test_the_keyboard_is_enough(site: Service, endless: str, visit: Visitor) -> None:
    page = visit(site.url).go()
    expect(page.get_by_role("article", name="GPU 0")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("link", name="Jobs", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_a_page_that_is_not_there(site: Service, visit: Visitor) -> None:
    page = visit(site.url).go("/no/such/page")
    expect(page.get_by_text("There is no such page.")).to_be_visible()
