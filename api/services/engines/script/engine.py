"""Any PyTorch or TensorFlow script behind the Engine seam, run as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.models.events import Event, Parsed, Reading, Source
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec, Phase
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.script import artifacts, checks, failures, output
from api.services.engines.script.environment import environment_id, unusable
from api.services.engines.script.schema import SCHEMA
from api.services.engines.script.values import metric_name
from api.utils.errors import Conflict, Unavailable
from api.utils.paths import PathPolicy

#: of a launcher around the service; a script that finds them waits for ranks that never come
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_EPOCH_TAG = "epoch_"  # Keras: `epoch_loss`, its step counts epochs from 0
_SPLITS = ("train", "validation", "val", "valid", "test", "eval")


@dataclass(frozen=True, slots=True)
class ScriptEngine:
    """`python`: the interpreter of a job that names none."""

    roots: PathPolicy
    python: str
    name: str = field(default="script", init=False)
    exit_code_is_proof: bool = field(default=True, init=False)

    def availability(self) -> Availability:
        problem = unusable(self.python)
        if problem is not None:
            return Availability(False, reason=f"the interpreter {problem}")
        return Availability(True, environment_id(self.python))

    def schema(self) -> Mapping[str, Any]:
        return SCHEMA

    def validate(self, spec: JobSpec) -> JobSpec:
        """Every path looked at, and the script's hash taken: what starts later is what was submitted."""
        return replace(spec, params=checks.checked(spec.params, self.roots, self.python))

    def prepare(self, launch: Launch) -> Command:
        params, workspace = launch.job.spec.params, launch.workspace
        script = checks.unchanged(params, self.roots)
        problem = unusable(params["python"])
        if problem is not None:
            raise Conflict(f"the interpreter {problem}")
        try:
            workspace.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"the output directory cannot be made: {error}") from error
        argv = (params["python"], str(script), *params["args"])
        return Command(argv, self._environment(launch), str(script.parent))

    @staticmethod
    def _environment(launch: Launch) -> dict[str, str]:
        spec = launch.job.spec
        env = {k: v for k, v in launch.base_env.items() if k not in _RANKS or k in spec.env}
        folder = str(Path(spec.params["python"]).parent)
        path = env.get("PATH", os.defpath)
        env["PATH"] = path if folder in path.split(os.pathsep) else f"{folder}{os.pathsep}{path}"
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, launch.gpu_ids))
        env["TRAINYARD_OUTPUT_DIR"] = str(launch.workspace.output_dir.absolute())
        if spec.params["dataset"] is not None:
            env["TRAINYARD_DATASET_DIR"] = spec.params["dataset"]
        return env

    def parse(self, line: str) -> Parsed:
        return output.parse(line)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        """A script tells its totals itself, or nobody does."""
        return ()

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return artifacts.event_files(workspace.output_dir)

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        """A tag is the metric's name, with the name of its split or of its curve where files share a tag."""
        if metric_name(tag.rpartition("/")[2]) is None or not 0 <= step < 2**53:
            return ()
        curve = run.removeprefix(f"{tag.replace('/', '_')}_")
        name = f"{tag}/{curve}" if curve != run else f"{run}/{tag}" if run in _SPLITS else tag
        values = ((name[:200], value),)
        if tag.startswith(_EPOCH_TAG):
            return (Reading(Source.FILE, values, epoch=step + 1, at=at),)
        return (Reading(Source.FILE, values, counted=step, phase=Phase.TRAINING, at=at),)

    def soft_stop(self, workspace: Workspace) -> bool:
        """A script has none: it gets SIGTERM, and time to save."""
        return False

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        return artifacts.checkpoints(workspace.output_dir)

    def explain(self, ending: Ending) -> Failure:
        return failures.explain(ending)
