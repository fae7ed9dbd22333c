"""The end of a YOLO training: its best weights become a registered model.

First the file, then the row. While the job still runs, the weights are copied aside, renamed to their place, and the
model's id is noted with the job's progress, in one transaction; the row comes in the transaction that ends the job. A
crash leaves at most a directory without a row, which is swept at the next start, and the copy is made again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from api.models.job import Attempt, Job, JobStatus
from api.models.yolo_history import METRICS
from api.models.yolo_model import TRAINED
from api.services.engines.ultralytics.files import read_settings
from api.services.store import jobs as job_store
from api.services.store import yolo_datasets, yolo_models
from api.services.store.database import Database
from api.services.yolo_history import history_of, metrics_at, reported
from api.services.yolo_models import WEIGHTS, YoloModels
from api.utils.disks import sync_directory
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict
from api.utils.faults import fault
from api.utils.times import iso

NOTE = "model"  # of a job's progress: {"id", "size", "began"} of what it made
GONE = "the training's weights/best.pt was gone when it ended: no model was registered"
DETECT = "detect"


def notes_of(job: Job) -> Mapping[str, Any]:
    found: Mapping[str, Any] = job.progress.get("notes", {})
    return found


def model_of(job: Job) -> str | None:
    """The id of the model that a completed job made."""
    made = notes_of(job).get(NOTE)
    return str(made["id"]) if made is not None and job.status is JobStatus.COMPLETED else None


class ModelRegistrar:
    """What the endings of ultralytics' jobs call."""

    def __init__(self, db: Database, models: YoloModels, *, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._models = models
        self._clock = clock

    # ---- before the end

    def settle(self, job: Job) -> None:
        """The file. Done twice it is as once: what was noted and is there stays."""
        with self._db.read() as connection:
            job = job_store.get(connection, job.id)
            attempt = job_store.attempt(connection, job)
        if job.spec.params.get("task") != "train":
            return
        made = notes_of(job).get(NOTE)
        if made is None or not self._models.weights_of(made["id"]).is_file():
            self._keep(job, attempt, None if made is None else made["id"])

    def _keep(self, job: Job, attempt: Attempt, model_id: str | None) -> None:
        with self._models.draft() as draft:
            try:
                size = _copy(Path(attempt.output_dir), draft / WEIGHTS)
            except FileNotFoundError:
                self._note(job, warnings=[*job.warnings, GONE])
                return
            fault("model.copied")
            with self._db.write() as connection:
                model_id = model_id or self._models.free_id(connection)
                self._models.name(draft, model_id)
                fault("model.named")
                made = {"id": model_id, "size": size, "began": _began(job, attempt)}
                notes = {**notes_of(job), NOTE: made}
                progress = {**job.progress, "notes": notes}
                job_store.save(connection, job, self._clock(), progress=progress)
        fault("model.noted")

    def _note(self, job: Job, **values: Any) -> None:
        with self._db.write() as connection:
            job_store.save(connection, job, self._clock(), **values)

    # ---- in the transaction of the end

    def on_end(self, connection: Connection, job: Job) -> None:
        """The row."""
        model_id = model_of(job)
        if model_id is not None and yolo_models.find(connection, model_id) is None:
            yolo_models.add(connection, self._row(connection, job, model_id))

    def _row(self, connection: Connection, job: Job, model_id: str) -> dict[str, Any]:
        notes, lineage, now = notes_of(job), job.spec.dataset or {}, self._clock()
        result = reported(notes.get("result", {}))
        history = history_of(connection, job)
        if history is not None:  # the model's, which need not be those of the last epoch
            history["final_metrics"] = {name.replace("-", "_"): value for name, value in result.items()}
        at_best = dict.fromkeys(METRICS) if history is None else metrics_at(history, notes.get("best_epoch"))
        return {
            "id": model_id,
            "owner_id": job.owner_id,
            "team_id": job.team_id,
            "name": job.spec.name,
            "description": job.spec.description or "",
            "tags": list(job.spec.tags),
            "source": TRAINED,
            "file_size": notes[NOTE]["size"],
            "classes": _classes(connection, job),
            "task": DETECT,
            "job_id": job.id,
            "dataset_id": lineage.get("dataset_id"),
            "dataset_version": lineage.get("version"),
            "base_model": base_of(job),
            "info": _info(job),
            "metrics": result if at_best["mAP50"] is None else at_best,
            "history": history,
            "created_at": now,
            "updated_at": now,
        }


def require_dataset(connection: Connection, job: Job) -> None:
    """In the transaction that queues a job: its dataset cannot go from here on. Raises Conflict."""
    lineage = job.spec.dataset or {}
    if "dataset_id" in lineage and yolo_datasets.find(connection, lineage["dataset_id"]) is None:
        raise Conflict(f"dataset {lineage['dataset_id']} was deleted; there is nothing left to train on")


def base_of(job: Job) -> str:
    """The model id or the name that a training began from: the architecture, where the weights were not there."""
    asked, began = job.spec.params["model"], notes_of(job)[NOTE]["began"]
    if began["kind"] != asked["kind"]:
        return str(began["value"])
    return str(job.spec.extra.get("base_model") or Path(asked["value"]).name)


def _began(job: Job, attempt: Attempt) -> dict[str, str]:
    settings = read_settings(Path(attempt.output_dir), attempt.number)
    found: dict[str, str] = settings.get("began", job.spec.params["model"])
    return found


def _copy(output: Path, target: Path) -> int:
    """Whole and on the disk; its size. Raises FileNotFoundError, also for what is no regular file."""
    with open_beneath(output, str(WEIGHTS)) as source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    sync_directory(target.parent)
    sync_directory(target.parent.parent)
    return size


def _classes(connection: Connection, job: Job) -> list[str]:
    """As the child told them; a very long list is cut in the log, and then the dataset's are the same."""
    told = notes_of(job).get("class_names")
    if told is not None:
        return [str(name) for name in told]
    lineage = job.spec.dataset or {}
    dataset = yolo_datasets.find(connection, str(lineage.get("dataset_id")))
    version = dataset.version(str(lineage.get("version"))) if dataset is not None else None
    return list(version.summary["classes"]) if version is not None else []


def _info(job: Job) -> dict[str, Any]:
    params = job.spec.params
    return {
        "imgsz": params["imgsz"],
        "epochs": params["epochs"],
        "model_info": notes_of(job).get("model_info"),
        "job_config": {
            "dataset_id": (job.spec.dataset or {}).get("dataset_id"),
            "epochs": params["epochs"],
            "imgsz": params["imgsz"],
            "batch": params["batch"],
            "model_name": base_of(job),
            "status": job.status.value,
            "created_at": iso(job.created_at),
            "completed_at": iso(job.ended_at),
        },
    }
