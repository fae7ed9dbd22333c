"""Which texts of strangers may be names: of files, classes and models."""

from __future__ import annotations

import unicodedata

#: control characters, halves of surrogate pairs, line and paragraph separators
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether it stands on one line everywhere. Any space is plain, as are joined emoji: `str.isprintable` knows
    neither the U+202F in the names of a Mac's screenshots nor the U+3000 of Chinese ones."""
    return text.isprintable() or not any(unicodedata.category(char) in _REFUSED for char in text)
