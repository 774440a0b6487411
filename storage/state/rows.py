"""Rows of any Arrow types by slot: append-only Arrow chunks, and the row number of each slot.

A write appends; the replaced row becomes garbage.  Neighbouring chunks of similar size are merged without their garbage,
so there are about log2(rows) chunks; all are merged when more than half of the rows are garbage.  Chunks are immutable,
so freezing only keeps references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from ...kernels import gathering
from .columns import FrozenColumn, GrowingColumn, Int64s

_CHUNK_BYTES_MAX: Final = 1 << 30
"""Chunks are not merged beyond this: a string array holds at most 2 GiB."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The rows numbered ``base`` to ``base + len(slots) - 1``, and the slot for which each was written."""

    base: int
    columns: tuple[Any, ...]
    slots: Int64s
    nbytes: int


def _chunk(base: int, columns: Sequence[Any], slots: Int64s) -> _Chunk:
    return _Chunk(base, tuple(columns), slots, sum(c.nbytes for c in columns))


class Chunk(Protocol):
    """The rows numbered from ``base`` on."""

    @property
    def base(self) -> int: ...

    @property
    def columns(self) -> tuple[Any, ...]: ...


def gather(chunks: Sequence[Chunk], schema: pa.Schema, rows: Int64s) -> list[Any]:
    """The rows with the given numbers, from chunks with ascending bases; null where the number is -1."""
    if not chunks:
        return [pa.nulls(len(rows), f.type) for f in schema]
    bases = np.array([c.base for c in chunks], np.int64)
    if len(chunks) == 1:
        places = np.where(rows < 0, -1, rows - bases[0])
    else:
        which = np.searchsorted(bases, rows, "right") - 1
        places = np.where(rows < 0, -1, (which << 32) | (rows - bases[which]))
    return [gathering.gather([c.columns[i] for c in chunks], places) for i in range(len(schema))]


class RowStorage:
    """Rows by slot.  The store that owns it reserves the slots."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._rows = GrowingColumn(np.int64, -1)
        self._chunks: list[_Chunk] = []
        self._live = 0

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + sum(c.nbytes + c.slots.nbytes for c in self._chunks)

    def reserve(self, slots: int) -> None:
        self._rows.reserve(slots)

    def read(self, slots: Int64s) -> list[Any]:
        """Arrow arrays, one per column of the schema; null where the slot is -1 or holds no row."""
        return gather(self._chunks, self.schema, _rows_of(self._rows, slots))

    def has(self, slots: Int64s) -> Any:
        """bool[n]: the slot (not -1) holds a row."""
        return self._rows.take(slots) >= 0

    def write(self, slots: Int64s, columns: Sequence[Any]) -> None:
        """Give distinct slots new rows."""
        if len(slots) == 0:
            return
        columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
        # A slice or a column that shares a larger buffer would keep all of it alive.
        columns = [pa.concat_arrays([c, pa.nulls(0, c.type)]) if c.offset or wasteful(c) else c for c in columns]
        self._live += int((self._rows.take(slots) < 0).sum())
        last = self._chunks[-1] if self._chunks else None
        base = 0 if last is None else last.base + len(last.slots)
        self._chunks.append(_chunk(base, columns, slots.copy()))
        self._rows.put(slots, np.arange(base, base + len(slots), dtype=np.int64))
        self._tidy()

    def remove(self, slots: Int64s) -> None:
        self._live -= int((self._rows.take(slots) >= 0).sum())
        self._rows.put(slots, -1)
        self._tidy()

    def _tidy(self) -> None:
        chunks = self._chunks
        total = sum(len(c.slots) for c in chunks)
        if total > 2 * self._live + 1024:
            self._merge(0)
        while len(chunks) > 1 and len(chunks[-2].slots) < 2 * len(chunks[-1].slots):
            if chunks[-2].nbytes + chunks[-1].nbytes > _CHUNK_BYTES_MAX:
                break
            self._merge(len(chunks) - 2)

    def _merge(self, first: int) -> None:
        """Merge the chunks from ``first`` on into as few as the size limit allows, without their garbage."""
        old = self._chunks[first:]
        del self._chunks[first:]
        base = old[0].base
        group: list[tuple[Sequence[Any], Int64s]] = []
        size = 0
        for chunk in [*old, None]:
            if group and (chunk is None or size + chunk.nbytes > _CHUNK_BYTES_MAX):
                slots = np.concatenate([s for _, s in group])
                columns = [pa.concat_arrays([c[i] for c, _ in group]) for i in range(len(self.schema))]
                if len(slots):
                    rows = np.arange(base, base + len(slots), dtype=np.int64)
                    moved = np.flatnonzero(self._rows.take(slots) != rows)
                    if len(moved):
                        self._rows.put(slots[moved], rows[moved])
                    self._chunks.append(_chunk(base, columns, slots))
                    base += len(slots)
                group, size = [], 0
            if chunk is not None:
                live = self._rows.take(chunk.slots) == np.arange(chunk.base, chunk.base + len(chunk.slots))
                if live.all():
                    group.append((chunk.columns, chunk.slots))
                else:
                    mask = pa.array(live)
                    group.append(([c.filter(mask) for c in chunk.columns], chunk.slots[live]))
                size += chunk.nbytes

    def freeze(self) -> FrozenRows:
        return FrozenRows(self.schema, self._rows.freeze(), tuple(self._chunks))


def wasteful(array: Any) -> bool:
    """Whether an array keeps much more memory alive than its values need."""
    return bool(array.get_total_buffer_size() > 2 * array.nbytes + 4096)


def _rows_of(column: GrowingColumn | FrozenColumn, slots: Int64s) -> Int64s:
    if len(slots) and int(slots.min()) < 0:
        rows = np.full(len(slots), -1, np.int64)
        held = np.flatnonzero(slots >= 0)
        rows[held] = column.take(slots[held])
        return rows
    return column.take(slots)


@dataclass(slots=True)
class FrozenRows:
    """The rows as they were."""

    schema: pa.Schema
    rows: FrozenColumn
    chunks: tuple[_Chunk, ...]

    def read(self, slots: Int64s) -> list[Any]:
        return gather(self.chunks, self.schema, _rows_of(self.rows, slots))
