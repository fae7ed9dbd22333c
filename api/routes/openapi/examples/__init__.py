"""Requests and answers that the description shows, a module a part."""

from __future__ import annotations

from api.routes.openapi.examples import (
    accounts,
    annotation,
    infer,
    jobs,
    machine,
    ocr,
    preprocessing,
    train_server,
    training,
    webhooks,
    yolo,
    yolo_models,
    yolo_training,
)
from api.routes.openapi.examples.answers import Examples

ALL: Examples = (
    accounts.EXAMPLES
    | annotation.EXAMPLES
    | infer.EXAMPLES
    | jobs.EXAMPLES
    | machine.EXAMPLES
    | ocr.EXAMPLES
    | preprocessing.EXAMPLES
    | train_server.EXAMPLES
    | training.EXAMPLES
    | webhooks.EXAMPLES
    | yolo.EXAMPLES
    | yolo_models.EXAMPLES
    | yolo_training.EXAMPLES
)
