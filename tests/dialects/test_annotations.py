"""Annotation of the YOLO platform: every example of its document, bare and enveloped, and who saves what when."""

from __future__ import annotations

import io
import json
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import event

from api.models.accounts import Actor, Role, scopes_of
from api.models.annotation import Key
from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job
from api.services import label_import
from api.services.prelabel import Proposals
from api.services.store import annotations as store
from api.services.store import jobs as job_store
from api.services.store import yolo_models
from api.services.yolo_files import YoloFiles
from tests.dialects.conftest import Site, envelope, strict
from tests.dialects.test_yolo_datasets import BARE, ISO, OWNER, V1, Platform
from tests.unit import yolo_sets as sets
from tests.unit.yolo_boxes import labelled

W, H = sets.SIZE
BOX = {"class_id": 0, "x1": 10.0, "y1": 12.0, "x2": 30.0, "y2": 40.0}
MATE = Actor(9003, "mate", Role.MEMBER, scopes_of(Role.MEMBER), frozenset({77}))


def unlabelled(count: int = 3) -> dict[str, bytes]:
    return {f"images/{n:03}.png": sets.picture(n) for n in range(count)}


@dataclass
class Desk:
    """Somebody who annotates, at one of the two renderings."""

    platform: Platform

    @property
    def site(self) -> Site:
        return self.platform.site

    def task(self, files: dict[str, bytes] | None = None, **more: Any) -> str:
        made = self.platform.upload(files)
        return str(self.platform.ok("POST", "/annotations/tasks", {"dataset_id": made, **more})["task_id"])

    def get(self, task: str, path: str = "", **query: Any) -> Any:
        return self.platform.ok("GET", f"/annotations/tasks/{task}{path}", query_string=query)

    def items(self, task: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(task, "/items", **query)["items"]
        return found

    def save(self, task: str, image: str, boxes: list[Any], code: int = 200, tag: str | None = None) -> Any:
        headers = {} if tag is None else {"If-Match": tag}
        path = f"/annotations/tasks/{task}/items/{image}"
        response = self.platform.call("POST", path, {"boxes": boxes}, headers=headers)
        assert response.status_code == code, response.text
        return response

    def refused(self, task: str, image: str, boxes: list[Any]) -> str:
        return self.platform.detail("POST", f"/annotations/tasks/{task}/items/{image}", 422, {"boxes": boxes})

    def tag(self, task: str, image: str) -> str:
        return str(self.platform.call("GET", f"/annotations/tasks/{task}/items/{image}").headers["ETag"])

    def place(self, task: str) -> Path:
        view = self.get(task)
        return self.platform.root / view["dataset_id"] / view["version"]

    def labels(self, task: str) -> dict[str, str]:
        place = self.place(task) / "labels"
        return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.txt"))}


@pytest.fixture(params=[BARE, V1], ids=["bare", "enveloped"])
def twin(site: Site, request: pytest.FixtureRequest) -> Desk:
    return Desk(Platform(site, request.param))


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    made = Desk(Platform(site, BARE))
    yield made
    assert made.platform.drafts() == []


def zipped(files: dict[str, str]) -> dict[str, Any]:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    made.seek(0)
    return {"file": (made, "labels.zip")}


class TestTheDocument:
    def test_from_task_to_export(self, twin: Desk) -> None:
        """Its requests as they stand there, on a dataset that was only uploaded."""
        dataset = twin.platform.upload({**unlabelled(5), "classes.txt": b"person\n"})
        body = {"dataset_id": dataset, "version": "v1", "classes": ["person", "car", "dog"]}
        task = twin.platform.ok("POST", "/annotations/tasks", body)
        assert ISO.fullmatch(task.pop("created_at")) and task.pop("task_id").startswith("task_")
        assert task == {
            **body, "total_items": 5, "total_images": 5, "annotated_count": 0, "imported_annotations": 0,
        }  # fmt: skip
        (listed,) = [t for t in twin.platform.ok("GET", "/annotations/tasks")["tasks"] if t["dataset_id"] == dataset]
        one = listed["task_id"]
        assert listed == twin.get(one)

        answer = twin.get(one, "/items")
        assert (answer["task_id"], answer["classes"], answer["imported_annotations"]) == (one, body["classes"], 0)
        assert (answer["total"], len(answer["items"]), len({i["image_id"] for i in answer["items"]})) == (5, 5, 5)
        item = answer["items"][0]
        assert (item["width"], item["height"], item["has_annotation"], item["annotated"]) == (W, H, False, False)
        for path in (item["image_path"], item["thumbnail_path"]):
            shown = twin.site.call("GET", f"/static/{path}", who=OWNER)
            assert shown.status_code == 200 and shown.mimetype.startswith("image/"), path

        image = item["image_id"]
        second = {"class_id": 1, "x1": 0.0, "y1": 0.0, "x2": 64.0, "y2": 48.0}
        saved = twin.save(one, image, [BOX, second])
        told = envelope(saved)["data"] if twin.platform.twin else strict(saved.data)
        assert (told["ok"], told["message"]) == (True, "Annotation saved successfully")
        shown = twin.get(one, f"/items/{image}")
        assert (shown["image_id"], shown["boxes"], shown["updated_at"]) == (image, [BOX, second], told["updated_at"])
        assert (shown["image_path"], shown["width"], shown["height"]) == (item["image_path"], W, H)
        assert shown["classes"] == body["classes"] and ISO.fullmatch(shown["updated_at"])
        twin.save(one, answer["items"][1]["image_id"], [])

        exported = twin.get(one, "/export", format="yolo")
        assert exported == {
            "ok": True, "message": "Annotations exported successfully",
            "labels_dir": str(twin.place(one) / "labels"), "exported_count": 2,
        }  # fmt: skip
        assert exported == twin.platform.ok("POST", f"/annotations/tasks/{one}/export")
        assert sorted(twin.labels(one).values()) == [
            "",
            "0 0.312500 0.541667 0.312500 0.583333\n1 0.500000 0.500000 1.000000 1.000000\n",
        ]
        assert twin.platform.ok("DELETE", f"/annotations/tasks/{one}")["ok"] is True
        assert "no annotation task" in twin.platform.detail("GET", f"/annotations/tasks/{one}", 404)

    def test_labels_are_imported_and_shared_by_the_tasks_of_a_version(self, desk: Desk) -> None:
        files = {**sets.flat(4), "data.yaml": b"names: [cat]"}
        files["labels/000.txt"] = b""
        files["labels/001.txt"] = b"0 0.1 0.1 0.2 0.1 0.2 0.3\n"  # a polygon
        del files["labels/002.txt"]
        first = desk.task(files)
        before = desk.labels(first)
        told = desk.get(first)
        assert (told["annotated_count"], told["imported_annotations"], told["classes"]) == (3, 3, ["cat"])
        items = {item["image_path"].rpartition("/")[2]: item for item in desk.items(first)}
        assert [items[f"{n:03}.png"]["has_annotation"] for n in range(4)] == [True, True, False, True]
        boxes = {name: desk.get(first, f"/items/{item['image_id']}")["boxes"] for name, item in items.items()}
        assert boxes["000.png"] == boxes["002.png"] == []
        assert boxes["003.png"] == [{"class_id": 0, "x1": 24.0, "y1": 12.0, "x2": 40.0, "y2": 36.0}]
        assert boxes["001.png"] == [{"class_id": 0, "x1": 6.4, "y1": 4.8, "x2": 12.8, "y2": 14.4}]
        assert desk.get(first, f"/items/{items['002.png']['image_id']}")["updated_at"] is None

        other = str(desk.platform.ok("POST", "/annotations/tasks", {"dataset_id": told["dataset_id"]})["task_id"])
        desk.save(other, items["002.png"]["image_id"], [BOX])
        assert desk.get(first)["annotated_count"] == 4 and desk.get(first)["imported_annotations"] == 3
        after = desk.labels(first)
        assert {name: text for name, text in after.items() if name in before} == before, (
            "others' files stay as they are"
        )
        desk.platform.ok("DELETE", f"/annotations/tasks/{other}")
        assert desk.get(first, f"/items/{items['002.png']['image_id']}")["boxes"] == [BOX], "boxes are the dataset's"

    def test_the_same_name_in_two_splits_is_two_images(self, desk: Desk) -> None:
        files = {f"images/{split}/a.png": sets.picture(n) for n, split in enumerate(("train", "val"))}
        task = desk.task(files, classes=["x"])
        assert [item["image_id"] for item in desk.items(task)] == ["train_a", "val_a"]
        desk.save(task, "val_a", [BOX])
        assert desk.labels(task).keys() == {"val/a.txt"}
        assert desk.get(task, "/items/train_a")["boxes"] == []

    def test_any_name_has_an_id(self, desk: Desk) -> None:
        names = ["图片 1", "a b'; --", "x" * 120, "plain", "dot.ted"]
        files = {
            f"images/{split}/{name}.png": sets.picture(n) for n, name in enumerate(names) for split in ("train", "val")
        }
        task = desk.task(files, classes=["x"])
        for item in desk.items(task):
            desk.save(task, item["image_id"], [BOX])
            assert desk.site.call("GET", f"/static/{item['image_path']}", who=OWNER).status_code == 200
        assert len(desk.labels(task)) == 10
        assert desk.get(task, "/export")["exported_count"] == 10


class TestClasses:
    def test_more_than_the_datasets_reach_data_yaml_and_the_dataset(self, desk: Desk) -> None:
        task = desk.task({**sets.flat(3), "data.yaml": b"names: [cat]"}, classes=["cat", "d: 'og", "云"])
        dataset = desk.get(task)["dataset_id"]
        for name in ("data.yaml", "portable.yaml"):
            document = yaml.safe_load((desk.place(task) / name).read_text())
            assert document["names"] == {0: "cat", 1: "d: 'og", 2: "云"} and document["nc"] == 3, name
        shown = desk.platform.ok("GET", f"/datasets/{dataset}")
        assert shown["classes"] == ["cat", "d: 'og", "云"] and shown["class_counts"] == {"cat": 3, "d: 'og": 0, "云": 0}
        again = desk.platform.ok("POST", "/annotations/tasks", {"dataset_id": dataset, "classes": ["cat"]})
        assert again["classes"] == ["cat", "d: 'og", "云"]

    def test_numbered_classes_get_names(self, desk: Desk) -> None:
        task = desk.task(sets.flat(3, "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.1 0.1\n"), classes=["cat"])
        assert desk.get(task)["classes"] == ["cat", "class_1"]
        dataset = desk.get(task)["dataset_id"]
        assert desk.platform.ok("GET", f"/datasets/{dataset}")["class_counts"] == {"cat": 3, "class_1": 3}

    @pytest.mark.parametrize(
        ("classes", "field"),
        [
            (["dog"], "classes.0"),
            (["cat", "cat"], "classes"),
            ([], "classes"),
            (["cat", ""], "classes.1"),
            (["cat", "a\nb"], "classes.1"),
            ("cat", "classes"),
        ],
    )
    def test_others_are_refused(self, desk: Desk, classes: Any, field: str) -> None:
        dataset = desk.platform.upload({**sets.flat(2), "data.yaml": b"names: [cat]"})
        body = {"dataset_id": dataset, "classes": classes}
        assert desk.platform.detail("POST", "/annotations/tasks", 422, body).startswith(f"{field}:")
        assert desk.platform.ok("GET", "/annotations/tasks", query_string={"dataset_id": dataset})["tasks"] == []

    def test_what_there_is_not(self, desk: Desk) -> None:
        dataset = desk.platform.upload(sets.flat(2))
        for body in ({"dataset_id": "ds_x"}, {"dataset_id": dataset, "version": "v7"}):
            desk.platform.detail("POST", "/annotations/tasks", 404, body)
        task = desk.task()
        desk.platform.detail("GET", f"/annotations/tasks/{task}/items/nope", 404)
        desk.platform.detail("POST", f"/annotations/tasks/{task}/items/nope", 404, {"boxes": []})
        assert "cannot be prepared" in desk.platform.detail(
            "POST", "/annotations/tasks", 409, {"dataset_id": desk.platform.upload({"classes.txt": b"x"})}
        )


class TestBoxes:
    @pytest.fixture
    def one(self, desk: Desk) -> tuple[str, str]:
        task = desk.task(unlabelled(1), classes=["a", "b"])
        return task, desk.items(task)[0]["image_id"]

    def test_up_to_a_pixel_is_cut(self, desk: Desk, one: tuple[str, str]) -> None:
        desk.save(*one, [{"class_id": 1, "x1": -1, "y1": -0.5, "x2": W + 1, "y2": H + 0.25}])
        assert desk.get(one[0], f"/items/{one[1]}")["boxes"] == [
            {"class_id": 1, "x1": 0.0, "y1": 0.0, "x2": float(W), "y2": float(H)}
        ]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"class_id": 2}, "boxes.1.class_id"),
            ({"class_id": -1}, "boxes.1.class_id"),
            ({"class_id": 0.0}, "boxes.1.class_id"),
            ({"class_id": True}, "boxes.1.class_id"),
            ({"x1": -1.01}, "boxes.1.x1"),
            ({"x2": W + 1.01}, "boxes.1.x2"),
            ({"y2": 10**400}, "boxes.1.y2"),
            ({"y1": "1"}, "boxes.1.y1"),
            ({"y1": None}, "boxes.1.y1"),
            ({"x1": 30.0}, "boxes.1"),
            ({"x1": 31.0}, "boxes.1"),
            ({"x1": W + 0.5, "x2": W + 0.75}, "boxes.1"),
            ({"x1": 10.0, "x2": 10.00001}, "boxes.1"),
            ({"conf": 0.5}, "boxes.1.conf"),
        ],
    )
    def test_what_cannot_be_kept_is_named_and_nothing_is(
        self, desk: Desk, one: tuple[str, str], change: dict[str, Any], field: str
    ) -> None:
        assert desk.refused(*one, [BOX, {**BOX, **change}]).startswith(f"{field}:")
        assert desk.get(one[0])["annotated_count"] == 0 and desk.labels(one[0]) == {}

    def test_nan_is_no_json(self, desk: Desk, one: tuple[str, str]) -> None:
        raw = json.dumps({"boxes": [{**BOX, "x1": float("nan")}]})
        path = f"/annotations/tasks/{one[0]}/items/{one[1]}"
        response = desk.platform.call("POST", path, data=raw, content_type="application/json")
        assert response.status_code == 400

    def test_no_boxes_clear(self, desk: Desk, one: tuple[str, str]) -> None:
        desk.save(*one, [BOX])
        desk.save(*one, [])
        shown = desk.get(one[0], f"/items/{one[1]}")
        assert shown["boxes"] == [] and shown["has_annotation"] is True
        assert list(desk.labels(one[0]).values()) == [""]

    def test_the_annotated_export_has_what_is_saved(self, desk: Desk, one: tuple[str, str]) -> None:
        desk.save(*one, [BOX])
        dataset = desk.get(one[0])["dataset_id"]
        archive = desk.platform.call("GET", f"/datasets/{dataset}/export/annotated").data
        with zipfile.ZipFile(io.BytesIO(archive)) as found:
            names = [name for name in found.namelist() if name.endswith(".txt")]
            assert [found.read(name).decode() for name in names] == ["0 0.312500 0.541667 0.312500 0.583333\n"]
            assert yaml.safe_load(found.read("data.yaml"))["names"] == {0: "a", 1: "b"}


class TestReadingTheLabels:
    def test_goes_on_where_a_crash_has_cut_it(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """No image twice, none left out; and of two who ask at once one reads."""
        monkeypatch.setattr(label_import, "BATCH", 2)
        dataset, taken = desk.platform.prepared({**sets.flat(7), "data.yaml": b"names: [cat]"}), iter(range(100))

        def crash(point: str) -> None:
            if point == "annotation.importing" and next(taken) == 1:
                raise RuntimeError("killed")

        monkeypatch.setattr(label_import, "fault", crash)
        body = {"dataset_id": dataset}
        with pytest.raises(RuntimeError):
            desk.site.services.annotations.create(OWNER, dataset, "v1")
        assert desk.platform.ok("GET", "/annotations/tasks", query_string=body)["tasks"] == []
        with ThreadPoolExecutor(4) as pool:
            made = pool.map(lambda _: desk.site.call("POST", "/annotations/tasks", body, who=OWNER), range(4))
            tasks = [response.get_json()["task_id"] for response in made]
        assert len({*tasks}) == 4
        for task in tasks:
            told = desk.get(task)
            assert (told["total_items"], told["annotated_count"], told["imported_annotations"]) == (7, 7, 7)
        assert len({item["image_path"] for item in desk.items(tasks[0])}) == 7

    def test_who_comes_while_it_is_read_is_told_to_come_again(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(label_import, "PATIENCE", 0.01)
        dataset, inside, go = desk.platform.prepared(unlabelled(2)), threading.Event(), threading.Event()

        def hold(_point: str) -> None:
            inside.set()
            assert go.wait(20)

        monkeypatch.setattr(label_import, "fault", hold)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(desk.site.services.annotations.create, OWNER, dataset, "v1")
            assert inside.wait(20)
            second = desk.platform.call("POST", "/annotations/tasks", {"dataset_id": dataset})
            assert second.status_code == 503 and int(second.headers["Retry-After"]) > 0
            go.set()
            assert first.result().total == 2
        desk.platform.ok("POST", "/annotations/tasks", {"dataset_id": dataset})

    def test_a_damaged_version_is_told(self, desk: Desk) -> None:
        dataset = desk.platform.prepared({**sets.flat(3), "data.yaml": b"names: [cat]"})
        victim = next((desk.platform.root / dataset / "v1" / "labels" / "train").iterdir())
        for content in (b"0 0.5", b"\xff", None):
            victim.unlink()
            if content is not None:
                victim.write_bytes(content)
            told = desk.platform.detail("POST", "/annotations/tasks", 409, {"dataset_id": dataset})
            assert dataset in told


class TestTwoPeople:
    @pytest.fixture
    def one(self, desk: Desk) -> tuple[str, str]:
        task = desk.task(unlabelled(2), classes=["a"])
        return task, desk.items(task)[0]["image_id"]

    def test_the_second_learns_that_the_first_has_saved(self, desk: Desk, one: tuple[str, str]) -> None:
        seen = desk.tag(*one)
        new = desk.save(*one, [BOX], tag=seen).headers["ETag"]
        assert new == desk.tag(*one) != seen
        refused = desk.save(*one, [], 412, tag=seen)
        assert "changed meanwhile" in refused.get_json()["detail"]
        assert desk.get(one[0], f"/items/{one[1]}")["boxes"] == [BOX]
        desk.save(*one, [], tag=f'"other", {new}')
        desk.save(*one, [BOX], tag="*")
        desk.save(*one, [BOX], 412, tag=f"W/{desk.tag(*one)}")
        desk.save(*one, [])  # without a tag the last one wins, as the document's clients expect
        assert desk.tag(one[0], desk.items(one[0])[1]["image_id"]) != seen, "another image's tag is another"

    def test_of_many_at_once_one_wins(self, desk: Desk, one: tuple[str, str]) -> None:
        """Row, file and the winner's answer agree."""
        seen = desk.tag(*one)
        start = threading.Barrier(8)

        def write(number: int) -> tuple[int, int]:
            start.wait()
            box = {**BOX, "x2": 40.0 + number}
            path = f"/annotations/tasks/{one[0]}/items/{one[1]}"
            more: dict[str, Any] = {"headers": {"If-Match": seen}, "who": OWNER}
            return number, desk.site.call("POST", path, {"boxes": [box]}, **more).status_code

        with ThreadPoolExecutor(8) as pool:
            codes = dict(pool.map(write, range(8)))
        assert sorted(codes.values()) == [200] + [412] * 7
        (winner,) = [number for number, code in codes.items() if code == 200]
        assert desk.get(one[0], f"/items/{one[1]}")["boxes"][0]["x2"] == 40.0 + winner
        (line,) = desk.labels(one[0]).values()
        assert float(line.split()[3]) == pytest.approx((30.0 + winner) / W, abs=1e-6)

    def test_the_file_is_the_last_save_whoever_writes_it(self, desk: Desk, one: tuple[str, str]) -> None:
        def write(number: int) -> None:
            desk.site.call(
                "POST",
                f"/annotations/tasks/{one[0]}/items/{one[1]}",
                {"boxes": [{**BOX, "x2": 20.0 + number}]},
                who=OWNER,
            )

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(24)))
        (box,) = desk.get(one[0], f"/items/{one[1]}")["boxes"]
        (line,) = desk.labels(one[0]).values()
        assert float(line.split()[3]) == pytest.approx((box["x2"] - 10.0) / W, abs=1e-6)


class TestFilesFollowRows:
    @pytest.fixture
    def one(self, desk: Desk) -> tuple[str, str]:
        task = desk.task(unlabelled(1), classes=["a"])
        return task, desk.items(task)[0]["image_id"]

    def test_a_full_disk_loses_no_box(self, desk: Desk, one: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        real = YoloFiles.draft

        def full(self: YoloFiles) -> Any:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(YoloFiles, "draft", full)
        desk.save(*one, [BOX])
        assert desk.labels(one[0]) == {} and desk.get(one[0], f"/items/{one[1]}")["boxes"] == [BOX]
        desk.platform.detail("GET", f"/annotations/tasks/{one[0]}/export", 507)
        dataset = desk.get(one[0])["dataset_id"]
        desk.platform.detail("GET", f"/datasets/{dataset}/export/annotated", 507)
        monkeypatch.setattr(YoloFiles, "draft", real)
        assert desk.get(one[0], "/export")["exported_count"] == 1 == len(desk.labels(one[0]))

    def test_what_a_crash_left_is_written_at_the_start(
        self, desk: Desk, one: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = desk.site.services.label_files
        with monkeypatch.context() as patched:
            patched.setattr(type(service), "follow", lambda *given: None)
            desk.save(*one, [BOX])
            dataset = desk.get(one[0])["dataset_id"]
            body = {"dataset_id": dataset, "classes": ["a", "b"]}
            desk.platform.ok("POST", "/annotations/tasks", body)
        assert desk.labels(one[0]) == {}
        service.recover()
        assert len(desk.labels(one[0])) == 1
        assert yaml.safe_load((desk.place(one[0]) / "data.yaml").read_text())["names"] == {0: "a", 1: "b"}
        with desk.site.services.db.read() as connection:
            assert dataset not in {found for found, _ in store.behind(connection)}

    def test_a_dataset_that_is_removed_takes_all_with_it(self, desk: Desk, one: tuple[str, str]) -> None:
        dataset = desk.get(one[0])["dataset_id"]
        desk.platform.ok("DELETE", f"/datasets/{dataset}")
        desk.platform.detail("GET", f"/annotations/tasks/{one[0]}", 404)
        desk.platform.detail("POST", f"/annotations/tasks/{one[0]}/items/{one[1]}", 404, {"boxes": []})


class TestPages:
    def test_of_a_hundred_thousand_images(self, desk: Desk) -> None:
        db = desk.site.services.db
        _, task = labelled(db, OWNER.user_id, images=100_000)
        began = time.monotonic()
        page = desk.get(task, "/items", offset=99_990, limit=20)
        assert [item["image_id"] for item in page["items"]] == [f"train_{n:06}" for n in range(99_990, 100_000)]
        assert (page["total"], page["annotated_count"]) == (100_000, 33_333)
        wanted = desk.get(task, "/items", offset=33_330, limit=5, annotated="true")
        assert [item["image_id"] for item in wanted["items"]] == ["train_099992", "train_099995", "train_099998"]
        assert wanted["total"] == 33_333
        assert desk.get(task, "/items", limit=1, annotated="false")["total"] == 66_667
        assert time.monotonic() - began < 5  # some 0.1 s on a quiet machine

        services = desk.site.services
        every = services.annotations.every_item(services.annotations.get(OWNER, task))
        tracemalloc.start()
        assert sum(1 for _ in islice(every, 10_000)) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * 1024**2, "a page at a time is held"

    def test_all_of_them_are_a_stream_that_reads_like_a_page(self, twin: Desk) -> None:
        _, task = labelled(twin.site.services.db, OWNER.user_id, images=2100, classes=("云", 'a "quoted" one'))
        whole = twin.get(task, "/items")
        assert len(whole["items"]) == whole["total"] == 2100
        assert whole["items"][:3] == twin.items(task, limit=3) and whole["classes"] == ["云", 'a "quoted" one']
        assert {**whole, "items": []} == {**twin.get(task, "/items", limit=3), "items": []}
        assert len(twin.items(task, annotated="true")) == 700

    @pytest.mark.parametrize(
        "query",
        [{"limit": 0}, {"limit": 1001}, {"offset": -1, "limit": 1}, {"offset": 5}, {"annotated": "maybe"}],
    )
    def test_out_of_range(self, desk: Desk, query: dict[str, Any]) -> None:
        _, task = labelled(desk.site.services.db, OWNER.user_id)
        path = f"/annotations/tasks/{task}/items"
        assert desk.platform.detail("GET", path, 422, query_string=query).split(":")[0] in query
        desk.platform.detail("GET", f"/annotations/tasks/{task}/export", 422, query_string={"format": "coco"})

    def test_no_row_is_searched_for(self, site: Site) -> None:
        """Each question of a page, a count and a save has an index."""
        _, task = labelled(site.services.db, OWNER.user_id, images=5)
        view = site.services.annotations.get(OWNER, task)
        with site.services.db.read() as connection:
            run = connection.exec_driver_sql

            def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                if statement.startswith("SELECT") and "yolo_images" in statement:
                    plans.append((statement, parameters))

            plans: list[tuple[str, Any]] = []
            event.listen(connection.engine, "before_cursor_execute", hear)
            try:
                key: Key = view.key
                store.page(connection, key, start=2, limit=2)
                store.page(connection, key, offset=1, limit=2, annotated=True)
                store.count(connection, key, annotated=True)
                store.image(connection, key, "train_000001")
                store.matching(connection, key, "train/000001")
                store.unwritten(connection, key, 5)
                store.behind(connection)
            finally:
                event.remove(connection.engine, "before_cursor_execute", hear)
            assert len(plans) == 7
            for statement, parameters in plans:
                plan = [row[3] for row in run(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                assert not [line for line in plan if "yolo_images" in line and "SEARCH" not in line], plan
                assert not [line for line in plan if "TEMP B-TREE" in line], plan


class TestLabelsFromElsewhere:
    def test_matched_by_name_and_split(self, twin: Desk) -> None:
        files = {f"images/{split}/{name}.png": sets.picture(n) for n, (split, name) in enumerate(
            [("train", "a"), ("val", "a"), ("train", "b"), ("train", "c.d")])}  # fmt: skip
        task = twin.task(files, classes=["x", "y"])
        twin.save(task, "train_b", [BOX])
        given = {
            "labels/train/a.txt": "1 0.5 0.5 0.5 0.5\n",
            "labels/b.txt": "0 0.5 0.5 0.25 0.25\n",
            "c.d.txt": "",
            "labels/val/a.txt": "2 0.5 0.5 0.5 0.5\n",
            "a.txt": "0 0.5 0.5 0.5 0.5\n",
            "train/zz.txt": "0 0.5 0.5 0.5 0.5\n",
            "classes.txt": "x\ny\n",
        }
        path = f"/annotations/tasks/{task}/import"
        told = twin.platform.ok("POST", path, data=zipped(given))
        issues = {issue["file"]: issue["problem"] for issue in told.pop("issues")}
        assert told == {
            "ok": True, "message": "Labels of 2 images imported", "imported_count": 2, "skipped_count": 1, "issue_count": 3,
        }  # fmt: skip
        assert issues == {
            "labels/val/a.txt": "line 1: class 2, of 2 classes from 0 on",
            "a.txt": "there are several images of this name; put it into a folder train, val or test",
            "train/zz.txt": "there is no image of this name",
        }
        assert twin.get(task, "/items/train_a")["boxes"] == [
            {"class_id": 1, "x1": 16.0, "y1": 12.0, "x2": 48.0, "y2": 36.0}
        ]
        assert twin.get(task, "/items/train_b")["boxes"] == [BOX]
        assert twin.labels(task)["train/a.txt"] == "1 0.500000 0.500000 0.500000 0.500000\n"
        assert twin.labels(task)["train/c.d.txt"] == ""
        again = twin.platform.ok("POST", path, data={**zipped({"b.txt": given["labels/b.txt"]}), "overwrite": "true"})
        assert again["imported_count"] == 1 and len(twin.get(task, "/items/train_b")["boxes"]) == 1
        assert twin.get(task, "/items/train_b")["boxes"] != [BOX]

    @pytest.mark.parametrize(
        ("form", "code"),
        [
            ({"file": (io.BytesIO(b"no zip"), "x.zip")}, 400),
            ({}, 422),
            ({**zipped({"a.txt": ""}), "overwrite": "perhaps"}, 422),
            ({**zipped({"a.txt": ""}), "also": "1"}, 422),
            (zipped({"../a.txt": ""}), 400),
        ],
    )
    def test_refused(self, desk: Desk, form: dict[str, Any], code: int) -> None:
        _, task = labelled(desk.site.services.db, OWNER.user_id)
        desk.platform.detail("POST", f"/annotations/tasks/{task}/import", code, data=dict(form))


class TestProposals:
    """The job itself runs in tests/yolo; here its request, and what becomes of its results."""

    @pytest.fixture
    def models(self, desk: Desk) -> Callable[..., str]:
        def add(classes: list[str], owner: Actor = OWNER) -> str:
            services = desk.site.services
            with services.db.write() as connection:
                made = f"model_{len(yolo_models.names(connection))}"
                values = {
                    "id": made, "owner_id": owner.user_id, "team_id": None, "name": "m", "description": "", "tags": [],
                    "source": "uploaded", "file_size": 1, "classes": classes, "task": "detect", "job_id": None,
                    "dataset_id": None, "dataset_version": None, "base_model": None, "info": {"imgsz": 96},
                    "metrics": {}, "history": None, "created_at": 0.0, "updated_at": 0.0,
                }  # fmt: skip
                yolo_models.add(connection, values)
            weights = services.models.root / made / "weights" / "best.pt"
            weights.parent.mkdir(parents=True)
            weights.write_bytes(b"weights")
            return made

        return add

    def job(self, desk: Desk, job_id: str) -> Job:
        with desk.site.services.db.read() as connection:
            return job_store.get(connection, job_id)

    def settle(self, desk: Desk, job_id: str, rows: list[dict[str, Any]]) -> None:
        """As if the child had written these."""
        services = desk.site.services
        with services.db.read() as connection:
            output = Path(job_store.attempt(connection, job_store.get(connection, job_id)).output_dir)
        output.mkdir(parents=True, exist_ok=True)
        lines = [{"names": ["other", "a"]}, *rows]
        (output / "proposals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        Proposals(services.db)(self.job(desk, job_id))

    def test_kept_apart_until_somebody_saves(self, desk: Desk, models: Callable[..., str]) -> None:
        task, model = desk.task(unlabelled(3), classes=["a"]), models(["other", "a"])
        first, second, third = desk.items(task)
        desk.save(task, first["image_id"], [BOX])
        path = f"/annotations/tasks/{task}/prelabel"
        made = desk.platform.ok("POST", path, {"model_id": model, "conf": 0.4})
        assert (made["status"], made["total_items"], made["task_id"]) == ("running", 2, task)
        job = self.job(desk, made["job_id"])
        assert (job.dialect, job.engine, job.owner_id) == (YOLO_PLATFORM.name, "ultralytics", OWNER.user_id)
        params = job.spec.params
        assert (params["task"], params["conf"], params["imgsz"]) == ("prelabel", 0.4, 96)
        assert params["manifest"] == str(desk.place(task) / "manifest.jsonl")

        before = desk.labels(task)
        found = [[1, 0.9, 4.0, 5.0, 20.0, 64.0], [0, 0.8, 1, 1, 9, 9], [1, 0.7, 3.0, 3.0, 3.0, 9.0]]
        rows = [{"image": each["image_path"].split("/", 3)[3], "boxes": found} for each in (first, second, third)]
        for _ in range(2):
            self.settle(desk, made["job_id"], rows)
        shown = desk.get(task, f"/items/{second['image_id']}")
        assert shown["boxes"] == [] and shown["has_annotation"] is False and shown["proposed_by"] == model
        assert shown["proposals"] == [{"class_id": 0, "x1": 4.0, "y1": 5.0, "x2": 20.0, "y2": 48.0, "conf": 0.9}]
        assert desk.get(task, f"/items/{first['image_id']}")["proposals"] is None, "it has boxes"
        assert [item["has_proposals"] for item in desk.items(task)] == [False, True, True]
        assert desk.labels(task) == before and desk.get(task, "/export")["exported_count"] == 1

        accepted = [{name: value for name, value in shown["proposals"][0].items() if name != "conf"}]
        desk.save(task, second["image_id"], accepted, tag=desk.tag(task, second["image_id"]))
        shown = desk.get(task, f"/items/{second['image_id']}")
        assert (shown["boxes"], shown["proposals"], shown["proposed_by"]) == (accepted, None, None)
        dataset = f"/datasets/{desk.get(task)['dataset_id']}"
        assert f"job {job.id} uses" in desk.platform.detail("DELETE", dataset, 409)
        desk.site.services.jobs.stop(OWNER, job.id, force=False, wait=0)
        desk.platform.ok("DELETE", dataset)
        self.settle(desk, job.id, rows)

    def test_refused(self, desk: Desk, models: Callable[..., str]) -> None:
        task = desk.task(unlabelled(1), classes=["a"])
        path = f"/annotations/tasks/{task}/prelabel"
        good = models(["a"])
        assert "knows none of the classes" in desk.platform.detail("POST", path, 409, {"model_id": models(["b"])})
        desk.platform.detail("POST", path, 404, {"model_id": "model_none"})
        desk.platform.detail("POST", path, 403, {"model_id": models(["a"], MATE)})
        for more in ({"conf": 1.5}, {"conf": "0.5"}, {"imgsz": 1}, {"source": "/etc"}, {"device": "0,1"}, {"iou": -1}):
            told = desk.platform.detail("POST", path, 422, {"model_id": good, **more})
            assert told.startswith(next(iter(more))), told
        desk.save(task, desk.items(task)[0]["image_id"], [])
        assert "nothing to propose" in desk.platform.detail("POST", path, 409, {"model_id": good})


def test_a_mate_reads_and_does_not_annotate(desk: Desk) -> None:
    dataset, task = labelled(desk.site.services.db, OWNER.user_id, 77)
    path = f"/annotations/tasks/{task}"
    assert desk.platform.ok("GET", f"{path}/items/train_000000", who=MATE)["boxes"] == []
    assert dataset in {each["dataset_id"] for each in desk.platform.ok("GET", "/annotations/tasks", who=MATE)["tasks"]}
    desk.platform.detail("POST", f"{path}/items/train_000000", 403, {"boxes": []}, who=MATE)
    stranger = Actor(9004, "stranger", Role.MEMBER, scopes_of(Role.MEMBER))
    desk.platform.detail("GET", path, 403, who=stranger)
    assert desk.platform.ok("GET", "/annotations/tasks", who=stranger)["tasks"] == []
