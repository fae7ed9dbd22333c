"""Where jobs keep their files, and how they are removed without leaving half of them."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from api.models.job import Attempt, Job
from api.models.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workspaces:
    """The directories of a service, and from them every job's."""

    data_dir: Path
    config_dir: Path
    log_dir: Path
    output_dir: Path

    def prepare(self) -> None:
        for directory in (self.data_dir, self.config_dir, self.log_dir, self.control_root, self.trash):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "workspace").mkdir(exist_ok=True)

    @property
    def control_root(self) -> Path:
        return self.data_dir / "attempts"

    @property
    def trash(self) -> Path:
        return self.data_dir / "trash"

    def log_file(self, job_id: str) -> Path:
        return self.log_dir / f"{job_id}.log"

    def errors_file(self, job_id: str) -> Path:
        """As Workspace has it."""
        return self.log_file(job_id).with_suffix(".stderr")

    def output_of(self, job_id: str, series: int = 1, chosen: str | None = None) -> str:
        """A directory of its own for each series of attempts: a restart never writes into the one before."""
        base = chosen if chosen is not None else str(self.output_dir / job_id)
        return base if series == 1 else f"{base}.{series}"

    def of(self, attempt: Attempt) -> Workspace:
        return Workspace(
            job_id=attempt.job_id,
            attempt=attempt.number,
            control=self.control_root / attempt.job_id / str(attempt.number),
            log=self.log_file(attempt.job_id),
            config_dir=self.config_dir,
            output_dir=Path(attempt.output_dir),
        )

    # ---- removal: first a note of what goes, then the row, then the files; a crash in between is mended at start

    def note_removal(self, job: Job, outputs: list[str]) -> None:
        paths = [str(self.control_root / job.id), str(self.log_file(job.id)), str(self.errors_file(job.id))]
        paths += [str(path) for path in self._configs(job.id)] + outputs
        note = self.trash / f"{job.id}.json"
        draft = note.with_suffix(".tmp")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(paths, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(note)

    def _configs(self, job_id: str) -> list[Path]:
        return [p for p in self.config_dir.glob(f"{job_id}*") if p.name[len(job_id)] in "._"]

    def finish_removals(self, exists: Callable[[str], bool], only: str | None = None) -> None:
        """Removes what was noted, for jobs whose row is gone; drops the notes of those whose row is not.

        `only`: of this job, since between the note and the row of another one somebody may be at work.
        """
        notes = self.trash.glob("*.json") if only is None else [self.trash / f"{only}.json"]
        for note in notes:
            if note.exists() and not exists(note.stem):
                for path in json.loads(note.read_text("utf-8")):
                    _remove(Path(path))
            note.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Gone, or said why not: a file that cannot be removed must not keep the rest."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as problem:
        log.warning("could not remove %s: %s", path, problem.strerror)
