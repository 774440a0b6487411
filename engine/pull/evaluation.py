"""Evaluates expressions over rows, and the correlated subqueries in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...limits import SUBQUERY_ANSWERS_MAX
from ...runtime.batch import Int64s
from ..analysis.bind_answers import check_one_row, in_rows
from ..expressions.compile import compile_expression
from ..expressions.nodes import ColumnRef, Correlated, TypedExpression, columns_of, transform, walk
from ..expressions.values import to_python
from ..functions.registry import Registry
from ..types import to_arrow
from .faults import Faults
from .rows import Rows, row_codes, whole


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How expressions are evaluated.

    Attributes:
        guard: a part of an expression that fails becomes NULL, and the rest is evaluated.
        faults: collects the rows that the query leaves out.
    """

    functions: Registry
    guard: bool
    faults: Faults


def evaluate(expression: TypedExpression, rows: Rows, *, how: Evaluation) -> Any:
    """Evaluate an expression to one array with a value for each row.  The value is NULL where the row fails."""
    return evaluated(expression, rows, how=how)[0]


def evaluated(expression: TypedExpression, rows: Rows, *, how: Evaluation) -> tuple[Any, Int64s]:
    """Evaluate an expression, and report which rows fail.

    Returns:
        an array with a value for each row (NULL where the row fails), and int64[m]: the numbers of the m rows that fail.

    Raises:
        StatementError: a scalar subquery has several rows, or a correlated one must be answered too often.
    """
    expression, rows = _with_answers(expression, rows, how)
    names = [c.name for c in columns_of(expression)]
    columns = [whole(rows.columns[name]) for name in names]
    schema = pa.schema([(name, column.type) for name, column in zip(names, columns, strict=True)])
    kernel = compile_expression(expression, schema, functions=how.functions, guard=how.guard)
    found = kernel(columns, rows.length)
    failed = np.zeros(0, np.int64) if found.failures is None else found.failures.rows
    if isinstance(found.values, pa.Scalar):
        return pa.array([found.values.as_py()] * rows.length, to_arrow(expression.type)), failed
    return whole(found.values), failed


def _with_answers(expression: TypedExpression, rows: Rows, how: Evaluation) -> tuple[TypedExpression, Rows]:
    """Replace the correlated subqueries of an expression by columns.

    Returns:
        the expression, and the rows with these columns added.
    """
    if not any(isinstance(node, Correlated) for node in walk(expression)):
        return expression, rows
    made: dict[Correlated, str] = {}

    def change(node: TypedExpression) -> TypedExpression | None:
        if not isinstance(node, Correlated):
            return None
        name = made.setdefault(node, f"\0SUBQUERY_{len(made)}")
        return ColumnRef(name, type=node.type, span=node.span)

    changed = transform(expression, change)
    return changed, rows.with_columns({name: _answers(node, rows, how) for node, name in made.items()})


def _answers(call: Correlated, rows: Rows, how: Evaluation) -> Any:
    """The value of a correlated subquery for each row.

    The subquery is answered once for each distinct value of its outer columns, or once for each row if it calls a volatile
    function.
    """
    columns = [evaluate(c, rows, how=how) for c in call.columns]
    groups, first = row_codes(columns, rows.length)
    if call.volatile:
        groups = first = np.arange(rows.length, dtype=np.int64)
    if len(first) > SUBQUERY_ANSWERS_MAX:
        raise StatementError(
            f"the subquery depends on {len(first):,} different rows around it, more than {SUBQUERY_ANSWERS_MAX:,}",
            span=call.span,
            suggestion="Write a join with GROUP BY.",
        )
    given = [to_python(column.take(pa.array(first)), c.type) for c, column in zip(call.columns, columns, strict=True)]
    found = [call.rows(values)[0] for values in zip(*given, strict=True)]
    index: Any = pa.array(groups)
    if call.kind == "EXISTS":
        return pa.array([len(values) > 0 for values in found], pa.bool_()).take(index)
    if call.operand is not None:
        return _among(call, evaluate(call.operand, rows, how=how), found, groups, how)
    for values in found:
        check_one_row(values, call.query.span)
    type_ = to_arrow(call.type)
    parts = [whole(values).cast(type_) if len(values) else pa.nulls(1, type_) for values in found]
    return pa.concat_arrays([pa.nulls(0, type_), *parts]).take(index)


def _among(call: Correlated, operands: Any, found: Sequence[Any], groups: Int64s, how: Evaluation) -> Any:
    """Whether ``operand IN (subquery)`` (or NOT IN) holds for each operand and the rows found for its group, as bool[n].

    A group is the rows whose outer columns are equal.  The result is false where SQL says unknown, because of a NULL.
    """
    assert call.operand is not None
    operand = ColumnRef("OPERAND", type=call.operand.type)
    result = np.zeros(len(groups), np.bool_)
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(np.bincount(groups, minlength=len(found)))
    for values, start, end in zip(found, [0, *ends], ends, strict=False):
        places = order[start:end]
        own = Rows({"OPERAND": operands.take(pa.array(places))}, len(places))
        truth = evaluate(in_rows(operand, whole(values), call.item, call.negated), own, how=how)
        result[places] = np.asarray(truth.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
    return pa.array(result)
