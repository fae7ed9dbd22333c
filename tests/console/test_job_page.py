"""A job's page: its charts, its log however long, its files, and what can be done with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import Service, wait_for
from tests.console.conftest import Visitor, field_of

LINES = 20_000
MOST_ROWS = 650


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With the small trainer that really learns, and no GPU."""
    service = Service(tmp_path_factory.mktemp("trainer"), fake=False)
    yield service.start()
    service.close()


def confirm(page: Page, button: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=button).click()


def test_a_training_from_the_form_to_a_comparison(trainer: Service, visit: Visitor) -> None:
    page = visit(trainer.url).go("/new")
    page.get_by_role("button", name="Fill in the small training").click()
    field_of(page, "config.epochs").fill("400")
    field_of(page, "config.checkpoint_every_n_epochs").fill("1")
    page.get_by_role("button", name="Check without starting").click()
    expect(page.get_by_label("{job}.toml", exact=True)).to_contain_text("epochs = 400")
    page.get_by_role("button", name="Start the job").click()
    expect(page).to_have_url(re.compile("#/job/"))
    job = page.url.rpartition("/")[2]
    trainer.wait_step(job, 40, deadline=90)
    expect(page.locator(".plot canvas")).to_be_visible()
    drawn = "document.querySelector('.plot canvas').toDataURL()"
    before = page.evaluate(drawn)
    wait_for(lambda: page.evaluate(drawn) != before, 30, "the chart to grow")
    page.get_by_role("group", name="Metric").get_by_role("button", name="lr").click()
    expect(page.locator(".plot canvas")).to_have_count(2)

    page.get_by_role("button", name="Stop").click()
    confirm(page, "Stop")
    trainer.wait_status(job, "stopped", deadline=60)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_contain_text("(newest)")
    confirm(page, "Resume")
    expect(page.get_by_text("Queued; it goes on")).to_be_visible()
    trainer.wait_status(job, "running", deadline=60)
    expect(page.get_by_role("region", name="Attempts", exact=True).get_by_role("row")).to_have_count(3)
    trainer.call("POST", f"/stop/{job}", {"force": True}, params={"wait": "20"}).expect(200)

    page.get_by_role("link", name="Same again").click()
    expect(page.get_by_text("The same again, with changes.")).to_be_visible()
    expect(field_of(page, "config.epochs")).to_have_value("400")
    field_of(page, "description").fill("The second")
    field_of(page, "config.epochs").fill("2")
    page.get_by_role("button", name="Start the job").click()
    expect(page.get_by_role("heading", name="The second")).to_be_visible()
    second = page.url.rpartition("/")[2]
    trainer.wait_status(second, "completed", deadline=90)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Teach the mini")).click()
    expect(page.locator(".u-legend")).to_contain_text("Teach the mini")
    expect(page.locator(".u-legend")).to_contain_text("The second")
    assert f"with={job}" in page.url
    with page.expect_download() as download:
        page.get_by_role("region", name="Checkpoints", exact=True).get_by_role("link", name="Download").first.click()
    assert download.value.path().stat().st_size > 10_000


@pytest.fixture(scope="module")
def long_log(site: Service) -> str:
    """A script that printed much and left images, and failed."""
    folder = site.data / "workspace"
    script = Path(folder) / "long.py"
    script.write_text(
        "import os, sys, pathlib\n"
        f"for n in range({LINES}): print('line', n)\n"
        "out = pathlib.Path(os.environ['TRAINYARD_OUTPUT_DIR'])\n"
        "from PIL import Image\n"
        "for step in (5, 100): Image.new('RGB', (8, 8), 'red').save(out / f'sample_step{step:06}.png')\n"
        "(out / 'model.bin').write_bytes(b'x' * 2000)\n"
        "sys.exit('it went wrong <b>here</b>')\n"
    )
    wanted = {"name": "Long", "framework": "pytorch", "script_path": str(script), "cpu": 1, "memory": 1 << 30, "gpu": 0}
    token = site.call("POST", "/api/v1/auth/tokens", {"label": "test"}).expect(201)[
        "token"
    ]  # this dialect asks everybody
    made = site.call("POST", "/jobs", wanted, headers={"Authorization": f"Token {token}"})
    job = str(made.body["data"]["job_id"])
    site.wait_status(job, "failed", deadline=60)
    return job


def test_a_long_log_is_paged(site: Service, long_log: str, visit: Visitor) -> None:
    page = visit(site.url).go(f"/job/{long_log}")
    log = page.get_by_role("log")
    expect(log).to_contain_text(f"line {LINES - 1}")
    rows = log.locator("[data-line]")
    first = "document.querySelector('.log [data-line]').dataset.line"
    before = int(page.evaluate(first))
    for _ in range(4):
        log.evaluate("box => { box.scrollTop = 0; }")
        wait_for(lambda: int(page.evaluate(first)) < before, 15, "earlier lines")  # noqa: B023
        before = int(page.evaluate(first))
        assert rows.count() <= MOST_ROWS
    page.get_by_role("searchbox", name="Search the whole log").fill("line 137")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("111 lines", exact=True)).to_be_visible()  # 137, 1370 to 1379, 13700 to 13799
    page.get_by_role("button", name=re.compile(r"line 13742$")).click()
    marked = log.locator(".marked")
    expect(marked).to_contain_text("line 13742")
    expect(marked).to_be_in_viewport()
    for _ in range(4):
        last = "Number([...document.querySelectorAll('.log [data-line]')].at(-1).dataset.line)"
        before = int(page.evaluate(last))
        log.evaluate("box => { box.scrollTop = box.scrollHeight; }")
        wait_for(lambda: int(page.evaluate(last)) > before, 15, "later lines")  # noqa: B023
        assert rows.count() <= MOST_ROWS
    page.get_by_role("button", name="To the newest").click()
    expect(log).to_contain_text("it went wrong <b>here</b>")


def test_what_a_failed_job_tells_and_left(site: Service, long_log: str, visit: Visitor) -> None:
    page = visit(site.url).go(f"/job/{long_log}")
    page.get_by_text("The last 20 lines of its log").click()
    expect(page.get_by_role("alert")).to_contain_text(f"line {LINES - 1}")
    images = page.get_by_role("region", name="Images")
    expect(images.locator("figcaption")).to_have_text(["step 100", "step 5"])
    assert images.locator("img").first.evaluate("img => img.decode().then(() => img.naturalWidth)") == 8
    images.get_by_role("button").first.click()
    expect(page.get_by_role("dialog").get_by_role("link", name="Download")).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("region", name="Files").get_by_role("link", name="model.bin").click()
    assert download.value.path().read_bytes() == b"x" * 2000
