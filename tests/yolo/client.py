"""A client of the YOLO platform whose trainings are quick ones."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Service, wait_for

QUICK = {"model_name": "yolov8tiny.yaml", "imgsz": 64, "batch": 8, "plots": False, "device": "cpu", "seed": 0}
LONGEST = 600  # seconds for any one job on a busy machine


class Client:
    def __init__(self, service: Service) -> None:
        self.service = service

    def call(self, method: str, path: str, body: Any = None, code: int = 200, **more: Any) -> Any:
        return self.service.call(method, f"/api/v1{path}", body, **more).expect(code)

    def upload(self, root: Path) -> str:
        """The images and labels of a drawn dataset, as a zip."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(root.rglob("*.*")):
                archive.write(path, path.relative_to(root))
        files = {"file": ("shapes.zip", packed.getvalue())}
        return str(self.call("POST", "/datasets/upload", files=files)["dataset_id"])

    def create(self, dataset: str, **more: Any) -> str:
        made = self.call("POST", "/train/jobs", {"dataset_id": dataset, **QUICK, **more})
        assert made["status"] == "running"
        return str(made["job_id"])

    def until(self, job: str, look: Callable[[Any], Any]) -> Any:
        def seen() -> Any:
            found = self.call("GET", f"/train/jobs/{job}")
            assert look(found) or found["status"] == "running", (found, self.log(job)[-20:])
            return found if look(found) else None

        return wait_for(seen, LONGEST, job, every=0.1)

    def completed(self, job: str) -> Any:
        return self.until(job, lambda one: one["status"] == "completed")

    def log(self, job: str) -> list[str]:
        return list(self.call("GET", "/logs/lines", params={"job_id": job, "n": 0})["lines"])

    def epochs(self, job: str, metric: str) -> dict[int, float]:
        query = {"metric": metric, "type": "epoch", "limit": 1000}
        data = self.call("GET", f"/training/{job}/metrics", params=query)["data"]
        assert [point["epoch"] for point in data] == sorted({point["epoch"] for point in data})
        return {point["epoch"]: point["value"] for point in data}

    def model(self, model_id: str) -> dict[str, Any]:
        with closing(sqlite3.connect(self.service.data / "trainyard.db")) as database:
            database.row_factory = sqlite3.Row
            row = dict(database.execute("SELECT * FROM yolo_models WHERE id = ?", (model_id,)).fetchone())
        return row | {name: json.loads(row[name]) for name in ("classes", "info", "metrics", "history")}
