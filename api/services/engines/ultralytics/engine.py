"""ultralytics behind the Engine seam: driven by api.children.ultralytics_train, never imported by the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.models.events import Advance, Event, Parsed
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.interpreter import Interpreter
from api.services.engines.ultralytics import failures, files, formats, output, request
from api.services.engines.ultralytics.models import Start, with_fallback
from api.utils.errors import Conflict, Unavailable
from api.utils.paths import AllowedRoots

OLDEST = (8, 4)  # whose trainer the child is written for
CHILD = "api.children.ultralytics_train"
#: Ultralytics' own distribution without a display's libraries, and the plain one: the same files
DISTRIBUTIONS = ("ultralytics_opencv_headless", "ultralytics")
GPU_WORKERS = 4  # of the data loader; on a CPU ultralytics has none
#: nothing is fetched, installed or sent; pickles are read through ultralytics' allow-list
FIXED_ENV = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
    "COMET_MODE": "disabled",
}
BEGINS_AGAIN = "there was no last.pt to go on from: epoch 1 begins again, with the weights of best.pt"
_NEVER = ("ULTRALYTICS_API_KEY", "YOLO_VERBOSE", "RANK", "LOCAL_RANK", "WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class UltralyticsEngine:
    """`project`: where the package `api` is. `weights`: where files like yolov8n.pt are placed by hand."""

    python: str
    project: Path
    weights: Path
    roots: AllowedRoots
    name: str = field(default="ultralytics", init=False)
    exit_code_is_proof: bool = field(default=False, init=False)

    def availability(self) -> Availability:
        return Interpreter(self.python).availability_of(
            "ultralytics",
            DISTRIBUTIONS,
            OLDEST,
            setting="TRAINYARD_YOLO_PYTHON",
            advice="install requirements.txt with constraints.txt there (`make setup`), or set TRAINYARD_YOLO_PYTHON "
            "to an interpreter that has it",
        )

    def schema(self) -> Mapping[str, Any]:
        return request.schema()

    def validate(self, spec: JobSpec) -> JobSpec:
        params = request.checked(spec.params, self.roots)
        state = self.availability()
        if not state.available:
            raise Unavailable(f"ultralytics cannot be run: {state.reason}")
        if params["task"] == "export":
            formats.check(params["format"], Interpreter(self.python), half=params.get("half", False))
        return replace(spec, params=params, resources=request.resources(spec.resources, params["device"]))

    def prepare(self, launch: Launch) -> Command:
        path = Interpreter(self.python).path
        if path is None:
            raise Unavailable(f"the interpreter {self.python} does not exist")
        settings = self._settings(launch)
        workspace = launch.workspace
        try:
            files.child_dir(workspace).mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_settings(files.settings_file(workspace), settings)
        except OSError as problem:
            raise Unavailable(f"the files of the attempt cannot be written: {problem}") from problem
        argv = (str(path), "-u", "-m", CHILD, str(files.settings_file(workspace).absolute()))
        env = self._environment(launch, settings["threads"])
        return Command(argv=argv, env=env, cwd=str(self.project), errors_apart=True)

    def _environment(self, launch: Launch, threads: int) -> dict[str, str]:
        return {
            **{name: value for name, value in launch.base_env.items() if name not in _NEVER},
            **FIXED_ENV,
            "YOLO_CONFIG_DIR": str(files.child_dir(launch.workspace).absolute()),
            "PYTHONPATH": str(self.project),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.gpu_ids)),
            "OMP_NUM_THREADS": str(threads),
        }

    def _settings(self, launch: Launch) -> dict[str, Any]:
        """What the child reads."""
        params, workspace = launch.job.spec.params, launch.workspace
        start = Start(params["model"]["kind"], params["model"]["value"])
        if params.get("pretrained") == "auto" and launch.resume_from is None:
            start = with_fallback(start)
        before = {} if launch.resume_from is None else files.settings_before(workspace)
        began = before.get("began", start.model)
        if launch.resume_from == files.BEST:
            start = Start("weights", str(files.best_weights(workspace).absolute()), BEGINS_AGAIN)
        given = request.arguments_of(params)
        if params["task"] == "train":
            given["pretrained"] = params["pretrained"] is not False or launch.resume_from == files.BEST
            given.setdefault("workers", GPU_WORKERS if launch.gpu_ids else 0)
        return {
            "task": params["task"],
            "arguments": given,
            "model": start.model,
            "began": began,
            "warnings": [*before.get("warnings", ()), *([start.warning] if start.warning else [])],
            "data": params["data"],
            "manifest": params.get("manifest"),
            "own_data": str((files.child_dir(workspace) / "data.yaml").absolute()),
            "roots": [str(root) for root in self.roots.roots],
            "output": str(workspace.output_dir.absolute()),
            "weights_dir": str(self.weights),
            "stop": str(files.stop_file(workspace).absolute()),
            "resume": self._resumed(launch),
            "device": "0" if launch.gpu_ids else "cpu",
            "threads": launch.job.spec.resources.cpus or 1,
        }

    @staticmethod
    def _resumed(launch: Launch) -> str | None:
        if launch.resume_from in (None, files.BEST):
            return None
        state = files.find_state(launch.workspace, str(launch.resume_from))
        if state is None:
            raise Conflict(f"there is no state {launch.resume_from} to resume from: a finished training leaves none")
        return str(state.absolute())

    def parse(self, line: str) -> Parsed:
        return output.parse(line)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        """The epochs asked for; early stopping may end it before."""
        params = job.spec.params
        return (Advance(total_epochs=params["epochs"]),) if params["task"] == "train" else ()

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return ()

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        return ()

    def soft_stop(self, workspace: Workspace) -> bool:
        return files.ask_to_stop(workspace)

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        return files.checkpoints(workspace)

    def explain(self, ending: Ending) -> Failure:
        return failures.explain(ending)
