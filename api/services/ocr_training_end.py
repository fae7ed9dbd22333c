"""The end of a kraken training: the file that it kept becomes its model's."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from api.models.job import Job
from api.services.endings import OnEnd
from api.services.store import jobs, ocr


def model_keeper(data_dir: Path) -> OnEnd:
    """Also of a training that was stopped or failed: its file has taken the place of the one before."""

    def keep(connection: Connection, job: Job) -> None:
        kept = job.progress.get("notes", {}).get("model_file")
        if kept is None:
            return
        path = Path(jobs.attempt(connection, job).output_dir) / kept["name"]
        accuracy = kept["accuracy"]
        shown = None if accuracy is None else min(1.0, max(0.0, accuracy))
        ocr.set_model_file(
            connection, job.spec.params["model_id"], _under(path, data_dir), kept["size_bytes"], shown, job.updated_at
        )

    return keep


def _under(path: Path, data_dir: Path) -> str:
    """Relative to the data directory; absolute where the outputs were set apart from it."""
    return str(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)
