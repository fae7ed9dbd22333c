"""What the value of a setting may be: each function reads one, or raises ValueError with the rest of the sentence."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

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
        found = tuple(shlex.split(text))
    except ValueError as problem:
        raise ValueError(f"cannot be read: {problem}") from None
    for word in found:
        if not word.startswith("-") or word in ("-", "--"):
            raise ValueError(f"names {word!r}, which is no flag; write --name=value")
    return found


def choices(text: str) -> Mapping[str, frozenset[str]]:
    """`partition=debug,qos=high`: for each key the values that may be chosen."""
    found: dict[str, set[str]] = {}
    for word in (part.strip() for part in text.split(",") if part.strip()):
        key, _, value = word.partition("=")
        if key not in ("partition", "account", "qos") or not SLURM_NAME.fullmatch(value):
            raise ValueError(f"names {word!r}; it must be partition=NAME, account=NAME or qos=NAME")
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


def path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("is not a path")
    return Path(os.path.abspath(os.path.expanduser(text)))


def interpreter(text: str) -> str:
    return str(path(text)) if os.sep in text else text


def paths(text: str) -> tuple[Path, ...]:
    return tuple(path(part) for part in text.split(os.pathsep) if part)


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is {text!r}; it must be one of {', '.join(allowed)}")
        return text

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"is {text!r}; it must be a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"is {number}; it must be between {low} and {high}")
        return number

    return parse


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"is {text!r}; it must be a number of seconds") from None
    if not 0 < number <= 7 * 86400:
        raise ValueError(f"is {text}; it must be more than 0 and at most a week of seconds")
    return number


def ports(text: str) -> tuple[int, ...]:
    number = integer(0, 65535)
    found = tuple(number(part) for part in words(text))
    if not found:
        raise ValueError("names no port")
    return found


def switch(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    if text.lower() not in known:
        raise ValueError(f"is {text!r}; it must be true or false")
    return known[text.lower()]


def optional_path(text: str) -> Path | None:
    return path(text) if text else None


def web_address(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"is {text!r}; it must be an http or https address")
    return text.rstrip("/")


def key(text: str) -> str:
    """Never repeated in a message."""
    if not re.fullmatch(r"[\x21-\x7e]{0,1024}", text):
        raise ValueError("must be at most 1024 printable ASCII characters, without spaces")
    return text
