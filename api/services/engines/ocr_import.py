"""The import of an archive or a directory of pages behind the Engine seam. The child reads; the rows are made at the
job's end by api.services.document_import."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.models.events import Advance, Done, Event, Fault, Level, LineType, Note, Parsed, Warn
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec, Phase
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.failures import classify
from api.utils.errors import Invalid, Unavailable

PROJECT = Path(__file__).resolve().parents[3]
UPLOAD = "upload"  # the name of an uploaded archive in its import's directory


@dataclass(frozen=True, slots=True)
class OcrImportEngine:
    """`imports`: where each import has a directory named after its job. The rest are limits of what is unpacked."""

    imports: Path
    most_files: int
    most_bytes: int
    name: str = field(default="ocr_import", init=False)
    exit_code_is_proof: bool = field(default=False, init=False)

    def availability(self) -> Availability:
        return Availability(True)

    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "required": ["document_id"],
            "properties": {
                "document_id": {"type": "integer"},
                "path": {"type": "string", "description": "a directory; else what was uploaded"},
            },
        }

    def validate(self, spec: JobSpec) -> JobSpec:
        path = spec.params.get("path")
        if path is not None and not Path(path).is_dir():
            raise Invalid("path", "is not a directory")
        return spec

    def prepare(self, launch: Launch) -> Command:
        target = self.imports / launch.job.id
        path = launch.job.spec.params.get("path")
        if path is None and not (target / UPLOAD).is_file():
            raise Invalid("file", "what was uploaded is gone; upload it again")
        plan = {
            "source": path or str(target / UPLOAD),
            "archive": path is None,
            "target": str(target),
            "files": self.most_files,
            "bytes": self.most_bytes,
        }
        try:
            target.mkdir(exist_ok=True, mode=0o700)
            launch.workspace.output_dir.mkdir(parents=True, exist_ok=True)
            (target / "plan.json").write_text(json.dumps(plan), "utf-8")
        except OSError as problem:
            raise Unavailable(f"the import cannot be prepared: {problem}") from problem
        argv = (sys.executable, "-m", "api.children.ocr_import", str(target / "plan.json"))
        return Command(argv, {**launch.base_env, "PYTHONPATH": str(PROJECT)}, str(target))

    def parse(self, line: str) -> Parsed:
        try:
            said = json.loads(line)
        except ValueError:
            return Parsed(type=LineType.SYSTEM)
        kind = said.get("event") if isinstance(said, dict) else None
        if kind == "page":
            advance = Advance(phase=Phase.TRAINING, step=said["done"], total_steps=said["total"])
            return Parsed(type=LineType.SYSTEM, events=(advance, Note("lines", said["lines"])))
        if kind == "failed":
            text = f"{said['file']} {said['message']}"
            kept: tuple[Event, ...] = (Warn(text),) if said["kept"] else ()
            return Parsed(Level.WARNING, LineType.SYSTEM, (*kept, Note("failed", said["failed"])))
        if kind == "odd":
            return Parsed(Level.WARNING, LineType.SYSTEM)
        if kind == "unusable":
            return Parsed(Level.ERROR, LineType.SYSTEM, (Fault(said["message"]),))
        if kind == "end":
            notes = tuple(Note(key, said[key]) for key in ("pages", "lines", "images", "failed"))
            return Parsed(type=LineType.SYSTEM, events=(*notes, Done()))
        return Parsed(type=LineType.SYSTEM)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        return ()

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return ()

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        return ()

    def soft_stop(self, workspace: Workspace) -> bool:
        return False

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        return ()

    def explain(self, ending: Ending) -> Failure:
        if ending.exit_code == 3 and ending.faults:
            return Failure("bad_config", f"nothing was imported: {ending.faults[-1]}", ending.faults[-1])
        return classify(ending)
