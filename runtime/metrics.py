"""What became of a query's input, and how far it is.

For every query: rows read = used + filtered + late + bad.  Rows that a filter behind a join or an aggregate drops are
results, not input, and are counted apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Counts since the query was created (they are committed with its positions, so a restart keeps them)."""

    read: int = 0
    filtered: int = 0
    late: int = 0
    bad: int = 0
    written: int = 0
    expired: int = 0
    """Windows that left their store because their retention was over."""

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
    """What one node of a dataflow has done since the query was started in this process, in all partitions.

    Attributes:
        rows: put out.
        seconds: spent in it; of an operator.
    """

    rows: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an operator on one partition holds back until stream time goes on.

    Attributes:
        rows: how many windows or rows.
        stream_time: as it is now, ms.
        due: the stream time that puts out the first of them, ms.
    """

    rows: int
    stream_time: int
    due: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a query stands.

    Attributes:
        lag: records of its inputs not yet taken in, in all partitions.
        state_rows, state_bytes: what its stores hold.
        steps: how many it has taken since it was started in this process.
        stream_time: of its windows and joins within a time, in ms: that of the partition that is furthest behind; None for
            a query without these, or one that has seen no row.
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
    """How far the state of all queries has been brought back when a database is opened.

    Attributes:
        rows: of checkpoints and changelogs that have been taken in.
        rows_total: of these that there are, about.
        elapsed_s: since it began.
    """

    rows: int
    rows_total: int
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """About how long it will take on; None if nothing is known yet."""
        return None if self.rows == 0 else self.elapsed_s * (self.rows_total - self.rows) / self.rows


class RecoveryMeter:
    """Adds up what stores have taken in, on any thread, and reports it."""

    def __init__(self, rows_total: int, report: Callable[[RecoveryProgress], None]) -> None:
        self._rows = 0
        self._rows_total = rows_total
        self._report = report
        self._began_s = time.monotonic()
        self._guard = threading.Lock()
        self.add(0)

    def add(self, rows: int) -> None:
        """So many rows more are taken in."""
        with self._guard:
            self._rows = min(self._rows + rows, self._rows_total)
            self._report(RecoveryProgress(self._rows, self._rows_total, time.monotonic() - self._began_s))
