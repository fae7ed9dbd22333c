"""Every setting as data: its name, default and help. Nothing else in the service reads the environment."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api import setting_values as kind

PREFIX = "TRAINYARD_"
ROOT = Path(__file__).resolve().parent.parent
BUNDLED_TRAINER = ROOT / "examples" / "mini_diffusion_pipe"


DATABASE_SECRETS = frozenset({"PGPASSWORD", "PGPASSFILE"})  # libpq's, and no training's business
DATABASES = ("sqlite:///", "postgresql+psycopg://")


class SettingError(ValueError):
    """One line that names the setting and says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row. `default` may be a function of the settings above it in the table."""

    name: str
    parse: Callable[[str], Any]
    default: str | Callable[[Mapping[str, Any]], str]
    help: str
    metavar: str = ""
    also: str = ""  # another variable that it is read from, where its own is absent
    secret: bool = False  # has no flag: whoever lists the machine's processes sees those

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def _under_data(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda known: str(known["data_dir"] / name)


SETTINGS: tuple[Setting, ...] = (
    Setting("data_dir", kind.path, "./data", "everything the service writes, unless set apart below", "DIR"),
    Setting("database_url", str, lambda s: f"sqlite:///{s['data_dir'] / 'trainyard.db'}",
            "where jobs, metrics and accounts are kept: SQLite, or postgresql+psycopg://USER@HOST/NAME", "URL"),
    Setting("config_dir", kind.path, _under_data("configs"), "generated training configurations", "DIR"),
    Setting("log_dir", kind.path, _under_data("logs"), "job logs", "DIR"),
    Setting("output_dir", kind.path, _under_data("training_runs"), "job outputs", "DIR"),
    Setting("diffusion_pipe_root", kind.path, str(BUNDLED_TRAINER),
            "a diffusion-pipe checkout; its train.py is run unmodified (default: the bundled small trainer)", "DIR"),
    Setting("diffusion_pipe_python", kind.interpreter, sys.executable,
            "the interpreter of that install's own environment (default: the service's)", "FILE"),
    Setting("diffusion_pipe_launcher", kind.one_of("auto", "deepspeed", "python"), "auto",
            "how train.py is started: through the deepspeed launcher, plainly, or what is there"),
    Setting("kraken_python", kind.interpreter, sys.executable,
            "the interpreter that has kraken; `make kraken` makes one (default: the service's)", "FILE"),
    Setting("script_python", kind.interpreter, sys.executable,
            "the interpreter of scripts that name none (default: the service's)", "FILE"),
    Setting("yolo_python", kind.interpreter, sys.executable,
            "the interpreter that has ultralytics (default: the service's)", "FILE"),
    Setting("allowed_roots", kind.paths, lambda s: str(s["data_dir"] / "workspace"),
            "where client-supplied paths may point, separated by ':' (default: <data>/workspace)", "DIRS"),
    Setting("stop_grace", kind.seconds, "120", "seconds a graceful stop waits for the trainer to save", "SECONDS"),
    Setting("stall_seconds", kind.seconds, "120",
            "seconds of silence without CPU use after a final traceback before a hung trainer is ended", "SECONDS"),
    Setting("florence2_dir", kind.optional_path, "",
            "captioner florence2: a local Florence-2 (PromptGen) model", "DIR"),
    Setting("openai_base_url", kind.web_address, "",
            "captioner openai: an OpenAI-compatible endpoint that takes pictures (http://localhost:8000/v1)", "URL"),
    Setting("openai_model", str, "", "captioner openai: the model's name there", "NAME"),
    Setting("openai_api_key", kind.key, "", "captioner openai: its key, if it asks for one", also="DASHSCOPE_API_KEY",
            secret=True),
    Setting("caption_detector", kind.optional_path, "", "captioner detector: weights of a YOLO model", "FILE"),
    Setting("max_upload_bytes", kind.integer(1, 1 << 50), str(50 * 1024**3), "largest request body", "BYTES"),
    Setting("max_archive_bytes", kind.integer(1, 1 << 50), str(100 * 1024**3),
            "largest size of an uploaded archive's files, unpacked", "BYTES"),
    Setting("max_archive_files", kind.integer(1, 10_000_000), "200000",
            "most files in an uploaded archive or an imported directory", "N"),
    Setting("max_dataset_bytes", kind.integer(1, 1 << 50), str(50 * 1024**3),
            "largest size of an uploaded YOLO dataset, unpacked", "BYTES"),
    Setting("prepare_seconds", kind.seconds, "3600", "longest time that preparing a YOLO dataset may take", "SECONDS"),
    Setting("infer_device", kind.one_of("auto", "cpu"), "auto",
            "auto: inference takes a GPU that is free and that no job waits for, else the CPU"),
    Setting("infer_models", kind.integer(1, 1000), "4", "models that inference keeps loaded", "N"),
    Setting("infer_idle", kind.seconds, "300",
            "seconds after which inference unloads a model, and ends its process, that nobody used", "SECONDS"),
    Setting("infer_memory", kind.integer(1 << 28, 1 << 50), str(4 * 1024**3),
            "bytes of memory that the inference process may use beyond its libraries", "BYTES"),
    Setting("infer_seconds", kind.seconds, "60",
            "seconds without a sign of life after which the inference process is ended", "SECONDS"),
    Setting("infer_keep", kind.seconds, "604800", "seconds for which results of inference are kept", "SECONDS"),
    Setting("infer_image_bytes", kind.integer(1, 1 << 30), str(32 * 1024**2), "largest image for inference", "BYTES"),
    Setting("infer_video_bytes", kind.integer(1, 1 << 50), str(2 * 1024**3), "largest video for inference", "BYTES"),
    Setting("infer_video_seconds", kind.seconds, "3600", "longest video for inference", "SECONDS"),
    Setting("auth", kind.one_of("auto", "required", "off"), "auto",
            "auto: the local operator needs no token on loopback; required: everybody; off: nobody, loopback only"),
    Setting("insecure", kind.switch, "false", "allow --auth off on an address other than loopback"),
    Setting("host", str, "127.0.0.1", "address to listen on"),
    Setting("port", kind.ports, "8080", "port to listen on; may be repeated; 0 takes a free one"),
    Setting("threads", kind.integer(1, 512), "16", "threads that answer requests, besides those of open streams", "N"),
    Setting("workers", kind.integer(1, 512), "2", "jobs at a time that hold no GPU", "N"),
    Setting("reserve_cpu", kind.integer(0, 4096), "0", "cores that jobs may not lease", "N"),
    Setting("reserve_memory", kind.integer(0, 1 << 50), "0", "bytes of memory that jobs may not lease", "BYTES"),
    Setting("max_running_per_user", kind.integer(0, 10**6), "0", "jobs at a time of one user; 0: no limit", "N"),
    Setting("max_queued_per_user", kind.integer(0, 10**6), "0", "waiting jobs of one user; 0: no limit", "N"),
    Setting("on_failure", kind.one_of("continue", "hold"), "continue",
            "hold: when a job fails, what its owner has waiting is held back until it is released"),
    Setting("executor", kind.one_of("local", "slurm", "ray"), "local",
            "where jobs run: on this machine, or on a Slurm or Ray cluster"),
    Setting("shared_dir", kind.paths, "",
            "directories that this machine and every node of the cluster see under the same path, separated by ':'; "
            "what jobs read and write lies there", "DIRS"),
    Setting("node_python", kind.interpreter, "",
            "the interpreter on the nodes that watches over a job (default: the service's own)", "FILE"),
    Setting("slurm_partition", kind.slurm_name, "", "Slurm's partition for jobs (default: Slurm's own)", "NAME"),
    Setting("slurm_account", kind.slurm_name, "", "the account that Slurm charges jobs to", "NAME"),
    Setting("slurm_qos", kind.slurm_name, "", "Slurm's quality of service for jobs", "NAME"),
    Setting("slurm_extra", kind.flags, "",
            "further flags of sbatch, as in a shell: --constraint=a100 --mem=16G", "FLAGS"),
    Setting("slurm_allow", kind.choices, "",
            "what a job may choose for itself: partition=debug,partition=gpu,qos=high,account=vision", "WORDS"),
    Setting("slurm_nice", kind.integer(0, 10**6), "100",
            "how much lower Slurm ranks a job for each level of priority below 10; 0: priorities are not handed on",
            "N"),
    Setting("ray_address", kind.web_address, "", "Ray's dashboard: http://head:8265", "URL"),
    Setting("ray_token", kind.key, "", "the token of a Ray that asks for one (RAY_AUTH_MODE=token)", secret=True),
    Setting("trusted_hosts", kind.hosts, "", "further Host names to answer to, separated by commas", "NAMES"),
    Setting("cors_origins", kind.origins, "",
            "web origins whose pages may use the API, separated by commas", "ORIGINS"),
    Setting("webhook_allowed_hosts", kind.words, "",
            "hosts, host:port, addresses or networks off the public internet that webhooks may go to, "
            "separated by commas", "HOSTS"),
    Setting("log_format", kind.one_of("text", "json"), "text", "the service's own log, on standard error"),
    Setting("fault", str, "", "for tests: the named crash point ends the service like a SIGKILL", "NAME"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force."""

    data_dir: Path
    database_url: str = field(repr=False)  # may hold a password
    config_dir: Path
    log_dir: Path
    output_dir: Path
    diffusion_pipe_root: Path
    diffusion_pipe_python: str
    diffusion_pipe_launcher: str
    kraken_python: str
    script_python: str
    yolo_python: str
    allowed_roots: tuple[Path, ...]
    stop_grace: float
    stall_seconds: float
    florence2_dir: Path | None
    openai_base_url: str
    openai_model: str
    openai_api_key: str = field(repr=False)
    caption_detector: Path | None
    max_upload_bytes: int
    max_archive_bytes: int
    max_archive_files: int
    max_dataset_bytes: int
    prepare_seconds: float
    infer_device: str
    infer_models: int
    infer_idle: float
    infer_memory: int
    infer_seconds: float
    infer_keep: float
    infer_image_bytes: int
    infer_video_bytes: int
    infer_video_seconds: float
    auth: str
    insecure: bool
    host: str
    port: tuple[int, ...]
    threads: int
    workers: int
    reserve_cpu: int
    reserve_memory: int
    max_running_per_user: int
    max_queued_per_user: int
    on_failure: str
    executor: str
    shared_dir: tuple[Path, ...]
    node_python: str
    slurm_partition: str
    slurm_account: str
    slurm_qos: str
    slurm_extra: tuple[str, ...]
    slurm_allow: Mapping[str, frozenset[str]]
    slurm_nice: int
    ray_address: str
    ray_token: str = field(repr=False)
    trusted_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    webhook_allowed_hosts: tuple[str, ...]
    log_format: str
    fault: str


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag a setting; a flag left out is absent from the namespace."""
    parser.add_argument("--config", metavar="FILE", default=None,
                        help="settings file (default: trainyard.toml in the data directory)")  # fmt: skip
    for row in SETTINGS:
        if row.secret:
            continue
        shown = row.default if isinstance(row.default, str) else ""
        if shown == sys.executable or shown.startswith(str(ROOT)):
            shown = ""
        text = row.help + (f" (default: {shown})" if shown else "") + f" [{row.variable}]"
        if row.parse is kind.switch:
            parser.add_argument(row.flag, dest=row.name, action="store_const", const="true",
                                default=argparse.SUPPRESS, help=text)  # fmt: skip
        else:
            action = "append" if row.name == "port" else "store"
            parser.add_argument(row.flag, dest=row.name, action=action, metavar=row.metavar or None,
                                default=argparse.SUPPRESS, help=text)  # fmt: skip


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Flag, else environment, else file, else default. Raises SettingError."""
    given = {name: ",".join(v) if isinstance(v, list) else v for name, v in flags.items()}
    values: dict[str, Any] = {}
    written: Mapping[str, str] | None = None
    for row in SETTINGS:
        if row.name in given:
            text, source = str(given[row.name]), row.flag
        elif row.variable in environ:
            text, source = environ[row.variable], row.variable
        elif row.also and row.also in environ:
            text, source = environ[row.also], row.also
        else:
            if written is None and values:
                written = _from_file(given.get("config"), values["data_dir"])
            if written and row.name in written:
                text, source = written[row.name], f"{row.name} in the settings file"
            else:
                text, source = (
                    row.default if isinstance(row.default, str) else row.default(values),
                    row.variable,
                )
        try:
            values[row.name] = row.parse(text)
        except ValueError as problem:
            raise SettingError(f"{source} {problem}") from None
    settings = Settings(**values)
    _check(settings)
    return settings


def _from_file(named: str | None, data_dir: Path) -> Mapping[str, str]:
    path = Path(named) if named else data_dir / "trainyard.toml"
    if not named and not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise SettingError(f"settings file {path} cannot be used: {problem}") from None
    known = {row.name: row for row in SETTINGS}
    for name in table:
        if name not in known or name == "data_dir":
            raise SettingError(f"settings file {path}: there is no setting {name!r} to set in a file")
    return {name: _text(known[name], value) for name, value in table.items()}


def _text(row: Setting, value: object) -> str:
    if isinstance(value, list) and row.parse is kind.flags:
        return shlex.join(map(str, value))
    if isinstance(value, list):
        return (os.pathsep if row.parse is kind.paths else ",").join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "127.0.0.1") or host.startswith("127.")


def _check(settings: Settings) -> None:
    if not settings.database_url.startswith(DATABASES):
        scheme = settings.database_url.partition("://")[0]  # the rest may hold a password
        raise SettingError(f"{PREFIX}DATABASE_URL begins {scheme[:40]!r}; it must be {' or '.join(DATABASES)}...")
    if settings.openai_base_url and not settings.openai_model:
        raise SettingError(f"{PREFIX}OPENAI_BASE_URL is set and {PREFIX}OPENAI_MODEL is not; captions need both")
    if settings.executor != "local":
        _check_shared(settings)
    if settings.executor == "ray" and not settings.ray_address:
        raise SettingError(f"{PREFIX}EXECUTOR is ray and {PREFIX}RAY_ADDRESS is not set; name Ray's dashboard")
    if settings.auth == "off" and not is_loopback(settings.host) and not settings.insecure:
        raise SettingError(
            f"{PREFIX}AUTH is off and {PREFIX}HOST is {settings.host}: anybody who can reach it could run code "
            "here; give --insecure too if that is meant"
        )


def _check_shared(settings: Settings) -> None:
    """What a node must see lies where it sees it."""
    if not settings.shared_dir:
        raise SettingError(
            f"{PREFIX}EXECUTOR is {settings.executor} and {PREFIX}SHARED_DIR is not set; "
            "name the directory that this machine and the nodes share"
        )
    places = {name: (getattr(settings, name),) for name in ("data_dir", "config_dir", "log_dir", "output_dir")}
    for name, directories in {**places, "allowed_roots": settings.allowed_roots}.items():
        for directory in directories:
            if not any(directory.is_relative_to(shared) for shared in settings.shared_dir):
                shared = os.pathsep.join(map(str, settings.shared_dir))
                raise SettingError(
                    f"{PREFIX}{name.upper()} has {directory}, which does not lie under {PREFIX}SHARED_DIR ({shared}): "
                    "the nodes would not find it"
                )


def environment(environ: Mapping[str, str], names: Sequence[str] = ()) -> dict[str, str]:
    """What children inherit: the service's own environment less its settings and secrets."""
    return {k: v for k, v in environ.items() if k in names or not (k.startswith(PREFIX) or k in DATABASE_SECRETS)}
