"""Percent encoding of whole columns: form encoding (``%20``, and ``+`` for a space), and the escapes in URLs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..columns.arrow import Bools, Int64s, flat, null_mask, text_bytes
from ..columns.bytes import Bytes, byte_bounds, of_bytes, rows_at
from ..columns.kinds import Column

_PLUS, _SPACE, _PERCENT = b"+ %"
_SAFE = np.zeros(256, np.bool_)
_SAFE[list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-* ")] = True
"""The bytes that Java's form encoding does not escape.  ``*`` is one of them, ``~`` is not."""
_DIGITS = np.frombuffer(b"0123456789ABCDEF", np.uint8)
_NO_DIGIT = 16
_VALUES = np.full(256, _NO_DIGIT, np.uint8)
_VALUES[_DIGITS] = np.arange(16)
_VALUES[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16)


def form_encoded(text: Column) -> Column:
    """Encode each byte of the UTF-8 text as itself, as ``+`` or as ``%XX``."""
    missing, data = null_mask(text), text_bytes(text)
    bounds, escaped = byte_bounds(text), np.flatnonzero(~_SAFE[data])
    places = escaped + 2 * np.arange(len(escaped))  # each earlier escape adds two bytes
    codes = data[escaped]
    written = np.empty(len(data) + 2 * len(escaped), np.uint8)
    single = np.ones(len(written), np.bool_)
    single[places] = single[places + 1] = single[places + 2] = False
    written[places] = _PERCENT
    written[places + 1] = _DIGITS[codes >> 4]
    written[places + 2] = _DIGITS[codes & 15]
    plain = data[_SAFE[data]]
    written[single] = np.where(plain == _SPACE, np.uint8(_PLUS), plain)
    return of_bytes(bounds + 2 * np.searchsorted(escaped, bounds), written, missing)


def decoded(text: Any, *, form: bool = False) -> tuple[Any, Bools]:
    """Decode escapes and, in form encoding, ``+`` as a space.

    Bytes that are not UTF-8 become as many U+FFFD as Python's ``replace`` makes.

    Returns:
        the texts, and bool[n]: the rows with malformed escapes.  The texts of these rows have no meaning.
    """
    missing, data, bounds = null_mask(text), text_bytes(text), byte_bounds(text)
    bad = np.zeros(len(text), np.bool_)
    if form:
        data = np.where(data == _PLUS, np.uint8(_SPACE), data)
    places = np.flatnonzero(data == _PERCENT)
    if not len(places):
        return of_bytes(bounds, data, missing), bad
    rows = rows_at(bounds, places)
    padded = np.append(data, np.zeros(2, np.uint8))
    high, low = _VALUES[padded[places + 1]], _VALUES[padded[places + 2]]
    malformed = (high == _NO_DIGIT) | (low == _NO_DIGIT) | (places + 2 >= bounds[rows + 1])
    bad[rows[malformed]] = True
    bad &= ~missing
    whole = ~malformed
    places, rows, codes = places[whole], rows[whole], (high << 4 | low)[whole]
    data = data.copy()
    data[places] = codes
    kept = np.ones(len(data), np.bool_)
    kept[places + 1] = kept[places + 2] = False
    shrunk = bounds - 2 * np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(text)))))
    data = data[kept]
    beyond = np.zeros(len(text), np.bool_)
    beyond[rows[codes >= 0x80]] = True
    result = of_bytes(shrunk, data, missing, pa.binary())
    return _as_text(result, data, shrunk, beyond & ~missing), bad


def _as_text(result: Any, data: Bytes, bounds: Int64s, beyond: Bools) -> Any:
    """The bytes as strings.  Only rows where ``beyond`` is true have bytes beyond ASCII, and these may be invalid UTF-8."""
    if beyond.any():
        begins = data[bounds[:-1][bounds[:-1] < len(data)]]
        try:
            data.tobytes().decode()
            good = not ((begins >= 0x80) & (begins < 0xC0)).any()  # no character spans two rows
        except UnicodeDecodeError:
            good = False
        if not good:
            texts = [item.decode("utf-8", "replace") for item in result.filter(pa.array(beyond)).to_pylist()]
            replaced = pa.array([item.encode() for item in texts], pa.binary())
            result = flat(pc.replace_with_mask(result, pa.array(beyond), replaced))
    return result.view(pa.string())
