"""The items of ARRAY and MAP columns as flat columns: finds equal items, sorts them, and makes new ARRAY and MAP columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...storage.values.arrow_calls import index_array, list_array, map_array
from ...storage.values.canonical import canonical, canonical_doubles
from .arrow import Bools, Int64s, flat, floats, int64s, null_mask
from .kinds import Column


@dataclass(frozen=True, slots=True)
class Items:
    """The items or entries of all rows, row by row.

    Attributes:
        missing: bool[n], true for rows that are null.
        lengths: int64[n], the number of items in each row (0 for null).
        rows: int64[m], the row of each item.
        columns: arrays of length m: the items, or the keys and the values.
    """

    missing: Bools
    lengths: Int64s
    rows: Int64s
    columns: tuple[Column, ...]

    @property
    def begins(self) -> Int64s:
        """int64[n]: the index of each row's first item."""
        return np.cumsum(self.lengths) - self.lengths


def items_of(lists: Any) -> Items:
    """The items of an ARRAY column."""
    return _laid_out(lists, (lists.values,))


def all_entries_of(maps: Any) -> Items:
    """The entries of a MAP column, including repeated keys."""
    # `keys` and `items` of Arrow cannot be used here: they ignore the offset of the entries.
    return _laid_out(maps, (maps.values.field(0), maps.values.field(1)))


def entries_of(maps: Column) -> Items:
    """The entries of a MAP column without repeated keys: a key has the place of its first entry and the value of its last
    one.
    """
    given = all_entries_of(maps)
    return distinct_keys(given.missing, given.rows, *given.columns)


def _laid_out(array: Any, columns: tuple[Column, ...]) -> Items:
    missing = null_mask(array)
    offsets = np.asarray(array.offsets.to_numpy(), np.int64) if len(array) else np.zeros(1, np.int64)
    sizes = np.diff(offsets)
    lengths = np.where(missing, 0, sizes)
    rows = np.repeat(np.arange(len(array), dtype=np.int64), lengths)
    if missing.any() and sizes[missing].any():
        index = index_array(positions(offsets[:-1], lengths))
        return Items(missing, lengths, rows, tuple(column.take(index) for column in columns))
    return Items(missing, lengths, rows, tuple(column.slice(offsets[0], len(rows)) for column in columns))


def joined(left: Items, right: Items) -> Items:
    """For each row, the items of the first column, then those of the second.  A row is null if both are."""
    rows = np.concatenate((left.rows, right.rows))
    order = np.argsort(rows, kind="stable")
    index = index_array(order)
    columns = (pa.concat_arrays(pair).take(index) for pair in zip(left.columns, right.columns, strict=True))
    return Items(left.missing & right.missing, left.lengths + right.lengths, rows[order], tuple(columns))


def positions(begins: Int64s, lengths: Int64s) -> Int64s:
    """For each ``begins``, as many ascending numbers from it as ``lengths`` says, one after the other."""
    shifts: Int64s = begins - (np.cumsum(lengths) - lengths)
    numbers: Int64s = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(shifts, lengths)
    return numbers


# --- new columns ---------------------------------------------------------------------------


def lists_of(values: Column, rows: Int64s, missing: Bools) -> Column:
    """Make an ARRAY column from values and their rows (ascending).  Rows where ``missing`` is true are null."""
    columns, rows = _present(missing, rows, values)
    mask = pa.array(missing) if missing.any() else None
    return list_array(_offsets(rows, len(missing)), columns[0], mask=mask)


def maps_of(entries: Items, missing: Bools) -> Column:
    """Make a MAP column from entries.  Rows where ``missing`` is true are null."""
    (keys, values), rows = _present(missing, entries.rows, *entries.columns)
    mask = pa.array(missing) if missing.any() else None
    return map_array(_offsets(rows, len(missing)), keys, values, mask=mask)


def _present(missing: Bools, rows: Int64s, *columns: Column) -> tuple[tuple[Column, ...], Int64s]:
    kept = ~missing[rows]
    if kept.all():
        return tuple(map(flat, columns)), rows
    chosen = pa.array(kept)
    return tuple(flat(column).filter(chosen) for column in columns), rows[kept]


def _offsets(rows: Int64s, length: int) -> Column:
    if len(rows) >= 2**31:
        raise ValueError(f"{len(rows)} items are more than one column holds")
    return index_array(np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=length)))).astype(np.int32))


def distinct_keys(missing: Bools, rows: Int64s, keys: Column, values: Column) -> Items:
    """Drop repeated keys within a row: the first entry keeps its place and gets the value of the last one."""
    groups = groups_of(rows, identities(keys))
    if len(groups.firsts) < len(rows):
        order = np.argsort(groups.firsts)
        firsts = groups.firsts[order]
        rows, keys, values = rows[firsts], keys.take(index_array(firsts)), values.take(index_array(groups.lasts[order]))
    return Items(missing, np.bincount(rows, minlength=len(missing)), rows, (keys, values))


# --- order ---------------------------------------------------------------------------------


def within_rows(rows: Int64s, numbers: Int64s) -> Int64s:
    """The order of items by row, then by number.  It is stable."""
    if not len(rows):
        return np.zeros(0, np.int64)
    least = int(numbers.min())
    span = int(numbers.max()) - least + 1
    if span * (int(rows.max()) + 1) >= 2**63:
        return np.lexsort((numbers, rows)).astype(np.int64, copy=False)
    # One number combines both.  A stable sort of it is many times faster, since rows are mostly in order already.
    return np.argsort(rows * span + (numbers - least), kind="stable").astype(np.int64, copy=False)


def sort_numbers(values: Column) -> Int64s:
    """A number for each value to sort it by.  The numbers of nulls have no meaning.

    Texts and bytes are ordered by their bytes.  NaN comes after all other numbers, and 0.0 equals -0.0.
    """
    type_ = values.type
    if type_ == pa.float64():
        bits: Int64s = canonical_doubles(floats(values)).view(np.int64)
        return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
    if pa.types.is_boolean(type_) or pa.types.is_integer(type_) or pa.types.is_temporal(type_):
        return int64s(values)
    encoded = values.dictionary_encode()
    ranks = np.empty(max(len(encoded.dictionary), 1), np.int64)
    ranks[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(encoded.dictionary))
    return ranks[int64s(encoded.indices)]


# --- equality ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemGroups:
    """Groups of equal items in one row.

    Attributes:
        numbers: int64[m], the group of each item.
        firsts: int64[g], the index of the first item of each group.
        lasts: int64[g], the index of the last item of each group.
    """

    numbers: Int64s
    firsts: Int64s
    lasts: Int64s


def groups_of(rows: Int64s, ids: Int64s) -> ItemGroups:
    """Group the items that have the same row and the same identity."""
    order = within_rows(rows, ids)
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(rows[order]) != 0) | (np.diff(ids[order]) != 0)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(begins) - 1
    return ItemGroups(numbers, order[begins], order[np.append(begins[1:], True)[: len(order)]])


def identities(values: Column) -> Int64s:
    """A number for each value.  Two numbers are equal if and only if the values are.

    Null equals null.  Nested values are compared part by part; maps are equal in whatever order their entries are.  NaN
    equals NaN, and 0.0 equals -0.0.
    """
    type_ = values.type
    if pa.types.is_list(type_):
        return _identities_of_lists(values)
    if pa.types.is_map(type_):
        return _identities_of_maps(values)
    if pa.types.is_struct(type_):
        return _identities_of_structs(values)
    if pa.types.is_boolean(type_) or type_ in (pa.int32(), pa.date32(), pa.time32("ms")):
        return np.where(null_mask(values), 2**31, int64s(values)) if values.null_count else int64s(values)
    encoded = canonical(values).dictionary_encode()
    return np.where(null_mask(encoded.indices), len(encoded.dictionary), int64s(encoded.indices))


def _paired(left: Int64s, right: Int64s) -> Int64s:
    """Identities of pairs, from the identities of their parts."""
    return groups_of(left, right).numbers


def _identities_of_lists(values: Column) -> Int64s:
    items = items_of(values)
    return _folded(items, identities(items.columns[0]))


def _identities_of_maps(values: Column) -> Int64s:
    entries = entries_of(values)
    ids = _paired(*map(identities, entries.columns))
    return _folded(entries, ids[within_rows(entries.rows, ids)])


def _folded(items: Items, ids: Int64s) -> Int64s:
    """Identities of rows: the identity of the first item, paired with that of the second one, and so on."""
    result = np.where(items.missing, -1, 0)
    begins, step = items.begins, 0
    going = np.flatnonzero(items.lengths)
    while len(going):
        pairs = _paired(result[going], ids[begins[going] + step])
        result[going] = pairs + int(result.max()) + 1  # unlike those of shorter rows
        step += 1
        going = going[items.lengths[going] > step]
    return result


def _identities_of_structs(values: Column) -> Int64s:
    result = null_mask(values).astype(np.int64)
    for place in range(values.type.num_fields):
        result = _paired(result, identities(pc.struct_field(values, [place])))
    return result
