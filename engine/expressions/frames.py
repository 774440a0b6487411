"""What expressions are evaluated over and give: frames of rows, and values.

A value is an array as long as the frame, or a scalar for all rows.  Where the evaluation of a row failed, the value is null
and ``failures`` has the reason.

A failed part normally fails the expression around it.  Some expressions guard their parts: CAST, the items of constructors,
and calls that are arguments.  There the part only becomes null, and ``guarded`` keeps the failure for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ...errors import Span
from ...kernels.gathering import Later
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Failures, map_failures
from ..columns.sizes import ColumnTooLargeError, bounded_broadcast, check_column
from .values import blank, merge_failures, whole


class Value(NamedTuple):
    """The value of an expression, see the text of this module.

    Attributes:
        data: a `pyarrow.Array` or a `pyarrow.Scalar`.
    """

    data: Any
    failures: Failures | None = None
    guarded: Failures | None = None

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.data, pa.Scalar)


class RowFrame:
    """Rows over which expressions are evaluated: those of a batch, some rows of another frame, or the elements of a lambda.

    A frame that comes from another one takes a column from there when it is first read.
    """

    __slots__ = ("_columns", "_parameters", "_parent", "_rows", "length", "memo")

    def __init__(self, columns: Sequence[Any], length: int) -> None:
        self._columns: dict[int, Any] = {i: whole(c) for i, c in enumerate(columns)}
        self._parameters: dict[str, Any] = {}
        self._parent: RowFrame | None = None
        self._rows: Any = None
        self.length = length
        self.memo: dict[int, Value] = {}

    def subset(self, rows: Int64s, parameters: Mapping[str, Any] | None = None) -> RowFrame:
        """Make a frame of the given rows, in which a row may occur several times.

        Args:
            rows: the row numbers, int64[m].
            parameters: the parameters of a lambda by name, arrays of length m.
        """
        derived = RowFrame((), len(rows))
        derived._parent = self
        derived._rows = pa.array(rows, pa.int64())
        derived._parameters = dict(parameters or {})
        return derived

    def column(self, index: int) -> Any:
        found = self._columns.get(index)
        if found is None:
            assert self._parent is not None
            found = self._columns[index] = self._parent.column(index).take(self._rows)
        elif isinstance(found, Later):
            found = self._columns[index] = found.all()
        return found

    def parameter(self, name: str) -> Any:
        found = self._parameters.get(name)
        if found is None:
            assert self._parent is not None
            found = self._parameters[name] = self._parent.parameter(name).take(self._rows)
        return found

    def array(self, data: Any) -> Any:
        """A value's data as an array of the frame's length.  A scalar is repeated."""
        return bounded_broadcast(data, self.length) if isinstance(data, pa.Scalar) else data


Evaluator = Callable[[RowFrame], Value]


def limited(evaluator: Evaluator, span: Span) -> Evaluator:
    """Limit the size of an evaluator's values.

    Evaluation raises ColumnTooLargeError, with the place in the text, if a value is larger than `limits.COLUMN_BYTES_MAX`.
    """

    def evaluate(frame: RowFrame) -> Value:
        try:
            value = evaluator(frame)
            if not value.is_scalar:
                check_column(value.data.nbytes)
        except ColumnTooLargeError as error:
            error.span = error.span or span
            raise
        return value

    return evaluate


def guarded(evaluator: Evaluator) -> Evaluator:
    """Guard an evaluator: its failures become nulls and are only reported."""

    def evaluate(frame: RowFrame) -> Value:
        value = evaluator(frame)
        if value.failures is None:
            return value
        return Value(value.data, None, merge_failures(value.guarded, value.failures))

    return evaluate


def strict(data: Any, parts: Sequence[Value], own: Failures | None = None) -> Value:
    """Make the value of an expression that fails where any of its parts fails.

    Args:
        own: the expression's own failures.
    """
    failures = merge_failures(*(p.failures for p in parts), own)
    reports = merge_failures(*(p.guarded for p in parts))
    return Value(data if failures is None else blank(data, failures), failures, reports)


def on_rows(evaluator: Evaluator, frame: RowFrame, rows: Bools) -> tuple[Value, Int64s]:
    """Evaluate over some rows only.

    Args:
        rows: bool[n], true for the rows to evaluate.

    Returns:
        the value over those rows, and their row numbers.  Its failures have the row numbers of ``frame``.
    """
    picked = np.flatnonzero(rows).astype(np.int64, copy=False)
    inner = frame.subset(picked)
    value = evaluator(inner)
    data = inner.array(value.data)
    return Value(data, map_failures(value.failures, picked), map_failures(value.guarded, picked)), picked
