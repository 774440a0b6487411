"""What commits cost: how long the disk took for each group of them, and how often it was asked."""

from __future__ import annotations

import bisect
from typing import Final

BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the buckets: a good disk syncs in a fraction of a millisecond, a bad one in a second."""


class CommitMeasures:
    """Counts since the log was opened.  Written by one thread at a time; a reader may see a group half counted.

    Attributes:
        counts: groups of commits by how long steps 3 and 4 took; the last count is of those above all bounds.
        total_s: of all groups.
        fsyncs: files that were forced to disk.
    """

    def __init__(self) -> None:
        self.bounds_s = BOUNDS_S
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0
        self.fsyncs = 0

    def add(self, duration_s: float, fsyncs: int) -> None:
        """Count a group of commits that has become durable."""
        self.counts[bisect.bisect_left(BOUNDS_S, duration_s)] += 1
        self.total_s += duration_s
        self.fsyncs += fsyncs
