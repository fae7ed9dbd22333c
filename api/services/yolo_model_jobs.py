"""What is made of a registered model by a job: another format of it, and its metrics on a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job, JobSpec, JobStatus
from api.models.yolo_model import YoloModel
from api.services.jobs import JobService
from api.services.store import jobs as job_store
from api.services.store import yolo_models as store
from api.services.store.database import Database
from api.services.store.job_lists import JobFilter
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_models import YoloModels
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Invalid, NotFound

ENGINE = "ultralytics"
EXPORT, VALIDATE = "export", "validate"
MOST = 1000  # jobs that one list shows
DEFAULT_IMGSZ = 640


class YoloModelJobs:
    """`has_gpu`: whether this machine has any. Raises the errors of api.utils.errors."""

    def __init__(
        self, db: Database, jobs: JobService, models: YoloModels, datasets: YoloDatasets, has_gpu: Callable[[], bool]
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._models = models
        self._datasets = datasets
        self._has_gpu = has_gpu

    # ---- ask

    def export(self, actor: Actor, model_id: str, given: Mapping[str, Any]) -> Job:
        """Made on the CPU, so that it does not wait for a training, but where the format needs a GPU."""
        model = self._usable(actor, model_id)
        form = given["format"]
        on_gpu = form == "engine" or (form == "torchscript" and given.get("half", False))
        if on_gpu and not self._has_gpu():
            field, what = ("format", "engine") if form == "engine" else ("half", "torchscript in 16 bit")
            raise Invalid(field, f"{what} is made on a GPU, and this machine has none")
        params = {"imgsz": _imgsz(model), **given, "device": None if on_gpu else "cpu"}
        return self._submit(actor, model, EXPORT, f"Export of {model.name} as {form}", params)

    def validate(self, actor: Actor, model_id: str, given: Mapping[str, Any]) -> Job:
        """On the dataset's val images (or another split), by the class numbers that both have."""
        model = self._usable(actor, model_id)
        dataset, version = self._datasets.version(actor, given["dataset_id"], given["version"])
        theirs = tuple(version.summary["classes"])
        if len(theirs) != len(model.classes):
            raise Conflict(
                f"dataset {dataset.id} has {len(theirs)} classes, model {model.id} has {len(model.classes)}: "
                "metrics of the one on the other would say nothing"
            )
        differing = [f"{a!r} is {b!r} there" for a, b in zip(model.classes, theirs, strict=True) if a != b]
        warning = f"classes are compared by number, and are called otherwise in the dataset: {', '.join(differing)}"
        rest = {name: value for name, value in given.items() if name not in ("dataset_id", "version")}
        data = str(self._datasets.directory(dataset, version) / "data.yaml")
        params = {"imgsz": _imgsz(model), "plots": False, **rest, "data": data}
        more = {"dataset_id": dataset.id, "dataset_version": version.name}
        name = f"Validation of {model.name} on {dataset.filename}"
        return self._submit(
            actor, model, VALIDATE, name, params, more=more, warnings=(warning[:1000],) if differing else ()
        )

    def _usable(self, actor: Actor, model_id: str) -> YoloModel:
        actor.require_run()
        return self._models.get(actor, model_id)

    def _submit(
        self,
        actor: Actor,
        model: YoloModel,
        task: str,
        name: str,
        params: Mapping[str, Any],
        *,
        more: Mapping[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        weights = {"kind": "weights", "value": str(self._models.weights(model))}
        spec = JobSpec(
            engine=ENGINE,
            name=name[:200],
            params={"task": task, "model": weights, **params},
            tags=(model.id,),
            extra={"model_id": model.id, **(more or {})},
        )

        def still_there(connection: Connection, _: Job) -> None:
            store.get(connection, model.id)

        team = model.team_id if model.team_id in actor.team_ids else None
        return self._jobs.submit(actor, spec, YOLO_PLATFORM, team_id=team, warnings=warnings, also=still_there)

    # ---- look

    def all_of(self, actor: Actor, model_id: str, task: str) -> list[Job]:
        """Newest first, of those that the caller may read."""
        self._models.get(actor, model_id)
        wanted = JobFilter(engine=ENGINE, dialect=YOLO_PLATFORM.name, tag=model_id)
        found, _ = self._jobs.page(actor, wanted, limit=MOST, offset=0)
        return [job for job in found if _is(job, model_id, task)]

    def one(self, actor: Actor, model_id: str, job_id: str, task: str) -> Job:
        self._models.get(actor, model_id)
        job = self._jobs.get(actor, job_id)
        if not _is(job, model_id, task):
            raise NotFound(f"model {model_id} has no {task} {job_id!r}")
        return job

    def open(self, actor: Actor, model_id: str, job_id: str) -> tuple[str, BinaryIO]:
        """The file that an export made. Raises Conflict while there is none."""
        job = self.one(actor, model_id, job_id, EXPORT)
        file = exported(job)
        if file is None:
            raise Conflict(f"export {job_id} has made no file: it is {YOLO_PLATFORM.words[job.status]}")
        with self._db.read() as connection:
            directory = Path(job_store.attempt(connection, job).output_dir)
        name = str(file["name"])
        try:
            return model_id + name.removeprefix("best"), open_beneath(directory, name)
        except FileNotFoundError:
            raise NotFound(f"the file of export {job_id} is not there any more") from None


def exported(job: Job) -> Mapping[str, Any] | None:
    """`name`, `size_bytes` and `format` of what an export made; None until it is through."""
    done = job.status is JobStatus.COMPLETED
    found: Mapping[str, Any] | None = job.progress.get("notes", {}).get("exported") if done else None
    return found


def _is(job: Job, model_id: str, task: str) -> bool:
    return job.spec.extra.get("model_id") == model_id and job.spec.params.get("task") == task


def _imgsz(model: YoloModel) -> int:
    """The size that it was trained with."""
    return int(model.info.get("imgsz") or DEFAULT_IMGSZ)
