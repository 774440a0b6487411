"""Functions over maps.  If the order of entries matters, it is ksqlDB's (see `hash_order`)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ...runtime.kernel import Evaluated, failures_at
from ...storage.values.arrow_calls import index_array
from ..columns.arrow import broadcast, length_of, null_mask
from ..columns.items import distinct_keys, entries_of, items_of, joined, lists_of, maps_of, sort_numbers, within_rows
from ..columns.kinds import Column, Datum
from ..java.map_order import in_hash_order
from .registry import scalar

CATEGORY = "MAP"


@scalar(
    "AS_MAP",
    "A map of the keys in one array and the values in another; a missing value is null, the last of equal keys counts.",
    "(keys ARRAY<STRING>, values ARRAY<T>) -> MAP<STRING, T>",
    style="arrow",
    category=CATEGORY,
)
def as_map(keys: Datum, values: Datum) -> Evaluated:
    """A null key fails its row."""
    length = length_of((keys, values))
    of_keys, of_values = items_of(broadcast(keys, length)), items_of(broadcast(values, length))
    missing = of_keys.missing | of_values.missing
    nth = np.arange(len(of_keys.rows)) - of_keys.begins[of_keys.rows]
    absent = nth >= of_values.lengths[of_keys.rows]
    index = index_array(of_values.begins[of_keys.rows] + nth, mask=absent if absent.any() else None)
    failed = np.zeros(length, np.bool_)
    failed[of_keys.rows[null_mask(of_keys.columns[0])]] = True
    made = distinct_keys(missing, of_keys.rows, of_keys.columns[0], of_values.columns[0].take(index))
    failures = failures_at(np.flatnonzero(failed & ~missing), "a map cannot have a null key")
    return Evaluated(maps_of(made, missing | failed), failures)


_ENTRY_TYPES = ("INT", "BIGINT", "DOUBLE", "BOOLEAN", "STRING")


@scalar(
    "ENTRIES",
    "The entries of a map as structs of a key K and a value V, sorted by key if asked.",
    *(f"(map MAP<STRING, {type_}>, sorted BOOLEAN) -> ARRAY<STRUCT<K STRING, V {type_}>>" for type_ in _ENTRY_TYPES),
    style="arrow",
    category=CATEGORY,
)
def entries(map_: Datum, sort: Datum) -> Column:
    length = length_of((map_, sort))
    sort = broadcast(sort, length)
    made = in_hash_order(entries_of(broadcast(map_, length)))
    by_key = np.asarray(sort.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)[made.rows]
    columns = made.columns
    if by_key.any():
        index = index_array(within_rows(made.rows, np.where(by_key, sort_numbers(columns[0]), 0)))
        columns = tuple(column.take(index) for column in columns)
    return lists_of(pa.StructArray.from_arrays(columns, ["K", "V"]), made.rows, made.missing | null_mask(sort))


@scalar(
    "MAP_KEYS",
    "The keys of a map, in no particular order.",
    "(map MAP<K, V>) -> ARRAY<K>",
    style="arrow",
    category=CATEGORY,
)
def map_keys(map_: Column) -> Column:
    made = in_hash_order(entries_of(map_))
    return lists_of(made.columns[0], made.rows, made.missing)


@scalar(
    "MAP_VALUES",
    "The values of a map, in no particular order.",
    "(map MAP<K, V>) -> ARRAY<V>",
    style="arrow",
    category=CATEGORY,
)
def map_values(map_: Column) -> Column:
    made = in_hash_order(entries_of(map_))
    return lists_of(made.columns[1], made.rows, made.missing)


@scalar(
    "MAP_UNION",
    "The entries of two maps, those of the second where both have a key; if one map is null, the other.",
    "(map MAP<K, V>, other MAP<K, V>) -> MAP<K, V>",
    style="arrow",
    nulls=True,
    category=CATEGORY,
)
def map_union(map_: Datum, other: Datum) -> Column:
    length = length_of((map_, other))
    both = joined(entries_of(broadcast(map_, length)), entries_of(broadcast(other, length)))
    made = distinct_keys(both.missing, both.rows, *both.columns)
    return maps_of(made, made.missing)
