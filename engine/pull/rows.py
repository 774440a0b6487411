"""Rows as columns, with equality and order for all types.

All clauses use the same equality and order: GROUP BY, DISTINCT, joins, set operations, ORDER BY, PARTITION BY.

* NULLs are equal to each other.  (Joins leave them out before.)
* NaN equals NaN and is above all other numbers.  -0.0 equals 0.0.
* Texts are ordered by code point.
* MAPs are equal in whatever order their entries are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import StatementError
from ...limits import QUERY_BYTES_MAX
from ...runtime.batch import Bools, Int64s
from ...storage.values.canonical import canonical


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns by internal name (see `analysis.scope`).  All have the same length."""

    columns: Mapping[str, Any]
    length: int

    def take(self, rows: Int64s, names: Sequence[str] | None = None) -> Rows:
        """Select rows by number; -1 gives a row of NULLs.

        Args:
            names: the columns to select; None: all.
        """
        absent = rows < 0
        index = pa.array(rows, mask=absent) if absent.any() else pa.array(rows)
        wanted = self.columns if names is None else {n: self.columns[n] for n in names if n in self.columns}
        check_size(sum(c.nbytes for c in wanted.values()) * len(rows) // max(self.length, 1))
        return Rows({name: column.take(index) for name, column in wanted.items()}, len(rows))

    def filter(self, keep: Bools) -> Rows:
        if keep.all():
            return self
        mask = pa.array(keep)
        return Rows({n: c.filter(mask) for n, c in self.columns.items()}, int(np.count_nonzero(keep)))

    def slice(self, start: int, stop: int) -> Rows:
        length = max(min(stop, self.length) - start, 0)
        return Rows({n: c.slice(start, length) for n, c in self.columns.items()}, length)

    def with_columns(self, columns: Mapping[str, Any]) -> Rows:
        return Rows({**self.columns, **columns}, self.length)


def check_size(size: int) -> None:
    """Check how many bytes a step needs.

    Raises:
        StatementError: it needs more than `limits.QUERY_BYTES_MAX`.
    """
    if size > QUERY_BYTES_MAX:
        raise StatementError(
            f"the query needs more than {QUERY_BYTES_MAX:,} bytes of memory",
            suggestion="Filter earlier, give joins a condition with =, or add a LIMIT.",
        )


def whole(array: Any) -> Any:
    """An array as one contiguous array; it may be chunked."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    joined = array.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


# --- equality ------------------------------------------------------------------------------


def _is_nested(type_: pa.DataType) -> bool:
    return bool(pa.types.is_nested(type_))


def _frozen(value: Any) -> Any:
    """A nested value as a hashable object, with the same equality."""
    if isinstance(value, dict):
        return tuple((k, _frozen(v)) for k, v in value.items())
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, float):
        return "NaN" if value != value else value + 0.0
    return value


def _values(array: Any) -> list[Any]:
    """Nested values as hashable objects.  The entries of maps have no order."""
    if pa.types.is_map(array.type):
        keys, items = (_values(part) for part in (array.keys, array.items))
        ends = array.offsets.to_pylist()
        first = ends[0] if ends else 0
        valid = array.is_valid().to_pylist()
        return [
            frozenset(zip(keys[a - first : b - first], items[a - first : b - first], strict=True)) if ok else None
            for a, b, ok in zip(ends, ends[1:], valid, strict=False)
        ]
    return [_frozen(value) for value in array.to_pylist(maps_as_pydicts=None)]


def _codes(array: Any) -> Int64s:
    """int64[n]: numbers from 0 without gaps.  Equal values have equal numbers, and so do NULLs."""
    array = whole(array)
    if _is_nested(array.type):
        seen: dict[Any, int] = {}
        return np.fromiter((seen.setdefault(v, len(seen)) for v in _values(array)), np.int64, len(array))
    indices = pc.dictionary_encode(canonical(array), null_encoding="encode").indices
    return np.asarray(indices.to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)


def row_codes(columns: Sequence[Any], length: int) -> tuple[Int64s, Int64s]:
    """Find the rows that are equal in all columns.

    Returns:
        int64[n], the number of each row's group, and the first row of each group.  Groups are numbered in the order in which
        they first appear.
    """
    if length == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    combined = np.zeros(length, np.int64)
    count = 1
    for column in columns:
        codes = _codes(column)
        size = int(codes.max()) + 1
        if count * size >= 1 << 62:
            _, combined = np.unique(combined, return_inverse=True)
            count = int(combined.max()) + 1
        combined = combined * size + codes
        count *= size
    _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return number[inverse.reshape(-1)], first[order].astype(np.int64)


def is_null(array: Any) -> Bools:
    return np.asarray(whole(array).is_null().to_numpy(zero_copy_only=False), np.bool_)


# --- order ---------------------------------------------------------------------------------


def ranks(array: Any) -> Int64s:
    """int64[n]: the rank of each value among the distinct ones, ascending; -1 for NULL."""
    array = canonical(whole(array))
    length = len(array)
    found = np.full(length, -1, np.int64)
    if not length:
        return found
    order = pc.sort_indices(array)
    ordered = array.take(order)
    valid = length - array.null_count
    ordered, rows = ordered.slice(0, valid), order.to_numpy()[:valid]
    if not valid:
        return found
    encoded = pc.dictionary_encode(ordered).indices.to_numpy(zero_copy_only=False)
    found[rows] = encoded  # the codes ascend, because the values do; NaN is after the numbers
    return found


@dataclass(frozen=True, slots=True)
class SortKey:
    """A key of ORDER BY.  NULLs come last in both directions, unless the query says NULLS FIRST."""

    values: Any
    descending: bool = False
    nulls_first: bool = False

    def numbers(self) -> Int64s:
        """int64[n], which ascend in the order of the key."""
        places = ranks(self.values)
        nulls = places < 0
        if self.descending:
            places = -places
        bound = len(places) + 1
        places[nulls] = -bound if self.nulls_first else bound
        return places


def sorted_rows(keys: Sequence[SortKey], length: int) -> Int64s:
    """Row numbers in order; the sort is stable."""
    if not keys:
        return np.arange(length, dtype=np.int64)
    return np.lexsort([key.numbers() for key in reversed(keys)]).astype(np.int64, copy=False)
