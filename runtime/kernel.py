"""The interfaces for compiled SQL: kernels over columns, and aggregators over groups of rows.

Runtime never sees SQL: a test can plug in a lambda.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..kernels.booleans import booleans
from ..storage.state.store import StateField
from .batch import Bools, Int64s

__all__ = [
    "Aggregator",
    "Columns",
    "Evaluated",
    "Failures",
    "Kernel",
    "LambdaKernel",
    "Segments",
    "State",
    "StateField",
    "all_true",
    "as_mask",
    "failures_at",
    "failures_of",
    "map_failures",
    "picked_failures",
]


@dataclass(frozen=True, slots=True)
class Failures:
    """Rows whose evaluation failed (their result is null), and the reasons: parallel, rows ascending and distinct."""

    rows: Int64s
    reasons: tuple[str, ...]


def failures_at(rows: Int64s, reason: str) -> Failures | None:
    """Failures of the given rows (ascending) for one reason; None if there are none."""
    if not len(rows):
        return None
    return Failures(rows, (reason,) * len(rows))


def failures_of(found: dict[int, str]) -> Failures | None:
    """Failures from a mapping of row -> reason."""
    if not found:
        return None
    rows = sorted(found)
    return Failures(np.array(rows, np.int64), tuple(found[row] for row in rows))


def map_failures(failures: Failures | None, rows: Int64s) -> Failures | None:
    """Renumber failures of a subset: ``rows[i]`` is the row of the whole for row i of the subset (ascending, repeats
    allowed; the first reason for a row stays).
    """
    if failures is None:
        return None
    mapped = rows[failures.rows]
    distinct, first = np.unique(mapped, return_index=True)
    return Failures(distinct, tuple(failures.reasons[i] for i in first.tolist()))


def picked_failures(failures: Failures | None, picks: Int64s) -> Failures | None:
    """Failures of values as failures of the rows that show them: ``picks`` has the value of each row, or -1 for none."""
    if failures is None:
        return None
    reasons = dict(zip(failures.rows.tolist(), failures.reasons, strict=True))
    return failures_of({row: reasons[value] for row, value in enumerate(picks.tolist()) if value in reasons})


class Evaluated(NamedTuple):
    """A kernel's result: an Arrow array as long as its input, and the failed rows, if any."""

    values: Any
    failures: Failures | None = None


Kernel = Callable[[Sequence[Any], int], Evaluated]
"""``kernel(columns, length)``: columns as in a `Batch`, each of that length; the result has that length too.

A predicate is a kernel with a bool result, in which null and failed count as false.
A table function is a kernel with a list result: one output row per item, null like an empty list.
"""


class Segments:
    """The rows of a batch by group, computed once and shared by all aggregators of an operator.

    Attributes:
        groups: int64[n], the group of each row (0..count-1), rows in processing order.
        count: the number of groups; each has a row.
        sequence: row i of the batch is row ``sequence + i`` in the life of the operator.  States that merge (sessions) can
            keep it to know which of them saw a row first.
    """

    __slots__ = ("_last", "_order", "_starts", "count", "groups", "sequence")

    def __init__(self, groups: Int64s, count: int, sequence: int = 0, last: Int64s | None = None) -> None:
        self.groups = groups
        self.count = count
        self.sequence = sequence
        self._order: Int64s | None = None
        self._starts: Int64s | None = None
        self._last = last

    @property
    def last(self) -> Int64s:
        """int64[count]: the last row of each group."""
        if self._last is None:
            self._last = np.empty(self.count, np.int64)
            self._last[self.groups] = np.arange(len(self.groups), dtype=np.int64)  # the last write stays
        return self._last

    @property
    def order(self) -> Int64s:
        """int64[n]: row numbers sorted by group, processing order kept within each."""
        if self._order is None:
            # NumPy's stable sort of 16-bit numbers is a radix sort, several times quicker than that of wider ones.
            narrow = self.groups.astype(np.uint16) if self.count <= 1 << 16 else self.groups
            self._order = np.argsort(narrow, kind="stable").astype(np.int64, copy=False)
        return self._order

    @property
    def starts(self) -> Int64s:
        """int64[count]: the index in ``order`` at which each group begins."""
        if self._starts is None:
            counts = np.bincount(self.groups, minlength=self.count)
            self._starts = np.cumsum(counts) - counts
        return self._starts


Columns = Sequence[Any]
"""Arrow arrays, parallel."""

State = Sequence[Any]
"""The states of groups: one NumPy array per `StateField`, or Arrow array (`StateField.columnar`), parallel."""


class Aggregator(Protocol):
    """An aggregate function over many groups at once.  It holds no state itself: each call gets it and returns it."""

    @property
    def fields(self) -> tuple[StateField, ...]:
        """The fields of a group's state."""
        ...

    @property
    def result_type(self) -> Any:
        """The Arrow type of the result."""
        ...

    @property
    def can_undo(self) -> bool:
        """Whether ``scan`` accepts undo rows (aggregates over tables need it)."""
        ...

    @property
    def can_merge(self) -> bool:
        """Whether ``merge`` works (session windows need it)."""
        ...

    @property
    def orderless(self) -> bool:
        """Whether ``merge`` of the states of two sets of rows is the state of their union, whatever the rows' order."""
        ...

    @property
    def picks_from(self) -> int | None:
        """From which argument on ``scan`` also accepts a `Later`; None if it accepts none.  It then reads few of its rows,
        unless ``every`` is true.
        """
        ...

    @property
    def nested_state(self) -> bool:
        """Whether ksqlDB keeps the state in an ARRAY, MAP or STRUCT, which flat value formats cannot hold."""
        ...

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        """Add a batch's rows to the states, in processing order within each group.

        Args:
            state: arrays of length ``segments.count``, each group's state before the batch; must not be changed in place.
            arguments: Arrow arrays of length n, the evaluated arguments (none for COUNT(*)).
            undo: bool[n], rows to undo instead of to add; None if there are none.
            every: whether the state after every single row is wanted.

        Returns:
            each group's state after the batch (arrays of length ``segments.count``) and, if ``every``, the state of the
            row's group right after each row (arrays of length n, rows in processing order), else None.  The latter are for
            ``result`` only and never stored: parts of a state that do not show in the result may be stale.

        Raises:
            DataError: the aggregate cannot go on.
        """
        ...

    def merge(self, left: State, right: State) -> State:
        """Merge the states of sessions, elementwise; ``left`` holds the earlier sessions."""
        ...

    def result(self, state: State) -> Any:
        """The results of states (of any length), as an Arrow array; null where there is none (see `evaluated`)."""
        ...

    def evaluated(self, state: State) -> Evaluated:
        """`result`, and the states whose result failed.  A state that has no result is kept, and goes on to take rows."""
        ...


class LambdaKernel(Protocol):
    """A compiled SQL lambda, evaluated over many elements at once.

    ``rows`` is int64[m]: the outer row of each element, for columns that the lambda captures.  ``parameters`` are Arrow
    arrays of length m.
    """

    def __call__(self, parameters: Sequence[Any], rows: Int64s) -> Evaluated: ...


def all_true(n: int) -> Bools:
    return np.ones(n, np.bool_)


def as_mask(evaluated: Evaluated) -> Bools:
    """Convert a predicate's result to bool[n]: null and failed rows are false."""
    return booleans(evaluated.values)
