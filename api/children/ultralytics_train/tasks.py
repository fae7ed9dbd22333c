"""A model as another format, and a model's metrics on a dataset."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from api.children.common.report import Problem, event
from api.children.common.stopping import Stop
from api.children.common.whole import settle
from api.children.ultralytics_train.models import loaded

DRAFT = ".export.pt"


def export(settings: dict[str, Any], stop: Stop) -> None:
    """ultralytics writes beside the weights: they get another name in the output directory."""
    output, source = Path(settings["output"]), Path(settings["model"]["value"])
    link = output / DRAFT
    link.unlink(missing_ok=True)
    link.symlink_to(source)
    try:
        model = loaded(link)
        stop.check()
        event("phase", phase="saving")
        arguments = dict(settings["arguments"])
        if arguments.pop("half", False):
            arguments["quantize"] = 16
        made = Path(model.export(**arguments, device=settings["device"]))
        if made.is_dir():
            made = _zipped(made, source.stem)
    finally:
        link.unlink(missing_ok=True)
    if not made.is_file():
        raise Problem("incomplete", "the export left no file")
    target = output / (source.stem + made.name.removeprefix(Path(DRAFT).stem))
    settle(made, target)
    _tidy(output)
    event("exported", name=target.name, size_bytes=target.stat().st_size, format=arguments.get("format"))


def _zipped(folder: Path, stem: str) -> Path:
    """Some formats are a directory: `.export_openvino_model` becomes one file of that name; `stem` its files' name."""
    archive = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                own = path.name.removeprefix(Path(DRAFT).stem)
                named = path.with_name(stem + own) if own != path.name else path
                file.write(path, named.relative_to(folder))
    return archive


def _tidy(output: Path) -> None:
    """What ultralytics made on the way: the ONNX file of another format, a directory that is zipped now."""
    for path in output.glob(f"{Path(DRAFT).stem}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def validate(settings: dict[str, Any], stop: Stop) -> None:
    model = loaded(Path(settings["model"]["value"]))
    model.add_callback("on_val_start", lambda validator: event("phase", phase="evaluating"))
    model.add_callback("on_val_batch_end", lambda validator: stop.check())
    found = model.val(
        **settings["arguments"],
        data=settings["own_data"],
        device=settings["device"],
        save_dir=settings["output"],
        exist_ok=True,
    )
    metrics = {name: value for name, value in found.results_dict.items() if name != "fitness"}
    names = found.names
    classes = [{"class": names[i], "mAP50-95": value} for i, value in enumerate(found.maps)]
    event("result", metrics=metrics, classes=classes)
