"""The parts of the YOLO platform and the YOLO train server, put together."""

from __future__ import annotations

from dataclasses import dataclass

from api.core import Core
from api.services.annotations import Annotations
from api.services.executors.short import ShortExecutor
from api.services.executors.warm import WarmExecutor
from api.services.infer_files import InferFiles
from api.services.infer_gpu import InferGpu
from api.services.infer_process import InferLimits, InferProcess
from api.services.infer_sessions import InferSessions
from api.services.inference import Inference, SizeLimits
from api.services.label_import import LabelImport
from api.services.label_upload import LabelUpload
from api.services.yolo_datasets import YoloDatasets
from api.services.yolo_files import YoloFiles
from api.services.yolo_labels import LabelFiles
from api.services.yolo_model_upload import YoloModelUploads
from api.services.yolo_prepare import Preparer
from api.services.yolo_train_sets import TrainSets
from api.settings import ROOT
from api.utils.paths import AllowedRoots
from api.utils.zips import ZipLimits

MOST_RATIO = 200  # of one file of an archive, unpacked to packed


@dataclass(frozen=True, slots=True)
class Yolo:
    """Datasets of the YOLO platform and the boxes on their images."""

    datasets: YoloDatasets
    annotations: Annotations
    label_files: LabelFiles
    labels: LabelUpload


def build_yolo(core: Core) -> Yolo:
    settings, db = core.settings, core.db
    most = settings.max_archive_files
    limits = ZipLimits(most, settings.max_dataset_bytes, ratio=MOST_RATIO)
    files = YoloFiles(settings.data_dir, limits)
    runner = ShortExecutor(ROOT, core.path)
    preparer = Preparer(db, files, runner, seconds=settings.prepare_seconds, most_files=most)
    written, roots = LabelFiles(db, files), AllowedRoots(settings.allowed_roots)
    datasets = YoloDatasets(db, core.accounts, files, preparer, roots, written, most_files=most)
    made = Annotations(db, datasets, LabelImport(db, files), written)
    return Yolo(datasets, made, written, LabelUpload(db, made, written, limits))


def build_inference(core: Core) -> Inference:
    settings, db = core.settings, core.db
    process = InferProcess(
        WarmExecutor(ROOT, settings.yolo_python, core.path, core.environ.get("LD_LIBRARY_PATH", "")),
        InferGpu(db, core.gpus, settings.infer_device == "auto" and settings.executor == "local"),
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
    return Inference(process, core.catalogue.models, sessions, core.accounts, sizes)


def build_model_uploads(core: Core) -> YoloModelUploads:
    runner = ShortExecutor(ROOT, core.path, python=core.settings.yolo_python)
    engine = core.engines["ultralytics"]
    return YoloModelUploads(core.db, core.accounts, core.catalogue.models, runner, engine.availability)


def build_train_sets(core: Core, datasets: YoloDatasets) -> TrainSets:
    settings = core.settings
    roots = AllowedRoots((*settings.allowed_roots, settings.data_dir / "datasets"))
    runner, most = ShortExecutor(ROOT, core.path), settings.max_archive_files
    return TrainSets(settings.data_dir, runner, datasets, roots, seconds=settings.prepare_seconds, most_files=most)
