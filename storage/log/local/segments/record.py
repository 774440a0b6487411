"""Frames: the bytes of a batch of records, and their checksums.

A frame is a header of 72 bytes, little-endian, and a body::

     0  u32  header_crc     crc32c of bytes 4..72
     4  u32  body_crc       crc32c of the body, or of the checksums at its end
     8  u32  body_length    bytes in the body, a multiple of 8
    12  u32  rows           at least 1
    16  u64  epoch          of the commit that wrote it (of the last of them, after a merge)
    24  i64  base_offset    of the first row
    32  i64  end_offset     the offset after the last row (after compaction: after the last row that was)
    40  i64  base_arrival   of the first row
    48  i64  timestamp_min
    56  i64  timestamp_max
    64  u32  flags          which columns the body has, and whether each has a checksum of its own; see `Flags`
    68  u16  key_width      bytes in each key, if all have as many and stand there without offsets; else 0
    70  u16  value_width    the same of the values

The body is one Arrow IPC record batch message; behind a large one are checksums per column (see `sums`).  Its schema is
not in it: it follows from the flags and the segment's value type (see `frame_schema`).  What can be computed is left out:
a column of keys that are all null, timestamps that are all the same, offsets and arrivals that count up by one, where each
key or value begins if all have the same length.  Timestamps that lie close together are kept as differences from
``timestamp_min``.

Example: one record in a topic of bytes, key ``k``, value ``v``, at offset 7 and time 1000, has flags KEYS (1); its body is a
message with the columns ``key: ["k"], value: ["v"]``; ``base_offset`` 7, ``end_offset`` 8, both timestamps 1000.

A crash leaves at most a piece of a frame, and only beyond the length that the commit journal gives for the segment; the
journal's recovery cuts it off.  A checksum that is wrong within that length is damage, never a torn tail.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from crc32c import crc32c

from .....errors import StorageError
from .....limits import FRAME_BYTES_MAX, FRAME_ROWS_MAX, FRAME_UNPACKED_BYTES_MAX
from ...protocol import HEADERS, Compression, FetchedRecords, Int64s, Records
from .packing import NARROW_TIMES, narrow, pack, unpack, width_of
from .sums import summed

__all__ = [
    "HEADER_BYTES",
    "KNOWN_FLAGS",
    "Flags",
    "FrameHeader",
    "PreparedFrame",
    "concat_records",
    "concat_fetched",
    "encode_frames",
    "fields_hold_dictionaries",
    "frame_schema",
    "moved",
    "normalise",
    "parse_header",
    "pieces_of",
    "rows_of",
    "slice_frame",
    "take_records",
    "widen",
]

HEADER_BYTES = 72
_HEADER = struct.Struct("<IIIIQqqqqqIHH")
_DELTA_MAX = 2**32 - 1
_GATHERED_BYTES_MIN = 256 * 1024
"""Bodies of at least this size are written in one gathering call; smaller ones are copied together first."""
_ROWS_OF_A_SLICE = 256
"""If frames have at least this many rows on average, one addition per frame is cheaper than one number per row."""


class Flags:
    """Columns of a body, in this order; the value's columns follow.  (Plain numbers: an IntFlag is slow per frame.)"""

    KEYS: Final = 1
    TIMESTAMPS: Final = 2
    HEADERS: Final = 4
    OFFSETS: Final = 8
    ARRIVALS: Final = 16
    TOMBSTONES: Final = 32
    TIMES_16: Final = 64
    TIMES_32: Final = 128
    SUMS: Final = 256
    """No column: checksums per column follow the message (`sums`)."""


_FLAG_FIELDS = (
    (Flags.KEYS, pa.field("key", pa.binary())),
    (Flags.TIMESTAMPS, pa.field("timestamp", pa.int64())),
    (Flags.TIMES_16, pa.field("timestamp", pa.uint16())),  # minus timestamp_min
    (Flags.TIMES_32, pa.field("timestamp", pa.uint32())),  # minus timestamp_min
    (Flags.HEADERS, pa.field("headers", HEADERS)),
    (Flags.OFFSETS, pa.field("offset", pa.uint32())),  # minus base_offset
    (Flags.ARRIVALS, pa.field("arrival", pa.uint32())),  # minus base_arrival
    (Flags.TOMBSTONES, pa.field("tombstone", pa.bool_())),  # typed values only: where the whole value is null
)
KNOWN_FLAGS = sum(flag for flag, _ in _FLAG_FIELDS) | Flags.SUMS
_NARROW_FLAGS = dict(zip(NARROW_TIMES, (Flags.TIMES_16, Flags.TIMES_32), strict=True))


class FrameHeader(NamedTuple):
    """See the module's text."""

    header_crc: int
    body_crc: int
    body_length: int
    rows: int
    epoch: int
    base_offset: int
    end_offset: int
    base_arrival: int
    timestamp_min: int
    timestamp_max: int
    flags: int
    key_width: int
    value_width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Which columns the body has, and how they are written.  Frames with equal shapes can be decoded together."""
        return self.flags & ~Flags.SUMS, self.key_width, self.value_width


def parse_header(data: Any, position: int = 0) -> FrameHeader | None:
    """The header at ``position`` in ``data``; None if it is not whole or its checksum is wrong."""
    if len(data) - position < HEADER_BYTES:
        return None
    header = FrameHeader._make(_HEADER.unpack_from(data, position))
    if crc32c(data[position + 4 : position + HEADER_BYTES]) != header.header_crc or header.rows == 0:
        return None
    return header


def moved(header: FrameHeader, epoch: int, base_offset: int, base_arrival: int) -> bytes:
    """The header's bytes for another place in the log.  The body stays: its numbers are relative to the header's."""
    span = header.end_offset - header.base_offset
    fields = header._replace(epoch=epoch, base_offset=base_offset, end_offset=base_offset + span, base_arrival=base_arrival)
    packed = bytearray(_HEADER.pack(*fields))
    struct.pack_into("<I", packed, 0, crc32c(memoryview(packed)[4:]))
    return bytes(packed)


@lru_cache(maxsize=4096)
def frame_schema(value_type: Any | None, flags: int, key_width: int = 0, value_width: int = 0) -> Any:
    """The Arrow schema of a body: the columns that ``flags`` names, then the value (typed: one column per field)."""
    fields: list[pa.Field[Any]] = [field for flag, field in _FLAG_FIELDS if flags & flag]
    if key_width:
        fields[0] = pa.field("key", pa.binary(key_width))
    if value_type is None:
        fields.append(pa.field("value", pa.binary(value_width or -1)))
    else:
        fields.extend(value_type.field(i) for i in range(value_type.num_fields))
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """A frame that is encoded but for what only the commit knows: epoch, offset and arrival.

    ``first_arrival`` and ``offset_span`` are relative to the transaction's first record and the frame's base.
    """

    rows: int
    shape: tuple[int, int, int]
    body: tuple[Any, ...]
    """Its bytes, in pieces: a large column is not copied before it is written."""
    body_length: int
    body_crc: int
    summed: bool
    timestamp_min: int
    timestamp_max: int
    first_arrival: int
    offset_span: int

    @property
    def size(self) -> int:
        return HEADER_BYTES + self.body_length

    def header(self, epoch: int, base_offset: int, base_arrival: int) -> bytes:
        """The header's bytes, for its place."""
        packed = bytearray(
            _HEADER.pack(
                0,
                self.body_crc,
                self.body_length,
                self.rows,
                epoch,
                base_offset,
                base_offset + self.offset_span,
                base_arrival,
                self.timestamp_min,
                self.timestamp_max,
                self.shape[0] | (Flags.SUMS if self.summed else 0),
                *self.shape[1:],
            )
        )
        struct.pack_into("<I", packed, 0, crc32c(memoryview(packed)[4:]))
        return bytes(packed)


# ------------------------------------------------------------------------------------------------------- encoding


def _array(column: Any, wanted: Any, what: str) -> Any:
    """``column`` as one array of the wanted type."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
    elif not isinstance(column, pa.Array):
        column = pa.array(column, wanted)
    if column.type == wanted:
        return column
    if wanted == pa.binary() and (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    ):
        return column.cast(wanted)
    if pa.types.is_struct(column.type) and pa.types.is_struct(wanted):
        fields = [column.type.field(i) for i in range(column.type.num_fields)]
        expected = [wanted.field(i) for i in range(min(len(fields), wanted.num_fields))]
        if [(f.name, f.type) for f in fields] == [(f.name, f.type) for f in expected]:
            return widen(column, wanted)
    raise StorageError(f"{what} have the type {column.type}, the topic takes {wanted}")


def widen(values: Any, wanted: Any) -> Any:
    """Convert structs to a type that has further fields at its end; these are null.

    So a writer goes on that has not noticed that a topic was altered, or whose fields differ only in being nullable.
    """
    n = len(values)
    missing = [pa.nulls(n, wanted.field(i).type) for i in range(values.type.num_fields, wanted.num_fields)]
    nullable = pa.struct([f.with_nullable(True) for f in wanted])
    mask = values.is_null() if values.null_count else None
    return pa.StructArray.from_arrays(values.flatten() + missing, fields=list(nullable), mask=mask)


def normalise(records: Records, value_type: Any | None) -> Records:
    """Convert records so that each column is one array of the topic's type, with `widen` where that is needed.

    Raises:
        StorageError: another type, or columns of different lengths.
    """
    n = len(records)
    keys = None if records.keys is None else _array(records.keys, pa.binary(), "the keys")
    if keys is not None and keys.null_count == n:
        keys = None
    values = _array(records.values, pa.binary() if value_type is None else value_type, "the values")
    headers = None if records.headers is None else _array(records.headers, HEADERS, "the headers")
    if headers is not None and headers.null_count == n:
        headers = None
    for column in (keys, values, headers):
        if column is not None and len(column) != n:
            raise StorageError(f"columns of different lengths: {n} timestamps, {len(column)} other values")
    return Records(keys, values, np.ascontiguousarray(records.timestamps, np.int64), headers)


def take_records(records: Records, rows: Int64s) -> Records:
    """The rows of the given numbers."""
    index = pa.array(rows)
    return Records(
        None if records.keys is None else records.keys.take(index),
        records.values.take(index),
        records.timestamps[rows],
        None if records.headers is None else records.headers.take(index),
    )


def slice_records(records: Records, start: int, stop: int) -> Records:
    """Rows start..stop-1, without copying."""
    length = stop - start
    return Records(
        None if records.keys is None else records.keys.slice(start, length),
        records.values.slice(start, length),
        records.timestamps[start:stop],
        None if records.headers is None else records.headers.slice(start, length),
    )


def concat_records(parts: Sequence[Records]) -> Records:
    """One after the other; if the topic's type grew between them, all get the last one's."""
    if len(parts) == 1:
        return parts[0]
    values = [p.values for p in parts]
    if any(v.type != values[-1].type for v in values):
        values = [widen(v, values[-1].type) for v in values]

    def joined(columns: list[Any], lengths: list[int], kind: Any) -> Any | None:
        if all(c is None for c in columns):
            return None
        return pa.concat_arrays([pa.nulls(n, kind) if c is None else c for c, n in zip(columns, lengths, strict=True)])

    lengths = [len(p) for p in parts]
    return Records(
        joined([p.keys for p in parts], lengths, pa.binary()),
        pa.concat_arrays(values),
        np.concatenate([p.timestamps for p in parts]),
        joined([p.headers for p in parts], lengths, HEADERS),
    )


def encode_frames(
    records: Records,
    arrivals: Int64s,
    value_type: Any | None,
    *,
    offsets: Int64s | None = None,
    offset_end: int | None = None,
    compression: Compression = "none",
) -> list[PreparedFrame]:
    """Normalised records as frames of at most `FRAME_ROWS_MAX` rows.

    Args:
        arrivals: ascending; relative to the transaction's first record, or absolute.
        offsets: ascending, if they do not count up by one; then ``offset_end`` is the offset after the last.
        compression: of the bodies.  Readers find it in the bodies themselves.

    Raises:
        StorageError: one record alone is larger than a frame can be.
    """
    n = len(records)
    frames: list[PreparedFrame] = []
    pieces = [(start, min(start + FRAME_ROWS_MAX, n)) for start in range(0, n, FRAME_ROWS_MAX)]
    while pieces:
        start, stop = pieces.pop(0)
        end = stop if offsets is None else int(offsets[stop]) if stop < n else offset_end
        frame = _encode_frame(
            records if (start, stop) == (0, n) else slice_records(records, start, stop),
            arrivals[start:stop],
            value_type,
            None if offsets is None else offsets[start:stop],
            end,
            compression,
        )
        if frame is not None:
            frames.append(frame)
        elif stop - start == 1:
            raise StorageError(f"a record has more than {FRAME_BYTES_MAX} bytes", action="send smaller records")
        else:  # too large: two halves
            middle = (start + stop) // 2
            pieces[:0] = [(start, middle), (middle, stop)]
    return frames


class _Columns:
    """The columns of a frame's body, as they are added, in the order of the flags, the value's last."""

    def __init__(self) -> None:
        self.flags = self.key_width = self.value_width = 0
        self.arrays: list[Any] = []

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `FrameHeader.shape`."""
        return self.flags, self.key_width, self.value_width

    def add(self, flag: int, array: Any) -> None:
        """Add a column that a frame may lack."""
        self.flags |= flag
        self.arrays.append(array)

    def add_keys(self, keys: Any) -> None:
        """Add the keys; without their offsets if all keys have the same length."""
        self.key_width = width_of(keys)
        self.add(Flags.KEYS, pack(keys, self.key_width) if self.key_width else keys)

    def add_timestamps(self, timestamps: Int64s, first: int, last: int) -> None:
        """Add timestamps, as differences if they lie close together."""
        narrowed = narrow(timestamps, first, last)
        flag = Flags.TIMESTAMPS if narrowed is None else _NARROW_FLAGS[narrowed.dtype.type]
        self.add(flag, pa.array(timestamps if narrowed is None else narrowed))

    def add_counted(self, flag: int, numbers: Int64s) -> bool:
        """Add offsets or arrivals, unless they count up by one.  Returns False if they lie too far apart for one frame."""
        span = int(numbers[-1]) - int(numbers[0])
        if span > _DELTA_MAX:
            return False
        if span != len(numbers) - 1:
            self.add(flag, pa.array((numbers - numbers[0]).astype(np.uint32)))
        return True

    def add_values(self, values: Any, value_type: Any | None) -> None:
        """Add values: one column of bytes, or a column for each field and one that says which values are null as a whole."""
        if value_type is None:
            self.value_width = width_of(values)
            self.arrays.append(pack(values, self.value_width) if self.value_width else values)
            return
        if values.null_count or value_type.num_fields == 0:
            self.add(Flags.TOMBSTONES, values.is_null())
        self.arrays.extend(values.flatten())


def _encode_frame(
    records: Records,
    arrivals: Int64s,
    value_type: Any | None,
    offsets: Int64s | None,
    offset_end: int | None,
    compression: Compression,
) -> PreparedFrame | None:
    """One frame; None if there are too many records for one, or they lie too far apart."""
    n = len(records)
    columns = _Columns()
    if records.keys is not None:
        columns.add_keys(records.keys)
    if n == 1:
        timestamp_min = timestamp_max = int(records.timestamps[0])
    else:
        timestamp_min, timestamp_max = int(records.timestamps.min()), int(records.timestamps.max())
    if timestamp_min != timestamp_max:
        columns.add_timestamps(records.timestamps, timestamp_min, timestamp_max)
    if records.headers is not None:
        columns.add(Flags.HEADERS, records.headers)
    offset_span = n
    if offsets is not None:
        assert offset_end is not None
        offset_span = offset_end - int(offsets[0])
        if not columns.add_counted(Flags.OFFSETS, offsets):
            return None
    if not columns.add_counted(Flags.ARRIVALS, arrivals):
        return None
    columns.add_values(records.values, value_type)
    batch = pa.RecordBatch.from_arrays(columns.arrays, schema=frame_schema(value_type, *columns.shape))
    if n > 1 and batch.nbytes > FRAME_BYTES_MAX // 2:  # (one row is never cut, and asking takes longer than encoding it)
        return None
    body: tuple[Any, ...]
    sums: bytes | None = None
    if compression != "none":
        compressed = _compressed(batch, compression)
        if compressed is None:
            return None
        body = (compressed,)
    elif n > 1 and batch.nbytes >= _GATHERED_BYTES_MIN:
        body = pieces_of(batch)
        sums = summed(body, batch.schema)
        body = body if sums is None else (*body, sums)
    else:
        body = (batch.serialize(),)
    length = sum(map(len, body))
    if length > FRAME_BYTES_MAX:
        return None
    crc = 0
    for piece in body if sums is None else (sums,):
        crc = crc32c(piece, crc)
    has_sums = sums is not None
    return PreparedFrame(
        n, columns.shape, body, length, crc, has_sums, timestamp_min, timestamp_max, int(arrivals[0]), offset_span
    )


class _Collected(io.RawIOBase):
    """A file that keeps what is written to it, as it comes: Arrow hands over its buffers themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Any] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, piece: Any) -> int:
        """Keep a piece, and do not copy it."""
        self.pieces.append(piece)
        return len(piece)


def pieces_of(batch: Any) -> tuple[Any, ...]:
    """The bytes of ``batch.serialize()`` in pieces: metadata, the columns' own buffers (not copied), and padding."""
    collected = _Collected()
    with pa.ipc.new_stream(pa.PythonFile(collected, mode="w"), batch.schema) as stream:
        stream.write_batch(batch)
        pieces = list(collected.pieces)
    schema = 8 + int.from_bytes(b"".join(pieces[:2])[4:8], "little")  # its message comes first, and a frame does without
    while schema > 0:
        schema -= len(pieces.pop(0))
    return tuple(pieces)


def _compressed(batch: Any, compression: Compression) -> Any | None:
    """The compressed message of a batch; None if it would be refused when it is read, because it unpacks to too much."""
    if batch.nbytes > FRAME_UNPACKED_BYTES_MAX:
        return None
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
        stream.write_batch(batch)
    reader = pa.ipc.MessageReader.open_stream(sink.getvalue())
    reader.read_next_message()  # the schema, which a frame does without
    return reader.read_next_message().serialize(alignment=8)


# ------------------------------------------------------------------------------------------------------- decoding


def rows_of(
    headers: Sequence[FrameHeader],
    batches: Sequence[Any],
    value_type: Any | None,
    wanted_type: Any | None,
    fields: Sequence[str] | None,
    pieces: bool = False,
) -> FetchedRecords:
    """The records of frames that have the same shape.

    Args:
        value_type: the segments'.
        wanted_type: the topic's, which may have more fields at its end: null here.
        fields: which fields of it to give, in this order; None gives all.
        pieces: values that are bytes may stay in several pieces.
    """
    n = sum(batch.num_rows for batch in batches)
    flags, key_width, value_width = headers[0].shape
    pieces = pieces and value_type is None and len(batches) > 1
    columns = iter(batches[0].columns if len(batches) == 1 else _joined(batches, value_type, wanted_type, fields, pieces))
    keys = next(columns) if flags & Flags.KEYS else None
    if key_width:
        keys = unpack(keys, key_width)
    if flags & Flags.TIMESTAMPS:
        timestamps = next(columns).to_numpy()
    elif flags & (Flags.TIMES_16 | Flags.TIMES_32):
        timestamps = _raised(next(columns), headers, [h.timestamp_min for h in headers])
    else:
        timestamps = _per_row(headers, n, [h.timestamp_min for h in headers])
    head = next(columns) if flags & Flags.HEADERS else None
    bases = [h.base_offset for h in headers]
    if flags & Flags.OFFSETS:
        offsets = _raised(next(columns), headers, bases)
    else:
        offsets = _counted(headers, n, bases)
    bases = [h.base_arrival for h in headers]
    if flags & Flags.ARRIVALS:
        arrivals = _raised(next(columns), headers, bases)
    else:
        arrivals = _counted(headers, n, bases)
    tombstones = next(columns) if flags & Flags.TOMBSTONES else None
    if pieces:
        parts = [batch.column(batch.num_columns - 1) for batch in batches]
        values = pa.chunked_array([unpack(part, value_width) for part in parts] if value_width else parts)
    elif value_type is None:
        values = next(columns)
        if value_width:
            values = unpack(values, value_width)
    else:
        values = _typed_values(list(columns), tombstones, n, value_type, wanted_type, fields)
    last = headers[-1]
    return FetchedRecords(
        keys,
        values,
        timestamps,
        head,
        offsets=offsets,
        arrivals=arrivals,
        epoch=last.epoch,
        next_offset=last.end_offset,
    )


def _per_row(headers: Sequence[FrameHeader], n: int, per_frame: list[int]) -> Int64s:
    """A number per frame as a number per row."""
    if len(headers) == 1:
        return np.full(n, per_frame[0], np.int64)
    return np.repeat(np.array(per_frame, np.int64), [h.rows for h in headers])


def _raised(differences: Any, headers: Sequence[FrameHeader], bases: list[int]) -> Int64s:
    """Add each frame's base number to the differences of its rows."""
    numbers: Int64s = differences.to_numpy().astype(np.int64)
    if len(headers) * _ROWS_OF_A_SLICE > len(numbers):
        numbers += _per_row(headers, len(numbers), bases)
        return numbers
    first = 0
    for header, base in zip(headers, bases, strict=True):
        numbers[first : first + header.rows] += base
        first += header.rows
    return numbers


def _counted(headers: Sequence[FrameHeader], n: int, bases: list[int]) -> Int64s:
    """Numbers that count up by one within each frame, beginning with the frame's base."""
    if all(before + h.rows == base for before, h, base in zip(bases, headers, bases[1:], strict=False)):
        return np.arange(bases[0], bases[0] + n, dtype=np.int64)  # and across them, as a rule
    rows = np.array([h.rows for h in headers], np.int64)
    firsts: Int64s = np.array(bases, np.int64) - (np.cumsum(rows) - rows)
    numbers: Int64s = np.arange(n, dtype=np.int64) + np.repeat(firsts, rows)
    return numbers


def _joined(
    batches: Sequence[Any], value_type: Any | None, wanted_type: Any | None, fields: Sequence[str] | None, pieces: bool
) -> list[Any]:
    """The columns of several batches, joined.  None for a column of values that is not asked for or stays in pieces."""
    count = batches[0].num_columns
    first = count if value_type is None else count - value_type.num_fields
    asked = set(range(count))
    if pieces:
        asked = set(range(count - 1))
    elif fields is not None and wanted_type is not None:
        asked = {*range(first), *(first + wanted_type.get_field_index(name) for name in fields)}
    return [pa.concat_arrays([b.column(i) for b in batches]) if i in asked else None for i in range(count)]


def _typed_values(
    stored: list[Any], tombstones: Any | None, n: int, value_type: Any, wanted_type: Any, fields: Sequence[str] | None
) -> Any:
    """One struct array from the columns of the fields."""
    if fields is None:
        chosen = list(range(wanted_type.num_fields))
    else:
        chosen = [wanted_type.get_field_index(name) for name in fields]
        if -1 in chosen:
            missing = [name for name, place in zip(fields, chosen, strict=True) if place < 0]
            raise StorageError(f"the topic's values have no field {', '.join(missing)}")
    wanted = [wanted_type.field(i) for i in chosen]
    if not wanted:
        bitmap = None if tombstones is None else pc.invert(tombstones)
        buffer = None if bitmap is None or bitmap.offset else bitmap.buffers()[1]
        return pa.Array.from_buffers(pa.struct([]), n, [buffer])
    arrays = [stored[i] if i < len(stored) else pa.nulls(n, field.type) for i, field in zip(chosen, wanted, strict=True)]
    nullable = [f.with_nullable(True) for f in wanted]
    return pa.StructArray.from_arrays(arrays, fields=nullable, mask=tombstones)


def slice_frame(header: FrameHeader, batch: Any, offset: int, rows_max: int) -> tuple[FrameHeader, Any]:
    """The rows of a frame from ``offset`` on, at most ``rows_max``, with a matching header.  Not copied; may be empty."""
    flags = header.flags
    if offset <= header.base_offset and header.rows <= rows_max:
        return header, batch
    places = {flag: i for i, flag in enumerate(f for f, _ in _FLAG_FIELDS if flags & f)}
    deltas = batch.column(places[Flags.OFFSETS]).to_numpy() if flags & Flags.OFFSETS else None
    start = max(0, offset - header.base_offset)
    if deltas is not None:
        start = int(np.searchsorted(deltas, start))
    stop = min(header.rows, start + rows_max)
    if start >= stop:
        return header._replace(rows=0), batch.slice(0, 0)
    if stop < header.rows:
        last = stop - 1 if deltas is None else int(deltas[stop - 1])
        header = header._replace(end_offset=header.base_offset + last + 1)
    return (
        header._replace(
            rows=stop - start,
            base_offset=header.base_offset + (start if deltas is None else 0),
            base_arrival=header.base_arrival + (0 if flags & Flags.ARRIVALS else start),
        ),
        batch.slice(start, stop - start),
    )


def concat_fetched(parts: Sequence[FetchedRecords]) -> FetchedRecords:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    together = concat_records(parts)
    return FetchedRecords(
        together.keys,
        together.values,
        together.timestamps,
        together.headers,
        offsets=np.concatenate([p.offsets for p in parts]),
        arrivals=np.concatenate([p.arrivals for p in parts]),
        epoch=parts[-1].epoch,
        next_offset=parts[-1].next_offset,
    )


def fields_hold_dictionaries(kind: Any) -> bool:
    """Whether a type has a dictionary anywhere inside.  Frames cannot hold one, since each is read alone."""
    if pa.types.is_dictionary(kind):
        return True
    return any(fields_hold_dictionaries(kind.field(i).type) for i in range(kind.num_fields))
