"""The end of a kraken training: the file that it kept becomes its model's."""

from __future__ import annotations

from sqlalchemy import Connection

from api.models.job import Job
from api.services.document_import import DocumentFiles
from api.services.endings import OnEnd
from api.services.engines.kraken.files import kept_file
from api.services.store import ocr


def model_keeper(files: DocumentFiles) -> OnEnd:
    """Also of a training that was stopped or failed: its file has taken the place of the same job's earlier one."""

    def keep(connection: Connection, job: Job) -> None:
        kept = job.progress.get("notes", {}).get("model_file")
        if kept is None:
            return
        model_id, accuracy = job.spec.params["model_id"], kept["accuracy"]
        path = files.relative(kept_file(files.models, model_id, job.id, kept["name"]))
        shown = None if accuracy is None else min(1.0, max(0.0, accuracy))
        ocr.set_model_file(connection, model_id, path, kept["size_bytes"], shown, job.updated_at)

    return keep
