"""What one line of train.py's output says. Pure; every pattern is linear and searched, since lines come glued.

The formats are those of facts/diffusion_pipe.md 1.4 and 1.8 (seen in runs of diffusion-pipe 8f83dbf under DeepSpeed
0.18.4) and of the logs in tests/fixtures/diffusion_pipe. `parse` first asks whether a line holds any marker at all:
nearly all lines of a start hold none, and they must cost next to nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence

from api.models.events import (
    PLAIN,
    Advance,
    Done,
    Event,
    Fault,
    Level,
    LineType,
    Metric,
    Parsed,
    Saved,
    Warn,
)
from api.models.job import Phase

NAN_LOSS = "the loss is NaN"
INFINITE_LOSS = "the loss is infinite"
NO_CAPTION = "images or videos without a caption are skipped; the log names them"
UNREADABLE = "media files that cannot be opened are skipped; the log names them"
BUCKET_DROPPED = "size buckets with fewer items than one batch are dropped; the log names them"
MANY_RESOLUTIONS = "train.py refuses more than 3 resolutions without saying so in its exit code"

LINE_MAX = 2000  # characters of a fault's line that are kept

Reader = Callable[[re.Match[str]], Iterable[Event]]
_LARGEST = sys.float_info.max

_STEPS = re.compile(
    r"steps: (\d{1,15}) loss: ([^ ]{1,40}) iter time \(s\): ([^ ]{1,40}) samples/sec: ([\d.]{1,40}|nan|inf)"
)
_RATES = re.compile(r"step=(\d{1,15}), skipped=\d{1,15}, lr=\[([^\[\]]{0,4000})\]")

_HEAD = re.compile(r"\[20\d\d-[\d :,-]{10,20}\] \[([A-Z]{4,8})\] \[(\w{1,60})\.py:")
_FAULT = re.compile(
    r"(?:\[rank\d{1,5}\]:\s?)?"
    r"(?:(?:[A-Za-z_]\w{0,80}\.){0,10}[A-Z]\w{0,80}(?:Error|Exception|Interrupt|Expired)(?::\s|\Z)"
    r"|[\w.-]{1,80}: error: |Fatal Python error: )"
)
_WARNING = re.compile(r"\A(?:\[rank\d{1,5}\]:\s?)?WARNING\b|\b[A-Z]\w{0,60}Warning: |\]: ?\[W\d{4} |\[WARNING\]")
_ERROR = re.compile(
    r"Traceback \(most recent call last\)|\[(?:ERROR|CRITICAL)\]|\A\[rank\d{1,5}\]:(?! ?\[[WI]\d{4} )"
    r"|\A  File \"[^\"]{1,4000}\", line \d"
)

_SYSTEM_FILES = frozenset(
    (
        "runner",
        "launch",
        "comm",
        "real_accelerator",
        "config",
        "engine",
        "module",
        "topology",
        "utils",
        "torch",
        "builder",
        "multinode_runner",
        "elastic_agent",
        "pipe",
        "partition_parameters",
    )
)
_LEVELS = {
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "WARNING": Level.WARNING,
    "ERROR": Level.ERROR,
    "CRITICAL": Level.ERROR,
}
_PLAINS = {(level, kind): Parsed(level, kind) for level in Level for kind in LineType}
_INFO_SYSTEM = _PLAINS[Level.INFO, LineType.SYSTEM]
_CACHING, _LOADING = Advance(phase=Phase.CACHING), Advance(phase=Phase.LOADING)
_EVALUATING, _SAVING = Advance(phase=Phase.EVALUATING), Advance(phase=Phase.SAVING)
_INFO, _TRAIN, _TRAINING = Level.INFO, LineType.TRAIN, Phase.TRAINING  # a look into an Enum is a slow one
_DONE, _COMPLETE = Done(), Advance(phase=Phase.DONE)


def parse(line: str) -> Parsed:
    """What a line (no terminator, no ANSI) says: level, type and, seldom, events."""
    if "step" in line:
        read = _step_events if line[:7] == "steps: " else _rates
        step = _STEPS.match(line) if read is _step_events else _RATES.search(line)
        if step is not None and (step.end() == len(line) or line.startswith(", mom=[", step.end())):
            return Parsed(_INFO, _TRAIN, read(step))
        return _understand(line)
    if (
        "poch" in line
        or "rror" in line
        or "arning" in line
        or "cached" in line
        or "caching " in line
        or "Found grouped" in line
        or "eval" in line
        or "WARN" in line
        or "ERROR" in line
        or "TRAIN" in line
        or "[rank" in line
        or "opology" in line
        or "xcept" in line
        or 'File "' in line
        or "rrupt" in line
        or "Traceback" in line
        or "Caching" in line
        or "CRITICAL" in line
    ):
        return _understand(line)
    return _headed(line) if line[:3] == "[20" else PLAIN


def _headed(line: str) -> Parsed:
    """A line of DeepSpeed's logger without an event in it."""
    if line[24:34] == "] [INFO] [":  # the common case, without a search
        return _INFO_SYSTEM if line[34 : line.find(".py:", 34, 100)] in _SYSTEM_FILES else PLAIN
    head = _HEAD.match(line)
    if head is None:
        return PLAIN
    kind = LineType.SYSTEM if head[2] in _SYSTEM_FILES else LineType.TRAIN
    return _PLAINS[_LEVELS.get(head[1], Level.INFO), kind]


def _understand(line: str) -> Parsed:
    events: list[Event] = []
    for found in _STEPS.finditer(line):
        events.extend(_step_events(found))
    for marker, pattern, read in _TABLE:
        if marker in line:
            for found in pattern.finditer(line):
                events.extend(read(found))
    kind = LineType.EVAL if _EVALUATING in events else LineType.TRAIN
    return _judged(line, kind, events)


def _judged(line: str, kind: LineType, events: list[Event]) -> Parsed:
    """With level and type, and with a fault if the line is the last one of a traceback."""
    level = Level.INFO
    if _FAULT.match(line):
        level = Level.ERROR
        events.append(Fault(line.strip()[:LINE_MAX]))
    elif _ERROR.search(line):
        level = Level.ERROR
    elif _WARNING.search(line):
        level = Level.WARNING
    if not events:
        head = _headed(line) if line[:3] == "[20" else PLAIN
        return head if level <= head.level else _PLAINS[level, head.type]
    return Parsed(level, kind, tuple(events))


def _step_events(found: re.Match[str]) -> tuple[Event, ...]:
    step_text, loss_text, time_text, rate_text = found.groups()
    step, loss = int(step_text), _number(loss_text)
    metric = Metric("loss", loss, step)
    advance = Advance(_TRAINING, None, None, step, None, None, None, _number(rate_text), _number(time_text))
    if loss is None:
        return metric, advance, Warn(INFINITE_LOSS if "inf" in loss_text else NAN_LOSS)
    return metric, advance


def _number(text: str) -> float | None:
    """A finite number, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def _rates(found: re.Match[str]) -> tuple[Event, ...]:
    """One learning rate a parameter group: `lr`, `lr/1`, ..."""
    step, texts = int(found[1]), found[2]
    if "," not in texts:
        return (Metric("lr", _number(texts), step),)
    return tuple(
        Metric(f"lr/{index}" if index else "lr", _number(text), step)
        for index, text in enumerate(texts.split(",", 64)[:64])
    )


def _epoch(found: re.Match[str]) -> Sequence[Event]:
    return (Advance(phase=Phase.TRAINING, epoch=int(found[1])),)


def _weights(found: re.Match[str]) -> Sequence[Event]:
    return _SAVING, Saved("weights", found[1])


def _state(found: re.Match[str]) -> Sequence[Event]:
    """`Saving model checkpoint: RUN_DIR/global_stepN/FILE`; the path may hold anything but a line's end."""
    folder, _, _ = found[1].strip().rpartition("/")
    name = folder.rpartition("/")[2]
    if name.startswith("global_step") and name[11:].isdecimal():
        return _SAVING, Saved("state", name, folder)
    return (_SAVING,)


def _resume(found: re.Match[str]) -> Sequence[Event]:
    """It names the step that comes next; the one before is done."""
    return (Advance(phase=Phase.TRAINING, epoch=int(found[1]), step=max(0, int(found[2]) - 1)),)


def _fault(found: re.Match[str]) -> Sequence[Event]:
    return (Fault(found.string.strip()[:LINE_MAX]),)


def _always(*events: Event) -> Reader:
    return lambda found: events


#: (a part of each line that the pattern can be found in, the pattern, what is read out of it), in the order of a run
_TABLE: tuple[tuple[str, re.Pattern[str], Reader], ...] = tuple(
    (marker, re.compile(pattern), read)
    for marker, pattern, read in (
        ("metadata is not cached", r"(?:Grouped|Intermediate) metadata is not cached", _always(_CACHING)),
        ("Caching ungrouped", r"Caching ungrouped metadata", _always(_CACHING)),
        ("caching ", r"caching (?:latents|text embeddings): \([\d.]{1,20}, \d{1,12}\)", _always(_CACHING)),
        ("caching ", r"caching (?:latents|text embeddings): \[", _always(_LOADING)),
        ("Found grouped", r"Found grouped metadata cache", _always(_LOADING)),
        ("Using topology: ", r"Using topology: ", _always(_LOADING)),
        ("Begin Load checkpoint", r"Begin Load checkpoint", _always(_LOADING)),
        ("Resuming at", r"Resuming at epoch: (\d{1,12}), step: (\d{1,15})", _resume),
        ("skipped=", _RATES.pattern, _rates),
        ("about to be", r"Checkpoint global_step\d{1,15} is about to be saved", _always(_SAVING)),
        ("Saving model ch", r"Saving model checkpoint: (.{1,4200})", _state),
        ("Saving model to", r"Saving model to directory ((?:epoch|step)\d{1,15})", _weights),
        ("new epoch", r"Started new epoch: (\d{1,12})", _epoch),
        ("Running eval", r"Running eval", _always(_EVALUATING)),
        ("TRAINING COMPLETE!", r"TRAINING COMPLETE!", _always(_DONE, _COMPLETE)),
        ("caption for ", r"find caption for ", _always(Warn(NO_CAPTION))),
        ("Skipping", r"could not be opened\. Skipping", _always(Warn(UNREADABLE))),
        ("dropped because", r"is being completely dropped because", _always(Warn(BUCKET_DROPPED))),
        ("a lot of resolutions", r"You have set a lot of resolutions", _always(Warn(MANY_RESOLUTIONS))),
        ("exits with return", r"exits with return code = -?\d{1,6}", _fault),
    )
)
