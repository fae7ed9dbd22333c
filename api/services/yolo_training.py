"""What people do with YOLO trainings: start one on a dataset, look, stop, resume, remove."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.models.accounts import Actor
from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job, JobSpec, JobStatus
from api.models.yolo import Dataset, Version
from api.services.accounts import AccountService
from api.services.engines.ultralytics.files import BEST
from api.services.engines.ultralytics.models import Start, resolve
from api.services.jobs import JobService, Request, StopResult
from api.services.store.job_lists import JobFilter
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_labels import LabelFiles
from api.services.yolo_models import ID, YoloModels
from api.services.yolo_registration import model_of, require_dataset
from api.utils.errors import Conflict, NotFound

ENGINE = "ultralytics"
TASK = "train"
STOP_SECONDS = 30.0
RESUMED = "Training job resumed successfully"
AGAIN = "There was no last.pt to resume from: the training begins again at epoch 1, with the weights of best.pt"
OVER = "There was nothing to resume from: the training starts over"


class YoloTraining:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self,
        jobs: JobService,
        datasets: YoloDatasets,
        labels: LabelFiles,
        models: YoloModels,
        accounts: AccountService,
        weights: Path,
    ) -> None:
        """`weights`: the directory where files like yolov8n.pt are placed by hand."""
        self._jobs = jobs
        self._datasets = datasets
        self._labels = labels
        self._models = models
        self._accounts = accounts
        self._weights = weights

    # ---- start

    def create(
        self, actor: Actor, wanted: Mapping[str, Any], arguments: Mapping[str, Any], *, request: Request | None = None
    ) -> Job:
        """`wanted`: dataset_id, version, model_name, base_model_id, priority, workspace_id. `arguments`: ultralytics'
        own, with device and pretrained."""
        actor.require_run()
        team_id = wanted.get("workspace_id")
        if team_id is not None:
            self._accounts.team_for(actor, team_id)
        start = self._start(actor, wanted["model_name"], wanted.get("base_model_id"))
        dataset, version = self._datasets.prepared(actor, wanted["dataset_id"], wanted["version"])
        _check_split(dataset, version)
        self._labels.write(dataset, version)
        base = wanted.get("base_model_id") or wanted["model_name"]
        spec = JobSpec(
            engine=ENGINE,
            name=f"{base} on {dataset.filename}"[:200],
            params={
                **arguments,
                "task": TASK,
                "model": start.model,
                "data": str(self._datasets.directory(dataset, version) / "data.yaml"),
            },
            dataset={"dataset_id": dataset.id, "version": version.name},
            priority=wanted["priority"],
            extra={
                "model_name": wanted["model_name"],
                "base_model_id": wanted.get("base_model_id"),
                "base_model": base,
            },
        )
        team_id = dataset.team_id if team_id is None else team_id
        return self._jobs.submit(actor, spec, YOLO_PLATFORM, team_id=team_id, request=request, also=require_dataset)

    def _start(self, actor: Actor, name: str, base_model_id: str | None) -> Start:
        """Raises Invalid for a name that ultralytics does not know, NotFound for a model that is not registered."""
        chosen = base_model_id or (name if ID.fullmatch(name) else None)
        if chosen is None:
            return resolve("model_name", name, self._weights)
        return Start("weights", str(self._models.weights(self._models.get(actor, chosen))))

    # ---- look

    def page(self, actor: Actor, *, limit: int, offset: int) -> tuple[list[Job], int]:
        """Trainings that the caller may read, newest first, and how many there are."""
        actor.require_read()
        wanted = JobFilter(dialect=YOLO_PLATFORM.name, engine=ENGINE, task=TASK)
        return self._jobs.page(actor, wanted, limit=limit, offset=offset)

    def get(self, actor: Actor, job_id: str) -> Job:
        job = self.any_of(actor, job_id)
        if job.engine != ENGINE or job.spec.params["task"] != TASK:
            raise NotFound(f"there is no training job {job_id!r}")
        return job

    def any_of(self, actor: Actor, job_id: str) -> Job:
        """A job of this dialect, whatever it does: all have a log."""
        job = self._jobs.get(actor, job_id)
        if job.dialect != YOLO_PLATFORM.name:
            raise NotFound(f"there is no training job {job_id!r}")
        return job

    # ---- change

    def stop(self, actor: Actor, job_id: str) -> StopResult:
        """Raises Conflict where it has ended."""
        return self._jobs.stop(actor, self.get(actor, job_id).id, force=False, wait=STOP_SECONDS)

    def resume(self, actor: Actor, job_id: str) -> tuple[Job, str]:
        """From last.pt, else with best.pt's weights, else from nothing; which of them, in words."""
        job = self.get(actor, job_id)
        if job.status is JobStatus.COMPLETED:
            made = model_of(job)
            hint = f"; to train its model further, start a job with base_model_id {made}" if made else ""
            raise Conflict(f"job {job_id} is finished: there is nothing to resume{hint}")
        if job.status.is_terminal and not Path(job.spec.params["data"]).is_file():
            raise Conflict(f"the dataset of job {job_id} was deleted; there is nothing left to train on")
        saved = self._jobs.checkpoints(job)
        if any(checkpoint.kind == "state" for checkpoint in saved):
            return self._jobs.resume(actor, job_id, None), RESUMED
        if any(checkpoint.name == BEST for checkpoint in saved):
            return self._jobs.begin_again(actor, job_id, BEST), AGAIN
        return self._jobs.restart(actor, job_id), OVER

    def delete(self, actor: Actor, job_id: str) -> None:
        """The job and its files; a model that it made stays. Raises Conflict while it runs."""
        self._jobs.delete(actor, self.get(actor, job_id).id, files=True)


def _check_split(dataset: Dataset, version: Version) -> None:
    for part in ("train", "val"):
        if not version.summary[f"{part}_count"]:
            raise Conflict(f"version {version.name} of dataset {dataset.id} has no {part} images")


def can_resume(job: Job) -> bool:
    return job.status in (JobStatus.FAILED, JobStatus.STOPPED)
