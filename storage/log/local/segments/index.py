"""Where the frames of a segment are: their positions, offsets and times.

In memory it is built from the frames' headers when first needed, and continued as the segment grows.  Only headers are
touched (one page per frame), but a segment of 64 MiB may have 150,000 of them until its small frames are merged.  So the
index of a segment with many frames is kept in a file beside it when the segment is sealed or the log closed:
``00000000000000004096-0.index`` for ``00000000000000004096-0.segment``, little-endian::

     0  8s   "PENINDX1"
     8  u32  crc           crc32c of all that follows
    12  u32  generation    of the segment
    16  i64  base_offset   of the segment
    24  i64  end_position  where the frame after the last one starts
    32  i64  frames        n, at least 1
    40  u32  first_crc     the header's checksum of the first frame
    44  u32  last_crc      and of the last
    48  i64  positions[n], base_offsets[n], latest[n]: see `FrameIndex`

The file is never trusted.  It is used only if all of this agrees with the segment, and if it names the checksums of the
segment's first and last frame; otherwise it is ignored, and the headers are walked.  It may cover only the first part of a
segment; the walk then continues behind that part.  A reader verifies the frame that the index leads to.  If that is not the
frame which the index describes, the index is built anew.  The file is not synced: after a crash it may be whole, torn or
missing, and each of these is handled.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from crc32c import crc32c

from .record import HEADER_BYTES, FrameHeader, parse_header

__all__ = ["FrameIndex"]

_MAGIC = b"PENINDX1"
_FIXED = struct.Struct("<8sIIqqqII")
_CRC_FROM = 12


class FrameIndex:
    """Positions, offsets and times of frames.

    It grows at its end only, so readers may use it meanwhile if they limit their searches to a count of frames.
    """

    def __init__(self, position: int) -> None:
        self.positions = array("q")
        self.base_offsets = array("q")
        self.end_position = position
        """Where the next frame starts."""
        self.from_file = False
        """Whether some entries come from the index file and not from the frames themselves."""
        self._latest = array("q")  # the largest timestamp up to and with each frame

    def __len__(self) -> int:
        return len(self.positions)

    def add(self, header: FrameHeader) -> None:
        """Take in the next frame."""
        latest = header.timestamp_max
        if self._latest and self._latest[-1] > latest:
            latest = self._latest[-1]
        self._latest.append(latest)
        self.base_offsets.append(header.base_offset)
        self.positions.append(self.end_position)
        self.end_position += HEADER_BYTES + header.body_length

    def frame_of_offset(self, offset: int) -> int:
        """The frame that holds ``offset``, if any does: the last that starts at or before it (0 if none does)."""
        return max(0, bisect_right(self.base_offsets, offset) - 1)

    def frame_of_time(self, timestamp_ms: int) -> int | None:
        """The first frame with a record at or after the time."""
        frame = bisect_left(self._latest, timestamp_ms)
        return frame if frame < len(self._latest) else None

    def encode(self, base_offset: int, generation: int, data: Any) -> bytes | None:
        """The bytes of its file; None if the segment, whose bytes ``data`` are, is damaged.  It has at least one frame."""
        first, last = parse_header(data, self.positions[0]), parse_header(data, self.positions[-1])
        if first is None or last is None:
            return None
        fixed = (base_offset, self.end_position, len(self), first.header_crc, last.header_crc)
        columns = b"".join(np.array(c, "<i8").tobytes() for c in (self.positions, self.base_offsets, self._latest))
        packed = bytearray(_FIXED.pack(_MAGIC, 0, generation, *fixed) + columns)
        struct.pack_into("<I", packed, 8, crc32c(memoryview(packed)[_CRC_FROM:]))
        return bytes(packed)

    @classmethod
    def decode(cls, file: bytes, base_offset: int, generation: int, position: int, data: Any) -> FrameIndex | None:
        """The index that the bytes of a file hold; None if it is not one of this segment.

        Args:
            position: of the segment's first frame.
            data: the segment's bytes, as far as they are visible.
        """
        if not cls.is_whole(file):
            return None
        _, _, of_generation, of_base, end, n, first_crc, last_crc = _FIXED.unpack_from(file)
        if (of_base, of_generation) != (base_offset, generation) or len(file) != _FIXED.size + 24 * n or end > len(data):
            return None
        index = cls(position)
        columns = np.frombuffer(file, "<i8", 3 * n, _FIXED.size).astype(np.int64).reshape(3, n)
        for column, numbers in zip((index.positions, index.base_offsets, index._latest), columns, strict=True):
            column.frombytes(numbers.tobytes())
        if n == 0 or index.positions[0] != position:
            return None
        first, last = parse_header(data, position), parse_header(data, index.positions[-1])
        if first is None or last is None or (first.header_crc, last.header_crc) != (first_crc, last_crc):
            return None
        if index.positions[-1] + HEADER_BYTES + last.body_length != end:
            return None
        index.end_position = end
        index.from_file = True
        return index

    @staticmethod
    def is_whole(file: bytes) -> bool:
        """Whether the bytes of an index file are what was written."""
        if len(file) < _FIXED.size:
            return False
        magic, crc = _FIXED.unpack_from(file)[:2]
        return bool(magic == _MAGIC and crc32c(memoryview(file)[_CRC_FROM:]) == crc)
