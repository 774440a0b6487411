"""Binds what only pull queries have: subqueries, and window functions over rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from ...errors import Span, StatementError, UnsupportedError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from ..expressions.values import to_python
from .bind_calls import call
from .bind_comparisons import comparable
from .binding import Binder
from .coercion import coerce, common_type

TypedExpression = n.TypedExpression
WINDOW_FUNCTIONS: dict[str, tuple[int, int, t.SqlType | None]] = {
    "ROW_NUMBER": (0, 0, t.BIGINT),
    "RANK": (0, 0, t.BIGINT),
    "DENSE_RANK": (0, 0, t.BIGINT),
    "PERCENT_RANK": (0, 0, t.DOUBLE),
    "CUME_DIST": (0, 0, t.DOUBLE),
    "NTILE": (1, 1, t.BIGINT),
    "LAG": (1, 3, None),
    "LEAD": (1, 3, None),
    "FIRST_VALUE": (1, 1, None),
    "LAST_VALUE": (1, 1, None),
    "NTH_VALUE": (2, 2, None),
}
"""The functions that need OVER.

For each: the smallest and largest number of arguments, and the result's type (None: the type of the first argument).
"""


_VALUES_FEW = 1000
"""The largest number of a subquery's values that become constants of IN.  Only constants allow lookups by key."""


def bind_subquery(e: ast.ScalarSubquery | ast.InSubquery | ast.Exists, binder: Binder) -> TypedExpression:
    """Bind a subquery.  A subquery that uses no column of the query around it becomes a constant.

    Raises:
        StatementError: the subquery is wrong, has several columns or rows where one is needed, or its type does not fit.
    """
    operand = binder.bind(e.operand) if isinstance(e, ast.InSubquery) else None
    found = binder.scope.subquery(e.query, e.span)
    if not isinstance(e, ast.Exists) and len(found.types) != 1:
        raise StatementError(f"a subquery has one column here, and this one has {len(found.types)}", span=e.query.span)
    item = found.types[0]
    if operand is not None:
        if n.is_untyped_null(operand):
            raise StatementError("IN cannot look for NULL", span=operand.span, suggestion="Use IS NULL.")
        operand, example = comparable("=", operand, n.null(item, e.query.span), e.span, binder)
        operand = coerce(operand, common_type(operand.type, example.type) or operand.type)
    negated = isinstance(e, ast.InSubquery) and e.negated
    if found.columns:
        kind: Literal["VALUE", "EXISTS", "IN"] = "IN"
        if operand is None:
            kind = "VALUE" if isinstance(e, ast.ScalarSubquery) else "EXISTS"
        return n.Correlated(
            kind,
            e.query,
            found.columns,
            operand,
            negated,
            item,
            found.rows,
            found.volatile,
            type=item if kind == "VALUE" else t.BOOLEAN,
            span=e.span,
        )
    values = found.rows(())[0]
    if isinstance(e, ast.Exists):
        return n.Literal(bool(len(values)), type=t.BOOLEAN, span=e.span)
    if operand is None:
        check_one_row(values, e.query.span)
        return n.Literal(to_python(values, item)[0] if len(values) else None, type=item, span=e.span)
    return replace(in_rows(operand, values, item, negated), span=e.span)


def check_one_row(values: Any, span: Span) -> None:
    """Check that a subquery that stands for a value has at most one row.

    Args:
        values: an Arrow array, the only column of the subquery.

    Raises:
        StatementError: the subquery has several rows.
    """
    if len(values) > 1:
        raise StatementError(
            f"a subquery that stands for a value gives one row, and this one gives {len(values):,}",
            span=span,
            suggestion="Aggregate it, or write LIMIT 1.",
        )


def in_rows(operand: TypedExpression, values: Any, type_: t.SqlType, negated: bool) -> n.In | n.InValues:
    """Build the test whether ``operand`` is one of a subquery's values.

    Args:
        values: an Arrow array of ``type_``, which can be compared with the operand's type.
    """
    common = operand.type
    distinct = values.drop_null() if isinstance(type_, t.Array | t.Map | t.Struct) else values.unique().drop_null()
    if len(distinct) > _VALUES_FEW and type_ == common and isinstance(common, t.Primitive):
        return n.InValues(operand, n.ValueSet(distinct), negated, type=t.BOOLEAN)
    items = [n.Literal(v, type=type_) for v in to_python(distinct, type_)]
    return n.In(operand, tuple(coerce(item, common) for item in items), negated, type=t.BOOLEAN)


def bind_window(e: ast.WindowCall, binder: Binder) -> TypedExpression:
    """Bind a call with OVER.

    Raises:
        StatementError: OVER is not allowed here, or the function, its arguments or the window are wrong.
    """
    binder.scope.check_window(e.span)
    partition_by = tuple(binder.bind(p) for p in e.partition_by)
    order_by = tuple(binder.bind(o.expression) for o in e.order_by)
    directions = tuple((o.descending, o.nulls == "FIRST") for o in e.order_by)
    call = _windowed(e.call, binder)
    for part in (*partition_by, *order_by, *call.arguments):
        if any(isinstance(node, n.WindowFunction) for node in n.walk(part)):
            raise StatementError(
                f"the arguments, PARTITION BY and ORDER BY of {call.name} cannot have another OVER",
                span=part.span,
                suggestion="Compute the inner one in a subquery.",
            )
    return replace(call, partition_by=partition_by, order_by=order_by, directions=directions, frame=_frame(e), span=e.span)


def _windowed(e: ast.FunctionCall, binder: Binder) -> n.WindowFunction:
    """Bind the call of a window function, without its window."""
    nothing: tuple[Any, ...] = ((), (), (), ("ROWS", ("UNBOUNDED PRECEDING", 0), ("UNBOUNDED FOLLOWING", 0)))
    shape = WINDOW_FUNCTIONS.get(e.name)
    if e.distinct:
        raise StatementError(
            "DISTINCT cannot stand in a call with OVER",
            span=e.span,
            suggestion="Leave DISTINCT out, or remove duplicates in a subquery.",
        )
    if shape is None:
        bound = call(e, binder, over=True)
        if not isinstance(bound, n.AggregateCall):
            raise StatementError(
                f"{e.name} is neither an aggregate nor a window function",
                span=e.span,
                suggestion=f"Window functions are {', '.join(WINDOW_FUNCTIONS)}.",
            )
        return n.WindowFunction(
            bound.name, bound.function, bound.arguments, bound.parameter_names, *nothing, type=bound.type, span=e.span
        )
    least, most, result = shape
    if not least <= len(e.arguments) <= most or e.star:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise StatementError(f"{e.name} takes {wanted} argument{'s' * (most != 1)}", span=e.span)
    arguments = [binder.bind(a) for a in e.arguments]
    for place, argument in enumerate(arguments):
        if place == (0 if e.name == "NTILE" else 1):
            arguments[place] = coerce(argument, t.BIGINT)
        elif place == 2:
            arguments[place] = coerce(argument, arguments[0].type, lax=True)
        elif n.is_untyped_null(argument):
            raise StatementError(
                f"{e.name} needs a value that has a type",
                span=argument.span,
                suggestion="Write CAST(NULL AS STRING), or another type.",
            )
    type_ = result or arguments[0].type
    return n.WindowFunction(e.name, None, tuple(arguments), (), *nothing, type=type_, span=e.span)


def _frame(e: ast.WindowCall) -> tuple[str, tuple[str, int], tuple[str, int]]:
    """The frame of a window.

    Without a written frame, it ends with the last row that ORDER BY ranks equal to the current row.  Without ORDER BY, it
    has all rows of the partition.

    Raises:
        StatementError: the frame is not supported, or ends before it begins.
    """
    frame = e.frame
    if frame is None:
        end = "CURRENT ROW" if e.order_by else "UNBOUNDED FOLLOWING"
        return "RANGE", ("UNBOUNDED PRECEDING", 0), (end, 0)
    bounds: list[tuple[str, int]] = []
    for bound in (frame.start, frame.end):
        if isinstance(bound.rows, ast.Parameter):
            raise StatementError(
                "this parameter has no value",
                span=bound.span,
                suggestion="Give values beside the text: a list for ?, a dict for $name.",
            )
        if bound.rows is not None and frame.unit == "RANGE":
            raise UnsupportedError(
                "RANGE with a distance is not supported", span=bound.span, suggestion="Use ROWS, or db.duckdb()."
            )
        bounds.append((bound.kind, bound.rows or 0))
    kinds = ["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
    first, last = (kinds.index(kind) for kind, _ in bounds)
    if first > last or first == 4 or last == 0:
        raise StatementError(
            "the frame ends before it begins",
            span=frame.span,
            suggestion="Write the earlier bound first: BETWEEN 2 PRECEDING AND CURRENT ROW.",
        )
    return frame.unit, bounds[0], bounds[1]
