"""GPU routes (contract 1): without any, and with eight of every sort."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.conftest import Site

FIELDS = (
    "gpu_id uuid name memory_total memory_used memory_free memory_utilization utilization_gpu temperature power_usage"
    " power_limit status drained current_task task_type task_progress estimated_remaining_time processes driver_version"
    " cuda_version"
)
LOST, BUSY, LEASED, SMALL = 7, 2, 1, 3


@pytest.fixture
def eight(site: Site) -> Any:
    """GPU 7 is lost, a stranger is on 2, a job of ours on 1, somebody's desktop on 3."""
    source = site.gpus(8)
    source.lose(LOST)
    source.occupy(BUSY, 4312, 8000, "python")
    source.occupy(SMALL, 999, 300, "Xorg")
    site.look()
    job = site.running(gpu_id=LEASED, gpus=[LEASED])
    source.set(LEASED, memory_used_mb=12_288, utilization_percent=99, temperature_c=70, power_w=301.5)
    site.look()
    steps = (f"steps: {n} loss: 0.5 iter time (s): 2.0 samples/sec: 4.000\n" for n in range(1, 6))
    site.prints(job, "".join(steps) + "Started new epoch: 2\n")
    yield job
    source.recover(LOST)
    source.resize(0)


class TestNone:
    def test_it_is_never_an_error(self, site: Site) -> None:
        zeros = dict.fromkeys(("total_gpus", "available_gpus", "busy_gpus", "total_memory", "available_memory"), 0)
        assert site.get("/api/v1/gpu/status") == {"gpus": [], "summary": zeros, "driver": None}
        assert site.get("/api/v1/gpu/summary") == zeros
        assert site.get("/api/v1/gpu/available") == {"available_gpus": [], "total_available": 0}
        site.error("GET", "/api/v1/gpu/0/details", 404)


class TestEight:
    def test_status(self, site: Site, eight: Any) -> None:
        data = site.get("/api/v1/gpu/status")
        gpus = data["gpus"]
        assert all(set(gpu) == set(FIELDS.split()) for gpu in gpus)
        assert [gpu["gpu_id"] for gpu in gpus] == list(range(8)) and data["driver"] == "000.00"
        wanted = {LEASED: "training", BUSY: "busy", LOST: "unknown"}
        assert [gpu["status"] for gpu in gpus] == [wanted.get(i, "available") for i in range(8)]
        assert data["summary"] == site.get("/api/v1/gpu/summary") == {
            "total_gpus": 8, "available_gpus": 5, "busy_gpus": 2, "total_memory": 8 * 24576,
            "available_memory": 5 * 24576 - 300,
        }  # fmt: skip

    def test_a_leased_one(self, site: Site, eight: Any) -> None:
        gpu = site.get("/api/v1/gpu/status")["gpus"][LEASED]
        assert (gpu["current_task"], gpu["task_type"]) == (eight.id, "diffusion_pipe")
        assert (gpu["memory_used"], gpu["memory_free"], gpu["memory_utilization"]) == (12288, 12288, 50.0)
        assert (gpu["utilization_gpu"], gpu["temperature"], gpu["power_usage"]) == (99, 70, 301.5)
        assert gpu["task_progress"] == round(100 * 5 / 300, 2)
        assert gpu["estimated_remaining_time"] == 590.0

    def test_a_strangers(self, site: Site, eight: Any) -> None:
        gpu = site.get("/api/v1/gpu/status")["gpus"][BUSY]
        assert gpu["processes"] == [{"pid": 4312, "name": "python", "memory_mb": 8000, "run_id": None}]
        assert (gpu["current_task"], gpu["driver_version"], gpu["cuda_version"]) == (None, "000.00", "0.0")

    def test_a_lost_one(self, site: Site, eight: Any) -> None:
        gpu = site.get(f"/api/v1/gpu/{LOST}/details")
        assert (gpu["name"], gpu["memory_used"], gpu["temperature"]) == ("Fake GPU 24GB", None, None)

    def test_available(self, site: Site, eight: Any) -> None:
        data = site.get("/api/v1/gpu/available")
        assert [gpu["gpu_id"] for gpu in data["available_gpus"]] == [0, 4, 5, 6, SMALL]
        assert data["total_available"] == 5
        assert data["available_gpus"][0] == {
            "gpu_id": 0, "name": "Fake GPU 24GB", "memory_total": 24576, "memory_free": 24576, "status": "available",
            "recommended_for": ["yolo", "ocr", "captioning", "lora-sdxl", "lora-video"],
        }  # fmt: skip
        assert site.get("/api/v1/gpu/available", min_memory=24_400)["total_available"] == 4
        assert site.get("/api/v1/gpu/available", min_memory=10**9)["total_available"] == 0
        assert site.get("/api/v1/gpu/available", task_type="lora-video")["total_available"] == 5
        assert site.get("/api/v1/gpu/available", task_type="full-finetune")["total_available"] == 0
        for word in ("training", "preprocessing"):  # as `status` has them
            assert site.get("/api/v1/gpu/available", task_type=word)["total_available"] == 5

    @pytest.mark.parametrize("query", ["min_memory=-1", "min_memory=x", "min_memory=99999999999", "task_type="])
    def test_absurd_queries(self, site: Site, query: str) -> None:
        site.error("GET", f"/api/v1/gpu/available?{query}", 422)

    def test_details(self, site: Site, eight: Any) -> None:
        data = site.get("/api/v1/gpu/0/details")
        assert set(data) == {*FIELDS.split(), "history"}
        assert set(data["history"][-1]) == {"timestamp", "memory_used", "utilization_gpu", "temperature", "power_usage"}

    @pytest.mark.parametrize("path", ["8", "9" * 9, "9" * 30, "-1", "x", "1.0", "01", "%D9%A1", "0x1"])
    def test_ids_that_are_none(self, site: Site, eight: Any, path: str) -> None:
        site.error("GET", f"/api/v1/gpu/{path}/details", 404)

    def test_a_driver_that_does_not_answer(self, site: Site, eight: Any) -> None:
        monitor = site.services.gpus.monitor
        taken, snapshot = monitor._latest or (0.0, None)
        assert snapshot is not None
        monitor._latest = (taken - 2 * 10.0**6, snapshot)
        assert {gpu["status"] for gpu in site.get("/api/v1/gpu/status")["gpus"]} == {"unknown"}
        assert site.get("/api/v1/gpu/available")["total_available"] == 0
        response = site.call("POST", "/start", site.request())
        assert response.status_code == 503 and int(response.headers["Retry-After"]) > 0
