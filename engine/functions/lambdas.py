"""Functions with a lambda: TRANSFORM, FILTER, REDUCE.

The elements of all rows become one flat column.  The lambda is evaluated once over it, and the results are split into rows
again.  REDUCE evaluates the lambda by position: once for all first elements, once for all second ones, and so on.  An
element that fails fails its row.  Maps are traversed in ksqlDB's order (see `hash_order`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...runtime.kernel import Evaluated, LambdaKernel, failures_of
from ...storage.values.arrow_calls import index_array
from ..columns.arrow import Bools, Int64s, broadcast, flat, length_of, null_mask
from ..columns.items import Items, entries_of, groups_of, identities, items_of, lists_of, maps_of
from ..java.map_order import in_hash_order
from .registry import scalar

CATEGORY = "LAMBDA"


def _elements(collections: Any) -> Items:
    """The items of arrays, or the entries of maps in ksqlDB's order."""
    return in_hash_order(entries_of(collections)) if pa.types.is_map(collections.type) else items_of(collections)


def _failed_rows(rows: Int64s, *results: Evaluated) -> dict[int, str]:
    """For each outer row with a failed element, the first reason."""
    reasons: dict[int, str] = {}
    for result in results:
        if result.failures is not None:
            failed, first = np.unique(rows[result.failures.rows], return_index=True)
            found = map(result.failures.reasons.__getitem__, first.tolist())
            reasons = dict(zip(failed.tolist(), found, strict=True)) | reasons
    return reasons


def _mask(missing: Bools, reasons: dict[int, str]) -> Any:
    mask = missing.copy()
    mask[list(reasons)] = True
    return mask


def _refuse(rows: Int64s, reason: str, reasons: dict[int, str]) -> None:
    for row in np.unique(rows).tolist():
        reasons.setdefault(row, reason)


def _maps(elements: Items, reasons: dict[int, str]) -> Any:
    """Make a map column of entries.

    As in ksqlDB, null keys, null values and equal keys fail their row; ``reasons`` gets the reason.  (The Java collector
    that ksqlDB uses refuses them.)
    """
    keys, values = map(flat, elements.columns)
    _refuse(elements.rows[null_mask(keys)], "a null key cannot go into the new map", reasons)
    _refuse(elements.rows[null_mask(values)], "a null value cannot go into the new map", reasons)
    groups = groups_of(elements.rows, identities(keys))
    if len(groups.firsts) < len(elements.rows):
        again = np.ones(len(elements.rows), np.bool_)
        again[groups.firsts] = False
        places = np.flatnonzero(again)
        for row, key in zip(elements.rows[places].tolist(), keys.take(index_array(places)).to_pylist()):
            reasons.setdefault(row, f"the key {key} cannot go into the new map twice")
    return maps_of(elements, _mask(elements.missing, reasons))


# --- TRANSFORM -----------------------------------------------------------------------------

_TRANSFORM = "The collection with a lambda applied to each item, or one to each key and another to each value."


@scalar("TRANSFORM", _TRANSFORM, "(items ARRAY<T>, item (T) => U) -> ARRAY<U>", style="arrow", category=CATEGORY)
def transform_array(items: Any, item: LambdaKernel) -> Evaluated:
    elements = _elements(items)
    result = item(elements.columns, elements.rows)
    reasons = _failed_rows(elements.rows, result)
    return Evaluated(lists_of(result.values, elements.rows, _mask(elements.missing, reasons)), failures_of(reasons))


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
    maps = _maps(replace(elements, columns=(keys.values, values.values)), reasons)
    return Evaluated(maps, failures_of(reasons))


# --- FILTER --------------------------------------------------------------------------------

_FILTER = "The items, or entries, for which a lambda is true (not false, and not NULL)."


def _kept(elements: Items, result: Evaluated) -> tuple[Bools, dict[int, str]]:
    reasons = _failed_rows(elements.rows, result)
    return np.asarray(flat(result.values).fill_null(False).to_numpy(zero_copy_only=False), np.bool_), reasons


@scalar("FILTER", _FILTER, "(items ARRAY<T>, condition (T) => BOOLEAN) -> ARRAY<T>", style="arrow", category=CATEGORY)
def filter_array(items: Any, condition: LambdaKernel) -> Evaluated:
    elements = _elements(items)
    keep, reasons = _kept(elements, condition(elements.columns, elements.rows))
    values = elements.columns[0].filter(pa.array(keep))
    return Evaluated(lists_of(values, elements.rows[keep], _mask(elements.missing, reasons)), failures_of(reasons))


@scalar("FILTER", _FILTER, "(map MAP<K, V>, condition (K, V) => BOOLEAN) -> MAP<K, V>", style="arrow", category=CATEGORY)
def filter_map(map_: Any, condition: LambdaKernel) -> Evaluated:
    elements = _elements(map_)
    keep, reasons = _kept(elements, condition(elements.columns, elements.rows))
    kept = pa.array(keep)
    left = replace(elements, rows=elements.rows[keep], columns=tuple(column.filter(kept) for column in elements.columns))
    return Evaluated(maps_of(left, _mask(elements.missing, reasons)), failures_of(reasons))


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
    """A null initial state gives null.  A null collection gives the initial state."""
    length = length_of((collection, state))
    elements = _elements(broadcast(collection, length))
    states = broadcast(state, length)
    lengths = np.where(null_mask(states), 0, elements.lengths)
    begins = elements.begins
    active = np.arange(length, dtype=np.int64)
    finished_rows: list[Int64s] = []
    finished_states: list[Any] = []
    reasons: dict[int, str] = {}
    step = 0
    while len(active):
        going = lengths[active] > step
        if reasons:
            going &= ~_mask(np.zeros(length, np.bool_), reasons)[active]
        if not going.all():
            finished_rows.append(active[~going])
            finished_states.append(states.filter(pa.array(~going)))
            active, states = active[going], states.filter(pa.array(going))
            if not len(active):
                break
        index = index_array(begins[active] + step)
        result = next_((states, *(column.take(index) for column in elements.columns)), active)
        reasons |= _failed_rows(active, result)
        states = flat(result.values)
        step += 1
    return Evaluated(_in_row_order(finished_rows, finished_states, states.type, length, reasons), failures_of(reasons))


def _in_row_order(
    rows: Sequence[Int64s], states: Sequence[Any], type_: pa.DataType, length: int, reasons: dict[int, str]
) -> Any:
    if length == 0:
        return pa.array([], type_)
    order = np.empty(length, np.int64)
    order[np.concatenate(rows)] = np.arange(length)
    joined = pa.concat_arrays([flat(s).cast(type_) for s in states])
    index = index_array(order, mask=_mask(np.zeros(length, np.bool_), reasons) if reasons else None)
    return joined.take(index)
