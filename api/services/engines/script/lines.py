"""Printed lines: epochs, steps, `name=value`, dicts of Hugging Face's Trainer, JSON, tables of metrics. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from api.models.events import Reading, Source
from api.models.job import Phase
from api.services.engines.script.values import (
    LARGEST_COUNT,
    NUMBER,
    PAIRS,
    Value,
    count,
    like_metric,
    metric_name,
    number,
    pairs,
    stage_of,
    staged,
    worded,
)

JSON_MAX = 16 * 2**10  # characters

_NUMBERED = re.compile(  # a cheap question: is there a number that something is said to be? No `:` of a time is one
    r"(?:=|:\s|(?<!\d):)\s{0,20}+[-+.]?(?:\d|[nN][aA][nN]|[iI][nN][fF])"
)
_EPOCH = re.compile(r"(?i)(?<![\w./-])epoch[ :=#]{0,4}\[?(\d{1,9})(?:\s?(?:/|of)\s?(\d{1,9}))?(?![\d%]|\.\d)")
_STEP = re.compile(
    r"(?i)(?<![\w./-])(?:global[_ ]step|steps?|iter(?:ation)?s?|batch)[ :=#]{0,4}[\[(]?\s{0,8}(\d{1,12})"
    r"(?:\s?(?:/|of)\s?(\d{1,12}))?(?![\d%]|\.\d)"
)
_OF_EPOCH = re.compile(r"\[\s{0,12}(\d{1,12})/(\d{1,12})(?:\s(\(\d{1,3}%\)))?\]")  # `[ 10/100]`, `[160/320 (50%)]`
_TUTORIAL = re.compile(r"\A\[(\d{1,9}),\s{0,12}(\d{1,12})\]")  # `[1,  2000] loss: 2.173`
_STAGE = re.compile(r"\A[^A-Za-z]{0,60}(?i:(validation|valid|val|test|evaluation|eval))\b")
_DICT = re.compile(rf"'([A-Za-z_][\w./@ -]{{0,79}})': '?({NUMBER})'?(?=[,}}])")
_ROW = re.compile(rf"\A[│|]\s{{0,80}}([A-Za-z_][\w./@-]{{0,79}})\s{{0,80}}[│|]\s{{0,80}}({NUMBER})\s{{0,80}}[│|]\s*\Z")
_STEP_KEYS = ("step", "global_step", "iteration", "iter", "batch")
_TOTAL_KEYS = ("total_steps", "max_steps", "num_steps")
_EPOCHS_KEYS = ("total_epochs", "num_epochs", "max_epochs", "epochs")


def printed(line: str) -> Reading | None:
    """A line that a person wrote the format of."""
    if not (_NUMBERED.search(line) or "poch" in line or "POCH" in line or worded(line)):
        return None
    stage_word = _STAGE.match(line)
    stage = stage_of(stage_word[1]) if stage_word is not None else None
    tutorial = _TUTORIAL.match(line)
    if tutorial is not None:
        values, _ = pairs(line[tutorial.end() :])
        if not values:
            return None
        return Reading(Source.LINE, tuple(values), int(tutorial[1]), None, int(tutorial[2]), phase=Phase.TRAINING)
    epoch = _EPOCH.search(line) if "poch" in line or "POCH" in line else None
    values, epochs = pairs(line, stage)
    if stage is not None or epoch is None:
        return _without_epoch(line, stage, values, epochs)
    reached, total, inside = _counted(line, epoch.end())
    return Reading(
        Source.LINE, tuple(values), int(epoch[1]), count(epoch[2]) or epochs, reached, total, inside=inside,
        phase=Phase.TRAINING,
    )  # fmt: skip


def _step(line: str) -> re.Match[str] | None:
    if "ter" in line or "tep" in line or "TE" in line or "atch" in line or "ATCH" in line:
        return _STEP.search(line)
    return None


def _counted(line: str, after: int) -> tuple[int | None, int | None, bool]:
    """The step of a line with an epoch, of how many, and whether it counts samples instead."""
    step = _step(line)
    if step is not None:
        return int(step[1]), count(step[2]), False
    bracket = _OF_EPOCH.search(line, after)
    if bracket is None:
        return None, None, False
    if bracket[3] is not None:
        return None, None, True
    return int(bracket[1]), int(bracket[2]), False


def _without_epoch(line: str, stage: str | None, values: list[Value], epochs: int | None) -> Reading | None:
    step = _step(line) if stage is None and values else None
    if step is not None:
        return Reading(
            Source.LINE, tuple(values), counted=int(step[1]), total=count(step[2]), total_epochs=epochs,
            phase=Phase.TRAINING,
        )  # fmt: skip
    kept = tuple(value for value in values if like_metric(value[0]))
    if "est " in line[:200].lower() and "best " in line[:200].lower():  # the best so far is no new value
        kept = ()
    if not kept and epochs is None:
        return None
    phase = None if not kept else Phase.TRAINING if stage is None else Phase.EVALUATING
    return Reading(Source.LINE, kept, total_epochs=epochs, phase=phase)


def report(line: str) -> Reading | None:
    """A dict of Hugging Face's Trainer, wherever it stands in the line; its numbers may be strings."""
    start = line.find("{'")
    found = dict(_first(_DICT.finditer(line, start))) if start >= 0 else {}
    epoch = found.pop("epoch", None)
    if epoch is None:
        return None
    values = _named(found.items())
    evaluated = any(name.startswith("eval_") for name, _ in values)
    if not values or epoch < 0:
        return None
    return Reading(Source.REPORT, values, epoch, phase=Phase.EVALUATING if evaluated else Phase.TRAINING)


def _first(matches: Iterator[re.Match[str]]) -> Iterator[tuple[str, float | None]]:
    for taken, match in enumerate(matches):
        if taken == PAIRS:
            return
        yield match[1], number(match[2])


def _named(items: Any) -> tuple[Value, ...]:
    named = ((metric_name(name), value) for name, value in items)
    return tuple((name, value) for name, value in named if name is not None)


def table(line: str) -> Reading | None:
    """A row of Lightning's table of metrics."""
    row = _ROW.match(line)
    if row is None or not like_metric(row[1]):
        return None
    return Reading(Source.LINE, _named([(row[1], number(row[2]))]), phase=Phase.EVALUATING)


def json_line(line: str) -> Reading | None:
    """An object with numbers; those of an object in it get its name before theirs."""
    if len(line) > JSON_MAX:
        return None
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    reached, total = _whole(given, _STEP_KEYS), _whole(given, _TOTAL_KEYS)
    epoch = _real(given.get("epoch"))
    values = tuple(value for _, value in zip(range(PAIRS), _flat(given), strict=False))
    stage = given.get("stage", given.get("split", given.get("phase")))
    if isinstance(stage, str) and stage.lower() in ("val", "valid", "validation", "test", "eval"):
        values = tuple((staged(stage_of(stage), name), value) for name, value in values)
    if epoch is None and reached is None:
        values = tuple(value for value in values if like_metric(value[0]))
    if not values or (epoch is not None and not 0 <= epoch <= LARGEST_COUNT):
        return None
    return Reading(
        Source.LINE, values, epoch, _whole(given, _EPOCHS_KEYS), reached, total, phase=Phase.TRAINING,
    )  # fmt: skip


def _flat(given: Mapping[str, Any], prefix: str = "") -> Iterator[Value]:
    for key, value in given.items():
        name = metric_name(key) if len(key) <= 80 and key.isprintable() else None
        if name is None:
            continue
        if isinstance(value, Mapping):
            if not prefix:
                yield from _flat(value, f"{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", _real(value)


def _whole(given: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = given.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
            return value
    return None


def _real(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return number(repr(float(value)))
    except OverflowError:
        return None
