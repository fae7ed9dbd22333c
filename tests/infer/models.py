"""Small models with random weights that see something everywhere, and a service's knowledge of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from api.models.accounts import Actor
from api.models.yolo_model import UPLOADED, YoloModel
from api.services.container import Services
from api.services.engines.ultralytics.engine import FIXED_ENV
from api.services.store import yolo_models as store
from api.settings import ROOT
from tests.yolo.shapes import CLASSES

#: the scores of a new head are next to nothing; with `sees` they are about a half
CODE = """
import sys
from pathlib import Path
from api.children.ultralytics_train.surroundings import prepare
kept = prepare({"threads": 1, "weights_dir": sys.argv[1]})
import torch
from api.children.ultralytics_train.models import opened
from ultralytics.nn.tasks import DetectionModel
home = Path(sys.argv[1])
for seed in range(int(sys.argv[3])):
    torch.manual_seed(seed)
    model = opened({"kind": "architecture", "value": sys.argv[2]}, home)
    model.model = DetectionModel(dict(model.model.yaml, nc=3), verbose=False)
    model.model.names = dict(enumerate(sys.argv[4].split(",")))
    model.model.args = {}
    for last in model.model.model[-1].cv3:
        if sys.argv[5] == "sees":
            last[-1].bias.data.fill_(0.1)
    model.ckpt = {}
    model.save(home / f"{seed}.pt")
"""


def make_weights(
    python: str, home: Path, count: int = 1, architecture: str = "yolov8tiny.yaml", sees: bool = True
) -> list[Path]:
    """Weights of three classes, as many different ones."""
    env = {**os.environ, **FIXED_ENV, "YOLO_CONFIG_DIR": str(home), "PYTHONPATH": str(ROOT)}
    argv = [python, "-c", CODE, str(home), architecture, str(count), ",".join(CLASSES), "sees" if sees else ""]
    subprocess.run(argv, check=True, timeout=110, env=env, cwd=home, stdout=subprocess.DEVNULL)
    return [home / f"{seed}.pt" for seed in range(count)]


def add_model(
    services: Services, actor: Actor, weights: Path, model_id: str, *, team_id: int | None = None, **more: Any
) -> YoloModel:
    """As if it had been uploaded."""
    values = {
        "id": model_id, "owner_id": actor.user_id, "team_id": team_id, "name": f"the {model_id}", "description": "",
        "tags": [], "source": UPLOADED, "file_size": weights.stat().st_size, "classes": list(CLASSES),
        "task": "detect", "job_id": None, "dataset_id": None, "dataset_version": None, "base_model": None,
        "info": {"imgsz": 64}, "metrics": {}, "history": None, "created_at": 1.0, "updated_at": 1.0, **more,
    }  # fmt: skip
    with services.db.write() as connection:
        model = store.add(connection, values)
    place = services.models.weights(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, place)
    return model
