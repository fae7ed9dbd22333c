"""Progress bars: of tqdm (and Lightning, Hugging Face), of rich as Lightning draws it, of Keras 2 and 3. Pure."""

from __future__ import annotations

import re

from api.models.events import Reading, Source
from api.models.job import Phase
from api.services.engines.script.values import count, number, pairs, postfix

_TQDM = re.compile(
    r"(?:\d{1,3}%\|[^|]{0,400}\| (\d{1,12})/(\d{1,12})|(?<!\S)(\d{1,12})it) \[[\d:]{1,12}(?:<[\d:?]{1,12})?, ?"
    r"(?: {0,12}([\d.]{1,20}|\?)([A-Za-z]{1,20})/(s|it|[A-Za-z]{1,20}))?([^\]]{0,2000})\]"
)
_EVALUATION = re.compile(r"(?i)\b(?:val|valid|validat|eval|test|predict|sanity|infer)\w{0,20}\b")
_TRAINING = re.compile(r"(?i)\b(?:train|step|iter|fit|batch)\w{0,20}\b")
_EPOCH = re.compile(r"(?i)\bepoch[ :=#]{0,3}\[?(\d{1,9})(?:\s?(?:/|of)\s?(\d{1,9}))?(?![\d%.])")
_EPOCHS = re.compile(r"(?i)\bepochs?\s*:?\s*\Z")
_KERAS = re.compile(r"\s{0,12}(\d{1,12})/(\d{1,12}|Unknown)(?: [━╸╺─ ]{1,80} | \[[=>.]{1,80}\] - | - (?=\d{1,9}s ))")
_KERAS_TIME = re.compile(r"(?<![\w.])(\d{1,9})(us|ms|s)/step")
_RICH = re.compile(r"(\d{1,12})/(\d{1,12}) [\d:]{4,12} • [-\d:]{4,12} ([\d.]{1,20})it/s(.{0,2000})")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_EVALUATING = Reading(phase=Phase.EVALUATING)


def tqdm(line: str) -> Reading | None:
    """The last bar of a line; None where there is none that tells of the training."""
    found = None
    start = 0
    for match in _TQDM.finditer(line):
        if found is not None:
            start = found.end()
        found = match
    if found is None:
        return None
    text = line[start : found.start()].replace(":", " ").strip()[-80:]
    described = line[start : found.start()]
    if _EVALUATION.search(text):
        return _EVALUATING
    done, total, endless, rate, unit, per, after = found.groups()
    seconds = _step_time(rate, per)
    reached = count(done or endless)
    if "epoch" in (unit, per) or (_EPOCHS.search(described) and reached != 0):
        return Reading(Source.EPOCHS, counted=reached, total=count(total))
    values = postfix(after)
    _, epochs = pairs(line[found.end() :])
    epoch = _EPOCH.search(described)
    if epoch is not None:
        return Reading(
            Source.BAR, tuple(values), int(epoch[1]), count(epoch[2]) or epochs, reached, count(total),
            phase=Phase.TRAINING, time_per_step=seconds,
        )  # fmt: skip
    if values or _TRAINING.search(text):
        return Reading(
            Source.BAR, tuple(values), counted=reached, total=count(total), phase=Phase.TRAINING, time_per_step=seconds
        )
    if text or unit not in (None, "it") or total is None:
        return None
    return Reading(Source.BARE_BAR, counted=reached, total=count(total), time_per_step=seconds)


def _step_time(rate: str | None, per: str | None) -> float | None:
    """`5.3it/s` and `1.9s/it`."""
    value = number(rate) if rate else None
    if not value:
        return None
    return 1.0 / value if per == "s" else value


def keras(line: str) -> Reading | None:
    """A line of `fit`. Its values are means over the epoch so far; those at its end are the epoch's."""
    found = _KERAS.match(line)
    if found is None:
        return None
    values, _ = pairs(line[found.end() :])
    if not values:
        return None
    took = _KERAS_TIME.search(line, found.end())
    seconds = None if took is None else int(took[1]) * _SECONDS[took[2]]
    reached, total = count(found[1]), count(found[2])
    return Reading(
        Source.LINE, tuple(values), counted=reached, total=total, epoch_values=reached == total, phase=Phase.TRAINING,
        time_per_step=seconds or None,
    )  # fmt: skip


def rich(line: str) -> Reading | None:
    """Lightning's other bar: both its epoch and the last one count from 0."""
    found = _RICH.search(line)
    if found is None:
        return None
    head = line[: found.start()]
    epoch = _EPOCH.search(head)
    if epoch is None:
        return _EVALUATING if _EVALUATION.search(head) else None
    values, _ = pairs(found[4])
    last = count(epoch[2])
    return Reading(
        Source.BAR, tuple(values), int(epoch[1]) + 1, None if last is None else last + 1, count(found[1]),
        count(found[2]), phase=Phase.TRAINING, time_per_step=_step_time(found[3], "s"),
    )  # fmt: skip
