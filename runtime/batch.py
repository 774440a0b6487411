"""Batches: rows in processing order, as columns.

A batch stands for records that record-at-a-time processing would handle one after the other.  ``positions`` holds that
order: the number of the input record that caused each row.  Positions never decrease within a batch, and can be compared
between all batches of a step, so a join knows which side's row came first.  Rows that one record caused have the same
position; their order in the batch is their order.

A batch of a *stream* holds events.  A row whose record had a null value is a tombstone row (all value columns are null).  A
batch of a *table* holds changes: ``columns`` is the row after the change, and a tombstone row means that the row was
deleted.  If ``before`` is set, it holds the value columns before the change, and ``before_absent`` says where no row
existed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..kernels.gathering import Later, Picks, gather, gather_columns, gather_numbers, pick
from ..kernels.merging import merge

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of ``n`` rows.

    Attributes:
        schema: names and Arrow types of ``columns``; the first ``key_count`` are the key.
        columns: arrays of length n.
        timestamps: int64[n], milliseconds since the epoch (ROWTIME).
        positions: int64[n], never decreasing; see the module's text.
        tombstones: bool[n], the record's value is null; None: no row is a tombstone.
        before: value columns before the change (tables only, and only where lowering asked for them).
        before_absent: bool[n], no row existed before; None: all rows existed.
        window_starts: int64[n] ms, for rows with a windowed key.
        window_ends: int64[n] ms, exclusive for time windows, inclusive for sessions.
        headers: list<struct<KEY: string, VALUE: binary>>[n], or None if no row has any.
        undo: bool[n], only between a GROUP BY over a table and its aggregation: the group undoes the row instead of adding
            it.  An undo row directly followed by an add row of the same group at the same position is one change of that
            group.  None: no row is undone.
    """

    schema: pa.Schema
    key_count: int
    columns: tuple[Any, ...]
    timestamps: Int64s
    positions: Int64s
    tombstones: Bools | None = None
    before: tuple[Any, ...] | None = None
    before_absent: Bools | None = None
    window_starts: Int64s | None = None
    window_ends: Int64s | None = None
    headers: Any | None = None
    undo: Bools | None = None

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def keys(self) -> tuple[Any, ...]:
        return self.columns[: self.key_count]

    @property
    def values(self) -> tuple[Any, ...]:
        return self.columns[self.key_count :]

    def tombstone_mask(self) -> Bools:
        """bool[n], also where ``tombstones`` is None."""
        return np.zeros(len(self), np.bool_) if self.tombstones is None else self.tombstones

    def absent_before_mask(self) -> Bools:
        """bool[n], also where ``before_absent`` is None."""
        return np.zeros(len(self), np.bool_) if self.before_absent is None else self.before_absent

    def take(self, rows: Int64s) -> Batch:
        """Select rows by number (each from 0 to n-1, in any order, repeats allowed)."""
        return gathered([self], rows)

    def filter(self, keep: Bools) -> Batch:
        """Select the rows where ``keep`` is true; the batch itself if that is all of them."""
        if keep.all():
            return self
        return gathered([self], np.flatnonzero(keep))

    def slice(self, start: int, stop: int) -> Batch:
        """Rows start..stop-1, without a copy."""
        length = stop - start

        def pick(array: Any) -> Any:
            return None if array is None else array[start:stop]

        return replace(
            self,
            columns=tuple(c.slice(start, length) for c in self.columns),
            timestamps=self.timestamps[start:stop],
            positions=self.positions[start:stop],
            tombstones=pick(self.tombstones),
            before=None if self.before is None else tuple(c.slice(start, length) for c in self.before),
            before_absent=pick(self.before_absent),
            window_starts=pick(self.window_starts),
            window_ends=pick(self.window_ends),
            headers=None if self.headers is None else self.headers.slice(start, length),
            undo=pick(self.undo),
        )

    def with_columns(
        self, schema: pa.Schema, key_count: int, columns: Sequence[Any], before: Sequence[Any] | None = None
    ) -> Batch:
        """The same rows with other columns."""
        return replace(
            self,
            schema=schema,
            key_count=key_count,
            columns=tuple(columns),
            before=None if before is None else tuple(before),
        )


_without_rows = lru_cache(1_000)(partial(pa.array, []))


def empty_batch(schema: pa.Schema, key_count: int, *, windowed: bool = False, before: bool = False) -> Batch:
    """Make a batch without rows."""
    none = np.zeros(0, np.int64)
    columns = tuple(_without_rows(f.type) for f in schema)
    return Batch(
        schema,
        key_count,
        columns,
        none,
        none,
        before=columns[key_count:] if before else None,
        before_absent=np.zeros(0, np.bool_) if before else None,
        window_starts=none if windowed else None,
        window_ends=none if windowed else None,
    )


def moment(schema: pa.Schema, key_count: int, time_ms: int) -> Batch:
    """Make a batch of one row of nulls at an instant.  It moves stream time and belongs to nobody."""
    columns = tuple(pa.nulls(1, field.type) for field in schema)
    return Batch(schema, key_count, columns, np.array([time_ms], np.int64), np.zeros(1, np.int64))


def concat(batches: Sequence[Batch]) -> Batch:
    """Concatenate batches of one shape, sorted by position (rows of equal position keep their order)."""
    if len(batches) == 1:
        return batches[0]
    filled = [b for b in batches if len(b)]
    if not filled:
        return batches[0]
    if len(filled) == 1:
        return filled[0]
    lengths = np.array([len(b) for b in filled], np.int64)
    order = merge([b.positions for b in filled])
    which = np.repeat(np.arange(len(filled), dtype=np.int64), lengths)[order]
    return gathered(filled, (which << 32) | (order - (np.cumsum(lengths) - lengths)[which]))


def gathered(
    batches: Sequence[Batch], rows: Int64s, later: Collection[int] | None = None, positions: Int64s | None = None
) -> Batch:
    """Gather rows of batches of one shape, by reference (`kernels/gathering.py`: the batch's number is in the upper 32
    bits).

    Args:
        later: columns to return as a `Later`, for a caller that needs few of their rows; None: the columns that are one in
            some batch.
        positions: of the result, if the caller knows them.
    """
    first = batches[0]
    picks = pick([len(b) for b in batches], rows)
    parts: dict[str, Any] = {}
    for field in fields(Batch):
        values = [getattr(b, field.name) for b in batches]
        if field.name in ("schema", "key_count") or all(v is None for v in values):
            parts[field.name] = values[0]
        elif field.name == "positions" and positions is not None:
            parts[field.name] = positions
        elif field.name == "columns":
            parts["columns"] = _gathered_columns(values, picks, later)
        elif field.name == "before":
            parts[field.name] = tuple(gather_columns(values, picks))
        elif field.name == "headers":
            kind = next(v.type for v in values if v is not None)
            pieces = [pa.nulls(len(b), kind) if v is None else v for b, v in zip(batches, values)]
            parts[field.name] = gather(pieces, picks)
        elif len(batches) == 1:
            parts[field.name] = values[0][rows]
        else:
            dtype = next(v.dtype for v in values if v is not None)
            arrays = [np.zeros(len(b), dtype) if v is None else np.ascontiguousarray(v) for b, v in zip(batches, values)]
            parts[field.name] = gather_numbers(arrays, picks)
    return replace(first, **parts)


def whole(batch: Batch, later: Collection[int] = ()) -> Batch:
    """The batch with arrays instead of `Later` columns, except those given."""
    if not any(isinstance(c, Later) and n not in later for n, c in enumerate(batch.columns)):
        return batch
    columns = (c.all() if isinstance(c, Later) and n not in later else c for n, c in enumerate(batch.columns))
    return replace(batch, columns=tuple(columns))


def _gathered_columns(batches: Sequence[Sequence[Any]], rows: Picks, later: Collection[int] | None) -> tuple[Any, ...]:
    """`gather_columns` for columns that are, or become, a `Later`."""
    columns = list(zip(*batches, strict=True))
    late = [any(isinstance(c, Later) for c in column) for column in columns]
    wanted = late if later is None else [n in later for n in range(len(columns))]
    if not any(late) and not any(wanted):
        return tuple(gather_columns(batches, rows))
    known: dict[Any, Int64s] = {}
    result = []
    for column, is_late, stays_late in zip(columns, late, wanted, strict=True):
        if is_late or stays_late:
            found = Later.gathered(column, rows, known)
            result.append(found if stays_late else found.all())
        else:
            result.append(gather(column, rows))
    return tuple(result)


def python_values(array: Any) -> list[Any]:
    """Convert an Arrow array to Python objects.  Maps become dicts, or pairs if a key is not hashable.

    Python's dates and times span the years 1 to 9999.  Values beyond are returned as numbers: days for DATE, milliseconds
    for TIMESTAMP.
    """
    try:
        values: list[Any] = array.to_pylist(maps_as_pydicts="strict")
    except (OverflowError, ValueError, KeyError, TypeError):
        return [_python_value(scalar) for scalar in array]
    return values


def _python_value(scalar: Any) -> Any:
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {name: _python_value(scalar[name]) for name in scalar}
    if isinstance(scalar, pa.MapScalar):
        pairs = [(_python_value(pair["key"]), _python_value(pair["value"])) for pair in scalar.values or ()]
        try:
            return dict(pairs)
        except TypeError:
            return pairs
    if isinstance(scalar, pa.ListScalar):
        return [_python_value(item) for item in scalar.values or ()]
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return scalar.value
