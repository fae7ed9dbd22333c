"""Boxes proposed by a registered model for the images without any: a job, and what becomes of its results.

Proposals are kept apart from boxes: no export and no training sees them. Saving an image decides on its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.models.accounts import Actor
from api.models.annotation import Key, proposals_of
from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job, JobSpec
from api.services.annotations import Annotations, TaskView
from api.services.jobs import JobService
from api.services.store import annotations as store
from api.services.store import jobs as job_store
from api.services.store import yolo_datasets
from api.services.store.database import Database
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_models import YoloModels
from api.utils.batches import batches
from api.utils.errors import Conflict

log = logging.getLogger(__name__)
TASK = "prelabel"
RESULTS = "proposals.jsonl"
DEFAULT_IMGSZ = 640  # of models that do not say how they were trained
BATCH = 200  # images whose proposals are kept while other writers wait


class Prelabel:
    def __init__(self, annotations: Annotations, yolo: YoloDatasets, models: YoloModels, jobs: JobService) -> None:
        self._annotations = annotations
        self._yolo = yolo
        self._models = models
        self._jobs = jobs

    def start(self, actor: Actor, task_id: str, model_id: str, arguments: Mapping[str, Any]) -> tuple[TaskView, Job]:
        """`arguments` of ultralytics' predict. Raises Conflict where there is nothing for the model to do."""
        view, model = self._annotations.mine(actor, task_id), self._models.get(actor, model_id)
        if view.annotated == view.total:
            raise Conflict("every image has boxes, or is known to have none: there is nothing to propose")
        if not set(view.classes) & set(model.classes):
            raise Conflict(
                f"model {model_id} knows none of the classes of this task: it knows {', '.join(model.classes[:20])}"
            )
        self._annotations.write_labels(view.dataset, view.version)  # the child takes images without a label file
        trained = model.info.get("imgsz")
        params = {
            "task": TASK,
            "model": {"kind": "weights", "value": str(self._models.weights(model))},
            "imgsz": trained if isinstance(trained, int) else DEFAULT_IMGSZ,
            "manifest": str(self._yolo.directory(view.dataset, view.version) / "manifest.jsonl"),
            **arguments,
        }
        about = {"dataset_id": view.dataset.id, "version": view.version.name, "model_id": model.id, "task_id": task_id}
        spec = JobSpec("ultralytics", f"prelabel {view.dataset.id}", params, dataset=about)
        return view, self._jobs.submit(actor, spec, YOLO_PLATFORM, team_id=view.dataset.team_id)


class Proposals:
    """Settles such a job. Done twice it is as done once; what was annotated meanwhile stays as it is."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def __call__(self, job: Job) -> None:
        if job.spec.params.get("task") != TASK or job.spec.dataset is None:
            return
        about = job.spec.dataset
        with self._db.read() as connection:
            results = Path(job_store.attempt(connection, job).output_dir) / RESULTS
        with open(results, encoding="utf-8") as file:
            names: Sequence[str] = json.loads(next(file))["names"]
            for batch in batches(map(json.loads, file), BATCH):
                if not self._take(about, names, batch):
                    log.info("job %s: dataset %s was removed meanwhile", job.id, about["dataset_id"])
                    return

    def _take(self, about: Mapping[str, Any], names: Sequence[str], batch: Sequence[Mapping[str, Any]]) -> bool:
        """Whether its dataset is still there."""
        with self._db.write(durable=False) as connection:  # the job's end is durable, and comes after
            dataset = yolo_datasets.find(connection, about["dataset_id"])
            version = dataset and dataset.version(about["version"])
            if not dataset or not version:
                return False
            key = Key.of(dataset, version)
            classes = {name: number for number, name in enumerate(version.summary["classes"])}
            for row in batch:
                image = store.by_path(connection, key, row["image"])
                if image is not None:
                    found = proposals_of(row["boxes"], names, classes, image.size)
                    store.propose(connection, key, image.position, found, about["model_id"])
        return True
