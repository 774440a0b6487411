"""Arrays.  Positions count from 1; equality of items is by value, also of nested ones; null equals null."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import SERIES_ITEMS_MAX
from .columns import flat, length_of, row_by_row, spread
from .java_text import java_double
from .registry import scalar

ARRAY = "ARRAY"


def _frozen(value: Any) -> Any:
    """A hashable stand-in for a value, equal for equal values."""
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    if isinstance(value, dict):
        return ("dict", frozenset((_frozen(k), _frozen(v)) for k, v in value.items()))
    return value


def _first_of_each(items: Iterable[Any]) -> list[Any]:
    """The first of each set of equal items, in order."""
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(_frozen(item), item)
    return list(seen.values())


# --- arrays --------------------------------------------------------------------------------


@scalar(
    "ARRAY_CONCAT",
    "The items of two arrays one after the other; the other one, where one is null.",
    "(items ARRAY<T>, more ARRAY<T>) -> ARRAY<T>",
    nulls=True,
    category=ARRAY,
)
def array_concat(items: list[Any] | None, more: list[Any] | None) -> list[Any] | None:
    if items is None or more is None:
        return items if more is None else more
    return items + more


@scalar(
    "ARRAY_CONTAINS",
    "Whether an array holds an item (which may be null).",
    "(items ARRAY<T>, item T) -> BOOLEAN",
    style="arrow",
    nulls=True,
    category=ARRAY,
)
def array_contains(items: Any, item: Any) -> Any:
    """A null array holds nothing."""
    length = length_of((items, item))
    arrays = spread(items, length)
    if pa.types.is_nested(arrays.type.value_type):
        return row_by_row(
            lambda a, x: a is not None and x in a, pa.bool_(), arrays, spread(item, length), calls_with_nulls=True
        )
    values = flat(pc.list_flatten(arrays))
    parents = np.asarray(pc.list_parent_indices(arrays), np.int64)
    if isinstance(item, pa.Scalar):
        same = pc.equal(values, item).fill_null(False) if item.is_valid else pc.is_null(values)
    else:
        wanted = flat(item).take(pa.array(parents))
        both_null = pc.and_(pc.is_null(values), pc.is_null(wanted))
        same = pc.or_(pc.equal(values, wanted).fill_null(False), both_null)
    found = np.zeros(length, np.bool_)
    found[parents[np.asarray(flat(same).to_numpy(zero_copy_only=False), np.bool_)]] = True
    return pa.array(found)


@scalar(
    "ARRAY_DISTINCT",
    "The distinct items of an array, in the order of their first occurrence.",
    "(items ARRAY<T>) -> ARRAY<T>",
    category=ARRAY,
)
def array_distinct(items: list[Any]) -> list[Any]:
    return _first_of_each(items)


@scalar(
    "ARRAY_EXCEPT",
    "The distinct items of the first array that are not in the second.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    category=ARRAY,
)
def array_except(items: list[Any], other: list[Any]) -> list[Any]:
    gone = set(map(_frozen, other))
    return [item for item in _first_of_each(items) if _frozen(item) not in gone]


@scalar(
    "ARRAY_INTERSECT",
    "The distinct items of the first array that are in the second, too.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    category=ARRAY,
)
def array_intersect(items: list[Any], other: list[Any]) -> list[Any]:
    kept = set(map(_frozen, other))
    return [item for item in _first_of_each(items) if _frozen(item) in kept]


@scalar(
    "ARRAY_UNION",
    "The distinct items of both arrays, in the order of their first occurrence.",
    "(items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>",
    category=ARRAY,
)
def array_union(items: list[Any], other: list[Any]) -> list[Any]:
    return _first_of_each(items + other)


def _item_text(item: Any) -> str:
    match item:
        case None:
            return "null"
        case bool():
            return "true" if item else "false"
        case float():
            return java_double(item)
        case Decimal():
            return f"{item:f}"
    return str(item)


_JOINED = ("BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING")


@scalar(
    "ARRAY_JOIN",
    "The items of an array as text, with a delimiter (default: a comma) in between.",
    *(f"(items ARRAY<{type_}>{delimiter}) -> STRING" for type_ in _JOINED for delimiter in ("", ", delimiter STRING")),
    nulls=True,
    category=ARRAY,
)
def array_join(items: list[Any] | None, delimiter: str | None = ",") -> str | None:
    """A null delimiter joins without any; a null item is the word ``null``."""
    return None if items is None else (delimiter or "").join(map(_item_text, items))


@scalar("ARRAY_LENGTH", "The number of items of an array.", "(items ARRAY<T>) -> INT", style="arrow", category=ARRAY)
def array_length(items: Any) -> Any:
    return flat(pc.list_value_length(items)).cast(pa.int32())


@scalar("ARRAY_MAX", "The largest item of an array, nulls left out.", "(items ARRAY<T>) -> T", category=ARRAY)
def array_max(items: list[Any]) -> Any:
    return max((item for item in items if item is not None), default=None)


@scalar("ARRAY_MIN", "The smallest item of an array, nulls left out.", "(items ARRAY<T>) -> T", category=ARRAY)
def array_min(items: list[Any]) -> Any:
    return min((item for item in items if item is not None), default=None)


@scalar(
    "ARRAY_REMOVE",
    "The array without the items that equal one (which may be null).",
    "(items ARRAY<T>, item T) -> ARRAY<T>",
    nulls=True,
    category=ARRAY,
)
def array_remove(items: list[Any] | None, item: Any) -> list[Any] | None:
    return None if items is None else [i for i in items if not (i is None if item is None else i == item)]


_DIRECTIONS = {"ASC": False, "ASCENDING": False, "DESC": True, "DESCENDING": True}


@scalar(
    "ARRAY_SORT",
    "The items of an array in order, 'ASC' (the default) or 'DESC', nulls last.",
    "(items ARRAY<T>) -> ARRAY<T>",
    "(items ARRAY<T>, direction STRING) -> ARRAY<T>",
    category=ARRAY,
)
def array_sort(items: list[Any], direction: str = "ASC") -> list[Any] | None:
    """An unknown direction gives null."""
    descending = _DIRECTIONS.get(direction.upper())
    if descending is None:
        return None
    present = sorted((item for item in items if item is not None), reverse=descending)
    return present + [None] * (len(items) - len(present))


@scalar(
    "SLICE",
    "The items of an array from one position to another, both included; null: from the first, to the last.",
    "(items ARRAY<T>, from INT, to INT) -> ARRAY<T>",
    nulls=True,
    category=ARRAY,
)
def slice_(items: list[Any] | None, from_: int | None, to: int | None) -> list[Any] | None:
    """Out of range gives null.  Raises: ValueError, if it ends more than one item before it begins."""
    if items is None:
        return None
    begin = 0 if from_ is None else from_ - 1
    end = len(items) if to is None else to
    if begin < 0 or end > len(items):
        return None
    if begin > end:
        raise ValueError(f"a slice cannot begin at {from_} and end at {to}")
    return items[begin:end]


@scalar(
    "GENERATE_SERIES",
    "The numbers from one to another, both included, by a step (default 1 or -1).",
    "(from INT, to INT) -> ARRAY<INT>",
    "(from INT, to INT, step INT) -> ARRAY<INT>",
    "(from BIGINT, to BIGINT) -> ARRAY<BIGINT>",
    "(from BIGINT, to BIGINT, step INT) -> ARRAY<BIGINT>",
    category=ARRAY,
)
def generate_series(from_: int, to: int, step: int | None = None) -> list[int]:
    """Raises: ValueError, for a step of 0 or away from the end, or too many items."""
    if step is None:
        step = 1 if from_ <= to else -1
    if step == 0:
        raise ValueError("the step of a series must not be 0")
    if (to - from_) * step < 0:
        raise ValueError(f"a series from {from_} cannot reach {to} by steps of {step}")
    numbers = range(from_, to + (1 if step > 0 else -1), step)
    if len(numbers) > SERIES_ITEMS_MAX:
        raise ValueError(f"a series of {len(numbers)} items is above the limit of {SERIES_ITEMS_MAX}")
    return list(numbers)
