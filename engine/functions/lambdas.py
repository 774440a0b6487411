"""Functions that take a lambda: TRANSFORM, FILTER, REDUCE.

The elements of all rows are laid out flat, the lambda is evaluated once over all of them, and the results are cut into
rows again.  REDUCE goes by position: one evaluation for all first elements, one for all second ones, and so on.  An
element that fails makes its whole row fail.  Maps are walked in the order in which ksqlDB walks them (see `java_text`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...runtime.kernel import Evaluated, Failures, LambdaKernel
from .columns import Bools, Int64s, flat, length_of, null_mask, spread
from .java_text import in_hash_order
from .registry import scalar

CATEGORY = "LAMBDA"


@dataclass(frozen=True, slots=True)
class _Elements:
    """The elements of a list or map column, row after row.

    Attributes:
        missing: bool[n], rows that are null.
        lengths: int64[n], elements of each row (0 for null).
        rows: int64[m], the row of each element.
        columns: the elements, or the keys and the values; arrays of length m.
    """

    missing: Bools
    lengths: Int64s
    rows: Int64s
    columns: tuple[Any, ...]


def _elements(collections: Any) -> _Elements:
    missing = null_mask(collections)
    is_map = pa.types.is_map(collections.type)
    if len(collections) == 0:
        empty = np.zeros(0, np.int64)
        types = (collections.type.key_type, collections.type.item_type) if is_map else (collections.type.value_type,)
        return _Elements(missing, empty, empty, tuple(pa.array([], type_) for type_ in types))
    offsets = np.asarray(collections.offsets.to_numpy(), np.int64)
    lengths = np.where(missing, 0, np.diff(offsets))
    rows = np.repeat(np.arange(len(collections)), lengths)
    begins = np.cumsum(lengths) - lengths
    places = np.arange(len(rows)) - begins[rows] + offsets[:-1][rows]
    if not is_map:
        return _Elements(missing, lengths, rows, (collections.values.take(pa.array(places)),))
    if len(places) and int(lengths.max()) > 1:
        places = _in_hash_order(collections.keys, places, begins, lengths)
    index = pa.array(places)
    return _Elements(missing, lengths, rows, (collections.keys.take(index), collections.items.take(index)))


def _in_hash_order(keys: Any, places: Int64s, begins: Int64s, lengths: Int64s) -> Int64s:
    texts = keys.take(pa.array(places)).to_pylist()
    result = places.copy()
    for begin, length in zip(begins.tolist(), lengths.tolist()):
        if length > 1:
            place_of = dict(zip(texts[begin : begin + length], places[begin : begin + length].tolist()))
            if len(place_of) == length:
                result[begin : begin + length] = [place_of[key] for key in in_hash_order(place_of)]
    return result


def _failed_rows(rows: Int64s, *results: Evaluated) -> dict[int, str]:
    """The first reason of each outer row that has a failed element."""
    reasons: dict[int, str] = {}
    for result in results:
        if result.failures is not None:
            for element, reason in zip(result.failures.rows.tolist(), result.failures.reasons):
                reasons.setdefault(int(rows[element]), reason)
    return reasons


def _failures(reasons: dict[int, str]) -> Failures | None:
    if not reasons:
        return None
    rows = sorted(reasons)
    return Failures(np.asarray(rows, np.int64), tuple(reasons[row] for row in rows))


def _mask(missing: Bools, reasons: dict[int, str]) -> Any:
    mask = missing.copy()
    mask[list(reasons)] = True
    return mask


def _lists(values: Any, rows: Int64s, missing: Bools) -> Any:
    """A list array of the values that belong to each row (ascending); the rows ``missing`` are null."""
    values = flat(values)
    kept = ~missing[rows]
    if not kept.all():
        values, rows = values.filter(pa.array(kept)), rows[kept]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(missing))))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(missing))


def _maps(keys: Any, values: Any, elements: _Elements, reasons: dict[int, str]) -> Any:
    """A map array of the entries of each row.

    Like ksqlDB, which builds these maps with a collector that refuses them, null keys, null values and equal keys in one
    row make the row fail: it is added to ``reasons``.
    """
    keys, values = flat(keys), flat(values)
    for row in elements.rows[null_mask(keys)].tolist():
        reasons.setdefault(row, "a null key cannot go into the new map")
    for row in elements.rows[null_mask(values)].tolist():
        reasons.setdefault(row, "a null value cannot go into the new map")
    seen: set[tuple[int, Any]] = set()
    for entry in zip(elements.rows.tolist(), keys.to_pylist()):
        if entry in seen:
            reasons.setdefault(entry[0], f"the key {entry[1]} cannot go into the new map twice")
        seen.add(entry)
    missing = _mask(elements.missing, reasons)
    places = np.flatnonzero(~missing[elements.rows])
    lengths = np.bincount(elements.rows[places], minlength=len(missing))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    gaps = pa.array(offsets, mask=np.append(missing, False)) if missing.any() else pa.array(offsets)
    index = pa.array(places)
    return pa.MapArray.from_arrays(gaps, keys.take(index), values.take(index))


# --- TRANSFORM -----------------------------------------------------------------------------

_TRANSFORM = "The collection with a lambda applied to each item, or one to each key and another to each value."


@scalar("TRANSFORM", _TRANSFORM, "(items ARRAY<T>, item (T) => U) -> ARRAY<U>", style="arrow", category=CATEGORY)
def transform_array(items: Any, item: LambdaKernel) -> Evaluated:
    elements = _elements(items)
    result = item(elements.columns, elements.rows)
    reasons = _failed_rows(elements.rows, result)
    return Evaluated(_lists(result.values, elements.rows, _mask(elements.missing, reasons)), _failures(reasons))


@scalar(
    "TRANSFORM",
    _TRANSFORM,
    "(map MAP<K, V>, key (K, V) => L, value (K, V) => W) -> MAP<L, W>",
    style="arrow",
    category=CATEGORY,
)
def transform_map(map_: Any, key: LambdaKernel, value: LambdaKernel) -> Evaluated:
    elements = _elements(map_)
    keys = key(elements.columns, elements.rows)
    values = value(elements.columns, elements.rows)
    reasons = _failed_rows(elements.rows, keys, values)
    maps = _maps(keys.values, values.values, elements, reasons)
    return Evaluated(maps, _failures(reasons))


# --- FILTER --------------------------------------------------------------------------------

_FILTER = "The items, or entries, for which a lambda is true."


def _kept(elements: _Elements, result: Evaluated) -> tuple[Bools, dict[int, str]]:
    reasons = _failed_rows(elements.rows, result)
    values = flat(result.values)
    for row in elements.rows[null_mask(values)].tolist():
        reasons.setdefault(row, "the condition of a FILTER is null")
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), np.bool_), reasons


@scalar("FILTER", _FILTER, "(items ARRAY<T>, condition (T) => BOOLEAN) -> ARRAY<T>", style="arrow", category=CATEGORY)
def filter_array(items: Any, condition: LambdaKernel) -> Evaluated:
    elements = _elements(items)
    keep, reasons = _kept(elements, condition(elements.columns, elements.rows))
    values = elements.columns[0].filter(pa.array(keep))
    return Evaluated(_lists(values, elements.rows[keep], _mask(elements.missing, reasons)), _failures(reasons))


@scalar("FILTER", _FILTER, "(map MAP<K, V>, condition (K, V) => BOOLEAN) -> MAP<K, V>", style="arrow", category=CATEGORY)
def filter_map(map_: Any, condition: LambdaKernel) -> Evaluated:
    elements = _elements(map_)
    keep, reasons = _kept(elements, condition(elements.columns, elements.rows))
    kept = pa.array(keep)
    keys, values = (column.filter(kept) for column in elements.columns)
    left = _Elements(elements.missing, elements.lengths, elements.rows[keep], (keys, values))
    maps = _maps(keys, values, left, reasons)
    return Evaluated(maps, _failures(reasons))


# --- REDUCE --------------------------------------------------------------------------------

_REDUCE = "A state, begun with a value and changed by a lambda for each item or entry in turn."


@scalar("REDUCE", _REDUCE, "(items ARRAY<T>, state S, next (S, T) => S) -> S", style="arrow", nulls=True, category=CATEGORY)
@scalar(
    "REDUCE",
    _REDUCE,
    "(map MAP<K, V>, state S, next (S, K, V) => S) -> S",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def reduce(collection: Any, state: Any, next_: LambdaKernel) -> Evaluated:
    """A null state at the start gives null; a null collection leaves the state as it is."""
    length = length_of((collection, state))
    elements = _elements(spread(collection, length))
    states = spread(state, length)
    lengths = np.where(null_mask(states), 0, elements.lengths)
    begins = np.cumsum(elements.lengths) - elements.lengths
    active = np.arange(length, dtype=np.int64)
    finished_rows: list[Int64s] = []
    finished_states: list[Any] = []
    reasons: dict[int, str] = {}
    step = 0
    while len(active):
        going = lengths[active] > step
        if reasons:
            going &= np.fromiter((row not in reasons for row in active.tolist()), np.bool_, len(active))
        if not going.all():
            finished_rows.append(active[~going])
            finished_states.append(states.filter(pa.array(~going)))
            active, states = active[going], states.filter(pa.array(going))
            if not len(active):
                break
        index = pa.array(begins[active] + step)
        result = next_((states, *(column.take(index) for column in elements.columns)), active)
        reasons |= _failed_rows(active, result)
        states = flat(result.values)
        step += 1
    return Evaluated(_in_row_order(finished_rows, finished_states, states.type, length, reasons), _failures(reasons))


def _in_row_order(rows: Sequence[Int64s], states: Sequence[Any], type_: Any, length: int, reasons: dict[int, str]) -> Any:
    if length == 0:
        return pa.array([], type_)
    order = np.empty(length, np.int64)
    order[np.concatenate(rows)] = np.arange(length)
    joined = pa.concat_arrays([flat(s).cast(type_) for s in states])
    index = pa.array(order, mask=np.isin(np.arange(length), list(reasons)) if reasons else None)
    return joined.take(index)
