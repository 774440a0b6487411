"""Comparisons and logic, column by column.

* A comparison with a NULL operand is false, so NOT of it is true.
* A NULL boolean means unknown.  AND and OR are true or false if one of the sides decides, otherwise NULL.  NOT of NULL is
  NULL.  LIKE over NULL is NULL.
* AND and OR do not evaluate their right side for rows where the left side decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.booleans import booleans
from ...runtime.batch import Bools
from ...storage.values.arrow_calls import repeated
from ...storage.values.canonical import canonical
from .. import types as t
from ..columns.comparing import compare
from ..functions.aggregate_values import hashable
from . import nodes as n
from .arithmetic import as_decimal, widening
from .frames import Evaluator, RowFrame, Value, on_rows, strict
from .values import blank, merge_failures, null_mask, restrict_failures, to_python

_PYTHON_CALLS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def comparer(operator: str, left: t.SqlType, right: t.SqlType) -> Callable[[Any, Any, int], Any]:
    """Make the function ``compare(x, y, length)`` for arrays or scalars, of which at least one is an array.

    It returns a bool array without nulls, false where an operand is null.

    Args:
        operator: one of ``= <> < <= > >=``.
    """
    nested = isinstance(left, t.Array | t.Map | t.Struct)
    if (nested and left != right) or _is_wide(left, right):
        call = _PYTHON_CALLS[operator]

        def by_row(x: Any, y: Any, length: int) -> Any:
            xs = map(hashable, to_python(_array(x, length), left))
            ys = map(hashable, to_python(_array(y, length), right))
            return pa.array(
                [a is not None and b is not None and call(a, b) for a, b in zip(xs, ys, strict=True)], pa.bool_()
            )

        return by_row
    real = t.DOUBLE in (left, right)
    widen_left, widen_right = widening(left, t.DOUBLE if real else left), widening(right, t.DOUBLE if real else right)

    def compare_columns(x: Any, y: Any, length: int) -> Any:
        result = compare(operator, widen_left(x), widen_right(y))
        if isinstance(result, pa.Scalar):
            result = repeated(result, length)
        return result.fill_null(False) if result.null_count else result

    return compare_columns


def _is_wide(left: t.SqlType, right: t.SqlType) -> bool:
    """Whether two DECIMAL types have a common type with more digits than Arrow can compare."""
    if t.DOUBLE in (left, right) or not (isinstance(left, t.Decimal) or isinstance(right, t.Decimal)):
        return False
    a, b = as_decimal(left), as_decimal(right)
    return max(a.precision - a.scale, b.precision - b.scale) + max(a.scale, b.scale) > 38


def _array(data: Any, length: int) -> Any:
    return repeated(data, length) if isinstance(data, pa.Scalar) else data


def _is_null(data: Any, length: int) -> Any:
    if isinstance(data, pa.Scalar):
        return repeated(pa.scalar(not data.is_valid), length)
    return pc.is_null(data)


def compile_comparison(e: n.Compare, left: Evaluator, right: Evaluator) -> Evaluator:
    """Compile ``left operator right``."""
    if "DISTINCT" in e.operator:
        differ = comparer("<>", e.left.type, e.right.type)
        negated = e.operator == "IS NOT DISTINCT FROM"

        def evaluate(frame: RowFrame) -> Value:
            a, b = left(frame), right(frame)
            one_null = pc.xor(_is_null(a.data, frame.length), _is_null(b.data, frame.length))
            result = pc.or_(one_null, differ(a.data, b.data, frame.length))
            return strict(pc.invert(result) if negated else result, (a, b))

        return evaluate
    comparison = comparer(e.operator, e.left.type, e.right.type)

    def evaluate_plain(frame: RowFrame) -> Value:
        a, b = left(frame), right(frame)
        return strict(comparison(a.data, b.data, frame.length), (a, b))

    return evaluate_plain


def compile_between(e: n.Between, operand: Evaluator, low: Evaluator, high: Evaluator) -> Evaluator:
    """Compile ``operand BETWEEN low AND high``.  ``high`` is not evaluated for rows where the operand is below ``low``."""
    above = comparer(">=", e.operand.type, e.low.type)
    below = comparer("<=", e.operand.type, e.high.type)

    def evaluate(frame: RowFrame) -> Value:
        value, least, most = operand(frame), low(frame), high(frame)
        first = above(value.data, least.data, frame.length)
        result = pc.and_(first, below(value.data, most.data, frame.length))
        if most.failures is not None:
            most = Value(most.data, restrict_failures(most.failures, _truth(first)), most.guarded)
        return strict(pc.invert(result) if e.negated else result, (value, least, most))

    return evaluate


def _truth(array: Any) -> Bools:
    """bool[n]: true where a BOOLEAN array is true; false where it is false or null."""
    if array.null_count:
        array = array.fill_null(False)
    return booleans(array)


def compile_in(e: n.In, operand: Evaluator, items: Sequence[Evaluator], constants: Sequence[Any] | None) -> Evaluator:
    """Compile ``operand IN (items)``.  The items after the first match of a row are not evaluated for it.

    Args:
        constants: the items as scalars, if all are constant.
    """
    if constants is not None and not isinstance(e.operand.type, t.Array | t.Map | t.Struct | t.Decimal):
        wanted = pa.array([c.as_py() for c in constants if c.is_valid], t.to_arrow(e.operand.type))
        return compile_in_values(operand, wanted, e.negated)
    comparisons = [comparer("=", e.operand.type, item.type) for item in e.items]

    def evaluate(frame: RowFrame) -> Value:
        value = operand(frame)
        found = np.zeros(frame.length, np.bool_)
        failures = value.failures
        reports = value.guarded
        for item, equal in zip(items, comparisons, strict=True):
            other = item(frame)
            failures = merge_failures(failures, restrict_failures(other.failures, ~found))
            reports = merge_failures(reports, other.guarded)
            found |= _truth(equal(value.data, other.data, frame.length))
        result = pa.array(~found if e.negated else found)
        return Value(blank(result, failures), failures, reports)

    return evaluate


def compile_in_values(operand: Evaluator, values: Any, negated: bool) -> Evaluator:
    """Compile ``operand IN (values)`` for an Arrow array of values whose type Arrow looks up by hash."""
    wanted = canonical(values)

    def evaluate(frame: RowFrame) -> Value:
        value = operand(frame)
        found = pc.is_in(canonical(frame.array(value.data)), value_set=wanted)
        return strict(pc.invert(found) if negated else found, (value,))

    return evaluate


# --- logic ---------------------------------------------------------------------------------


def is_cheap(e: n.TypedExpression) -> bool:
    """Whether evaluating an expression for all rows costs less than selecting the rows that need it."""
    return not any(isinstance(part, n.Call | n.Case | n.Cast | n.Like) for part in n.walk(e))


def compile_logical(e: n.Logical, left: Evaluator, right: Evaluator) -> Evaluator:
    """Compile ``left AND|OR right``."""
    conjunction = e.operator == "AND"
    combine = pc.and_kleene if conjunction else pc.or_kleene
    lazy = not is_cheap(e.right)

    def evaluate(frame: RowFrame) -> Value:
        a = left(frame)
        x = frame.array(a.data)
        needed = ~decided(x, not conjunction)
        if a.failures is not None:
            needed[a.failures.rows] = False
        if lazy and not needed.all():
            b, rows = on_rows(right, frame, needed)
            places = np.zeros(frame.length, np.int64)
            places[rows] = np.arange(len(rows))
            y = b.data.take(pa.array(places, mask=~needed))
        else:
            b = right(frame)
            y = frame.array(b.data)
        failures = merge_failures(a.failures, restrict_failures(b.failures, needed))
        reports = merge_failures(a.guarded, restrict_failures(b.guarded, needed))
        return Value(blank(combine(x, y), failures), failures, reports)

    return evaluate


def decided(array: Any, value: bool) -> Bools:
    """bool[n]: where a BOOLEAN array is ``value``; false where it is null."""
    truth = _truth(array)
    return truth if value else ~truth & ~null_mask(array)


def compile_not(operand: Evaluator) -> Evaluator:
    """Compile ``NOT operand``."""

    def evaluate(frame: RowFrame) -> Value:
        value = operand(frame)
        return strict(pc.invert(frame.array(value.data)), (value,))

    return evaluate


def compile_is_null(e: n.IsNull, operand: Evaluator) -> Evaluator:
    """Compile ``operand IS [NOT] NULL``."""

    def evaluate(frame: RowFrame) -> Value:
        value = operand(frame)
        missing = _is_null(value.data, frame.length)
        return strict(pc.invert(missing) if e.negated else missing, (value,))

    return evaluate
