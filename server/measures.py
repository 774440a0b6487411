"""Counters and histograms of the server's requests."""

from __future__ import annotations

import bisect
import threading
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets, in seconds."""


class Histogram:
    """A histogram of durations.  Thread-safe."""

    __slots__ = ("_guard", "counts", "total_s")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float) -> None:
        with self._guard:
            self.counts[bisect.bisect_left(BOUNDS_S, duration_s)] += 1
            self.total_s += duration_s


class Measures:
    """The server's counters and histograms, see `metrics`."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """(method, route, status) -> number of requests."""
        self.durations: dict[str, Histogram] = {}
        """Route -> durations of its requests.  Push queries are not measured."""
        self.in_work = 0
        self.refused: dict[str, int] = {}
        """Reason -> number of refused requests."""
        self.rows_inserted = 0
        self.rows_pushed = 0

    def request(self, method: str, route: str, status: int, duration_s: float, *, timed: bool) -> None:
        """Count a request that was answered."""
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        if timed:
            self.durations.setdefault(route, Histogram()).add(duration_s)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


__all__ = ["BOUNDS_S", "Histogram", "Measures"]
