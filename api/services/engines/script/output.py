"""What one line of a script's output says. Pure, and linear in the line's length.

The formats are those of the logs in tests/fixtures/script, each recorded from a run. A line is first asked whether it
holds anything at all: nearly all lines hold nothing, and they must cost next to nothing.
"""

from __future__ import annotations

import re

from api.models.events import PLAIN, Event, Fault, Level, LineType, Parsed, Reading, Warn
from api.models.job import Phase
from api.services.engines.script import bars, lines

LINE_MAX = 4096  # characters that are looked at (all of a JSON line)
FAULT_MAX = 2000  # characters of a fault's line that are kept

NOT_A_NUMBER = "a loss is NaN or infinite"

_FAULT = re.compile(
    r"(?:\[rank\d{1,5}\]:\s?)?"
    r"(?:(?:[A-Za-z_]\w{0,80}\.){0,10}[A-Z]\w{0,80}(?:Error|Exception|Interrupt|Expired|Exit)(?::\s|\Z)"
    r"|[\w.-]{1,80}: error: |Fatal Python error: )"
)
_ERROR = re.compile(
    r"Traceback \(most recent call last\)|\A  File \"[^\"]{1,1000}\", line \d|(?<![\w.])(?:ERROR|CRITICAL|FATAL)\b"
    r"|\A[EF]\d{4} \d\d:\d\d:\d{2,12}\."
)
_WARNING = re.compile(r"(?<![\w.])WARN(?:ING)?\b|\b[A-Z]\w{0,60}Warning: |\AW\d{4} \d\d:\d\d:\d{2,12}\.")
_FIRST = ("W", "E", "F")  # absl's, with a date after it: `Epoch` and `Train` are no such thing
_LEVEL_WITHIN = 300  # characters: a level stands at the beginning

_PLAINS = {level: Parsed(level) for level in Level}


def parse(line: str) -> Parsed:
    """What a line (no terminator, no ANSI) says: level, type and, seldom, events."""
    if not (
        "=" in line
        or ": " in line
        or "oss" in line
        or "poch" in line
        or "rror" in line
        or "WARN" in line
        or "ERROR" in line
        or 'File "' in line
        or "CRITICAL" in line
        or "it/s" in line
        or "s/it" in line
        or "Traceback" in line
        or "/step" in line
        or line[:1] in ("{", "│", "|", "W", "E", "F")
        or "acc" in line
        or "\t" in line
    ):
        return PLAIN
    reading = _reading(line[:LINE_MAX] if line[:2] != '{"' else line)
    level, fault = _judged(line[:LINE_MAX])
    if reading is None and fault is None:
        return _PLAINS[level]
    events: list[Event] = [] if reading is None else [reading]
    if reading is not None and any(value is None and "loss" in name for name, value in reading.values):
        events.append(Warn(NOT_A_NUMBER))
    if fault is not None:
        events.append(fault)
    evaluating = reading is not None and reading.phase is Phase.EVALUATING
    return Parsed(level, LineType.EVAL if evaluating else LineType.TRAIN, tuple(events))


def _reading(line: str) -> Reading | None:
    if line[:2] == '{"':
        return lines.json_line(line)
    if "{'" in line:
        return lines.report(line)
    if "/s" in line or "s/it" in line or "it [" in line:
        bar = bars.tqdm(line)
        if bar is not None or "%|" in line:
            return bar
        if "•" in line:
            return bars.rich(line)
    if line[:1] in ("│", "|"):
        return lines.table(line)
    if "/" in line[:30]:
        fit = bars.keras(line)
        if fit is not None:
            return fit
    return lines.printed(line)


def _judged(line: str) -> tuple[Level, Fault | None]:
    """A traceback may be one that was caught, so that the script goes on after it."""
    ending = "rror" in line or "xcept" in line or "rrupt" in line or "xpired" in line or "Exit" in line
    if ending and _FAULT.match(line):
        return Level.ERROR, Fault(line.strip()[:FAULT_MAX], fatal=False)
    if not (
        ending
        or "ERROR" in line
        or "WARN" in line
        or "arning" in line
        or "CRITICAL" in line
        or (line[:1] in _FIRST and line[1:5].isdigit())
        or line[:9] == "Traceback"
        or 'File "' in line
    ):
        return Level.INFO, None
    head = line[:_LEVEL_WITHIN]
    if _ERROR.search(head):
        return Level.ERROR, None
    return (Level.WARNING if _WARNING.search(head) else Level.INFO), None
