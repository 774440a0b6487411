"""Turns log records into decoded batches with timestamps.

All queries of an engine share a `DecodedTopics`: a range of a topic is fetched and decoded once, for every query that reads
it alike (`Source.shared_key`), also when they cut it into steps differently.  ARROW topics are shared by queries that read
the same columns.  Other formats are expensive to decode; for them it decodes all columns that any query asked for in the
range before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..kernels.booleans import booleans
from ..kernels.gathering import Later, reference
from ..limits import DECODED_BYTES_MAX, STEP_BYTES_MAX, TIMESTAMP_MS_MAX
from ..storage.formats.base import decode_columns
from ..storage.log.protocol import HEADERS, FetchedRecords, Log
from ..storage.values.canonical import canonical
from .batch import Batch, Bools, Int64s, empty_batch
from .dataflow import Source

TIMESTAMP_SIDE = "timestamp"
"""The side at fault for a record that can be read but has no valid event time."""


_STRETCHES_MAX = 4_096
"""The largest number of topics, partitions and sets of columns with cached records, however few their bytes."""


_REMAINDER = 8
"""The rest of a chunk is read on its own only if it is at least this share of a step.  With several partitions, steps cut
chunks at other rows than chunks end, and every third step would have only a few rows.
"""


_FRAME_ROWS_MIN = 1_024
"""In frames with fewer rows, looking at each frame costs more than joining them saves."""
_FRAMES_TRIED = 8
"""The number of frames after which that is checked."""


@dataclass(frozen=True, slots=True)
class DecodedRecords:
    """Decoded records of one partition, in offset order.

    Attributes:
        records: as fetched.
        keys, values: one array per column of the source's schemas.
        nulls: bool[n], the record's value is null.
        malformed: row -> (``key``, ``value`` or ``timestamp``, reason), for rows that cannot be used.
        windows: int64[n] start and end of windowed keys, or None.
        timestamps: int64[n] ms, the event time: the record's, or that of the source's TIMESTAMP column.
    """

    records: FetchedRecords
    timestamps: Int64s
    keys: tuple[Any, ...]
    values: tuple[Any, ...]
    nulls: Bools | None
    malformed: dict[int, tuple[str, str]]
    windows: tuple[Int64s, Int64s] | None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def size_bytes(self) -> int:
        """The memory of the columns in bytes (for columns mapped from the log, the memory kept in use)."""
        return int(sum(column.nbytes for column in (*self.keys, *self.values)))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A cached chunk, for the offsets first..after-1.

    Attributes:
        names: of its value columns.
        asked: the value columns that sources have asked for; grows.
    """

    first: int
    after: int
    chunk: DecodedRecords
    size_bytes: int
    names: tuple[str, ...]
    asked: set[str]

    def for_source(self, source: Source) -> DecodedRecords:
        """The chunk with the columns of a source."""
        wanted = source.value_schema.names
        self.asked.update(wanted)
        if self.names == tuple(wanted):
            return self.chunk
        return replace(self.chunk, values=tuple(self.chunk.values[self.names.index(name)] for name in wanted))


class DecodedTopics:
    """Fetches and decodes records, and caches the most recent chunks.  Thread-safe."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._chunks: OrderedDict[Hashable, list[_Kept]] = OrderedDict()
        self._bytes = 0

    def fetch(
        self,
        source: Source,
        partition: int,
        offset: int,
        end: int,
        rows_max: int,
        late: frozenset[str] = frozenset(),
    ) -> tuple[DecodedRecords, int]:
        """Fetch records from ``offset`` to below ``end``: a chunk, and the row in it that has ``offset``.

        Args:
            late: value columns that may be a `Later`, if the records lie in the log.

        The chunk may hold more rows, before and after.  A small rest of a cached range is read again, together with the
        records after it.
        """
        wanted, stored = source.value_schema, source.stored_schema or source.value_schema
        kinds = wanted if source.value_serde is None else stored
        key = (source.topic, partition, source.shared_key, source.key_schema, kinds, source.window, late)
        enough = min(end - offset, rows_max // _REMAINDER)  # see `is_spent`
        with self._lock:
            asked = set(wanted.names)
            for kept in reversed(self._chunks.get(key, ())):
                if kept.first <= offset < kept.after and len(kept.chunk) and asked.issubset(kept.names):
                    row = int(np.searchsorted(kept.chunk.records.offsets, offset))
                    if len(kept.chunk) - row < enough and kept.after < end:
                        break  # a step of these alone would cost as much as one of many
                    self._chunks.move_to_end(key)
                    return kept.for_source(source), row
            for kept in self._chunks.get(key, ()):
                asked |= kept.asked
        names = wanted.names if source.value_serde is None else [name for name in stored.names if name in asked]
        frames = self._frames(source, partition, offset, rows_max) if late else []
        if len(frames) > 1:
            chunk = decode_frames(source, frames, late)
        elif frames:
            chunk = decode(source, frames[0])
        else:
            read = self._log.read(
                source.topic,
                partition,
                offset,
                rows_max=rows_max,
                bytes_max=STEP_BYTES_MAX,
                fields=names if source.value_serde is None else None,
                pieces=True,
            )
            chunk = decode(source, read, names)
        records = chunk.records
        with self._lock:
            kept = _Kept(offset, records.next_offset, chunk, chunk.size_bytes, tuple(names), set())
            self._keep(key, kept)
            return kept.for_source(source), 0

    @staticmethod
    def is_spent(chunk: DecodedRecords, row: int, rows_max: int) -> bool:
        """Whether `fetch` reads again rather than give the rest of a chunk, from a row on, where many records follow."""
        return len(chunk) - row < rows_max // _REMAINDER

    def _frames(self, source: Source, partition: int, offset: int, rows_max: int) -> list[FetchedRecords]:
        """The frames of records in the log; none if they cannot be used directly, or are many small pieces."""
        if not self._log.capabilities.stable_records:
            return []
        found: list[FetchedRecords] = []
        rows = octets = 0
        for frame in self._log.scan(source.topic, partition, offset, fields=source.value_schema.names):
            frame = _head(frame, rows_max - rows)
            found.append(frame)
            rows += len(frame)
            octets += frame.values.nbytes
            if rows >= rows_max or octets >= STEP_BYTES_MAX:
                break
            if rows < len(found) * _FRAME_ROWS_MIN and len(found) >= _FRAMES_TRIED:
                return []
        return found

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        mine = self._chunks.setdefault(key, [])
        mine.append(kept)
        self._bytes += kept.size_bytes
        while len(mine) > 2:  # the stretch being read and the one before it
            self._bytes -= mine.pop(0).size_bytes
        self._chunks.move_to_end(key)
        while len(self._chunks) > 1 and (self._bytes > DECODED_BYTES_MAX or len(self._chunks) > _STRETCHES_MAX):
            _, oldest = self._chunks.popitem(last=False)
            self._bytes -= sum(k.size_bytes for k in oldest)

    def forget(self, topic: str) -> None:
        """Drop the cached records of a topic that is deleted; another topic may get its name."""
        with self._lock:
            for key in [k for k in self._chunks if isinstance(k, tuple) and k[0] == topic]:
                self._bytes -= sum(k.size_bytes for k in self._chunks.pop(key))


def _head(records: FetchedRecords, rows: int) -> FetchedRecords:
    """The first rows, without a copy."""
    if len(records) <= rows:
        return records
    return FetchedRecords(
        None if records.keys is None else records.keys.slice(0, rows),
        records.values.slice(0, rows),
        records.timestamps[:rows],
        None if records.headers is None else records.headers.slice(0, rows),
        offsets=records.offsets[:rows],
        arrivals=records.arrivals[:rows],
        epoch=records.epoch,
        next_offset=int(records.offsets[rows]),
    )


def decode_frames(source: Source, frames: Sequence[FetchedRecords], late: frozenset[str]) -> DecodedRecords:
    """`decode` for typed records in frames.  Columns in ``late`` stay in the log, unless some values are null.

    The chunk's records have no values.
    """
    keys = None
    if any(f.keys is not None for f in frames):
        keys = pa.concat_arrays([pa.nulls(len(f), pa.binary()) if f.keys is None else f.keys for f in frames])
    headers = None
    if any(f.headers is not None for f in frames):
        headers = pa.concat_arrays([pa.nulls(len(f), HEADERS) if f.headers is None else f.headers for f in frames])
    together = FetchedRecords(
        keys,
        None,
        np.concatenate([f.timestamps for f in frames]),
        headers,
        offsets=np.concatenate([f.offsets for f in frames]),
        arrivals=np.concatenate([f.arrivals for f in frames]),
        epoch=frames[-1].epoch,
        next_offset=frames[-1].next_offset,
    )
    if any(f.values.null_count for f in frames):
        return decode(source, replace(together, values=pa.concat_arrays([f.values for f in frames])))
    pieces = zip(*(_typed_values(f.values, source.value_schema)[0] for f in frames), strict=True)
    rows, first = np.arange(len(together), dtype=np.int64), 0
    for number, frame in enumerate(frames):
        rows[first : first + len(frame)] += reference(number, -first)
        first += len(frame)
    columns = tuple(
        Later(parts, rows) if field.name in late else pa.concat_arrays(parts)
        for field, parts in zip(source.value_schema, pieces, strict=True)
    )
    return decode(source, together, typed=columns)


def decode(
    source: Source, records: FetchedRecords, names: Sequence[str] | None = None, typed: tuple[Any, ...] | None = None
) -> DecodedRecords:
    """Decode bytes to columns, by the source's formats.

    Args:
        names: of the value columns to decode, including the source's own; None: only these.
        typed: the value columns of rows without tombstones, if they are already known.
    """
    n = len(records)
    own = source.value_schema.names
    names = own if names is None else names
    malformed: dict[int, tuple[str, str]] = {}
    key_bytes = pa.nulls(n, pa.binary()) if records.keys is None else records.keys
    windows = None
    if source.window is not None:
        key_bytes, windows = _split_windowed(key_bytes, source)
    keys: tuple[Any, ...] = ()
    if source.key_serde is not None and len(source.key_schema):
        decoded = source.key_serde.decode(key_bytes, source.key_schema)
        keys = tuple(canonical(column) for column in decoded.columns)
        if decoded.malformed is not None:
            malformed.update({int(r): ("key", m) for r, m in zip(decoded.malformed.rows, decoded.malformed.reasons)})
    else:
        keys = tuple(pa.nulls(n, f.type) for f in source.key_schema)
    nulls: Bools | None
    if typed is not None:
        values, nulls = typed, None
    elif source.value_serde is None:
        values, nulls = _typed_values(records.values, source.value_schema)
    else:
        stored = source.stored_schema or source.value_schema
        wanted = [stored.get_field_index(name) for name in names]
        decoded = decode_columns(source.value_serde, records.values, stored, wanted)
        values, nulls = decoded.columns, decoded.nulls
        if decoded.malformed is not None:
            found = zip(decoded.malformed.rows, decoded.malformed.reasons)
            malformed.update({int(r): ("value", m) for r, m in found if int(r) not in malformed})
    if source.keys_only or (nulls is not None and not nulls.any()):
        nulls = None
    timestamps = records.timestamps
    if source.timestamp is not None and n:
        read = values if list(names) == own else tuple(values[names.index(name)] for name in own)
        timestamps = _extract_timestamps(source, (*keys, *read), n, nulls, timestamps, malformed)
    if source.is_table and keys:
        for row in np.nonzero(all_null(keys, 0, n))[0].tolist():
            malformed.setdefault(row, ("key", "the key of a table's record is null"))
    return DecodedRecords(records, timestamps, keys, values, nulls, malformed, windows)


def _typed_values(values: Any, schema: pa.Schema) -> tuple[tuple[Any, ...], Bools | None]:
    """The wanted fields of a struct array; where the struct is null they are all null."""
    nulls: Bools | None = None
    if values.null_count:
        nulls = booleans(values.is_null())
    columns = []
    for wanted in schema:
        index = values.type.get_field_index(wanted.name)
        if index < 0:
            columns.append(pa.nulls(len(values), wanted.type))
            continue
        column = pc.struct_field(values, [index]) if nulls is not None else values.field(index)
        columns.append(column if column.type == wanted.type else column.cast(wanted.type))
    return tuple(columns), nulls


def _split_windowed(keys: Any, source: Source) -> tuple[Any, tuple[Int64s, Int64s]]:
    """Split windowed keys: the bytes without the window, and the window's bounds (0, 0 for a null key)."""
    width = 16 if source.window == "SESSION" else 8
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    lengths = pc.binary_length(keys).fill_null(0)
    whole = booleans(pc.greater_equal(lengths, pa.scalar(width, lengths.type)))
    plain = pc.if_else(pa.array(whole), pc.binary_slice(keys, 0, -width), pa.scalar(None, pa.binary()))
    starts = np.zeros(len(keys), np.int64)
    ends = np.zeros(len(keys), np.int64)
    tails = pc.binary_slice(keys.filter(pa.array(whole)), -width)
    bounds = np.frombuffer(b"".join(tails.to_pylist()), ">i8").reshape(-1, width // 8).astype(np.int64)
    if width == 16:
        ends[whole], starts[whole] = bounds[:, 0], bounds[:, 1]
    else:
        starts[whole] = bounds[:, 0]
        size_ms = source.window_size_ms or 0
        ends[whole] = np.minimum(bounds[:, 0], np.iinfo(np.int64).max - size_ms) + size_ms
    return plain, (starts, ends)


@dataclass(frozen=True, slots=True)
class BadRows:
    """The rows of a batch's records that were skipped: row numbers in the slice, the side at fault, the reasons."""

    rows: Int64s
    sides: tuple[str, ...]
    reasons: tuple[str, ...]


def to_batch(
    source: Source, partition: int, chunk: DecodedRecords, start: int, stop: int, positions: Int64s
) -> tuple[Batch, BadRows | None]:
    """Make a batch of rows start..stop-1 of a chunk with the given positions, without the bad rows."""
    length = stop - start
    records = chunk.records
    timestamps = chunk.timestamps[start:stop]
    columns = [c.slice(start, length) for c in (*chunk.keys, *chunk.values)]
    schema = pa.schema([*source.key_schema, *source.value_schema])
    nulls = None if chunk.nulls is None else chunk.nulls[start:stop]
    bad: dict[int, tuple[str, str]] = {row - start: fault for row, fault in chunk.malformed.items() if start <= row < stop}
    if source.extras:
        fields = list(schema)
        for name, what in source.extras:
            column = _extra(what, records, start, length, timestamps, partition, chunk)
            fields.append(pa.field(name, column.type))
            columns.append(column)
        schema = pa.schema(fields)
    headers = None if records.headers is None else records.headers.slice(start, length)
    batch = Batch(
        schema,
        len(source.key_schema),
        tuple(columns),
        timestamps,
        positions,
        tombstones=nulls,
        window_starts=None if chunk.windows is None else chunk.windows[0][start:stop],
        window_ends=None if chunk.windows is None else chunk.windows[1][start:stop],
        headers=headers,
    )
    if not bad:
        return batch, None
    rows = np.array(sorted(bad), np.int64)
    keep = np.ones(length, np.bool_)
    keep[rows] = False
    faults = [bad[int(r)] for r in rows]
    return batch.filter(keep), BadRows(rows, tuple(f[0] for f in faults), tuple(f[1] for f in faults))


def all_null(columns: tuple[Any, ...], start: int, length: int) -> Bools:
    """bool[length]: whether all of the columns are null in the row."""
    mask = np.ones(length, np.bool_)
    for column in columns:
        piece = column.slice(start, length)
        if piece.null_count == 0:
            return np.zeros(length, np.bool_)
        mask &= booleans(piece.is_null())
    return mask


def _extract_timestamps(
    source: Source,
    columns: tuple[Any, ...],
    length: int,
    nulls: Bools | None,
    fallback: Int64s,
    bad: dict[int, tuple[str, str]],
) -> Int64s:
    """Find the event time of each row (reference section 6); rows without a valid one become bad.

    A record with a null value has no timestamp column, so it keeps the record's own timestamp.
    """
    assert source.timestamp is not None
    values, failures = source.timestamp(columns, length)
    if failures is None and values.null_count == 0 and nulls is None and isinstance(values, pa.Array):
        plain = np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
        if int(plain.min()) >= 0 and int(plain.max()) <= TIMESTAMP_MS_MAX:
            return plain
    reasons: dict[int, str] = {} if failures is None else dict(zip(failures.rows.tolist(), failures.reasons))
    missing = booleans(values.is_null())
    extracted = np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    wrong = missing | (extracted < 0) | (extracted > TIMESTAMP_MS_MAX)
    if nulls is not None:
        wrong &= ~nulls
        extracted = np.where(nulls, fallback, extracted)
    for row in np.nonzero(wrong)[0].tolist():
        reason = reasons.get(row) or (
            "the timestamp column is null"
            if missing[row]
            else f"the timestamp {extracted[row]} is " + ("negative" if extracted[row] < 0 else f"above {TIMESTAMP_MS_MAX}")
        )
        bad.setdefault(row, (TIMESTAMP_SIDE, reason))
    return extracted


def _extra(
    what: str, records: FetchedRecords, start: int, length: int, timestamps: Int64s, partition: int, chunk: DecodedRecords
) -> Any:
    """A pseudo or header column."""
    stop = start + length
    if what == "ROWTIME":
        return pa.array(timestamps, pa.int64())
    if what == "ROWPARTITION":
        return pa.array(np.full(length, partition, np.int32))
    if what == "ROWOFFSET":
        return pa.array(records.offsets[start:stop], pa.int64())
    if what in ("WINDOWSTART", "WINDOWEND"):
        if chunk.windows is None:
            return pa.nulls(length, pa.int64())
        return pa.array(chunk.windows[0 if what == "WINDOWSTART" else 1][start:stop], pa.int64())
    headers = [None] * length if records.headers is None else records.headers.slice(start, length).to_pylist()
    if what == "HEADERS":
        return pa.array([h or [] for h in headers], HEADERS)
    wanted = what.removeprefix("HEADER:")
    found = [next((h["VALUE"] for h in reversed(row or []) if h["KEY"] == wanted), None) for row in headers]
    return pa.array(found, pa.binary())


def empty_source_batch(source: Source) -> Batch:
    """A batch without rows, of the shape that `to_batch` gives."""
    kinds = {"ROWPARTITION": pa.int32(), "HEADERS": HEADERS}
    extras = [(n, pa.binary() if w.startswith("HEADER:") else kinds.get(w, pa.int64())) for n, w in source.extras]
    schema = pa.schema([*source.key_schema, *source.value_schema, *(pa.field(n, t) for n, t in extras)])
    return empty_batch(schema, len(source.key_schema), windowed=source.window is not None)
