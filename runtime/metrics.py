"""Counts of a query's input, and its progress.

For every query: rows read = used + filtered + late + bad.  Rows that a filter after a join or an aggregate drops are
results, not input, and are counted separately.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .batch import Int64s


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Counts since the query was created.  They are committed with its positions, so they survive a restart."""

    read: int = 0
    filtered: int = 0
    late: int = 0
    bad: int = 0
    written: int = 0
    expired: int = 0
    """Windows removed from their store because their retention was over."""

    @property
    def used(self) -> int:
        return self.read - self.filtered - self.late - self.bad

    def plus(self, other: RowCounts) -> RowCounts:
        return RowCounts(
            self.read + other.read,
            self.filtered + other.filtered,
            self.late + other.late,
            self.bad + other.bad,
            self.written + other.written,
            self.expired + other.expired,
        )


LATENESS_BOUNDS_MS = (100, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000)
"""The upper bounds of a histogram of lateness: from clocks that differ to a device that was away for a day."""


class Lateness:
    """How far rows are behind stream time when they come, over all rows of an operator with windows that are behind at all.

    A GRACE PERIOD beyond the bound below which nearly all of them lie loses nearly none.

    Attributes:
        counts: int64[n + 1]: of the rows up to each of `LATENESS_BOUNDS_MS`, and of those beyond the last.
        total_ms: their sum.
    """

    __slots__ = ("counts", "total_ms")

    def __init__(self) -> None:
        self.counts = np.zeros(len(LATENESS_BOUNDS_MS) + 1, np.int64)
        self.total_ms = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lateness):
            return NotImplemented
        return self.total_ms == other.total_ms and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def add(self, timestamps: Int64s, stream_times: Int64s) -> None:
        """Count rows: the stream time of each is the largest timestamp so far, its own included."""
        if stream_times is timestamps:
            return
        behind = stream_times - timestamps
        behind = behind[behind > 0]
        if len(behind):
            places = np.searchsorted(LATENESS_BOUNDS_MS, behind)
            self.counts += np.bincount(places, minlength=len(self.counts))
            self.total_ms += int(behind.sum())


@dataclass(slots=True)
class Tally:
    """Figures of one node of a dataflow since the query started in this process, over all partitions.

    Attributes:
        rows: rows put out.
        seconds: time spent in the operator.
    """

    rows: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an operator on one partition holds back until stream time advances.

    Attributes:
        rows: how many windows or rows.
        stream_time: the present stream time, ms.
        due: the stream time at which the first of them is put out, ms.
    """

    rows: int
    stream_time: int
    due: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a query.

    Attributes:
        lag: records of its inputs that it has not processed, over all partitions.
        state_rows, state_bytes: the size of its stores.
        steps: the number of steps since it started in this process.
        stream_time: of its windows and joins within a time, in ms: that of the partition furthest behind; None for a query
            without these, or one that has seen no row.
        lateness: counts of rows behind stream time since it started in this process, see `Lateness`; empty for a query
            without windows and joins within a time.
        lateness_ms: their sum, in ms.
    """

    state: str
    lag: int
    account: RowCounts
    state_rows: int
    state_bytes: int
    steps: int
    error: str | None = None
    stream_time: int | None = None
    lateness: tuple[int, ...] = ()
    lateness_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecoveryProgress:
    """How much of the state of all queries is restored while a database is opened.

    Attributes:
        rows: restored rows of checkpoints and changelogs.
        rows_total: all such rows, roughly.
        elapsed_s: time since the start.
    """

    rows: int
    rows_total: int
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """The estimated remaining time; None if it is not known yet."""
        return None if self.rows == 0 else self.elapsed_s * (self.rows_total - self.rows) / self.rows


class RecoveryMeter:
    """Adds up the rows that stores have restored, on any thread, and reports them."""

    def __init__(self, rows_total: int, report: Callable[[RecoveryProgress], None]) -> None:
        self._rows = 0
        self._rows_total = rows_total
        self._report = report
        self._began_s = time.monotonic()
        self._guard = threading.Lock()
        self.add(0)

    def add(self, rows: int) -> None:
        """Note that so many more rows are restored."""
        with self._guard:
            self._rows = min(self._rows + rows, self._rows_total)
            self._report(RecoveryProgress(self._rows, self._rows_total, time.monotonic() - self._began_s))
