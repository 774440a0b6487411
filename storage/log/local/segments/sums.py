"""Checksums per column of a large frame, so that a reader of a few columns does not touch the others.

They stand behind the frame's Arrow message, little-endian.  The frame's own checksum covers only them::

     0  u32  end      of the message's metadata, where the first column begins
     4  u32  crc      crc32c of the bytes up to there
     8  u32  end      of the first column, padding included
    12  u32  crc      crc32c of its bytes
    ..                and so on: 8 bytes for each column of the frame

A column begins where the one before it ends.  Each byte of the body is covered by one of them.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
from crc32c import crc32c

from .unpacking import buffer_places

__all__ = ["sums_bytes", "summed", "message_of"]

_SUM: Final = struct.Struct("<II")


def sums_bytes(columns: int) -> int:
    """The size in bytes of the checksums of a frame with so many columns."""
    return _SUM.size * (1 + columns)


def summed(pieces: Sequence[Any], schema: Any) -> bytes | None:
    """The checksums of an uncompressed message, given in pieces; None if this module does not know a column's type."""
    counts = [_buffers_of(field.type) for field in schema]
    metadata = b"".join(bytes(piece) for piece in pieces[:3])
    start, places = buffer_places(memoryview(metadata))
    if None in counts or sum(c or 0 for c in counts) != len(places):
        return None
    length = sum(map(len, pieces))
    ends, number = [start], 0
    for count in counts:
        number += count or 0
        ends.append(length if number == len(places) else start + places[number])
    found, position = [0] * len(ends), 0
    column = 0
    for piece in pieces:
        while position >= ends[column] and column < len(ends) - 1:
            column += 1
        position += len(piece)
        if position > ends[column]:
            return None  # a piece of two columns
        found[column] = crc32c(piece, found[column])
    return b"".join(_SUM.pack(end, crc) for end, crc in zip(ends, found, strict=True))


def message_of(body: memoryview, crc: int, columns: int, asked: Collection[int] | None) -> memoryview | None:
    """The message in a body with checksums; None if one of them is wrong.

    Args:
        crc: the frame's.
        columns: how many the frame has.
        asked: the numbers of those that will be read; None stands for all.
    """
    length = len(body) - sums_bytes(columns)
    if length < 0 or crc32c(body[length:]) != crc:
        return None
    start = 0
    for number, (end, wanted) in enumerate(_SUM.iter_unpack(body[length:])):
        if not start <= end <= length:
            return None
        if (number == 0 or asked is None or number - 1 in asked) and crc32c(body[start:end]) != wanted:
            return None
        start = end
    return body[:length] if start == length else None


@lru_cache(maxsize=1024)
def _buffers_of(kind: Any) -> int | None:
    """How many buffers a column has in a message."""
    t = pa.types
    if t.is_null(kind):
        return 0
    if t.is_struct(kind):
        own, children = 1, [kind.field(i).type for i in range(kind.num_fields)]
    elif t.is_map(kind):
        own, children = 2, [pa.struct([pa.field("key", kind.key_type, nullable=False), ("value", kind.item_type)])]
    elif t.is_list(kind) or t.is_large_list(kind):
        own, children = 2, [kind.value_type]
    elif t.is_string(kind) or t.is_binary(kind) or t.is_large_string(kind) or t.is_large_binary(kind):
        return 3
    elif t.is_primitive(kind) or t.is_decimal(kind) or t.is_fixed_size_binary(kind):
        return 2
    else:
        return None
    inside = [_buffers_of(child) for child in children]
    return None if None in inside else own + sum(count or 0 for count in inside)
