"""Why a kraken child ended badly: what it said itself, then kraken's own words, then what holds for any trainer."""

from __future__ import annotations

import re
from dataclasses import replace

from api.models.job import FAILURE_KINDS, Failure
from api.services.engines.base import Ending
from api.services.engines.failures import GENERIC, classify, rule

_HINTS = {
    "dataset_empty": "The documents hold nothing to train on: {0}. Lines need a baseline, for recognition also a "
    "bounding polygon and a transcription, and their page an image.",
    "missing_file": "{0}.",
    "bad_config": "{0}.",
    "incomplete": "{0}. Resume it, or train for more epochs.",
}
_OWN = re.compile(r"\[([a-z_]{1,40})\] (.{1,2000})", re.DOTALL)

RULES = (
    rule(
        "missing_file",
        r"All \d{1,9} samples in dataset invalid",
        "No line or page could be cut out of its image: the images are gone, broken, or do not fit their lines.",
    ),
    rule(
        "dataset_empty",
        r"No (?:valid )?(?:training|validation|test) data (?:in dataset|provided)",
        "The documents hold nothing to train on: lines need a baseline, for recognition also a bounding polygon and a "
        "transcription, and their page an image.",
    ),
    rule(
        "bad_config",
        r"alphabets? mismatch|class mapping differ|KrakenEncodeException|[Nn]on-encodable",
        "The base model does not know these texts or line types, and could not be extended: train from scratch.",
    ),
    rule(
        "bad_config",
        r"Expected dimension 3 to be 1",
        "The network's spec leaves more than one row at its end: it needs something like S1(1x0)1,3 before its first "
        "recurrent layer.",
    ),
    rule(
        "bad_config",
        r"Invalid input (?:spec|vgsl)|invalid layer definition|VGSL|Unable to parse",
        "kraken does not understand the network's spec.",
    ),
    rule(
        "import_error",
        r"operator torchvision::\w{1,40} does not exist",
        "torch and torchvision of kraken's interpreter do not fit together: run `make kraken`.",
    ),
)


def explain(ending: Ending) -> Failure:
    for line in ending.faults:
        own = _OWN.fullmatch(line)
        if own and own[1] in FAILURE_KINDS:
            hint = _HINTS.get(own[1], "{0}.").format(own[2][:400])
            return Failure(own[1], hint[0].upper() + hint[1:], own[2][:500])
    told = classify(ending, (*RULES, *GENERIC), what="kraken")
    if told.kind == "import_error":
        return replace(told, hint=told.hint + " (`make kraken` installs what is tested.)")
    return told
