"""Which of ultralytics' arguments a request may set, and to what. The list is data: arguments.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from api.utils.errors import Invalid

TASKS = ("train", "export", "validate", "prelabel")
LIST_MAX = 1000
_FILE = Path(__file__).with_name("arguments.toml")

Rule = Mapping[str, Any]


@cache
def _tables() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def known(task: str = "train") -> Mapping[str, Rule]:
    """By name: `type` (or several), `minimum`, `maximum`, `choices`, `help`."""
    table: Mapping[str, Rule] = _tables()[task]
    return table


def refused() -> Mapping[str, str]:
    """Arguments of ultralytics that are not a caller's, with the reason."""
    table: Mapping[str, str] = _tables()["refused"]
    return table


def other() -> frozenset[str]:
    """Arguments of ultralytics that no training has."""
    return frozenset(_tables()["other"]["names"])


def checked(given: Mapping[str, Any], task: str = "train", prefix: str = "") -> dict[str, Any]:
    """What was given, less what is null. Raises Invalid naming every wrong one."""
    problems = []
    for name, value in given.items():
        problem = _problem(name, value, task)
        if problem is not None:
            problems.append((prefix + name, problem))
    if problems:
        (field, message), *more = problems
        raise Invalid(field, message, more=more)
    return {name: value for name, value in given.items() if value is not None}


def _problem(name: str, value: object, task: str) -> str | None:
    rule = known(task).get(name)
    if rule is None:
        return refused().get(name, f"is not an argument of ultralytics' {task}")
    if value is None:
        return None
    told = [_CHECKS[kind](value, rule) for kind in _types(rule)]
    return None if None in told else told[-1]


def _types(rule: Rule) -> list[str]:
    return [rule["type"]] if isinstance(rule["type"], str) else list(rule["type"])


def _boolean(value: object, rule: Rule) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _integer(value: object, rule: Rule) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a whole number"
    return _within(value, rule)


def _number(value: object, rule: Rule) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    return _within(value, rule)


def _within(value: float, rule: Rule) -> str | None:
    low, high = rule["minimum"], rule["maximum"]
    return None if low <= value <= high else f"must be between {low} and {high}"


def _integers(value: object, rule: Rule) -> str | None:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= LIST_MAX:
        return f"must be a whole number or a list of 1 to {LIST_MAX} of them"
    return next((told for told in (_integer(each, rule) for each in value) if told is not None), None)


def _text(value: object, rule: Rule) -> str | None:
    return None if isinstance(value, str) and value in rule["choices"] else f"must be one of {', '.join(_words(rule))}"


def _words(rule: Rule) -> list[str]:
    return [*(("true", "false") if "boolean" in _types(rule) else ()), *rule["choices"]]


_CHECKS: Mapping[str, Callable[[object, Rule], str | None]] = {
    "boolean": _boolean,
    "integer": _integer,
    "integers": _integers,
    "number": _number,
    "text": _text,
}


def schema(task: str = "train") -> dict[str, Any]:
    """JSON Schema of each argument, for forms."""
    return {name: _schema_of(rule) for name, rule in known(task).items()}


def _schema_of(rule: Rule) -> dict[str, Any]:
    shown = [_SCHEMAS[kind](rule) for kind in _types(rule)]
    described = {"description": rule["help"]} if "help" in rule else {}
    return {**(shown[0] if len(shown) == 1 else {"anyOf": shown}), **described}


def _bounds(rule: Rule) -> dict[str, Any]:
    return {"minimum": rule["minimum"], "maximum": rule["maximum"]}


_SCHEMAS: Mapping[str, Callable[[Rule], dict[str, Any]]] = {
    "boolean": lambda rule: {"type": "boolean"},
    "integer": lambda rule: {"type": "integer", **_bounds(rule)},
    "integers": lambda rule: {"type": "array", "items": {"type": "integer", **_bounds(rule)}, "maxItems": LIST_MAX},
    "number": lambda rule: {"type": "number", **_bounds(rule)},
    "text": lambda rule: {"type": "string", "enum": list(rule["choices"])},
}
