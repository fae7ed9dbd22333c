"""Registered models of toys, and archives of them."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from api.models.accounts import Actor
from api.models.dialect import dated_id
from api.models.yolo_history import history
from api.models.yolo_model import TRAINED, YoloModel
from api.services.container import Services
from api.services.store import yolo_models as store
from api.settings import ROOT

COLUMNS = {
    "train/box_loss": [3.0, 2.5, None],
    "val/box_loss": [3.1, 2.6, 2.2],
    "train/cls_loss": [4.0, 3.5, 3.0],
    "val/cls_loss": [4.1, 3.6, 3.1],
    "metrics/mAP50(B)": [0.0, 0.4, 0.6],
}
HISTORY = history([1, 2, 3], COLUMNS)


def registered(services: Services, owner: Actor, team: int | None = None, **fields: Any) -> YoloModel:
    """As if a training had left it; its weights are no weights."""
    now = time.time()
    with services.db.write() as connection:
        model_id = store.free_id(connection, lambda: dated_id("model"))
        values = {
            "id": model_id,
            "owner_id": owner.user_id,
            "team_id": team,
            "name": "yolov8n_custom",
            "description": "Custom trained model",
            "tags": ["person", "car"],
            "source": TRAINED,
            "file_size": 7,
            "classes": ["person", "car"],
            "task": "detect",
            "job_id": "job_20240115_123456_5f2c",
            "dataset_id": "ds_20240115_123456_5f2c8a1b",
            "dataset_version": "v1",
            "base_model": "yolov8n.pt",
            "info": {"imgsz": 64, "epochs": 3, "model_info": None, "job_config": None},
            "metrics": {"mAP50": 0.6},
            "history": HISTORY,
            "created_at": now,
            "updated_at": now,
            **fields,
        }
        path = services.models.weights_of(model_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        return store.add(connection, values)


def packed(files: dict[str, bytes | dict[str, Any]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return made.getvalue()


@cache
def trial() -> tuple[Path, dict[str, Any]]:
    """Good and evil weights, made once for all tests, and what the child says of each (tests/unit/weights_trial.py)."""
    home = Path(mkdtemp(prefix="weights", dir="/tmp"))  # and not in the spool of a service that runs in this process
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    command = [sys.executable, "-m", "tests.unit.weights_trial", str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    return home, json.loads((home / "trial.json").read_text())
