"""Counts of a query's input, and its progress.

For every query: rows read = used + filtered + late + bad.  Rows that a filter after a join or an aggregate drops are
results, not input, and are counted separately.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
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

    def plus(self, other: Account) -> Account:
        return Account(
            self.read + other.read,
            self.filtered + other.filtered,
            self.late + other.late,
            self.bad + other.bad,
            self.written + other.written,
            self.expired + other.expired,
        )


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
    """

    state: str
    lag: int
    account: Account
    state_rows: int
    state_bytes: int
    steps: int
    error: str | None = None
    stream_time: int | None = None


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
