"""What became of a query's input, and how far it is.

For every query: rows read = used + filtered + late + bad.  Rows that a filter behind a join or an aggregate drops are
results, not input, and are counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Counts since the query was created (they are committed with its positions, so a restart keeps them)."""

    read: int = 0
    filtered: int = 0
    late: int = 0
    bad: int = 0
    written: int = 0

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
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a query stands: records of its inputs not yet taken in, in all partitions."""

    state: str
    lag: int
    account: Account
    state_rows: int
    state_bytes: int
    steps: int
    error: str | None = None
