"""kraken behind the Engine seam: its Python API is driven by api.children.kraken_train, in kraken's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.models.events import Advance, Event, Parsed
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec, Resources
from api.models.ocr import Page
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.interpreter import Interpreter
from api.services.engines.kraken import failures, files, output, request
from api.utils.errors import Conflict, Invalid, Unavailable
from api.utils.paths import PathPolicy

OLDEST = (7, 1)  # whose Python API the child is written for
CHILD = "api.children.kraken_train"
GPU_WORKERS = 4  # processes that cut lines out of pages while a GPU trains

Pages = Callable[[Sequence[int]], Iterable[Page]]


@dataclass(frozen=True, slots=True)
class KrakenEngine:
    """`pages` reads documents; their images are relative to `data_dir`. `project`: where the package `api` is.

    `models`: where the OCR models' files are, which outlive the jobs that made them.
    """

    python: str
    project: Path
    data_dir: Path
    models: Path
    roots: PathPolicy
    pages: Pages
    name: str = field(default="kraken", init=False)
    exit_code_is_proof: bool = field(default=False, init=False)

    def availability(self) -> Availability:
        return Interpreter(self.python).availability_of(
            "kraken",
            ("kraken",),
            OLDEST,
            setting="TRAINYARD_KRAKEN_PYTHON",
            advice="run `make kraken` and set TRAINYARD_KRAKEN_PYTHON to .venv-kraken/bin/python, or install "
            "requirements/kraken.txt into an environment of your own",
        )

    def schema(self) -> Mapping[str, Any]:
        return request.schema()

    def validate(self, spec: JobSpec) -> JobSpec:
        """With defaults, and with the GPU that `device` asks for; without a word about it any one GPU will do."""
        params = request.checked(spec.params, self.roots)
        state = self.availability()
        if not state.available:
            raise Unavailable(f"kraken cannot be run: {state.reason}")
        return replace(spec, params=params, resources=_resources(spec.resources, params["device"]))

    def prepare(self, launch: Launch) -> Command:
        path = Interpreter(self.python).path
        if path is None:
            raise Unavailable(f"the interpreter {self.python} does not exist")
        settings = self._settings(launch)
        try:
            self._write(launch, settings)
        except OSError as problem:
            raise Unavailable(f"the files of the attempt cannot be written: {problem}") from problem
        env = {
            **launch.base_env,
            "PYTHONPATH": str(self.project),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.gpu_ids)),
            "OMP_NUM_THREADS": str(settings["threads"]),
        }
        argv = (str(path), "-u", "-m", CHILD, str(files.settings_file(launch.workspace).absolute()))
        return Command(argv=argv, env=env, cwd=str(self.project))

    def _settings(self, launch: Launch) -> dict[str, Any]:
        """What the child reads. On a CPU one thread was the fastest, and the data is loaded by the trainer itself."""
        params, workspace = launch.job.spec.params, launch.workspace
        named = ("task", "epochs", "lrate", "batch_size", "augment", "base_model", "spec", "lag")
        return {
            **{name: params[name] for name in named},
            "seed": request.SEED if params["seed"] is None else params["seed"],
            "data": str(files.data_file(workspace).absolute()),
            "output": str(workspace.output_dir.absolute()),
            "keep": str(files.keep_prefix(self.models, params["model_id"], launch.job.id).absolute()),
            "stop": str(files.stop_file(workspace).absolute()),
            "resume": self._resumed(launch),
            "accelerator": "cuda" if launch.gpu_ids else "cpu",
            "threads": launch.job.spec.resources.cpus or 1,
            "workers": GPU_WORKERS if launch.gpu_ids else 0,
        }

    @staticmethod
    def _resumed(launch: Launch) -> str | None:
        if launch.resume_from is None:
            return None
        state = files.find_state(launch.workspace, launch.resume_from)
        if state is None:
            raise Conflict(f"there is no state {launch.resume_from} (epochN_stepM.ckpt) to resume from")
        return str(state.absolute())

    def _write(self, launch: Launch, settings: Mapping[str, Any]) -> None:
        workspace = launch.workspace
        workspace.config_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        workspace.output_dir.mkdir(parents=True, exist_ok=True)
        data = files.data_file(workspace)
        if launch.resume_from is None or not data.exists():
            files.write_data(data, self.pages(launch.job.spec.params["document_ids"]), self.data_dir)
        files.write_settings(files.settings_file(workspace), settings)

    def parse(self, line: str) -> Parsed:
        return output.parse(line)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        """The epochs asked for; early stopping may end it before."""
        return () if job.spec.params["task"] == "test" else (Advance(total_epochs=job.spec.params["epochs"]),)

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


def _resources(asked: Resources, device: str | None) -> Resources:
    if asked.gpus > 1:
        raise Invalid("num_gpus", "a kraken training uses one GPU at most")
    if device == "cpu":
        return replace(asked, gpus=0, gpu_ids=())
    number = request.device_number(device)
    if number is not None:
        return replace(asked, gpus=1, gpu_ids=(number,))
    return replace(asked, gpus=1)
