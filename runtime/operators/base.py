"""The operator contract.

A query is a graph of operators, one instance of each per partition.  A *step* of a query takes a chunk of records from
every input, orders them, and calls ``process`` once on every operator, upstream first.  An operator with two inputs
gets both batches of the step at once and finds out from their positions what came first.

The rule that governs every operator is batch invariance: with ``every_update`` on, the concatenation of its outputs is
the same however the input is cut into steps, and is what a record-at-a-time operator would have put out.  The output's
positions are those of the rows that caused it, non-decreasing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from ..batch import Batch, Bools, Int64s
from ..kernel import Failures
from ..metrics import Waiting

if TYPE_CHECKING:
    from ...storage.state.store import StateStore


@dataclass(slots=True)
class Counters:
    """What became of the rows an operator saw; every source row ends in exactly one of used, filtered, late, bad."""

    rows_in: int = 0
    rows_out: int = 0
    filtered: int = 0
    late: int = 0
    bad: int = 0
    expired: int = 0
    """Windows that left a store because their retention was over."""


class ErrorReporter(Protocol):
    """Where an operator reports rows that failed.  One call per operator and batch, not per row."""

    def __call__(self, operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
        """``dropped``: the row went no further (it counts as bad); else only a column of it became null."""


def ignore_errors(operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
    """A reporter for tests."""


@dataclass(slots=True)
class OperatorContext:
    """What an operator instance is given when it is made.

    Attributes:
        name: unique within the query, stable across restarts (stores and metrics are filed under it).
        partition: which of the query's partitions this instance serves.
        every_update: emit each intermediate update (caching off).  If false, an aggregation emits only the last update
            of a group within a step (`docs/decisions/caching.md`); the final table is the same.
        report: where failed rows go.
        log_late: report rows that came too late, too.
    """

    name: str
    partition: int = 0
    every_update: bool = True
    report: ErrorReporter = ignore_errors
    counters: Counters = field(default_factory=Counters)
    log_late: bool = False


class Operator(ABC):
    """One step of a dataflow on one partition.  Not thread-safe: one thread at a time calls it."""

    row_preserving: ClassVar[bool] = False
    """Every output row comes from an input row of its own (filter, project, rekey): what such operators drop are source
    rows, so their counters add up to the query's account of its input."""

    def __init__(self, context: OperatorContext) -> None:
        self.context = context

    @property
    def stores(self) -> Sequence[StateStore]:
        """All durable state of the operator; what is not in a store is lost at a restart."""
        return ()

    @abstractmethod
    def process(self, inputs: Sequence[Batch]) -> Batch:
        """Handle one batch per input (empty ones included) and return the output, possibly empty.

        Raises:
            DataError: the query cannot go on; the step is rolled back and the query fails.
        """

    def advance(self, time_ms: int) -> None:  # noqa: B027  # most operators keep no time
        """Have stream time reach an instant with the next batch if that is an empty one, as a row of that time would."""

    def waiting(self) -> Waiting | None:
        """What is held back until stream time goes on; None if nothing is."""
        return None

    def drop(self, batch: Batch, failures: Failures) -> None:
        """Report rows that go no further because they are bad."""
        self.context.counters.bad += len(failures.rows)
        self.context.report(self.context.name, batch, failures, dropped=True)

    def leave_out_late(self, batch: Batch, rows: Int64s, reason: str) -> None:
        """Count rows (ascending) that came too late, and report them if that is wanted."""
        self.context.counters.late += len(rows)
        if len(rows) and self.context.log_late:
            failures = Failures(rows, (f"the row came too late: {reason}",) * len(rows))
            self.context.report(self.context.name, batch, failures, dropped=False)

    def count_filtered(self, keep: Bools) -> None:
        self.context.counters.filtered += int(len(keep) - keep.sum())
