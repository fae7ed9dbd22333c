"""A job before it is one: previews, and the request that a job came from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from api.services import history
from tests.dialects.conftest import Site

T = "/api/v1/training"
CONFIG = {"model": {"checkpoint_path": "somebody/a-model"}}


class TestPreview:
    def test_tells_what_a_start_would_do_and_does_nothing(self, site: Site) -> None:
        wanted = site.request(config={**CONFIG, "epochs": 7, "monitoring": {"wandb_api_key": "s3cret-key"}})
        told = site.data("POST", f"{T}/preview", wanted)
        assert told["config"]["epochs"] == 7 and told["config"]["micro_batch_size_per_gpu"] >= 1
        files = {each["name"]: each["text"] for each in told["files"]}
        main = tomllib.loads(files["{job}.toml"])
        assert main["epochs"] == 7 and main["output_dir"] == "{output}"
        assert tomllib.loads(files["{job}_dataset.toml"])["directory"]
        assert main["monitoring"]["wandb_api_key"] == "***" and "s3cret" not in str(told)
        assert site.get("/list")["pagination"]["total"] == 0

    def test_names_what_is_wrong(self, site: Site) -> None:
        error = site.error("POST", f"{T}/preview", 422, body=site.request(config={**CONFIG, "epochs": 0}))
        assert error["data"]["errors"][0]["field"] == "config.epochs"


class TestRequest:
    def test_makes_the_same_job_again(self, site: Site) -> None:
        output = site.images.parent / "mine"
        wanted = site.request(
            config={**CONFIG, "epochs": 7, "output_dir": str(output), "monitoring": {"wandb_api_key": "s3cret-key"}},
            description="First", tags=["a"], priority=3, env={"WORD": "x", "MY_TOKEN": "s3cret-token"}, max_runtime=60,
        )  # fmt: skip
        first = site.data("POST", "/start", wanted, code=201)["task_id"]
        told = site.get(f"/{first}/request")
        assert told["path"] == f"{T}/start" and "s3cret" not in str(told)
        assert set(told["left_out"]) == {
            "config.monitoring.wandb_api_key", "config.output_dir", "env.MY_TOKEN",
        }  # fmt: skip
        body = told["body"]
        assert body["description"] == "First" and body["tags"] == ["a"] and body["priority"] == 3
        assert body["max_runtime"] == 60 and body["env"] == {"WORD": "x"} and body["config"]["epochs"] == 7
        again = site.data("POST", "/start", body, code=201)["task_id"]
        assert site.get(f"/{again}/request")["body"] == body

    def test_of_a_script(self, site: Site) -> None:
        script = site.images.parent / "train.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("print(1)")
        wanted = {
            "name": "S",
            "framework": "pytorch",
            "script_path": str(script),
            "cpu": 1,
            "memory": 1 << 24,
            "gpu": 0,
        }
        job = site.call("POST", f"{T}/jobs", {**wanted, "args": ["--x", "1"]}).get_json()["data"]["job_id"]
        told = site.get(f"/{job}/request")
        assert (told["path"], told["left_out"]) == (f"{T}/jobs", [])
        assert told["body"].pop("python")
        assert told["body"] == {**wanted, "args": ["--x", "1"]}


class TestLinesBesideALine:
    @pytest.fixture
    def job(self, site: Site) -> str:
        job = site.running()
        site.prints(
            job,
            "".join(
                f"{'[2026-11-21 10:00:00,000] [ERROR] [x.py:1:f] ' if n % 10 == 0 else ''}line {n}\n"
                for n in range(1, 61)
            ),
        )
        return job.id

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"from_line": 58}, [58, 59, 60]),
            ({"from_line": 3, "limit": 2}, [3, 4]),
            ({"from_line": 99}, []),
            ({"before_line": 4}, [1, 2, 3]),
            ({"before_line": 31, "limit": 3}, [28, 29, 30]),
            ({"before_line": 1}, []),
            ({"before_line": 45, "level": "ERROR", "limit": 2}, [30, 40]),
            ({"from_line": 41, "level": "ERROR"}, [50, 60]),
        ],
    )
    def test_pages(self, site: Site, job: str, query: dict[str, object], expected: list[int]) -> None:
        page = site.get(f"/{job}/logs", **query)
        assert [line["line_number"] for line in page["logs"]] == expected
        assert page["total_lines"] == 60

    def test_a_search_begins_and_goes_on_where_it_is_told(
        self, site: Site, job: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = site.get(f"/{job}/logs/search", keyword="line 5", from_line=52)
        assert [line["line_number"] for line in found["results"]] == [*range(52, 60)] and found["next_line"] is None
        monkeypatch.setattr(history, "SEARCH_SECONDS", 0.0)
        ended = site.get(f"/{job}/logs/search", keyword="line 5", from_line=52)
        assert (ended["complete"], ended["next_line"], ended["results"]) == (False, 52, [])

    def test_one_place_at_a_time(self, site: Site, job: str) -> None:
        error = site.error("GET", f"/{job}/logs?from_line=1&before_line=3", 422)
        assert error["data"]["errors"][0]["field"] == "before_line"


def test_images_are_shown_and_nothing_else(site: Site) -> None:
    job = site.ended()
    output = Path(site.get(f"/{job.id}")["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    (output / "sample.png").write_bytes(b"\x89PNG")
    (output / "page.html").write_text("<script>")
    image = site.call("GET", f"/{job.id}/artifacts/sample.png?show=true")
    assert image.mimetype == "image/png" and "Content-Disposition" not in image.headers
    assert image.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("sample.png", "page.html?show=true"):
        other = site.call("GET", f"/{job.id}/artifacts/{path}")
        assert other.mimetype == "application/octet-stream" and "attachment" in other.headers["Content-Disposition"]
