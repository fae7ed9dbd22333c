"""Values of settings that are more than a word or a number."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
SLURM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def slurm_name(text: str) -> str:
    """One or several names with commas, as Slurm takes them for a partition."""
    if text and not all(SLURM_NAME.fullmatch(part) for part in text.split(",")):
        raise ValueError(f"is {text!r}; it must be a name of letters, digits and . _ + -")
    return text


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def hosts(text: str) -> tuple[str, ...]:
    """`Host` names: a name or an address, perhaps with a port."""
    for word in words(text):
        if not (HOST.fullmatch(word) or HOST.fullmatch(f"[{word}]")):  # IPv6 with and without its brackets
            raise ValueError(f"names {word!r}, which is no host; write example.org or example.org:8443")
    return words(text)


def origins(text: str) -> tuple[str, ...]:
    """Web origins as a browser writes them, or they would match none."""
    for word in words(text):
        scheme, _, host = word.partition("://")
        if scheme not in ("http", "https") or not HOST.fullmatch(host) or word != word.lower():
            raise ValueError(f"names {word!r}, which is no origin; write https://example.org, without a path")
    return words(text)


def flags(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as problem:
        raise ValueError(f"cannot be read: {problem}") from None
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            raise ValueError(f"names {word!r}, which is no flag; write --name=value")
    return words


def choices(text: str) -> Mapping[str, frozenset[str]]:
    """`partition=debug,qos=high`: for each key the values that may be chosen."""
    found: dict[str, set[str]] = {}
    for word in (part.strip() for part in text.split(",") if part.strip()):
        key, _, value = word.partition("=")
        if key not in ("partition", "account", "qos") or not SLURM_NAME.fullmatch(value):
            raise ValueError(f"names {word!r}; it must be partition=NAME, account=NAME or qos=NAME")
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}
