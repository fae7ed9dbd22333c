"""A training from scratch, from a base model's weights, or from a state of its own; kraken's trainer does the work."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import lightning
import torch
from kraken.configs import (
    BLLASegmentationTrainingConfig,
    BLLASegmentationTrainingDataConfig,
    VGSLRecognitionTrainingConfig,
    VGSLRecognitionTrainingDataConfig,
)
from kraken.models.convert import convert_models
from kraken.train import BLLASegmentationModel, KrakenTrainer, VGSLRecognitionModel
from threadpoolctl import threadpool_limits

from api.children.common.report import Problem, event, say
from api.children.common.stopping import Stop, Stopped
from api.children.common.whole import settle
from api.children.kraken_train.data import Sets
from api.children.kraken_train.report import take_over_logging
from api.children.kraken_train.sets import RecognitionData, SegmentationData
from api.children.kraken_train.watch import Keeper, Reporter


def train(settings: dict[str, Any], sets: Sets, stop: Stop) -> None:
    take_over_logging()  # Lightning has just put handlers of its own
    lightning.seed_everything(settings["seed"], workers=True, verbose=False)
    recognition = settings["task"] == "train"
    config = _config(settings, recognition=recognition)
    data = _data(settings, sets, recognition=recognition)
    stop.check()
    output = Path(settings["output"])
    keeper = Keeper(output, stop)
    trainer = made_trainer(
        settings,
        max_epochs=settings["epochs"],
        min_epochs=0,
        gradient_clip_val=config.gradient_clip_val,
        callbacks=[Reporter(sets.lines), keeper],
    )
    model = _model(trainer, VGSLRecognitionModel if recognition else BLLASegmentationModel, config, settings)
    try:
        with threadpool_limits(limits=settings["threads"]):
            trainer.fit(model, data, ckpt_path=settings["resume"])
    except Stopped:
        _keep_best(keeper, output, Path(settings["keep"]))
        raise
    if not _keep_best(keeper, output, Path(settings["keep"])):
        raise Problem("incomplete", "no epoch was finished, so there is no model to keep")


def made_trainer(settings: dict[str, Any], **more: Any) -> Any:
    torch.set_num_threads(settings["threads"])
    return KrakenTrainer(
        accelerator=settings["accelerator"],
        devices=1,
        precision="32-true",
        enable_progress_bar=False,
        enable_summary=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=settings["output"],
        **more,
    )


def _config(settings: dict[str, Any], *, recognition: bool) -> Any:
    """kraken's own defaults for whatever was not asked for."""
    given = {
        "epochs": settings["epochs"],
        "batch_size": settings["batch_size"],
        "resize": "union",  # a base model keeps what it knows and learns what is new
        "quit": "early" if settings["lag"] else "fixed",
        "lag": settings["lag"],
        "lrate": settings["lrate"],
        "spec": settings["spec"],
    }
    kind = VGSLRecognitionTrainingConfig if recognition else BLLASegmentationTrainingConfig
    return kind(**{name: value for name, value in given.items() if value is not None})


def _data(settings: dict[str, Any], sets: Sets, *, recognition: bool) -> Any:
    options = {"augment": settings["augment"], "num_workers": settings["workers"]}
    if recognition:
        return RecognitionData(VGSLRecognitionTrainingDataConfig(**options), sets.training, sets.validation)
    return SegmentationData(BLLASegmentationTrainingDataConfig(**options), sets.training, sets.validation)


def _model(trainer: Any, kind: Any, config: Any, settings: dict[str, Any]) -> Any:
    resume, base = settings["resume"], settings["base_model"]
    with trainer.init_module(empty_init=not (resume or base)):
        if resume:
            return kind.load_from_checkpoint(resume, config=config, weights_only=False)
        if base:
            return loaded(kind, base, config)
        try:
            return kind(config)
        except ValueError as problem:
            raise Problem("bad_config", f"the network's spec cannot be used: {problem}") from problem


def loaded(kind: Any, path: str, config: Any) -> Any:
    if not Path(path).is_file():
        raise Problem("missing_file", f"the base model {path} is not there")
    try:
        return kind.load_from_weights(path, config)
    except ValueError as problem:
        raise Problem("bad_config", f"the base model cannot be used for this: {problem}") from problem


def _keep_best(keeper: Keeper, output: Path, keep: Path) -> bool:
    """The best epoch's weights become the job's model, and with the prefix `keep` its OCR model's. Earlier files of the
    same job go, once it was said that there is a new one."""
    if keeper.best is None or keeper.best_epoch is None:
        return False
    event("saving", name="best")
    draft = Path(convert_models([output / keeper.best], output / ".best.part.safetensors"))
    path = output / f"best_{keeper.score:.4f}.safetensors"
    settle(draft, path)
    kept = keep.with_name(f"{keep.name}_{path.name}")
    _link(path, kept)
    size = path.stat().st_size
    event("model", name=path.name, size_bytes=size, accuracy=keeper.best_accuracy, epoch=keeper.best_epoch)
    for old in (*output.glob("best_*.safetensors"), *keep.parent.glob(f"{keep.name}_best_*.safetensors")):
        if old not in (path, kept):
            old.unlink()
    say(f"the best epoch was {keeper.best_epoch}; its model is {path.name} ({size} bytes)")
    return True


def _link(path: Path, other: Path) -> None:
    """A second name, which stays when the job is deleted; a copy where the file system is another one."""
    other.parent.mkdir(parents=True, exist_ok=True)
    draft = other.with_name(f".{other.name}.part")
    draft.unlink(missing_ok=True)
    try:
        os.link(path, draft)
    except OSError:
        shutil.copyfile(path, draft)
    settle(draft, other)
