"""Datasets and the editor of boxes, as people use them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.harness import Service, wait_for
from tests.console.conftest import REFUSED, Visitor, gpu_service
from tests.unit.yolo_sets import packed, picture

NASTY = '<img src=x onerror="window.hurt=1">'
SIZE = (320, 240)
LABEL = "0 0.5 0.5 0.25 0.5\n"


def files(count: int = 6, labelled: int = 2) -> dict[str, bytes]:
    """Images, the first of them with a box, and one that is broken."""
    found = {f"images/{n:03}.png": picture(n, SIZE) for n in range(count)}
    found |= {f"labels/{n:03}.txt": LABEL.encode() for n in range(labelled)}
    names = f"names: ['{NASTY}', disc, star]\n".encode()
    return found | {"images/broken.png": b"no image", "data.yaml": names}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = gpu_service(tmp_path_factory.mktemp("boxes"), gpus=1)
    yield service.start()
    service.close()


@dataclass
class Task:
    """A dataset with an annotation task."""

    site: Service
    dataset: str
    id: str

    def item(self, image: str) -> dict[str, Any]:
        answer = self.site.client.get(f"/api/v1/annotations/tasks/{self.id}/items/{image}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    def images(self) -> list[str]:
        answer = self.site.client.get(f"/api/v1/annotations/tasks/{self.id}/items")
        return [item["image_id"] for item in answer.json()["data"]["items"]]

    def save(self, image: str, boxes: list[dict[str, float]]) -> None:
        answer = self.site.client.post(f"/api/v1/annotations/tasks/{self.id}/items/{image}", json={"boxes": boxes})
        assert answer.status_code == 200, answer.text

    def exported(self) -> dict[str, str]:
        """The label files of the dataset's export, by name."""
        answer = self.site.client.get(f"/api/v1/datasets/{self.dataset}/export/annotated?version=v1")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            return {Path(n).stem: archive.read(n).decode() for n in archive.namelist() if n.endswith(".txt")}


def new_task(site: Service, labelled: int = 0) -> Task:
    upload = site.client.post(
        "/api/v1/datasets/upload", files={"file": (f"{NASTY}.zip", packed(files(labelled=labelled)))}
    )
    assert upload.status_code == 200, upload.text
    dataset = upload.json()["data"]["dataset_id"]
    made = site.client.post("/api/v1/annotations/tasks", json={"dataset_id": dataset})
    assert made.status_code == 200, made.text
    return Task(site, dataset, made.json()["data"]["task_id"])


@pytest.fixture(scope="module")
def shown(site: Service) -> Task:
    """For tests that only look."""
    return new_task(site, labelled=2)


def test_a_dataset_is_uploaded_prepared_edited_and_deleted(site: Service, tmp_path: Path, visit: Visitor) -> None:
    archive = tmp_path / "shapes.zip"
    archive.write_bytes(packed(files()))
    page = visit(site.url).go("/datasets")
    page.get_by_label("A zip of images and labels").set_input_files(archive)
    expect(page.get_by_role("heading", name="shapes.zip")).to_be_visible()
    expect(page.get_by_text("Not checked yet")).to_be_visible()
    page.get_by_role("button", name="Prepare", exact=True).click()
    report = page.get_by_role("region", name="Pre-flight report")
    expect(report).to_contain_text("images/broken.png")
    expect(report.get_by_text(NASTY)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0 and page.evaluate("window.hurt") is None
    expect(page.get_by_role("region", name="Some of the images").get_by_role("img").first).to_be_visible()
    page.get_by_text("Prepare differently").click()
    page.get_by_label("Classes, one a line").fill("square\ndisc\nstar")
    page.get_by_role("button", name="Prepare", exact=True).click()
    expect(report.get_by_text("square")).to_be_visible()
    report.get_by_label("Version").select_option("v1")
    expect(report.get_by_text(NASTY)).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Tags, separated by commas").fill("yard, yard, north")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".tag")).to_have_text(["yard", "north"])
    with page.expect_download() as loading:
        page.get_by_text("Export", exact=True).click()
        page.get_by_role("link", name="With labels").click()
    assert zipfile.is_zipfile(loading.value.path())
    page.get_by_role("button", name="Delete").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("all annotations drawn here")
    asked.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Datasets", exact=True)).to_be_visible()


def test_what_is_no_dataset_is_said(site: Service, tmp_path: Path, visit: Visitor) -> None:
    wrong = tmp_path / "notes.zip"
    wrong.write_bytes(b"no zip")
    here = visit(site.url)
    here.permitted = REFUSED
    page = here.go("/datasets")
    page.get_by_label("A zip of images and labels").set_input_files(wrong)
    expect(page.get_by_role("alert")).to_contain_text("zip")
    page.get_by_label("Or a directory on the service's machine").fill("/etc")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("status").filter(has_text="allowed")).to_be_visible()


def test_captions_are_corrected(site: Service, visit: Visitor) -> None:
    body = {"dataset_name": "yards", "video_directory": str(site.images), "prompt_prefix": NASTY}
    started = site.client.post("/api/v1/preprocessing/start", json=body)
    assert started.status_code == 202, started.text
    status = f"/api/v1/preprocessing/status/{started.json()['data']['preprocessing_id']}"
    wait_for(lambda: site.client.get(status).json()["data"]["status"] == "completed", 60)
    here = visit(site.url)
    page = here.go("/datasets")
    page.get_by_role("link", name="yards").click()
    caption = page.get_by_label("Caption of 1.png")
    expect(caption).to_have_value(re.compile(re.escape(NASTY)))
    caption.fill("a red square")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Find").fill("window")
    page.get_by_role("button", name="Replace", exact=True).click()
    expect(page.get_by_label("Caption of 2.png")).not_to_have_value(re.compile("window"))
    page.reload()
    expect(caption).to_have_value("a red square")
    assert here.axe() == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")


# ---- the editor


def stage(page: Page) -> Locator:
    expect(page.get_by_role("application")).to_be_visible()
    return page.get_by_role("application")


def corner(page: Page) -> tuple[float, float, float]:
    """Where the image begins on the screen, and screen pixels a pixel of it."""
    box = stage(page).locator("image").bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"] / SIZE[0]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """With the mouse, in pixels of the image."""
    left, top, scale = corner(page)
    page.mouse.move(left + start[0] * scale, top + start[1] * scale)
    page.mouse.down()
    page.mouse.move(left + (start[0] + end[0]) / 2 * scale, top + (start[1] + end[1]) / 2 * scale)
    page.mouse.move(left + end[0] * scale, top + end[1] * scale)
    page.mouse.up()


def saved(page: Page) -> None:
    expect(page.locator(".saved")).to_have_text("Saved")


def near(box: dict[str, float], *wanted: float) -> bool:
    return all(abs(box[name] - value) < 2 for name, value in zip(("x1", "y1", "x2", "y2"), wanted, strict=True))


def test_a_box_is_drawn_and_exported(site: Service, visit: Visitor) -> None:
    task = new_task(site)
    page = visit(site.url).go("/annotate")
    page.get_by_role("link", name=re.compile(re.escape(f"{NASTY}.zip · v1"))).first.click()
    expect(page.locator(".saved")).to_have_text("Not annotated yet")
    image = task.images()[0]
    page.get_by_role("button", name="star").click()
    drag(page, (40, 30), (140, 110))
    expect(page.get_by_role("button", name="Box 1: star")).to_be_visible()
    saved(page)
    (box,) = task.item(image)["boxes"]
    assert box["class_id"] == 2 and near(box, 40, 30, 140, 110)
    name = task.item(image)["image_path"].rpartition("/")[2].removesuffix(".png")
    number, x, y, width, height = task.exported()[name].split()
    assert number == "2"
    assert [float(v) for v in (x, y, width, height)] == pytest.approx(
        [90 / 320, 70 / 240, 100 / 320, 80 / 240], abs=0.01
    )
    drag(page, (90, 70), (110, 90))  # the chosen box moves
    drag(page, (160, 130), (200, 150))  # its corner
    page.keyboard.press("Control+s")
    saved(page)
    (box,) = task.item(image)["boxes"]
    assert near(box, 60, 50, 200, 150), box
    expect(page.get_by_text("1 of 6 annotated")).to_be_visible()


def test_the_keyboard_annotates(site: Service, visit: Visitor) -> None:
    task = new_task(site)
    first, second = task.images()[:2]
    page = visit(site.url).go(f"/annotate/{task.id}")
    stage(page).focus()
    expect(page.locator(".saved")).to_have_text("Not annotated yet")
    page.keyboard.press("2")
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Box 1: disc")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="Box 1: star")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name=re.compile("^Box"))).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name=re.compile("^Box"))).to_have_count(2)
    page.keyboard.press("Control+Shift+z")
    expect(page.get_by_role("button", name=re.compile("^Box"))).to_have_count(1)
    page.keyboard.press("ArrowRight")  # saves on the way
    expect(page.get_by_text("2 / 6")).to_be_visible()
    assert [box["class_id"] for box in task.item(first)["boxes"]] == [2]
    expect(page.locator(".saved")).to_have_text("Not annotated yet")
    page.keyboard.press("e")
    saved(page)
    assert task.item(second)["has_annotation"] and task.item(second)["boxes"] == []
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("1 / 6")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("3 / 6")).to_be_visible()
    page.get_by_role("button", name="Without annotation").click()
    expect(page.get_by_text("1 / 4")).to_be_visible()


@pytest.mark.parametrize(("choice", "left"), [("Keep mine", [1]), ("Take theirs", [2]), ("Keep both", [2, 1])])
def test_a_conflict_is_shown_and_decided(site: Service, visit: Visitor, choice: str, left: list[int]) -> None:
    task = new_task(site)
    image = task.images()[0]
    here = visit(site.url)
    here.permitted = REFUSED  # 412 is what is asked for
    page = here.go(f"/annotate/{task.id}")
    expect(page.locator(".saved")).to_have_text("Not annotated yet")
    task.save(image, [{"class_id": 2, "x1": 200, "y1": 150, "x2": 260, "y2": 200}])
    page.get_by_role("button", name="disc").click()
    drag(page, (20, 20), (100, 100))
    asked = page.get_by_role("dialog", name="Two people changed this image")
    expect(asked).to_be_visible()
    assert [box["class_id"] for box in task.item(image)["boxes"]] == [2]
    page.keyboard.press("Escape")
    expect(page.locator(".saved")).to_contain_text("Changed by somebody else meanwhile")
    page.get_by_role("button", name="Decide").click()
    asked.get_by_role("button", name=choice).click()
    saved(page)
    assert [box["class_id"] for box in task.item(image)["boxes"]] == left


def test_what_cannot_be_saved_is_kept_and_tried_again(site: Service, visit: Visitor) -> None:
    task = new_task(site)
    here = visit(site.url)
    here.permitted = REFUSED
    page = here.go(f"/annotate/{task.id}")
    expect(page.locator(".saved")).to_have_text("Not annotated yet")
    page.route("**/items/**", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    drag(page, (20, 20), (100, 100))
    expect(page.locator(".saved")).to_contain_text("Not saved")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("1 / 6")).to_be_visible()
    page.unroute_all(behavior="wait")
    page.locator(".saved").get_by_role("button", name="Try again").click()
    saved(page)
    assert len(task.item(task.images()[0])["boxes"]) == 1


PLACES = ("/datasets", "/dataset/{dataset}", "/annotate", "/annotate/{task}")


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_text_and_nothing_serious_for_axe(site: Service, shown: Task, visit: Visitor, place: str) -> None:
    for scheme in ("light", "dark"):
        here = visit(site.url, color_scheme=scheme, reduced_motion="reduce")
        page = here.go(place.format(dataset=shown.dataset, task=shown.id))
        expect(page.get_by_text(NASTY).locator("visible=true").first).to_be_visible()
        assert page.evaluate("window.hurt") is None and page.locator("img[src=x]").count() == 0
        assert here.axe() == [], (place, scheme)
        page.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_phone_scrolls_one_way(site: Service, shown: Task, visit: Visitor, place: str) -> None:
    page = visit(site.url, viewport={"width": 390, "height": 844}).go(
        place.format(dataset=shown.dataset, task=shown.id)
    )
    expect(page.get_by_text(NASTY).locator("visible=true").first).to_be_visible()
    assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
