"""diffusion-pipe behind the Engine seam. Its train.py is run as it is; nothing of it is imported or copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.models.events import Advance, Axis, Event, Metric, Parsed
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.diffusion_pipe import documents, failures, output, runs
from api.services.engines.diffusion_pipe.config import normalized_config
from api.services.engines.diffusion_pipe.dataset import Inputs, normalized_dataset
from api.services.engines.diffusion_pipe.launch import Interpreter, chosen_launcher, command
from api.services.engines.diffusion_pipe.model_types import named_in
from api.services.engines.diffusion_pipe.problems import Problems
from api.services.engines.diffusion_pipe.schema import request_schema
from api.services.engines.diffusion_pipe.version import version_of
from api.utils.errors import Conflict, Unavailable
from api.utils.paths import PathPolicy

_NOWHERE = Workspace("x", 1, Path("/c"), Path("/l"), Path("/c"), Path("/o"))  # for a dump that is not written
_TRAIN, _EVAL_TIME = "train/", "eval/eval_time_sec"


def _counted(spec: JobSpec) -> int:
    """What one step adds to the x of an event file: 1, or, with x_axis_examples, its global batch."""
    config = spec.params["config"]
    micro = config["micro_batch_size_per_gpu"]
    if not config.get("x_axis_examples") or not isinstance(micro, int):  # by resolution: no number holds for all
        return 1
    copies = max(1, spec.resources.gpus, len(spec.resources.gpu_ids)) // config["pipeline_stages"]
    return int(micro * config["gradient_accumulation_steps"] * copies)


@dataclass(frozen=True, slots=True)
class DiffusionPipeEngine:
    """`bundled`: the repository root, if `root` is the small trainer under its examples/.

    `datasets` finds the directory of a preprocessed dataset by its name.
    """

    root: Path
    python: str
    launcher: str  # auto | deepspeed | python
    roots: PathPolicy
    bundled: Path | None = None
    datasets: Callable[[str], Path | None] | None = None
    name: str = field(default="diffusion_pipe", init=False)
    exit_code_is_proof: bool = field(default=False, init=False)

    @property
    def _inputs(self) -> Inputs:
        return Inputs(self.roots, self.bundled, self.datasets)

    @property
    def _interpreter(self) -> Interpreter:
        return Interpreter(self.python)

    def availability(self) -> Availability:
        script = self.root / "train.py"
        if not script.is_file() or not os.access(script, os.R_OK):
            return Availability(False, reason=f"{script} is not there or cannot be read")
        version = "bundled" if self.bundled is not None else version_of(self.root)
        if self._interpreter.path is None:
            return Availability(False, version, f"the interpreter {self.python} does not exist")
        if self.launcher == "deepspeed" and not self._interpreter.has_deepspeed():
            return Availability(False, version, f"there is no deepspeed beside {self.python}")
        return Availability(True, version)

    def schema(self) -> Mapping[str, Any]:
        return request_schema(named_in(self.root))

    def validate(self, spec: JobSpec) -> JobSpec:
        """Flat config, defaults filled; every input looked at; both TOMLs written in memory and read back."""
        problems = Problems()
        config: dict[str, Any] = {}
        dataset: dict[str, Any] = {}
        with problems.collecting():
            given = self._with_output_dir(documents.plain(spec.params.get("config"), "config"), spec)
            config = normalized_config(
                spec.params.get("model_type"), given, spec.resources, self._inputs, named_in(self.root)
            )
        with problems.collecting():
            dataset = normalized_dataset(documents.plain(spec.dataset, "dataset"), "dataset", self._inputs)
        problems.check()
        documents.texts(config, dataset, _NOWHERE)
        params = {**spec.params, "model_type": config["model"]["type"], "config": config}
        return replace(spec, params=params, dataset=dataset, output_dir=config.get("output_dir"))

    @staticmethod
    def _with_output_dir(config: Any, spec: JobSpec) -> Any:
        """A dialect may have taken it out of the config already."""
        if spec.output_dir is None or not isinstance(config, Mapping | None):
            return config
        return {"output_dir": spec.output_dir, **(config or {})}

    def prepare(self, launch: Launch) -> Command:
        workspace, spec = launch.workspace, launch.job.spec
        files = documents.texts(spec.params["config"], spec.dataset or {}, workspace)
        resumed = self._resumed(launch)
        launcher = chosen_launcher(self.launcher, self._interpreter)
        start = command(launch, self.root, self._interpreter, launcher, resumed)
        try:
            self._write(launch, files, resumed)
        except OSError as problem:
            raise Unavailable(f"the files of the attempt cannot be written: {problem}") from problem
        return start

    @staticmethod
    def _write(launch: Launch, files: Mapping[Path, str], resumed: Path | None) -> None:
        workspace = launch.workspace
        workspace.config_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        workspace.output_dir.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            documents.write(path, text)
        if resumed is not None and launch.resume_from is not None:
            runs.clear_signals(resumed)
            runs.point_latest(resumed, launch.resume_from)
        runs.note_start(workspace, resumed)

    def _resumed(self, launch: Launch) -> Path | None:
        if launch.resume_from is None:
            return None
        run = runs.find_state(launch.workspace, launch.resume_from)
        if run is None:
            raise Conflict(f"there is no complete state {launch.resume_from} (global_stepN) to resume from")
        return run

    def parse(self, line: str) -> Parsed:
        return output.parse(line)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        """The epochs asked for, the limit of steps, and how many of them the log tells."""
        config = job.spec.params["config"]
        apart = config.get("steps_per_print", 1)
        return (
            Advance(
                total_epochs=config.get("epochs"),
                max_steps=config.get("max_steps"),
                steps_apart=apart if apart > 1 else None,
            ),
        )

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return runs.event_files(workspace)

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        """`train/loss` keeps a series of its own: the log's rounded one is `loss`, and it arrives earlier."""
        if tag == "train/epoch_loss":
            return (Metric("loss", value, epoch=step, axis=Axis.EPOCH, at=at),)
        step //= _counted(spec)
        if tag == "train/loss":
            return (Metric(tag, value, step, at=at),)
        if tag.startswith(_TRAIN):
            return (Metric(tag.removeprefix(_TRAIN), value, step, at=at),)
        return (Metric(tag if tag == _EVAL_TIME else f"eval/{tag}", value, step, at=at),)

    def soft_stop(self, workspace: Workspace) -> bool:
        return runs.ask_to_quit(workspace)

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        return runs.checkpoints(workspace)

    def explain(self, ending: Ending) -> Failure:
        return failures.explain(ending)
