"""Models and documents, as people use them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from api.models.yolo_history import history
from tests.acceptance.harness import Service, wait_for
from tests.console.conftest import Visitor, gpu_service
from tests.infer.models import make_weights
from tests.unit import pages as scans
from tests.unit.videos import make_video
from tests.unit.yolo_models import COLUMNS, packed
from tests.unit.yolo_sets import picture

NASTY = '<img src=x onerror="window.hurt=1">'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = gpu_service(tmp_path_factory.mktemp("models"), gpus=1)
    yield service.start()
    service.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights that sees something everywhere, and a history."""
    home = tmp_path_factory.mktemp("weights")
    (weights,) = make_weights(sys.executable, home)
    metrics = {"mAP50": 0.6, "mAP50-95": 0.4, "precision": 0.7, "recall": 0.5}
    told = {
        "name": NASTY, "classes": [NASTY, "disc", "triangle"], "tags": ["tiny"],
        "training_metrics": {**metrics, "training_history": history([1, 2, 3], COLUMNS)},
    }  # fmt: skip
    made = home / "tiny.zip"
    made.write_bytes(packed({"weights/best.pt": weights.read_bytes(), "model.json": told}))
    return made


@pytest.fixture(scope="module")
def model(site: Service, archive: Path) -> str:
    answer = site.client.post("/api/v1/models/upload", files={"file": ("tiny.zip", archive.read_bytes())}, timeout=110)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["model_id"])


def harmless(page: Page) -> bool:
    return page.evaluate("window.hurt") is None and page.locator("img[src=x]").count() == 0


def test_a_model_is_uploaded_edited_and_deleted(site: Service, archive: Path, visit: Visitor) -> None:
    page = visit(site.url).go("/models")
    page.get_by_label("A zip of weights").set_input_files(archive)
    expect(page.get_by_role("heading", name=NASTY)).to_be_visible(timeout=110_000)
    expect(page.locator(".plot canvas")).to_have_count(2)
    expect(page.locator(".u-legend tr:first-child .u-label")).to_have_text(["epoch", "epoch"])
    expect(page.get_by_role("region", name="Measured in training")).to_contain_text("0.6")
    assert harmless(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Name", exact=True).fill("Shapes, tiny")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Shapes, tiny")).to_be_visible()
    with page.expect_download() as loading:
        page.get_by_role("link", name="Download").click()
    assert loading.value.suggested_filename.endswith(".zip")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    expect(page.get_by_text("Shapes, tiny")).to_have_count(0)


def test_a_model_is_tried_on_an_image(site: Service, model: str, tmp_path: Path, visit: Visitor) -> None:
    sample = tmp_path / "yard.png"
    sample.write_bytes(picture(3, (160, 120)))
    page = visit(site.url).go(f"/model/{model}")
    page.get_by_label("An image or a video").set_input_files(sample)
    seen = page.get_by_role("img", name="What the model sees on yard.png")
    expect(seen).to_be_visible(timeout=110_000)
    drawn = seen.locator(".boxed")
    expect(drawn.first).to_be_visible()
    before = drawn.count()
    assert harmless(page)
    page.get_by_label("Least confidence").fill("0.95")
    expect(drawn).to_have_count(0)
    expect(page.get_by_text("Nothing found at this confidence.")).to_be_visible()
    page.get_by_label("Least confidence").fill("0.25")
    expect(drawn).to_have_count(before)


def test_a_model_is_tried_on_a_video(site: Service, model: str, tmp_path: Path, visit: Visitor) -> None:
    """Which is shown from where it is kept, and not sent within the answer."""
    page = visit(site.url).go(f"/model/{model}")
    with page.expect_response("**/infer/video/**", timeout=110_000) as answered:
        sample = make_video(tmp_path / "yard.mp4", seconds=0.2, size=(96, 64))
        page.get_by_label("An image or a video").set_input_files(sample)
    assert answered.value.json()["data"]["video_data"] is None
    expect(page.get_by_label("What the model sees on yard.mp4")).to_be_visible()
    page.wait_for_function("() => document.querySelector('video').videoWidth === 96")


def test_a_format_is_asked_for(site: Service, model: str, visit: Visitor) -> None:
    """As a job: what it makes is tested where the models are (tests/yolo)."""
    page = visit(site.url).go(f"/model/{model}")
    formats = page.get_by_role("region", name="Other formats")
    formats.get_by_label("Format").select_option("torchscript")
    formats.get_by_role("button", name="Export").click()
    expect(formats.get_by_role("link", name="job_")).to_be_visible()


def test_a_document_is_made_filled_looked_at_and_corrected(site: Service, tmp_path: Path, visit: Visitor) -> None:
    book = tmp_path / "book.zip"
    book.write_bytes(scans.archive({**scans.book(3), "half.xml": scans.xml("a.png")[:-40]}))
    page = visit(site.url).go("/documents")
    page.get_by_label("Name", exact=True).first.fill(NASTY)
    page.get_by_role("textbox", name="Language").fill("en")
    page.get_by_role("button", name="Make", exact=True).click()
    expect(page.get_by_role("heading", name=NASTY)).to_be_visible()
    quality = page.get_by_role("region", name="Quality report")
    expect(quality).to_contain_text("Not ready for reading lines")
    page.get_by_label("A zip, an ALTO or PAGE XML, or an image").set_input_files(book)
    expect(page.get_by_text("3 pages, 9 lines and 3 images were taken.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("half.xml")).to_be_visible()
    expect(quality).to_contain_text("9 of 9")
    page.get_by_role("button", name="0001.png").click()
    leaf = page.get_by_role("region", name="Page 0001.png")
    expect(leaf.locator(".text-line")).to_have_count(3)
    leaf.get_by_label("Line 1").fill(NASTY)
    leaf.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.reload()
    expect(leaf.get_by_label("Line 1")).to_have_value(NASTY)
    with page.expect_download() as loading:
        page.get_by_text("Export", exact=True).click()
        page.get_by_role("link", name="as ALTO").click()
    assert "0001.xml" in "".join(scans.unpacked(Path(loading.value.path()).read_bytes()))
    assert harmless(page)


def test_an_ocr_model_is_made(site: Service, visit: Visitor) -> None:
    page = visit(site.url).go("/documents")
    models = page.get_by_role("region", name="OCR models").first
    models.get_by_label("Name").fill("Reader")
    models.get_by_role("button", name="New model").click()
    expect(page.get_by_role("heading", name="Reader")).to_be_visible()
    expect(page.get_by_text("Not trained yet")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Documents", exact=True).first).to_be_visible()


@pytest.fixture(scope="module")
def signed_in(site: Service) -> Iterator[httpx.Client]:
    """With a session, as the console has one: the OCR API takes nobody without."""
    with httpx.Client(base_url=site.url, trust_env=False, timeout=30) as client:
        client.headers["X-CSRF-Token"] = created(client.post("/api/v1/auth/session"))["csrf_token"]
        yield client


def created(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.fixture(scope="module")
def document(signed_in: httpx.Client) -> int:
    """One of three pages."""
    made = created(signed_in.post("/api/v1/ocr/documents", json={"name": NASTY, "language": "en"}))["document_id"]
    files = {"file": ("book.zip", scans.archive(scans.book(3)))}
    task = created(signed_in.post(f"/api/v1/ocr/documents/{made}/import", files=files))["task"]["task_id"]
    wait_for(lambda: created(signed_in.get(f"/api/v1/ocr/imports/{task}"))["status"] == "completed", 60)
    return int(made)


@pytest.fixture(scope="module")
def reader(signed_in: httpx.Client) -> int:
    """An OCR model, not trained."""
    return int(created(signed_in.post("/api/v1/ocr/models", json={"name": NASTY, "job": "recognize"}))["model_id"])


PLACES = ("/models", "/model/{model}", "/documents", "/document/{document}", "/ocr-model/{reader}")


@pytest.mark.parametrize("place", PLACES)
def test_nothing_serious_for_axe_and_a_phone_scrolls_one_way(
    site: Service, model: str, document: int, reader: int, visit: Visitor, place: str
) -> None:
    address = place.format(model=model, document=document, reader=reader)
    for options in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}):
        here = visit(site.url, reduced_motion="reduce", **options)
        page = here.go(address)
        expect(page.get_by_text(NASTY).locator("visible=true").first).to_be_visible()
        assert harmless(page)
        assert here.axe() == [], (place, options)
        assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.close()
