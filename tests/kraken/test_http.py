"""A document in, a model out, over HTTP: what the OCR status dialect says before, during and after a real training."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from tests.acceptance.harness import Service, wait_for
from tests.acceptance.test_ocr_import import OCR, Scribe, token_of
from tests.kraken.conftest import LONGEST, PYTHON, SMALL
from tests.kraken.pages import LINE, WIDTH, WORDS, draw

pytestmark = [pytest.mark.kraken, pytest.mark.timeout(400)]

SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def archive(directory: Path, pages: int, lines: int) -> bytes:
    """PAGE XML and images, as an export of another program has them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for part in draw(directory, "drawn", pages, lines, WORDS, polygons=True):
            packed.write(directory / str(part.image), part.name)
            packed.writestr(part.name.replace(".png", ".xml"), xml(part.name, part.lines or (), LINE * lines + 20))
    return made.getvalue()


def xml(image: str, lines: Any, height: int) -> str:
    def points(encoded: str) -> str:
        return encoded.replace("],[", " ").strip("[]")

    found = "".join(
        f'<TextLine id="l{n}"><Coords points="{points(line.boundary)}"/><Baseline points="{points(line.baseline)}"/>'
        f"<TextEquiv><Unicode>{escape(line.text)}</Unicode></TextEquiv></TextLine>"
        for n, line in enumerate(lines)
    )
    region = f'<TextRegion id="r"><Coords points="0,0 {WIDTH},0 {WIDTH},{height}"/>{found}</TextRegion>'
    page = f'<Page imageFilename="{image}" imageWidth="{WIDTH}" imageHeight="{height}">{region}</Page>'
    return f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="{SPACE}">{page}</PcGts>'


@pytest.fixture(scope="module")
def scribe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scribe]:
    assert PYTHON, "TRAINYARD_KRAKEN_PYTHON is not set; `make test-kraken` makes an environment and sets it"
    service = Service(tmp_path_factory.mktemp("ocr"), environ={"TRAINYARD_KRAKEN_PYTHON": PYTHON})
    try:
        headers = token_of(service)
        yield Scribe(service.start(), headers)
    finally:
        service.close()


def test_a_document_becomes_a_model(scribe: Scribe, tmp_path: Path) -> None:
    document = scribe.document()
    assert scribe.imported(document, archive(tmp_path, 5, 10))["status"] == "completed"
    before = scribe.get(f"/api/documents/{document}/data-quality/")
    assert before["readiness"]["ready_for_recognition"], before
    made = scribe.call("POST", f"{OCR}/models", {"name": "a recogniser", "job": "recognize"}).expect(201)
    model = made["model_id"]
    wanted = {"document_ids": [document], "epochs": 6, "lrate": 0.01, "batch_size": 4, "device": "cpu", "spec": SMALL}
    scribe.call("POST", f"{OCR}/models/{model}/train", wanted).expect(201)

    def status() -> Any:
        return scribe.get(f"/api/models/{model}/training-status/")

    def running() -> Any:
        found = status()
        return found if found["current_epoch"] else None

    live = wait_for(running, LONGEST, "an epoch to end")
    assert live["training"] and 1 <= live["current_epoch"] <= 6 and 0 <= live["current_accuracy"] <= 1
    active = scribe.get("/api/training/active/")
    assert active["total_active"] == 1
    scribe.service.restart()  # the training does not notice
    ended = wait_for(lambda: None if (found := status())["training"] else found, LONGEST, "the training to end")
    assert ended["recent_tasks"][0]["state"] == "Finished", ended
    assert ended["current_epoch"] == 6 and ended["current_accuracy"] > 0
    assert ended["data_stats"]["validation_lines"] == 5 and ended["data_stats"]["training_lines"] == 45
    shown = scribe.get(f"{OCR}/models/{model}")
    assert shown["file_available"] and shown["accuracy"] >= ended["current_accuracy"]
    tested = scribe.call("POST", f"{OCR}/models/{model}/evaluate", {"document_id": document, "device": "cpu"})
    task = tested.expect(201)["task_id"]
    wait_for(lambda: scribe.get(f"/api/v1/training/{task}")["status"] == "completed", LONGEST, "the test to end")
    rate = scribe.get(f"/api/v1/training/{task}/metrics?metric=cer&type=step")["data"][0]["value"]
    assert 0 <= rate < 1.5
    after = scribe.get(f"/api/documents/{document}/data-quality/")["estimated_training_time"]
    assert "measured" not in before["estimated_training_time"]["note"].replace("no training was measured", "")
    assert after["estimated_seconds"] < before["estimated_training_time"]["estimated_seconds"], after
