"""Rows that an aggregate fails on, in a query that is answered once.

The rule is that of a query that keeps running (``penstock.row.failure``): the row is left out of the query and of all its
aggregates, and it is counted and reported.  With ``stop``, the query is refused.  The row is found as there, too: if an
aggregate fails on many rows, it is tried with half as many, until it fails on one row alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...errors import DataError, StatementError
from ...runtime import state_values
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Aggregator, Failures, Segments, State
from ...storage import interrupts
from ..expressions.nodes import AggregateCall, WindowFunction
from ..query_options import QueryOptions


@dataclass(slots=True)
class Faults:
    """The rows that a query has left out, and the results of aggregates that failed.

    Attributes:
        count: the number of rows.
        reason: why the first row failed.
        results: the number of results that are NULL because they failed.
        results_reason: why the first result failed.
    """

    count: int = 0
    reason: str = ""
    results: int = 0
    results_reason: str = ""

    def add(self, count: int, reason: str) -> None:
        self.count += count
        self.reason = self.reason or reason

    def add_results(self, name: str, failures: Failures | None) -> None:
        """Add the failed results of an aggregate."""
        if failures is not None:
            self.results += len(failures.rows)
            self.results_reason = self.results_reason or f"{name}: {failures.reasons[0]}"

    @property
    def text(self) -> str | None:
        """A sentence for people; None if nothing failed."""
        found = []
        if self.count:
            found.append(f"{self.count:,} {'row was' if self.count == 1 else 'rows were'} left out: {self.reason}")
        if self.results:
            found.append(
                f"{self.results:,} {'result is' if self.results == 1 else 'results are'} NULL: {self.results_reason}"
            )
        return "; ".join(found) or None


class CallError(Exception):
    """A call of an aggregate failed.  The exception's cause is the `DataError`."""

    def __init__(self, call: AggregateCall | WindowFunction, error: DataError) -> None:
        super().__init__(f"{call.name}: {error}")
        self.call = call
        self.error = error

    def refused(self) -> StatementError:
        return StatementError(
            str(self),
            span=self.call.span,
            suggestion="SET 'penstock.row.failure' = 'log' leaves rows at fault out.",
        )


@dataclass(frozen=True, slots=True)
class Folded:
    """A call of an aggregate, and the columns that it is evaluated over.

    Attributes:
        counts: bool[n], true for the rows that the call does not skip; None: it skips none.
    """

    call: AggregateCall | WindowFunction
    aggregator: Aggregator
    arguments: State
    counts: Bools | None = None


def initial(aggregator: Aggregator, count: int) -> State:
    """The states of ``count`` groups without rows."""
    return [state_values.initial(f, count) for f in aggregator.fields]


def rows_to_leave_out(
    calls: Sequence[Folded], groups: Int64s, count: int, options: QueryOptions, faults: Faults, error: CallError
) -> Bools:
    """Find the rows that one of the calls fails on, count them, and add them to ``faults``.

    Args:
        groups: the group of each row, from 0 to ``count - 1``.
        error: the error that evaluating all rows at once gave.

    Returns:
        bool[n], true for these rows.

    Raises:
        StatementError: rows at fault must not be left out, or no single row is at fault.
    """
    if options.row_failure == "stop":
        raise error.refused() from error.error
    try:
        failed, reason = _rows_at_fault(calls, groups, count, error)
    except CallError:
        raise error.refused() from error.error
    faults.add(int(np.count_nonzero(failed)), reason)
    return failed


def _rows_at_fault(calls: Sequence[Folded], groups: Int64s, count: int, error: CallError) -> tuple[Bools, str]:
    """Find the rows that fail if all calls are evaluated over them in order.

    Args:
        groups: the group of each row, from 0 to ``count - 1``.
        error: the error that evaluating all rows at once gave.

    Returns:
        bool[n], true for these rows, and why the first one fails.

    Raises:
        CallError: ``error``, if no row fails by itself.
    """
    failed = np.zeros(len(groups), np.bool_)
    states = [list(initial(c.aggregator, count)) for c in calls]
    reason = ""
    waiting = [(0, len(groups))]
    while waiting:
        interrupts.check()
        start, end = waiting.pop()
        try:
            after = [_folded(c, s, groups, start, end) for c, s in zip(calls, states, strict=True)]
        except CallError as found:
            if end - start == 1:
                failed[start] = True
                reason = reason or str(found)
            else:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]
            continue
        for state, (present, changed) in zip(states, after, strict=True):
            for place, column in enumerate(changed):
                state[place] = state_values.replaced(state[place], present, column)
    if not reason:
        raise error
    return failed, reason


def _folded(call: Folded, states: State, groups: Int64s, start: int, end: int) -> tuple[Int64s, State]:
    """Evaluate a call over the rows from ``start`` to ``end``.

    Returns:
        the groups of these rows, and the states of the groups after them.

    Raises:
        CallError: the call failed.
    """
    rows = np.arange(start, end)
    if call.counts is not None:
        rows = rows[call.counts[start:end]]
    present, numbers = np.unique(groups[rows], return_inverse=True)
    if not len(present):
        return present, [state_values.picked(s, present) for s in states]
    before = [state_values.picked(s, present) for s in states]
    segments = Segments(numbers.reshape(-1).astype(np.int64), len(present))
    arguments = [a.take(pa.array(rows)) for a in call.arguments]
    try:
        after, _ = call.aggregator.scan(before, segments, arguments, None, False)
    except DataError as error:
        raise CallError(call.call, error) from error
    return present, after
