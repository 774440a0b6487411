"""Converts batches to records of a topic and back, so that rows can move to the partition of another key.

A record holds one row, with everything that its batch says about it.  The change of a group (an undo row and an add row at
the same position, see `Batch.undo`) is one record, so that nobody reads half of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...kernels.booleans import booleans
from ...storage.state.index import factorize
from ..batch import Batch, Bools, Int64s
from .base import Operator, OperatorContext
from .joining import take

__all__ = ["Pack", "Unpack", "moving_schema"]

_TOMBSTONE: Final = 1
_NEW: Final = 2
"""No row existed before."""
_UNDO: Final = 4
_CHANGE: Final = 8
"""The row before is undone, then the row is added."""
_HEAD: Final = (pa.field("kind", pa.int32()), pa.field("window_start", pa.int64()), pa.field("window_end", pa.int64()))


def moving_schema(schema: pa.Schema, key_count: int) -> pa.Schema:
    """The record columns for a batch's rows.  Replacing a query may add some."""
    fields = list(schema)
    rows = [pa.field(f"row.{f.name}", f.type) for f in fields]
    return pa.schema([*_HEAD, *rows, *(pa.field(f"before.{f.name}", f.type) for f in fields[key_count:])])


class Pack(Operator):
    """Converts rows to records.  The output has the key columns of the input, which decide the partition.

    Args:
        schema, key_count: of the input.
    """

    row_preserving = True

    def __init__(self, context: OperatorContext, schema: pa.Schema, key_count: int) -> None:
        super().__init__(context)
        self._key_count = key_count
        self._moving = moving_schema(schema, key_count)
        self._schema = pa.schema([*list(schema)[:key_count], *self._moving])

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        kinds = batch.tombstone_mask() * _TOMBSTONE | batch.absent_before_mask() * _NEW
        before = batch.before
        if batch.undo is not None and batch.undo.any():
            changes = _changes(batch)
            kinds = kinds | (batch.undo & ~np.append(changes[1:], False)) * _UNDO | changes * _CHANGE
            numbers = np.arange(len(batch), dtype=np.int64)
            before = tuple(take(batch.values, np.where(changes, numbers - 1, -1)))
            whole = np.flatnonzero(~np.append(changes[1:], False))
            batch, kinds, before = batch.take(whole), kinds[whole], tuple(take(before, whole))
        length = len(batch)
        columns: list[Any] = [pa.array(kinds, pa.int32())]
        for bounds in (batch.window_starts, batch.window_ends):
            columns.append(pa.nulls(length, pa.int64()) if bounds is None else pa.array(bounds, pa.int64()))
        columns += batch.columns
        columns += [pa.nulls(length, c.type) for c in batch.values] if before is None else before
        typed = [c if c.type == f.type else c.cast(f.type) for c, f in zip(columns, self._moving, strict=True)]
        return Batch(
            self._schema,
            self._key_count,
            (*batch.keys, *typed),
            batch.timestamps,
            batch.positions,
            headers=batch.headers,
        )


def _changes(batch: Batch) -> Bools:
    """bool[n]: the row is added, and the one before it is the undo row of the same change and group."""
    found = np.zeros(len(batch), np.bool_)
    assert batch.undo is not None
    together = batch.undo[:-1] & ~batch.undo[1:] & (batch.positions[1:] == batch.positions[:-1])
    if batch.key_count:
        groups, _ = factorize(batch.keys)
        together &= groups[1:] == groups[:-1]
    found[1:] = together
    return found


class Unpack(Operator):
    """Converts the records of a `Pack` back to rows; only positions differ.

    Args:
        schema, key_count: of the output.
        before: it carries the rows before changes.
    """

    row_preserving = True

    def __init__(self, context: OperatorContext, schema: pa.Schema, key_count: int, *, before: bool = False) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._before = before

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        kinds = np.asarray(batch.columns[0].to_numpy(zero_copy_only=False), np.int32)
        starts, ends = (_numbers(column) for column in batch.columns[1:3])
        count = len(_HEAD) + len(self._schema)
        columns, before = batch.columns[len(_HEAD) : count], batch.columns[count:]
        tombstones = (kinds & _TOMBSTONE) > 0
        rows = Batch(
            self._schema,
            self._key_count,
            columns,
            batch.timestamps,
            batch.positions,
            tombstones=tombstones if tombstones.any() else None,
            before=before if self._before else None,
            before_absent=(kinds & _NEW) > 0 if self._before else None,
            window_starts=starts,
            window_ends=ends,
            headers=batch.headers,
        )
        if not (kinds & (_UNDO | _CHANGE)).any():
            return rows
        return _with_undo(rows, before, (kinds & _UNDO) > 0, (kinds & _CHANGE) > 0)


def _with_undo(batch: Batch, before: Sequence[Any], undo: Bools, changes: Bools) -> Batch:
    """The rows, with the undo row inserted before each row that stands for a change."""
    counts = 1 + changes.astype(np.int64)
    rows = np.repeat(np.arange(len(batch), dtype=np.int64), counts)
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    back = first & changes[rows]
    doubled = batch.take(rows)
    picked = pa.array(np.where(back, rows + len(batch), rows))
    values = [pa.concat_arrays([v, b]).take(picked) for v, b in zip(batch.values, before, strict=True)]
    return Batch(
        doubled.schema,
        doubled.key_count,
        (*doubled.keys, *values),
        doubled.timestamps,
        doubled.positions,
        window_starts=doubled.window_starts,
        window_ends=doubled.window_ends,
        headers=doubled.headers,
        undo=back | undo[rows],
    )


def _numbers(column: Any) -> Int64s | None:
    """A column as numbers, 0 for null; None if all are null."""
    if column.null_count == len(column):
        return None
    present = ~booleans(column.is_null())
    numbers = np.zeros(len(column), np.int64)
    numbers[present] = column.drop_null().to_numpy(zero_copy_only=False)
    return numbers
