"""The metadata with every table on it, which each module of tables adds when it is imported."""

from __future__ import annotations

from api.services.store import (
    account_tables,
    annotation_tables,
    infer_tables,
    ocr_tables,
    prepared_tables,
    queue_tables,
    train_server_tables,
    webhook_tables,
    yolo_model_tables,
    yolo_tables,
)
from api.services.store.schema import metadata

MODULES = (
    account_tables,
    annotation_tables,
    infer_tables,
    ocr_tables,
    prepared_tables,
    queue_tables,
    train_server_tables,
    webhook_tables,
    yolo_model_tables,
    yolo_tables,
)

__all__ = ["MODULES", "metadata"]
