"""Checks the conditions of WHERE that compare the bounds of windows with constants: they must make one range of windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...errors import Span, StatementError
from ..analysis.scope import FromSource
from ..expressions.nodes import Between, ColumnRef, Compare, TypedExpression, columns_of
from .conditions import key_condition, operands


def check_window_bounds(where: TypedExpression | None, sources: Sequence[FromSource]) -> None:
    """Check the conditions on the windows of tables.  If keys are looked up, they must be one range of starts and one of
    ends.

    ksqlDB has this rule for its pull queries.  Here it holds for all queries that are answered once, with whatever clauses.

    Raises:
        StatementError: a comparison makes no range, or two comparisons limit the same end of a range.
    """
    for source in sources:
        if source.source.kind == "TABLE" and source.source.window is not None:
            _check(where, source)


def _check(where: TypedExpression | None, source: FromSource) -> None:
    keys = {c.internal for c in source.keys}
    names = {c.internal: c.name for c in source.bounds}
    branches = [list(operands(branch, "AND")) for branch in operands(where, "OR")]
    found = [[b for condition in branch for b in _bounds_in(condition, names)] for branch in branches]
    for column, how, span in (b for bounds in found for b in bounds):
        if how not in _RANGE_ENDS:
            raise StatementError(
                f"{column} cannot be compared by {how} in a pull query", span=span, suggestion="Use =, <, <=, > or >=."
            )
    keyed = [{k[0] for c in branch if (k := key_condition(c, keys)) is not None} == keys for branch in branches]
    if not all(keyed):
        return  # the windows of all keys are read, so any condition may filter them
    for bounds in found:
        taken: set[tuple[str, str]] = set()
        for column, how, span in bounds:
            ends = {(column, end) for end in _RANGE_ENDS[how]}
            if ends & taken:
                raise StatementError(
                    f"{column} is limited more than once", span=span, suggestion="Leave one of the bounds out."
                )
            taken |= ends


_RANGE_ENDS = {"=": ("low", "high"), "<": ("high",), "<=": ("high",), ">": ("low",), ">=": ("low",)}
"""The ends of a range of times that each comparison limits."""

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _bounds_in(condition: TypedExpression, names: Mapping[str, str]) -> Iterator[tuple[str, str, Span]]:
    """The column, the operator and the place of a condition that compares WINDOWSTART or WINDOWEND with a constant."""
    match condition:
        case Compare(operator=how, left=ColumnRef() as column, right=other):
            pass
        case Compare(operator=how, left=other, right=ColumnRef() as column):
            how = _MIRRORED.get(how, how)  # type: ignore[assignment]  # an operator, too
        case Between(operand=ColumnRef(name=name), low=low, high=high, negated=False) if name in names:
            if not columns_of(low) and not columns_of(high):
                yield names[name], ">=", condition.span
                yield names[name], "<=", condition.span
            return
        case _:
            return
    if column.name in names and not columns_of(other):
        yield names[column.name], how, condition.span
