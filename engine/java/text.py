"""Java's blanks and UTF-16 units, as far as SQL shows them."""

from __future__ import annotations

import re

BLANKS = "".join(map(chr, range(33)))
"""The characters that TRIM and CAST remove at both ends: all up to the space, as Java's ``String.trim`` does."""

_PAIRED = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_units(text: str) -> str:
    """The text with two surrogates in place of each character beyond U+FFFF, so that indices count UTF-16 units."""
    if text.isascii() or not _PAIRED.search(text):
        return text
    return _PAIRED.sub(lambda m: _pair(m[0]), text)


def _pair(character: str) -> str:
    code = ord(character) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))


def from_units(text: str) -> str:
    """The inverse of `to_units`.  An unpaired surrogate becomes ``?``, as Java writes it."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub("?", joined)
