"""Where the frames of a segment are: their positions, offsets and times.

Built from the frames' headers when first needed and continued as the segment grows, so there is no index file that could
be missing or wrong.  Only headers are touched (one page per frame): frames hold many rows, and small ones are merged
when their segment is sealed, so this is the sparse index of offsets and times.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from .record import HEADER_BYTES, FrameHeader

__all__ = ["FrameIndex"]


class FrameIndex:
    """Grows at its end only.  Readers may use it while it grows if they bound what they ask by a frame count."""

    def __init__(self, position: int) -> None:
        self.positions = array("q")
        self.base_offsets = array("q")
        self.end_position = position
        """Where the next frame starts."""
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
