"""Functions that sort arrays, find their smallest or largest item, or join them to a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated, Failures, failures_of
from ...storage.formats.values import storage_type
from ...storage.values.arrow_calls import index_array
from ...storage.values.number_texts import decimal_column, double_column
from ..columns.arrow import Int64s, broadcast, flat, length_of, null_mask, with_nulls
from ..columns.items import Items, items_of, lists_of, sort_numbers, within_rows
from ..columns.sizes import check_column
from .registry import scalar

CATEGORY = "ARRAY"


# --- order ---------------------------------------------------------------------------------

_DIRECTIONS = {"ASC": 0, "ASCENDING": 0, "DESC": 1, "DESCENDING": 1}


@scalar(
    "ARRAY_SORT",
    "The items of an array in order, 'ASC' (the default) or 'DESC', nulls last.",
    "(items ARRAY<T>) -> ARRAY<T>",
    "(items ARRAY<T>, direction STRING) -> ARRAY<T>",
    style="arrow",
    category=CATEGORY,
)
def array_sort(items: Any, direction: Any = None) -> Evaluated:
    """Equal items keep their order.  An unknown direction gives null."""
    length = length_of((items, direction))
    directions = _directions(pa.scalar("ASC") if direction is None else direction, length)
    lists = with_nulls(broadcast(items, length), directions < 0)
    given = items_of(lists)
    (values,) = given.columns
    downwards = directions == 1
    if pa.types.is_nested(values.type):
        order, failures = _compared(lists, _sorted, downwards.tolist())
        places = given.begins[order.rows] + np.asarray(order.columns[0], np.int64)
        return Evaluated(lists_of(values.take(index_array(places)), order.rows, order.missing), failures)
    absent = null_mask(values)
    present = np.flatnonzero(~absent)
    numbers, rows = sort_numbers(values)[present], given.rows[present]
    ordered = present[within_rows(rows, np.where(downwards[rows], ~numbers, numbers))]
    if absent.any():
        ordered = np.concatenate((ordered, np.flatnonzero(absent)))
        ordered = ordered[np.argsort(given.rows[ordered], kind="stable")]
    return Evaluated(lists_of(values.take(index_array(ordered)), given.rows, given.missing))


def _directions(words: Any, length: int) -> Int64s:
    """0 for ascending, 1 for descending, -1 for neither."""
    encoded: Any = broadcast(words, length).dictionary_encode()
    known = [_DIRECTIONS.get(word.upper(), -1) for word in encoded.dictionary.to_pylist()]
    directions: Int64s = np.array([*known, -1])[encoded.indices.fill_null(len(known)).to_numpy()]
    return directions


def _extreme(items: Any, largest: bool) -> Evaluated:
    """The first one of the largest (or smallest) items."""
    given = items_of(items)
    (values,) = given.columns
    places = np.full(len(items), -1, np.int64)
    if pa.types.is_nested(values.type):
        found, failures = _compared(items, _largest if largest else _smallest)
        places[found.rows] = given.begins[found.rows] + np.asarray(found.columns[0], np.int64)
        return Evaluated(values.take(index_array(places, mask=places < 0)), failures)
    present = np.flatnonzero(~null_mask(values))
    if len(present):
        numbers, rows = sort_numbers(values)[present], given.rows[present]
        begins = np.flatnonzero(np.diff(rows, prepend=-1))
        best = (np.maximum if largest else np.minimum).reduceat(numbers, begins)
        hits = np.flatnonzero(numbers == np.repeat(best, np.diff(begins, append=len(rows))))[::-1]
        places[rows[hits]] = present[hits]  # NumPy keeps the last of repeated assignments, which is here the first item
    return Evaluated(values.take(index_array(places, mask=places < 0)))


@scalar(
    "ARRAY_MAX",
    "The largest item of an array, nulls left out.",
    "(items ARRAY<T>) -> T",
    style="arrow",
    category=CATEGORY,
)
def array_max(items: Any) -> Evaluated:
    return _extreme(items, True)


@scalar(
    "ARRAY_MIN",
    "The smallest item of an array, nulls left out.",
    "(items ARRAY<T>) -> T",
    style="arrow",
    category=CATEGORY,
)
def array_min(items: Any) -> Evaluated:
    return _extreme(items, False)


# --- order of items with parts -------------------------------------------------------------

_Choice = Callable[..., list[int]]
"""Chooses items of one array; gives their positions, counted from 0."""


def _compared(lists: Any, choose: _Choice, *settings: list[Any]) -> tuple[Items, Failures | None]:
    """The chosen positions in each row, found by comparing Python values.  Arrays can be compared; maps and structs fail the
    row.
    """
    chosen: list[list[int] | None] = []
    failed: dict[int, str] = {}
    for row, (values, *given) in enumerate(zip(_plain(lists), *settings)):
        try:
            chosen.append(None if values is None else choose(values, *given))
        except TypeError as error:
            failed[row] = f"TypeError: {error}"
            chosen.append(None)
    return items_of(pa.array(chosen, pa.list_(pa.int64()))), failures_of(failed)


def _plain(lists: Any) -> list[Any]:
    values: list[Any] = lists.cast(storage_type(lists.type)).to_pylist(maps_as_pydicts="lossy")
    return values


def _present(values: list[Any]) -> list[int]:
    return [place for place, value in enumerate(values) if value is not None]


def _sorted(values: list[Any], downwards: bool) -> list[int]:
    places = sorted(_present(values), key=values.__getitem__, reverse=downwards)
    return places + [place for place, value in enumerate(values) if value is None]


def _largest(values: list[Any]) -> list[int]:
    places = _present(values)
    return [max(places, key=values.__getitem__)] if places else []


def _smallest(values: list[Any]) -> list[int]:
    places = _present(values)
    return [min(places, key=values.__getitem__)] if places else []


# --- text ----------------------------------------------------------------------------------

_JOINED = ("BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING")


@scalar(
    "ARRAY_JOIN",
    "The items of an array as text, with a delimiter (default: a comma) in between.",
    *(f"(items ARRAY<{type_}>{delimiter}) -> STRING" for type_ in _JOINED for delimiter in ("", ", delimiter STRING")),
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def array_join(items: Any, delimiter: Any = None) -> Any:
    """A null delimiter joins without a delimiter.  A null item is written as ``null``."""
    length = length_of((items, delimiter))
    given = items_of(broadcast(items, length))
    texts = lists_of(_texts(given.columns[0]).fill_null("null"), given.rows, given.missing)
    if delimiter is None:
        delimiter = pa.scalar(",")
    elif isinstance(delimiter, pa.Scalar):
        delimiter = delimiter if delimiter.is_valid else pa.scalar("")
    else:
        delimiter = flat(delimiter).fill_null("")
    joined = np.bincount(given.rows, minlength=length)
    delimiters: Any = broadcast(delimiter, length)
    between = pc.binary_length(delimiters).to_numpy(zero_copy_only=False) * np.maximum(joined - 1, 0)
    check_column(texts.nbytes + int(between.sum()))
    return flat(pc.binary_join(texts, delimiter))


def _texts(values: Any) -> Any:
    """The items as Java writes them."""
    if pa.types.is_floating(values.type):
        return double_column(values)
    if pa.types.is_decimal(values.type):
        return flat(decimal_column(values))
    return values.cast(pa.string())
