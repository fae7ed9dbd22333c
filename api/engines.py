"""The trainers that the service knows, as the settings say where each is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from api.models.ocr import Page
from api.services.document_import import DocumentFiles
from api.services.engines.base import Engine
from api.services.engines.diffusion_pipe import DiffusionPipeEngine
from api.services.engines.kraken import KrakenEngine
from api.services.engines.kraken.engine import Pages
from api.services.engines.ocr_import import OcrImportEngine
from api.services.engines.preprocessing import Keys, PreprocessingEngine
from api.services.engines.preprocessing.captioners import CaptionSettings
from api.services.engines.script import ScriptEngine
from api.services.engines.ultralytics import UltralyticsEngine
from api.services.store import ocr as ocr_store
from api.services.store.database import Database
from api.settings import BUNDLED_TRAINER, ROOT, Settings, environment
from api.utils.paths import AllowedRoots

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


def yolo_files(settings: Settings) -> AllowedRoots:
    """Where data.yaml files and weights may lie that a YOLO job names: nothing of it comes from a client as it is."""
    own = (settings.data_dir / name for name in ("datasets", "weights", "models", "train_server"))
    return AllowedRoots((*own, settings.output_dir, *settings.allowed_roots))
