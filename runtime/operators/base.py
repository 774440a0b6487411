"""The interface of operators.

A query is a graph of operators, one instance of each per partition.  A *step* of a query takes records from every input,
orders them, and calls ``process`` once on every operator, upstream first.  An operator with two inputs gets both batches of
the step at once, and learns from their positions what came first.

All operators are batch-invariant: with ``every_update``, the concatenation of an operator's outputs is the same however the
input is cut into steps, and is what a record-at-a-time operator would put out.  The positions of the output are those of the
rows that caused it, and never decrease.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from ..batch import Batch, Bools, Int64s
from ..kernel import Failures, map_failures
from ..metrics import Lateness, Waiting

if TYPE_CHECKING:
    from ...storage.state.store import StateStore


@dataclass(slots=True)
class Counters:
    """Counts of the rows that an operator got.  Every source row ends as exactly one of used, filtered, late, bad."""

    rows_in: int = 0
    rows_out: int = 0
    filtered: int = 0
    late: int = 0
    bad: int = 0
    expired: int = 0
    """Windows removed from a store because their retention was over."""
    lateness: Lateness | None = None
    """Of operators with windows."""


class ErrorReporter(Protocol):
    """Takes an operator's reports of rows that failed: one call per operator and batch, not per row."""

    def __call__(self, operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
        """``dropped``: the row was dropped (it counts as bad); else only one of its columns became null."""


def ignore_errors(operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
    """A reporter for tests."""


@dataclass(slots=True)
class OperatorContext:
    """The context in which an operator instance is created.

    Attributes:
        name: unique within the query, stable across restarts (stores and metrics are kept by it).
        partition: the partition of the query that this instance serves.
        every_update: emit each intermediate update (caching off).  If false, an aggregation emits only the last update of a
            group within a step (`docs/decisions/caching.md`); the final table is the same.
        report: takes failed rows.
        log_late: whether late rows are reported, too.
    """

    name: str
    partition: int = 0
    every_update: bool = True
    report: ErrorReporter = ignore_errors
    counters: Counters = field(default_factory=Counters)
    log_late: bool = False


class Operator(ABC):
    """An operator of a dataflow on one partition.  Not thread-safe: one thread at a time calls it."""

    row_preserving: ClassVar[bool] = False
    """Whether every output row comes from an input row of its own (filter, project, rekey).  Rows that such operators drop
    are source rows, so their counters are part of the query's account of its input.
    """

    def __init__(self, context: OperatorContext) -> None:
        self.context = context

    @property
    def stores(self) -> Sequence[StateStore]:
        """The stores with all durable state of the operator; other state is lost at a restart."""
        return ()

    @abstractmethod
    def process(self, inputs: Sequence[Batch]) -> Batch:
        """Process one batch per input (which may be empty), and return the output, which may be empty.

        Raises:
            DataError: the query cannot go on; the step is rolled back and the query fails.
        """

    def advance(self, time_ms: int) -> None:  # noqa: B027  # most operators keep no time
        """Let the next batch, if it is empty, advance stream time to an instant, as a row of that time would."""

    def waiting(self) -> Waiting | None:
        """What is held back until stream time advances; None if nothing is."""
        return None

    def drop(self, batch: Batch, failures: Failures) -> None:
        """Report bad rows, which are dropped."""
        self.context.counters.bad += len(failures.rows)
        self.context.report(self.context.name, batch, failures, dropped=True)

    def report_results(self, batch: Batch, rows: Int64s, failures: Failures | None) -> None:
        """Report results of aggregates that failed and are null in the output.

        Args:
            rows: the row of ``batch`` of each entry of the output, ascending.
            failures: of entries.
        """
        failed = map_failures(failures, rows)
        if failed is not None:
            self.context.report(self.context.name, batch, failed, dropped=False)

    def note_lateness(self, timestamps: Int64s, stream_times: Int64s) -> None:
        """Count how far rows are behind stream time, see `Lateness`."""
        if self.context.counters.lateness is None:
            self.context.counters.lateness = Lateness()
        self.context.counters.lateness.add(timestamps, stream_times)

    def leave_out_late(self, batch: Batch, rows: Int64s, reason: str) -> None:
        """Count late rows (ascending), and report them if that is wanted."""
        self.context.counters.late += len(rows)
        if len(rows) and self.context.log_late:
            failures = Failures(rows, (f"the row came too late: {reason}",) * len(rows))
            self.context.report(self.context.name, batch, failures, dropped=False)

    def count_filtered(self, keep: Bools) -> None:
        self.context.counters.filtered += int(len(keep) - keep.sum())
