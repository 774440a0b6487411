"""Decides how many rows a step takes: as many as it processes in about `TARGET_S`; fewer during the search for a row that
fails."""

from __future__ import annotations

from ...limits import BATCH_ROWS_MAX
from ..dataflow import Dataflow, OperatorNode

TARGET_S = 0.2
"""The duration of a step to aim at, in seconds, when other queries wait for the same workers."""

OVERRUN_S = 2 * TARGET_S
"""A step that takes longer than this, in seconds, is undone if possible, and done again with fewer rows."""

_GROWTH = 4
"""The largest factor by which a step may be larger than the one before it, in rows."""

_CAUTIOUS_ROWS = 16

_COMMITTED_ROWS = 4096
"""Slow commits do not make steps smaller than this, in rows.  A commit waits for the disk or the brokers however few rows it
has, so smaller steps would not make it faster, and the query would fall behind."""


def rows_per_step(dataflow: Dataflow, rows_max: int) -> int:
    """The largest number of rows of a step of this query.

    An aggregation emits each group once per step, so larger steps save output.  Other queries get smaller steps: larger ones
    would save nothing, and their columns would not fit the processor's cache.  So do joins: a step's commit runs while the
    next step computes, which needs several steps.

    Args:
        rows_max: the largest number that the database allows.
    """
    operators = [node for node in dataflow.nodes if isinstance(node, OperatorNode)]
    aggregates = any(node.folds for node in operators) and not dataflow.every_update
    one_input = all(len(node.inputs) == 1 for node in operators)
    return rows_max if aggregates and one_input else min(rows_max, BATCH_ROWS_MAX)


class StepSize:
    """Chooses the number of rows of the next step.

    When a step fails, the row at fault is found by halving: the step is undone, and steps of half as many rows follow,
    each with a commit of its own, until a step of one row fails.  So the result depends on the rows only, not on how they
    were divided into steps.

    Args:
        rows_max: no step has more.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._by_time = float(rows_max)
        self._suspect: int | None = None
        """A number n: at least one of the next n rows is at fault.  None: no fault is known."""
        self._cautious: int | None = None
        """The step size, in rows, while another fault is expected soon; None: none is expected."""
        self._since_fault = 0

    def rows(self, *, bounded: bool) -> int:
        """The number of rows of the next step, at least 1.

        Args:
            bounded: choose as many rows as take about `TARGET_S` at most.
        """
        rows = self._rows_max
        if bounded:
            rows = min(rows, int(self._by_time))
        if self._suspect is not None:
            rows = min(rows, self._suspect // 2)
        elif self._cautious is not None:
            rows = min(rows, self._cautious)
        return max(1, rows)

    @property
    def careful(self) -> bool:
        """Whether a row at fault is being searched for or expected soon."""
        return self._suspect is not None or self._cautious is not None

    def took(self, rows: int, seconds: float, computing_s: float | None = None) -> None:
        """Note a step that succeeded.

        Args:
            rows: of the step.
            seconds: its duration, with the commit.
            computing_s: its duration without the commit, in seconds; None: the same as ``seconds``.
        """
        if self._suspect is not None:
            self._suspect -= rows
            if self._suspect <= 0:  # it was no row's fault, or not only that
                self._suspect = None
        elif self._cautious is not None:
            self._since_fault += rows
            self._cautious *= _GROWTH
            if self._cautious >= self._rows_max:
                self._cautious = None
        if rows >= self._by_time / 2 or seconds > TARGET_S:  # else it says little about how many would fit
            fitting = rows * TARGET_S / max(seconds, 1e-6)
            if computing_s is not None:
                computed = rows * TARGET_S / max(computing_s, 1e-6)
                fitting = max(fitting, min(computed, _COMMITTED_ROWS))
            self._by_time = min(fitting, self._by_time * _GROWTH, self._rows_max)

    def overran(self, rows: int, done: int, seconds: float) -> None:
        """Note a step that was undone because it took longer than `OVERRUN_S`.

        Args:
            rows: of the step.
            done: the number of rows for which user code had been called, summed over its functions: it may exceed ``rows``.
            seconds: the step's duration until it was undone.
        """
        fitting = done * TARGET_S / max(seconds, 1e-6)
        self._by_time = max(1.0, min(fitting, rows / 2))

    def refused(self) -> None:
        """Note that Kafka refused a commit: the step may have outlasted the transaction timeout."""
        self._by_time = max(1.0, self._by_time / 2)

    def failed(self, rows: int) -> None:
        """Note that a step of more than one row failed."""
        self._suspect = rows

    def dropped(self) -> None:
        """Note that the row at fault was found and is left out."""
        self._suspect = None
        self._cautious = max(_CAUTIOUS_ROWS, min(self._rows_max, self._since_fault // 2))
        self._since_fault = 0
