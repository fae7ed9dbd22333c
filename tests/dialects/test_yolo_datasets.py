"""Datasets of the YOLO platform: every example of its document, bare and enveloped, and what is done to them."""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from werkzeug.test import TestResponse

from api.models.accounts import Actor, Role, scopes_of
from api.models.dialect import JOBS, TRAINING_V1, YOLO_PLATFORM, YOLO_PLATFORM_V1, dialect_of
from api.services.executors.short import Ended
from api.services.yolo_prepare import Preparer
from tests.dialects.conftest import Site, envelope, strict
from tests.unit import yolo_sets as sets

BARE, V1 = "", "/api/v1"
OWNER = Actor(9001, "owner", Role.MEMBER, scopes_of(Role.MEMBER))
STRANGER = Actor(9002, "stranger", Role.MEMBER, scopes_of(Role.MEMBER))
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Platform:
    """Calls at one of the two renderings; `detail` is the text of an error in either."""

    def __init__(self, site: Site, twin: str) -> None:
        self.site, self.twin = site, twin
        self.root = site.services.settings.data_dir / "datasets"

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        more.setdefault("who", OWNER)
        return self.site.call(method, self.twin + path, body, **more)

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = self.call(method, path, body, **more)
        assert response.status_code == 200, response.text
        return envelope(response)["data"] if self.twin else strict(response.data)

    def detail(self, method: str, path: str, code: int, body: Any = None, **more: Any) -> str:
        response = self.call(method, path, body, **more)
        assert response.status_code == code, response.text
        told = envelope(response)["message"] if self.twin else strict(response.data)
        if not self.twin:
            assert set(told) == {"detail"}
            told = told["detail"]
        return str(told)

    def send(self, content: bytes, name: str = "your_dataset.zip", **form: str) -> dict[str, Any]:
        return {"data": {"file": (io.BytesIO(content), name), **form}}

    def upload(self, files: dict[str, bytes] | None = None, **more: Any) -> str:
        return str(
            self.ok("POST", "/datasets/upload", **self.send(sets.packed(files or sets.flat())), **more)["dataset_id"]
        )

    def prepared(self, files: dict[str, bytes] | None = None) -> str:
        made = self.upload(files)
        self.ok("POST", f"/datasets/{made}/prepare", {})
        return made

    def kept(self) -> set[str]:
        return (
            {path.name for path in self.root.iterdir() if path.name.startswith("ds_")} if self.root.exists() else set()
        )

    def drafts(self) -> list[Path]:
        place = self.root / ".yolo-drafts"
        return list(place.iterdir()) if place.exists() else []


@pytest.fixture(params=[BARE, V1], ids=["bare", "enveloped"])
def platform(site: Site, request: pytest.FixtureRequest) -> Iterator[Platform]:
    made = Platform(site, request.param)
    yield made
    assert made.drafts() == []


@pytest.fixture
def bare(site: Site) -> Platform:
    return Platform(site, BARE)


class TestTheDocument:
    """Its requests as they stand there; each field of its answers with its type."""

    ITEM = {"dataset_id": str, "filename": str, "size": int, "status": str, "created_at": str, "versions": list}  # noqa: RUF012

    @staticmethod
    def has(answer: dict[str, Any], **types: type) -> None:
        for name, kind in types.items():
            assert type(answer[name]) is kind, name

    def test_from_upload_to_deletion(self, platform: Platform) -> None:
        content = sets.packed({**sets.flat(10), "data.yaml": b"names: [person]"})
        upload = platform.ok("POST", "/datasets/upload", **platform.send(content))
        self.has(upload, dataset_id=str, filename=str, size=int, created_at=str, status=str)
        assert (upload["filename"], upload["size"], upload["status"]) == ("your_dataset.zip", len(content), "uploaded")
        assert re.fullmatch(r"ds_\d{8}_\d{6}_[0-9a-f]{8}", upload["dataset_id"]) and ISO.fullmatch(upload["created_at"])
        assert upload["uploaded_at"] == upload["created_at"]
        assert (upload["image_count"], upload["label_count"]) == (10, 10)
        one = f"/datasets/{upload['dataset_id']}"

        body = {"split_ratio": {"train": 0.8, "val": 0.2}, "classes": ["person", "car", "dog"]}
        prepared = platform.ok("POST", f"{one}/prepare", body)
        self.has(
            prepared,
            dataset_id=str,
            version=str,
            status=str,
            classes=list,
            train_count=int,
            val_count=int,
            data_yaml=str,
        )
        assert (prepared["version"], prepared["status"], prepared["classes"]) == (
            "v1",
            "prepared",
            ["person", "car", "dog"],
        )
        assert (prepared["train_count"], prepared["val_count"], prepared["issues"]) == (8, 2, [])
        assert prepared["data_yaml"] == str(platform.root / upload["dataset_id"] / "v1" / "data.yaml")
        document = yaml.safe_load(Path(prepared["data_yaml"]).read_text())
        assert document["path"] == str(platform.root / upload["dataset_id"] / "v1") and document["nc"] == 3
        assert len(list(Path(document["path"], document["train"]).iterdir())) == 8

        (listed,) = [d for d in platform.ok("GET", "/datasets")["datasets"] if d["dataset_id"] == upload["dataset_id"]]
        self.has(listed, **self.ITEM)
        assert (listed["status"], listed["versions"]) == ("prepared", ["v1"])

        detail = platform.ok("GET", one)
        self.has(detail, **self.ITEM, description=str, tags=list, classes=list, class_counts=dict, sample_images=list)
        assert (detail["train_count"], detail["val_count"]) == (8, 2)
        assert detail["class_counts"] == {"person": 10, "car": 0, "dog": 0}

        change = {"description": "这是一个目标检测数据集", "tags": ["person", "car", "detection"]}
        changed = platform.ok("PUT", one, change)
        assert {name: changed[name] for name in change} == change and changed == platform.ok("GET", one)
        assert platform.ok("PUT", one, {"tags": []})["description"] == change["description"]

        assert platform.ok("DELETE", one) == {"ok": True, "message": "Dataset deleted successfully"}
        platform.detail("GET", one, 404)
        assert upload["dataset_id"] not in platform.kept()

    def test_before_it_is_prepared(self, platform: Platform) -> None:
        detail = platform.ok("GET", f"/datasets/{platform.upload()}")
        assert (detail["status"], detail["versions"], detail["train_count"]) == ("uploaded", [], None)
        assert (detail["description"], detail["tags"], detail["sample_images"]) == ("", [], [])

    @pytest.mark.parametrize("kind,folders", [("annotated", {"images", "labels"}), ("original", {"images"})])
    def test_exports(self, platform: Platform, kind: str, folders: set[str]) -> None:
        made = platform.prepared({**sets.flat(10), "data.yaml": b"names: [person]\ndownload: evil"})
        response = platform.call("GET", f"/datasets/{made}/export/{kind}?version=v1")
        assert (
            response.mimetype == "application/zip"
            and f"{made}_v1_{kind}.zip" in response.headers["Content-Disposition"]
        )
        with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            document = yaml.safe_load(archive.read("data.yaml"))
            place = platform.root / made / "v1"
            assert all(archive.read(name) == (place / name).read_bytes() for name in names if name != "data.yaml")
        assert {name.partition("/")[0] for name in names} == folders | {"data.yaml"}
        assert len(names) == 1 + 10 * len(folders) and "images/val" in {str(Path(name).parent) for name in names}
        assert document == {"path": ".", "train": "images/train", "val": "images/val", "nc": 1, "names": {0: "person"}}
        if kind == "annotated":  # and back again
            again = platform.ok("POST", "/datasets/upload", **platform.send(response.data))["dataset_id"]
            told = platform.ok("POST", f"/datasets/{again}/prepare", {})
            assert (told["train_count"], told["val_count"], told["report"]["split"]) == (8, 2, "kept")

    def test_exports_of_what_is_not_there(self, platform: Platform) -> None:
        made = platform.upload()
        for kind in ("annotated", "original"):
            assert "not prepared" in platform.detail("GET", f"/datasets/{made}/export/{kind}", 409)
        platform.ok("POST", f"/datasets/{made}/prepare", {})
        for version in ("v2", "v01", "../v1", "v1/.."):
            platform.detail("GET", f"/datasets/{made}/export/annotated", 404, query_string={"version": version})


class TestUpload:
    @pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4", sets.packed(sets.flat(2))[:-30]])
    def test_no_zip(self, platform: Platform, content: bytes) -> None:
        before = platform.kept()
        assert "file: the archive" in platform.detail("POST", "/datasets/upload", 400, **platform.send(content))
        assert platform.kept() == before

    @staticmethod
    def odd(make: Callable[[zipfile.ZipFile], None]) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images/0.png", sets.picture(0))
            make(archive)
        return made.getvalue()

    @pytest.mark.parametrize(
        "name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:evil.png"]
    )
    def test_names_that_leave(self, bare: Platform, name: str) -> None:
        """A18."""
        before = bare.kept()
        content = self.odd(lambda archive: archive.writestr(name, b"x"))
        assert "evil.png" in bare.detail("POST", "/datasets/upload", 400, **bare.send(content))
        assert bare.kept() == before and bare.drafts() == [] and not list(bare.site.home.rglob("*evil*"))

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
    def test_what_is_no_file(self, bare: Platform, kind: int) -> None:
        """A19."""
        info = zipfile.ZipInfo("images/odd.png")
        info.external_attr = (kind | 0o777) << 16
        content = self.odd(lambda archive: archive.writestr(info, "/etc/passwd"))
        assert "odd.png" in bare.detail("POST", "/datasets/upload", 400, **bare.send(content))

    def test_a_bomb(self, bare: Platform) -> None:
        """A20: one file of more than 10 MB that unpacks to over two hundred times its size."""
        content = self.odd(lambda archive: archive.writestr("images/bomb.bmp", bytes(30_000_000)))
        told = bare.detail("POST", "/datasets/upload", 400, **bare.send(content))
        assert "bomb.bmp" in told and "bomb" in told

    @pytest.mark.parametrize(
        "names", [("images/a.png", "images/A.png"), ("images", "images/a.png"), ("x" * 256 + ".png",)]
    )
    def test_names_that_clash(self, bare: Platform, names: tuple[str, ...]) -> None:
        """A21."""

        def make(archive: zipfile.ZipFile) -> None:
            for name in names:
                archive.writestr(name, b"x")

        bare.detail("POST", "/datasets/upload", 400, **bare.send(self.odd(make)))

    def test_damage_that_only_unpacking_shows(self, bare: Platform) -> None:
        before = bare.kept()
        files = sets.flat(3) | {"images/big.bmp": bytes(range(256)) * 400}
        content = bytearray(sets.packed(files))
        at = content.index(b"images/big.bmp") + len("images/big.bmp") + 40
        content[at : at + 8] = b"\xff" * 8
        assert "big.bmp" in bare.detail("POST", "/datasets/upload", 400, **bare.send(bytes(content)))
        assert bare.kept() == before and bare.drafts() == []

    @pytest.mark.parametrize(
        "data,field",
        [({}, "file"), ({"other": "x"}, "other"), ({"file": "text"}, "file"), ({"x": (io.BytesIO(b"x"), "x")}, "x")],
    )
    def test_fields(self, bare: Platform, data: dict[str, Any], field: str) -> None:
        assert bare.detail("POST", "/datasets/upload", 422, data=data).startswith(field)
        assert bare.detail("POST", "/datasets/upload", 422, {}).startswith("file")

    def test_workspaces(self, bare: Platform) -> None:
        content = sets.packed(sets.flat(2))
        for team, code in (("x", 422), ("0", 422), ("999999", 403)):
            bare.detail("POST", "/datasets/upload", code, **bare.send(content, workspace_id=team))

    @pytest.mark.parametrize("name", ["../../etc/passwd.zip", "a\x7fb.zip", "", "数据集.zip", "x" * 300 + ".zip"])
    def test_names_of_uploads(self, bare: Platform, name: str) -> None:
        shown = bare.ok("POST", "/datasets/upload", **bare.send(sets.packed(sets.flat(2)), name or "x.zip"))["filename"]
        assert "/" not in shown and shown.isprintable() and len(shown) <= 255 and shown.endswith(".zip")

    def test_fifty_at_once_have_fifty_ids(self, bare: Platform) -> None:
        """F39."""
        content = sets.packed(sets.flat(1))

        def one(_: int) -> str:
            made = bare.site.services.yolo.upload(OWNER, "x.zip", io.BytesIO(content), len(content))
            return made.id

        with ThreadPoolExecutor(10) as pool:
            made = set(pool.map(one, range(50)))
        assert len(made) == 50 and made <= bare.kept()


class TestRegister:
    def test_a_directory_that_is_there(self, platform: Platform) -> None:
        place = platform.site.home / "workspace" / f"shapes{platform.twin.replace('/', '')}"
        before = sets.write(place, sets.flat(10))
        made = platform.ok("POST", "/datasets/register", {"path": str(place)})
        assert (made["filename"], made["image_count"], made["status"]) == (place.name, 10, "uploaded")
        one = f"/datasets/{made['dataset_id']}"
        told = platform.ok("POST", f"{one}/prepare", {})
        assert told["train_count"] == 8 and Path(told["data_yaml"]).is_relative_to(platform.root)
        assert platform.ok("GET", one)["path"] == str(place)
        platform.ok("DELETE", one)
        assert {str(path.relative_to(before)) for path in before.rglob("*.*")} == set(sets.flat(10))

    @pytest.mark.parametrize(
        "path,code", [("/etc", 403), ("relative", 422), ("/", 403), ("a\0b", 422), ("", 422), (7, 422)]
    )
    def test_others(self, platform: Platform, path: Any, code: int) -> None:
        platform.detail("POST", "/datasets/register", code, {"path": path})

    def test_one_that_leads_elsewhere_by_now(self, bare: Platform) -> None:
        place = sets.write(bare.site.home / "workspace" / "moving", sets.flat(2))
        made = bare.ok("POST", "/datasets/register", {"path": str(place)})["dataset_id"]
        other = sets.write(bare.site.home / "workspace" / "other", sets.flat(2))
        shutil.rmtree(place)
        for target, code in ((other, 409), ("/etc", 403)):
            place.symlink_to(target)
            bare.detail("POST", f"/datasets/{made}/prepare", code, {})
            place.unlink()
        assert "No such file" in bare.detail("POST", f"/datasets/{made}/prepare", 409, {})

    def test_a_link_out_of_the_roots(self, bare: Platform) -> None:
        link = bare.site.home / "workspace" / "out"
        link.symlink_to("/etc")
        bare.detail("POST", "/datasets/register", 403, {"path": str(link)})
        link.unlink()
        bare.detail("POST", "/datasets/register", 422, {"path": str(link)})
        bare.detail("POST", "/datasets/register", 403, {"path": str(bare.root)})


class TestPrepare:
    def test_the_same_twice_is_one_version(self, platform: Platform) -> None:
        one = f"/datasets/{platform.upload()}"
        first = platform.ok("POST", f"{one}/prepare", {})
        assert platform.ok("POST", f"{one}/prepare", {"split_ratio": {"train": 0.8, "val": 0.2}}) == first
        assert platform.ok("POST", f"{one}/prepare", {"classes": None}) == first
        other = platform.ok("POST", f"{one}/prepare", {"split_ratio": {"train": 0.5, "val": 0.5}})
        assert (other["version"], other["train_count"], other["val_count"]) == ("v2", 5, 5)
        assert platform.ok("GET", one)["versions"] == ["v1", "v2"]
        assert platform.ok("GET", one)["train_count"] == 5

    def test_what_is_wrong_is_told(self, bare: Platform) -> None:
        files = dict(sets.flat(10)) | {"images/003.png": b"x", "labels/005.txt": b"7 .5 .5 .1 .1\n"}
        one = f"/datasets/{bare.upload(files)}"
        told = bare.ok("POST", f"{one}/prepare", {"classes": ["a"]})
        assert {issue["file"] for issue in told["issues"]} == {"images/003.png", "labels/005.txt"}
        assert told["report"]["issue_counts"] == {"image": 1, "label": 1} and told["report"]["image_count"] == 8

    def test_coco_keeps_its_category_map(self, bare: Platform) -> None:
        report = bare.ok("POST", f"/datasets/{bare.upload(sets.coco())}/prepare", {})["report"]
        assert report["category_map"]["7"] == {"index": 1, "name": "dog"} and report["dropped"]["crowds"] == 1

    def test_what_cannot_be(self, platform: Platform) -> None:
        made = platform.upload({"readme.txt": b"x"})
        assert "no image" in platform.detail("POST", f"/datasets/{made}/prepare", 409, {})
        assert platform.ok("GET", f"/datasets/{made}")["status"] == "uploaded"

    @pytest.mark.parametrize(
        "body,field",
        [
            ({"split_ratio": {"train": 0.8, "val": 0.3}}, "split_ratio"), ({"split_ratio": {"train": 0.8}}, "split_ratio.val"),
            ({"split_ratio": {"train": 1, "val": 0}}, "split_ratio"), ({"split_ratio": {"train": "0.8", "val": 0.2}}, "split_ratio.train"),
            ({"split_ratio": [0.8, 0.2]}, "split_ratio"), ({"classes": []}, "classes"), ({"classes": ["a", "a"]}, "classes"),
            ({"classes": [""]}, "classes"), ({"classes": ["a\nb"]}, "classes.0"), ({"classes": "a"}, "classes"), ({"seed": -1}, "seed"), ({"other": 1}, "other"),
            ({"split_ratio": {"train": 0.7, "val": 0.2, "test": 0.1}}, "split_ratio.test"),
        ],
    )  # fmt: skip
    def test_bodies(self, bare: Platform, body: Any, field: str) -> None:
        assert bare.detail("POST", "/datasets/ds_x/prepare", 422, body).startswith(field)

    def test_together_with_others(self, bare: Platform) -> None:
        made = bare.upload()
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda _: bare.site.services.yolo.prepare(OWNER, made, Asked()), range(4)))
        assert {version.number for _, version in told} == {1}
        assert sorted(path.name for path in (bare.root / made).iterdir()) == ["source", "v1"]


def Asked() -> Any:
    from api.models.yolo import Preparation

    return Preparation()


class Slow:
    """Stands for the child: ends when it is told to."""

    def __init__(self, ended: Ended) -> None:
        self.go = threading.Event()
        self.ended = ended
        self.runs = 0

    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended:
        self.runs += 1
        assert self.go.wait(20)
        if not self.ended.code:
            (cwd / "data.yaml").write_text("x")
            counts = {"train_count": 1, "val_count": 1, "test_count": 0, "issues": [], "classes": []}
            report = dict.fromkeys(
                ("seed", "image_count", "label_count", "box_count", "empty_count", "duplicate_count", "leak_count"), 0
            )
            more: dict[str, Any] = {"layout": "yolo", "split": "made", "duplicates": [], "category_map": None}
            maps: dict[str, Any] = {"class_counts": {}, "issue_counts": {}, "dropped": {}}
            (cwd / "summary.json").write_text(json.dumps({**counts, **report, **more, **maps}))
        return self.ended

    def close(self) -> None:
        self.go.set()


class TestTheChild:
    @pytest.fixture
    def slow(self, bare: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
        runner = Slow(Ended(0, ""))
        services = bare.site.services
        preparer = Preparer(services.db, services.yolo._files, runner, seconds=5, most_files=100, patience=0.05)
        monkeypatch.setattr(services.yolo, "_preparer", preparer)
        yield runner
        preparer.close()

    def test_one_that_takes_longer_than_a_request(self, bare: Platform, slow: Slow) -> None:
        one = f"/datasets/{bare.upload()}"
        response = bare.call("POST", f"{one}/prepare", {})
        assert response.status_code == 503 and response.headers["Retry-After"] == "10"
        assert bare.call("POST", f"{one}/prepare", {}).status_code == 503 and slow.runs == 1
        assert "another way" in bare.detail("POST", f"{one}/prepare", 409, {"seed": 5})
        assert "being prepared" in bare.detail("DELETE", one, 409)
        assert bare.ok("GET", one)["status"] == "uploaded"
        slow.go.set()
        bare.site.services.yolo._preparer._pool.submit(int).result(10)
        told = bare.ok("POST", f"{one}/prepare", {})
        assert told["version"] == "v1" and slow.runs == 1

    @pytest.mark.parametrize(
        "ended,says",
        [
            (Ended(-9, "", timed_out=True), "within 5 s"),
            (Ended(-9, "x"), "exit code -9"),
            (Ended(3, "no image"), "no image"),
        ],
    )
    def test_one_that_fails(self, bare: Platform, slow: Slow, ended: Ended, says: str) -> None:
        slow.ended = ended
        slow.go.set()
        bare.site.services.yolo._preparer._patience = 20
        made = bare.upload()
        assert says in bare.detail("POST", f"/datasets/{made}/prepare", 409, {})
        assert sorted(path.name for path in (bare.root / made).iterdir()) == ["source"] and bare.drafts() == []


READY: dict[Path, str] = {}  # one prepared dataset a site, for tests that change nothing of it


class TestStatic:
    @pytest.fixture
    def made(self, bare: Platform) -> str:
        if bare.site.home not in READY:
            READY[bare.site.home] = bare.prepared()
        return READY[bare.site.home]

    def test_images_and_thumbnails(self, bare: Platform, made: str) -> None:
        for name in bare.ok("GET", f"/datasets/{made}")["sample_images"]:
            response = bare.call("GET", f"/static/{name}")
            assert (response.status_code, response.mimetype) == (200, "image/png")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.data == (bare.root / name.removeprefix("datasets/")).read_bytes()
        thumbnail = bare.call("GET", f"/static/{name.replace('/images/', '/thumbs/').replace('.png', '.jpg')}")
        with Image.open(io.BytesIO(thumbnail.data)) as image:
            assert image.format == "JPEG"
        tag = response.headers["ETag"]
        assert bare.call("GET", f"/static/{name}", headers={"If-None-Match": tag}).status_code == 304
        part = bare.call("GET", f"/static/{name}", headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.data) == (206, b"PNG")
        bare.detail("GET", f"/static/{name}", 416, headers={"Range": "bytes=999999-"})

    def test_for_others(self, bare: Platform, made: str) -> None:
        (name, *_) = bare.ok("GET", f"/datasets/{made}")["sample_images"]
        bare.detail("GET", f"/static/{name}", 403, who=STRANGER)
        assert bare.call("GET", f"/static/{name}", who=bare.site.operator).status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "datasets/{id}/v1/data.yaml", "datasets/{id}/v1/labels/train/000.txt", "datasets/{id}/source/images/000.png",
            "datasets/{id}/v1/manifest.jsonl", "datasets/{id}/v2/images/train/000.png", "datasets/{id}/v1/images/train",
            "datasets/{id}/v1/images/../../source/images/000.png", "datasets/{id}/v1/images/%2e%2e/%2e%2e/source/images/000.png",
            "datasets/{id}/v1/images/train/..%2f..%2f..%2fsource%2fimages%2f000.png", "../trainyard.db", "..%2ftrainyard.db",
            "datasets/../../trainyard.db", "datasets/{id}/v1/images//etc/passwd", "datasets/{id}/v1/images/train/%00.png",
            "datasets/{id}/v1/images/train/link.png", "datasets/{id}/v1/images/out/hostname.png", "datasets/nobody/v1/images/train/000.png",
            "datasets/{id}/v1/images/train/" + "x" * 300 + ".png", "datasets/{id}/v1/images/" + "a/" * 2000 + "x.png",
            "datasets/{id}/v1/images/train/....//000.png", "datasets/{id}/v1/images/train/000.png/", "/etc/passwd", ".", "x.svg",
            "datasets/{id}/v1/images/%ef%bc%8e%ef%bc%8e/000.png", "datasets/{id}/v1/images/train%5c000.png",
        ],
    )  # fmt: skip
    def test_nothing_else(self, bare: Platform, made: str, path: str) -> None:
        """A11, A12."""
        place = bare.root / made / "v1" / "images"
        if not (place / "train" / "link.png").is_symlink():
            (place / "train" / "link.png").symlink_to("/etc/hostname")
            (place / "out").symlink_to("/etc")
        assert bare.detail("GET", "/static/" + path.format(id=made), 404)
        bare.site.call("POST", "/static/x", who=OWNER)


class TestOthers:
    @pytest.mark.parametrize("name", ["ds_nothing", "..%2f..", "%00", "a b", "x" * 101])
    def test_unknown_ids(self, platform: Platform, name: str) -> None:
        for method, path in (
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/prepare"),
            ("GET", "/export/annotated"),
        ):
            platform.detail(method, f"/datasets/{name}{path}", 404)

    def test_slashes_and_methods(self, platform: Platform) -> None:
        platform.detail("GET", "/datasets/", 404)
        platform.detail("GET", f"/datasets/{platform.upload()}/", 404)
        platform.detail("PATCH", "/datasets", 405)

    def test_lists_show_what_may_be_read(self, platform: Platform) -> None:
        made = platform.upload()
        mine, theirs = (
            {dataset["dataset_id"] for dataset in platform.ok("GET", "/datasets", who=who)["datasets"]}
            for who in (OWNER, STRANGER)
        )
        assert made in mine and made not in theirs
        platform.detail("GET", f"/datasets/{made}", 403, who=STRANGER)

    @pytest.mark.parametrize(
        "body,field",
        [
            ({"description": 5}, "description"),
            ({"tags": ["x"] * 101}, "tags"),
            ({"tags": [1]}, "tags"),
            ({"tags": ["a\nb"]}, "tags"),
            ({"name": "x"}, "name"),
        ],
    )
    def test_changes(self, platform: Platform, body: Any, field: str) -> None:
        assert platform.detail("PUT", f"/datasets/{platform.upload()}", 422, body).startswith(field)

    def test_a_job_of_the_jobs_dialect_finds_it(self, bare: Platform) -> None:
        made = bare.upload()
        script = bare.site.home / "workspace" / "yolo.py"
        script.write_text("pass\n")
        body = {
            "name": "x",
            "framework": "pytorch",
            "script_path": str(script),
            "cpu": 1,
            "memory": 2**20,
            "gpu": 0,
            "dataset_id": made,
        }
        for place in ("source", "v1"):
            job = bare.site.call("POST", "/api/v1/training/jobs", body, who=OWNER).get_json()["data"]["job_id"]
            assert bare.site.job(job).spec.params["dataset_path"] == str(bare.root / made / place)
            bare.ok("POST", f"/datasets/{made}/prepare", {})
        assert bare.site.call("POST", "/api/v1/training/jobs", body, who=STRANGER).status_code == 403
        bare.site.error("POST", "/api/v1/training/jobs", 422, {**body, "dataset_id": "ds_nothing"}, who=OWNER)

    def test_what_crashes_left_is_swept(self, bare: Platform) -> None:
        made = bare.prepared()
        left = [bare.root / "ds_20260101_000000_00000000", bare.root / made / "v2", bare.root / ".yolo-drafts" / "x"]
        kept = [bare.root / "somebody's", bare.root / made / "v1" / "data.yaml", bare.root / made / "source"]
        for place in (*left, kept[0]):
            place.mkdir(parents=True)
        bare.site.services.yolo.sweep()
        assert not any(place.exists() for place in left) and all(place.exists() for place in kept)
        shutil.rmtree(kept[0])


@pytest.mark.parametrize(
    "path,dialect",
    [
        ("/datasets", YOLO_PLATFORM), ("/train/jobs", YOLO_PLATFORM), ("/static/x", YOLO_PLATFORM), ("/models/m/chart", YOLO_PLATFORM),
        ("/api/v1/datasets/x", YOLO_PLATFORM_V1), ("/api/v1/train/jobs", YOLO_PLATFORM_V1), ("/api/v1/logs/lines", YOLO_PLATFORM_V1),
        ("/api/v1/training/x", TRAINING_V1), ("/api/v1/trainings", TRAINING_V1), ("/api/v1/training/jobs", JOBS), ("/training", TRAINING_V1),
    ],
)  # fmt: skip
def test_dialects(path: str, dialect: Any) -> None:
    assert dialect_of(path) is dialect
