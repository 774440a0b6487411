"""Masking: replaces each character by a sign for its class.  So a secret's shape can be seen, but not the secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated, failures_of
from ..columns.arrow import (
    Bools,
    Int64s,
    ascii_rows,
    broadcast,
    flat,
    int64s,
    is_literal,
    length_of,
    null_mask,
    row_by_row,
    text_bytes,
    with_bytes,
    with_nulls,
)
from ..columns.bytes import byte_bounds
from ..columns.kinds import Column, Datum
from ..java.text import from_units, to_units
from .registry import scalar

CATEGORY = "STRING"

_Masks = tuple[str | None, str | None, str | None, str | None]
_DEFAULTS: _Masks = ("X", "x", "n", "-")
_MASK_PARAMETERS = "upper STRING, lower STRING, digit STRING, other STRING"


class _Table(dict[int, int]):
    """A table for `str.translate`.  The sign of a character is found by its Unicode class when the character first
    occurs.
    """

    def __init__(self, masks: _Masks) -> None:
        self._upper, self._lower, self._digit, self._other = masks

    def __missing__(self, code: int) -> int:
        unit = chr(code)
        if unit.isupper():
            mask = self._upper
        elif unit.islower():
            mask = self._lower
        elif unit.isdecimal():
            mask = self._digit
        else:
            mask = self._other
        self[code] = sign = code if mask is None else ord(mask)
        return sign


@lru_cache(maxsize=64)
def _table(*given: str | None) -> _Table:
    """Make the table for four masks.  The first character of a mask is the sign; None leaves the characters of a class
    unchanged.

    Raises:
        ValueError: a mask is empty.
    """
    if "" in given:
        raise ValueError("a mask must have a character (or be NULL, to leave its class as it is)")
    upper, lower, digit, other = (None if mask is None else to_units(mask)[0] for mask in given or _DEFAULTS)
    return _Table((upper, lower, digit, other))


# --- columns -------------------------------------------------------------------------------

_Part = Callable[[Int64s, Int64s], tuple[Int64s, Int64s]]
"""The part of texts to mask.  It computes the start and the end of the part from lengths and counts."""


def _masked(part: _Part, text: Any, counts: Int64s, masks: tuple[Any, ...]) -> Evaluated:
    """Mask a part of texts.  Masks that differ between rows are rare, so such rows are processed one by one."""
    given = [mask.as_py() for mask in masks if is_literal(mask)]
    if len(given) < len(masks) or "" in given:

        def one(text: str | None, count: int, *masks: str | None) -> str | None:
            return None if text is None else _masked_texts([text], part, np.array([count]), _table(*masks))[0]

        return row_by_row(one, pa.string(), text, pa.array(counts), *masks, calls_with_nulls=True)
    table = _table(*given)
    signs = np.array([table[code] for code in range(128)])
    quick = ascii_rows(text) if signs.max() < 128 else null_mask(text)  # the signs must also be single bytes
    result = _masked_bytes(text, part, counts, signs)
    if not quick.all():
        rest = pa.array(~quick)
        others = _masked_texts(text.filter(rest).to_pylist(), part, counts[~quick], table)
        result = flat(pc.replace_with_mask(result, rest, pa.array(others, pa.string())))
    return Evaluated(result)


def _masked_bytes(text: Column, part: _Part, counts: Int64s, signs: Int64s) -> Column:
    """Mask rows of ASCII.  The results of other rows have no meaning."""
    data, sizes = text_bytes(text), np.diff(byte_bounds(text))
    begins, ends = part(sizes, counts)
    runs = np.stack((begins, ends - begins, sizes - ends), axis=1).ravel()
    within: Bools = np.repeat(np.tile((False, True, False), len(sizes)), runs)
    return with_bytes(text, np.where(within, signs.astype(np.uint8)[data & 127], data))


def _masked_texts(texts: list[str], part: _Part, counts: Int64s, table: _Table) -> list[str]:
    units = [to_units(text) for text in texts]
    begins, ends = part(np.array([len(u) for u in units], np.int64), counts)
    return [
        from_units(u[:begin] + u[begin:end].translate(table) + u[end:])
        for u, begin, end in zip(units, begins.tolist(), ends.tolist())
    ]


# --- functions -----------------------------------------------------------------------------


@scalar(
    "MASK",
    "The text with capitals, small letters, digits and other characters replaced (default X x n -; NULL: kept).",
    "(text STRING) -> STRING",
    f"(text STRING, {_MASK_PARAMETERS}) -> STRING",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def mask(text: Datum, *masks: Datum) -> Evaluated:
    length = length_of((text, *masks))
    return _masked(lambda sizes, counts: (0 * sizes, sizes), broadcast(text, length), np.zeros(length, np.int64), masks)


def _define(name: str, meaning: str, part: _Part) -> None:
    def function(text: Datum, count: Datum, *masks: Datum) -> Evaluated:
        length = length_of((text, count, *masks))
        text, count = broadcast(text, length), broadcast(count, length)
        counts = int64s(count)
        bad = null_mask(count) | (counts < 0)
        done = _masked(part, with_nulls(text, bad), np.where(bad, 0, counts), masks)
        if not bad.any():
            return done
        reasons = {} if done.failures is None else dict(zip(done.failures.rows.tolist(), done.failures.reasons))
        for row in np.flatnonzero(bad).tolist():
            found = count[row].as_py()
            reasons[row] = f"{name} needs a count of 0 or more, not {'NULL' if found is None else found}"
        return Evaluated(done.values, failures_of(reasons))

    signatures = ("(text STRING, count INT) -> STRING", f"(text STRING, count INT, {_MASK_PARAMETERS}) -> STRING")
    scalar(name, meaning, *signatures, style="arrow", nulls=True, category=CATEGORY)(function)


_define("MASK_LEFT", "The text with its first characters masked.", lambda n, k: (0 * n, np.minimum(n, k)))
_define("MASK_RIGHT", "The text with its last characters masked.", lambda n, k: (np.maximum(n - k, 0), n))
_define("MASK_KEEP_LEFT", "The text with all but its first characters masked.", lambda n, k: (np.minimum(n, k), n))
_define("MASK_KEEP_RIGHT", "The text with all but its last characters masked.", lambda n, k: (0 * n, np.maximum(n - k, 0)))
