"""How large a frame's body becomes when it is decoded.  That is checked first: few compressed bytes may become very many.

The body is an encapsulated Arrow IPC message: 0xffffffff, the length of its metadata, the metadata (a flatbuffer), then the
buffers.  If the metadata names a compression, each buffer begins with its length when unpacked, an int64; -1 stands before
one that was left as it is.
"""

from __future__ import annotations

import struct

__all__ = ["buffer_places", "unpacked_bytes", "unpacked_bytes_of"]

_PREFIX = struct.Struct("<II")
_INT = struct.Struct("<i")
_UINT = struct.Struct("<I")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<q")
_PLACE = struct.Struct("<qq")

_MESSAGE_KIND = 1
_MESSAGE_HEADER = 2
_DICTIONARY = 2
"""The kind of a message with a dictionary's values."""
_DICTIONARY_BATCH = 1
_BATCH_BUFFERS = 2
_BATCH_COMPRESSION = 3
"""Numbers of fields in Arrow's ``Message.fbs``."""


def unpacked_bytes(message: memoryview) -> int:
    """Bytes that the buffers of a record batch message say they have when unpacked; 0 if it is not compressed.

    Raises:
        ValueError: the message is not whole.
    """
    try:
        _, length = _PREFIX.unpack_from(message)
    except struct.error as error:
        raise ValueError("the message is cut off") from error
    return unpacked_bytes_of(message[8:], message[8 + length :])


def unpacked_bytes_of(metadata: memoryview, body: memoryview) -> int:
    """`unpacked_bytes` of a message, or of one with a dictionary's values, that is in two parts.

    Args:
        metadata: the flatbuffer; what follows it does not matter.
        body: the buffers.
    """
    try:
        root = _UINT.unpack_from(metadata)[0]
        batch = _pointed(metadata, _field(metadata, root, _MESSAGE_HEADER))
        kind = _field(metadata, root, _MESSAGE_KIND)
        if batch and kind and metadata[kind] == _DICTIONARY:
            batch = _pointed(metadata, _field(metadata, batch, _DICTIONARY_BATCH))
        if not batch or not _field(metadata, batch, _BATCH_COMPRESSION):
            return 0
        buffers = _pointed(metadata, _field(metadata, batch, _BATCH_BUFFERS))
        if not buffers:
            return 0
        total = 0
        for number in range(_UINT.unpack_from(metadata, buffers)[0]):
            place, size = _PLACE.unpack_from(metadata, buffers + 4 + 16 * number)
            if size:
                unpacked = _LONG.unpack_from(body, place)[0]
                if unpacked < -1:
                    raise ValueError(f"a buffer of {unpacked} bytes")
                total += size if unpacked == -1 else unpacked
        return total
    except (struct.error, IndexError) as error:
        raise ValueError("the message is cut off") from error


def buffer_places(metadata: memoryview) -> tuple[int, list[int]]:
    """Where the body of a record batch message begins, and where in the body each of its buffers does.

    Args:
        metadata: the message up to its body.
    """
    _, length = _PREFIX.unpack_from(metadata)
    batch = _pointed(metadata, _field(metadata, 8 + _UINT.unpack_from(metadata, 8)[0], _MESSAGE_HEADER))
    buffers = _pointed(metadata, _field(metadata, batch, _BATCH_BUFFERS))
    count = _UINT.unpack_from(metadata, buffers)[0] if buffers else 0
    return 8 + length, [_PLACE.unpack_from(metadata, buffers + 4 + 16 * number)[0] for number in range(count)]


def _field(message: memoryview, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 if it is left out."""
    fields = table - _INT.unpack_from(message, table)[0]
    at = 4 + 2 * number
    if at + 2 > _SHORT.unpack_from(message, fields)[0]:
        return 0
    offset = int(_SHORT.unpack_from(message, fields + at)[0])
    return table + offset if offset else 0


def _pointed(message: memoryview, place: int) -> int:
    """What a field that is an offset points to; 0 if it is left out."""
    return place + int(_UINT.unpack_from(message, place)[0]) if place else 0
