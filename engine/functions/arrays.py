"""Functions over arrays.  Positions count from 1.  Items are equal by value, nested ones too; null equals null."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import SERIES_ITEMS_MAX
from ...runtime.kernel import Evaluated, Failures
from ...storage.values.arrow_calls import index_array
from ..columns.arrow import Bools, Int64s, broadcast, flat, from_numpy, int64s, length_of, null_mask
from ..columns.comparing import equal
from ..columns.items import Items, groups_of, identities, items_of, joined, lists_of, positions
from ..columns.kinds import Column, Datum
from ..columns.sizes import check_column
from .registry import scalar

CATEGORY = "ARRAY"


@scalar("ARRAY_LENGTH", "The number of items of an array.", "(items ARRAY<T>) -> INT", style="arrow", category=CATEGORY)
def array_length(items: Column) -> Column:
    return flat(pc.list_value_length(items)).cast(pa.int32())


# --- items looked for ----------------------------------------------------------------------


def _equal(given: Items, item: Datum) -> Bools:
    """bool[m]: whether each item equals the value of its row."""
    (values,) = given.columns
    nested = pa.types.is_nested(values.type)
    if isinstance(item, pa.Scalar) and not nested:
        same = equal(values, item).fill_null(False) if item.is_valid else pc.is_null(values)
    else:
        wanted = broadcast(item, len(given.missing)).take(index_array(given.rows))
        if nested:
            ids = identities(pa.concat_arrays([values, wanted]))
            found: Bools = ids[: len(values)] == ids[len(values) :]
            return found
        both_null = pc.and_(pc.is_null(values), pc.is_null(wanted))
        same = pc.or_(equal(values, wanted).fill_null(False), both_null)
    return np.asarray(flat(same).to_numpy(zero_copy_only=False), np.bool_)


@scalar(
    "ARRAY_CONTAINS",
    "Whether an array holds an item (which may be null).",
    "(items ARRAY<T>, item T) -> BOOLEAN",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def array_contains(items: Datum, item: Datum) -> Column:
    """A null array contains nothing."""
    length = length_of((items, item))
    given = items_of(broadcast(items, length))
    found = np.zeros(length, np.bool_)
    found[given.rows[_equal(given, item)]] = True
    return pa.array(found)


@scalar(
    "ARRAY_REMOVE",
    "The array without the items that equal a value (which may be null).",
    "(items ARRAY<T>, item T) -> ARRAY<T>",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def array_remove(items: Datum, item: Datum) -> Column:
    given = items_of(broadcast(items, length_of((items, item))))
    kept = ~_equal(given, item)
    return lists_of(given.columns[0].filter(pa.array(kept)), given.rows[kept], given.missing)


# --- two arrays ----------------------------------------------------------------------------


def _both(items: Datum, other: Datum) -> tuple[Items, Items]:
    length = length_of((items, other))
    return items_of(broadcast(items, length)), items_of(broadcast(other, length))


@scalar(
    "ARRAY_CONCAT",
    "The items of two arrays one after the other; if one array is null, the other.",
    "(items ARRAY<T>, more ARRAY<T>) -> ARRAY<T>",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def array_concat(items: Datum, more: Datum) -> Column:
    both = joined(*_both(items, more))
    return lists_of(both.columns[0], both.rows, both.missing)


def _picked(given: Items, places: Int64s, missing: Bools) -> Column:
    """Arrays of the items at these positions, in the order of the items."""
    places = np.sort(places)
    return lists_of(given.columns[0].take(index_array(places)), given.rows[places], missing)


@scalar(
    "ARRAY_DISTINCT",
    "The distinct items of an array, in the order of their first occurrence.",
    "(items ARRAY<T>) -> ARRAY<T>",
    style="arrow",
    category=CATEGORY,
)
def array_distinct(items: Column) -> Column:
    given = items_of(items)
    return _picked(given, groups_of(given.rows, identities(given.columns[0])).firsts, given.missing)


@scalar(
    "ARRAY_UNION",
    "The distinct items of both arrays, in the order of their first occurrence.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    style="arrow",
    category=CATEGORY,
)
def array_union(items: Datum, other: Datum) -> Column:
    left, right = _both(items, other)
    both = joined(left, right)
    return _picked(both, groups_of(both.rows, identities(both.columns[0])).firsts, left.missing | right.missing)


def _by_presence(items: Datum, other: Datum, wanted: bool) -> Column:
    """The distinct items that the other array contains, or does not contain."""
    left, right = _both(items, other)
    count = len(left.rows)
    groups = groups_of(np.concatenate((left.rows, right.rows)), identities(pa.concat_arrays(left.columns + right.columns)))
    present = np.zeros(len(groups.firsts), np.bool_)
    present[groups.numbers[count:]] = True
    return _picked(left, groups.firsts[(groups.firsts < count) & (present == wanted)], left.missing | right.missing)


@scalar(
    "ARRAY_EXCEPT",
    "The distinct items of the first array that are not in the second.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    style="arrow",
    category=CATEGORY,
)
def array_except(items: Datum, other: Datum) -> Column:
    return _by_presence(items, other, False)


@scalar(
    "ARRAY_INTERSECT",
    "The distinct items of the first array that are in the second, too.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    style="arrow",
    category=CATEGORY,
)
def array_intersect(items: Datum, other: Datum) -> Column:
    return _by_presence(items, other, True)


# --- ranges --------------------------------------------------------------------------------


@scalar(
    "SLICE",
    "The items of an array from one position to another, both included; null: from the first, to the last.",
    "(items ARRAY<T>, from INT, to INT) -> ARRAY<T>",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def slice_(items: Datum, from_: Datum, to: Datum) -> Evaluated:
    """A range out of the array gives null.  A slice fails if its end is more than one item before its start."""
    length = length_of((items, from_, to))
    given = items_of(broadcast(items, length))
    from_, to = broadcast(from_, length), broadcast(to, length)
    begin = np.where(null_mask(from_), 0, int64s(from_) - 1)
    end = np.where(null_mask(to), given.lengths, int64s(to))
    missing = given.missing | (begin < 0) | (end > given.lengths)
    failed = np.flatnonzero(~missing & (begin > end))
    missing[failed] = True
    lengths = np.where(missing, 0, end - begin)
    values = given.columns[0].take(index_array(positions(given.begins + begin, lengths)))
    reasons = tuple(f"a slice cannot begin at {from_[row]} and end at {to[row]}" for row in failed.tolist())
    made = lists_of(values, np.repeat(np.arange(length), lengths), missing)
    return Evaluated(made, Failures(failed, reasons) if reasons else None)


@scalar(
    "GENERATE_SERIES",
    "The numbers from one to another, both included, by a step (default 1 or -1).",
    "(from INT, to INT) -> ARRAY<INT>",
    "(from INT, to INT, step INT) -> ARRAY<INT>",
    "(from BIGINT, to BIGINT) -> ARRAY<BIGINT>",
    "(from BIGINT, to BIGINT, step INT) -> ARRAY<BIGINT>",
    style="arrow",
    category=CATEGORY,
)
def generate_series(from_: Datum, to: Datum, *step: Datum) -> Evaluated:
    """A step of 0 or in the wrong direction fails, and so does a series with more than `limits.SERIES_ITEMS_MAX` items."""
    length = length_of((from_, to, *step))
    columns = [broadcast(argument, length) for argument in (from_, to, *step)]
    missing = np.logical_or.reduce([null_mask(column) for column in columns])
    begin, end, *steps = map(int64s, columns)
    by = steps[0] if steps else np.where(begin <= end, 1, -1)
    distance = np.where(end >= begin, end - begin, begin - end).view(np.uint64)  # uint64 undoes a wrap
    further = distance // np.maximum(np.abs(by), 1).view(np.uint64)
    away = (begin != end) & ((end > begin) != (by > 0))
    failed = np.flatnonzero(~missing & ((by == 0) | away | (further >= SERIES_ITEMS_MAX)))

    def reason(row: int) -> str:
        if by[row] == 0:
            return "the step of a series must not be 0"
        if away[row]:
            return f"a series from {begin[row]} cannot reach {end[row]} by steps of {by[row]}"
        return f"a series of {int(further[row]) + 1} items is above the limit of {SERIES_ITEMS_MAX}"

    missing[failed] = True
    lengths = np.where(missing, 0, further.astype(np.int64) + 1)
    check_column(8 * int(lengths.sum()))
    rows = np.repeat(np.arange(length), lengths)
    numbers = begin[rows] + positions(np.zeros(length, np.int64), lengths) * by[rows]
    made = lists_of(from_numpy(numbers, columns[0].type), rows, missing)
    return Evaluated(made, Failures(failed, tuple(map(reason, failed.tolist()))) if len(failed) else None)
