"""Somebody's files become a dataset that can be trained on, and what does not is told."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.layouts import split_of, survey
from api.children.yolo_prepare.pictures import BadPicture, look
from api.children.yolo_prepare.prepare import Task, prepare
from api.children.yolo_prepare.sources import Source
from api.children.yolo_prepare.split import draw_val
from api.utils.yolo_labels import BadLabel, Label, box_label, parse
from tests.unit import yolo_sets as sets

Files = Mapping[str, bytes]
DOCTYPE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'


class Made:
    def __init__(self, target: Path, summary: dict[str, Any]) -> None:
        self.target, self.summary = target, summary
        self.manifest = [json.loads(line) for line in (target / "manifest.jsonl").read_text("utf-8").splitlines()]

    def names(self, kind: str, split: str) -> list[str]:
        return sorted(path.name for path in (self.target / kind / split).iterdir())

    def labels(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in (self.target / "labels").rglob("*.txt")}


def make(tmp_path: Path, files: Files, *, classes: list[str] | None = None, val: float = 0.2, seed: int = 0) -> Made:
    number = len(list(tmp_path.iterdir()))
    source = sets.write(tmp_path / f"source{number}", files)
    return run(tmp_path, source, classes=classes, val=val, seed=seed)


def run(tmp_path: Path, source: Path, classes: list[str] | None = None, val: float = 0.2, seed: int = 0) -> Made:
    target = tmp_path / f"target{len(list(tmp_path.iterdir()))}"
    target.mkdir()
    task = Task(source, target, "/final/v1", classes, val, seed, most_files=10_000)
    return Made(target, prepare(task))


class TestLayouts:
    @pytest.mark.parametrize(
        "place",
        [
            ("images/{split}/{n}.png", "labels/{split}/{n}.txt"),
            ("images/{split}/{n}.PNG", "labels/{split}/{n}.txt"),
            ("my set/images/{split}/{n}.png", "my set/labels/{split}/{n}.txt"),
            ("{split}/images/{n}.png", "{split}/labels/{n}.txt"),
            ("{split}/{n}.png", "{split}/{n}.txt"),
        ],
    )
    def test_a_split_of_its_own_is_kept(self, tmp_path: Path, place: tuple[str, str]) -> None:
        files = {}
        for n, split in enumerate(["train", "train", "val", "test"]):
            files[place[0].format(split=split, n=n)] = sets.picture(n)
            files[place[1].format(split=split, n=n)] = sets.LABEL.encode()
        made = make(tmp_path, files)
        assert [made.summary[f"{split}_count"] for split in ("train", "val", "test")] == [2, 1, 1]
        assert (made.summary["split"], made.summary["layout"]) == ("kept", "yolo")
        assert made.names("images", "val") == ["2.png"] and made.names("labels", "val") == ["2.txt"]
        assert made.summary["label_count"] == 4 and made.summary["issues"] == []
        assert yaml.safe_load((made.target / "data.yaml").read_text())["test"] == "images/test"

    @pytest.mark.parametrize("below", ["", "shapes/"])
    def test_flat(self, tmp_path: Path, below: str) -> None:
        made = make(tmp_path, sets.flat(10, below=below))
        assert (made.summary["train_count"], made.summary["val_count"], made.summary["split"]) == (8, 2, "made")
        assert made.summary["classes"] == ["class_0"] and made.summary["class_counts"] == {"class_0": 10}

    def test_side_by_side_at_the_root(self, tmp_path: Path) -> None:
        files = {f"{n}.png": sets.picture(n) for n in range(5)} | {f"{n}.txt": b"1 .5 .5 .1 .1" for n in range(5)}
        made = make(tmp_path, {**files, "classes.txt": "cat\n\n狗\n".encode(), "README.txt": b"hello"})
        assert made.summary["classes"] == ["cat", "狗"] and made.summary["class_counts"] == {"cat": 0, "狗": 5}
        assert made.summary["issues"] == []
        assert yaml.safe_load((made.target / "data.yaml").read_text("utf-8"))["names"] == {0: "cat", 1: "狗"}

    def test_only_one_split_is_none(self, tmp_path: Path) -> None:
        files = {f"images/train/{n}.png": sets.picture(n) for n in range(5)}
        made = make(tmp_path, files)
        assert (made.summary["train_count"], made.summary["val_count"]) == (4, 1)
        assert made.summary["layout"] == "images" and made.summary["label_count"] == 0

    def test_two_images_of_one_name_keep_their_own_labels(self, tmp_path: Path) -> None:
        files = {"images/a/x.png": sets.picture(1), "images/b/x.png": sets.picture(2), "images/c.png": sets.picture(3)}
        files |= {"labels/a/x.txt": b"0 .5 .5 .1 .1\n", "labels/b/x.txt": b"1 .5 .5 .2 .2\n"}
        made = make(tmp_path, files)
        assert {line["source"] for line in made.manifest} == {name for name in files if name.endswith("png")}
        for line in made.manifest[:2]:
            text = (made.target / line["image"].replace("images", "labels")).with_suffix(".txt").read_text()
            assert text.startswith("0" if "/a/" in line["source"] else "1")

    def test_folders_that_the_yaml_names(self, tmp_path: Path) -> None:
        files = {f"{place}/{n}.png": sets.picture(n) for n, place in enumerate(["one", "one", "two"])}
        made = make(tmp_path, {**files, "data.yaml": b"train: ../one\nval: [./two]\ntest: /etc\nnames: {0: a}\n"})
        assert (made.summary["train_count"], made.summary["val_count"], made.summary["split"]) == (2, 1, "kept")

    def test_what_a_mac_leaves_is_not_seen(self, tmp_path: Path) -> None:
        made = make(tmp_path, {**sets.flat(3), "__MACOSX/images/._000.png": b"x", "images/.DS_Store": b"x"})
        assert made.summary["image_count"] == 3 and made.summary["issues"] == []

    @given(st.lists(st.text("abtrainvl/.txtpng", min_size=1, max_size=30), max_size=20))
    def test_any_names(self, names: list[str]) -> None:
        layout = survey([name.strip("/") or "x" for name in names], {})
        assert set(layout.labels) <= set(layout.splits) and not set(layout.strays) & set(layout.labels.values())

    @pytest.mark.parametrize(
        "name,split",
        [
            ("a/train2017/x.png", "train"),
            ("VALID/x.png", "val"),
            ("train/val/x.png", "val"),
            ("training-set/x.png", None),
        ],
    )
    def test_words(self, name: str, split: str | None) -> None:
        assert split_of(name, {}) == split


class TestLabels:
    @pytest.mark.parametrize(
        "line,says",
        [
            ("0 .5 .5 .1", "4 columns"), ("0 .5 .5 .1 .1 .9", "6 columns"), ("x .5 .5 .1 .1", "numbers"),
            ("0 .5 nan .1 .1", "finite"), ("0 1e999 .5 .1 .1", "finite"), ("2 .5 .5 .1 .1", "class 2"),
            ("-1 .5 .5 .1 .1", "class"), ("0.5 .5 .5 .1 .1", "whole number"), ("0 1.5 .5 .1 .1", "between 0 and 1"),
            ("0 .5 .5 0 .1", "without a size"), ("0 32 24 16 16", "between 0 and 1"),
        ],
    )  # fmt: skip
    def test_bad_lines(self, line: str, says: str) -> None:
        with pytest.raises(BadLabel, match=f"line 2: .*{says}"):
            parse(f"0 .5 .5 .1 .1\n{line}\n", 2)

    def test_polygons_and_spare_space(self) -> None:
        assert parse("\n 1.0  0 0 1 0 1.0005 1 \r\n", 2) == (Label(1, (0, 0, 1, 0, 1, 1)),)

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        try:
            assert all(0 <= number <= 1 for label in parse(text) for number in label.numbers)
        except BadLabel as problem:
            assert str(problem)

    @given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4))
    def test_any_corners(self, box: tuple[float, float, float, float]) -> None:
        try:
            label = box_label(0, box, sets.SIZE)
        except BadLabel:
            return
        assert parse(label.line() + "\n")[0].index == 0, "what is written can be read"

    def test_bad_files_are_told_and_left_out(self, tmp_path: Path) -> None:
        files = dict(sets.flat(10)) | {
            "labels/001.txt": b"0 .5 .5 .1\n", "labels/002.txt": b"9 .5 .5 .1 .1\n", "labels/003.txt": b"",
            "labels/lost.txt": b"0 .5 .5 .1 .1\n", "images/004.png": b"no image", "data.yaml": b"names: [a]",
        }  # fmt: skip
        made = make(tmp_path, files)
        assert made.summary["image_count"] == 7 and made.summary["empty_count"] == 1
        assert {issue["file"] for issue in made.summary["issues"]} == {
            "labels/001.txt", "labels/002.txt", "labels/lost.txt", "images/004.png",
        }  # fmt: skip
        assert made.summary["issue_counts"] == {"image": 1, "label": 2, "label_without_image": 1}
        assert "001" not in made.labels() and made.labels()["003"] == ""

    def test_many_bad_files_do_not_hide_the_others(self, tmp_path: Path) -> None:
        files = dict(sets.flat(120, "bad\n")) | sets.flat(1, below="ok/") | {"zz.png": b"x"}
        summary = make(tmp_path, files).summary
        assert summary["issue_counts"] == {"image": 1, "label": 120} and len(summary["issues"]) == 41


class TestClasses:
    def test_those_of_the_request_win(self, tmp_path: Path) -> None:
        made = make(tmp_path, {**sets.flat(4), "data.yaml": b"names: [a]"}, classes=["person", "car"])
        assert made.summary["classes"] == ["person", "car"]

    @pytest.mark.parametrize(
        "name,text,classes",
        [
            ("data.yaml", "names: [a, b]", ["a", "b"]), ("dataset.yaml", "names: {1: b, 0: a}", ["a", "b"]),
            ("deep/config.yaml", "names: [a]", ["a"]), ("data.yaml", "names: {0: a, 2: c}", ["class_0"]),
            ("data.yaml", "names: [a, [b]]", ["class_0"]), ("data.yaml", "nc: 3", ["class_0"]),
            ("data.yaml", "a: [", ["class_0"]), ("data.yaml", "- a", ["class_0"]),
            ("data.yaml", "!!python/object/apply:os.system ['touch /tmp/pwned-yolo']", ["class_0"]),
        ],
    )  # fmt: skip
    def test_of_a_yaml(self, tmp_path: Path, name: str, text: str, classes: list[str]) -> None:
        assert make(tmp_path, {**sets.flat(3), name: text.encode()}).summary["classes"] == classes
        assert not Path("/tmp/pwned-yolo").exists()

    def test_nothing_else_of_a_strangers_yaml_survives(self, tmp_path: Path) -> None:
        """A22: its `download` is a program, its `path` the whole machine."""
        evil = b"path: /\ndownload: \"bash -c 'touch /tmp/pwned-yolo'\"\ntrain: /etc\nval: ../../..\nnc: 9\nnames: ['a: b']\n"
        made = make(tmp_path, {**sets.flat(5), "data.yaml": evil})
        for name, path in (("data.yaml", "/final/v1"), ("portable.yaml", ".")):
            assert yaml.safe_load((made.target / name).read_text()) == {
                "path": path, "train": "images/train", "val": "images/val", "nc": 1, "names": {0: "a: b"},
            }  # fmt: skip

    def test_aliases_that_multiply(self, tmp_path: Path) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
        made = make(tmp_path, {**sets.flat(3), "data.yaml": "\n".join([*lines, "names: *a11"]).encode()})
        assert made.summary["classes"] == ["class_0"]

    def test_any_space_may_be_in_one(self, tmp_path: Path) -> None:
        names = ["移动\u3000电话", "cell\u00a0phone", "👩\u200d🚀"]
        text = yaml.safe_dump({"names": names}, allow_unicode=True).encode()
        made = make(tmp_path, {**sets.flat(2), "data.yaml": text})
        assert made.summary["classes"] == names
        assert list(yaml.safe_load((made.target / "data.yaml").read_text())["names"].values()) == names

    @pytest.mark.parametrize("names", [["a", "a"], ["x" * 201], ["a\nb"], [""]])
    def test_names_that_cannot_be(self, tmp_path: Path, names: list[str]) -> None:
        with pytest.raises(Unusable):
            make(tmp_path, {**sets.flat(2), "data.yaml": yaml.safe_dump({"names": names}).encode()})


class TestSplit:
    @given(
        st.dictionaries(st.text(min_size=1), st.integers(1, 4), min_size=1, max_size=60),
        st.floats(0.01, 0.99), st.integers(0, 9),
    )  # fmt: skip
    def test_what_is_drawn(self, sizes: dict[str, int], part: float, seed: int) -> None:
        groups = {key: [f"{key}/{n}" for n in range(count)] for key, count in sizes.items()}
        val = draw_val(groups, part, seed)
        assert val == draw_val(dict(reversed(groups.items())), part, seed)
        for names in groups.values():
            assert len(val & set(names)) in (0, len(names)), "copies stay together"
        total = sum(sizes.values())
        assert len(val) <= max(1, round(total * part)) and (total == 1 or len(val) < total)
        if set(sizes.values()) == {1} and total > 1:
            assert len(val) == min(max(round(total * part), 1), total - 1)

    def test_the_seed_decides(self, tmp_path: Path) -> None:
        files = sets.flat(20)
        first, again, other = (make(tmp_path, files, seed=seed).names("images", "val") for seed in (1, 1, 2))
        assert first == again != other and len(first) == 4

    def test_copies_are_told_and_never_on_both_sides(self, tmp_path: Path) -> None:
        files = dict(sets.flat(6)) | {f"images/copy{n}.png": sets.picture(n) for n in range(6)}
        summary = make(tmp_path, files, val=0.5).summary
        assert (summary["duplicate_count"], summary["leak_count"], len(summary["duplicates"])) == (6, 0, 6)
        split = {f"images/{split}/{n}.png": sets.picture(n) for n in range(2) for split in ("train", "val")}
        assert make(tmp_path, split).summary["leak_count"] == 2


class TestCoco:
    def test_boxes_categories_and_what_was_dropped(self, tmp_path: Path) -> None:
        made = make(tmp_path, sets.coco())
        assert made.summary["classes"] == ["cat", "dog"] and made.summary["layout"] == "coco"
        assert made.summary["category_map"] == {"3": {"index": 0, "name": "cat"}, "7": {"index": 1, "name": "dog"}}
        assert made.labels()["1"] == "1 0.500000 0.500000 0.500000 0.500000\n"
        assert made.summary["dropped"] == {
            "crowds": 1, "annotations of missing images": 1, "segmentation (the box was kept)": 1,
        }  # fmt: skip
        assert made.summary["issue_counts"] == {"missing_image": 1}
        assert made.labels()["0"].count("\n") == 2

    def test_classes_by_name(self, tmp_path: Path) -> None:
        made = make(tmp_path, sets.coco(), classes=["dog"])
        assert made.summary["class_counts"] == {"dog": 2} and made.labels()["0"] == ""
        assert made.summary["dropped"]["annotations of other classes"] == 3

    def test_splits_by_the_names_of_the_files(self, tmp_path: Path) -> None:
        whole = sets.coco()
        text = whole.pop("annotations/instances_all.json")
        document = json.loads(text)
        for split, ids in (("train", {0, 1, 2}), ("val", {3})):
            part = {**document, "images": [row for row in document["images"] if row["id"] in ids]}
            whole[f"annotations/instances_{split}2017.json"] = json.dumps(part).encode()
        made = make(tmp_path, whole)
        assert (made.summary["train_count"], made.summary["val_count"], made.summary["split"]) == (3, 1, "kept")

    @pytest.mark.parametrize("written", [float, str])
    def test_ids_that_a_table_has_made_fractions_or_texts_of(self, tmp_path: Path, written: type) -> None:
        files = sets.coco()
        document = json.loads(files["annotations/instances_all.json"])
        for row in (*document["images"], *document["annotations"], *document["categories"]):
            row |= {key: written(row[key]) for key in ("id", "image_id", "category_id") if key in row}
        made = make(tmp_path, files | {"annotations/instances_all.json": json.dumps(document).encode()})
        whole = make(tmp_path, sets.coco())
        assert made.labels() == whole.labels() and made.summary == whole.summary

    def test_what_has_no_id_has_no_boxes(self, tmp_path: Path) -> None:
        images = [{"file_name": "0.png"}, {"file_name": "1.png"}, {"id": 2, "file_name": "2.png"}]
        boxes = [
            {"category_id": 1, "bbox": [1, 1, 5, 5]},
            {"image_id": 2, "category_id": 1, "bbox": [1, 1, 10**400, 5]},
        ]
        made = make(tmp_path, self.files(images, boxes))
        assert made.labels() == {"2": ""} and made.summary["issue_counts"] == {"annotation": 2}
        assert made.summary["dropped"] == {"annotations of missing images": 1, "annotations without a box": 1}

    def test_one_id_of_two_images(self, tmp_path: Path) -> None:
        with pytest.raises(Unusable, match=r"0.png and images/1.png have one id, 1"):
            make(tmp_path, self.files([{"id": 1, "file_name": f"{n}.png"} for n in range(2)], []))

    @pytest.mark.parametrize(
        ("content", "says"),
        [(b'{"images": [', "is not read: "), (b'{"images": [], "annotations": []}', "no categories")],
    )
    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path, content: bytes, says: str) -> None:
        summary = make(tmp_path, {"0.png": sets.picture(), "all.json": content}).summary
        assert summary["issue_counts"] == {"annotation": 1} and says in summary["issues"][0]["problem"]

    def test_one_name_in_two_splits(self, tmp_path: Path) -> None:
        files = {}
        for split in ("train", "valid"):
            images = self.files(
                [{"id": 1, "file_name": "0.png"}], [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}]
            )
            files[f"{split}/0.png"] = sets.picture(len(files))
            files[f"{split}/_annotations.coco.json"] = images["annotations/all.json"]
        summary = make(tmp_path, files).summary
        assert (summary["train_count"], summary["val_count"], summary["box_count"]) == (1, 1, 2)
        assert summary["split"] == "kept" and summary["issues"] == []

    def test_names_as_a_mac_writes_them(self, tmp_path: Path) -> None:
        files = self.files(
            [{"id": 1, "file_name": "\u00e9.png"}], [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}]
        )
        made = make(tmp_path, {"images/e\u0301.png": sets.picture(), **files})
        assert made.summary["box_count"] == 1 and made.summary["issues"] == []

    @staticmethod
    def files(images: list[Any], boxes: list[Any]) -> dict[str, bytes]:
        document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
        pictures = {f"images/{n}.png": sets.picture(n) for n in range(3)}
        return pictures | {"annotations/all.json": json.dumps(document).encode()}

    def test_an_image_of_another_size_is_left_out(self, tmp_path: Path) -> None:
        files = sets.coco()
        files["images/2.png"] = sets.picture(2, (100, 100))
        summary = make(tmp_path, files).summary
        assert summary["image_count"] == 3 and "64 x 48" in str(summary["issues"])

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), lambda each: st.lists(each, max_size=4) | st.dictionaries(st.sampled_from(["id", "bbox", "image_id", "category_id", "file_name"]), each, max_size=5), max_leaves=12))  # fmt: skip
    def test_any_rows(self, row: Any) -> None:
        from api.children.yolo_prepare.boxes import Boxes, ImageFinder
        from api.children.yolo_prepare.coco import _take

        document = {"images": [row, {"id": 1, "file_name": "x.png"}], "annotations": [row], "categories": []}
        boxes = Boxes(["a"], {})
        _take("f", document, {1: 0}, ImageFinder(["x.png"]), boxes, Findings())
        assert set(boxes.by_image) <= {"x.png"}


class TestVoc:
    def test_boxes_and_splits(self, tmp_path: Path) -> None:
        made = make(tmp_path, sets.voc())
        assert made.summary["classes"] == ["cat", "dog"] and made.summary["layout"] == "voc"
        assert (made.summary["train_count"], made.summary["val_count"], made.summary["split"]) == (3, 1, "kept")
        assert made.labels()["0"] == "0 0.500000 0.500000 0.500000 0.500000\n"

    def test_classes_by_name(self, tmp_path: Path) -> None:
        made = make(tmp_path, sets.voc(), classes=["dog"])
        assert made.summary["dropped"] == {"objects of other classes": 2}

    @pytest.mark.parametrize(
        "page",
        [
            b"<annotation><object></annotation>", b"<annotation><object><name>a</name></object></annotation>",
            DOCTYPE.encode(), DOCTYPE.encode("utf-16"), b"\0\0",
        ],
    )  # fmt: skip
    def test_bad_pages_are_told_and_their_images_left_out(self, tmp_path: Path, page: bytes) -> None:
        made = make(tmp_path, {**sets.voc(), "Annotations/1.xml": page})
        assert made.summary["issue_counts"] in ({"annotation": 1, "label": 1}, {"label": 1})
        assert all("1" in issue["file"] for issue in made.summary["issues"])
        assert "images/train/1.png" not in {line["image"] for line in made.manifest} and len(made.manifest) == 3

    def test_one_name_in_two_folders(self, tmp_path: Path) -> None:
        """A page is of the image beside it, not of the last that is called so."""
        thing = "<object><name>{}</name><bndbox><xmin>17</xmin><ymin>13</ymin><xmax>48</xmax><ymax>36</ymax></bndbox></object>"
        pages = {"one": "cat", "two": "dog", "train": "cat", "val": "dog"}
        for told in ("<filename>1.png</filename>", ""):
            files = {f"{folder}/1.png": sets.picture(n) for n, folder in enumerate(pages)}
            for folder, name in pages.items():
                files[f"{folder}/1.xml"] = f"<annotation>{told}{thing.format(name)}</annotation>".encode()
            made = make(tmp_path, files)
            found = {
                line["source"]: (made.target / line["image"].replace("images", "labels", 1)) for line in made.manifest
            }
            labels = {source: path.with_suffix(".txt").read_text()[0] for source, path in found.items()}
            assert labels == {"one/1.png": "0", "two/1.png": "1", "train/1.png": "0", "val/1.png": "1"}

    def test_a_document_type_is_refused_in_any_encoding(self, tmp_path: Path) -> None:
        for encoding in ("utf-8", "utf-16"):
            files = {"1.png": sets.picture(), "1.xml": DOCTYPE.encode(encoding)}
            with pytest.raises(Unusable, match="document type"):
                make(tmp_path, files)


class TestPictures:
    @staticmethod
    def seen(tmp_path: Path, content: bytes) -> Any:
        (tmp_path / "x.png").write_bytes(content)
        return look(Source(tmp_path, 10), "x.png")

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
    def test_kinds(self, tmp_path: Path, form: str) -> None:
        found = self.seen(tmp_path, sets.picture(3, (900, 600), form))
        assert found.size == (900, 600)
        with Image.open(io.BytesIO(found.thumbnail)) as small:
            assert (small.format, max(small.size)) == ("JPEG", 320)

    def test_one_that_is_turned(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        made = io.BytesIO()
        Image.new("RGB", (400, 300)).save(made, "JPEG", exif=exif)
        found = self.seen(tmp_path, made.getvalue())
        with Image.open(io.BytesIO(found.thumbnail)) as small:
            assert found.size == (300, 400) and small.width < small.height

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", sets.picture(1)[:90],
            sets.picture(1, (400, 400), "JPEG")[:-400], sets.picture(1, (4, 4)), sets.picture(1, (64, 64), "GIF"),
            b"8BPS" + bytes(60), b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
        ],
    )  # fmt: skip
    def test_what_is_none(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BadPicture) as told:
            self.seen(tmp_path, content)
        assert "object at 0x" not in str(told.value)

    def test_what_is_no_image_is_said_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(BadPicture, match=r"^is no image: neither JPEG, PNG, BMP, WEBP nor TIFF$"):
            self.seen(tmp_path, b"no image")

    def test_a_bomb_is_not_decoded(self, tmp_path: Path) -> None:
        """A24: a small file of 900 million pixels."""
        made = io.BytesIO()
        Image.new("1", (30_000, 30_000)).save(made, "PNG")
        assert len(made.getvalue()) < 200_000
        with pytest.raises(BadPicture, match="at most 100000000"):
            self.seen(tmp_path, made.getvalue())


class TestSources:
    def test_any_space_may_be_in_a_name(self, tmp_path: Path) -> None:
        names = ["at 10.00.00\u202fAM", "全角\u3000空格", "👩\u200d🚀", "a\u00a0b"]
        files = {f"images/{name}.png": sets.picture(n) for n, name in enumerate(names)}
        made = make(tmp_path, files | {f"labels/{name}.txt": sets.LABEL.encode() for name in names})
        assert set(made.labels()) == set(names) and made.summary["issues"] == []

    def test_what_is_passed_over_for_its_name_is_told(self, tmp_path: Path) -> None:
        source = sets.write(tmp_path / "s", sets.flat(3))
        (source / "images" / "a\nb.png").write_bytes(sets.picture())
        os.mkdir(os.fsencode(source) + b"/\xff")
        summary = run(tmp_path, source).summary
        assert summary["issue_counts"] == {"name": 2} and summary["image_count"] == 3
        assert {issue["file"] for issue in summary["issues"]} == {"images/a\\nb.png", "\\udcff"}

    def test_links_and_devices_are_not_seen(self, tmp_path: Path) -> None:
        source = sets.write(tmp_path / "s", sets.flat(3))
        secret = tmp_path / "secret.png"
        secret.write_bytes(sets.picture(200))
        (source / "images" / "link.png").symlink_to(secret)
        (source / "more").symlink_to(tmp_path)
        os.mkfifo(source / "images" / "pipe.png")
        assert run(tmp_path, source).summary["image_count"] == 3

    def test_images_are_shared_not_copied(self, tmp_path: Path) -> None:
        made = make(tmp_path, sets.flat(2))
        assert {path.stat().st_nlink for path in (made.target / "images").rglob("*.png")} == {2}

    def test_too_many(self, tmp_path: Path) -> None:
        sets.write(tmp_path, sets.flat(3))
        with pytest.raises(Unusable, match="more than 5 files"):
            Source(tmp_path, 5)

    def test_nothing_to_train_on(self, tmp_path: Path) -> None:
        with pytest.raises(Unusable, match="no image"):
            make(tmp_path, {"a.txt": b"x"})
        with pytest.raises(Unusable, match=re.escape("x.png")):
            make(tmp_path, {"x.png": b"x"})
