"""Decodes Kafka's record batches (format 2) into records of the log, and encodes records as batches.

A batch is a header of 61 bytes, followed by its records, which may be compressed together::

    base offset int64 | length int32 | leader epoch int32 | magic int8 = 2 | crc32c uint32 of all that follows |
    attributes int16 | last offset delta int32 | base timestamp int64 | max timestamp int64 | producer id int64 |
    producer epoch int16 | base sequence int32 | count int32 | records
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

import crc32c
import numpy as np
import pyarrow as pa

from ..limits import KAFKA_BATCH_BYTES_MAX, KAFKA_RECORD_BYTES, KAFKA_UNPACKED_BYTES_MAX
from ..storage.log.protocol import FetchedRecords, Records
from .protocol import ErrorCode
from .record_columns import RecordColumns, decode, encode

__all__ = ["InvalidBatch", "ReceivedBatch", "decode_batch", "encode_batch"]

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_CRC = struct.Struct(">qiibI")
_Codec = Literal["gzip", "snappy", "lz4", "zstd"]
_CODECS: Final[dict[int, _Codec | None]] = {0: None, 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_TRANSACTIONAL, _CONTROL = 0x10, 0x20
_XERIAL = b"\x82SNAPPY\x00"
"""The first bytes of snappy data as Java frames it.  Two version numbers of 4 bytes follow, then blocks, each behind its
length."""


class InvalidBatch(Exception):
    """A batch is refused.

    Attributes:
        code: the Kafka error to answer with.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """A batch that a producer sent.

    Attributes:
        records: the n records, as the log takes them.
        producer_id: -1 if the producer has no id.
        base_sequence: the sequence number of the first record; -1 without a producer id.
        transactional: whether it belongs to a transaction: its records become visible when that is committed.
        size: the bytes that it takes in memory, roughly.
    """

    records: Records
    producer_id: int
    producer_epoch: int
    base_sequence: int
    transactional: bool
    size: int

    def __len__(self) -> int:
        return len(self.records)

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record.  The number after 2^31 - 1 is 0."""
        return (self.base_sequence + len(self.records) - 1) & 0x7FFFFFFF


def decode_batch(data: bytes, now_ms: int, room: int = KAFKA_UNPACKED_BYTES_MAX) -> ReceivedBatch:
    """Decode the batch that a producer sent to one partition.

    Args:
        now_ms: the timestamp for records that have none.
        room: the bytes that it may take in memory, see `ReceivedBatch.size`.

    Raises:
        InvalidBatch: the batch is damaged, has another format, is too large or is a control batch; or there are several
            batches, of which none is decompressed then.
    """
    if len(data) < 17:
        raise InvalidBatch(ErrorCode.corrupt_message, "a batch is cut off")
    length, magic = struct.unpack_from(">i", data, 8)[0], data[16]
    if magic != 2:
        raise InvalidBatch(
            ErrorCode.unsupported_for_message_format, f"a batch of format {magic}: clients since Kafka 0.11 write format 2"
        )
    end = 12 + length
    if length < _HEADER.size - 12 or end > len(data):
        raise InvalidBatch(ErrorCode.corrupt_message, f"a batch says that it has {length} bytes")
    if end < len(data):  # Kafka's rule since Produce 3
        raise InvalidBatch(ErrorCode.invalid_record, "a further batch where a partition has one in a request")
    header = _HEADER.unpack_from(data)
    (_, _, _, _, crc, attributes, last_delta, base_ms, _, producer_id, producer_epoch, base_sequence, count) = header
    if crc32c.crc32c(memoryview(data)[_BEFORE_CRC.size :]) != crc:
        raise InvalidBatch(ErrorCode.corrupt_message, "the checksum of a batch is wrong")
    if attributes & _CONTROL:
        raise InvalidBatch(ErrorCode.invalid_record, "control batches are the broker's to write")
    codec = attributes & 7
    if codec not in _CODECS:
        raise InvalidBatch(ErrorCode.unsupported_compression_type, f"there is no compression {codec}")
    room -= max(count, 0) * KAFKA_RECORD_BYTES
    try:
        body = _decompressed(data[_HEADER.size :], _CODECS[codec], room)
        columns = decode(body, count)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InvalidBatch(ErrorCode.corrupt_message, f"the records of a batch cannot be read: {error}") from error
    if count == 0 or last_delta != count - 1 or not np.array_equal(columns.offsets, np.arange(count)):
        raise InvalidBatch(ErrorCode.invalid_record, "the records of a batch are not numbered from 0 on")
    if producer_id >= 0 and (base_sequence < 0 or producer_epoch < 0):  # (without an id, clients write -1 or 0)
        raise InvalidBatch(ErrorCode.invalid_record, "a batch with a producer id and without its number or epoch")
    timestamps = columns.timestamps + base_ms
    timestamps[timestamps < 0] = now_ms
    records = Records(columns.keys, columns.values, timestamps, columns.headers)
    size = len(body) + count * KAFKA_RECORD_BYTES
    return ReceivedBatch(records, producer_id, producer_epoch, base_sequence, bool(attributes & _TRANSACTIONAL), size)


def _decompressed(body: bytes, codec: _Codec | None, room: int) -> bytes:
    """Decompress the records of a batch.

    Raises:
        InvalidBatch: decompressed, they have more than `KAFKA_BATCH_BYTES_MAX` or ``room`` bytes.
        ValueError, OSError, pa.ArrowException: the compressed bytes are damaged.
    """
    if len(body) > room:
        raise InvalidBatch(
            ErrorCode.message_too_large,
            f"the batches of one request take more than {KAFKA_UNPACKED_BYTES_MAX} bytes (KAFKA_UNPACKED_BYTES_MAX)",
        )
    if codec is None:
        return body
    most = min(KAFKA_BATCH_BYTES_MAX, room)
    if codec == "snappy":
        return _unsnapped(body, most)
    with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
        data = stream.read(most + 1)
    _check_size(len(data), most)
    return bytes(data)


def _unsnapped(body: bytes, most: int) -> bytes:
    if not body.startswith(_XERIAL):
        return _unsnapped_block(body, most, most)
    at, parts, total = len(_XERIAL) + 8, [], 0
    while at < len(body):
        if len(body) - at < 4:
            raise ValueError("a block of snappy is cut off")
        (size,) = struct.unpack_from(">i", body, at)
        at += 4
        if size < 0 or at + size > len(body):
            raise ValueError("a block of snappy is cut off")
        parts.append(_unsnapped_block(body[at : at + size], most - total, most))
        total += len(parts[-1])
        at += size
    return b"".join(parts)


def _unsnapped_block(block: bytes, left: int, most: int) -> bytes:
    """Decompress one block of raw snappy.  Its first bytes are its decompressed length, which may be at most ``left``."""
    size = shift = 0
    for byte in block[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise ValueError("a block of snappy without its length")
    if size > left:
        _check_size(most + 1, most)
    if size == 0:
        return b""
    return bytes(pa.decompress(block, decompressed_size=size, codec="snappy", asbytes=True))


def _check_size(size: int, most: int) -> None:
    if size > most:
        name = "KAFKA_BATCH_BYTES_MAX" if most == KAFKA_BATCH_BYTES_MAX else "what KAFKA_UNPACKED_BYTES_MAX leaves"
        raise InvalidBatch(ErrorCode.message_too_large, f"a batch has more than {most} bytes ({name})")


def encode_batch(records: FetchedRecords) -> bytes:
    """Encode the records of one partition, whose values are bytes, as one uncompressed batch."""
    timestamps, offsets = records.timestamps, records.offsets
    base_ms, base = int(timestamps[0]), int(offsets[0])
    columns = RecordColumns(
        timestamps - base_ms, offsets - base, _flat(records.keys), _flat(records.values), records.headers
    )
    body = encode(columns)
    last, count = int(offsets[-1]) - base, len(timestamps)
    rest = struct.pack(">hiqqqhii", 0, last, base_ms, int(timestamps.max()), -1, -1, -1, count)
    crc = crc32c.crc32c(body, crc32c.crc32c(rest))
    return _BEFORE_CRC.pack(base, len(rest) + len(body) + 9, 0, 2, crc) + rest + body


def _flat(array: Any) -> Any:
    if array is None or array.type == pa.binary():
        return array
    return array.cast(pa.binary())
