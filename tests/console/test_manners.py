"""What a demanding stranger would stumble over: focus, clocks, codes instead of words, another language, a phone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import Service
from tests.console.conftest import REFUSED, Visitor

AN_HOUR = 3_600_000
#: every sentence that api/services/queue_reasons.py and api/services/gpus/status.py can say
REASONS = (
    "is held; release it to let it start",
    "is about to start",
    "failed and is tried again in 4m 5s",
    "waits for one of its owner's running jobs to end: 2 at a time are allowed",
    "asks for more than this machine has now: 9 GPUs were asked for, and there are 8",
    "asks for more than any node of the cluster has now: 64 cores were asked for, and there are 8; 512 GiB of memory were asked for, and there are 64 GiB",
    "asks for more than this machine has now: GPU 9 was asked for, and is not there; GPU 2 is drained (a new fan)",
    "waits for a node of the cluster that has room for all of it",
    "waits behind job-abcdefgh, which what is free is kept for",
    "waits behind those ahead of it, which what is free is kept for",
    "waits for one of the 2 CPU workers: train_20261121_200606_a55888a5 (about 20 min left)",
    "waits for 4 cores, 1 of 8 are free: job-abcdefgh (3 cores, 1.0 GiB); and for 2.0 GiB of memory, 512 MiB of 8.0 GiB are free: a job ahead of it takes it",
    "waits for 8 GPUs: GPU 0 is held by train_20261121_200606_a55888a5 (about 3 h left); GPU 1 by pid 4312 (python), not ours, 18 GB and pid 4313 (sh), not ours, 1 GB",
    "waits for GPU 3: GPU 3 is kept for job_20261121_200645_b705, which is ahead of it",
    "waits for 3 GPUs: GPU 3 goes to a job ahead of it; GPU 4 is gone; GPU 5 is unknown: it fell off the bus",
    "waits for 3 GPUs: GPU 3 is unknown: the driver does not answer; GPU 4 by another job of the cluster",
    "waits for 3 GPUs: GPU 3 is unknown: node n1 is down, or was not heard of lately",
    "waits for GPU 6: GPU 6 by job train_20261121_200606_a55888a5 (kraken); GPU 7 by a process that the driver does not show, 3 GB",
)
#: what may stay Latin in a Chinese sentence
LATIN = re.compile(r"GPU|CPU|[GM]i?B|\bn1\b|\(?a new fan|python|sh|kraken|4m 5s|(?:train|job)[-_][\w]+")


@pytest.fixture(scope="module")
def running(site: Service) -> str:
    job = site.submit(top={"description": "Runs"}, epochs=1000, steps_per_epoch=50, steps_per_second=5)
    site.wait_step(job, 2)
    return job


@pytest.fixture(scope="module")
def failed(site: Service) -> str:
    job = site.submit(top={"description": "Failed at once"}, epochs=1, exit_at_step=2, exit_code=1)
    site.wait_status(job, "failed")
    return job


def skewed(page: Page, by: int) -> None:
    """This browser's clock goes wrong by so many milliseconds."""
    page.add_init_script(f"const told = Date.now; Date.now = () => told() + ({by});")


def base_of(page: Page) -> str:
    """Where this build's modules lie."""
    return str(page.locator("script[type=module]").get_attribute("src")).removesuffix("app.js")


@pytest.mark.parametrize("by", [AN_HOUR, -AN_HOUR])
def test_a_browser_whose_clock_is_wrong_shows_the_services_time(
    site: Service, failed: str, visit: Visitor, by: int
) -> None:
    page = visit(site.url).page
    skewed(page, by)
    page.goto(f"{site.url}/#/jobs")
    row = page.get_by_role("row", name=re.compile("Failed at once"))
    expect(row).to_contain_text(re.compile(r"(now|sec\. ago|min\. ago)"))
    expect(page.get_by_text(re.compile(r"\bhr\.|in \d"))).to_have_count(0)


def test_the_focus_comes_back_from_a_dialog_and_goes_on_to_the_next_page(
    site: Service, running: str, visit: Visitor
) -> None:
    page = visit(site.url).go(f"/job/{running}")
    page.get_by_role("button", name="Stop", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Stop this job?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_focused()
    page.get_by_role("link", name="Same again").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New job")).to_be_visible()
    expect(page.locator("main")).to_be_focused()


def test_a_job_by_keyboard_alone(site: Service, visit: Visitor) -> None:
    job = site.submit(top={"description": "By keyboard"}, epochs=1000, steps_per_epoch=50, steps_per_second=5)
    site.wait_step(job, 2)
    page = visit(site.url).go(f"/job/{job}")
    expect(page).to_have_title(re.compile(r"^\d+% · By keyboard · Trainyard$"))
    page.get_by_role("button", name="Stop", exact=True).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    site.wait_status(job, "stopped")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/jobs$"))
    expect(page.locator("main")).to_be_focused()


def test_a_metric_that_comes_later_can_be_chosen(site: Service, visit: Visitor) -> None:
    script = site.data / "workspace" / "later.py"
    script.write_text(
        "import pathlib, time\n"
        "print('epoch 1/9 loss: 0.5', flush=True)\n"
        "while not pathlib.Path(__file__).with_name('go').exists(): time.sleep(0.05)\n"
        "print('epoch 2/9 loss: 0.4 val_loss: 0.6', flush=True)\n"
        "time.sleep(60)\n"
    )
    token = site.call("POST", "/api/v1/auth/tokens", {"label": "later"}).expect(201)["token"]
    wanted = {
        "name": "Later",
        "framework": "pytorch",
        "script_path": str(script),
        "cpu": 1,
        "memory": 1 << 30,
        "gpu": 0,
    }
    made = site.call("POST", "/jobs", wanted, headers={"Authorization": f"Token {token}"})
    job = made.expect(201)["job_id"]
    page = visit(site.url).go(f"/job/{job}")
    expect(page.locator(".plot canvas")).to_be_visible()
    script.with_name("go").touch()
    page.get_by_role("group", name="Metric").get_by_role("button", name=re.compile("val")).click()
    expect(page.locator(".plot canvas")).to_have_count(2)
    site.call("POST", f"/stop/{job}", {"force": True}).expect(200)


def test_a_failed_job_in_words_of_both_languages(site: Service, failed: str, visit: Visitor) -> None:
    page = visit(site.url).go(f"/job/{failed}")
    expect(page.get_by_role("alert")).to_contain_text("Failed: cause unknown")
    expect(page.get_by_role("region", name="Progress").get_by_text("Phase")).to_have_count(0)
    page.get_by_label("Language").select_option("zh")
    told = page.get_by_role("alert")
    expect(told).to_contain_text("失败：原因不明")
    expect(told.locator("[lang=en]")).to_contain_text("ended with exit code 1")
    expect(page.get_by_role("region", name="详情", exact=True)).to_contain_text("退出码")


def test_why_a_job_waits_in_chinese(site: Service, visit: Visitor) -> None:
    page = visit(site.url, locale="zh-CN").go()
    expect(page.get_by_role("link", name="概览")).to_be_visible()
    said = page.evaluate(
        "async ([base, texts]) => texts.map((await import(base + 'components/reason.js')).translated)",
        [base_of(page), list(REASONS)],
    )
    for text, words in zip(REASONS, said, strict=True):
        assert not re.search(r"[A-Za-z]", LATIN.sub("", words)), (text, words)


def test_the_fields_of_a_form_are_named_in_chinese(site: Service, visit: Visitor) -> None:
    page = visit(site.url, locale="zh-CN").go("/new?engine=script")
    expect(page.get_by_label("脚本路径 script_path")).to_be_visible()
    page.get_by_label("内存（字节） memory").fill(str(3 << 30))
    expect(page.get_by_text("字节；超出则任务被结束 · = 3.0 GB")).to_be_visible()


def test_a_lost_session_ends_where_it_was(site: Service, failed: str, visit: Visitor) -> None:
    here = visit(site.url)
    here.permitted = REFUSED  # the 401 that is asked for
    page = here.go(f"/job/{failed}")
    expect(page.get_by_role("heading", name="Failed at once")).to_be_visible()
    page.context.clear_cookies()
    page.context.add_cookies([{"name": "trainyard_session", "value": "tys_1_gone", "url": site.url}])
    page.evaluate(
        "async (base) => (await import(base + 'core/api.js')).get('/api/v1/queue').catch(() => {})", base_of(page)
    )
    page.get_by_role("button", name="Continue as the local operator").click()
    expect(page.get_by_role("heading", name="Failed at once")).to_be_visible()
    assert urlsplit(page.url).fragment == f"/job/{failed}"


def test_a_phone_has_room_for_long_names(site: Service, visit: Visitor) -> None:
    wanted = site.request(top={"gpu_id": 2, "wait": True, "description": "A name " * 20})
    job = site.call("POST", "/start", wanted).expect(201)["task_id"]
    page = visit(site.url, viewport={"width": 390, "height": 844}).go("/queue")
    hold = page.get_by_role("button", name="Hold").first
    expect(hold).to_be_visible()
    box = hold.bounding_box()
    assert box and box["height"] < 40, "a button's word is broken"
    assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")
    site.call("POST", f"/stop/{job}", {"force": True}).expect(200)
