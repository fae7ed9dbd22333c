"""A model held against documents: what `ketos test` and `ketos segtest` measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
from kraken.configs import (
    BLLASegmentationTestDataConfig,
    BLLASegmentationTrainingConfig,
    VGSLRecognitionTrainingConfig,
    VGSLRecognitionTrainingDataConfig,
)
from kraken.models import load_models
from kraken.train import BLLASegmentationModel, VGSLRecognitionModel
from lightning.pytorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from api.children.common.report import Problem, event, say
from api.children.common.stopping import Stop
from api.children.kraken_train.data import usable
from api.children.kraken_train.fit import loaded, made_trainer
from api.children.kraken_train.report import take_over_logging
from api.children.kraken_train.sets import RecognitionData, SegmentationData
from api.children.kraken_train.watch import Pace, number


def test(settings: dict[str, Any], stop: Stop) -> None:
    take_over_logging()
    lightning.seed_everything(settings["seed"], workers=True, verbose=False)
    recognition = _recognizes(settings["base_model"])
    pages = usable(settings["data"], recognition=recognition)
    lines = [(page.image, line) for page in pages for line in page.lines]
    if not lines:
        raise Problem("dataset_empty", "there is no usable line to test on")
    event("data", pages=len(pages), lines=len(lines), unit="lines")
    trainer = made_trainer(settings, callbacks=[_Watch(stop)])
    if recognition:
        config = VGSLRecognitionTrainingConfig(batch_size=settings["batch_size"])
        model = loaded(VGSLRecognitionModel, settings["base_model"], config)
        legacy = bool(model.net.use_legacy_polygons)
        wanted = VGSLRecognitionTrainingDataConfig(num_workers=settings["workers"], legacy_polygons=legacy)
        data: Any = RecognitionData(wanted, test=lines)
    else:
        model = loaded(BLLASegmentationModel, settings["base_model"], BLLASegmentationTrainingConfig())
        data = SegmentationData(BLLASegmentationTestDataConfig(num_workers=settings["workers"]), test=pages)
    stop.check()
    with threadpool_limits(limits=settings["threads"]):
        measured = trainer.test(model, data, verbose=False)
    found = _recognition(measured) if recognition else _segmentation(measured)
    event("result", **found)
    say(", ".join(f"{name} {value}" for name, value in found.items()))


def _recognizes(path: str) -> bool:
    try:
        kinds = [kind for model in load_models(path) for kind in model.model_type]
    except ValueError as problem:
        raise Problem("bad_config", f"the model cannot be read: {problem}") from problem
    if "recognition" not in kinds and "segmentation" not in kinds:
        raise Problem("bad_config", "the model is neither for recognition nor for segmentation")
    return "recognition" in kinds


def _recognition(measured: Any) -> dict[str, Any]:
    """kraken's `cer` and `wer` are accuracies: 1 less the error rate."""
    accuracy, words = number(measured.cer), number(measured.wer)
    return {
        "cer": round(1 - accuracy, 6),
        "wer": round(1 - words, 6),
        "accuracy": accuracy,
        "word_accuracy": words,
        "case_insensitive_accuracy": number(measured.case_insensitive_cer),
        "characters": _total(measured.character_counts),
        "errors": int(measured.num_errors),
        "insertions": _total(measured.insertions),
        "deletions": _total(measured.deletes),
        "substitutions": _total(measured.substitutions),
    }


def _total(counted: Any) -> int:
    return int(sum(counted.values()) if isinstance(counted, Mapping) else counted)


def _segmentation(measured: Any) -> dict[str, Any]:
    names = ("mean_accuracy", "mean_iu", "freq_iu", "bl_precision", "bl_recall", "bl_f1")
    found = {name: number(getattr(measured, name)) for name in names}
    return {"accuracy": found["mean_accuracy"], **found}


class _Watch(Callback):
    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._pace = Pace()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        self._stop.listen()
        self._pace.restart()
        event("phase", phase="evaluating")

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._stop.check()
        self._pace.count(len(batch["image"]))
        batches = int(trainer.num_test_batches[0])
        if self._pace.due() or batch_idx + 1 == batches:
            event("tested", batch=batch_idx + 1, batches=batches, **self._pace.take())
