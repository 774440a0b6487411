"""Rows by key and time, for joins of streams: many rows per key, looked up by ranges of time.

Rows are found through runs sorted by (slot of the key, timestamp, row number); each step adds a run, and neighbouring runs
of like size are merged, so there are about log2(rows) of them.  A lookup is two binary searches per run for all keys at
once.  The rows' columns stay where they came, in chunks, and runs hold their places: merging moves no column.

A row expires when a row with a timestamp larger by ``retention_ms`` or more has been appended; expired rows leave a run when
it is merged, or with all of it, and their columns go with the whole chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .columns import Column, Int64s
from .index import FrozenIndex, HashIndex
from .keyed_store import distinct_schema
from .rows import gather, wasteful
from .store import RESTORE_ROWS, Capture

NEVER: Final = -(1 << 62)
"""A timestamp before all others, with room to subtract from."""

_TIME_BITS: Final = 32
_TIME_SPAN: Final = 1 << _TIME_BITS
"""Milliseconds (49 days) that a run may span with plain offsets; beyond, it numbers its distinct timestamps."""

_CHUNK_ROWS_JOINED_MAX: Final = 1 << 14
"""Rows up to which small chunks are joined, lest rows that come one by one be chunks of one row."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of a query and a row, ordered by query, then by the row's timestamp and number."""

    queries: Int64s
    timestamps: Int64s
    rows: Int64s
    places: Int64s
    """Where the row's columns are, for `IntervalStore.columns`."""

    def filter(self, keep: npt.NDArray[np.bool_]) -> Matches:
        if keep.all():
            return self
        return Matches(self.queries[keep], self.timestamps[keep], self.rows[keep], self.places[keep])


class _Run:
    """Immutable, sorted rows; ``places``: where their columns are."""

    __slots__ = ("_instants", "_origin", "_times", "places", "rows", "slots", "timestamps")

    def __init__(self, slots: Int64s, timestamps: Int64s, rows: Int64s, places: Int64s) -> None:
        self._origin = int(timestamps.min())
        self._times: Int64s | None = None
        if int(timestamps.max()) - self._origin >= _TIME_SPAN:
            self._times = np.unique(timestamps)
        instants = (slots << _TIME_BITS) + self._low(timestamps)
        if not (instants[1:] >= instants[:-1]).all():
            order = np.argsort(instants, kind="stable")
            instants, slots, timestamps, rows, places = (a[order] for a in (instants, slots, timestamps, rows, places))
        self._instants, self.slots, self.timestamps, self.rows, self.places = instants, slots, timestamps, rows, places

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def nbytes(self) -> int:
        return 5 * int(self.slots.nbytes)

    def _low(self, timestamps: Int64s) -> Int64s:
        if self._times is not None:
            return np.searchsorted(self._times, timestamps)
        return np.clip(timestamps - self._origin, 0, _TIME_SPAN)

    def _high(self, timestamps: Int64s) -> Int64s:
        if self._times is not None:
            return np.searchsorted(self._times, timestamps, "right") - 1
        return np.clip(timestamps - self._origin, -1, _TIME_SPAN - 1)

    def find(self, slots: Int64s, low: Int64s, high: Int64s) -> tuple[Int64s, Int64s]:
        """First row, and number of rows, of each key from time ``low`` to ``high``."""
        keys = slots << _TIME_BITS
        starts = np.searchsorted(self._instants, keys + self._low(low))
        ends = np.searchsorted(self._instants, keys + self._high(high), "right")
        return starts, np.maximum(ends - starts, 0)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Columns of rows in the order in which they came, at the places base..base+len-1."""

    base: int
    columns: tuple[Any, ...]
    length: int
    latest_ms: int

    @property
    def nbytes(self) -> int:
        return int(sum(c.nbytes for c in self.columns))


class IntervalStore:
    """Satisfies `StateStore`.  Changes and checkpoints hold the key columns, ``rowtime``, ``row`` and the row columns.

    Use in a step: `append` what has come, `find`, and at last `settle`; expired rows are there until then.

    Args:
        name: see `StateStore.name`.
        retention_ms: at least 1; a row at ``ts`` is live while ``ts > observed_ms - retention_ms``.

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
        self._row_column = self.schema.names[len(key_schema) + 1]
        self._clear()

    def _clear(self) -> None:
        self.observed_ms = NEVER
        self._last_row = -1
        self._index = HashIndex(self.key_schema)
        self._counts = Column(np.int64)
        self._runs: list[_Run] = []
        self._chunks: list[_Chunk] = []
        self._places = 0
        self._settled_ms = NEVER
        """Rows up to here had expired when the store was last settled: their columns may be gone."""
        self._changes: list[list[Any]] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @property
    def size_bytes(self) -> int:
        return (
            self._index.nbytes
            + self._counts.nbytes
            + sum(r.nbytes for r in self._runs)
            + sum(c.nbytes for c in self._chunks)
        )

    def observe(self, timestamp_ms: int) -> None:
        """Rows expire as if one of this timestamp had been appended."""
        self.observed_ms = max(self.observed_ms, timestamp_ms)

    def append(self, keys: Sequence[Any], timestamps: Int64s, rows: Int64s, columns: Sequence[Any]) -> None:
        """Add rows; ``rows`` are numbers that grow with each row and are never used twice."""
        if len(rows):
            self._changes.append([*keys, pa.array(timestamps), pa.array(rows), *columns])
            self._append(keys, timestamps, rows, columns)

    def _append(self, keys: Sequence[Any], timestamps: Int64s, rows: Int64s, columns: Sequence[Any]) -> None:
        slots, _ = self._index.insert(keys)
        self._counts.reserve(self._index.slot_count)
        np.add.at(self._counts.values, slots, 1)
        self._runs.append(_Run(slots, timestamps, rows, self._keep(columns, len(rows), int(timestamps.max()))))
        self.observed_ms = max(self.observed_ms, int(timestamps.max()))
        self._last_row = int(rows[-1])

    def _keep(self, columns: Sequence[Any], length: int, latest_ms: int) -> Int64s:
        """Add a chunk; returns the places of its rows."""
        columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
        # A column that shares a larger buffer would keep all of it alive.
        columns = [pa.concat_arrays([c, pa.nulls(0, c.type)]) if wasteful(c) else c for c in columns]
        places = np.arange(self._places, self._places + length, dtype=np.int64)
        self._chunks.append(_Chunk(self._places, tuple(columns), length, latest_ms))
        self._places += length
        chunks = self._chunks
        while len(chunks) > 1 and chunks[-2].length < 2 * chunks[-1].length <= _CHUNK_ROWS_JOINED_MAX:
            b, a = chunks.pop(), chunks.pop()
            if a.base + a.length != b.base:
                chunks += [a, b]
                break
            joined = tuple(pa.concat_arrays(pair) for pair in zip(a.columns, b.columns))
            chunks.append(_Chunk(a.base, joined, a.length + b.length, max(a.latest_ms, b.latest_ms)))
        return places

    def find(self, keys: Sequence[Any], low: Int64s, high: Int64s) -> Matches:
        """All rows (also those that expired since `settle`) of each key with a timestamp from ``low`` to ``high``, both
        included."""
        slots = self._index.find(keys)
        low = np.maximum(low, self._settled_ms + 1)
        asked = np.flatnonzero((slots >= 0) & (low <= high))
        # Searches that go in the order of the runs are several times faster.
        asked = asked[np.argsort(slots[asked], kind="stable")]
        slots, low, high = slots[asked], low[asked], high[asked]
        parts: list[tuple[Int64s, Int64s, Int64s, Int64s]] = []
        for run in self._runs:
            starts, counts = run.find(slots, low, high)
            total = int(counts.sum())
            if total:
                ends = np.cumsum(counts)
                at = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
                parts.append((np.repeat(asked, counts), run.timestamps[at], run.rows[at], run.places[at]))
        if not parts:
            none = np.zeros(0, np.int64)
            return Matches(none, none, none, none)
        queries, timestamps, rows, places = (np.concatenate([p[i] for p in parts]) for i in range(4))
        # Runs are in the order of their row numbers, so a stable sort need not look at these.
        origin = int(timestamps.min())
        time_bits = (int(timestamps.max()) - origin).bit_length()
        if time_bits + len(keys[0]).bit_length() < 64:
            order = np.argsort((queries << time_bits) | (timestamps - origin), kind="stable")
        else:
            order = np.lexsort((timestamps, queries))
        return Matches(queries[order], timestamps[order], rows[order], places[order])

    def columns(self, matches: Matches) -> list[Any]:
        """The row columns of matches.  Trap: not after the store has been settled."""
        return gather(self._chunks, self.row_schema, matches.places)

    def settle(self) -> None:
        """Merge runs and drop expired rows, at the end of a step."""
        expired = self.observed_ms - self.retention_ms
        runs: list[_Run] = []
        dropped: list[Int64s] = []
        for run in self._runs:
            if int(run.timestamps.max()) <= expired:
                dropped.append(run.slots)
                continue
            runs.append(run)
            while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
                b, a = runs.pop(), runs.pop()
                slots, timestamps, rows, places = (
                    np.concatenate((getattr(a, n), getattr(b, n))) for n in ("slots", "timestamps", "rows", "places")
                )
                live = timestamps > expired
                if not live.all():
                    dropped.append(slots[~live])
                    slots, timestamps, rows, places = slots[live], timestamps[live], rows[live], places[live]
                if len(slots):
                    runs.append(_Run(slots, timestamps, rows, places))
        self._runs, self._settled_ms = runs, max(self._settled_ms, expired)
        if any(chunk.latest_ms <= expired for chunk in self._chunks):
            self._chunks = [chunk for chunk in self._chunks if chunk.latest_ms > expired]
        for slots in dropped:
            np.subtract.at(self._counts.values, slots, 1)
        if dropped:
            slots = np.unique(np.concatenate(dropped))
            self._index.remove(slots[self._counts.take(slots) == 0])

    # What a task needs

    def drain_changes(self) -> pa.RecordBatch | None:
        """See `StateStore`.  Expiry needs no change record: it follows from the rows."""
        if not self._changes:
            return None
        columns = [pa.concat_arrays([c[i] for c in self._changes]) for i in range(len(self.schema))]
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
            self._append(changes.columns[:keys], timestamps, rows, changes.columns[keys + 2 :])
            self.settle()

    def discard_changes(self) -> None:
        """See `StateStore`."""
        self._changes = []

    def checkpoint(self) -> pa.Table:
        """See `StateStore`.  Rows are in the order of their numbers."""
        return self.capture()()

    def capture(self) -> Capture:
        """See `StateStore`."""
        snapshot = self.snapshot()
        return lambda: snapshot.table().sort_by(self._row_column)

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
        expired = self.observed_ms - self.retention_ms
        runs, chunks = tuple(self._runs), tuple(self._chunks)
        return IntervalSnapshot(self.schema, self._index.freeze(), self.row_schema, runs, chunks, expired)


@dataclass(slots=True)
class IntervalSnapshot:
    """An `IntervalStore` as it was; satisfies `Snapshot`."""

    schema: pa.Schema
    index: FrozenIndex
    row_schema: pa.Schema
    runs: tuple[_Run, ...]
    chunks: tuple[_Chunk, ...]
    expired_ms: int

    def _rows(self, slots: Int64s | None) -> pa.Table:
        tables = []
        for run in self.runs:
            keep = run.timestamps > self.expired_ms
            if slots is not None:
                keep &= np.isin(run.slots, slots)
            rows = np.flatnonzero(keep)
            columns = gather(self.chunks, self.row_schema, run.places[rows])
            own = [pa.array(run.timestamps[rows]), pa.array(run.rows[rows]), *columns]
            tables.append(pa.Table.from_arrays([*self.index.keys.read(run.slots[rows]), *own], schema=self.schema))
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def table(self) -> pa.Table:
        """All live rows."""
        return self._rows(None)

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """All live rows of the given keys."""
        slots = self.index.find(keys)
        return self._rows(slots[slots >= 0])
