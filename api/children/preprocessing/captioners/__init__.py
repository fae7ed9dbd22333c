"""One small class each; which of them is the plan's to say."""

from __future__ import annotations

from api.children.preprocessing.captioners.base import Captioner, CaptionError, Subject
from api.children.preprocessing.captioners.openai import Endpoint, OpenAI
from api.children.preprocessing.captioners.plain import Nothing, Sidecar
from api.children.preprocessing.plan import Plan

__all__ = ["CaptionError", "Captioner", "Endpoint", "Subject", "build"]


def build(plan: Plan, endpoint: Endpoint | None) -> Captioner:
    """Raises CaptionError (final) where something of it is missing."""
    if plan.captioner == "openai":
        if endpoint is None:
            raise CaptionError("no endpoint is configured", final=True)
        return OpenAI(endpoint, plan.caption_method)
    if plan.captioner == "florence2":
        from api.children.preprocessing.captioners.florence2 import Florence2

        return Florence2(plan.florence2_dir, plan.caption_method)
    if plan.captioner == "detector":
        from api.children.preprocessing.captioners.detector import Detector

        return Detector(plan.detector_weights)
    return Sidecar() if plan.captioner == "sidecar" else Nothing()
