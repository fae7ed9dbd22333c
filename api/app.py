"""The composition root: the only place where things are wired together."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from flask import Flask
from flask_smorest import Api

from api.executors import build_executor
from api.models.ocr import Page
from api.models.room import Room
from api.routes import annotations as annotation_routes
from api.routes import (
    auth,
    console,
    documentation,
    drafts,
    infer,
    observe,
    ocr,
    ocr_status,
    preprocessing,
    system,
    training,
    webhooks,
    yolo_datasets,
    yolo_logs,
    yolo_models,
    yolo_train_server,
    yolo_training,
)
from api.routes import jobs as jobs_dialect
from api.routes import queue as queue_routes
from api.routes.http import GpuId, StrictJson, TaskId, install_errors
from api.routes.requests import install_requests
from api.routes.standby import install_standby
from api.services.accounts import AccountService
from api.services.annotations import Annotations
from api.services.captions import Captions
from api.services.container import Services
from api.services.datasets import Datasets
from api.services.deliveries import Deliverer, Sender
from api.services.document_import import DocumentFiles, Ingestion
from api.services.documents import DocumentService
from api.services.endings import Endings, in_turn
from api.services.engine_queue import EngineQueue
from api.services.engines.base import Engine
from api.services.engines.diffusion_pipe import DiffusionPipeEngine
from api.services.engines.kraken import KrakenEngine
from api.services.engines.kraken.engine import Pages
from api.services.engines.ocr_import import OcrImportEngine
from api.services.engines.preprocessing import Keys, PreprocessingEngine
from api.services.engines.preprocessing.captioners import CaptionSettings
from api.services.engines.script import ScriptEngine
from api.services.engines.ultralytics import UltralyticsEngine
from api.services.executors.base import ClusterExecutor
from api.services.executors.short import ShortExecutor
from api.services.executors.warm import WarmExecutor
from api.services.feed import EventWatch, Feed
from api.services.fitting import ClusterFitting, Fitting, MachineFitting
from api.services.gpus.base import GpuSource
from api.services.gpus.cluster import ClusterSource
from api.services.gpus.desk import GpuDesk
from api.services.gpus.monitor import GpuMonitor
from api.services.gpus.nvml import NvmlSource
from api.services.history import History
from api.services.infer_files import InferFiles
from api.services.infer_gpu import InferGpu
from api.services.infer_process import InferLimits, InferProcess
from api.services.infer_sessions import InferSessions
from api.services.inference import Inference, SizeLimits
from api.services.jobs import JobService
from api.services.label_import import LabelImport
from api.services.label_upload import LabelUpload
from api.services.leadership import Leadership
from api.services.machine import MachineMonitor, usable_cores, usable_memory
from api.services.ocr_training import OcrTrainingService
from api.services.ocr_training_end import model_keeper
from api.services.plain_logs import PlainLogs
from api.services.prelabel import Prelabel, Proposals
from api.services.prepared import PreparedDatasets
from api.services.preprocessing import PreprocessingService
from api.services.queue import QueueDesk, QueueService
from api.services.store import ocr as ocr_store
from api.services.store.database import Database
from api.services.supervisor import Limits, Parts, Supervisor
from api.services.webhooks import WebhookService
from api.services.workspaces import Workspaces
from api.services.yolo_charts import YoloCharts
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_files import YoloFiles
from api.services.yolo_labels import LabelFiles
from api.services.yolo_model_jobs import YoloModelJobs
from api.services.yolo_model_upload import YoloModelUploads
from api.services.yolo_models import YoloModels
from api.services.yolo_prepare import Preparer
from api.services.yolo_registration import ModelRegistrar, require_dataset
from api.services.yolo_train_server import TrainServer
from api.services.yolo_train_sets import TrainSets
from api.services.yolo_training import YoloTraining
from api.settings import BUNDLED_TRAINER, ROOT, SettingError, Settings, environment
from api.utils import faults
from api.utils.outbound import Permitted
from api.utils.paths import AllowedRoots
from api.utils.streams import Streams
from api.utils.zips import ZipLimits
from api.version import VERSION

log = logging.getLogger(__name__)
MAX_STREAMS = 128
MOST_RATIO = 200  # of one file of an archive, unpacked to packed


#: what every child finds in its environment unless the service's own says otherwise
CHILD_DEFAULTS = {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
CHILD_FIXED = {"PYTHONUNBUFFERED": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {**CHILD_DEFAULTS, **environment(environ), **CHILD_FIXED}


def pages_of(db: Database) -> Pages:
    """Documents, as the engine that trains on them asks for them."""

    def read(document_ids: Sequence[int]) -> Iterator[Page]:
        with db.read() as connection:
            yield from ocr_store.pages_of(connection, document_ids)

    return read


def build_engines(
    settings: Settings,
    pages: Pages = lambda document_ids: (),
    datasets: Callable[[str], Path | None] | None = None,
    keys: Keys | None = None,
) -> dict[str, Engine]:
    """One line an engine. `pages` reads documents, `datasets` finds the directory of a preprocessed dataset."""
    roots = AllowedRoots((*settings.allowed_roots, settings.output_dir, settings.data_dir / "datasets"))
    bundled = settings.diffusion_pipe_root == BUNDLED_TRAINER
    files = DocumentFiles(settings.data_dir)
    engines: tuple[Engine, ...] = (
        DiffusionPipeEngine(
            root=settings.diffusion_pipe_root,
            python=settings.diffusion_pipe_python,
            launcher=settings.diffusion_pipe_launcher,
            roots=roots,
            bundled=ROOT if bundled else None,
            datasets=datasets,
        ),
        PreprocessingEngine(
            root=ROOT,
            python=sys.executable,
            datasets=settings.data_dir / "datasets",
            roots=roots,
            keys=keys or Keys(),
            captions=CaptionSettings(
                settings.openai_base_url,
                settings.openai_model,
                settings.openai_api_key,
                settings.florence2_dir,
                settings.caption_detector,
            ),
        ),
        KrakenEngine(
            python=settings.kraken_python,
            project=ROOT,
            data_dir=settings.data_dir,
            models=files.models,
            roots=AllowedRoots((files.models, settings.output_dir)),
            pages=pages,
        ),
        OcrImportEngine(
            imports=files.imports,
            most_files=settings.max_archive_files,
            most_bytes=settings.max_archive_bytes,
        ),
        ScriptEngine(roots, settings.script_python),
        UltralyticsEngine(settings.yolo_python, ROOT, settings.data_dir / "weights", yolo_files(settings)),
    )
    return {engine.name: engine for engine in engines}


@dataclass(frozen=True, slots=True)
class Yolo:
    """Datasets of the YOLO platform and the boxes on their images."""

    datasets: YoloDatasets
    annotations: Annotations
    label_files: LabelFiles
    labels: LabelUpload


def build_yolo(settings: Settings, db: Database, accounts: AccountService, path: str) -> Yolo:
    """`path`: where children look for programs."""
    most = settings.max_archive_files
    limits = ZipLimits(most, settings.max_dataset_bytes, ratio=MOST_RATIO)
    files = YoloFiles(settings.data_dir, limits)
    runner = ShortExecutor(ROOT, path)
    preparer = Preparer(db, files, runner, seconds=settings.prepare_seconds, most_files=most)
    written, roots = LabelFiles(db, files), AllowedRoots(settings.allowed_roots)
    datasets = YoloDatasets(db, accounts, files, preparer, roots, written, most_files=most)
    made = Annotations(db, datasets, LabelImport(db, files), written)
    return Yolo(datasets, made, written, LabelUpload(db, made, written, limits))


def build_inference(
    settings: Settings,
    db: Database,
    accounts: AccountService,
    models: YoloModels,
    gpus: GpuDesk,
    environ: Mapping[str, str],
) -> Inference:
    path, libraries = environ.get("PATH", os.defpath), environ.get("LD_LIBRARY_PATH", "")
    process = InferProcess(
        WarmExecutor(ROOT, settings.yolo_python, path, libraries),
        InferGpu(db, gpus, settings.infer_device == "auto" and settings.executor == "local"),
        InferLimits(
            settings.infer_models,
            settings.infer_idle,
            settings.infer_memory,
            settings.infer_seconds,
            settings.infer_video_seconds,
        ),
        home=settings.data_dir / "tmp" / "inference",
        weights=settings.data_dir / "weights",
        log_file=settings.log_dir / "inference.log",
    )
    sessions = InferSessions(db, InferFiles(settings.data_dir), keep=settings.infer_keep)
    sizes = SizeLimits(settings.infer_image_bytes, settings.infer_video_bytes)
    return Inference(process, models, sessions, accounts, sizes)


def build_model_uploads(
    settings: Settings,
    db: Database,
    accounts: AccountService,
    models: YoloModels,
    engines: Mapping[str, Engine],
    path: str,
) -> YoloModelUploads:
    runner = ShortExecutor(ROOT, path, python=settings.yolo_python)
    return YoloModelUploads(db, accounts, models, runner, engines["ultralytics"].availability)


def build_train_sets(settings: Settings, datasets: YoloDatasets, path: str) -> TrainSets:
    """`path`: where children look for programs."""
    roots = AllowedRoots((*settings.allowed_roots, settings.data_dir / "datasets"))
    runner, most = ShortExecutor(ROOT, path), settings.max_archive_files
    return TrainSets(settings.data_dir, runner, datasets, roots, seconds=settings.prepare_seconds, most_files=most)


def yolo_files(settings: Settings) -> AllowedRoots:
    """Where data.yaml files and weights may lie that a YOLO job names: nothing of it comes from a client as it is."""
    own = (settings.data_dir / name for name in ("datasets", "weights", "models", "train_server"))
    return AllowedRoots((*own, settings.output_dir, *settings.allowed_roots))


def machine_room(settings: Settings) -> Room:
    """What jobs may have of this machine, besides its GPUs."""
    cores, memory = usable_cores(settings.reserve_cpu), usable_memory(settings.reserve_memory)
    if not cores:
        raise SettingError("TRAINYARD_RESERVE_CPU leaves no core for jobs")
    if not memory:
        raise SettingError("TRAINYARD_RESERVE_MEMORY leaves no memory for jobs")
    return Room(places=settings.workers, cores=cores, memory=memory)


def build_leadership(settings: Settings, db: Database, feed: Feed, accounts: AccountService) -> Leadership:
    """Where another service may write the same database, its events are looked for."""
    lock = db.backend.supervisor_lock()
    shared = () if lock is None else (EventWatch(db, feed).look,)
    return Leadership(settings.data_dir, lock, standing_by=(accounts.flush_usage,), always=shared)


def build_services(settings: Settings, environ: Mapping[str, str], gpu_source: GpuSource | None = None) -> Services:
    """Everything of one service, not yet started. `gpu_source`: instead of the driver."""
    try:
        faults.arm(settings.fault or None)
    except ValueError as problem:
        raise SettingError(f"TRAINYARD_FAULT names {problem}") from None
    try:
        permitted = Permitted.parse(settings.webhook_allowed_hosts)
    except ValueError as problem:
        raise SettingError(f"TRAINYARD_WEBHOOK_ALLOWED_HOSTS names {problem}") from None
    workspaces = Workspaces(settings.data_dir, settings.config_dir, settings.log_dir, settings.output_dir)
    workspaces.prepare()
    spool = settings.data_dir / "tmp"
    spool.mkdir(exist_ok=True, mode=0o700)
    tempfile.tempdir = str(spool)  # of the whole process: large form parts and unsent answers go to the data volume
    for root in settings.allowed_roots:
        if root == settings.data_dir / "workspace":
            root.mkdir(exist_ok=True)
    db = Database(settings.database_url)
    db.prepare()
    keys = Keys()
    prepared = PreparedDatasets(db, settings.data_dir / "datasets", ended=keys.forget)
    engines = build_engines(settings, pages_of(db), prepared.directory, keys)
    executor, feed = build_executor(settings, environ), Feed()
    cluster = executor if isinstance(executor, ClusterExecutor) else None
    machine = MachineMonitor(settings.data_dir)
    source = gpu_source or (
        NvmlSource(environ.get("CUDA_VISIBLE_DEVICES")) if cluster is None else ClusterSource(cluster.state)
    )
    monitor = GpuMonitor(source, also=(machine.turn,))
    files = DocumentFiles(settings.data_dir)
    files.prepare()
    ingestion = Ingestion(db, files)
    limits = Limits(settings.stop_grace, settings.stall_seconds, hold_on_failure=settings.on_failure == "hold")
    models = YoloModels(db, settings.data_dir)
    registrar = ModelRegistrar(db, models)
    endings = Endings(
        {"kraken": model_keeper(files), "preprocessing": prepared.on_end, "ultralytics": registrar.on_end},
        settlers={"ocr_import": ingestion, "ultralytics": in_turn(registrar.settle, Proposals(db))},
        again={"preprocessing": prepared.reserve, "ultralytics": require_dataset},
    )
    parts = Parts(db, engines, executor, workspaces, feed, limits, child_environment(environ), endings)
    accounts = AccountService(db)
    path = environ.get("PATH", os.defpath)
    yolo = build_yolo(settings, db, accounts, path)
    train_sets = build_train_sets(settings, yolo.datasets, path)
    history = History(db, workspaces)
    room = machine_room(settings)
    supervisor = Supervisor(
        parts,
        lambda: queue.offer(),
        chores=(
            accounts.flush_usage,
            ingestion.sweep,
            lambda: jobs.forget_requests(),
            lambda: preparing.tidy(),
            lambda: inference.tidy(),
        ),
    )
    gpus = GpuDesk(monitor, db, lambda: supervisor.own_pids() | inference.process.pids())
    inference = build_inference(settings, db, accounts, models, gpus, environ)
    per_user = settings.max_running_per_user
    handed = None if supervisor.handover is None else EngineQueue(parts, supervisor.handover)
    queue = QueueDesk(db, gpus, lambda: room, per_user=per_user, engine=handed, cluster=cluster)
    fitting: Fitting = MachineFitting(gpus, room) if cluster is None else ClusterFitting(cluster)
    jobs = JobService(
        db,
        engines,
        executor,
        supervisor,
        workspaces,
        feed,
        gpus,
        grace=settings.stop_grace,
        fitting=fitting,
        max_queued=settings.max_queued_per_user,
        endings=endings,
    )
    roots = AllowedRoots(settings.allowed_roots)
    preparing = PreprocessingService(jobs, prepared, keys)
    return Services(
        settings=settings,
        db=db,
        accounts=accounts,
        jobs=jobs,
        queue=queue,
        datasets=Datasets((yolo.datasets.find, prepared.readable)),
        orders=QueueService(db, jobs, gpus, feed, supervisor.wake),
        history=history,
        plain_logs=PlainLogs(workspaces),
        documents=DocumentService(db, jobs, accounts, ingestion, roots),
        ocr=OcrTrainingService(db, jobs, accounts, files),
        preprocessing=preparing,
        prepared=prepared,
        captions=Captions(prepared),
        gpus=gpus,
        machine=machine,
        engines=engines,
        supervisor=supervisor,
        cluster=cluster,
        webhooks=WebhookService(db, Deliverer(db, Sender(permitted)), permitted),
        leadership=build_leadership(settings, db, feed, accounts),
        yolo=yolo.datasets,
        models=models,
        trainings=YoloTraining(jobs, yolo.datasets, yolo.label_files, models, accounts, settings.data_dir / "weights"),
        annotations=yolo.annotations,
        label_files=yolo.label_files,
        labels=yolo.labels,
        prelabel=Prelabel(yolo.annotations, yolo.datasets, models, jobs),
        model_uploads=build_model_uploads(settings, db, accounts, models, engines, path),
        model_jobs=YoloModelJobs(db, jobs, models, yolo.datasets, lambda: bool(gpus.known())),
        charts=YoloCharts(db, models, settings.data_dir / "matplotlib"),
        inference=inference,
        train_server=TrainServer(db, jobs, train_sets, gpus, settings.data_dir / "weights", roots),
        feed=feed,
        streams=Streams(MAX_STREAMS),
        closing=Event(),
        started_at=time.time(),
        version=VERSION,
    )


def start(services: Services) -> None:
    """From here on trainings are followed and started."""
    services.accounts.ensure_operator()
    if services.cluster is not None:
        services.cluster.start()
    services.gpus.monitor.start()
    services.leadership.start(lambda: lead(services), lambda: follow(services))


def lead(services: Services) -> None:
    """What one service of a data directory does: puts right what a crash has left, supervises, sends webhooks."""
    services.jobs.finish_removals()
    services.documents.sweep()
    services.prepared.recover()
    services.yolo.sweep()
    services.label_files.recover()
    services.inference.sweep()
    services.models.sweep()
    services.train_server.sweep()
    services.supervisor.start()
    services.webhooks.deliverer.start()


def follow(services: Services) -> bool:
    """Leads no more; whether all of it has ended."""
    services.webhooks.deliverer.stop()
    return services.supervisor.close()


def stop(services: Services) -> None:
    """Running trainings go on without us."""
    services.closing.set()
    services.feed.notify()
    services.yolo.close()
    services.inference.close()
    services.model_uploads.close()
    services.train_server.close()
    services.leadership.close()
    services.gpus.monitor.stop()
    if services.cluster is not None:
        services.cluster.close()
    services.db.close()


#: those of flask-smorest: their routes describe themselves
BLUEPRINTS = (
    training.blueprint,
    drafts.blueprint,
    jobs_dialect.blueprint,
    queue_routes.blueprint,
    preprocessing.blueprint,
    system.gpu_blueprint,
    system.system_blueprint,
    *auth.BLUEPRINTS,
    webhooks.blueprint,  # after auth's, which bring the converter of row ids
    ocr.blueprint,
    ocr_status.blueprint,
    *yolo_datasets.BLUEPRINTS,
    *infer.BLUEPRINTS,
    *yolo_training.BLUEPRINTS,
    *yolo_logs.BLUEPRINTS,
    *annotation_routes.BLUEPRINTS,
    *yolo_models.BLUEPRINTS,
    yolo_train_server.blueprint,
)


def build_app(services: Services) -> Flask:
    """The WSGI application over some services."""
    app = Flask("trainyard", static_folder=None)
    app.json = StrictJson(app)
    app.url_map.converters.update(task=TaskId, gpu=GpuId)
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.config.update(
        API_TITLE="Trainyard",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        MAX_CONTENT_LENGTH=services.settings.max_upload_bytes,
        MAX_FORM_MEMORY_SIZE=1_000_000,
        MAX_FORM_PARTS=1000,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.extensions["trainyard"] = services
    install_requests(app)
    install_standby(app)
    api = Api(app)
    install_errors(app)  # after flask-smorest, whose own handlers these replace
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    for plain in (observe.blueprint, documentation.blueprint, console.blueprint):
        app.register_blueprint(plain)
    documentation.describe(app, api)
    return app
