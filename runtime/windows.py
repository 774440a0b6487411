"""Windows as arithmetic on instants: no rows, no state, no clock.

All instants and lengths are int64 milliseconds.  Time windows are ``[start, start + size)`` and aligned to the epoch, as in
Kafka Streams: a hopping window starts at every multiple of its advance, never before 0.  A tumbling window is a hopping one
that advances by its size.  Session bounds are inclusive at both ends.

A time window accepts a row as long as ``end > stream_time - grace``; stream time includes the row itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.windows import tumbling_starts
from .batch import Bools, Int64s


@dataclass(frozen=True, slots=True)
class TimeWindows:
    """TUMBLING (``advance_ms == size_ms``) or HOPPING windows.

    Raises:
        ValueError: unless 0 < advance <= size and grace >= 0.
    """

    size_ms: int
    advance_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.advance_ms <= self.size_ms:
            raise ValueError(f"a window of {self.size_ms} ms cannot advance by {self.advance_ms} ms")
        if self.grace_ms < 0:
            raise ValueError(f"a grace period cannot be negative: {self.grace_ms} ms")

    def assign(self, timestamps: Int64s) -> tuple[Int64s, Int64s]:
        """Find the windows of each row.

        Returns:
            (rows, starts): one entry for each pair of row and window, by row and then by ascending start.  A row from before
            the epoch belongs to no window.
        """
        latest = timestamps - timestamps % self.advance_ms
        if self.advance_ms == self.size_ms:
            if len(latest) and int(latest.min()) < 0:
                rows = np.flatnonzero(timestamps >= 0)
                return rows, latest[rows]
            return np.arange(len(timestamps), dtype=np.int64), latest
        first = self._first_start(timestamps)
        counts = np.where(timestamps < 0, 0, (latest - first) // self.advance_ms + 1)
        rows = np.repeat(np.arange(len(timestamps), dtype=np.int64), counts)
        nth = np.arange(len(rows), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, first[rows] + nth * self.advance_ms

    def all_in_time(self, timestamps: Int64s, stream_time: int) -> Int64s | None:
        """`assign` and `accepted` in one pass, for the usual case: tumbling windows, and no row is late.

        Args:
            stream_time: before the first row.

        Returns:
            the start of each row's window; None if that is not the case.
        """
        if self.advance_ms != self.size_ms:
            return None
        return tumbling_starts(timestamps, self.size_ms, self.grace_ms, stream_time)

    def _first_start(self, timestamps: Int64s) -> Int64s:
        """The start of the earliest window that contains each (non-negative) instant."""
        reach: Int64s = np.maximum(timestamps - self.size_ms + self.advance_ms, 0)
        return reach - reach % self.advance_ms

    def ends(self, starts: Int64s) -> Int64s:
        """The exclusive ends of the windows with these starts."""
        return starts + self.size_ms

    def latest_starts(self, timestamps: Int64s) -> Int64s:
        """The start of the latest window that contains each instant."""
        return timestamps - timestamps % self.advance_ms

    def accepted(self, starts: Int64s, stream_times: Int64s) -> Bools:
        """Whether the windows still accept rows at these stream times (elementwise)."""
        open_: Bools = starts + self.size_ms > stream_times - self.grace_ms
        return open_

    def closing_times(self, starts: Int64s) -> Int64s:
        """The smallest stream time at which each window is closed, that is, accepts no more rows."""
        return starts + (self.size_ms + self.grace_ms)


@dataclass(frozen=True, slots=True)
class SessionWindows:
    """SESSION windows: rows of one key at most ``gap_ms`` apart belong together.

    Raises:
        ValueError: unless gap > 0 and grace >= 0.
    """

    gap_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        if self.gap_ms <= 0:
            raise ValueError(f"a session gap must be positive, not {self.gap_ms} ms")
        if self.grace_ms < 0:
            raise ValueError(f"a grace period cannot be negative: {self.grace_ms} ms")

    def touches(self, start: int, end: int, timestamp: int) -> bool:
        """Whether a row extends or falls into a session, that is, is at most the gap away."""
        return start - self.gap_ms <= timestamp <= end + self.gap_ms

    def accepted(self, ends: Int64s, stream_times: Int64s) -> Bools:
        """Whether sessions with these (merged) ends still accept rows at these stream times (elementwise)."""
        open_: Bools = ends >= stream_times - (self.grace_ms + self.gap_ms)
        return open_

    def closing_times(self, ends: Int64s) -> Int64s:
        """The smallest stream time at which each session is closed."""
        return ends + (self.gap_ms + self.grace_ms + 1)


def running_stream_times(timestamps: Int64s, before: int) -> Int64s:
    """Stream time right after each row: the largest timestamp so far, starting from ``before``.

    The timestamps themselves, where they rise.
    """
    if len(timestamps) and not bool((timestamps[1:] >= timestamps[:-1]).all()):
        timestamps = np.maximum.accumulate(timestamps)
    if not len(timestamps) or int(timestamps[0]) >= before:
        return timestamps
    running: Int64s = np.maximum(timestamps, before)
    return running
