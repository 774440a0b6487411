"""Finds the tumbling windows of rows that are in processing order (source/windows.cpp)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["tumbling_starts"]

Int64s = npt.NDArray[np.int64]

_tumbling = function("tumbling_starts", "i", "piiiip")


def tumbling_starts(timestamps: Int64s, size_ms: int, grace_ms: int, stream_time: int) -> Int64s | None:
    """Find the window of each row, where every window still takes its rows.

    Args:
        timestamps: int64[n].
        stream_time: before the first row.

    Returns:
        the start of each row's window; None if a row is late for its window or from before the epoch.
    """
    if size_ms <= 0 or grace_ms < 0:
        raise InternalError("a window has a length")
    n = len(timestamps)
    timestamps, starts = np.ascontiguousarray(timestamps, np.int64), np.empty(n, np.int64)
    done: int = _tumbling(
        address(timestamps, np.int64, n), n, size_ms, grace_ms, stream_time, address(starts, np.int64, n, write=True)
    )
    return starts if done == n else None
