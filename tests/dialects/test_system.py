"""The machine, the engines, and what machines watch (contracts 1 and 6)."""

from __future__ import annotations

import pytest

from tests.dialects.conftest import Site


def test_overview(site: Site) -> None:
    site.gpus(2)
    site.queued()
    site.running(gpu_id=0, gpus=[0])
    site.ended(job=site.running(gpus=[1]))
    data = site.get("/api/v1/system/overview")
    assert set(data) == {"system", "gpus", "tasks", "queue", "executor", "uptime", "version"}
    assert set(data["system"]) == {
        "cpu_count", "cpu_usage", "memory_total", "memory_used", "memory_available", "disk_total", "disk_used",
        "disk_free",
    }  # fmt: skip
    assert data["system"]["memory_total"] >= data["system"]["memory_available"] > 0
    assert data["gpus"] == {"total": 2, "available": 1, "busy": 1}
    assert data["tasks"] == {"total": 3, "queued": 1, "running": 1, "completed": 1, "failed": 0, "stopped": 0}
    assert data["queue"]["waiting"] == 1 and data["queue"]["oldest_wait_seconds"] >= 0
    assert (data["executor"], data["version"]) == ("local", site.services.version)


def test_overview_of_nothing(site: Site) -> None:
    data = site.get("/api/v1/system/overview")
    assert data["queue"] == {"waiting": 0, "oldest_wait_seconds": None} and data["tasks"]["total"] == 0


def test_engines(site: Site) -> None:
    engine = next(e for e in site.get("/api/v1/engines")["engines"] if e["name"] == "diffusion_pipe")
    assert set(engine) == {"name", "available", "version", "reason", "parameters"}
    assert (engine["available"], engine["version"], engine["reason"]) == (True, "bundled", None)
    parameters = engine["parameters"]
    assert parameters["$schema"].startswith("https://json-schema.org/")
    assert parameters["required"] == ["model_type", "dataset"]
    assert parameters["x-model-types"]["sdxl"]["required"] == ["checkpoint_path"]
    site.documented.fit(parameters, site.request())


def test_an_engine_that_is_not_installed_says_how_to_get_it(site: Site) -> None:
    engine = next(e for e in site.get("/api/v1/engines")["engines"] if e["name"] == "kraken")
    assert not engine["available"] and "make kraken" in engine["reason"]
    assert engine["parameters"]["required"] == ["task", "model_id", "document_ids"]


def test_the_script_engine_is_listed(site: Site) -> None:
    engine = next(e for e in site.get("/api/v1/engines")["engines"] if e["name"] == "script")
    assert (engine["available"], engine["reason"]) == (True, None) and engine["version"].startswith("env-")
    parameters = engine["parameters"]
    site.documented.fit(parameters, {"script_path": "/w/train.py", "args": ["--lr", "1e-3"], "framework": "pytorch"})
    with pytest.raises(AssertionError):
        site.documented.fit(parameters, {"script_path": "train.py"})


def test_health(site: Site) -> None:
    for path in ("/healthz", "/readyz"):
        response = site.call("GET", path)
        assert (response.status_code, response.get_json()) == (200, {"status": "ok"})  # never wrapped
    site.services.supervisor._last_turn -= 1000
    response = site.call("GET", "/readyz")
    assert response.status_code == 503 and "scheduler" in response.get_json()["status"]
    site.services.supervisor._last_turn += 1000


def test_metrics(site: Site) -> None:
    site.gpus(1)
    site.queued()
    response = site.call("GET", "/metrics")
    assert response.mimetype == "text/plain"
    assert 'trainyard_jobs{engine="diffusion_pipe",status="queued"} 1.0' in response.text
    assert 'trainyard_gpu_memory_total_bytes{gpu="0",uuid="GPU-fake-0000"}' in response.text


def test_methods_that_clients_make_up_are_measured_as_one(site: Site) -> None:
    for number in range(5):
        assert site.call(f"X{number}", "/api/v1/engines").status_code == 405
    told = site.call("GET", "/metrics").text
    assert 'method="other",route="-"' in told and 'method="X' not in told
