"""How train.py is started: through the deepspeed launcher, or plainly with the rank variables set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.models.job import Command
from api.services.engines.base import Launch
from api.utils.errors import Invalid, Unavailable

_RANK_NAMES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES",
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python of diffusion-pipe's own environment; only looked at, never run."""

    name: str

    @property
    def path(self) -> Path | None:
        """Absolute, its own symlink kept: a virtual environment is found by it."""
        found = shutil.which(self.name)
        return Path(found).absolute() if found else None

    def launcher_script(self) -> Path | None:
        script = self.path.parent / "deepspeed" if self.path is not None else None
        return script if script is not None and os.access(script, os.X_OK) and script.is_file() else None

    def has_deepspeed(self) -> bool:
        if self.path is None:
            return False
        packages = (self.path.parent.parent).glob("lib*/python3*/*-packages/deepspeed/__init__.py")
        return self.launcher_script() is not None or next(packages, None) is not None


def chosen_launcher(setting: str, interpreter: Interpreter) -> str:
    if setting != "auto":
        return setting
    return "deepspeed" if interpreter.has_deepspeed() else "python"


def command(launch: Launch, root: Path, interpreter: Interpreter, launcher: str, resumed: Path | None) -> Command:
    """The argument list and the whole environment of an attempt."""
    path = interpreter.path
    if path is None:
        raise Unavailable(f"the interpreter {interpreter.name} does not exist")
    env = {k: v for k, v in launch.base_env.items() if k not in _RANK_NAMES}
    env["PATH"] = _first_on_path(str(path.parent), env.get("PATH", os.defpath))
    if launcher == "deepspeed":
        argv = [*_deepspeed(launch, path, interpreter, env), "train.py", "--deepspeed"]
    else:
        argv = [*_plain(launch, path, env), "train.py", "--deepspeed", "--local_rank", "0"]
    argv += ["--config", str(launch.workspace.config.absolute()), "--master_port", _port(launch, 0)]
    if resumed is not None:
        argv += ["--resume_from_checkpoint", resumed.name]
    return Command(argv=tuple(argv), env=env, cwd=str(root))


def _first_on_path(directory: str, path: str) -> str:
    """DeepSpeed looks for the environment's own `ninja` there."""
    return path if directory in path.split(os.pathsep) else f"{directory}{os.pathsep}{path}"


def _port(launch: Launch, index: int) -> str:
    if len(launch.ports) <= index:
        raise Unavailable("no free port was found for the training")
    return str(launch.ports[index])


def _plain(launch: Launch, python: Path, env: dict[str, str]) -> tuple[str, ...]:
    if len(launch.gpu_ids) > 1:
        raise Invalid(
            "num_gpus",
            f"{len(launch.gpu_ids)} GPUs need the deepspeed launcher, which this install has not "
            "(install deepspeed beside the interpreter, or set the launcher to deepspeed)",
        )
    port = _port(launch, 0)
    env |= _single_rank(port)
    env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, launch.gpu_ids))
    return str(python), "-u"


def _single_rank(port: str) -> Mapping[str, str]:
    return {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "LOCAL_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }


def _deepspeed(launch: Launch, python: Path, interpreter: Interpreter, env: dict[str, str]) -> tuple[str, ...]:
    """`--include` is the only choice of GPUs that the launcher keeps: CUDA_VISIBLE_DEVICES it throws away.

    On a cluster the node has set that variable: without any choice here the launcher takes its devices from it.
    Without a GPU [judged, not seen in a run]: one rank, DeepSpeed told to use the CPU.
    """
    script = interpreter.launcher_script()
    start = (str(script),) if script is not None else (str(python), "-u", "-m", "deepspeed.launcher.runner")
    where: tuple[str, ...] = ("--include", "localhost:" + ",".join(map(str, launch.gpu_ids)))
    if not launch.gpu_ids:
        where = ("--num_gpus=1",)
        env["DS_ACCELERATOR"] = "cpu"
    elif launch.placed:
        where = ()
    return (*start, *where, "--master_port", _port(launch, 1))
