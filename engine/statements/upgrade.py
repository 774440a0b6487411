"""What CREATE OR REPLACE may change in a query that keeps its positions and state (section 3).

WHERE and the SELECT list may change.  What decides the state or the keys must stay.
"""

from __future__ import annotations

from ...errors import Span, StatementError
from ..analysis.resolved import ResolvedQuery
from ..expressions.nodes import TypedExpression, columns_of


def check_upgrade(name: str, old: ResolvedQuery, new: ResolvedQuery, span: Span) -> None:
    """Check that ``new`` can continue with the state of ``old``.

    Raises:
        StatementError: it cannot.  The message says what would change.
    """
    if _plain(old) == _plain(new):
        return
    refused = _not_upgradable(old) or _not_upgradable(new)
    if refused is not None:
        raise _error(name, f"a query with {refused} cannot be replaced while it keeps its state", span)
    if [s.source.name for s in old.sources] != [s.source.name for s in new.sources]:
        raise _error(name, "the query would read from another source", span)
    if _expressions(old.partition_by) != _expressions(new.partition_by):
        raise _error(name, "its PARTITION BY would change", span)
    before, after = old.grouping, new.grouping
    if (before is None) != (after is None):
        raise _error(name, "its GROUP BY would change", span)
    if before is None or after is None:
        return
    if _expressions(before.keys) != _expressions(after.keys):
        raise _error(name, "its GROUP BY would change", span)
    if [call for _, call in before.aggregates] != [call for _, call in after.aggregates]:
        raise _error(name, "its aggregates would change", span)
    if _columns_read(old) != _columns_read(new):
        raise _error(name, "the aggregation would read other columns", span)


def _plain(query: ResolvedQuery) -> object:
    """The query without its sink and the versions of its sources.  It is equal for statements that mean the same."""
    return (
        tuple(s.source.name for s in query.sources),
        query.joins,
        query.where,
        query.table_calls,
        query.partition_by,
        query.grouping,
        query.outputs,
        query.emit,
    )


def _not_upgradable(query: ResolvedQuery) -> str | None:
    if query.joins:
        return "a join"
    if query.table_calls:
        return "table functions"
    if query.grouping is not None and query.grouping.window is not None:
        return "a windowed aggregation"
    if query.grouping is not None and query.sources[0].source.kind == "TABLE":
        return "an aggregation over a table"
    return None


def _expressions(named: object) -> object:
    return None if named is None else [n.expression for n in named]  # type: ignore[attr-defined]


def _columns_read(query: ResolvedQuery) -> set[str]:
    """The columns of the sources that an aggregation and its filter read.  COUNT(*) counts as ROWTIME."""
    grouping = query.grouping
    assert grouping is not None
    expressions: list[TypedExpression] = [k.expression for k in grouping.keys]
    read: set[str] = set()
    for _, call in grouping.aggregates:
        expressions.extend(call.arguments)
        if not call.arguments:
            read.add("ROWTIME")
    if query.where is not None:
        expressions.append(query.where)
    for expression in expressions:
        read.update(c.name for c in columns_of(expression))
    return read


def _error(name: str, what: str, span: Span) -> StatementError:
    return StatementError(
        f"{name} cannot be replaced: {what}", span=span, suggestion="DROP it and create it again, from the earliest records."
    )
