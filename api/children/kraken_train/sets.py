"""kraken's data modules over pages in memory: its own read files, and split at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning
from kraken.configs import BLLASegmentationTrainingDataConfig, VGSLRecognitionTrainingDataConfig
from kraken.containers import BaselineLine, Segmentation
from kraken.lib.dataset import PolygonGTDataset
from kraken.train import BLLASegmentationDataModule, VGSLRecognitionDataModule
from torch.utils.data import Subset

from api.children.kraken_train.data import Line, Page


def container(line: Line, image: str, number: int) -> Any:
    return BaselineLine(
        f"line{number}", text=line.text, baseline=line.baseline, boundary=line.boundary, imagename=image
    )


def _whole(dataset: Any) -> Any:
    return Subset(dataset, range(len(dataset)))


class RecognitionData(VGSLRecognitionDataModule):
    """Each item is a line with the image of its page."""

    def __init__(
        self,
        data_config: VGSLRecognitionTrainingDataConfig,
        training: Sequence[tuple[str, Line]] = (),
        validation: Sequence[tuple[str, Line]] = (),
        test: Sequence[tuple[str, Line]] = (),
    ) -> None:
        lightning.LightningDataModule.__init__(self)
        self.save_hyperparameters({"data_config": data_config})  # and not the lines: it goes into every checkpoint
        made = partial(PolygonGTDataset, legacy_polygons=data_config.legacy_polygons)
        if training:
            self.train_set = _whole(self._build_dataset(made, _lines(training), augmentation=data_config.augment))
            self.val_set = _whole(self._build_dataset(made, _lines(validation)))
        if test:
            self.test_set = _whole(self._build_dataset(made, _lines(test)))


def _lines(items: Sequence[tuple[str, Line]]) -> list[dict[str, Any]]:
    return [{"line": container(line, image, number)} for number, (image, line) in enumerate(items)]


class SegmentationData(BLLASegmentationDataModule):
    """Each item is a page."""

    def __init__(
        self,
        data_config: BLLASegmentationTrainingDataConfig,
        training: Sequence[Page] = (),
        validation: Sequence[Page] = (),
        test: Sequence[Page] = (),
    ) -> None:
        lightning.LightningDataModule.__init__(self)
        self.save_hyperparameters({"data_config": data_config})
        self.test_data = [_page(page) for page in test]
        if training:
            classes = {
                "aux": {"_start_separator": 0, "_end_separator": 1},
                "baselines": data_config.line_class_mapping,
                "regions": data_config.region_class_mapping,
            }
            pages = [_page(page) for page in training]
            held = [_page(page) for page in validation]
            self.train_set = _whole(
                self._build_dataset(pages, augmentation=data_config.augment, im_transforms=None, class_mapping=classes)
            )
            self.val_set = _whole(self._build_dataset(held, im_transforms=None, class_mapping=classes))


def _page(page: Page) -> dict[str, Any]:
    lines = [container(line, page.image, number) for number, line in enumerate(page.lines)]
    made = Segmentation(
        type="baselines",
        imagename=page.image,
        text_direction="horizontal-lr",
        script_detection=False,
        lines=lines,
        regions={},
        line_orders=[],
    )
    return {"doc": made}
