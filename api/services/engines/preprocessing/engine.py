"""Preprocessing behind the Engine seam. What decodes and describes is the child `api.children.preprocessing`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from api.models.events import Event, Parsed
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec, Resources
from api.models.workspace import Workspace
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.failures import GENERIC, classify, rule
from api.services.engines.preprocessing import output
from api.services.engines.preprocessing.captioners import METHODS, ORDER, CaptionSettings
from api.services.engines.preprocessing.keys import Keys
from api.services.engines.preprocessing.sources import checked_name, has_sources
from api.utils.errors import Invalid, Unavailable
from api.utils.paths import PathPolicy
from api.utils.secrets import is_secret

FPS = (1, 120)
SIDES = (16, 8192)
CLIP_SECONDS = (0.1, 3600.0)
RULES = (
    rule(
        "dataset_empty",
        r"holds no video or image|could be processed",
        "No item came of it: `errors` in the status says why for each file.",
    ),
    rule("bad_config", r"exists already$", "A directory of that name is there: choose another dataset_name."),
    *GENERIC,
)


@dataclass(frozen=True, slots=True)
class PreprocessingEngine:
    """`root`: where `api` is imported from. `datasets`: where finished ones appear."""

    root: Path
    python: str
    datasets: Path
    roots: PathPolicy
    keys: Keys
    captions: CaptionSettings = field(default_factory=CaptionSettings)
    name: str = field(default="preprocessing", init=False)
    exit_code_is_proof: bool = field(default=False, init=False)

    def availability(self) -> Availability:
        for package in ("av", "PIL"):
            if importlib.util.find_spec(package) is None:
                return Availability(False, reason=f"{package} is not installed in the service's interpreter")
        return Availability(True, f"PyAV {version('av')}")

    def schema(self) -> Mapping[str, Any]:
        side = {"type": "integer", "minimum": SIDES[0], "maximum": SIDES[1]}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["dataset_name", "video_directory"],
            "properties": {
                "dataset_name": {"type": "string"},
                "video_directory": {"type": "string"},
                "prompt_prefix": {"type": "string", "default": ""},
                "captioner": {"type": "string", "enum": list(ORDER)},
                "caption_method": {"type": "string", "enum": list(METHODS), "default": "extra_mixed"},
                "use_qwen_optimize": {"type": "boolean", "default": True},
                "fps": {"type": "integer", "minimum": FPS[0], "maximum": FPS[1], "default": 16},
                "resolution": {"anyOf": [side, {"type": "array", "items": side, "minItems": 2, "maxItems": 2}]},
                "clip_seconds": {"type": "number", "minimum": CLIP_SECONDS[0], "maximum": CLIP_SECONDS[1]},
            },
            "x-captioners": {name: self.captions.missing(name) or "available" for name in ORDER},
        }

    def validate(self, spec: JobSpec) -> JobSpec:
        """With its captioner chosen. Only Florence-2 asks for a GPU; a machine without one does it on the CPU."""
        params = dict(spec.params)
        checked_name(params.get("dataset_name"))
        directory = self.roots.resolve("video_directory", params.get("video_directory", ""))
        if not directory.is_dir():
            raise Invalid("video_directory", f"{directory} is not a directory that exists")
        try:
            if not has_sources(directory):
                raise Invalid("video_directory", f"{directory} holds no video or image")
            params["captioner"] = self.captions.chosen(params.get("captioner"), directory)
        except OSError as problem:
            raise Invalid("video_directory", f"{directory} cannot be read: {problem.strerror}") from None
        params["video_directory"] = str(directory)
        return replace(spec, params=params, resources=Resources(gpus=int(params["captioner"] == "florence2")))

    def part(self, job_id: str, name: str) -> Path:
        """Where a job makes its dataset: beside it, so that it can be renamed."""
        return self.datasets / f".{name}.{job_id}.part"

    def prepare(self, launch: Launch) -> Command:
        job, control = launch.job, launch.workspace.control
        try:
            self.datasets.mkdir(parents=True, exist_ok=True)
            control.mkdir(parents=True, exist_ok=True, mode=0o700)
            plan = self._plan(job, self._handed_over(launch, control / "key"))
            path = control / "plan.json"
            path.write_text(json.dumps(plan, indent=1), encoding="utf-8")
        except OSError as problem:
            raise Unavailable(f"the files of the attempt cannot be written: {problem}") from problem
        # -P: the working directory is not a place to import from
        argv = (self.python, "-P", "-m", "api.children.preprocessing", str(path.absolute()))
        return Command(argv, self._environment(launch), str(control.absolute()))

    def _plan(self, job: Job, key: Mapping[str, Any]) -> dict[str, Any]:
        params = job.spec.params
        name = params["dataset_name"]
        return {
            "job": job.id,
            "dataset": name,
            "source": params["video_directory"],
            "part": str(self.part(job.id, name).absolute()),
            "target": str((self.datasets / name).absolute()),
            "fps": params["fps"],
            "resolution": params.get("resolution"),
            "clip_seconds": params.get("clip_seconds"),
            "prefix": params.get("prompt_prefix", ""),
            "captioner": params["captioner"],
            "caption_method": params["caption_method"],
            "optimize": params["use_qwen_optimize"],
            "openai_url": self.captions.openai_url,
            "openai_model": self.captions.openai_model,
            "florence2_dir": str(self.captions.florence2_dir or ""),
            "detector_weights": str(self.captions.detector or ""),
            **key,
        }

    def _handed_over(self, launch: Launch, pipe: Path) -> dict[str, Any]:
        """The request's key, else the configured one, goes by the pipe."""
        job = launch.job
        own = self.keys.of(job.id)
        lost = bool(job.spec.params.get("key_given")) and own is None
        key = own or self.captions.openai_key
        if not key or not self.captions.has_endpoint:
            return {"key_lost": lost}
        if launch.placed:
            raise Invalid("captioner", "its key goes by a pipe of this machine and reaches no node")
        self.keys.hand_over(job.id, key, pipe)
        return {"key_lost": lost, "key_pipe": str(pipe.absolute())}

    def _environment(self, launch: Launch) -> dict[str, str]:
        """Without any key: an environment is written down with its attempt."""
        return {
            **{name: value for name, value in launch.base_env.items() if not is_secret(name)},
            "PYTHONPATH": str(self.root),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.gpu_ids)),
            "HF_HUB_OFFLINE": "1",
            "YOLO_AUTOINSTALL": "false",
            "TOKENIZERS_PARALLELISM": "false",
        }

    def parse(self, line: str) -> Parsed:
        return output.parse(line)

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        return ()

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return ()

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        return ()

    def soft_stop(self, workspace: Workspace) -> bool:
        return False  # half a dataset is worth nothing

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        return ()

    def explain(self, ending: Ending) -> Failure:
        return classify(ending, RULES, what="The preprocessing")
