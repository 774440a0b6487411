"""KAFKA: one primitive per record, encoded as Kafka's own serialisers do.

=========  ===============================================
INTEGER    4 bytes, big endian, two's complement
BIGINT     8 bytes, big endian, two's complement
DOUBLE     8 bytes, IEEE 754, big endian
STRING     UTF-8; invalid bytes read as U+FFFD
BYTES      as they are
=========  ===============================================

A null value is a record of null bytes, and a record of null bytes is null.  A source without columns writes empty records. A
number with any other length is malformed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..values.type_names import type_name
from .base import Decoded, Encoded
from .values import binary_array, binary_parts, malformed, nulls_of, or_none, plain_array, row_count, without

_NUMBERS = {pa.int32().id: ">i4", pa.int64().id: ">i8", pa.float64().id: ">f8"}
"""Keyed by type id, since a type itself is slow to hash."""
_TEXTS = (pa.binary().id, pa.string().id)


class KafkaSerde:
    """The KAFKA format.  The schema has one column, or none if nothing of the records is wanted."""

    def decode(self, data: Any, schema: pa.Schema) -> Decoded:
        """See `Serde.decode`."""
        array = binary_array(data)
        null = nulls_of(array)
        if len(schema) == 0:
            return Decoded((), or_none(null), None)
        type_ = schema.field(0).type
        if type_ == pa.binary():
            return Decoded((array,), or_none(null), None)
        if type_ == pa.string():
            return Decoded((_text(array),), or_none(null), None)
        values, wrong = _numbers(array, null, _NUMBERS[type_.id])
        column = pa.array(values.astype(values.dtype.newbyteorder("=")), type_, mask=null | wrong)
        lengths = np.diff(binary_parts(array)[0]) if wrong.any() else None
        reasons = (
            {}
            if lengths is None
            else {
                int(row): f"{type_name(type_)} takes {values.itemsize} bytes, not {lengths[row]}"
                for row in np.flatnonzero(wrong)
            }
        )
        return Decoded((column,), or_none(null), malformed(reasons))

    def encode(self, columns: Sequence[Any], schema: pa.Schema, absent: npt.NDArray[np.bool_] | None) -> Encoded:
        """See `Serde.encode`."""
        if len(schema) == 0:
            return Encoded(without(pa.array([b""] * row_count(columns, absent), pa.binary()), absent), None)
        column = plain_array(columns[0])
        type_ = schema.field(0).type
        if type_.id in _TEXTS:
            return Encoded(without(column if type_ == pa.binary() else column.cast(pa.binary()), absent), None)
        null = None if absent is None and not column.null_count else nulls_of(column)
        if null is not None and absent is not None:
            null = null | absent
        filled = column.fill_null(0) if column.null_count else column
        numbers = filled.to_numpy(zero_copy_only=False).astype(_NUMBERS[type_.id])
        offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(numbers.itemsize)
        validity = None if null is None or not null.any() else pa.array(~null).buffers()[1]
        buffers = [validity, pa.py_buffer(offsets.data), pa.py_buffer(numbers.data)]
        return Encoded(pa.Array.from_buffers(pa.binary(), len(numbers), buffers), None)


def _numbers(array: Any, null: npt.NDArray[np.bool_], dtype: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The big-endian numbers of the records, and which records have the wrong length (0 stands in for them)."""
    size = np.dtype(dtype).itemsize
    offsets, content = binary_parts(array)
    lengths = np.diff(offsets)
    if (lengths == size).all():
        return content[offsets[0] : offsets[-1]].view(dtype), np.zeros(len(array), np.bool_)
    right = (lengths == size) & ~null
    values = np.zeros(len(array), dtype)
    places = offsets[:-1][right][:, None] + np.arange(size)
    values[right] = np.ascontiguousarray(content[places]).view(dtype)[:, 0]
    return values, ~right & ~null


def _text(array: Any) -> Any:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if b is None else b.decode("utf-8", "replace") for b in array.to_pylist()], pa.string())
