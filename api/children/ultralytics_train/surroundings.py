"""ultralytics made to stay at home: no network, no code out of data, its text as lines. To be called before any use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from api.children.common.operators import mend_torchvision

FONTS = ("Arial.ttf", "Arial.Unicode.ttf")


def prepare(settings: dict[str, Any]) -> Any:
    """What is returned must be kept for as long as ultralytics is used."""
    operators = _operators()
    _fonts(Path(os.environ["YOLO_CONFIG_DIR"]) / "Ultralytics")
    _threads(settings["threads"])
    _keep_in(settings["weights_dir"])
    return operators


def _operators() -> Any:
    """torchvision that can be imported, with ultralytics' own NMS where its compiled one is missing."""
    declared = mend_torchvision()
    if declared is not None:
        import torchvision
        from ultralytics.utils.nms import TorchNMS

        declared.impl("nms", TorchNMS.nms, "CPU")
        torchvision.ops.nms = TorchNMS.nms
    return declared


def _fonts(directory: Path) -> None:
    """ultralytics downloads Arial where it does not find it; matplotlib's own font serves as well."""
    import matplotlib

    directory.mkdir(parents=True, exist_ok=True)
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in FONTS:
        if not (directory / name).exists():
            (directory / name).symlink_to(font)


def _threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _keep_in(weights_dir: str) -> None:
    """The AMP check looks for yolo26n.pt there, and is skipped where it is not.

    A dataset's *.cache file is a pickle, which runs code when it is read; labels are scanned anew instead, and nothing
    is written into the directory of somebody's dataset.
    """
    from ultralytics import settings, utils
    from ultralytics.data import dataset
    from ultralytics.utils import downloads, tqdm

    off = ("sync", "clearml", "comet", "dvc", "hub", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
    settings.update({name: False for name in off if name in settings})
    utils.WEIGHTS_DIR = Path(weights_dir)
    downloads.safe_download = _no_download  # YOLO_OFFLINE is asked only after the first attempt
    dataset.load_dataset_cache_file = _no_cache
    dataset.save_dataset_cache_file = _leave_no_cache
    tqdm.is_noninteractive_console = lambda: True  # whole lines, as for a log; the bars would be torn by the events


def _no_download(url: str, *args: Any, **kwargs: Any) -> None:
    raise ConnectionError(f"nothing is downloaded here: {url}")


def _no_cache(path: Path) -> dict[str, Any]:
    raise FileNotFoundError(path)


def _leave_no_cache(prefix: str, path: Path, x: dict[str, Any], version: str) -> None:
    x["version"] = version
