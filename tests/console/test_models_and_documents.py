"""Models and documents, as people use them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.harness import Service
from tests.console.conftest import Visitor, gpu_service
from tests.unit import pages as ocr
from tests.unit.weights_trial import table
from tests.unit.yolo_models import COLUMNS, packed
from tests.unit.yolo_sets import picture
from tests.yolo.weights import make_weights

NASTY = '<img src=x onerror="window.hurt=1">'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = gpu_service(tmp_path_factory.mktemp("models"), gpus=1)
    yield service.start()
    service.close()
