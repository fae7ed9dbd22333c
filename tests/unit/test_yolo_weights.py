"""Weights from strangers: what is read of good ones, and that evil ones are refused with nothing of them executed."""

from __future__ import annotations

from typing import Any

import pytest

from api.children.yolo_weights.outside import ALLOWED
from tests.unit import yolo_models

Trial = dict[str, Any]


@pytest.fixture(scope="module")
def trial() -> Trial:
    return yolo_models.trial()[1]


def test_what_good_weights_say(trial: Trial) -> None:
    told = trial["told"]["good"]
    assert told["outside"] == {"taken": None}
    facts = told["inside"]["taken"]
    assert (facts["task"], facts["classes"], facts["base_model"]) == ("detect", ["square", "disc"], "yolov8n.pt")
    assert (facts["imgsz"], facts["epochs"]) == (64, 2)
    info = facts["model_info"]
    assert info["model_type"] == "yolov8n" and info["total_params"] == info["trainable_params"] + 16 > 10_000
    assert facts["metrics"] == {"metrics/mAP50(B)": 0.5, "metrics/recall(B)": 0.25, "fitness": 0.4}
    assert facts["series"] == {"epoch": [1, 2], "train/box_loss": [3, 2], "metrics/mAP50(B)": [0.1, None]}


def test_weights_of_a_resumed_training_and_names_with_any_space(trial: Trial) -> None:
    facts = trial["told"]["resumed"]["inside"]["taken"]
    assert facts["base_model"] is None, "what it was resumed from is its own state"
    assert facts["classes"] == ["移动\u3000电话", "👩\u200d🚀"]


def test_the_traps_are_real(trial: Trial) -> None:
    """Loaded as people load weights they run their code; what was only looked at did not."""
    assert {"system", "legacy", "raw", "extra", "eval", "opens", "stack"} <= set(trial["armed"])
    assert trial["sprung"] is False


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("system", "names posix.system"),
        ("extra", "names posix.system"),
        ("eval", "names builtins.eval"),
        ("opens", "names io.open"),
        ("fetches", "names ultralytics.nn.modules.block.TorchVision"),
        ("legacy", "is no checkpoint of torch"),
        ("raw", "is no checkpoint of torch"),
        ("stack", "is no checkpoint of torch"),
        ("truncated", "is no checkpoint of torch"),
        ("empty", "is no checkpoint of torch"),
        ("picture", "is no checkpoint of torch"),
        ("script", "is a TorchScript archive"),
        ("bomb", "is compressed inside"),
    ],
)
def test_refused_from_outside_and_from_inside(trial: Trial, name: str, says: str) -> None:
    """Each of the two is enough for code; neither relies on the other."""
    told = trial["told"][name]
    assert says in told["outside"]["refused"]
    assert set(told["inside"]) == {"refused"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("reduce", "unsupported activation"),
        ("activation", "has an activation that is no class of torch.nn"),
        ("tensors", "holds no model"),
        ("classifier", "is a ClassificationModel; detectors alone are used here"),
        ("nameless", "is a Sequential"),
        ("names", "has a class whose name is not 1 to 200 characters on one line"),
    ],
)
def test_refused_by_what_is_in_it(trial: Trial, name: str, says: str) -> None:
    assert trial["told"][name]["outside"] == {"taken": None}
    assert says in trial["told"][name]["inside"]["refused"]


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "posix.system", "builtins.eval", "builtins.getattr", "torch.hub.load", "torch.load",
        "torch.nn.modules.module.register_module_forward_hook", "torch.nn.functional.relu", "subprocess.Popen",
        "ultralytics.nn.tasks.torch_safe_load", "ultralytics.nn.tasks.parse_model", "ultralytics.utils.downloads.download",
        "ultralytics.nn.modules.block.TorchVision.x", "numpy.load", "importlib.import_module", "torch.nn.modules.x.Y\n",
    ],
)  # fmt: skip
def test_names_that_are_on_no_list(name: str) -> None:
    assert ALLOWED.fullmatch(name) is None
