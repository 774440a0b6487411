"""The sockets that engine plugs compiled SQL into: kernels over columns, and aggregators over groups of rows.

Runtime never sees SQL: a test can plug in a lambda.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..storage.state.store import StateField
from .batch import Bools, Int64s

__all__ = [
    "Aggregator",
    "Evaluated",
    "Failures",
    "Kernel",
    "LambdaKernel",
    "Segments",
    "State",
    "StateField",
    "all_true",
    "as_mask",
]


@dataclass(frozen=True, slots=True)
class Failures:
    """Rows whose evaluation failed (their result is null), and why: parallel, rows ascending and distinct."""

    rows: Int64s
    reasons: tuple[str, ...]


class Evaluated(NamedTuple):
    """A kernel's result: an Arrow array as long as its input, and the rows that failed, if any did."""

    values: Any
    failures: Failures | None = None


Kernel = Callable[[Sequence[Any], int], Evaluated]
"""``kernel(columns, length)``: columns as in a `Batch`, each of that length; the result has that length too.

A predicate is a kernel with a bool result, in which null and failed count as false.
A table function is a kernel with a list result: one output row per item, null like an empty list.
"""


@dataclass(frozen=True, slots=True)
class Segments:
    """The rows of a batch by group, worked out once and shared by all aggregators of an operator.

    Attributes:
        groups: int64[n], the dense number (0..count-1) of each row's group, rows in processing order.
        count: the number of groups.
        order: int64[n], row numbers sorted by group, processing order kept within each.
        starts: int64[count], where each group begins in ``order`` (no group is empty).
    """

    groups: Int64s
    count: int
    order: Int64s = field(init=False)
    starts: Int64s = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.groups, kind="stable").astype(np.int64, copy=False)
        counts = np.bincount(self.groups, minlength=self.count)
        starts = np.zeros(self.count, np.int64)
        np.cumsum(counts[:-1], out=starts[1:])
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "starts", starts)


State = list[npt.NDArray[Any]]
"""One NumPy array per `StateField`, parallel."""


class Aggregator(Protocol):
    """An aggregate function over many groups at once.  It keeps no state of its own: state goes in and comes out."""

    fields: tuple[StateField, ...]
    result_type: Any
    """Arrow type of the result."""
    can_undo: bool
    """Whether ``scan`` accepts undone rows (aggregates over tables need it)."""
    can_merge: bool
    """Whether ``merge`` works (session windows need it)."""

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        """Take in a batch's rows, in processing order within each group.

        Args:
            state: arrays of length ``segments.count``, each group's state before the batch; not to be changed in place.
            arguments: Arrow arrays of length n, the evaluated arguments (none for COUNT(*)).
            undo: bool[n], rows to take back instead of to add; None if there are none.
            every: whether the state after every single row is wanted.

        Returns:
            each group's state after the batch (arrays of length ``segments.count``) and, if ``every``, the state of the
            row's group right after each row (arrays of length n, rows in processing order), else None.

        Raises:
            DataError: the aggregate cannot go on (a DECIMAL SUM overflows): the query fails, as in ksqlDB.
        """

    def merge(self, left: State, right: State) -> State:
        """The states of merged sessions, elementwise; ``left`` holds the earlier sessions."""

    def result(self, state: State) -> Any:
        """The Arrow array of results for states (of any length)."""


class LambdaKernel(Protocol):
    """A compiled SQL lambda, evaluated over many elements at once.

    ``rows`` is int64[m]: the outer row that each element belongs to (captured columns are looked up by it).
    ``parameters`` are Arrow arrays of length m.
    """

    def __call__(self, parameters: Sequence[Any], rows: Int64s) -> Evaluated: ...


def all_true(n: int) -> Bools:
    return np.ones(n, np.bool_)


def as_mask(evaluated: Evaluated) -> Bools:
    """A predicate's result as bool[n]: null and failed rows are false."""
    values = evaluated.values
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.null_count:
        values = values.fill_null(False)
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_)
