"""Calls functions row by row or on whole Arrow columns, runs lambdas, and evaluates CASE."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InternalError
from ...kernels.booleans import booleans
from ...runtime.batch import Int64s
from ...runtime.kernel import Evaluated, Failures, failures_of
from ...runtime.user_code import UserCodeError, row_check
from .. import types as t
from ..columns.sizes import ColumnTooLargeError, bounded_broadcast, check_column, has_any_size
from ..functions.registry import Overload
from . import nodes as n
from .frames import Evaluator, RowFrame, Value, strict
from .values import from_python, merge_failures, restrict_failures, to_python, whole

_CHECK_MASK = 255
"""Built-in functions are fast, so the interrupt of a step is checked only at every 256th row."""

Compile = Callable[[n.TypedExpression], Evaluator]


class CompiledLambda:
    """A `LambdaKernel`: evaluates a lambda's body over elements, and over the columns of the rows that they come from."""

    def __init__(self, frame: RowFrame, names: Sequence[str], body: Evaluator) -> None:
        self._frame = frame
        self._names = names
        self._body = body

    def __call__(self, parameters: Sequence[Any], rows: Int64s) -> Evaluated:
        inner = self._frame.subset(np.asarray(rows, np.int64), dict(zip(self._names, map(whole, parameters), strict=True)))
        value = self._body(inner)
        return Evaluated(inner.array(value.data), value.failures)


def reason_of(error: BaseException) -> str:
    """The text that reports an exception as the reason of a failed row."""
    if isinstance(error, UserCodeError):
        return str(error)
    text = str(error)
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def compile_call(e: n.Call | n.TableCall, overload: Overload, compile_argument: Compile, compile_body: Compile) -> Evaluator:
    """Compile a call of a scalar function or of a table function.  The value of a table function is a list for each row."""
    type_ = t.Array(e.type) if isinstance(e, n.TableCall) else e.type
    arrow = t.to_arrow(type_)
    lambdas = {
        i: ([name for name, _ in a.parameters], compile_body(a.body))
        for i, a in enumerate(e.arguments)
        if isinstance(a, n.LambdaNode)
    }
    words = {i: a.unit for i, a in enumerate(e.arguments) if isinstance(a, n.UnitWord)}
    plain = {i: compile_argument(a) for i, a in enumerate(e.arguments) if i not in lambdas and i not in words}
    if overload.style == "row" and lambdas:
        raise InternalError(f"{e.name}: a row function cannot take a lambda")

    def evaluate(frame: RowFrame) -> Value:
        values = {i: evaluator(frame) for i, evaluator in plain.items()}
        if not frame.length:
            return Value(pa.nulls(0, arrow))
        if overload.style == "row":
            columns = [
                itertools.repeat(words[i], frame.length) if i in words else _python(values[i], a.type, frame)
                for i, a in enumerate(e.arguments)
            ]
            result, own = _by_row(e, overload, columns, frame.length, type_)
        else:
            kernels = {i: CompiledLambda(frame, names, body) for i, (names, body) in lambdas.items()}
            result, own = _by_column(e, overload, values, words, kernels, frame, arrow)
        return strict(result, list(values.values()), own)

    return evaluate


def _python(value: Value, type_: t.SqlType, frame: RowFrame) -> Any:
    if value.is_scalar:
        return itertools.repeat(to_python(pa.repeat(value.data, 1), type_)[0], frame.length)
    return to_python(value.data, type_)


def _by_row(
    e: n.Call | n.TableCall, overload: Overload, columns: Sequence[Any], length: int, type_: t.SqlType
) -> tuple[Any, Failures | None]:
    """Call a row function with the Python values of each row.  An exception fails the row."""
    function, nulls = overload.implementation, overload.nulls
    results: list[Any] = []
    failed: dict[int, str] = {}
    rows = zip(*columns, strict=True) if columns else itertools.repeat((), length)
    size, sized = 0, has_any_size(t.to_arrow(type_))
    check = row_check()
    for row, arguments in enumerate(rows):
        if not row & _CHECK_MASK:
            check()
        result = None
        if nulls or None not in arguments:
            try:
                result = function(*arguments)
            except Exception as error:
                failed[row] = f"{e.name}: {reason_of(error)}"
        if sized and result is not None:
            size += len(result)
            check_column(size)
        results.append(result)
    array, unheld = from_python(results, type_)
    return array, merge_failures(failures_of(failed), unheld)


def _by_column(
    e: n.Call | n.TableCall,
    overload: Overload,
    values: dict[int, Value],
    words: dict[int, str],
    kernels: dict[int, CompiledLambda],
    frame: RowFrame,
    arrow: Any,
) -> tuple[Any, Failures | None]:
    """Call an Arrow function.  If it raises, call it row by row to find the rows that fail."""
    scalars_only = all(v.is_scalar for v in values.values())
    arguments: list[Any] = []
    for i in range(len(e.arguments)):
        if i in words:
            arguments.append(pa.scalar(words[i]))
        elif i in kernels:
            arguments.append(kernels[i])
        else:
            arguments.append(frame.array(values[i].data) if scalars_only else values[i].data)
    function = overload.implementation
    if not arguments:
        # A function without arguments cannot know how many values it must return, so it is called once for each row.
        return _row_by_row(e, overload, arguments, frame.length, arrow)
    try:
        return _settled(e.name, function(*arguments), frame.length, arrow)
    except ColumnTooLargeError:
        raise
    except Exception as error:
        if kernels or frame.length == 1:
            rows = range(frame.length)
            return pa.nulls(frame.length, arrow), failures_of(dict.fromkeys(rows, f"{e.name}: {reason_of(error)}"))
    return _row_by_row(e, overload, arguments, frame.length, arrow)


def _row_by_row(
    e: n.Call | n.TableCall, overload: Overload, arguments: Sequence[Any], length: int, arrow: Any
) -> tuple[Any, Failures | None]:
    function = overload.implementation
    parts: list[Any] = []
    failed: dict[int, str] = {}
    size = 0
    check = row_check()
    for row in range(length):
        check()
        slices = [a.slice(row, 1) if isinstance(a, pa.Array) else a for a in arguments]
        try:
            part, own = _settled(e.name, function(*slices), 1, arrow)
            if own is not None:
                failed[row] = own.reasons[0]
        except ColumnTooLargeError:
            raise
        except Exception as error:
            part = pa.nulls(1, arrow)
            failed[row] = f"{e.name}: {reason_of(error)}"
        size += part.nbytes
        check_column(size)
        parts.append(part)
    return pa.concat_arrays(parts), failures_of(failed)


def _settled(name: str, result: Any, length: int, arrow: Any) -> tuple[Any, Failures | None]:
    values, failures = result if isinstance(result, tuple) else (result, None)
    if failures is not None:
        failures = Failures(failures.rows, tuple(f"{name}: {reason}" for reason in failures.reasons))
    values = whole(values)
    if isinstance(values, pa.Scalar):
        values = bounded_broadcast(values, length)
    elif not isinstance(values, pa.Array):
        values = pa.array(values)
    if len(values) != length:
        raise ValueError(f"it gave {len(values)} values for {length} rows")
    if values.type != arrow:
        values = values.cast(arrow)
    return values, failures


def compile_case(e: n.Case, branches: Sequence[tuple[Evaluator, Evaluator]], default: Evaluator, lazy: bool) -> Evaluator:
    """Compile ``CASE``.

    A branch counts only for the rows that no earlier branch took and that meet its condition.  A NULL condition is not met.

    Args:
        lazy: evaluate a branch only over its rows.  Otherwise all rows are evaluated, and failures of other rows are
        ignored.
    """
    arrow = t.to_arrow(e.type)

    def evaluate_all(frame: RowFrame) -> Value:
        open_ = np.ones(frame.length, np.bool_)
        failures: Failures | None = None
        reports: Failures | None = None
        conditions: list[Any] = []
        results: list[Any] = []
        for condition, result in (*branches, (None, default)):
            taken = open_
            if condition is not None:
                met = condition(frame)
                data = frame.array(met.data)
                failures, reports = _case_failures(failures, reports, met, open_)
                truth = booleans(data.fill_null(False))
                taken = open_ & truth
                open_ = open_ & ~truth
                conditions.append(pa.array(taken))
            value = result(frame)
            failures, reports = _case_failures(failures, reports, value, taken)
            results.append(value.data)
        data = frame.array(results[-1])
        for condition_array, result_data in zip(reversed(conditions), reversed(results[:-1]), strict=True):
            data = pc.if_else(condition_array, result_data, data)
        return strict(data, (Value(data, failures, reports),))

    def evaluate_lazily(frame: RowFrame) -> Value:
        rows = np.arange(frame.length, dtype=np.int64)
        failed: list[Failures | None] = []
        reports: list[Failures | None] = []
        pieces: list[Any] = []
        places: list[Int64s] = []

        def take(evaluator: Evaluator, picked: Int64s) -> Any:
            inner = frame.subset(picked)
            value = evaluator(inner)
            failed.append(_renumbered(value.failures, picked))
            reports.append(_renumbered(value.guarded, picked))
            return inner.array(value.data)

        for condition, result in branches:
            if not len(rows):
                break
            data = take(condition, rows)
            truth = booleans(data.fill_null(False))
            if truth.any():
                pieces.append(take(result, rows[truth]))
                places.append(rows[truth])
            rows = rows[~truth]
        if len(rows):
            pieces.append(take(default, rows))
            places.append(rows)
        if not pieces:
            return Value(pa.nulls(frame.length, arrow), merge_failures(*failed), merge_failures(*reports))
        where = np.full(frame.length, -1, np.int64)
        together = np.concatenate(places)
        where[together] = np.arange(len(together))
        missing = where < 0
        index = pa.array(np.where(missing, 0, where), mask=missing)
        data = pa.concat_arrays(pieces).take(index)
        return strict(data, (Value(data, merge_failures(*failed), merge_failures(*reports)),))

    return evaluate_lazily if lazy else evaluate_all


def _renumbered(failures: Failures | None, rows: Int64s) -> Failures | None:
    return None if failures is None else Failures(rows[failures.rows], failures.reasons)


def _case_failures(
    failures: Failures | None, reports: Failures | None, value: Value, relevant: Any
) -> tuple[Failures | None, Failures | None]:
    return (
        merge_failures(failures, restrict_failures(value.failures, relevant)),
        merge_failures(reports, restrict_failures(value.guarded, relevant)),
    )
