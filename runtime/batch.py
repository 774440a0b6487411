"""What a Batch is: rows in processing order, in columns.

A batch stands for the records that record-at-a-time processing would have handled one after the other.  ``positions``
carries that order: one number per row, taken from the input record that caused the row, non-decreasing within a batch
and comparable between all batches of one step of a query (so a join knows which side's row came first).  A record that
caused several rows gave them the same position; their order in the batch is then their order.

Batches of a *stream* hold events.  A row whose record had a null value is a tombstone row (all value columns null).
Batches of a *table* hold changes: ``columns`` is the row after the change, a tombstone row means that it was deleted.
If ``before`` is set, it holds the value columns before the change and ``before_absent`` says where there was no row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..kernels.gathering import Later, gather, gather_columns, gather_numbers
from ..kernels.merging import merge

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Batch:
    """``n`` rows.

    Attributes:
        schema: names and Arrow types of ``columns``; the first ``key_count`` are the key.
        columns: arrays of length n.
        timestamps: int64[n], milliseconds since the epoch (ROWTIME).
        positions: int64[n], non-decreasing; see the module's text.
        tombstones: bool[n], the record's value is null; None stands for "nowhere".
        before: value columns before the change (tables only, and only where lowering asked for them).
        before_absent: bool[n], no row existed before; None stands for "nowhere absent".
        window_starts: int64[n] ms, for rows with a windowed key.
        window_ends: int64[n] ms, exclusive for time windows, inclusive for sessions.
        headers: list<struct<KEY: string, VALUE: binary>>[n], or None if no row has any.
        undo: bool[n], between a GROUP BY over a table and its aggregation only: the row is to be taken back from its
            group instead of being added.  An undo row directly followed by an add row of the same group at the same
            position is one change of that group.  None stands for "nowhere".
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
        """The rows of the given numbers (each from 0 to n-1, in the order and as often as given)."""
        return gathered([self], rows)

    def filter(self, keep: Bools) -> Batch:
        """The rows where ``keep`` is true; the batch itself if that is all of them."""
        if keep.all():
            return self
        return gathered([self], np.flatnonzero(keep))

    def slice(self, start: int, stop: int) -> Batch:
        """Rows start..stop-1, without copying."""
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


def empty_batch(schema: pa.Schema, key_count: int, *, windowed: bool = False, before: bool = False) -> Batch:
    """A batch of no rows."""
    none = np.zeros(0, np.int64)
    columns = tuple(pa.array([], f.type) for f in schema)
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
    """A batch of one row of nulls at an instant: it stands for the passing of time, and is nobody's row."""
    columns = tuple(pa.nulls(1, field.type) for field in schema)
    return Batch(schema, key_count, columns, np.array([time_ms], np.int64), np.zeros(1, np.int64))


def concat(batches: Sequence[Batch]) -> Batch:
    """All rows of batches of one shape, sorted by position (rows of equal position keep their order)."""
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


def gathered(batches: Sequence[Batch], rows: Int64s, later: Collection[int] | None = None) -> Batch:
    """Rows of batches of one shape, by reference (`kernels/gathering.py`: the batch's number in the upper 32 bits).

    Args:
        later: columns that become a `Later`, for who asks for few of their rows; None: those that are one in a batch.
    """
    first = batches[0]
    parts: dict[str, Any] = {}
    for field in fields(Batch):
        values = [getattr(b, field.name) for b in batches]
        if field.name in ("schema", "key_count") or all(v is None for v in values):
            parts[field.name] = values[0]
        elif field.name == "columns":
            parts["columns"] = _gathered_columns(values, rows, later)
        elif field.name == "before":
            parts[field.name] = tuple(gather_columns(values, rows))
        elif field.name == "headers":
            kind = next(v.type for v in values if v is not None)
            pieces = [pa.nulls(len(b), kind) if v is None else v for b, v in zip(batches, values)]
            parts[field.name] = gather(pieces, rows)
        elif len(batches) == 1:
            parts[field.name] = values[0][rows]
        else:
            dtype = next(v.dtype for v in values if v is not None)
            arrays = [np.zeros(len(b), dtype) if v is None else np.ascontiguousarray(v) for b, v in zip(batches, values)]
            parts[field.name] = gather_numbers(arrays, rows)
    return replace(first, **parts)


def whole(batch: Batch, later: Collection[int] = ()) -> Batch:
    """The batch with no `Later` but for those columns."""
    if not any(isinstance(c, Later) and n not in later for n, c in enumerate(batch.columns)):
        return batch
    columns = (c.all() if isinstance(c, Later) and n not in later else c for n, c in enumerate(batch.columns))
    return replace(batch, columns=tuple(columns))


def _gathered_columns(batches: Sequence[Sequence[Any]], rows: Int64s, later: Collection[int] | None) -> tuple[Any, ...]:
    """`gather_columns`, where some are, or become, a `Later`."""
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
    """The values of an Arrow array as Python objects; maps are dicts (pairs, if a key of theirs cannot be one of a dict's).

    Python's dates and times end with the year 9999 and begin with the year 1; what lies beyond comes as the number that it
    is: days for DATE, milliseconds for TIMESTAMP.
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
