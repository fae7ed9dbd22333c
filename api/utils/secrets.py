"""What must not be shown: values under keys that match key, token, secret or password (contract 0).

`secret` and `password` count anywhere in a key. `token` does unless it goes on as tokenizer/tokenize, or names a
count (`max_tokens`, `token_length` with a number). `key` must be a word of its own in snake, kebab or camel case
(`api_key`, `accessKey`, `KEY`) or follow one that makes it a credential (`apikey`), so that `keyframes` and
`monkey` stay readable. Switches and nulls are never secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

MASK = "***"
SHORTEST = 6  # characters; replacing shorter ones in free text would garble it

_ANYWHERE = re.compile(r"secret|passw(?:or)?d|passphrase|passwort|credential", re.IGNORECASE)
_TOKEN = re.compile(r"token(?!i[sz])", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KEY_WORDS = frozenset(("key", "keys"))
_JOINED_KEY = re.compile(r"(?:api|access|secret|private|auth|encryption|signing|ssh|master|license)keys?")


def is_secret(key: str) -> bool:
    """Whether values under this key are masked."""
    if _ANYWHERE.search(key) or _TOKEN.search(key):
        return True
    words = [word.lower() for word in _WORD.findall(key)]
    return any(word in _KEY_WORDS or _JOINED_KEY.search(word) for word in words)


def _hides(key: object, value: object) -> bool:
    if value is None or isinstance(value, bool) or not isinstance(key, str) or not is_secret(key):
        return False
    counts = isinstance(value, int | float) and _TOKEN.search(key) is not None and not _ANYWHERE.search(key)
    return not counts


def masked(value: Any) -> Any:
    """A deep copy with `***` in place of every secret that is not empty."""
    if isinstance(value, Mapping):
        return {k: (MASK if v not in ("", [], {}) else v) if _hides(k, v) else masked(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def secrets_of(value: Any) -> frozenset[str]:
    """The strings that `masked` would hide, for `scrub`."""
    found: set[str] = set()
    _collect(value, found, hidden=False)
    return frozenset(found)


def _collect(value: Any, found: set[str], *, hidden: bool) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, found, hidden=hidden or _hides(key, item))
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found, hidden=hidden)
    elif hidden and isinstance(value, str) and value:
        found.add(value)


def scrub(text: str, secrets: Collection[str]) -> str:
    """Free text (a log line) without the secrets, longest first; those under 6 characters are left."""
    if not secrets:
        return text
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST and secret in text:
            text = text.replace(secret, MASK)
    return text
