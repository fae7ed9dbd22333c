"""The service itself stays small: no training library is ever in its memory, whatever it has trained."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.acceptance.harness import Service

HEAVY = (
    "torch", "torchvision", "numpy", "scipy", "pandas", "PIL", "cv2", "ultralytics", "kraken", "lightning",
    "tensorflow", "transformers", "deepspeed", "safetensors",
)  # fmt: skip
MOST_MEMORY = 120 * 2**20


def heavy_in(pid: int) -> set[str]:
    """Packages of HEAVY that a process has files of in its memory."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    return {name for name in HEAVY if f"/{name}/" in maps or f"/{name}.libs/" in maps}


def test_nothing_heavy_after_a_training(service: Service) -> None:
    job = service.submit(epochs=1)
    service.wait_status(job, "completed")
    for path in (f"/{job}", f"/{job}/metrics", f"/{job}/logs", f"/{job}/artifacts", "/api/v1/engines", "/metrics"):
        service.call("GET", path).expect(200)
    assert service.get("/api/v1/openapi.json")["openapi"].startswith("3.1")
    assert heavy_in(service.pid) == set()


def test_idle_memory(service: Service) -> None:
    assert psutil.Process(service.pid).memory_full_info().pss < MOST_MEMORY
