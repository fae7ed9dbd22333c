"""Training v1 over HTTP, field by field (contract 1). What needs a child is in tests/acceptance/."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import toml

from api.models.accounts import Actor
from api.models.job import EndReason, Failure
from api.services import history
from api.services.engines.base import Launch
from tests.dialects.conftest import Site, envelope

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DEFAULTS = {
    "epochs": 60,
    "micro_batch_size_per_gpu": 1,
    "pipeline_stages": 1,
    "gradient_accumulation_steps": 1,
    "gradient_clipping": 1.0,
    "warmup_steps": 20,
    "save_every_n_epochs": 5,
    "checkpoint_every_n_epochs": 10,
    "save_dtype": "bfloat16",
    "activation_checkpointing": True,
    "partition_method": "parameters",
    "caching_batch_size": 1,
    "steps_per_print": 1,
    "video_clip_mode": "single_beginning",
    "optimizer": {"type": "adamw_optimi", "lr": 5e-5, "betas": [0.9, 0.99], "weight_decay": 0.01, "eps": 1e-8},
}
MODEL = {"checkpoint_path": "somebody/a-model"}


def line(step: int, loss: object, epoch_seconds: float = 0.25) -> str:
    return f"steps: {step} loss: {loss} iter time (s): {epoch_seconds} samples/sec: 4.000\n"


def member(site: Site, name: str) -> Actor:
    accounts = site.services.accounts
    try:
        user = accounts.user_named(site.operator, name)
    except Exception:
        user = accounts.add_user(site.operator, name, None)
    return accounts.authenticate("Token " + accounts.create_token(site.operator, "", None, user_id=user.id)[1])


class TestStart:
    def test_every_field_of_the_answer(self, site: Site) -> None:
        response = site.call("POST", "/start", site.request(description="A try", tags=["a", "b"], priority=3))
        assert response.status_code == 201
        data = envelope(response)["data"]
        assert re.fullmatch(r"train_\d{8}_\d{6}_[0-9a-f]{8}", data["task_id"])
        assert ISO.fullmatch(data["created_at"])
        assert data["config"] == {**DEFAULTS, "model": {"type": "sdxl", "dtype": "bfloat16", **MODEL}}
        wanted = {
            "status": "queued",
            "gpu_id": None,
            "gpu_name": None,
            "engine": "diffusion_pipe",
            "model_type": "sdxl",
            "description": "A try",
            "queue_position": 1,
            "estimated_start_time": None,
            "estimated_duration": None,
            "checkpoints": {"save_every_n_epochs": 5, "last_saved": None, "next_save": None},
        }
        assert {name: data[name] for name in wanted} == wanted
        assert site.start()["queue_position"] == 2
        assert site.start(priority=10)["queue_position"] == 1

    def test_nulls_are_absent(self, site: Site) -> None:
        names = ("gpu_id", "num_gpus", "wait", "priority", "description", "tags", "env")
        assert site.start(**dict.fromkeys(names))["status"] == "queued"
        body = site.request()
        del body["config"]["model"]
        body["config"] = {"model": {**MODEL}, "save": None, "epochs": None, "adapter": None}
        assert site.data("POST", "/start", body, code=201)["config"]["epochs"] == 60

    def test_groups_are_flattened(self, site: Site) -> None:
        config = {
            "model": MODEL,
            "save": {"save_every_n_epochs": 2, "save_dtype": "float16"},
            "optimization": {"activation_checkpointing": False, "caching_batch_size": 4},
            "eval": {"eval_before_first_step": False},
        }
        shown = site.start(config=config)["config"]
        assert not shown.keys() & {"save", "optimization", "eval"}
        assert (shown["save_every_n_epochs"], shown["save_dtype"], shown["caching_batch_size"]) == (2, "float16", 4)
        assert (shown["activation_checkpointing"], shown["eval_before_first_step"]) == (False, False)

    def test_a_key_given_twice_differently(self, site: Site) -> None:
        config = {"model": MODEL, "save_every_n_epochs": 3, "save": {"save_every_n_epochs": 2}}
        refused = site.error("POST", "/start", 422, site.request(config=config))
        assert "save_every_n_epochs" in refused["data"]["errors"][0]["field"]

    def test_a_save_interval_stands_alone(self, site: Site) -> None:
        shown = site.start(config={"model": MODEL, "save_every_n_steps": 100})["config"]
        assert "save_every_n_epochs" not in shown and shown["checkpoint_every_n_epochs"] == 10

    def test_an_adapter_and_an_optimizer_of_ones_own(self, site: Site) -> None:
        config = {"model": MODEL, "adapter": {"type": "lora"}, "optimizer": {"type": "prodigy", "lr": 1}}
        shown = site.start(config=config)["config"]
        assert shown["adapter"] == {"type": "lora", "rank": 32, "dtype": "bfloat16"}
        assert shown["optimizer"] == {"type": "prodigy", "lr": 1}

    def test_unknown_keys_reach_the_toml_and_secrets_only_it(self, site: Site) -> None:
        extra = {"a_new_key": [1, 2.5], "deeper": {"x": True}}
        config = {
            "model": {**MODEL, **extra, "hf_token": "hf_secret_1"},
            "adapter": {"type": "lora", **extra},
            "optimizer": {"type": "adamw", "lr": 1e-4, **extra},
            "monitoring": {
                "enable_wandb": True,
                "wandb_api_key": "wandb-secret-2",
                "wandb_tracker_name": 'a "quoted"\n\tname',
                "wandb_run_name": "r",
                "custom": 1,
            },
        }
        dataset = {**site.request()["dataset"], "my_own": "key", "access_token": "secret-3"}
        env = {"MY_API_KEY": "secret-4", "PLAIN": "x"}
        job = site.queued(config=config, dataset=dataset, env=env)
        for answer in (site.call("GET", f"/{job.id}"), site.call("GET", "/list")):
            assert "secret" not in answer.text.replace("hf_token", "")
        detail = site.get(f"/{job.id}")
        assert detail["config"]["model"]["hf_token"] == "***"
        assert detail["config"]["monitoring"]["wandb_api_key"] == "***"
        assert detail["dataset"]["access_token"] == "***"

        engine = site.services.engines["diffusion_pipe"]
        attempt = site.services.history.attempts(job)[0]
        workspace = site.services.jobs._workspaces.of(attempt)
        engine.prepare(Launch(job=job, workspace=workspace, gpu_ids=(), ports=[29500, 29501], base_env={}))
        assert oct(workspace.config.stat().st_mode & 0o777) == oct(workspace.dataset_config.stat().st_mode & 0o777)
        assert workspace.config.stat().st_mode & 0o777 == 0o600
        written = toml.loads(workspace.config.read_text())
        for table in ("model", "adapter", "optimizer"):
            assert written[table]["deeper"] == {"x": True} and written[table]["a_new_key"] == [1.0, 2.5]
        assert written["model"]["type"] == "sdxl" and written["model"]["hf_token"] == "hf_secret_1"
        assert written["monitoring"] == config["monitoring"]
        assert toml.loads(workspace.dataset_config.read_text())["access_token"] == "secret-3"

    def test_directories_is_directory(self, site: Site) -> None:
        job = site.queued(dataset={"resolutions": [32], "directories": [{"path": str(site.images)}]})
        assert site.get(f"/{job.id}")["dataset"]["directory"] == [{"path": str(site.images)}]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"model_type": None}, "model_type"),
            ({"model_type": 5}, "model_type"),
            ({"model_type": "no_such_model"}, "model_type"),
            ({"model_type": "x" * 201}, "model_type"),
            ({"surprise": 1}, "surprise"),
            ({"config": {"model": MODEL, "surprise": 1}}, "config.surprise"),
            ({"config": {"model": MODEL, "epochs": "5"}}, "config.epochs"),
            ({"config": {"model": MODEL, "epochs": True}}, "config.epochs"),
            ({"config": {"model": MODEL, "epochs": -1}}, "config.epochs"),
            ({"config": {"model": MODEL, "epochs": 2**63}}, "config.epochs"),
            ({"config": {"model": {**MODEL, "x": 2**64}}}, "config.model.x"),
            ({"config": {"model": {"checkpoint_path": "/no/such/file"}}}, "config.model.checkpoint_path"),
            ({"config": {"model": {}}}, "config.model.checkpoint_path"),
            ({"config": []}, "config"),
            ({"dataset": {}}, "dataset.directory"),
            ({"dataset": "x"}, "dataset"),
            ({"dataset": {"resolutions": [32], "directory": []}}, "dataset.directory"),
            ({"dataset": {"resolutions": [32], "directory": [{}]}}, "dataset.directory.0.path"),
            ({"dataset": {"resolutions": [32], "directory": [{"path": "images"}]}}, "dataset.directory.0.path"),
            ({"dataset": {"resolutions": [32], "directory": [{"path": "/a\0b"}]}}, "dataset.directory.0.path"),
            ({"dataset": {"resolutions": [32], "directory": [{"path": "/\ud800"}]}}, "dataset.directory.0.path"),
            ({"gpu_id": -2}, "gpu_id"),
            ({"gpu_id": True}, "gpu_id"),
            ({"gpu_id": "0"}, "gpu_id"),
            ({"gpu_id": 0.0}, "gpu_id"),
            ({"gpu_id": 2**63}, "gpu_id"),
            ({"num_gpus": 0}, "num_gpus"),
            ({"num_gpus": False}, "num_gpus"),
            ({"gpu_id": 0, "num_gpus": 2}, "num_gpus"),
            ({"priority": 11}, "priority"),
            ({"priority": -1}, "priority"),
            ({"wait": 1}, "wait"),
            ({"wait": "true"}, "wait"),
            ({"description": 5}, "description"),
            ({"description": "a\0b"}, "description"),
            ({"description": "\ud800"}, "description"),
            ({"tags": "a"}, "tags"),
            ({"tags": [""]}, "tags.0"),
            ({"tags": ["a", 5]}, "tags.1"),
            ({"tags": [None]}, "tags.0"),
            ({"env": {"A": 5}}, "env.A.value"),
            ({"env": {"A": "a\0b"}}, "env.A.value"),
            ({"env": {"LD_PRELOAD": "x"}}, "env.LD_PRELOAD"),
            ({"env": {"PYTHONPATH": "x"}}, "env.PYTHONPATH"),
            ({"env": {"PATH": "x"}}, "env.PATH"),
            ({"env": {"BASH_ENV": "x"}}, "env.BASH_ENV"),
            ({"env": {"CUDA_VISIBLE_DEVICES": "x"}}, "env.CUDA_VISIBLE_DEVICES"),
            ({"env": {"TRAINYARD_X": "x"}}, "env.TRAINYARD_X"),
            ({"env": {"A=B": "x"}}, "env.A=B"),
            ({"env": {"": "x"}}, "env."),
        ],
    )
    def test_what_cannot_be_used_is_named(self, site: Site, change: dict[str, Any], field: str) -> None:
        refused = site.error("POST", "/start", 422, site.request(**change))
        assert field in [error["field"] for error in refused["data"]["errors"]], refused
        assert site.get("/list")["pagination"]["total"] == 0

    def test_an_unknown_model_type_gets_the_list(self, site: Site) -> None:
        assert "sdxl" in site.error("POST", "/start", 422, site.request(model_type="nothing"))["message"]

    def test_paths_outside_the_roots(self, site: Site, tmp_path: Path) -> None:
        link = site.images.parent / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path)
        for path in (str(tmp_path), "/etc", str(link), str(site.images / ".." / ".." / "..")):
            dataset = {"resolutions": [32], "directory": [{"path": path}]}
            assert site.error("POST", "/start", 403, site.request(dataset=dataset))["data"]
        site.error("POST", "/start", 403, site.request(config={"model": MODEL, "output_dir": str(tmp_path / "out")}))
        site.error("POST", "/start", 422, site.request(config={"model": MODEL, "output_dir": "out"}))

    def test_an_output_directory_of_ones_own(self, site: Site) -> None:
        chosen = site.images.parent / f"mine{time.monotonic_ns()}"
        job = site.queued(config={"model": MODEL, "output_dir": str(chosen)})
        assert site.get(f"/{job.id}")["output_dir"] == str(chosen)

    def test_a_directory_without_media(self, site: Site) -> None:
        empty = site.images.parent / "empty"
        empty.mkdir(exist_ok=True)
        dataset = {"resolutions": [32], "directory": [{"path": str(empty)}]}
        site.error("POST", "/start", 422, site.request(dataset=dataset))


class TestGpusOfAStart:
    def test_without_a_gpu_it_is_the_cpu_or_507(self, site: Site) -> None:
        assert site.start(gpu_id=-1)["gpu_id"] is None
        assert not site.queued().spec.resources.needs_gpu
        for change in ({"gpu_id": 0}, {"num_gpus": 2}):
            data = site.error("POST", "/start", 507, site.request(**change))["data"]
            assert (data["available_gpus"], data["busy_gpus"]) == ([], [])
            assert data["required_gpus"] == change.get("num_gpus", 1)
            assert "CPU" in data["recommended_action"]

    def test_507_where_there_are_some(self, site: Site) -> None:
        site.gpus(3).occupy(1, 4312, 8000)
        site.look()
        site.running(gpu_id=0, gpus=[0])
        data = site.error("POST", "/start", 507, site.request(num_gpus=4))["data"]
        assert data["required_gpus"] == 4 and data["available_gpus"] == [2] and data["busy_gpus"] == [0, 1]
        assert site.error("POST", "/start", 507, site.request(gpu_id=3, wait=True))["data"]["required_gpus"] == 1

    def test_409_and_the_queue(self, site: Site) -> None:
        site.gpus(2)
        job = site.running(gpu_id=1, gpus=[1])
        with site.services.db.write() as connection:
            from api.services.store import jobs as store

            known = {"step": 50, "total_steps": 100, "time_per_step": 2.0}
            store.save(connection, job, time.time(), progress=known)
        refused = site.error("POST", "/start", 409, site.request(gpu_id=1))
        data = refused["data"]
        assert set(data) == {"gpu_id", "current_task", "estimated_available_time", "available_gpus"}
        assert (data["gpu_id"], data["current_task"], data["available_gpus"]) == (1, job.id, [0])
        assert ISO.fullmatch(data["estimated_available_time"])
        assert job.id in refused["message"]
        waiting = site.start(gpu_id=1, wait=True)
        assert (waiting["status"], waiting["gpu_id"], waiting["gpu_name"]) == ("queued", 1, "Fake GPU 24GB")
        assert site.start()["status"] == "queued"  # without an explicit one it always waits

    def test_one_that_another_waits_for_is_taken(self, site: Site) -> None:
        site.gpus(1)
        first = site.start(gpu_id=0)
        data = site.error("POST", "/start", 409, site.request(gpu_id=0))["data"]
        assert data["current_task"] == first["task_id"] and data["estimated_available_time"] is None

    def test_a_stranger_and_a_lost_one(self, site: Site) -> None:
        source = site.gpus(2)
        source.occupy(0, 4312, 8000, "python")
        source.lose(1)
        site.look()
        refused = site.error("POST", "/start", 409, site.request(gpu_id=0))
        assert refused["data"]["current_task"] is None and "4312" in refused["message"]
        assert "fell off the bus" in site.error("POST", "/start", 409, site.request(gpu_id=1))["message"]
        source.recover(1)

    def test_several_are_leased_together(self, site: Site) -> None:
        site.gpus(4)
        config = {"model": MODEL, "pipeline_stages": 2}
        assert site.queued(num_gpus=2, config=config).spec.resources.gpus == 2
        site.error("POST", "/start", 422, site.request(num_gpus=3, config=config))


class TestList:
    def test_newest_first_in_pages(self, site: Site) -> None:
        ids = [site.queued().id for _ in range(5)][::-1]
        first = site.get("/list", limit=2)
        assert [t["task_id"] for t in first["tasks"]] == ids[:2]
        assert first["pagination"] == {"total": 5, "limit": 2, "offset": 0, "has_more": True}
        last = site.get("/list", limit=2, offset=4)
        assert [t["task_id"] for t in last["tasks"]] == ids[4:]
        assert last["pagination"]["has_more"] is False
        beyond = site.get("/list", offset=2**63 - 1)
        assert (beyond["tasks"], beyond["pagination"]["has_more"]) == ([], False)
        assert site.get("/list")["pagination"]["limit"] == 50

    def test_an_items_fields(self, site: Site) -> None:
        site.queued(description="d", tags=["t"], priority=2)
        item = site.get("/list")["tasks"][0]
        contract = (
            "task_id status engine dialect gpu_id gpu_name model_type description progress metrics created_at"
            " started_at updated_at"
        )
        assert set(contract.split()) <= set(item)
        assert (item["dialect"], item["engine"], item["started_at"]) == ("training_v1", "diffusion_pipe", None)

    def test_filters(self, site: Site) -> None:
        site.gpus(3)
        waiting = site.queued(gpu_id=2, tags=["red", "blue"], description="50% of _all_")
        running = site.running(gpu_id=1, gpus=[1], tags=["red"])
        done = site.ended()

        def found(**query: Any) -> list[str]:
            return [task["task_id"] for task in site.get("/list", **query)["tasks"]]

        assert found(status="queued") == [waiting.id]
        assert found(status="running") == [running.id]
        assert found(status="completed") == [done.id]
        assert found(status="failed") == []
        assert found(gpu_id=1) == [running.id]
        assert found(gpu_id=2) == [waiting.id]  # the one that it asks for, as the item shows it
        assert found(tag="red") == [running.id, waiting.id]
        assert found(tag="re") == []
        assert found(engine="diffusion_pipe", dialect="training_v1") == [done.id, running.id, waiting.id]
        assert found(engine="yolo") == found(dialect="jobs") == []
        assert found(q="50% of _") == [waiting.id]
        assert found(q="%") == [waiting.id]
        assert found(q=running.id[-8:]) == [running.id]

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0}, {"limit": 501}, {"limit": -1}, {"limit": "x"}, {"limit": ""}, {"limit": "1.5"},
            {"limit": "1_0"}, {"limit": " 1"}, {"limit": "٣"}, {"limit": "9" * 5000}, {"limit": "true"},
            {"offset": -1}, {"offset": 2**63}, {"status": "done"}, {"status": ""}, {"gpu_id": -1}, {"gpu_id": 2**63},
            {"q": ""}, {"q": "a\0"}, {"q": "x" * 201}, {"tag": ""}, {"engine": "\0"},
        ],
    )  # fmt: skip
    def test_absurd_queries(self, site: Site, query: dict[str, Any]) -> None:
        refused = site.error("GET", "/list", 422, query_string=query)
        assert [e["field"] for e in refused["data"]["errors"]] == list(query)

    def test_only_ones_own(self, site: Site) -> None:
        bea, cem = member(site, "bea"), member(site, "cem")
        mine = site.data("POST", "/start", site.request(), code=201, who=bea)["task_id"]
        assert site.data("GET", "/list", who=bea)["pagination"]["total"] == 1
        assert site.data("GET", "/list", who=cem)["pagination"]["total"] == 0
        for method, path in (
            ("GET", f"/{mine}"), ("GET", f"/{mine}/progress"), ("GET", f"/{mine}/logs"), ("POST", f"/stop/{mine}"),
            ("POST", f"/resume/{mine}"), ("POST", f"/restart/{mine}"), ("DELETE", f"/{mine}"),
            ("GET", f"/{mine}/artifacts"), ("GET", f"/{mine}/events"), ("GET", f"/{mine}/logs/stream"),
        ):  # fmt: skip
            site.error(method, path, 403, who=cem)
        assert site.get(f"/{mine}")["task_id"] == mine  # an admin may


class TestDetail:
    def test_a_queued_one(self, site: Site) -> None:
        detail = site.get(f"/{site.queued().id}")
        contract = (
            "config dataset command environment attempts progress metrics system_stats checkpoints completed_at"
            " logs_path error_message failure"
        )
        assert set(contract.split()) <= set(detail)
        assert detail["attempts"][0]["number"] == 1 and detail["attempts"][0]["pid"] is None
        assert set(detail["system_stats"]) == {
            "gpu_memory", "gpu_utilization", "gpu_temperature", "gpu_power", "cpu_percent", "rss_bytes",
        }  # fmt: skip
        assert detail["metrics"]["epoch_losses"] == detail["metrics"]["step_losses"] == detail["checkpoints"] == []
        assert (detail["command"], detail["failure"], detail["queue_position"]) == ([], None, 1)

    def test_a_running_one_on_a_gpu(self, site: Site) -> None:
        source = site.gpus(1)
        source.set(0, memory_used_mb=6144, utilization_percent=97, temperature_c=66, power_w=310.5)
        site.look()
        job = site.running(gpus=[0])
        site.prints(job, line(1, 0.5))
        detail = site.get(f"/{job.id}")
        stats = detail["system_stats"]
        assert stats["gpu_memory"] == {"total": 24576, "used": 6144, "free": 18432, "utilization": 25.0}
        assert (stats["gpu_utilization"], stats["gpu_temperature"], stats["gpu_power"]) == (97, 66, 310.5)
        assert (detail["gpu_id"], detail["gpu_name"]) == (0, "Fake GPU 24GB")
        source.set(0, memory_used_mb=0, utilization_percent=0)

    def test_a_failed_one(self, site: Site) -> None:
        failure = Failure("cuda_oom", "use a smaller batch", "CUDA out of memory")
        detail = site.get(f"/{site.ended(EndReason.EXIT_CODE, failure).id}")
        assert (detail["status"], detail["reason"]) == ("failed", "exit_code")
        assert detail["failure"] == {"kind": "cuda_oom", "hint": "use a smaller batch", "line": "CUDA out of memory"}
        assert detail["error_message"] == "use a smaller batch"
        assert ISO.fullmatch(detail["completed_at"])
        assert detail["attempts"][0]["reason"] == "exit_code"

    @pytest.mark.parametrize("path", ["", "/progress", "/metrics", "/metrics/names", "/logs",
                                      "/logs/stream", "/logs/search?keyword=x", "/events", "/checkpoints",
                                      "/artifacts", "/artifacts/x"])  # fmt: skip
    def test_an_unknown_one(self, site: Site, path: str) -> None:
        site.error("GET", f"/train_20260101_000000_00000000{path}", 404)


class TestProgress:
    def test_before_the_first_line(self, site: Site) -> None:
        queued = site.get(f"/{site.queued().id}/progress")
        assert {"task_id", "status", "phase", "progress", "metrics", "speed", "updated_at"} <= set(queued)
        assert queued["phase"] == "queued"
        assert {v for k, v in queued["progress"].items() if k != "total_steps_estimated"} == {None}
        assert set(queued["metrics"].values()) == set(queued["speed"].values()) == {None}
        assert site.get(f"/{site.running().id}/progress")["phase"] == "starting"

    def test_every_group_of_a_running_one(self, site: Site) -> None:
        job = site.running(config={"model": MODEL, "epochs": 4})
        site.prints(job, "".join(line(n, 1.0 / n) for n in range(1, 6)) + "Started new epoch: 2\n" + line(6, 0.5))
        seen = site.get(f"/{job.id}/progress")
        shown = seen["progress"]
        assert (seen["status"], seen["phase"]) == ("running", "training")
        assert (shown["current_epoch"], shown["total_epochs"]) == (2, 4)
        assert (shown["current_step"], shown["total_steps"], shown["total_steps_estimated"]) == (6, 20, True)
        assert (shown["current_batch"], shown["total_batches"], shown["epoch_progress"]) == (1, 5, 20.0)
        assert shown["overall_progress"] == 30.0
        assert (shown["eta_seconds"], shown["eta_formatted"]) == (3.5, "3s")
        assert shown["training_time"] >= 0 and re.fullmatch(r"\d+s", shown["training_time_formatted"])
        assert seen["metrics"]["current_loss"] == 0.5 and seen["metrics"]["best_loss"] == 0.2
        assert seen["speed"] == {"steps_per_second": 4.0, "samples_per_second": 4.0, "time_per_step": 0.25}
        assert ISO.fullmatch(seen["updated_at"])
        site.ended(job=job)
        after = site.get(f"/{job.id}/progress")
        assert (after["phase"], after["progress"]["overall_progress"]) == ("done", 100.0)
        assert after["speed"] == seen["speed"] and after["progress"]["eta_seconds"] is None

    def test_a_nan_is_null(self, site: Site) -> None:
        job = site.running()
        site.prints(job, line(1, "nan") + line(2, 0.5) + line(3, "inf") + line(4, "nan"))
        assert site.get(f"/{job.id}/progress")["metrics"] == {
            "current_loss": None, "best_loss": 0.5, "learning_rate": None, "grad_norm": None, "epoch_loss": None,
            "best_epoch": None,
        }  # fmt: skip
        values = [point["value"] for point in site.get(f"/{job.id}/metrics")["data"]]
        assert values == [None, 0.5, None, None]
        assert site.get(f"/{job.id}")["warnings"]


class TestMetrics:
    @pytest.fixture
    def job(self, site: Site) -> Any:
        job = site.running()
        site.prints(job, "".join(line(n, f"{1000 - n}.5") for n in range(1, 301)))
        return job

    def test_thinned_or_whole(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/metrics")
        assert {k: v for k, v in data.items() if k != "data"} == {
            "task_id": job.id, "metric": "loss", "type": "step", "total_points": 300, "downsampled": True,
        }  # fmt: skip
        assert 50 < len(data["data"]) <= 100
        assert (data["data"][0]["step"], data["data"][-1]["step"]) == (1, 300)
        assert set(data["data"][0]) == {"epoch", "step", "value", "timestamp"}
        whole = site.get(f"/{job.id}/metrics", limit=300)
        assert not whole["downsampled"] and [p["step"] for p in whole["data"]] == list(range(1, 301))
        for limit in (1, 2, 3):
            assert len(site.get(f"/{job.id}/metrics", limit=limit)["data"]) <= limit

    def test_the_last_ones(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/metrics", window="last", limit=5)
        assert [p["step"] for p in data["data"]] == [296, 297, 298, 299, 300]
        assert (data["downsampled"], data["total_points"]) == (False, 300)

    def test_since_a_step(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/metrics", since_step=290)
        assert [p["step"] for p in data["data"]] == list(range(290, 301)) and data["total_points"] == 11
        assert site.get(f"/{job.id}/metrics", since_step=2**63 - 1)["data"] == []

    def test_epochs(self, site: Site) -> None:
        job = site.running()
        site.prints(job, line(1, 1.0) + line(2, 3.0) + "Started new epoch: 2\n" + line(3, 5.0))
        data = site.get(f"/{job.id}/metrics", type="epoch")
        assert [(p["epoch"], p["step"], p["value"]) for p in data["data"]] == [(1, None, 2.0), (2, None, 5.0)]

    def test_names_and_what_was_not_recorded(self, site: Site, job: Any) -> None:
        rows = site.get(f"/{job.id}/metrics/names")["metrics"]
        assert {"loss"} <= {row["name"] for row in rows}
        assert next(row for row in rows if row["name"] == "loss")["points"] == 300
        assert site.get(f"/{job.id}/metrics", metric="nothing")["data"] == []

    def test_csv(self, site: Site, job: Any) -> None:
        response = site.call("GET", f"/{job.id}/metrics", query_string={"format": "csv", "limit": 1000})
        assert response.mimetype == "text/csv" and job.id in response.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert len(rows) == 300 and (rows[0]["step"], rows[0]["value"]) == ("1", "999.5")

    def test_attempts(self, site: Site, job: Any) -> None:
        site.ended(EndReason.STOPPED_BY_USER, job=job)
        site.data("POST", f"/restart/{job.id}")
        again = site.running(site.job(job.id))
        site.prints(again, line(1, 0.25))
        assert [p["value"] for p in site.get(f"/{job.id}/metrics")["data"]] == [0.25]
        assert site.get(f"/{job.id}/metrics", attempt=1)["total_points"] == 300
        assert site.get(f"/{job.id}/metrics/names", attempt=1)["metrics"][0]["points"] == 300
        site.error("GET", f"/{job.id}/metrics?attempt=3", 404)

    @pytest.mark.parametrize("query", ["limit=0", "limit=10001", "type=minute", "window=first", "format=xml", "metric=",
                                       "since_step=-1", "attempt=0", "attempt=x", "metric=%00"])  # fmt: skip
    def test_absurd_queries(self, site: Site, job: Any, query: str) -> None:
        refused = site.error("GET", f"/{job.id}/metrics?{query}", 422)
        assert refused["data"]["errors"][0]["field"] == query.partition("=")[0]


class TestLogs:
    @pytest.fixture
    def job(self, site: Site) -> Any:
        job = site.running()
        site.prints(job, "".join(f"line {n}\n" for n in range(1, 151)))
        site.prints(job, "WARNING: beware\nRuntimeError: it broke\n" + line(1, 0.5))
        return job

    def test_the_tail(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/logs")
        assert set(data) == {"task_id", "log_file", "total_lines", "next_cursor", "logs"}
        assert data["log_file"].endswith(f"{job.id}.log") and os.path.exists(data["log_file"])
        assert data["total_lines"] == 153
        assert [row["line_number"] for row in data["logs"]] == list(range(54, 154))
        assert data["logs"][-1]["step"] == 1 and data["logs"][0]["message"] == "line 54"
        assert [r["line_number"] for r in site.get(f"/{job.id}/logs", tail=2)["logs"]] == [152, 153]
        assert len(site.get(f"/{job.id}/logs", tail=10_000)["logs"]) == 153

    def test_no_tail_but_where_it_ends(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/logs", tail=0)
        assert data["logs"] == []
        site.prints(job, "news\n")
        after = site.get(f"/{job.id}/logs", offset=data["next_cursor"])
        assert [row["message"] for row in after["logs"]] == ["news"]

    def test_pages_by_cursor(self, site: Site, job: Any) -> None:
        seen, cursor = [], 0
        while True:
            page = site.get(f"/{job.id}/logs", offset=cursor, limit=40)
            if not page["logs"]:
                assert page["next_cursor"] == cursor
                break
            seen += [row["line_number"] for row in page["logs"]]
            cursor = page["next_cursor"]
        assert seen == list(range(1, 154))
        assert site.get(f"/{job.id}/logs", offset=2**62)["logs"] == []

    def test_levels_and_types(self, site: Site, job: Any) -> None:
        assert [r["level"] for r in site.get(f"/{job.id}/logs", level="WARNING")["logs"]] == ["WARNING", "ERROR"]
        assert [r["message"] for r in site.get(f"/{job.id}/logs", level="ERROR")["logs"]] == ["RuntimeError: it broke"]
        assert site.get(f"/{job.id}/logs", type="eval")["logs"] == []
        assert len(site.get(f"/{job.id}/logs", type="all", tail=1000)["logs"]) == 153

    def test_since(self, site: Site, job: Any) -> None:
        for since in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", "2026-01-01T00:00:00+05:30"):
            assert site.get(f"/{job.id}/logs", since=since)["logs"], since
        assert site.get(f"/{job.id}/logs", since="2999-01-01T00:00:00Z")["logs"] == []
        for extreme in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            site.get(f"/{job.id}/logs", since=extreme)

    def test_controls_and_bad_bytes_are_cleaned(self, site: Site) -> None:
        job = site.running()
        site.prints(job, b"\x1b[31mred\x1b[0m \xff\xfe\x00 end\n10%\r20%\r30%\n")
        first, bar = site.get(f"/{job.id}/logs")["logs"]
        assert first["message"] == "red \ufffd\ufffd end" and bar["message"] == "30%"

    @pytest.mark.parametrize("query", ["tail=-1", "tail=10001", "level=LOUD", "type=x", "since=yesterday",
                                       "since=", "offset=-1", "offset=9223372036854775808",
                                       "limit=0", "limit=10001"])  # fmt: skip
    def test_absurd_queries(self, site: Site, job: Any, query: str) -> None:
        refused = site.error("GET", f"/{job.id}/logs?{query}", 422)
        assert refused["data"]["errors"][0]["field"] == query.partition("=")[0]

    def test_search(self, site: Site, job: Any) -> None:
        found = site.get(f"/{job.id}/logs/search", keyword="LINE 14")
        assert set(found) == {"task_id", "query", "total_matches", "complete", "next_line", "results"}
        assert (found["total_matches"], found["complete"]) == (11, True)  # 14 and 140 to 149
        assert {"timestamp", "level", "type", "message", "line_number", "matched_text"} <= set(found["results"][0])
        assert found["results"][0]["matched_text"] == "line 14"
        limited = site.get(f"/{job.id}/logs/search", keyword="line", limit=3)
        assert (limited["total_matches"], len(limited["results"])) == (150, 3)
        pattern = site.get(f"/{job.id}/logs/search", keyword=r"line \d{3}$", regex="true")
        assert pattern["total_matches"] == 51
        assert site.get(f"/{job.id}/logs/search", keyword=r"line \d", regex="false")["total_matches"] == 0
        assert site.get(f"/{job.id}/logs/search", keyword="broke", level="ERROR")["total_matches"] == 1
        query = {"keyword": "line", "start_time": "2026-01-01T00:00:00Z"}
        assert site.get(f"/{job.id}/logs/search", **query)["total_matches"] == 150
        assert site.get(f"/{job.id}/logs/search", **query, end_time="2026-01-02T00:00:00Z")["total_matches"] == 0

    @pytest.mark.parametrize("keyword", ["(", "[a", "a**", r"\p{x}", "(?R", "a{99999999999999999999}", "(" * 400,
                                         "(?:a{1000}){1000}", "(?:(?:ab{300}c){300}){300}", "(?x)a", "a{100001}",
                                         "(" * 400 + ")" * 400])  # fmt: skip
    def test_what_is_no_regex_or_too_much_of_one(self, site: Site, job: Any, keyword: str) -> None:
        query = {"keyword": keyword, "regex": "true"}
        refused = site.error("GET", f"/{job.id}/logs/search", 422, query_string=query)
        assert refused["data"]["errors"][0]["field"] == "keyword"

    @pytest.mark.parametrize("query", ["", "keyword=", "keyword=%00", "keyword=x&regex=maybe", "keyword=x&start_time=x",
                                       "keyword=x&limit=0", "keyword=" + "x" * 1001])  # fmt: skip
    def test_absurd_searches(self, site: Site, job: Any, query: str) -> None:
        site.error("GET", f"/{job.id}/logs/search?{query}", 422)

    def test_counts_that_are_no_bomb(self, site: Site, job: Any) -> None:
        uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        for keyword in (r"(?:\d{1,3}\.){3}\d{1,3}", f"{uuid} {uuid} {uuid}", "(?i:LINE) 7$", "(?:a{0,9999}){0,9999}~"):
            found = site.get(f"/{job.id}/logs/search", keyword=keyword, regex="true")
            assert found["total_matches"] == ("LINE" in keyword)

    def test_a_catastrophic_one_ends(self, site: Site, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history, "SEARCH_SECONDS", 0.3)
        site.prints(job, "a" * 5000 + "!\n")
        began = time.monotonic()
        found = site.get(f"/{job.id}/logs/search", keyword="(a|aa)+$", regex="true")
        assert found["complete"] is False and time.monotonic() - began < 5

    def test_secrets_are_not_in_lines(self, site: Site) -> None:
        job = site.running(config={"model": MODEL, "monitoring": {"wandb_api_key": "abcdef0123456789"}})
        site.prints(job, "logging in with abcdef0123456789\n")
        assert "abcdef0123456789" not in site.call("GET", f"/{job.id}/logs").text
        assert site.get(f"/{job.id}/logs/search", keyword="abcdef0123456789")["total_matches"] == 0


class TestStop:
    def test_a_queued_one_at_once(self, site: Site) -> None:
        job = site.queued()
        data = site.data("POST", f"/stop/{job.id}")
        assert set(data) == {
            "task_id", "status", "stop_requested_at", "stopped_at", "checkpoint_saved", "last_checkpoint",
            "training_time", "grace_seconds",
        }  # fmt: skip
        assert (data["status"], data["checkpoint_saved"], data["training_time"]) == ("stopped", False, None)
        assert ISO.fullmatch(data["stopped_at"])
        assert site.error("POST", f"/stop/{job.id}", 409)["data"] == {"task_id": job.id}

    def test_a_running_one_answers_what_is_true(self, site: Site) -> None:
        job = site.running()
        site.saves(job, 16)
        data = site.data("POST", f"/stop/{job.id}?wait=0", {"force": False})
        assert (data["status"], data["stopped_at"]) == ("running", None)
        assert ISO.fullmatch(data["stop_requested_at"]) and data["grace_seconds"] >= 1
        assert data["last_checkpoint"] == "global_step16"
        assert site.get(f"/{job.id}/progress")["stop_requested_at"] == data["stop_requested_at"]
        assert not site.job(job.id).stop_forced
        site.data("POST", f"/stop/{job.id}?wait=0", {"force": True})
        assert site.job(job.id).stop_forced
        site.data("POST", f"/stop/{job.id}?wait=0", {"force": False})  # a second request can only add force
        assert site.job(job.id).stop_forced

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"force":null}'])
    @pytest.mark.parametrize("kind", [None, "application/json"])
    def test_bodies_that_say_nothing(self, site: Site, body: bytes, kind: str | None) -> None:
        if body and kind is None:
            site.error("POST", f"/stop/{site.queued().id}", 415, data=body)
        else:
            assert site.data("POST", f"/stop/{site.queued().id}", data=body, content_type=kind)["status"] == "stopped"

    @pytest.mark.parametrize("body", [{"force": 1}, {"force": "true"}, {"surprise": 1}, [], "x"])
    def test_bodies_that_cannot_be(self, site: Site, body: Any) -> None:
        job = site.queued()
        site.error("POST", f"/stop/{job.id}", 422, body)
        assert site.job(job.id).status == "queued"

    @pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "x", "", "1_0", "1e3", "1e999"])
    def test_absurd_waits(self, site: Site, wait: str) -> None:
        site.error("POST", f"/stop/{site.queued().id}?wait={wait}", 422)

    def test_unknown(self, site: Site) -> None:
        site.error("POST", "/stop/nobody", 404)


class TestResumeRestartDelete:
    def test_resume(self, site: Site) -> None:
        job = site.running()
        site.error("POST", f"/resume/{job.id}", 409)
        site.ended(EndReason.STOPPED_BY_USER, job=job)
        assert "no checkpoint" in site.error("POST", f"/resume/{job.id}", 409)["message"]
        site.saves(job, 8)
        site.saves(job, 16)
        assert "global_step8" in site.error("POST", f"/resume/{job.id}", 404, {"checkpoint": "global_step9"})["message"]
        data = site.data("POST", f"/resume/{job.id}", {"checkpoint": "global_step8"})
        assert (data["task_id"], data["status"]) == (job.id, "queued")
        assert [a["resume_from"] for a in site.get(f"/{job.id}")["attempts"]] == [None, "global_step8"]
        site.error("POST", f"/resume/{job.id}", 409)
        site.error("POST", "/resume/nobody", 404)

    def test_resume_from_the_newest(self, site: Site) -> None:
        job = site.ended(EndReason.LOST, Failure("lost", "resume it"))
        for step in (8, 16):
            site.saves(job, step)
        site.data("POST", f"/resume/{job.id}", {"checkpoint": None})
        detail = site.get(f"/{job.id}")
        assert detail["attempts"][1]["resume_from"] == "global_step16"
        assert (detail["failure"], detail["error_message"], detail["completed_at"]) == (None, None, None)

    @pytest.mark.parametrize("body", [{"checkpoint": 5}, {"checkpoint": ""}, {"checkpoint": "a\0"}, {"x": 1}, []])
    def test_resume_422(self, site: Site, body: Any) -> None:
        site.error("POST", f"/resume/{site.ended().id}", 422, body)

    def test_restart(self, site: Site) -> None:
        job = site.running()
        site.error("POST", f"/restart/{job.id}", 409)
        site.ended(job=job)
        assert site.data("POST", f"/restart/{job.id}")["status"] == "queued"
        attempts = site.get(f"/{job.id}")["attempts"]
        assert [a["series"] for a in attempts] == [1, 2]
        assert attempts[0]["output_dir"] != attempts[1]["output_dir"]
        site.error("POST", "/restart/nobody", 404)

    def test_delete(self, site: Site) -> None:
        job = site.running()
        site.prints(job, "x\n")
        output = site.output(job)
        site.error("DELETE", f"/{job.id}", 409)
        site.ended(job=job)
        log = Path(site.get(f"/{job.id}")["logs_path"])
        assert site.data("DELETE", f"/{job.id}") == {"task_id": job.id}
        assert output.exists() and not log.exists()
        site.error("DELETE", f"/{job.id}", 404)
        site.error("GET", f"/{job.id}", 404)

    def test_delete_with_files(self, site: Site) -> None:
        job = site.ended()
        output = site.output(job)
        assert site.error("DELETE", f"/{job.id}?files=maybe", 422)["data"]["errors"][0]["field"] == "files"
        site.data("DELETE", f"/{job.id}?files=true")
        assert not output.exists()

    def test_a_queued_one_may_go(self, site: Site) -> None:
        site.data("DELETE", f"/{site.queued().id}")


class TestArtifacts:
    @pytest.fixture
    def job(self, site: Site) -> Any:
        job = site.ended()
        site.saves(job, 8)
        site.saves(job, 2, kind="weights")
        (site.output(job) / "letters.txt").write_bytes(b"abcdefghij")
        return job

    def test_checkpoints(self, site: Site, job: Any) -> None:
        rows = site.get(f"/{job.id}/checkpoints")["checkpoints"]
        assert [(r["name"], r["kind"], r["step"], r["epoch"]) for r in rows] == [
            ("global_step8", "state", 8, None), ("epoch2", "weights", None, 2),
        ]  # fmt: skip
        assert rows[1]["size_bytes"] >= 2048 and os.path.isabs(rows[0]["path"]) and ISO.fullmatch(rows[0]["timestamp"])
        assert site.get(f"/{job.id}")["checkpoints"] == rows

    def test_the_list(self, site: Site, job: Any) -> None:
        data = site.get(f"/{job.id}/artifacts")
        paths = {row["path"]: row["size_bytes"] for row in data["artifacts"]}
        assert paths["letters.txt"] == 10
        assert paths["20261121_10-49-58/epoch2/adapter_model.safetensors"] == 2048
        assert data["directory"] == str(site.output(job)) and data["truncated"] is False
        assert site.get(f"/{site.queued().id}/artifacts")["artifacts"] == []

    def test_downloads(self, site: Site, job: Any) -> None:
        response = site.call("GET", f"/{job.id}/artifacts/letters.txt")
        assert (response.status_code, response.data) == (200, b"abcdefghij")
        assert response.mimetype == "application/octet-stream"
        assert response.headers["Accept-Ranges"] == "bytes"
        assert 'filename="letters.txt"' in response.headers["Content-Disposition"]
        deep = site.call("GET", f"/{job.id}/artifacts/20261121_10-49-58/epoch2/adapter_model.safetensors")
        assert deep.status_code == 200 and len(deep.data) == 2048
        head = site.call("HEAD", f"/{job.id}/artifacts/letters.txt")
        assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", "10")

    @pytest.mark.parametrize(
        ("header", "wanted", "span"),
        [("bytes=0-3", b"abcd", "0-3"), ("bytes=7-", b"hij", "7-9"), ("bytes=-2", b"ij", "8-9"),
         ("bytes=5-999", b"fghij", "5-9")],
    )  # fmt: skip
    def test_ranges(self, site: Site, job: Any, header: str, wanted: bytes, span: str) -> None:
        response = site.call("GET", f"/{job.id}/artifacts/letters.txt", headers={"Range": header})
        assert (response.status_code, response.data) == (206, wanted)
        assert response.headers["Content-Range"] == f"bytes {span}/10"

    def test_a_range_beyond_the_end(self, site: Site, job: Any) -> None:
        response = site.call("GET", f"/{job.id}/artifacts/letters.txt", headers={"Range": "bytes=10-"})
        assert response.status_code == 416 and response.headers["Content-Range"] == "bytes */10"
        assert envelope(response)["data"] is None

    def test_conditions(self, site: Site, job: Any) -> None:
        path = f"/{job.id}/artifacts/letters.txt"
        tag = site.call("GET", path).headers["ETag"]
        assert site.call("GET", path, headers={"If-Match": tag}).status_code == 200
        refused = site.call("GET", path, headers={"If-Match": '"another"'})
        assert refused.status_code == 412 and envelope(refused)
        assert site.call("GET", path, headers={"If-None-Match": tag}).status_code == 304
        partial = {"Range": "bytes=0-0", "If-Range": '"another"'}
        assert site.call("GET", path, headers=partial).status_code == 200
        assert site.call("GET", path, headers={**partial, "If-Range": tag}).status_code == 206

    def test_nothing_leads_out(self, site: Site, job: Any) -> None:
        output = site.output(job)
        (output / "link.txt").symlink_to("/etc/passwd")
        (output / "up").symlink_to("/etc")
        os.mkfifo(output / "pipe")
        listed = {row["path"] for row in site.get(f"/{job.id}/artifacts")["artifacts"]}
        assert not listed & {"link.txt", "up/passwd", "pipe"}
        for path in ("link.txt", "up/passwd", "pipe", "../x", "..%2f..%2fservice.lock", "%2e%2e/x", "a//b", "%00",
                     "x%00y", "/etc/passwd", "20261121_10-49-58", "letters.txt/", "nothing",
                     "x" * 300, "x/" * 2000 + "x"):  # fmt: skip
            site.error("GET", f"/{job.id}/artifacts/{path}", 404)

    def test_a_name_that_is_no_text(self, site: Site, job: Any) -> None:
        with open(os.fsencode(site.output(job)) + b"/\xff.bin", "wb"):
            pass
        assert "?.bin" in [row["path"] for row in site.get(f"/{job.id}/artifacts")["artifacts"]]

    def test_a_copied_configuration_keeps_its_secret(self, site: Site) -> None:
        job = site.ended(job=site.running(config={"model": MODEL, "monitoring": {"wandb_api_key": "abc12"}}))
        text = '[monitoring]\nwandb_api_key = "abc12"\n[model]\ntype = "sdxl"\n'
        (site.output(job) / "run.toml").write_text(text)
        response = site.call("GET", f"/{job.id}/artifacts/run.toml")
        assert response.status_code == 200 and 'filename="run.toml"' in response.headers["Content-Disposition"]
        assert toml.loads(response.text) == {"monitoring": {"wandb_api_key": "***"}, "model": {"type": "sdxl"}}

    def test_of_another_attempt(self, site: Site, job: Any) -> None:
        site.data("POST", f"/restart/{job.id}")
        assert site.get(f"/{job.id}/artifacts")["artifacts"] == []
        assert site.get(f"/{job.id}/artifacts", attempt=1)["artifacts"]
        assert site.call("GET", f"/{job.id}/artifacts/letters.txt?attempt=1").status_code == 200
        site.error("GET", f"/{job.id}/artifacts?attempt=9", 404)
        site.error("GET", f"/{job.id}/artifacts?attempt=0", 422)


class TestStreams:
    """What a stream says to the end; that it lives while a job runs is for tests/acceptance/."""

    def test_logs(self, site: Site) -> None:
        job = site.running()
        site.prints(job, "".join(f"line {n}\n" for n in range(1, 61)))
        site.ended(job=job)
        response = site.call("GET", f"/{job.id}/logs/stream")
        assert response.mimetype == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store" and response.headers["X-Accel-Buffering"] == "no"
        ids = re.findall(r"^id: (\d+)$", response.text, re.MULTILINE)
        assert len(ids) == 50 and '"message":"line 11"' in response.text and '"line 10"' not in response.text
        assert response.text.rstrip().endswith('event: end\ndata: {"status":"completed"}')
        after = site.call("GET", f"/{job.id}/logs/stream", headers={"Last-Event-ID": ids[-2]})
        assert re.findall(r'"message":"([^"]*)"', after.text) == ["line 60"]
        only = site.call("GET", f"/{job.id}/logs/stream?level=ERROR")
        assert "message" not in only.text and "event: end" in only.text

    def test_events(self, site: Site) -> None:
        job = site.running()
        site.prints(job, line(1, "nan"))
        site.ended(job=job)
        response = site.call("GET", f"/{job.id}/events")
        assert "event: progress\nid: " in response.text and "event: end" in response.text
        everything = site.call("GET", f"/{job.id}/events", headers={"Last-Event-ID": "0"}).text
        assert {"status", "progress", "metric", "log", "end"} <= set(re.findall(r"^event: (\w+)$", everything, re.M))
        assert "NaN" not in everything

    @pytest.mark.parametrize("bad", ["x", "-1", "1.5", "9" * 30, "٣"])
    def test_an_id_that_no_stream_sent(self, site: Site, bad: str) -> None:
        job = site.ended()
        for path in (f"/{job.id}/logs/stream", f"/{job.id}/events", "/events"):
            site.error("GET", path, 422, headers={"Last-Event-ID": bad.encode().decode("latin-1")})

    def test_heads_end_at_once(self, site: Site) -> None:
        job = site.running()
        for path in (f"/{job.id}/logs/stream", f"/{job.id}/events", "/events"):
            response = site.call("HEAD", path)
            assert (response.status_code, response.data) == (200, b"")
        assert site.services.streams.open == 0
