"""Models through a real service: crashes in between, uploads of any size, a child that hangs or is left behind."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.harness import Service, wait_for
from tests.unit.yolo_models import packed

Maker = Callable[..., Service]
FACTS: dict[str, Any] = {
    "task": "detect", "classes": ["a"], "imgsz": 64, "epochs": 1, "base_model": None,
    "model_info": {"task": "detect", "model_type": "x", "total_params": 1, "trainable_params": 1, "total_params_m": 0},
    "metrics": {}, "series": {},
}  # fmt: skip


def interpreter(home: Path, script: str) -> str:
    """One that seems to have ultralytics, and does this in the child's place."""
    (home / "lib" / "python3.11" / "site-packages" / "ultralytics-8.4.190.dist-info").mkdir(parents=True)
    python = home / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    python.chmod(0o755)
    return str(python)


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, str]:
    """Any weights are found good at once."""
    return {"TRAINYARD_YOLO_PYTHON": interpreter(tmp_path / "quick", f"echo '{json.dumps(FACTS)}' > facts.json")}


def upload(service: Service, size: int = 1000) -> Any:
    content = packed({"weights/best.pt": b"x" * size})
    return service.call("POST", "/api/v1/models/upload", files={"file": ("x.zip", content)})


def places(service: Service) -> list[str]:
    """What lies among the models; a folder of drafts must be empty."""
    root = service.data / "models"
    names = {path.name for path in root.iterdir()} if root.exists() else set()
    assert ".drafts" not in names or list((root / ".drafts").iterdir()) == []
    return sorted(names - {".drafts"})


@pytest.mark.slow
@pytest.mark.parametrize("point", ["model.checked", "model.named", "model.removed"])
def test_a_crash_leaves_nothing_half(make_service: Maker, quick: dict[str, str], point: str) -> None:
    """F38."""
    service = make_service(environ=quick).start(fault=point)
    with contextlib.suppress(httpx.TransportError):  # the answer dies with the service
        made = upload(service).expect(200)["model_id"]
        service.call("DELETE", f"/api/v1/models/{made}")
    assert service.wait_dead() == -signal.SIGKILL
    service.start()
    assert service.get("/api/v1/models")["models"] == [] and places(service) == []
    made = upload(service).expect(200)["model_id"]
    assert places(service) == [made] and list((service.data / "tmp").iterdir()) == []


def test_a_child_does_not_outlive_its_service(make_service: Maker, tmp_path: Path) -> None:
    python = interpreter(tmp_path / "slow", "exec sleep 60")
    service = make_service(environ={"TRAINYARD_YOLO_PYTHON": python}).start()
    parent = psutil.Process(service.pid)
    with contextlib.suppress(httpx.TimeoutException):
        files = {"file": ("x.zip", packed({"weights/best.pt": b"x"}))}
        httpx.post(f"{service.url}/models/upload", files=files, timeout=0.5)
    (child,) = wait_for(lambda: [p for p in parent.children() if "sleep" in p.cmdline()], 10)
    assert service.terminate(30) == 0
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    service.start()
    assert places(service) == []
