"""Tables -> TOML that the old `toml` package (0.10.2, which train.py reads with) understands as they were meant.

Its own `dumps` is not used: it loses nested lists of tables, breaks on control characters and on keys that need
quotes. Its reader has bugs of its own (strings of quotes, brackets or commas in lists, mixed numbers), so every
entry is written in the plainest way that reads back equal, and what no way can express is refused (some strings
that begin with two quotes, or hold a backslash before a u beside a character that must be escaped). The text is
ASCII, so that no locale can change it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import toml

TEXT_MAX = 256 * 1024  # characters of a document: the reader is slow, and quadratic in places
STRING_MAX = 8 * 1024
DEPTH_MAX = 8

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


class Unwritable(ValueError):
    """`field` cannot be expressed so that train.py would read what was meant."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def normalized(value: Any, field: str, depth: int = 0) -> Any:
    """The value as it will read back: nulls left out, a list's numbers all floats if one is. Raises Unwritable."""
    if depth > DEPTH_MAX:
        raise Unwritable(field, f"is nested more than {DEPTH_MAX} deep")
    if isinstance(value, Mapping):
        _check_keys(value, field)
        return {k: normalized(v, f"{field}.{k}", depth + 1) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return _one_type([normalized(item, f"{field}.{i}", depth + 1) for i, item in enumerate(value)], field)
    return _checked_scalar(value, field)


def _check_keys(table: Mapping[Any, Any], field: str) -> None:
    for key in table:
        if not isinstance(key, str) or not key:
            raise Unwritable(field, "has a key that is empty or not a string")
        _check_text(key, f"{field}.{key!a}"[:200], 200)


def _check_text(text: str, field: str, limit: int) -> None:
    if len(text) > limit:
        raise Unwritable(field, f"is longer than {limit} characters")
    if "\0" in text:
        raise Unwritable(field, "must not contain a NUL character")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise Unwritable(field, "must be valid Unicode (it has a lone surrogate)")


def _checked_scalar(value: Any, field: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        _check_text(value, field, STRING_MAX)
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Unwritable(field, "does not fit into 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unwritable(field, "must be a finite number")
        return value
    raise Unwritable(field, "must be a string, a number, true, false, a list or an object")


def _one_type(items: list[Any], field: str) -> list[Any]:
    kinds = {type(item) for item in items}
    if kinds == {int, float}:
        return [float(item) for item in items]
    if len(kinds) > 1 or type(None) in kinds:
        raise Unwritable(field, "is a list of mixed types, which train.py's TOML reader refuses")
    return items


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down (1 is not 1.0, and not true)."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def dumps(table: Mapping[str, Any], field: str) -> str:
    """The text of a normalized table, after it was read back and compared. Raises Unwritable."""
    text = "".join(_table(table, "", field))
    if len(text) > TEXT_MAX:
        raise Unwritable(field, f"is larger than {TEXT_MAX // 1024} KiB as TOML")
    if not _reads_as(text, table):
        raise Unwritable(field, "cannot be written so that train.py's TOML reader understands it")
    return text


def _table(table: Mapping[str, Any], prefix: str, field: str) -> Iterator[str]:
    """Plain entries first: in TOML everything after a header belongs to it."""
    later = {k: v for k, v in table.items() if isinstance(v, dict) or _is_table_list(v)}
    for key, value in table.items():
        if key not in later:
            yield _entry(key, value, f"{field}.{key}") + "\n"
    for key, value in later.items():
        header = f"{prefix}{_key(key, f'{field}.{key}')}"
        if isinstance(value, dict):
            yield f"\n[{header}]\n"
            yield from _table(value, header + ".", f"{field}.{key}")
        else:
            for index, item in enumerate(value):
                yield f"\n[[{header}]]\n"
                yield from _table(item, header + ".", f"{field}.{key}.{index}")


def _is_table_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str, field: str) -> str:
    if _BARE_KEY.match(key):
        return key
    quoted = _basic(key, "")
    if "." in key or not _reads_as(f"[{quoted}]\n", {key: {}}):
        raise Unwritable(field, "is not a key that train.py's TOML reader understands")
    return quoted


def _entry(key: str, value: Any, field: str) -> str:
    name = key if _BARE_KEY.match(key) else _basic(key, "")
    if _holds_table(value):
        raise Unwritable(field, "has an object inside a list of lists, which TOML cannot express here")
    for style in (_plain, _careful):
        text = f"{name} = {style(value, False)}"
        if len(text) > TEXT_MAX:
            raise Unwritable(field, f"is larger than {TEXT_MAX // 1024} KiB as TOML")
        if _reads_as(text + "\n", {key: value}):
            return text
    raise Unwritable(field, "cannot be written so that train.py's TOML reader understands it")


def _holds_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_table, value)))


def _reads_as(text: str, table: Mapping[str, Any]) -> bool:
    try:
        return same(toml.loads(text), table)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # all of these come out of that reader


def _plain(value: Any, listed: bool) -> str:
    if isinstance(value, str):
        return _basic(value, ",[]{}#='" if listed else "")
    return _value(value, _plain)


def _careful(value: Any, listed: bool) -> str:
    """Everything odd as a number; a literal string where the reader would stumble over that, too."""
    if isinstance(value, str):
        if "'" not in value and value.isascii() and value.isprintable() and not (listed and set(value) & set(",[]{}")):
            return f"'{value}'"
        return _basic(value, "\"'`,.[]{}()#=:;!?*+-_/<>|&%$@^~ ")
    return _value(value, _careful)


def _value(value: Any, write: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(write(item, True) for item in value) + "]"
    return repr(value)


def _basic(text: str, numbered: str) -> str:
    """A basic string; the characters of `numbered`, and all that is not printable ASCII, by their code point."""
    return '"' + "".join(_escaped(c, numbered) for c in text) + '"'


def _escaped(char: str, numbered: str) -> str:
    if char != "\\" and char in numbered:
        return f"\\u{ord(char):04x}"
    if char in _SHORT:
        return _SHORT[char]
    if " " <= char <= "~":
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
