"""The series of a YOLO training: made of columns, read from strangers, written to model.json, drawn."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from typing import Any

import pytest
from PIL import Image

from api.models.yolo_history import KEYS, checked, from_results, history
from api.models.yolo_model import UPLOADED, YoloModel
from api.models.yolo_model_json import BadMetadata, Metadata, read, written
from api.services.yolo_charts import draw
from api.settings import ROOT
from tests.unit.yolo_models import COLUMNS, HISTORY

assert HISTORY is not None


def test_of_columns() -> None:
    assert set(KEYS) | {"epochs", "final_metrics"} == set(HISTORY)
    assert HISTORY["epochs"] == [1, 2, 3] and HISTORY["train_box_loss"] == [3.0, 2.5, None]
    assert HISTORY["val_dfl_loss"] == [] and HISTORY["metrics_mAP50"] == [0.0, 0.4, 0.6]
    assert HISTORY["final_metrics"] == {"mAP50": 0.6, "mAP50_95": None, "precision": None, "recall": None}
    assert history([], {}) is None


def test_other_losses_have_keys_of_their_own() -> None:
    made = history([1], {"train/l1_loss": [2.0], "val/l1_loss": [2.1]})
    assert made is not None and made["train_l1_loss"] == [2.0] and made["val_l1_loss"] == [2.1]
    assert made["train_dfl_loss"] == []


def test_of_a_results_table() -> None:
    assert from_results({"epoch": [1.0, 2.0, 3.0], **COLUMNS}) == HISTORY
    assert (
        from_results({}) is None and from_results({"epoch": [1.5]}) is None and from_results({"epoch": [None]}) is None
    )


def test_somebody_elses_is_checked() -> None:
    assert checked(json.loads(json.dumps(HISTORY))) == HISTORY
    assert checked({**HISTORY, "unknown": {"a": 1}, "train_l1_loss": [1, 2, 3]})["train_l1_loss"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": []}, "epochs: must be a list"),
        ({"epochs": "123"}, "epochs: must be a list"),
        ({"epochs": [1, 1, 2]}, "each larger than the one before"),
        ({"epochs": [True, 2, 3]}, "must be whole numbers"),
        ({"train_box_loss": [1, 2, 10**400]}, "train_box_loss: must hold numbers and nulls"),
        ({"train_box_loss": [1]}, "train_box_loss: must be a list as long as epochs"),
        ({"train_box_loss": ["1", 2, 3]}, "train_box_loss: must hold numbers"),
        ({"metrics_mAP50": [True, 2, 3]}, "metrics_mAP50: must hold numbers"),
        ({"metrics_x": {"a": 1}}, "metrics_x: must be a list"),
    ],
)
def test_what_is_wrong_with_one_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        checked({**HISTORY, **changes})


def model(**fields: Any) -> YoloModel:
    given = {"seq": 1, "id": "model_20240115_123456", "owner_id": 1, "team_id": None, "name": "检测\u3000$x$ 👩\u200d🚀", "description": "d",
             "tags": ("a",), "source": UPLOADED, "file_size": 12345678, "classes": ("人", "car"), "task": "detect",
             "job_id": "job_1", "dataset_id": "ds_1", "dataset_version": "v1", "base_model": "yolov8n.pt",
             "info": {"imgsz": 64, "job_config": {"batch": 16}}, "metrics": {"mAP50": 0.5}, "history": HISTORY}  # fmt: skip
    return YoloModel(**{**given, **fields})


def test_there_and_back() -> None:
    said = read(written(model()))
    assert (said.model_id, said.name, said.tags, said.classes) == (model().id, model().name, ("a",), ("人", "car"))
    assert said.history == HISTORY and said.metrics == {"mAP50": 0.5}
    assert said.job_config is not None and said.job_config["batch"] == 16
    assert said.origin["job_id"] == "job_1" and said.origin["dataset_id"] == "ds_1"
    assert read(b"{}") == Metadata() and read(b'{"name": null, "other": [1]}') == Metadata()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"[]", "must be an object"),
        (b"{", "is no JSON"),
        (b'{"training_metrics": {"mAP50": NaN}}', "NaN is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"name": 7}', "name: must be 1 to 200 characters"),
        (b'{"name": "a\\nb"}', "name: must be 1 to 200 characters"),
        (b'{"description": "\\u0000"}', "description: must be"),
        (b'{"tags": "x"}', "tags: must be a list"),
        (b'{"classes": [1]}', "classes: must be a list"),
        (b'{"training_metrics": 1}', "training_metrics: must be an object"),
        (b'{"training_metrics": {"recall": "x"}}', "training_metrics.recall: must be a number"),
        (b'{"training_metrics": {"training_history": {"epochs": [0.5]}}}', "training_history: epochs"),
    ],
)
def test_what_is_wrong_with_a_model_json_is_named(document: bytes, says: str) -> None:
    with pytest.raises(BadMetadata, match=says):
        read(document)


@pytest.mark.parametrize(("kind", "height"), [("all", 780), ("loss", 390), ("metrics", 390)])
def test_charts_are_pictures(kind: str, height: int) -> None:
    picture = Image.open(io.BytesIO(draw(HISTORY, kind)))
    assert (picture.format, picture.size) == ("PNG", (1300, height))
    colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}  # type: ignore[misc]
    assert (0x25, 0x63, 0xEB) in colours, "no line was drawn"


def test_series_without_losses_or_numbers_are_drawn_as_empty() -> None:
    made = history([1], {"metrics/recall(B)": [None]})
    assert made is not None
    assert Image.open(io.BytesIO(draw(made, "all"))).size == (1300, 780)


def test_threads_draw_the_same() -> None:
    drawn: list[bytes] = []
    threads = [threading.Thread(target=lambda: drawn.append(draw(HISTORY, "metrics"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(drawn) == 3 and len(set(drawn)) == 1


def test_matplotlib_comes_with_the_first_chart_and_pyplot_never() -> None:
    code = (
        "import sys, api.app, api.services.yolo_charts as c; assert 'matplotlib' not in sys.modules; "
        "c.draw({'epochs': [1]}, 'all'); assert 'matplotlib' in sys.modules; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
