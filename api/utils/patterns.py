"""A user's regular expression, compiled at a price that is known before it is paid.

The `regex` package can be told to stop searching, but compiling has no limit: it writes `(?:a{1000}){1000}` out, a
million nodes, and takes gigabytes where such groups are nested.
"""

from __future__ import annotations

import math
import re

import regex

from api.utils.errors import Invalid

MOST = 100_000  # nodes: some 40 MB and 40 ms
_COUNT = re.compile(r"\{\s*([0-9]+)")
_GROUP_COUNT = re.compile(r"[)}?*+]\{\s*([0-9]+)")
_UNREADABLE = re.compile(r"\(\?#|\(\?[A-Za-z0-9]*x")  # comments and verbose mode may stand before a count


def compiled(field: str, keyword: str, *, is_regex: bool) -> regex.Pattern[str]:
    """Text, letter case aside, or a regular expression. Raises Invalid naming the field."""
    if not is_regex:
        return regex.compile(regex.escape(keyword), regex.IGNORECASE)
    if _UNREADABLE.search(keyword):
        raise Invalid(field, "comments and the flag x are not supported")
    if _nodes(keyword) > MOST:
        raise Invalid(field, "repeats too much: the counts in it multiply to more than can be searched for")
    try:
        return regex.compile(keyword)
    except (regex.error, OverflowError) as problem:
        raise Invalid(field, f"is not a regular expression: {problem}") from None
    except RecursionError:
        raise Invalid(field, "is nested too deeply") from None


def _nodes(pattern: str) -> int:
    """An upper bound of what a pattern is when its counts are written out."""
    atoms = len(pattern) + sum(_number(text) for text in _COUNT.findall(pattern))
    return atoms * math.prod(max(1, _number(text)) for text in _GROUP_COUNT.findall(pattern))


def _number(text: str) -> int:
    return int(text) if len(text) < 10 else 10**9
