"""Which captioner a request gets: the one that it names, or the first that is configured."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path

from api.services.engines.preprocessing.sources import has_captions
from api.utils.errors import Invalid

ORDER = ("openai", "florence2", "detector", "sidecar", "none")
METHODS = ("tags", "simple", "detailed", "extra", "mixed", "extra_mixed", "analyze")


@dataclass(frozen=True, slots=True)
class CaptionSettings:
    """What the operator has configured."""

    openai_url: str = ""
    openai_model: str = ""
    openai_key: str = field(default="", repr=False)
    florence2_dir: Path | None = None
    detector: Path | None = None

    @property
    def has_endpoint(self) -> bool:
        return bool(self.openai_url and self.openai_model)

    def missing(self, captioner: str) -> str | None:
        """What a captioner lacks here; None: nothing that can be seen from outside."""
        if captioner == "openai" and not self.has_endpoint:
            return "set TRAINYARD_OPENAI_BASE_URL and TRAINYARD_OPENAI_MODEL"
        if captioner == "florence2":
            return _lacks(self.florence2_dir, "TRAINYARD_FLORENCE2_DIR", "transformers")
        if captioner == "detector":
            return _lacks(self.detector, "TRAINYARD_CAPTION_DETECTOR", "ultralytics")
        return None

    def chosen(self, named: str | None, directory: Path) -> str:
        """Raises Invalid where the one that was named cannot be had."""
        if named is not None:
            missing = self.missing(named)
            if missing:
                raise Invalid("captioner", f"{named} is not available here: {missing}")
            return named
        if self.has_endpoint:
            return "openai"
        if self.florence2_dir is not None and self.missing("florence2") is None:
            return "florence2"
        if self.detector is not None and self.missing("detector") is None:
            return "detector"
        return "sidecar" if has_captions(directory) else "none"


def _lacks(path: Path | None, variable: str, package: str) -> str | None:
    if path is None:
        return f"set {variable}"
    if not os.access(path, os.R_OK):
        return f"{variable}: {path} is not there or cannot be read"
    if importlib.util.find_spec(package) is None:  # found, not imported
        return f"install {package} into the service's interpreter"
    return None
