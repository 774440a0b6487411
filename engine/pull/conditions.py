"""Takes a WHERE apart: chains of AND and OR, and conditions on a key."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from ..expressions.nodes import Arithmetic, Between, Call, ColumnRef, Compare, In, Logical, TypedExpression, columns_of


def operands(expression: TypedExpression | None, operator: Literal["AND", "OR"]) -> Iterator[TypedExpression]:
    """The operands of a chain of ANDs, or of ORs; the expression itself if it is neither."""
    if isinstance(expression, Logical) and expression.operator == operator:
        yield from operands(expression.left, operator)
        yield from operands(expression.right, operator)
    elif expression is not None:
        yield expression


def key_condition(condition: TypedExpression, names: Collection[str]) -> tuple[str, str] | None:
    """The key column that a condition tests, and how: ``=`` (also for IN), ``range`` or ``other``.  None if it tests no
    key.
    """
    if isinstance(condition, In):
        operand = condition.operand
        if isinstance(operand, ColumnRef) and operand.name in names:
            return operand.name, "other" if condition.negated else "="
        return None
    if isinstance(condition, Between) and isinstance(condition.operand, ColumnRef) and condition.operand.name in names:
        constant = not columns_of(condition.low) and not columns_of(condition.high) and not condition.negated
        return condition.operand.name, "range" if constant else "other"
    if not isinstance(condition, Compare):
        return None
    for one, other in ((condition.left, condition.right), (condition.right, condition.left)):
        named = [c.name for c in columns_of(one) if c.name in names]
        if not named:
            continue
        direct = not isinstance(one, (Arithmetic, Call)) and not columns_of(other)
        if not direct:
            return named[0], "other"
        if condition.operator == "=":
            return named[0], "="
        return named[0], "range" if condition.operator in ("<", "<=", ">", ">=") else "other"
    return None
