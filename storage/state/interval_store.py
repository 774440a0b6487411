"""A time-indexed store of rows by key: the buffer of a stream-stream join.

The rows of a key form a chain, ordered by time and then by arrival (`kernels/intervals.py`).  A time range is found by
walking down from its upper end.  The columns of rows stay in the chunks in which they came; entries hold references to them.

A row expires when a row whose timestamp is larger by at least ``retention_ms`` was appended.  Expired rows leave the
chains when there are about as many of them as live rows; their columns go with the whole chunk.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels.gathering import gather_columns
from ...kernels.intervals import Chains, Coming, Pairs, grown_to
from ...kernels.intervals import join as join_chains
from .columns import Int64s
from .index import FrozenIndex, HashIndex
from .keyed_store import distinct_schema
from .rows import gather, wasteful
from .store import RESTORE_ROWS, Capture

NEVER: Final = -(1 << 62)
"""A timestamp before all others; subtracting from it does not overflow."""

_CHUNK_ROWS_JOINED_MAX: Final = 1 << 14
"""Small chunks are joined up to so many rows.  Otherwise rows that come one by one would make chunks of one row."""

_ENTRIES_MIN: Final = 256
"""With fewer entries than this, the store does not look for expired ones."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of a query and a row, ordered by query, then by the row's timestamp and number."""

    queries: Int64s
    timestamps: Int64s
    rows: Int64s
    places: Int64s
    """The references to the rows' columns, for `IntervalStore.references`."""

    def filter(self, keep: npt.NDArray[np.bool_]) -> Matches:
        if keep.all():
            return self
        return Matches(self.queries[keep], self.timestamps[keep], self.rows[keep], self.places[keep])


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The rows that come to one side of a join in a step.

    Attributes:
        keys, timestamps, columns: of the rows.
        rows: numbers, growing and never used twice.
        kept: the rows that this side keeps, ascending; None: all.
        places: the order in which rows come, ascending, distinct over both sides.
        low, high: the range of timestamps of the other side (both included) that each row matches.
    """

    keys: Sequence[Any]
    timestamps: Int64s
    rows: Int64s
    columns: Sequence[Any]
    kept: Int64s | None
    places: Int64s
    low: Int64s
    high: Int64s


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The columns of rows in order of arrival, at the places ``base`` to ``base + len - 1``."""

    base: int
    columns: tuple[Any, ...]
    length: int
    latest_ms: int
    first_row: int
    nbytes: int


def _chunk(base: int, columns: tuple[Any, ...], length: int, latest_ms: int, first_row: int) -> _Chunk:
    return _Chunk(base, columns, length, latest_ms, first_row, int(sum(c.nbytes for c in columns)))


class IntervalStore:
    """A `StateStore`.  Changes and checkpoints hold the key columns, ``rowtime``, ``row`` and the row columns.

    In each step call `join`, or `append` and `find`; then `settle`.

    Args:
        name: see `StateStore.name`.
        retention_ms: at least 1.  A row with timestamp ``ts`` is live while ``ts > observed_ms - retention_ms``.

    Attributes:
        observed_ms: the largest timestamp appended, or `NEVER`.
    """

    def __init__(self, name: str, key_schema: pa.Schema, row_schema: pa.Schema, retention_ms: int) -> None:
        self.name = name
        self.key_schema = key_schema
        self.row_schema = row_schema
        self.retention_ms = retention_ms
        self.schema = distinct_schema(
            [*key_schema, pa.field("rowtime", pa.int64()), pa.field("row", pa.int64()), *row_schema]
        )
        self.change_schema = self.schema
        self.numbered = False
        self._clear()

    def _clear(self) -> None:
        self.observed_ms = NEVER
        self._last_row = -1
        self._index = HashIndex(self.key_schema)
        self._chains = Chains()
        self._numbers = np.empty((2, 0), np.int64)
        """Row number and place of each entry.  Entries are added, and do not change."""
        self._latest_ms = NEVER
        """Of all entries."""
        self._entries_max = _ENTRIES_MIN
        """With more entries than this, the store looks for expired ones."""
        self._chunks: list[_Chunk] = []
        self._places = 0
        self._settled_ms = NEVER
        """Rows up to this timestamp had expired when the store was last settled.  Their columns may be gone."""
        self._changes: list[list[Any]] = []
        self._lent: deque[Sequence[pa.RecordBatch]] = deque()
        """What `lend` was given and no step has used yet."""

    def __len__(self) -> int:
        return self._chains.used

    @property
    def size_bytes(self) -> int:
        numbers = 16 * self._chains.used
        return self._index.nbytes + self._chains.nbytes + numbers + sum(c.nbytes for c in self._chunks)

    def observe(self, timestamp_ms: int) -> None:
        """Let rows expire as if a row with this timestamp had been appended."""
        self.observed_ms = max(self.observed_ms, timestamp_ms)

    def append(self, keys: Sequence[Any], timestamps: Int64s, rows: Int64s, columns: Sequence[Any]) -> None:
        """Add rows; ``rows`` are their numbers, growing and never used twice."""
        first = self._add(keys, timestamps, rows, columns)
        self._chains.link(first, len(rows))

    def _add(self, keys: Sequence[Any], timestamps: Int64s, rows: Int64s, columns: Sequence[Any]) -> int:
        """Add rows without linking them to their keys; returns the number of the first entry."""
        if len(rows):
            self._changes.append([*keys, pa.array(timestamps), pa.array(rows), *columns])
        return self._enter(keys, timestamps, rows, columns)

    def _enter(self, keys: Sequence[Any], timestamps: Int64s, rows: Int64s, columns: Sequence[Any]) -> int:
        n, first = len(rows), self._chains.used
        if n == 0:
            return first
        latest_ms = int(timestamps.max())
        slots, _ = self._index.insert(keys)
        self._chains.add(slots, timestamps)
        if first + n > self._numbers.shape[1]:
            grown = np.empty((2, grown_to(first + n, self._numbers.shape[1], 16)), np.int64)
            grown[:, :first] = self._numbers[:, :first]
            self._numbers = grown
        self._numbers[0, first : first + n] = rows
        self._numbers[1, first : first + n] = np.arange(self._places, self._places + n, dtype=np.int64)
        self._keep(columns, n, latest_ms, int(rows[0]))
        self._latest_ms = max(self._latest_ms, latest_ms)
        self.observed_ms = max(self.observed_ms, latest_ms)
        self._last_row = int(rows[-1])
        return first

    def _keep(self, columns: Sequence[Any], length: int, latest_ms: int, first_row: int) -> None:
        """Add a chunk."""
        columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
        # A column that shares a larger buffer would keep all of it alive.
        columns = [pa.concat_arrays([c, pa.nulls(0, c.type)]) if wasteful(c) else c for c in columns]
        self._chunks.append(_chunk(self._places, tuple(columns), length, latest_ms, first_row))
        self._places += length
        chunks = self._chunks
        while len(chunks) > 1 and chunks[-2].length < 2 * chunks[-1].length <= _CHUNK_ROWS_JOINED_MAX:
            b, a = chunks.pop(), chunks.pop()
            if a.base + a.length != b.base:
                chunks += [a, b]
                break
            joined = tuple(pa.concat_arrays(pair) for pair in zip(a.columns, b.columns))
            latest_ms = max(a.latest_ms, b.latest_ms)
            chunks.append(_chunk(a.base, joined, a.length + b.length, latest_ms, a.first_row))

    def find(self, keys: Sequence[Any], low: Int64s, high: Int64s) -> Matches:
        """All rows of each key with a timestamp from ``low`` to ``high`` (both included), also those that expired since
        `settle`.
        """
        return self._matches(self._chains.find(self._index.find(keys), np.maximum(low, self._settled_ms + 1), high))

    def _matches(self, pairs: Pairs) -> Matches:
        rows, places = self._numbers
        return Matches(pairs.queries, self._chains.times[pairs.entries], rows[pairs.entries], places[pairs.entries])

    @property
    def pieces(self) -> list[tuple[Any, ...]]:
        """The row columns of all chunks, for `references`."""
        return [chunk.columns for chunk in self._chunks]

    def references(self, matches: Matches, first: int = 0) -> Int64s:
        """The row columns of matches, as references (`kernels/gathering.py`) into `pieces`, numbered from ``first``.

        Trap: not valid after `settle`.
        """
        bases: Int64s = np.array([c.base for c in self._chunks], np.int64)
        which = np.searchsorted(bases, matches.places, "right") - 1
        found: Int64s = ((which + first) << 32) | (matches.places - bases[which])
        return found

    def columns(self, matches: Matches) -> list[Any]:
        """The row columns of matches.  Trap: not valid after `settle`."""
        if not self._chunks:
            return [pa.nulls(0, field.type) for field in self.row_schema]
        return gather_columns(self.pieces, self.references(matches))

    def lend(self, changes: Sequence[pa.RecordBatch]) -> None:
        """Give the store the rows of a step in the mapped changelog; they replace its own copies at the next step.

        Any thread may call it.

        Args:
            changes: all that one `drain_changes` returned, with the columns of `change_schema`.
        """
        self._lent.append(changes)

    def _take_lent(self) -> None:
        while self._lent:
            parts = self._lent.popleft()
            keys = len(self.key_schema)
            first_row = parts[0].column(keys + 1)[0].as_py()
            length = sum(part.num_rows for part in parts)
            at = bisect_left(self._chunks, first_row, key=lambda chunk: chunk.first_row)
            if at == len(self._chunks) or (self._chunks[at].first_row, self._chunks[at].length) != (first_row, length):
                continue  # joined with its neighbours, or expired
            kept, base, chunks = self._chunks[at], self._chunks[at].base, []
            for part in parts:
                row = part.column(keys + 1)[0].as_py()
                chunks.append(_chunk(base, tuple(part.columns[keys + 2 :]), part.num_rows, kept.latest_ms, row))
                base += part.num_rows
            self._chunks[at : at + 1] = chunks

    def settle(self) -> None:
        """Drop expired rows, at the end of a step."""
        self._take_lent()
        expired = self.observed_ms - self.retention_ms
        if expired <= self._settled_ms:
            return
        self._settled_ms = expired
        if any(chunk.latest_ms <= expired for chunk in self._chunks):
            self._chunks = [chunk for chunk in self._chunks if chunk.latest_ms > expired]
        used = self._chains.used
        if self._latest_ms <= expired:
            if used:
                self._drop(expired)
        elif used > self._entries_max:
            if 2 * int(np.count_nonzero(self._chains.times <= expired)) >= used:
                self._drop(expired)
            self._entries_max = max(_ENTRIES_MIN, self._chains.used * 3 // 2)

    def _drop(self, expired: int) -> None:
        """Forget expired entries, and keys without any."""
        kept, emptied = self._chains.compact(expired)
        self._numbers = self._numbers[:, kept]
        self._index.remove(emptied)

    # What a task needs

    def drain_changes(self) -> pa.RecordBatch | None:
        """See `StateStore`.  Expiry needs no change record: it follows from the rows."""
        if not self._changes:
            return None
        changes = self._changes
        columns = changes[0] if len(changes) == 1 else [pa.concat_arrays(parts) for parts in zip(*changes, strict=True)]
        self._changes = []
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def apply_changes(self, changes: pa.RecordBatch) -> None:
        """See `StateStore`."""
        keys = len(self.key_schema)
        known = np.asarray(changes.column(keys + 1)) <= self._last_row
        if known.any():
            changes = changes.filter(pa.array(~known))
        if changes.num_rows:
            timestamps, rows = (np.array(changes.column(keys + i), np.int64) for i in (0, 1))
            first = self._enter(changes.columns[:keys], timestamps, rows, changes.columns[keys + 2 :])
            self._chains.link(first, len(rows))
            self.settle()

    def discard_changes(self) -> None:
        """See `StateStore`."""
        self._changes = []

    def checkpoint(self) -> pa.Table:
        """See `StateStore`.  Rows are in the order of their numbers."""
        return self.capture()()

    def capture(self) -> Capture:
        """See `StateStore`."""
        return self.snapshot().table

    def mark(self) -> Capture:
        """See `StateStore`."""
        return self.capture()

    def capture_delta(self) -> Capture:
        """See `StateStore`; never called, for there is never a delta."""
        return self.capture()

    @property
    def delta_rows(self) -> None:
        """See `StateStore`.  Rows come and go by time, so soon none of a base is left."""
        return None

    def restore(self, table: pa.Table | None, changes: Iterable[pa.RecordBatch] = ()) -> None:
        """See `StateStore`."""
        self._clear()
        if table is not None:
            for batch in table.to_batches(max_chunksize=RESTORE_ROWS):
                self.apply_changes(batch)
        for batch in changes:
            self.apply_changes(batch)

    def snapshot(self) -> IntervalSnapshot:
        """See `StateStore`."""
        rows, places = self._numbers[:, : self._chains.used]
        return IntervalSnapshot(
            self.schema,
            self._index.freeze(),
            self.row_schema,
            self._chains.times,
            self._chains.slots,
            rows,
            places,
            tuple(self._chunks),
            self.observed_ms - self.retention_ms,
        )


@dataclass(slots=True)
class IntervalSnapshot:
    """An `IntervalStore` as it was; a `Snapshot`.  Entries, in the order of their rows' numbers, do not change."""

    schema: pa.Schema
    index: FrozenIndex
    row_schema: pa.Schema
    times: Int64s
    slots: npt.NDArray[np.uint32]
    rows: Int64s
    places: Int64s
    chunks: tuple[_Chunk, ...]
    expired_ms: int

    def _rows(self, slots: Int64s | None) -> pa.Table:
        keep = self.times > self.expired_ms
        if slots is not None:
            keep &= np.isin(self.slots, slots)
        entries = np.flatnonzero(keep)
        keys = self.index.keys.read(self.slots[entries].astype(np.int64))
        own = [pa.array(self.times[entries]), pa.array(self.rows[entries])]
        columns = gather(self.chunks, self.row_schema, self.places[entries])
        return pa.Table.from_arrays([*keys, *own, *columns], schema=self.schema)

    def table(self) -> pa.Table:
        """All live rows."""
        return self._rows(None)

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """All live rows of the given keys."""
        slots = self.index.find(keys)
        return self._rows(slots[slots >= 0])


def join(stores: Sequence[IntervalStore], sides: Sequence[Arrivals]) -> tuple[Matches, Matches]:
    """Join the rows of two sides, one after the other in the order of their places.

    Each row finds the rows that the other side's store holds at that moment; then its own store keeps it.
    """
    entries = []
    for store, own in zip(stores, sides, strict=True):
        n = len(own.rows)
        if own.kept is None:
            first = store._add(own.keys, own.timestamps, own.rows, own.columns)
            entries.append(np.arange(first, first + n, dtype=np.int64))
            continue
        keys, columns = gather_columns([own.keys], own.kept), gather_columns([own.columns], own.kept)
        first = store._add(keys, own.timestamps[own.kept], own.rows[own.kept], columns)
        numbers = np.full(n, -1, np.int64)
        numbers[own.kept] = np.arange(first, first + len(own.kept), dtype=np.int64)
        entries.append(numbers)
    coming = [
        Coming(
            store._chains,
            own.places,
            numbers,
            other._index.find(own.keys),
            np.maximum(own.low, other._settled_ms + 1),
            own.high,
        )
        for store, other, own, numbers in zip(stores, reversed(stores), sides, entries, strict=True)
    ]
    left, right = join_chains(coming)
    return stores[1]._matches(left), stores[0]._matches(right)
