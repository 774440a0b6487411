"""Binds arithmetic: which types go together, and the type of the result.

Arithmetic on a NULL literal is refused, as in ksqlDB.
"""

from __future__ import annotations

from ...errors import Span, StatementError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from ..expressions.arithmetic import as_decimal
from .binding import Binder
from .coercion import cast_hint

TypedExpression = n.TypedExpression


def number(operand: TypedExpression, operator: str) -> TypedExpression:
    """Check that an operand is a number, and return it.

    Raises:
        StatementError: it is not a number, or a NULL literal.
    """
    _no_null(operand, operator)
    if not t.is_numeric(operand.type):
        raise StatementError(
            f"{operator} needs a number, and {n.written(operand)} is {operand.type}",
            span=operand.span,
            suggestion=f"Write CAST({n.written(operand)} AS DOUBLE).",
        )
    return operand


def _no_null(operand: TypedExpression, operator: str) -> None:
    if n.is_untyped_null(operand):
        raise StatementError(
            f"{operator} cannot work on NULL",
            span=operand.span,
            suggestion="Write CAST(NULL AS ..) with the type that you mean.",
        )


def negate(operand: ast.Expression, span: Span, binder: Binder) -> TypedExpression:
    """Bind a minus before an expression.

    Raises:
        StatementError: the expression is wrong, or not a number.
    """
    inner = number(binder.bind(operand), "-")
    return n.Negate(inner, type=inner.type, span=span)


def arithmetic(e: ast.Arithmetic, binder: Binder) -> TypedExpression:
    """Bind ``+``, ``-``, ``*``, ``/``, ``%`` and ``||``.

    Raises:
        StatementError: the types of the operands do not go together.
    """
    left, right = binder.bind(e.left), binder.bind(e.right)
    if e.operator == "||":
        sides = [n.null(t.STRING, s.span) if n.is_untyped_null(s) else s for s in (left, right)]
        for side in sides:
            if side.type != t.STRING:
                raise StatementError(
                    f"|| joins strings, and {n.written(side)} is {side.type}",
                    span=side.span,
                    suggestion=f"Write CAST({n.written(side)} AS STRING).",
                )
        return n.Arithmetic("||", *sides, type=t.STRING, span=e.span)
    _no_null(left, e.operator)
    _no_null(right, e.operator)
    if e.operator == "+" and left.type == right.type == t.STRING:
        return n.Arithmetic("+", left, right, type=t.STRING, span=e.span)
    if not (t.is_numeric(left.type) and t.is_numeric(right.type)):
        raise StatementError(
            f"{left.type} {e.operator} {right.type} is not possible: {n.written(left)} {e.operator} {n.written(right)}",
            span=e.span,
            suggestion=cast_hint(left, right),
        )
    try:
        type_ = arithmetic_type(e.operator, left.type, right.type)
    except StatementError as error:
        error.span = error.span or e.span
        raise
    return n.Arithmetic(e.operator, left, right, type=type_, span=e.span)


def arithmetic_type(operator: str, left: t.SqlType, right: t.SqlType) -> t.SqlType:
    """The result type of arithmetic on two numbers.

    Raises:
        StatementError: a DECIMAL result needs too many digits.
    """
    if t.DOUBLE in (left, right):
        return t.DOUBLE
    if not isinstance(left, t.Decimal) and not isinstance(right, t.Decimal):
        return t.BIGINT if t.BIGINT in (left, right) else t.INTEGER
    a, b = as_decimal(left), as_decimal(right)
    p1, s1, p2, s2 = a.precision, a.scale, b.precision, b.scale
    scale = max(s1, s2)
    if operator in "+-":
        return t.Decimal(scale + max(p1 - s1, p2 - s2) + 1, scale)
    if operator == "*":
        return t.Decimal(p1 + p2 + 1, s1 + s2)
    if operator == "/":
        scale = max(6, s1 + p2 + 1)
        return t.Decimal(p1 - s1 + s2 + scale, scale)
    return t.Decimal(min(p1 - s1, p2 - s2) + scale, scale)
