"""Java's ways with text that SQL shows: UTF-16 units, how a double is written, the order of a hash map."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, TypeVar

K = TypeVar("K")

_PAIRED = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_units(text: str) -> str:
    """The text with characters beyond U+FFFF as two surrogates each, so that indices are those of UTF-16."""
    if text.isascii() or not _PAIRED.search(text):
        return text
    return _PAIRED.sub(lambda m: _pair(m[0]), text)


def _pair(character: str) -> str:
    code = ord(character) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))


def from_units(text: str) -> str:
    """The inverse of `to_units`; half a pair becomes ``?``, which is what Java writes for it."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub("?", joined)


def units_length(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text) if text.isascii() else len(text) + len(_PAIRED.findall(text))


def java_double(value: float) -> str:
    """A double as Java writes it: a digit after the point at least, ``E`` notation below 0.001 and from 10 million."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if 1e-3 <= abs(value) < 1e7:
        return repr(value)  # Python writes these without an exponent, too, and with a digit after the point
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    mantissa, _, exponent_text = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction
    point = len(whole) + int(exponent_text or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0") or "0"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"


def java_hash(key: Any) -> int:
    """``hashCode()`` of a STRING, INT, BIGINT, BOOLEAN or DOUBLE, as a 32-bit unsigned number."""
    if isinstance(key, str):
        value = 0
        for unit in to_units(key):
            value = (value * 31 + ord(unit)) & 0xFFFFFFFF
        return value
    if isinstance(key, bool):
        return 1231 if key else 1237
    if isinstance(key, int):
        return (key ^ (key >> 32 if not -(2**31) <= key < 2**31 else 0)) & 0xFFFFFFFF
    return hash(key) & 0xFFFFFFFF


def in_hash_order(keys: Iterable[K]) -> list[K]:
    """Keys in the order in which ksqlDB walks a map that was read from a record.

    Its maps are Java's HashMap: one filled in the given order, then copied into one made for just as many entries.
    The order shows wherever a map is walked (REDUCE, MAP_KEYS).  A bin is taken to be a list: Java turns one into a
    tree at eight collisions, which changes the order only for keys made to collide.
    """
    ordered = list(keys)
    if len(ordered) < 2:
        return ordered
    fitting = 1
    while len(ordered) > fitting * 0.75:
        fitting *= 2
    spread = [(h ^ (h >> 16), key) for h, key in ((java_hash(k), k) for k in ordered)]
    spread.sort(key=lambda item: item[0] & (max(fitting, 16) - 1))
    spread.sort(key=lambda item: item[0] & (fitting - 1))
    return [key for _, key in spread]
