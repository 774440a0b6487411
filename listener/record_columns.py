"""Decodes the records of a Kafka batch into Arrow columns, and encodes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..kernels import kafka_records
from ..storage.log.protocol import HEADERS

__all__ = ["RecordColumns", "decode", "encode"]

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """The columns of n records of a batch.

    Attributes:
        timestamps: int64[n], milliseconds relative to the batch's base timestamp.
        offsets: int64[n], relative to the batch's base offset.
        keys: binary[n] with nulls; None if every key is null.
        values: binary[n] with nulls.
        headers: `HEADERS`[n]; None if no record has any.
    """

    timestamps: Int64s
    offsets: Int64s
    keys: Any | None
    values: Any
    headers: Any | None


def decode(data: bytes, count: int) -> RecordColumns:
    """Decode the records from the bytes behind a batch's header.

    Raises:
        ValueError: they are not ``count`` well-formed records.
    """
    source = np.frombuffer(data, np.uint8)
    found = kafka_records.decode(source, count)
    keys = _binary(found.key_offsets, found.key_data, found.key_valid, pa.binary()) if found.keys else None
    values = _binary(found.value_offsets, found.value_data, found.value_valid, pa.binary())
    headers = None
    if found.headers:
        parts = kafka_records.decode_headers(source, count, found.headers)
        headers = _headers(found.header_ends, parts)
    return RecordColumns(found.timestamps, found.offsets, keys, values, headers)


def _headers(ends: Any, found: kafka_records.Headers) -> Any:
    names = _binary(found.name_offsets, found.name_data, np.ones(len(found.value_valid), np.uint8), pa.string())
    try:
        names.validate(full=True)
    except pa.ArrowInvalid:
        raise ValueError("the name of a header is not UTF-8") from None
    values = _binary(found.value_offsets, found.value_data, found.value_valid, pa.binary())
    items = pa.StructArray.from_arrays([names, values], fields=list(HEADERS.value_type))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items).cast(HEADERS)


def _binary(offsets: Any, data: Any, valid: Any, type_: Any) -> Any:
    n = len(offsets) - 1
    nulls = int(n - valid.sum())
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").data) if nulls else None
    return pa.Array.from_buffers(type_, n, [bitmap, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]].copy())], nulls)


def encode(columns: RecordColumns) -> bytes:
    """Encode records as the bytes behind a batch's header."""
    timestamps, offsets = np.ascontiguousarray(columns.timestamps), np.ascontiguousarray(columns.offsets)
    keys = None if columns.keys is None else _texts(columns.keys)
    values = _texts(columns.values)
    if columns.headers is None:
        return kafka_records.encode(timestamps, offsets, keys, values).tobytes()
    lengths = columns.headers.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    starts = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    names, parts = columns.headers.flatten().flatten()
    return kafka_records.encode(timestamps, offsets, keys, values, starts, _texts(names), _texts(parts)).tobytes()


def _texts(array: Any) -> kafka_records.BinaryColumn:
    """The buffers of a binary or string array, as the kernel takes them."""
    validity, offsets, data = array.buffers()
    nothing = np.zeros(0, np.uint8)
    starts = np.zeros(1, np.int32) if offsets is None else np.frombuffer(offsets, np.int32)[array.offset :]
    octets = nothing if data is None else np.frombuffer(data, np.uint8)
    bits = nothing if validity is None or not array.null_count else np.frombuffer(validity, np.uint8)
    return kafka_records.BinaryColumn(starts, octets, bits, array.offset if len(bits) else 0)
