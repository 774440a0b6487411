"""Reads the records of Kafka's record batches into columns, and writes them (source/kafka_records.cpp)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["DecodedBatch", "Headers", "BinaryColumn", "decode", "decode_headers", "encode"]

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Octets = npt.NDArray[np.uint8]

_decode = function("kafka_records_decode", "i", "pii" + "p" * 10)
_decode_headers = function("kafka_records_decode_headers", "-", "pii" + "p" * 5)
_encode = function("kafka_records_encode", "i", "i" + "p" * 5 + "i" + "p" * 3 + "i" + "p" * 6 + "ip")

_SHORTEST: Final = 7
"""The length of the shortest record in bytes: its length, attributes, two deltas, two lengths, and the number of headers."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """The columns of n records.  ``.._offsets`` are int32[n + 1] into the bytes beside them, ``.._valid`` uint8[n], 1 or 0.

    Attributes:
        timestamps, offsets: int64[n], relative to the batch's base.
        header_ends: int32[n + 1], the number of headers before each record.
        headers, keys: the number of headers, and of keys that are not null.
    """

    timestamps: Int64s
    offsets: Int64s
    key_offsets: Int32s
    key_data: Octets
    key_valid: Octets
    value_offsets: Int32s
    value_data: Octets
    value_valid: Octets
    header_ends: Int32s
    headers: int
    keys: int


def decode(data: Octets, count: int) -> DecodedBatch:
    """Decode the records from the decompressed bytes behind a batch's header.

    Args:
        count: their number, as the batch claims it.

    Raises:
        ValueError: they are not that many well-formed records.
    """
    size = len(data)
    if not 0 <= count <= size // _SHORTEST:
        raise ValueError(f"{size} bytes are not {count} records")
    made = DecodedBatch(
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count + 1, np.int32),
        np.empty(size, np.uint8),
        np.empty(count, np.uint8),
        np.empty(count + 1, np.int32),
        np.empty(size, np.uint8),
        np.empty(count, np.uint8),
        np.empty(count + 1, np.int32),
        0,
        0,
    )
    totals = np.empty(2, np.int64)
    wrong = _decode(
        address(data, np.uint8, size),
        size,
        count,
        address(made.timestamps, np.int64, count, write=True),
        address(made.offsets, np.int64, count, write=True),
        address(made.key_offsets, np.int32, count + 1, write=True),
        address(made.key_data, np.uint8, size, write=True),
        address(made.key_valid, np.uint8, count, write=True),
        address(made.value_offsets, np.int32, count + 1, write=True),
        address(made.value_data, np.uint8, size, write=True),
        address(made.value_valid, np.uint8, count, write=True),
        address(made.header_ends, np.int32, count + 1, write=True),
        address(totals, np.int64, 2, write=True),
    )
    if wrong:
        raise ValueError(f"record {wrong - 1} of {count} is malformed")
    headers, keys = totals.tolist()
    return DecodedBatch(
        made.timestamps,
        made.offsets,
        made.key_offsets,
        made.key_data,
        made.key_valid,
        made.value_offsets,
        made.value_data,
        made.value_valid,
        made.header_ends,
        headers,
        keys,
    )


@dataclass(frozen=True, slots=True)
class Headers:
    """Columns of h headers, as in `DecodedBatch`; names have no nulls."""

    name_offsets: Int32s
    name_data: Octets
    value_offsets: Int32s
    value_data: Octets
    value_valid: Octets


def decode_headers(data: Octets, count: int, headers: int) -> Headers:
    """Decode the headers of records that `decode` has read from the same bytes; ``headers`` is its count of them."""
    size = len(data)
    made = Headers(
        np.empty(headers + 1, np.int32),
        np.empty(size, np.uint8),
        np.empty(headers + 1, np.int32),
        np.empty(size, np.uint8),
        np.empty(headers, np.uint8),
    )
    _decode_headers(
        address(data, np.uint8, size),
        size,
        count,
        address(made.name_offsets, np.int32, headers + 1, write=True),
        address(made.name_data, np.uint8, size, write=True),
        address(made.value_offsets, np.int32, headers + 1, write=True),
        address(made.value_data, np.uint8, size, write=True),
        address(made.value_valid, np.uint8, headers, write=True),
    )
    return made


@dataclass(frozen=True, slots=True)
class BinaryColumn:
    """A column of byte strings in Arrow's layout.

    Attributes:
        offsets: int32[rows + 1] into ``data``, ascending; the first need not be 0.
        valid: Arrow's validity bits (empty: no nulls); the bit ``first`` belongs to the first row.
    """

    offsets: Int32s
    data: Octets
    valid: Octets
    first: int = 0

    def addresses(self, rows: int) -> tuple[int, int, int, int]:
        """The addresses for a kernel that reads ``rows`` rows.  Raises: InternalError, if the column is not that long."""
        if rows and int(self.offsets[rows]) > len(self.data):
            raise InternalError("offsets beyond the end of their data")
        bits = 0
        if len(self.valid):
            bits = address(self.valid, np.uint8, (self.first + rows + 7) // 8)
        return address(self.offsets, np.int32, rows + 1), address(self.data, np.uint8, len(self.data)), bits, self.first


def encode(
    timestamps: Int64s,
    offsets: Int64s,
    keys: BinaryColumn | None,
    values: BinaryColumn,
    header_offsets: Int32s | None = None,
    names: BinaryColumn | None = None,
    parts: BinaryColumn | None = None,
) -> Octets:
    """Encode records as the bytes behind a batch's header.

    Args:
        timestamps, offsets: int64[n], relative to the batch's base.
        keys: n of them; None: every key is null.
        header_offsets: int32[n + 1], from 0, where each record's headers begin in ``names`` and ``parts`` (their values).
    """
    n = len(timestamps)
    nothing = (0, 0, 0, 0)
    heads: tuple[Any, ...] = (0, 0, 0, *nothing)
    if header_offsets is not None and names is not None and parts is not None:
        count = int(header_offsets[-1])
        name = names.addresses(count)
        heads = (address(header_offsets, np.int32, n + 1), name[0], name[1], *parts.addresses(count))
    arguments = (
        n,
        address(timestamps, np.int64, n),
        address(offsets, np.int64, n),
        *(nothing if keys is None else keys.addresses(n)),
        *values.addresses(n),
        *heads,
    )
    out = np.empty(_encode(*arguments, 0), np.uint8)
    _encode(*arguments, address(out, np.uint8, len(out), write=True))
    return out
