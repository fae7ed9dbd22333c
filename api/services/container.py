"""What the routes work with: the use cases, wired together by api.app and by nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event

from api.services.accounts import AccountService
from api.services.annotations import Annotations
from api.services.captions import Captions
from api.services.datasets import Datasets
from api.services.documents import DocumentService
from api.services.engines.base import Engine
from api.services.executors.base import ClusterExecutor
from api.services.feed import Feed
from api.services.gpus.desk import GpuDesk
from api.services.history import History
from api.services.inference import Inference
from api.services.jobs import JobService
from api.services.label_upload import LabelUpload
from api.services.leadership import Leadership
from api.services.machine import MachineMonitor
from api.services.ocr_training import OcrTrainingService
from api.services.plain_logs import PlainLogs
from api.services.prelabel import Prelabel
from api.services.prepared import PreparedDatasets
from api.services.preprocessing import PreprocessingService
from api.services.queue import QueueDesk, QueueService
from api.services.store.database import Database
from api.services.supervisor import Supervisor
from api.services.webhooks import WebhookService
from api.services.yolo_charts import YoloCharts
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_labels import LabelFiles
from api.services.yolo_model_jobs import YoloModelJobs
from api.services.yolo_model_upload import YoloModelUploads
from api.services.yolo_models import YoloModels
from api.services.yolo_train_server import TrainServer
from api.services.yolo_training import YoloTraining
from api.settings import Settings
from api.utils.streams import Streams


@dataclass(frozen=True, slots=True)
class Services:
    """One running service."""

    settings: Settings
    db: Database
    accounts: AccountService
    jobs: JobService
    queue: QueueDesk
    orders: QueueService
    datasets: Datasets
    history: History
    plain_logs: PlainLogs
    documents: DocumentService
    ocr: OcrTrainingService
    preprocessing: PreprocessingService
    prepared: PreparedDatasets
    captions: Captions
    gpus: GpuDesk
    machine: MachineMonitor
    engines: Mapping[str, Engine]
    supervisor: Supervisor
    cluster: ClusterExecutor | None  # None: jobs run on this machine
    webhooks: WebhookService
    leadership: Leadership
    yolo: YoloDatasets
    models: YoloModels
    annotations: Annotations
    label_files: LabelFiles
    labels: LabelUpload
    prelabel: Prelabel
    model_uploads: YoloModelUploads
    model_jobs: YoloModelJobs
    charts: YoloCharts
    inference: Inference
    train_server: TrainServer
    trainings: YoloTraining
    feed: Feed
    streams: Streams
    closing: Event  # set when the service ends: open streams end then
    started_at: float
    version: str
