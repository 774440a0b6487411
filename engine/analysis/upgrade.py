"""CREATE OR REPLACE: what a new definition may change (section 3 of the reference).

A replaced query goes on at its offsets with its state, so the new one must find in both what it needs.
"""

from __future__ import annotations

from ...errors import Span, StatementError
from ..catalog import DataSource
from ..expressions.nodes import TypedExpression, columns_of
from ..schema import Schema
from .resolved import ResolvedQuery, ResolvedSink


def check_columns(name: str, old: Schema, new: Schema, span: Span) -> None:
    """The key stays as it is, old value columns stay in place, new ones come after them.

    Raises:
        StatementError: naming the columns that do not.
    """
    if old.keys != new.keys:
        raise StatementError(
            f"the key of {name} cannot change: it is {Schema(old.keys)}, and would be {Schema(new.keys) or 'none'}",
            span=span,
        )
    kept = new.values[: len(old.values)]
    lost = [c for i, c in enumerate(old.values) if i >= len(kept) or kept[i] != c]
    if lost:
        raise StatementError(
            f"columns of {name} cannot be changed, dropped or moved: {', '.join(map(str, lost))}",
            span=span,
            suggestion="Keep the old columns as they are and add new ones after them.",
        )


def check_source(old: DataSource, new: DataSource, span: Span) -> None:
    """A plain source: columns are added, nothing else changes.

    Raises:
        StatementError: something else does.
    """
    if old.kind != new.kind:
        raise StatementError(f"{old.name} is a {old.kind.lower()} and cannot become a {new.kind.lower()}", span=span)
    if old.read_only or new.read_only:
        raise StatementError(f"{new.name} is read-only (CREATE SOURCE) and cannot be replaced", span=span)
    for what, before, after in (
        ("topic", old.topic, new.topic),
        ("KEY_FORMAT", old.key_format, new.key_format),
        ("VALUE_FORMAT", old.value_format, new.value_format),
        ("TIMESTAMP", (old.timestamp_column, old.timestamp_format), (new.timestamp_column, new.timestamp_format)),
        ("WINDOW_TYPE or WINDOW_SIZE", old.window, new.window),
    ):
        if before != after:
            raise StatementError(f"the {what} of {old.name} cannot change", span=span)
    check_columns(old.name, old.schema, new.schema, span)


def check_query(old: ResolvedQuery, new: ResolvedQuery, span: Span) -> None:
    """A persistent query: WHERE, HAVING and the projection are free; what has state must be the same.

    Raises:
        StatementError: saying what cannot be replaced, or what would change.
    """
    before, after = old.sink, new.sink
    if before is None or after is None:
        raise StatementError("only persistent queries can be replaced", span=span)
    _check_sink(before, after, span)
    for query in (old, new):
        what = _not_replaceable(query)
        if what is not None:
            raise StatementError(
                f"a query with {what} cannot be replaced",
                span=span,
                suggestion=f"DROP {after.name} and create it again; it then starts with an empty state.",
            )
    for name, unchanged in (
        ("source", [s.source.name for s in old.sources] == [s.source.name for s in new.sources]),
        ("PARTITION BY", old.partition_by == new.partition_by),
        ("GROUP BY", _keys(old) == _keys(new)),
        ("aggregates", _aggregates(old) == _aggregates(new)),
        ("columns that the aggregation reads", _aggregated_columns(old) == _aggregated_columns(new)),
    ):
        if not unchanged:
            raise StatementError(
                f"the {name} of {after.name} cannot change",
                span=span,
                suggestion="WHERE, HAVING and the SELECT list can.",
            )
    check_columns(after.name, before.schema, after.schema, span)


def _check_sink(old: ResolvedSink, new: ResolvedSink, span: Span) -> None:
    if old.kind != new.kind:
        raise StatementError(f"{old.name} is a {old.kind.lower()} and cannot become a {new.kind.lower()}", span=span)
    for what, before, after in (
        ("topic", old.topic, new.topic),
        ("KEY_FORMAT", old.key_format, new.key_format),
        ("VALUE_FORMAT", old.value_format, new.value_format),
        ("TIMESTAMP", (old.timestamp_column, old.timestamp_format), (new.timestamp_column, new.timestamp_format)),
    ):
        if before != after:
            raise StatementError(f"the {what} of {old.name} cannot change", span=span)


def _not_replaceable(query: ResolvedQuery) -> str | None:
    """What of a query keeps it from being replaced."""
    if query.joins:
        return "a JOIN"
    if query.table_calls:
        return "table functions"
    if query.grouping is not None and query.grouping.window is not None:
        return "windows"
    if query.grouping is not None and query.sources[0].source.kind == "TABLE":
        return "an aggregation of a table"
    return None


def _keys(query: ResolvedQuery) -> tuple[TypedExpression, ...]:
    return () if query.grouping is None else tuple(k.expression for k in query.grouping.keys)


def _aggregates(query: ResolvedQuery) -> tuple[object, ...]:
    return () if query.grouping is None else tuple(call for _, call in query.grouping.aggregates)


def _aggregated_columns(query: ResolvedQuery) -> frozenset[str]:
    """The columns of the source that grouping, its arguments and WHERE read."""
    if query.grouping is None:
        return frozenset()
    expressions = [*_keys(query), *(a for _, call in query.grouping.aggregates for a in call.arguments)]
    if query.where is not None:
        expressions.append(query.where)
    return frozenset(c.name for e in expressions for c in columns_of(e))
