"""How many rows a step takes: as many as it can process in `TARGET_S`, and fewer while a row at fault is looked for."""

from __future__ import annotations

from ...limits import BATCH_ROWS_MAX
from ..dataflow import Dataflow, OperatorNode

TARGET_S = 0.2
"""How long a step shall take where other queries wait for the same workers, in seconds."""

OVERRUN_S = 2 * TARGET_S
"""A step that takes longer than this, in seconds, is taken back if possible, and done again with fewer rows."""

_GROWTH = 4
"""The largest factor by which a step may have more rows than the one before it."""

_CAUTIOUS_ROWS = 16

_COMMITTED_ROWS = 4096
"""Steps do not get smaller than this because of slow commits.  A commit waits for disks or brokers, however few rows it has,
and steps of one row would never catch up."""


def rows_per_step(dataflow: Dataflow, rows_max: int) -> int:
    """The largest number of rows of a query's steps, if the database allows ``rows_max``.

    An aggregation puts out each group once per step, so it gains from larger steps.  Others gain nothing, since columns
    outgrow the cache; with joins the commit of a step has fewer steps beside which it can run.
    """
    operators = [node for node in dataflow.nodes if isinstance(node, OperatorNode)]
    aggregates = any(node.folds for node in operators) and not dataflow.every_update
    one_input = all(len(node.inputs) == 1 for node in operators)
    return rows_max if aggregates and one_input else min(rows_max, BATCH_ROWS_MAX)


class StepSize:
    """Chooses the number of rows of the next step.

    Where a step fails, the row at fault is found by halving: the step is taken back, and steps of half as many rows
    follow, each with a commit of its own, until one row alone fails.  The result depends on the rows only, not on how
    they were cut into steps before.

    Args:
        rows_max: no step has more.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._by_time = float(rows_max)
        self._suspect: int | None = None
        """At least one of the next rows, of this many, is at fault.  None: no fault is known."""
        self._cautious: int | None = None
        """The step size while another fault is expected soon; None: none is expected."""
        self._since_fault = 0

    def rows(self, *, bounded: bool) -> int:
        """The number of rows of the next step, 1 at least.

        Args:
            bounded: the step shall take about `TARGET_S` at most.
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
        """Whether a row at fault is looked for or expected."""
        return self._suspect is not None or self._cautious is not None

    def took(self, rows: int, seconds: float, computing_s: float | None = None) -> None:
        """Note a step that went well.

        Args:
            seconds: how long it took.
            computing_s: how much of that was not its commit; None: all.
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
        """Note a step that was taken back because it took too long.

        Args:
            rows: of the step.
            done: for how many rows user code had been called; more than ``rows`` where several functions are called.
            seconds: how long it had taken until then.
        """
        fitting = done * TARGET_S / max(seconds, 1e-6)
        self._by_time = max(1.0, min(fitting, rows / 2))

    def refused(self) -> None:
        """Note that Kafka refused a commit: the step may have taken longer than it allows."""
        self._by_time = max(1.0, self._by_time / 2)

    def failed(self, rows: int) -> None:
        """Note that a step of more than one row failed."""
        self._suspect = rows

    def dropped(self) -> None:
        """Note that the row at fault was found and left out."""
        self._suspect = None
        self._cautious = max(_CAUTIOUS_ROWS, min(self._rows_max, self._since_fault // 2))
        self._since_fault = 0
