"""The terms of a condition: the operands of its ANDs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce

from .. import types as t
from ..expressions.nodes import (
    Between,
    ColumnRef,
    Compare,
    In,
    IsNull,
    Like,
    Literal,
    Logical,
    Not,
    TypedExpression,
    columns_of,
    walk,
)

__all__ = ["never_fails", "terms_over"]

_NEVER_FAIL = (Between, ColumnRef, Compare, In, IsNull, Like, Literal, Logical, Not)


def never_fails(predicate: TypedExpression) -> bool:
    """Whether no part of a condition can fail for any row."""
    return all(isinstance(part, _NEVER_FAIL) for part in walk(predicate))


def terms_over(predicate: TypedExpression, names: Collection[str]) -> TypedExpression | None:
    """Those terms that read columns, and only columns with these names, joined by AND; None if there are none."""
    own = [term for term in _terms(predicate) if (read := {c.name for c in columns_of(term)}) and read <= set(names)]
    return reduce(lambda a, b: Logical(type=t.BOOLEAN, operator="AND", left=a, right=b), own) if own else None


def _terms(predicate: TypedExpression) -> Iterator[TypedExpression]:
    """The operands of a chain of ANDs."""
    if isinstance(predicate, Logical) and predicate.operator == "AND":
        yield from _terms(predicate.left)
        yield from _terms(predicate.right)
    else:
        yield predicate
