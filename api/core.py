"""What every dialect stands on, put together: jobs and their queue over one database, one executor and the machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.engines import build_engines, child_environment, pages_of
from api.executors import build_executor
from api.models.room import Room
from api.services.accounts import AccountService
from api.services.document_import import DocumentFiles, Ingestion
from api.services.endings import Endings, in_turn
from api.services.engine_queue import EngineQueue
from api.services.engines.base import Engine
from api.services.engines.preprocessing import Keys
from api.services.executors.base import ClusterExecutor
from api.services.feed import EventWatch, Feed
from api.services.fitting import ClusterFitting, Fitting, MachineFitting
from api.services.gpus.base import GpuSource
from api.services.gpus.cluster import ClusterSource
from api.services.gpus.desk import GpuDesk
from api.services.gpus.monitor import GpuMonitor
from api.services.gpus.nvml import NvmlSource
from api.services.jobs import JobService
from api.services.leadership import Leadership
from api.services.machine import MachineMonitor, usable_cores, usable_memory
from api.services.ocr_training_end import model_keeper
from api.services.prelabel import Proposals
from api.services.prepared import PreparedDatasets
from api.services.queue import QueueDesk
from api.services.store.database import Database
from api.services.supervisor import Limits, Parts, Supervisor
from api.services.workspaces import Workspaces
from api.services.yolo_models import YoloModels
from api.services.yolo_registration import ModelRegistrar, require_dataset
from api.settings import SettingError, Settings


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What jobs are made from and what they leave: those parts of it that jobs themselves need."""

    keys: Keys
    prepared: PreparedDatasets
    files: DocumentFiles
    ingestion: Ingestion
    models: YoloModels


@dataclass(frozen=True, slots=True)
class Core:
    """Built once for a service, not yet started."""

    settings: Settings
    environ: Mapping[str, str]
    path: str  # where children look for programs
    db: Database
    accounts: AccountService
    catalogue: Catalogue
    engines: Mapping[str, Engine]
    workspaces: Workspaces
    feed: Feed
    machine: MachineMonitor
    gpus: GpuDesk
    cluster: ClusterExecutor | None
    supervisor: Supervisor
    queue: QueueDesk
    jobs: JobService
    leadership: Leadership


def build_core(settings: Settings, environ: Mapping[str, str], gpu_source: GpuSource | None) -> Core:
    """`gpu_source`: instead of the driver."""
    workspaces = _directories(settings)
    db = Database(settings.database_url)
    db.prepare()
    accounts, catalogue, feed = AccountService(db), _catalogue(settings, db), Feed()
    prepared, endings = catalogue.prepared, _endings(db, catalogue)
    engines = build_engines(settings, pages_of(db), prepared.directory, catalogue.keys)
    executor = build_executor(settings, environ)
    cluster = executor if isinstance(executor, ClusterExecutor) else None
    limits = Limits(settings.stop_grace, settings.stall_seconds, hold_on_failure=settings.on_failure == "hold")
    parts = Parts(db, engines, executor, workspaces, feed, limits, child_environment(environ), endings)
    supervisor = Supervisor(parts, lambda: queue.offer())
    machine, room = MachineMonitor(settings.data_dir), machine_room(settings)
    monitor = GpuMonitor(gpu_source or _gpu_source(cluster, environ), also=(machine.turn,))
    gpus = GpuDesk(monitor, db, supervisor.own_pids)
    handed = None if supervisor.handover is None else EngineQueue(parts, supervisor.handover)
    queue = QueueDesk(db, gpus, lambda: room, per_user=settings.max_running_per_user, engine=handed, cluster=cluster)
    fitting: Fitting = MachineFitting(gpus, room) if cluster is None else ClusterFitting(cluster)
    jobs = JobService(
        db, engines, executor, supervisor, workspaces, feed, gpus,
        grace=settings.stop_grace, fitting=fitting, max_queued=settings.max_queued_per_user, endings=endings,
    )  # fmt: skip
    supervisor.attend(accounts.flush_usage, catalogue.ingestion.sweep, jobs.forget_requests)
    return Core(
        settings, environ, environ.get("PATH", os.defpath), db, accounts, catalogue, engines, workspaces, feed,
        machine, gpus, cluster, supervisor, queue, jobs, _leadership(settings, db, feed, accounts),
    )  # fmt: skip


def machine_room(settings: Settings) -> Room:
    """What jobs may have of this machine, besides its GPUs."""
    cores, memory = usable_cores(settings.reserve_cpu), usable_memory(settings.reserve_memory)
    if not cores:
        raise SettingError("TRAINYARD_RESERVE_CPU leaves no core for jobs")
    if not memory:
        raise SettingError("TRAINYARD_RESERVE_MEMORY leaves no memory for jobs")
    return Room(places=settings.workers, cores=cores, memory=memory)


def _catalogue(settings: Settings, db: Database) -> Catalogue:
    keys = Keys()
    prepared = PreparedDatasets(db, settings.data_dir / "datasets", ended=keys.forget)
    files = DocumentFiles(settings.data_dir)
    files.prepare()
    return Catalogue(keys, prepared, files, Ingestion(db, files), YoloModels(db, settings.data_dir))


def _endings(db: Database, catalogue: Catalogue) -> Endings:
    """What else happens when a job of an engine ends, and what must hold before it is tried again."""
    registrar = ModelRegistrar(db, catalogue.models)
    return Endings(
        {
            "kraken": model_keeper(catalogue.files),
            "preprocessing": catalogue.prepared.on_end,
            "ultralytics": registrar.on_end,
        },
        settlers={
            "ocr_import": catalogue.ingestion,
            "ultralytics": in_turn(registrar.settle, Proposals(db)),
        },
        again={"preprocessing": catalogue.prepared.reserve, "ultralytics": require_dataset},
    )


def _gpu_source(cluster: ClusterExecutor | None, environ: Mapping[str, str]) -> GpuSource:
    if cluster is None:
        return NvmlSource(environ.get("CUDA_VISIBLE_DEVICES"))
    return ClusterSource(cluster.state)


def _leadership(settings: Settings, db: Database, feed: Feed, accounts: AccountService) -> Leadership:
    """Where another service may write the same database, its events are looked for."""
    lock = db.backend.supervisor_lock()
    shared = () if lock is None else (EventWatch(db, feed).look,)
    return Leadership(settings.data_dir, lock, standing_by=(accounts.flush_usage,), always=shared)


def _directories(settings: Settings) -> Workspaces:
    """Made, where they are not there yet."""
    workspaces = Workspaces(settings.data_dir, settings.config_dir, settings.log_dir, settings.output_dir)
    try:
        workspaces.prepare()
    except OSError as problem:
        failed = Path(problem.filename)
        named = (name for name in ("config_dir", "log_dir", "output_dir") if getattr(settings, name) == failed)
        source = f"TRAINYARD_{next(named, 'data_dir').upper()}"
        raise SettingError(f"{source} is {failed}, which cannot be used: {problem.strerror}") from None
    spool = settings.data_dir / "tmp"
    spool.mkdir(exist_ok=True, mode=0o700)
    tempfile.tempdir = str(spool)  # of the whole process: large form parts and unsent answers go to the data volume
    for root in settings.allowed_roots:
        if root == settings.data_dir / "workspace":
            root.mkdir(exist_ok=True)
    return workspaces
