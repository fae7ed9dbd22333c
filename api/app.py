"""The composition root: the only place where things are wired together."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from threading import Event

from flask import Flask
from flask_smorest import Api

from api.engines import build_engines, child_environment, pages_of
from api.executors import build_executor
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
from api.routes.forms import FormRequest
from api.routes.http import GpuId, StrictJson, TaskId, install_errors
from api.routes.requests import install_requests
from api.routes.standby import install_standby
from api.services.accounts import AccountService
from api.services.captions import Captions
from api.services.container import Services
from api.services.datasets import Datasets
from api.services.deliveries import Deliverer, Sender
from api.services.document_import import DocumentFiles, Ingestion
from api.services.documents import DocumentService
from api.services.endings import Endings, in_turn
from api.services.engine_queue import EngineQueue
from api.services.engines.preprocessing import Keys
from api.services.executors.base import ClusterExecutor
from api.services.feed import EventWatch, Feed
from api.services.fitting import ClusterFitting, Fitting, MachineFitting
from api.services.gpus.base import GpuSource
from api.services.gpus.cluster import ClusterSource
from api.services.gpus.desk import GpuDesk
from api.services.gpus.monitor import GpuMonitor
from api.services.gpus.nvml import NvmlSource
from api.services.history import History
from api.services.jobs import JobService
from api.services.leadership import Leadership
from api.services.machine import MachineMonitor, usable_cores, usable_memory
from api.services.ocr_training import OcrTrainingService
from api.services.ocr_training_end import model_keeper
from api.services.plain_logs import PlainLogs
from api.services.prelabel import Prelabel, Proposals
from api.services.prepared import PreparedDatasets
from api.services.preprocessing import PreprocessingService
from api.services.queue import QueueDesk, QueueService
from api.services.store.database import Database
from api.services.supervisor import Limits, Parts, Supervisor
from api.services.webhooks import WebhookService
from api.services.workspaces import Workspaces
from api.services.yolo_charts import YoloCharts
from api.services.yolo_model_jobs import YoloModelJobs
from api.services.yolo_models import YoloModels
from api.services.yolo_registration import ModelRegistrar, require_dataset
from api.services.yolo_train_server import TrainServer
from api.services.yolo_training import YoloTraining
from api.settings import SettingError, Settings
from api.utils import faults
from api.utils.outbound import Permitted
from api.utils.paths import AllowedRoots
from api.utils.streams import Streams
from api.version import VERSION
from api.yolo import build_inference, build_model_uploads, build_train_sets, build_yolo

log = logging.getLogger(__name__)
MAX_STREAMS = 128


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


def _arm(settings: Settings) -> None:
    """The crash point that a setting names."""
    try:
        faults.arm(settings.fault or None)
    except ValueError as problem:
        raise SettingError(f"TRAINYARD_FAULT names {problem}") from None


def _webhook_hosts(settings: Settings) -> Permitted:
    try:
        return Permitted.parse(settings.webhook_allowed_hosts)
    except ValueError as problem:
        raise SettingError(f"TRAINYARD_WEBHOOK_ALLOWED_HOSTS names {problem}") from None


def _directories(settings: Settings) -> Workspaces:
    """Made, where they are not there yet."""
    workspaces = Workspaces(settings.data_dir, settings.config_dir, settings.log_dir, settings.output_dir)
    workspaces.prepare()
    spool = settings.data_dir / "tmp"
    spool.mkdir(exist_ok=True, mode=0o700)
    tempfile.tempdir = str(spool)  # of the whole process: large form parts and unsent answers go to the data volume
    for root in settings.allowed_roots:
        if root == settings.data_dir / "workspace":
            root.mkdir(exist_ok=True)
    return workspaces


def build_services(settings: Settings, environ: Mapping[str, str], gpu_source: GpuSource | None = None) -> Services:
    """Everything of one service, not yet started. `gpu_source`: instead of the driver."""
    _arm(settings)
    permitted = _webhook_hosts(settings)
    workspaces = _directories(settings)
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
    services.gpus.monitor.start()
    services.leadership.start(lambda: lead(services), lambda: follow(services))


def lead(services: Services) -> None:
    """What one service of a data directory does: puts right what a crash has left, asks the cluster,
    supervises, sends webhooks."""
    services.jobs.finish_removals()
    services.documents.sweep()
    services.prepared.recover()
    services.yolo.sweep()
    services.label_files.recover()
    services.inference.sweep()
    services.models.sweep()
    services.train_server.sweep()
    if services.cluster is not None:
        services.cluster.start()
    services.supervisor.start()
    services.webhooks.deliverer.start()


def follow(services: Services) -> bool:
    """Leads no more; whether all of it has ended."""
    services.webhooks.deliverer.stop()
    ended = services.supervisor.close()
    return (services.cluster is None or services.cluster.close()) and ended


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
    app.request_class = FormRequest
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
