"""Table functions: they make several rows from one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.kernel import Evaluated, Failures
from ...storage.values.arrow_calls import index_array
from ..columns.arrow import Int64s, null_mask
from ..columns.items import items_of, lists_of, positions
from .registry import table_function

_CUBE_ITEMS_MAX = 20
"""Each item doubles the number of rows.  Twenty items give a million rows."""


@table_function("EXPLODE", "One row for each item of an array.", "(items ARRAY<T>) -> T", style="arrow")
def explode(items: Any) -> Any:
    return items


@table_function(
    "CUBE_EXPLODE",
    "One row for each way of replacing items of an array by null.",
    "(items ARRAY<T>) -> ARRAY<T>",
    style="arrow",
)
def cube_explode(items: Any) -> Evaluated:
    """The first row has only nulls, the last one is the array itself.  A null item is null in every row.  Too many items
    fail.
    """
    given = items_of(items)
    long = given.lengths > _CUBE_ITEMS_MAX
    present = ~null_mask(given.columns[0])
    choices = np.bincount(given.rows[present], minlength=len(items))
    before: Int64s = np.cumsum(present) - present
    digit = choices[given.rows] - 1 - (before - before[given.begins[given.rows]])
    ways = np.where(given.missing | long, 0, 1 << np.where(long, 0, choices))
    row = np.repeat(np.arange(len(items)), ways)
    way = positions(np.zeros(len(items), np.int64), ways)
    lengths = given.lengths[row]
    item = positions(given.begins[row], lengths)
    # Each way is a number with a binary digit for each item that is not null.  The first item has the highest digit.  The
    # digit 1 keeps the item.
    kept = present[item] & (np.repeat(way, lengths) >> np.maximum(digit[item], 0) & 1 == 1)
    values = given.columns[0].take(index_array(item, mask=~kept))
    cubes = lists_of(values, np.repeat(np.arange(len(row)), lengths), np.zeros(len(row), np.bool_))
    reasons = tuple(f"CUBE_EXPLODE takes at most {_CUBE_ITEMS_MAX} items, not {n}" for n in given.lengths[long].tolist())
    failures = Failures(np.flatnonzero(long), reasons) if reasons else None
    return Evaluated(lists_of(cubes, row, given.missing | long), failures)
