"""A real service in a process of its own, with registered models of random weights, and the real inference process."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api import app as composition
from api.services.gpus.fake import FakeSource
from api.settings import load
from tests.acceptance.harness import Service, wait_for
from tests.infer.models import add_model, make_weights

PYTHON = os.environ.get("TRAINYARD_YOLO_PYTHON", sys.executable)
MODELS = ("model_a", "model_b", "model_c")


@dataclass
class Inference:
    """One service and what may be asked of it."""

    service: Service

    def post(self, path: str, files: Any, **fields: str) -> httpx.Response:
        return self.service.client.post(path, files=files, data=fields, timeout=110)

    def image(self, data: bytes, model: str = "model_a", name: str = "x.jpg", **fields: str) -> httpx.Response:
        return self.post(f"/infer/{model}", {"file": (name, data)}, **fields)

    def child(self) -> psutil.Process | None:
        """The inference process, where there is one."""
        for each in psutil.Process(self.service.pid).children():
            with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                if "api.children.yolo_infer" in each.cmdline():
                    return each
        return None

    @property
    def drafts(self) -> list[Path]:
        place = self.service.data / "inference_results" / ".drafts"
        return list(place.iterdir()) if place.exists() else []

    def until_quiet(self) -> None:
        wait_for(lambda: not self.drafts, 30, "the work to stop")

    def log(self) -> str:
        path = self.service.data / "logs" / "inference.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


Maker = Callable[..., Inference]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_weights(PYTHON, tmp_path_factory.mktemp("weights"), len(MODELS))


def begin(home: Path, weights: list[Path], fault: str | None = None, **environ: str) -> Inference:
    service = Service(home, environ={"TRAINYARD_YOLO_PYTHON": PYTHON, **environ})
    services = composition.build_services(load({"data_dir": str(service.data)}, {}), {}, FakeSource(0))
    services.accounts.ensure_operator()
    for model_id, path in zip(MODELS, weights, strict=True):
        add_model(services, services.accounts.operator(), path, model_id)
    services.db.close()
    return Inference(service.start(fault=fault))


@pytest.fixture
def make_inference(tmp_path: Path, weights: list[Path]) -> Iterator[Maker]:
    made: list[Inference] = []

    def make(fault: str | None = None, **environ: str) -> Inference:
        made.append(begin(tmp_path, weights, fault, **environ))
        return made[-1]

    yield make
    for each in made:
        print(each.log(), each.service.errors())
        each.service.close()


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory, weights: list[Path]) -> Iterator[Inference]:
    """For tests that leave it as they found it."""
    made = begin(tmp_path_factory.mktemp("inference"), weights)
    yield made
    print(made.log(), made.service.errors())
    made.service.close()
