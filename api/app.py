"""The composition root: the only place where things are wired together."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from threading import Event

from flask import Flask
from flask_smorest import Api

from api.core import build_core
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
from api.services.captions import Captions
from api.services.container import Services
from api.services.datasets import Datasets
from api.services.deliveries import Deliverer, Sender
from api.services.documents import DocumentService
from api.services.gpus.base import GpuSource
from api.services.history import History
from api.services.ocr_training import OcrTrainingService
from api.services.plain_logs import PlainLogs
from api.services.prelabel import Prelabel
from api.services.preprocessing import PreprocessingService
from api.services.queue import QueueService
from api.services.webhooks import WebhookService
from api.services.yolo_charts import YoloCharts
from api.services.yolo_model_jobs import YoloModelJobs
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


def build_services(settings: Settings, environ: Mapping[str, str], gpu_source: GpuSource | None = None) -> Services:
    """Everything of one service, not yet started. `gpu_source`: instead of the driver."""
    _arm(settings)
    permitted = _webhook_hosts(settings)
    core = build_core(settings, environ, gpu_source)
    db, accounts, jobs, gpus = core.db, core.accounts, core.jobs, core.gpus
    catalogue = core.catalogue
    models, prepared = catalogue.models, catalogue.prepared
    roots, weights = AllowedRoots(settings.allowed_roots), settings.data_dir / "weights"
    yolo, inference = build_yolo(core), build_inference(core)
    preparing = PreprocessingService(jobs, prepared, catalogue.keys)
    core.supervisor.attend(preparing.tidy, inference.tidy)
    gpus.also_ours(inference.process.pids)
    # fmt: off
    return Services(
        settings=settings, version=VERSION, started_at=time.time(), closing=Event(),
        db=db, accounts=accounts, leadership=core.leadership, feed=core.feed, streams=Streams(MAX_STREAMS),
        jobs=jobs, engines=core.engines, supervisor=core.supervisor, cluster=core.cluster,
        gpus=gpus, machine=core.machine,
        queue=core.queue, orders=QueueService(db, jobs, gpus, core.feed, core.supervisor.wake),
        history=History(db, core.workspaces), plain_logs=PlainLogs(core.workspaces),
        webhooks=WebhookService(db, Deliverer(db, Sender(permitted)), permitted),
        datasets=Datasets((yolo.datasets.find, prepared.readable)),
        preprocessing=preparing, prepared=prepared, captions=Captions(prepared),
        documents=DocumentService(db, jobs, accounts, catalogue.ingestion, roots),
        ocr=OcrTrainingService(db, jobs, accounts, catalogue.files),
        yolo=yolo.datasets, annotations=yolo.annotations, label_files=yolo.label_files, labels=yolo.labels,
        prelabel=Prelabel(yolo.annotations, yolo.datasets, models, jobs),
        trainings=YoloTraining(jobs, yolo.datasets, yolo.label_files, models, accounts, weights),
        train_server=TrainServer(db, jobs, build_train_sets(core, yolo.datasets), gpus, weights, roots),
        models=models, model_uploads=build_model_uploads(core),
        model_jobs=YoloModelJobs(db, jobs, models, yolo.datasets, lambda: bool(gpus.known())),
        charts=YoloCharts(db, models, settings.data_dir / "matplotlib"),
        inference=inference,
    )
    # fmt: on


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
