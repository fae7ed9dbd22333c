"""What people do with preprocessings: start, look, cancel; and the dataset.toml that a training can be given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import PREPROCESSING
from api.models.job import Job, JobSpec
from api.models.prepared import Prepared
from api.services.buckets import Choice, Proposal, propose
from api.services.engines.diffusion_pipe import documents, toml_text
from api.services.engines.preprocessing.keys import Keys
from api.services.jobs import JobService, StopResult
from api.services.prepared import ENGINE, PreparedDatasets
from api.utils.errors import Conflict, NotFound

KEY = "qwen_api_key"
TOML = "meta/dataset.toml"


class PreprocessingService:
    def __init__(
        self,
        jobs: JobService,
        datasets: PreparedDatasets,
        keys: Keys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jobs = jobs
        self._datasets = datasets
        self._keys = keys
        self._clock = clock

    def start(self, actor: Actor, wanted: Mapping[str, Any], *, team_id: int | None = None) -> Job:
        """Into the queue, with its name reserved in the same transaction. The key goes no further than our memory."""
        params = {name: value for name, value in wanted.items() if name != KEY}
        key = wanted.get(KEY)
        spec = JobSpec(engine=ENGINE, name=params["dataset_name"], params={**params, "key_given": bool(key)})
        made: list[str] = []

        def also(connection: Connection, job: Job) -> None:
            self._datasets.reserve(connection, job)
            if key:
                self._keys.remember(job.id, key)
                made.append(job.id)

        self._datasets.tidy()
        try:
            return self._jobs.submit(actor, spec, PREPROCESSING, team_id=team_id, also=also)
        except BaseException:
            for job_id in made:  # it was not committed
                self._keys.forget(job_id)
            raise

    def tidy(self) -> None:
        """A chore: files of jobs that left half a dataset, keys of jobs that were deleted."""
        self._datasets.tidy()
        for job_id in self._keys.known():
            if not self._datasets.may_write(job_id):
                self._keys.forget(job_id)

    def get(self, actor: Actor, job_id: str) -> Job:
        job = self._jobs.get(actor, job_id)
        if job.dialect != PREPROCESSING.name:
            raise NotFound(f"there is no preprocessing {job_id!r}")
        return job

    def cancel(self, actor: Actor, job_id: str, wait: float) -> StopResult:
        self.get(actor, job_id)
        return self._jobs.stop(actor, job_id, force=False, wait=wait)

    def files(self, job: Job) -> list[str]:
        """Names of the items that a finished job made, while its dataset is there."""
        found = self._datasets.find(job.spec.params["dataset_name"])
        if found is None or found.job_id != job.id or not found.is_ready:
            return []
        try:
            return [item.file for item in self._datasets.items(found)]
        except (NotFound, Conflict):
            return []

    def write_toml(self, actor: Actor, name: str, choice: Choice) -> tuple[Proposal, Path, str]:
        """The proposal, where it was written, and as what."""
        found: Prepared = self._datasets.mine(actor, name)
        items = self._datasets.items(found)
        with self._datasets.changing(found) as directory:
            proposal = propose(items, str(directory.resolve()), choice)
            text = toml_text.dumps(toml_text.normalized(proposal.dataset, "dataset"), "dataset")
            documents.write(directory / TOML, text)
        return proposal, directory / TOML, text

    def check_use(self, actor: Actor, dataset: Any) -> None:
        """Of a training's request: Forbidden where a `path_id` names somebody else's dataset."""
        if not isinstance(dataset, Mapping):
            return
        for entries in (dataset.get("directory"), dataset.get("directories")):
            for entry in entries if isinstance(entries, list) else ():
                name = entry.get("path_id") if isinstance(entry, Mapping) else None
                if isinstance(name, str) and self._datasets.find(name) is not None:
                    self._datasets.get(actor, name)
