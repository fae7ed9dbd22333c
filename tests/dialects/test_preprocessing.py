"""Preprocessing over HTTP: real children, run here and not by a supervisor, so that each test says when."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import toml

from api.models.accounts import ALL_SCOPES, Actor, Role, Scope
from api.models.job import EndReason, Job, JobStatus, Resources
from api.services.engines.base import Ending, Launch
from api.services.engines.preprocessing.captioners import CaptionSettings
from api.services.engines.preprocessing.output import parse
from api.services.engines.preprocessing.sources import IMAGES, VIDEOS, is_name
from api.services.store import jobs as store
from api.services.store.prepared_tables import prepared_datasets
from api.services.store.schema import jobs as job_table
from api.utils.errors import Invalid
from tests.dialects.conftest import Site
from tests.unit.videos import make_image, make_video

BASE = "/api/v1/preprocessing"
ANA = Actor(901, "ana", Role.MEMBER, frozenset({Scope.READ, Scope.RUN}))
BEN = Actor(902, "ben", Role.MEMBER, frozenset({Scope.READ, Scope.RUN}))
READER = Actor(901, "ana", Role.MEMBER, frozenset({Scope.READ}))
ADMIN = Actor(903, "root", Role.ADMIN, ALL_SCOPES)


class Desk:
    """The site, a directory of sources, and what tests do with them."""

    kept: tuple[Path, bytes] | None = None

    def __init__(self, site: Site) -> None:
        self.output = b""
        self.site = site
        self.source = site.services.settings.data_dir / "workspace" / "clips"
        self.datasets = site.services.prepared.root

    def body(self, name: str = "cats", **changes: Any) -> dict[str, Any]:
        return {"dataset_name": name, "video_directory": str(self.source), "captioner": "sidecar", **changes}

    def start(self, name: str = "cats", who: Any = ..., **changes: Any) -> Job:
        data = self.site.data("POST", f"{BASE}/start", self.body(name, **changes), code=202, who=who)
        return self.site.job(data["preprocessing_id"])

    def launch(self, job: Job) -> Any:
        """As a worker does: claimed, prepared."""
        running = self.site.running(job)
        with self.site.services.db.read() as connection:
            attempt = store.attempt(connection, running)
        workspace = self.site.services.jobs._workspaces.of(attempt)
        launch = Launch(running, workspace, (), (), {"PATH": "/usr/bin", "HF_TOKEN": "hf_x"})
        return self.site.services.engines["preprocessing"].prepare(launch)

    def run(self, job: Job) -> Job:
        command = self.launch(job)
        done = subprocess.run(command.argv, env=command.env, cwd=command.cwd, capture_output=True, timeout=60)
        assert not done.stderr, done.stderr
        self.output = done.stdout
        self.site.prints(self.site.job(job.id), done.stdout, final=True)
        return self.end(job, EndReason.DONE if done.returncode == 0 else EndReason.EXIT_CODE, done.returncode)

    def end(self, job: Job, reason: EndReason, code: int | None = None) -> Job:
        progress = self.site.job(job.id).progress
        ending = Ending(code, reason is EndReason.DONE, tuple(progress.get("faults", ())), ())
        failed = reason.status is JobStatus.FAILED
        failure = self.site.services.engines["preprocessing"].explain(ending) if failed else None
        with self.site.services.db.write() as connection:
            latest = store.get(connection, job.id)
            endings = self.site.services.supervisor.parts.endings
            ended = endings.finish(connection, latest, reason, time.time(), exit_code=code, failure=failure)
        self.site.services.preprocessing.tidy()
        return ended

    def dataset(self, name: str = "cats") -> Path:
        """What a real child makes of the sources: made once, copied for every later test."""
        job, made = self.start(name), self.datasets / name
        if self.kept is None:
            assert self.run(job).status is JobStatus.COMPLETED
            Desk.kept = self.site.home / "kept", self.output
            shutil.copytree(made, Desk.kept[0])
            return made
        shutil.copytree(self.kept[0], made)
        manifest = made / "meta" / "manifest.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "job": job.id, "dataset": name}))
        self.site.prints(self.site.running(job), self.kept[1], final=True)
        self.end(job, EndReason.DONE, 0)
        return made

    def get(self, path: str, **query: Any) -> Any:
        return self.site.get(BASE + path, **query)

    def status(self, job: Job) -> Any:
        return self.get(f"/status/{job.id}")


@pytest.fixture(scope="module")
def sources(shared_site: Site) -> Path:
    directory = shared_site.services.settings.data_dir / "workspace" / "clips"
    directory.mkdir()
    for index in range(3):
        make_video(directory / f"{index}.mp4", seconds=1 + index)
        (directory / f"{index}.txt").write_text(f"ohwx cat number {index}, a catalogue")
    make_image(directory / "z.png", (300, 200))
    (directory / "broken.avi").write_bytes(b"x" * 100)
    return directory


@pytest.fixture
def desk(site: Site, sources: Path) -> Desk:
    with site.services.db.write() as connection:
        connection.execute(prepared_datasets.delete())
    site.services.prepared.recover()
    for path in site.services.prepared.root.iterdir():
        shutil.rmtree(path)
    return Desk(site)


class TestStart:
    def test_queued_with_its_name(self, desk: Desk) -> None:
        data = desk.site.data("POST", f"{BASE}/start", desk.body(), code=202)
        assert data["preprocessing_id"].startswith("prep_") and data["status"] == "pending"
        assert data["output_directory"] == str(desk.datasets / "cats")
        job = desk.site.job(data["preprocessing_id"])
        assert (job.dialect, job.engine, job.spec.resources) == ("preprocessing", "preprocessing", Resources())
        shown = desk.get("/datasets/cats")
        assert (shown["status"], shown["last_preprocessing_id"]) == ("pending", job.id)

    def test_by_any_dialect(self, desk: Desk) -> None:
        job = desk.start()
        (task,) = desk.site.get("/list")["tasks"]
        assert (task["task_id"], task["engine"], task["dialect"]) == (job.id, "preprocessing", "preprocessing")
        assert desk.site.get(f"/{job.id}")["config"]["dataset_name"] == "cats"
        desk.site.error("GET", f"{BASE}/status/{desk.site.start()['task_id']}", 404)

    def test_defaults(self, desk: Desk) -> None:
        body = {name: value for name, value in desk.body().items() if name != "captioner"}
        job = desk.site.job(desk.site.data("POST", f"{BASE}/start", body, code=202)["preprocessing_id"])
        wanted = {"fps": 16, "caption_method": "extra_mixed", "use_qwen_optimize": True, "captioner": "sidecar",
                  "prompt_prefix": "", "key_given": False}  # fmt: skip
        assert {name: job.spec.params[name] for name in wanted} == wanted

    @pytest.mark.parametrize(
        "field, value",
        [
            ("dataset_name", name)
            for name in ("", "..", ".", "a/b", "a\\b", "a\0b", ".hidden", "-rf", "a b", "x" * 201, "a.", "\u0301a", "é" * 101)
        ]
        + [("dataset_name", 7), ("video_directory", "clips"), ("video_directory", ""), ("video_directory", 7)]
        + [("fps", 0), ("fps", 121), ("fps", 16.0), ("fps", "16"), ("resolution", 15), ("resolution", [64]),
           ("resolution", [64, 63]), ("resolution", True), ("resolution", "64x64"), ("clip_seconds", 0),
           ("clip_seconds", True), ("clip_seconds", "5"), ("captioner", "gpt"), ("caption_method", "long"),
           ("use_qwen_optimize", 1), ("prompt_prefix", "x" * 2001), ("qwen_api_key", "with space"),
           ("qwen_api_key", "é"), ("unknown", 1)],
    )  # fmt: skip
    def test_wrong_values(self, desk: Desk, field: str, value: Any) -> None:
        error = desk.site.error("POST", f"{BASE}/start", 422, desk.body(**{field: value}))
        assert [each["field"] for each in error["data"]["errors"]] == [field], error
        assert not desk.get("/datasets")["total"]

    @pytest.mark.parametrize("name", ["cats", "Cats_2.v1-final", "猫のデータ", "été"])
    def test_names_of_any_script(self, name: str) -> None:
        assert is_name(name)

    def test_where_sources_may_be(self, desk: Desk, tmp_path: Path) -> None:
        make_video(tmp_path / "a.mp4")
        desk.site.error("POST", f"{BASE}/start", 403, desk.body(video_directory=str(tmp_path)))
        (desk.source.parent / "link").symlink_to(tmp_path)
        desk.site.error("POST", f"{BASE}/start", 403, desk.body(video_directory=str(desk.source.parent / "link")))
        empty = desk.source.parent / "empty"
        empty.mkdir(exist_ok=True)
        for path, message in ((empty, "no video or image"), (empty / "none", "not a directory")):
            error = desk.site.error("POST", f"{BASE}/start", 422, desk.body(video_directory=str(path)))
            assert message in error["message"]

    @pytest.mark.parametrize("captioner, hint", [("openai", "TRAINYARD_OPENAI_BASE_URL"),
                                                 ("florence2", "TRAINYARD_FLORENCE2_DIR"),
                                                 ("detector", "TRAINYARD_CAPTION_DETECTOR")])  # fmt: skip
    def test_a_captioner_that_is_not_configured(self, desk: Desk, captioner: str, hint: str) -> None:
        assert hint in desk.site.error("POST", f"{BASE}/start", 422, desk.body(captioner=captioner))["message"]

    def test_the_name_is_taken(self, desk: Desk) -> None:
        desk.start()
        error = desk.site.error("POST", f"{BASE}/start", 409, desk.body())
        assert error["data"] == {"dataset_name": "cats"}
        assert len(desk.site.get("/list")["tasks"]) == 1

    def test_a_strangers_directory_has_the_name(self, desk: Desk) -> None:
        (desk.datasets / "cats").mkdir()
        desk.site.error("POST", f"{BASE}/start", 409, desk.body())
        assert not desk.site.get("/list")["tasks"]

    def test_twenty_at_once_make_one(self, desk: Desk) -> None:
        codes: list[int] = []
        barrier = threading.Barrier(20)

        def submit() -> None:
            barrier.wait()
            client = desk.site.app.test_client(use_cookies=False)
            answer = client.post(
                f"{BASE}/start", json=desk.body(), environ_overrides={"trainyard.actor": desk.site.operator}
            )
            codes.append(answer.status_code)

        threads = [threading.Thread(target=submit) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == [202] + [409] * 19
        assert len(desk.site.get("/list")["tasks"]) == 1 and desk.get("/datasets")["total"] == 1


class TestOneRun:
    def test_from_start_to_end(self, desk: Desk) -> None:
        job = desk.start(prompt_prefix="sks", clip_seconds=1)
        before = desk.status(job)
        assert before["status"] == "pending" and before["progress"]["total_videos"] is None
        desk.run(job)
        seen = desk.status(job)
        assert seen["status"] == "completed" and seen["error_message"] is None
        progress = seen["progress"]
        assert (progress["total_videos"], progress["processed_videos"], progress["failed_videos"]) == (5, 4, 1)
        assert progress["progress_percent"] == 100.0 and progress["current_video"] is None
        assert [error["file"] for error in seen["errors"]] == ["broken.avi"]
        assert seen["output_files"] == [*(f"{n}.mp4" for n in range(1, 7)), "7.png"]
        shown = desk.get("/datasets/cats")
        assert (shown["video_count"], shown["image_count"], shown["caption_count"], shown["file_count"]) == (
            6,
            1,
            7,
            14,
        )
        assert shown["total_seconds"] == 6.0 and shown["status"] == "completed"
        assert desk.site.get(f"/{job.id}/progress")["phase"] == "done"
        assert desk.site.get(f"/{job.id}/metrics", metric="file_seconds")["total_points"] == 4

    def test_half_way(self, desk: Desk) -> None:
        job = desk.site.running(desk.start())
        line = {"event": "file", "current": "1.mp4", "step": "converting", "done": 1, "failed": 1, "total": 5}
        desk.site.prints(job, f"@event {json.dumps(line)}\n")
        seen = desk.status(job)
        assert seen["status"] == "running" and seen["progress"]["current_video"] == "1.mp4"
        assert seen["progress"]["progress_percent"] == 20.0 and seen["progress"]["estimated_remaining_time"] >= 0
        assert desk.get("/datasets/cats")["status"] == "running"

    def test_a_failed_one_gives_the_name_back(self, desk: Desk) -> None:
        broken = desk.source.parent / "broken"
        broken.mkdir()
        (broken / "a.mp4").write_bytes(b"x")
        job = desk.run(desk.start(video_directory=str(broken)))
        assert job.status is JobStatus.FAILED and job.failure is not None and job.failure.kind == "dataset_empty"
        seen = desk.status(job)
        assert seen["status"] == "failed" and seen["errors"][0]["file"] == "a.mp4" and seen["error_message"]
        assert not desk.get("/check/cats")["exists"] and not list(desk.datasets.iterdir())
        desk.dataset()

    def test_cancelled_while_it_waits(self, desk: Desk) -> None:
        job = desk.start()
        answer = desk.site.data("POST", f"{BASE}/cancel/{job.id}")
        assert answer["status"] == "cancelled" and not desk.get("/check/cats")["exists"]
        desk.site.error("POST", f"{BASE}/cancel/{job.id}", 409)
        desk.start()

    def test_deleted_while_it_waits(self, desk: Desk) -> None:
        job = desk.start(qwen_api_key="sk-1")
        desk.site.call("DELETE", f"/{job.id}")
        assert not desk.get("/check/cats")["exists"]
        desk.site.services.preprocessing.tidy()
        assert desk.site.services.preprocessing._keys.of(job.id) is None

    def test_started_again(self, desk: Desk) -> None:
        job = desk.start()
        desk.site.data("POST", f"{BASE}/cancel/{job.id}")
        other = desk.start()
        desk.site.error("POST", f"/restart/{job.id}", 409)
        desk.site.data("POST", f"{BASE}/cancel/{other.id}")
        desk.site.data("POST", f"/restart/{job.id}")
        assert desk.get("/datasets/cats")["last_preprocessing_id"] == job.id
        assert desk.run(desk.site.job(job.id)).status is JobStatus.COMPLETED
        desk.site.error("POST", f"/restart/{job.id}", 409)
        desk.site.error("POST", f"/resume/{job.id}", 409)
        assert desk.get("/datasets/cats")["status"] == "completed"

    def test_what_it_is_given(self, desk: Desk) -> None:
        job = desk.start(qwen_api_key="sk-very-secret", resolution=[64, 48])
        command = desk.launch(job)
        plan = json.loads(Path(command.argv[-1]).read_text())
        assert plan["key_lost"] is False and "key_pipe" not in plan, "no endpoint is configured"
        assert plan["resolution"] == [64, 48] and plan["part"] == str(desk.datasets / f".cats.{job.id}.part")
        assert "HF_TOKEN" not in command.env and command.env["CUDA_VISIBLE_DEVICES"] == ""

    def test_a_key_is_nowhere(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = desk.site.services.engines["preprocessing"]
        configured = dataclasses.replace(engine, captions=CaptionSettings("http://127.0.0.1:9/v1", "m"))
        monkeypatch.setitem(desk.site.services.engines, "preprocessing", configured)  # type: ignore[index]
        job = desk.start(qwen_api_key="sk-very-secret")
        command = desk.launch(job)
        plan = json.loads(Path(command.argv[-1]).read_text())
        assert Path(plan["key_pipe"]).is_fifo()
        assert "very-secret" not in json.dumps([plan, command.argv, dict(command.env)])
        desk.end(job, EndReason.STOPPED_BY_USER)
        for path in desk.site.home.rglob("*"):
            assert not path.is_file() or b"very-secret" not in path.read_bytes(), path
        keys = desk.site.services.preprocessing._keys
        assert keys.of(job.id) is None and not keys._pipes

    def test_a_key_that_is_gone(self, desk: Desk) -> None:
        job = desk.start(qwen_api_key="sk-very-secret")
        desk.site.services.preprocessing._keys.forget(job.id)  # the service was started again
        desk.run(job)
        assert any("qwen_api_key" in warning for warning in desk.status(job)["warnings"])

    def test_lines_that_were_cut(self) -> None:
        assert parse('@event {"event": "do').events == ()
        assert parse("WARNING x").level > parse("x").level

    def test_why(self, desk: Desk) -> None:
        explain = desk.site.services.engines["preprocessing"].explain
        assert explain(Ending(1, False, ("cannot write: No space left on device",), ())).kind == "disk_full"
        assert explain(Ending(-9, False, (), (), oom_killed=True)).kind == "killed_by_oom"

    def test_both_sides_take_the_same_files(self) -> None:
        from api.children.preprocessing import converter

        assert (VIDEOS, IMAGES) == (converter.VIDEOS, converter.IMAGES)


class TestWhatIsLeft:
    """After the end of a job or of the service, at any moment: nothing that nobody owns."""

    def names(self, desk: Desk) -> list[str]:
        return sorted(path.name for path in desk.datasets.iterdir())

    def test_half_a_dataset(self, desk: Desk) -> None:
        job = desk.site.running(desk.start())
        part = desk.datasets / f".cats.{job.id}.part"
        part.mkdir()
        desk.site.services.prepared.recover()
        assert self.names(desk) == [part.name], "it runs"
        desk.end(job, EndReason.EXIT_CODE, -9)
        assert not self.names(desk)

    def test_the_service_died_before_it_could_tidy(self, desk: Desk) -> None:
        job = desk.site.running(desk.start())
        (desk.datasets / f".cats.{job.id}.part").mkdir()
        (desk.datasets / ".dogs.prep_unknown.part").mkdir()
        desk.end(job, EndReason.EXIT_CODE, -9)
        (desk.datasets / f".cats.{job.id}.part").mkdir()
        desk.site.services.prepared.recover()
        assert not self.names(desk)

    def test_killed_between_the_rename_and_the_word_of_it(self, desk: Desk) -> None:
        job = desk.start()
        command = desk.launch(job)
        subprocess.run(command.argv, env=command.env, cwd=command.cwd, capture_output=True, timeout=60)
        assert self.names(desk) == ["cats"]
        desk.end(job, EndReason.LOST)
        assert not self.names(desk) and not desk.get("/check/cats")["exists"]

    def test_the_same_found_at_start(self, desk: Desk) -> None:
        job = desk.start()
        command = desk.launch(job)
        subprocess.run(command.argv, env=command.env, cwd=command.cwd, capture_output=True, timeout=60)
        desk.site.services.prepared._left.clear()
        with desk.site.services.db.write() as connection:
            endings = desk.site.services.supervisor.parts.endings
            endings.finish(connection, store.get(connection, job.id), EndReason.LOST, time.time())
        desk.site.services.prepared._left.clear()
        desk.site.services.prepared.recover()
        assert not self.names(desk)

    def test_another_databases_dataset_is_kept(self, desk: Desk) -> None:
        desk.dataset()
        with desk.site.services.db.write() as connection:
            connection.execute(prepared_datasets.delete())
            connection.execute(job_table.delete())
        desk.site.services.prepared.recover()
        assert self.names(desk) == ["cats"]
        desk.site.error("POST", f"{BASE}/start", 409, desk.body())

    def test_a_removal_that_was_cut_short(self, desk: Desk) -> None:
        dataset = desk.dataset()
        (job,) = desk.site.get("/list")["tasks"]
        gone = desk.datasets / f".cats.{job['task_id']}.gone"
        dataset.rename(gone)
        desk.site.services.prepared.recover()
        assert self.names(desk) == ["cats"], "the row stands: undone"
        desk.site.data("DELETE", f"{BASE}/datasets/cats")
        gone.mkdir()
        desk.start()
        desk.site.services.prepared.recover()
        assert not self.names(desk), "the row is gone: finished"


class TestDatasets:
    def test_items_and_captions(self, desk: Desk) -> None:
        directory = desk.dataset()
        page = desk.get("/datasets/cats/items", limit=2, offset=1)
        assert page["total"] == 4 and [item["number"] for item in page["items"]] == [2, 3]
        assert page["items"][0]["caption"] == "ohwx cat number 1, a catalogue"
        assert (page["items"][0]["source"], page["items"][0]["frames"]) == ("1.mp4", 32)
        path = f"{BASE}/datasets/cats/items/4/caption"
        assert desk.site.data("GET", path)["caption"] == "cats"
        assert desk.site.data("PUT", path, {"caption": "a red\n rectangle "})["caption"] == "a red rectangle"
        assert (directory / "4.txt").read_text() == "a red rectangle"
        (directory / "4.txt").unlink()
        assert desk.site.data("GET", path)["caption"] is None
        assert desk.get("/datasets/cats")["updated_at"] > desk.get("/datasets/cats")["created_at"]

    def test_wrong_items_and_captions(self, desk: Desk) -> None:
        desk.dataset()
        for number, code in (("0", 404), ("5", 404), ("x", 404), ("-1", 404), ("1e3", 404), ("9" * 30, 404)):
            desk.site.error("GET", f"{BASE}/datasets/cats/items/{number}/caption", code)
        for body in ({}, {"caption": ""}, {"caption": " \n "}, {"caption": 7}, {"caption": "x" * 10_001}, {"x": 1}):
            desk.site.error("PUT", f"{BASE}/datasets/cats/items/1/caption", 422, body)
        desk.site.error("GET", f"{BASE}/datasets/dogs/items", 404)

    def test_trigger_words(self, desk: Desk) -> None:
        directory = desk.dataset()
        url = f"{BASE}/datasets/cats/captions"
        answer = desk.site.data("POST", url, {"find": "cat", "replace": r"\1 dog"})
        assert (answer["items"], answer["changed"]) == (4, 4) or answer["changed"] == 3
        assert (directory / "1.txt").read_text() == r"ohwx \1 dog number 0, a catalogue"
        desk.site.data("POST", url, {"find": "DOG", "replace": "bird", "ignore_case": True})
        desk.site.data("POST", url, {"find": "alog", "replace": "", "whole_words": False})
        assert (directory / "1.txt").read_text() == r"ohwx \1 bird number 0, a catue"
        answer = desk.site.data("POST", url, {"find": (directory / "2.txt").read_text(), "replace": " "})
        assert answer["left_empty"] == [2] and (directory / "2.txt").read_text()
        desk.site.error("POST", url, 422, {"find": "", "replace": "x"})

    def test_media(self, desk: Desk) -> None:
        directory = desk.dataset()
        url = f"{BASE}/datasets/cats/items"
        whole = desk.site.call("GET", f"{url}/1/media")
        assert whole.data == (directory / "1.mp4").read_bytes() and whole.mimetype == "video/mp4"
        part = desk.site.call("GET", f"{url}/1/media", headers={"Range": "bytes=10-19"})
        assert part.status_code == 206 and part.data == whole.data[10:20]
        assert desk.site.call("GET", f"{url}/1/media", headers={"Range": "bytes=99999999-"}).status_code == 416
        assert desk.site.call("GET", f"{url}/4/media").mimetype == "image/png"
        assert desk.site.call("GET", f"{url}/1/thumbnail").mimetype == "image/jpeg"
        assert "Content-Disposition" not in whole.headers, "it is shown, not saved"

    def test_media_that_leads_elsewhere(self, desk: Desk) -> None:
        directory = desk.dataset()
        (directory / "1.mp4").unlink()
        (directory / "1.mp4").symlink_to("/etc/passwd")
        desk.site.error("GET", f"{BASE}/datasets/cats/items/1/media", 404)
        (directory / "1.txt").unlink()
        (directory / "1.txt").symlink_to("/etc/passwd")
        assert desk.site.data("GET", f"{BASE}/datasets/cats/items/1/caption")["caption"] is None
        desk.site.data("PUT", f"{BASE}/datasets/cats/items/1/caption", {"caption": "mine"})
        assert not (directory / "1.txt").is_symlink()

    @pytest.mark.parametrize("text", ["{}", "[", '{"items": [{}]}', '{"items": 7}'])
    def test_a_damaged_manifest(self, desk: Desk, text: str) -> None:
        directory = desk.dataset()
        (directory / "meta" / "manifest.json").write_text(text)
        desk.site.error("GET", f"{BASE}/datasets/cats/items", 409)
        desk.site.data("DELETE", f"{BASE}/datasets/cats")

    def test_while_it_is_made(self, desk: Desk) -> None:
        desk.start()
        for method, path, body in (
            ("GET", "/items", None),
            ("GET", "/items/1/caption", None),
            ("PUT", "/items/1/caption", {"caption": "x"}),
            ("POST", "/captions", {"find": "a", "replace": "b"}),
            ("POST", "/toml", {}),
            ("DELETE", "", None),
        ):
            desk.site.error(method, f"{BASE}/datasets/cats{path}", 409, body)

    def test_checking(self, desk: Desk) -> None:
        assert desk.get("/check/cats")["exists"] is False
        assert desk.get("/check/.weird name")["exists"] is False
        desk.dataset()
        seen = desk.get("/check/cats")
        assert seen["exists"] is True and seen["caption_count"] == 4

    def test_whose_it_is(self, desk: Desk) -> None:
        desk.run(desk.start(who=ANA))
        site = desk.site
        assert site.data("GET", f"{BASE}/datasets", who=ANA)["total"] == 1
        assert site.data("GET", f"{BASE}/datasets", who=BEN)["total"] == 0
        assert site.data("GET", f"{BASE}/datasets", who=ADMIN)["total"] == 1
        seen = site.data("GET", f"{BASE}/check/cats", who=BEN)
        assert seen["exists"] is True and seen["directory"] is None and seen["caption_count"] is None
        job = site.data("GET", f"{BASE}/datasets/cats", who=ANA)["last_preprocessing_id"]
        for who, change in ((BEN, 403), (READER, 403)):
            for method, path, body in (
                ("PUT", "/items/1/caption", {"caption": "x"}),
                ("POST", "/captions", {"find": "a", "replace": "b"}),
                ("POST", "/toml", {}),
                ("DELETE", "", None),
            ):
                site.error(method, f"{BASE}/datasets/cats{path}", change, body, who=who)
        for path in ("/datasets/cats", "/datasets/cats/items", "/datasets/cats/items/1/media", f"/status/{job}"):
            site.error("GET", BASE + path, 403, who=BEN)
            assert site.call("GET", BASE + path, who=READER).status_code == 200
        site.error("POST", f"{BASE}/cancel/{job}", 403, who=BEN)
        site.error("POST", f"{BASE}/start", 403, desk.body("dogs"), who=READER)
        site.data("DELETE", f"{BASE}/datasets/cats", who=ADMIN)

    def test_trained_on(self, desk: Desk) -> None:
        directory = desk.dataset()
        dataset = {"resolutions": [32], "directory": [{"path_id": "cats"}]}
        made = desk.site.start(dataset=dataset)
        assert desk.site.get(f"/{made['task_id']}")["dataset"]["directory"] == [{"path": str(directory.resolve())}]
        error = desk.site.error("DELETE", f"{BASE}/datasets/cats", 409)
        assert error["data"] == {"task_id": made["task_id"]}
        desk.site.data("POST", f"/stop/{made['task_id']}")
        desk.site.data("DELETE", f"{BASE}/datasets/cats")
        assert not directory.exists()
        error = desk.site.error("POST", "/start", 422, desk.site.request(dataset=dataset))
        assert error["data"]["errors"][0]["field"] == "dataset.directory.0.path_id"

    def test_not_yet_and_not_ours(self, desk: Desk) -> None:
        dataset = {"resolutions": [32], "directory": [{"path_id": "cats"}]}
        job = desk.start(who=ANA)
        desk.site.error("POST", "/start", 422, desk.site.request(dataset=dataset), who=ANA)
        desk.run(job)
        desk.site.error("POST", "/start", 403, desk.site.request(dataset=dataset), who=BEN)
        desk.site.data("POST", "/start", desk.site.request(dataset=dataset), who=ANA, code=201)

    def test_a_name_that_begins_like_it(self, desk: Desk) -> None:
        """A training on `cats2` does not keep `cats`."""
        desk.dataset("cats2")
        desk.dataset("cats")
        desk.site.start(dataset={"resolutions": [32], "directory": [{"path_id": "cats2"}]})
        desk.site.data("DELETE", f"{BASE}/datasets/cats")
        desk.site.error("DELETE", f"{BASE}/datasets/cats2", 409)


class TestToml:
    def test_proposed(self, desk: Desk) -> None:
        directory = desk.dataset()
        answer = desk.site.data("POST", f"{BASE}/datasets/cats/toml", {"epochs": 3})
        assert toml.loads(answer["toml"]) == answer["dataset"]
        assert (directory / "meta" / "dataset.toml").read_text() == answer["toml"]
        assert answer["dataset"]["frame_buckets"] == [1, 13, 29, 45]
        assert answer["dataset"]["directory"][0]["path"] == str(directory.resolve())
        assert [(b["frames"], b["items"]) for b in answer["buckets"]] == [(13, 1), (29, 1), (45, 1), (1, 1)]
        assert (answer["steps_per_epoch"], answer["total_steps"]) == (4, 12)

    def test_what_a_batch_loses(self, desk: Desk) -> None:
        desk.dataset()
        wanted = {"micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2, "num_gpus": 4,
                  "pipeline_stages": 2, "num_repeats": 9, "frame_buckets": [33], "resolutions": [64, 128]}  # fmt: skip
        answer = desk.site.data("POST", f"{BASE}/datasets/cats/toml", wanted)
        assert answer["global_batch"] == 8 and answer["passed_over"] == [1, 2]
        assert answer["steps_per_epoch"] == 4 and len(answer["buckets"]) == 4
        assert "3 items are smaller than 128x128 and are enlarged" in answer["warnings"]
        answer = desk.site.data("POST", f"{BASE}/datasets/cats/toml", {**wanted, "num_repeats": 1})
        assert answer["steps_per_epoch"] == 0 and len(answer["warnings"]) == 3

    def test_it_can_be_trained_on(self, desk: Desk) -> None:
        desk.dataset()
        dataset = desk.site.data("POST", f"{BASE}/datasets/cats/toml", {})["dataset"]
        desk.site.start(dataset=dataset)

    @pytest.mark.parametrize(
        "body",
        [{"resolutions": []}, {"resolutions": [1, 2, 3, 4]}, {"frame_buckets": [0]}, {"ar_buckets": [0]},
         {"num_gpus": 3, "pipeline_stages": 2}, {"epochs": 0}, {"x": 1}, {"resolutions": [True]}],
    )  # fmt: skip
    def test_wrong(self, desk: Desk, body: Any) -> None:
        desk.dataset()
        desk.site.error("POST", f"{BASE}/datasets/cats/toml", 422, body)


class TestChoosing:
    def test_the_first_that_is_configured(self, tmp_path: Path) -> None:
        make_video(tmp_path / "a.mp4")
        endpoint = CaptionSettings("http://127.0.0.1/v1", "m", florence2_dir=tmp_path)
        assert endpoint.chosen(None, tmp_path) == "openai"
        assert CaptionSettings().chosen(None, tmp_path) == "none"
        (tmp_path / "b.txt").touch()
        assert CaptionSettings().chosen(None, tmp_path) == "none"
        (tmp_path / "a.txt").touch()
        assert CaptionSettings().chosen(None, tmp_path) == "sidecar"
        assert endpoint.chosen("none", tmp_path) == "none"

    def test_what_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = CaptionSettings(florence2_dir=tmp_path / "gone", detector=tmp_path)
        with pytest.raises(Invalid, match="is not there"):
            settings.chosen("florence2", tmp_path)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(Invalid, match="install ultralytics"):
            settings.chosen("detector", tmp_path)
        assert settings.chosen(None, tmp_path) == "none"
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        assert settings.chosen(None, tmp_path) == "detector"

    def test_florence_asks_for_a_gpu(self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        engine = dataclasses.replace(
            desk.site.services.engines["preprocessing"], captions=CaptionSettings(florence2_dir=tmp_path)
        )
        monkeypatch.setitem(desk.site.services.engines, "preprocessing", engine)  # type: ignore[index]
        assert desk.start("a", captioner="florence2").spec.resources.gpus == 0, "there is none"
        desk.site.gpus(1)
        assert desk.start("b", captioner="florence2").spec.resources.gpus == 1
        assert desk.start("c", captioner="none").spec.resources.gpus == 0
