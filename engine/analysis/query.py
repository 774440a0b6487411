"""Analyses the AST of a query and gives a `ResolvedQuery`.

This module has the order of the work, and the rules that concern several clauses.  Clauses are analysed in the order in
which a query is evaluated: FROM and JOIN, WHERE, table functions, PARTITION BY or GROUP BY, HAVING, SELECT.  Other modules
have the rules of names (`scope`), types (`bind`), joins (`joins`), the SELECT list (`projection`), grouping (`grouping`),
keys (`keys`) and the sink (`sink`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal as OneOf

from ...errors import StatementError
from ...grammar import ast
from ...limits import WINDOWS_PER_ROW_MAX
from ...storage.formats import format_traits
from ...storage.values.time_units import DAY_MS
from ..catalog import Catalog, WindowInfo
from ..expressions.nodes import (
    AggregateCall,
    ColumnRef,
    Literal,
    TableCall,
    TypedExpression,
    aggregates_of,
    columns_of,
    is_untyped_null,
    table_calls_of,
    transform,
    walk,
    written,
)
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..schema import RESERVED_NAMES
from ..types import BOOLEAN, INTEGER
from . import grouping as g
from .bind import bind
from .durations import milliseconds
from .joins import resolve_joins
from .keys import KeyRule, ResultKey, check_key_type, join_key, place_keys, source_key
from .projection import Item, expand, name_items
from .resolved import Grouping, Named, OutputColumn, ResolvedJoin, ResolvedQuery, SourceKind, WindowSpec
from .scope import Scope, SourceColumn, aliases_of, from_sources
from .sink import SinkRequest, resolve_sink
from .switches import check_query
from .table_calls import TableCallColumns

DEFAULT_GRACE_MS = DAY_MS
"""Section 6: how long after its start a window without GRACE PERIOD accepts late rows, in milliseconds."""

FINAL_KEPT_MS = DAY_MS
"""How much longer the windows of EMIT FINAL are kept, so that they can be read after they have closed, in milliseconds."""


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What the analysis of a query knows beside its text.

    Attributes:
        options: the properties of the statement.
        sink: what the statement says about the sink of a persistent query; None for transient queries.
    """

    catalog: Catalog
    functions: Registry
    options: QueryOptions = field(default_factory=QueryOptions)
    sink: SinkRequest | None = None


def analyse(query: ast.Query, context: QueryContext) -> ResolvedQuery:
    """Resolve and check a push query or a persistent query.  (For pull queries see `pull`.)

    Raises:
        StatementError: the query breaks a rule of sections 3 to 8.
        UnsupportedError: Penstock does not support a part of the query.
    """
    check_query(query, context.options)
    return _Analysis(query, context).run()


class _Analysis:
    def __init__(self, query: ast.Query, context: QueryContext) -> None:
        self.query = query
        self.context = context
        self.persistent = context.sink is not None
        self.sources = from_sources(context.catalog, (query.source, *(j.source for j in query.joins)))
        self.joins: tuple[ResolvedJoin, ...] = ()
        self.taken = {c.internal for s in self.sources for c in s.columns} | set(RESERVED_NAMES)

    def bind(self, expression: ast.Expression, scope: Scope) -> TypedExpression:
        return bind(expression, scope, self.context.functions, self.context.catalog.types)

    def run(self) -> ResolvedQuery:
        query = self.query
        self._check_sources()
        self._check_clauses()
        self.joins = resolve_joins(query.joins, self.sources, self.bind)
        scope = self._scope()
        where = self._where(scope)
        grouped = self._is_grouped(scope)
        partition_by = self._partition_by(scope)
        select_scope = replace(scope, window="allowed") if query.window is not None else scope
        items = expand(query.select, select_scope, self.bind, persistent=self.persistent, partition_by=partition_by)
        _check_values(items)
        items = name_items(items, scope)
        grouping: Grouping | None = None
        table_calls: tuple[tuple[str, TableCall], ...] = ()
        if grouped:
            grouping, items = self._group(items, scope)
            rule = _group_rule(grouping, items)
        else:
            items, table_calls = self._explode(items)
            rule = self._base_rule()
            if partition_by is not None:
                items, rule = _partitioned(items, partition_by)
        name = "the query" if self.context.sink is None else self.context.sink.name
        strict = self.persistent and not self.context.options.keys_may_be_left_out
        outputs, select_order = place_keys(items, rule, persistent=self.persistent, strict=strict, result=name)
        self._check_reserved(items, outputs, select_order)
        kind: SourceKind = "TABLE" if grouping is not None else self._joined_kind()
        self._check_emit(grouping)
        resolved = ResolvedQuery(
            self.sources,
            self.joins,
            where,
            table_calls,
            partition_by,
            grouping,
            outputs,
            select_order,
            kind,
            self._result_window(grouping),
            query.emit or "CHANGES",
            query.limit,
        )
        if self.context.sink is None:
            return resolved
        return resolve_sink(resolved, self.context.sink, self.context.catalog, self.context.options, query.span)

    # --- rules about the whole query ---------------------------------------------------------

    def _check_sources(self) -> None:
        """Check the sources: a persistent query cannot read a windowed table (section 6); some formats have no JOIN or GROUP
        BY.
        """
        for source in self.sources:
            if self.persistent and source.source.kind == "TABLE" and source.source.window is not None:
                raise StatementError(
                    f"{source.source.name} is a windowed table, which persistent queries cannot read",
                    span=source.span,
                    suggestion=f"Declare a stream over its topic: CREATE STREAM .. WITH (KAFKA_TOPIC="
                    f"'{source.source.topic}', WINDOW_TYPE='{source.source.window.type}', ..).",
                )
        formats = [s.source for s in self.sources if not format_traits(s.source.value_format.name).aggregates]
        if formats and (self.query.joins or self.query.group_by):
            what = "JOIN" if self.query.joins else "GROUP BY"
            raise StatementError(
                f"{', '.join(s.name for s in formats)}: values in the {formats[0].value_format.name} format cannot be used"
                f" with {what}",
                span=self.query.source.span,
                suggestion="Copy the source in another format first.",
            )

    def _check_clauses(self) -> None:
        """Sections 3, 5 and 6: which clauses can stand together."""
        query = self.query
        if query.limit is not None and self.persistent:
            raise StatementError("a persistent query has no LIMIT", span=query.span, suggestion="Leave LIMIT out.")
        if query.partition_by and query.group_by:
            raise StatementError(
                "PARTITION BY and GROUP BY exclude each other",
                span=query.partition_by[0].span,
                suggestion="GROUP BY already makes its expressions the key.",
            )
        if query.window is not None and not query.group_by:
            raise StatementError("WINDOW needs GROUP BY", span=query.window.span, suggestion="Windows are for aggregations.")
        if query.having is not None and not query.group_by:
            raise StatementError("HAVING needs GROUP BY", span=query.having.span, suggestion="Use WHERE.")
        if query.window is not None and self._from_table():
            raise StatementError(
                "a table cannot be aggregated by windows, only a stream",
                span=query.window.span,
                suggestion="Declare a stream over the table's topic.",
            )

    def _from_table(self) -> bool:
        return self.sources[0].source.kind == "TABLE"

    def _joined_kind(self) -> SourceKind:
        """The kind of a join's result: the kind of its first source (a table cannot be joined with a stream)."""
        return self.sources[0].source.kind

    def _check_emit(self, grouping: Grouping | None) -> None:
        """Section 6: only windowed aggregations may have EMIT FINAL."""
        if self.query.emit == "FINAL" and (grouping is None or grouping.window is None):
            raise StatementError(
                "EMIT FINAL is for windowed aggregations only",
                span=self.query.span,
                suggestion="Use EMIT CHANGES, or add a WINDOW clause.",
            )

    def _check_reserved(self, items: tuple[Item, ...], outputs: tuple[OutputColumn, ...], order: tuple[int, ...]) -> None:
        """Section 4: in a persistent query, pseudo columns need an alias.

        A pseudo column that became a key and that ``*`` includes needs none.
        """
        if not self.persistent:
            return
        for item, place in zip(items, order, strict=True):
            column = outputs[place].column
            if column.name in RESERVED_NAMES and not (item.star and column.role == "KEY"):
                raise StatementError(
                    f"{column.name} is a reserved name and needs an alias here",
                    span=item.span,
                    suggestion=f"Write {column.name} AS {column.name}_1, or another name.",
                )

    # --- clauses -------------------------------------------------------------------------------

    def _scope(self) -> Scope:
        synthetic = None
        if self.joins and not self.joins[-1].equivalents and self.joins[-1].kind != "FOREIGN_KEY":
            (key,) = self.joins[-1].key
            synthetic = SourceColumn("", key.name, key.name, key.type, "KEY")
        window: OneOf["none", "refused"] = "none" if not self._own_windows() else "refused"
        return Scope(self.sources, synthetic_key=synthetic, window=window, aliases=aliases_of(self.query.select))

    def _own_windows(self) -> bool:
        """Whether the bounds of the query's own windows have names.  In a join they have none, as in ksqlDB.

        They hide the bounds of a windowed source.
        """
        return self.query.window is not None and not self.query.joins

    def _where(self, scope: Scope) -> TypedExpression | None:
        if self.query.where is None:
            return None
        return _predicate(self.bind(self.query.where, scope.at("WHERE")), "WHERE")

    def _is_grouped(self, scope: Scope) -> bool:
        if self.query.group_by:
            return True
        calls = [
            call
            for item in self.query.select
            if isinstance(item, ast.SelectExpression)
            for call in aggregates_of(self.bind(item.expression, scope))
        ]
        if not calls:
            return False
        if self.persistent:
            raise StatementError(
                f"{calls[0].name} is an aggregate, which needs GROUP BY in a persistent query",
                span=calls[0].span,
                suggestion="Group by a constant to have a single group: SELECT 1 AS k, .. GROUP BY 1.",
            )
        if self.query.partition_by:
            raise StatementError(
                "PARTITION BY cannot be combined with aggregates",
                span=calls[0].span,
                suggestion="Leave PARTITION BY out: GROUP BY makes the key.",
            )
        return True

    def _partition_by(self, scope: Scope) -> tuple[Named, ...] | None:
        """Section 5: the expressions of PARTITION BY.

        Returns:
            None if the rows keep their key; () for PARTITION BY NULL.
        """
        asked = self.query.partition_by
        if not asked:
            return None
        if self._joined_kind() == "TABLE":
            raise StatementError(
                "PARTITION BY is for streams only", span=asked[0].span, suggestion="Use GROUP BY to re-key a table."
            )
        bound = [self._partition_expression(e, scope.at("PARTITION BY")) for e in asked]
        if len(bound) == 1 and (is_untyped_null(bound[0]) or isinstance(asked[0], ast.NullLiteral)):
            self._check_repartition(asked[0])
            return ()
        keys: list[Named] = []
        for expression in bound:
            if any(k.expression == expression for k in keys):
                raise StatementError(
                    f"PARTITION BY lists {written(expression)} twice",
                    span=expression.span,
                    suggestion="Leave one of them out.",
                )
            check_key_type(written(expression), expression.type, expression.span)
            name = expression.name if isinstance(expression, ColumnRef) else g.fresh_name("KEY", self.taken)
            keys.append(Named(name, expression))
        if not self.joins and [k.expression for k in keys] == [c.ref() for c in self.sources[0].keys]:
            return None  # the expression is the key already
        self._check_repartition(asked[0])
        return tuple(keys)

    def _partition_expression(self, expression: ast.Expression, scope: Scope) -> TypedExpression:
        if isinstance(expression, ast.NullLiteral):
            return Literal(None, type=INTEGER, span=expression.span, untyped=True)
        bound = self.bind(expression, scope)
        if aggregates_of(bound) or table_calls_of(bound):
            raise StatementError(
                "PARTITION BY cannot use aggregates or table functions",
                span=expression.span,
                suggestion="Compute them in a query of its own, and partition its result.",
            )
        return bound

    def _check_repartition(self, place: ast.Node) -> None:
        """Section 6: windowed sources cannot be repartitioned."""
        for source in self.sources:
            if source.source.window is not None:
                raise StatementError(
                    f"{source.source.name} is windowed and cannot be repartitioned",
                    span=place.span,
                    suggestion="Keep its key.",
                )

    # --- grouping ------------------------------------------------------------------------------

    def _group(self, items: tuple[Item, ...], scope: Scope) -> tuple[Grouping, tuple[Item, ...]]:
        """Split a grouped query, see module `grouping`."""
        query = self.query
        having = None
        if query.having is not None:
            having = _predicate(self.bind(query.having, scope.at("HAVING")), "HAVING", aggregates=True)
        bound = [self.bind(e, scope.at("GROUP BY")) for e in query.group_by]
        keys = g.group_keys(bound, self.taken)
        g.check_calls([*(i.expression for i in items), *([] if having is None else [having])])
        self._check_window_arguments(items, having)
        final = query.emit == "FINAL"
        read = self.persistent and self.context.options.emit_final_expired == "emit"
        window = None if query.window is None else window_spec(query.window, final=final, read=read)
        aggregates = g.Aggregates(self.taken)
        windowed = self._own_windows()
        items = tuple(
            replace(i, expression=g.over_groups(i.expression, keys, aggregates, "SELECT", windowed=windowed)) for i in items
        )
        if having is not None:
            having = g.over_groups(having, keys, aggregates, "HAVING", windowed=False)
        if not aggregates.calls:
            raise StatementError(
                "GROUP BY needs an aggregate in SELECT or HAVING",
                span=query.group_by[0].span if query.group_by else query.span,
                suggestion="Add one, COUNT(*) for example.",
            )
        if self._joined_kind() == "TABLE":
            g.check_undoable(aggregates.calls, self.context.functions)
        g.check_states(aggregates.calls, self.sources[0].source.value_format.name, self.context.functions)
        g.check_mergeable(aggregates.calls, window, self.context.functions)
        if not keys:
            constant = Named(g.fresh_name("KEY", self.taken), Literal(0, type=INTEGER))
            return Grouping((constant,), aggregates.calls, window, having, is_global=True), items
        return Grouping(keys, aggregates.calls, window, having), items

    def _check_window_arguments(self, items: tuple[Item, ...], having: TypedExpression | None) -> None:
        """Section 6: aggregates cannot have WINDOWSTART and WINDOWEND as arguments."""
        if not self._own_windows():
            return
        for expression in (*(i.expression for i in items), *([] if having is None else [having])):
            for call in aggregates_of(expression):
                for column in columns_of(call):
                    if column.name in ("WINDOWSTART", "WINDOWEND"):
                        raise StatementError(
                            f"{column.name} can be used in the SELECT list of a windowed aggregation only, outside of"
                            " aggregates",
                            span=column.span,
                            suggestion="Filter the result in a pull query, or in a stream over its topic.",
                        )

    # --- table functions -------------------------------------------------------------------------

    def _explode(self, items: tuple[Item, ...]) -> tuple[tuple[Item, ...], tuple[tuple[str, TableCall], ...]]:
        """Section 13: each different call of a table function becomes a column."""
        columns = TableCallColumns(self.taken)
        items = tuple(replace(i, expression=transform(i.expression, columns.column_for)) for i in items)
        first = next(iter(columns.names), None)
        if first is not None and self._joined_kind() == "TABLE":
            raise StatementError(
                f"the table function {first.name} cannot be used on a table, only on a stream",
                span=first.span,
                suggestion="Declare a stream over the table's topic and explode that.",
            )
        return items, tuple((name, call) for call, name in columns.names.items())

    # --- keys ------------------------------------------------------------------------------------

    def _base_rule(self) -> KeyRule:
        return join_key(self.joins[-1], self.sources) if self.joins else source_key(self.sources[0])

    def _result_window(self, grouping: Grouping | None) -> WindowInfo | None:
        if grouping is not None:
            return None if grouping.window is None else grouping.window.info
        return self.sources[0].source.window


def _group_rule(grouping: Grouping, items: tuple[Item, ...]) -> KeyRule:
    if grouping.is_global:
        return KeyRule((), "grouping expression")
    keys = tuple(ResultKey(k.ref, (k.ref,), (written(k.expression),)) for k in grouping.keys)
    return KeyRule(keys, "grouping expression")


def _partitioned(items: tuple[Item, ...], keys: tuple[Named, ...]) -> tuple[tuple[Item, ...], KeyRule]:
    """The SELECT items over the re-keyed rows.  An item that equals a PARTITION BY expression is the key."""
    by_expression = {k.expression: k.ref for k in keys}
    items = tuple(replace(i, expression=by_expression.get(i.expression, i.expression)) for i in items)
    rule = tuple(ResultKey(k.ref, (k.ref,), (written(k.expression),)) for k in keys)
    return items, KeyRule(rule, "partitioning expression")


def _predicate(expression: TypedExpression, clause: str, *, aggregates: bool = False) -> TypedExpression:
    """Check the expression of WHERE or HAVING.  Both must be BOOLEAN; only HAVING may have aggregates."""
    if expression.type != BOOLEAN:
        raise StatementError(
            f"{clause} needs a BOOLEAN, but {written(expression)} is {expression.type}",
            span=expression.span,
            suggestion="Compare it with something.",
        )
    for node in walk(expression):
        if isinstance(node, TableCall) or (isinstance(node, AggregateCall) and not aggregates):
            kind = "table function" if isinstance(node, TableCall) else "aggregate"
            raise StatementError(
                f"{clause} cannot use {node.name}, which is a{'n' if kind[0] == 'a' else ''} {kind}",
                span=node.span,
                suggestion="Use HAVING to filter by aggregates." if kind == "aggregate" else None,
            )
    return expression


def _check_values(items: tuple[Item, ...]) -> None:
    """Section 2: a bare NULL has no type, so it cannot be a column."""
    for item in items:
        if is_untyped_null(item.expression):
            raise StatementError(
                "NULL has no type of its own in a SELECT list", span=item.span, suggestion="Write CAST(NULL AS STRING)."
            )


def window_spec(window: ast.Window, *, final: bool = False, read: bool = False) -> WindowSpec:
    """Section 6: the sizes of a window, and its GRACE PERIOD and RETENTION.

    Without GRACE PERIOD, a window accepts rows until a day after its start, but at least until its end.  A shorter RETENTION
    shortens that.  With EMIT FINAL, such a window closes at its end.

    Without RETENTION, a window is kept for its size and grace period.  With EMIT FINAL it is kept a day longer if its table
    can be read, because readers see a window only after it has closed.

    Args:
        final: the query has EMIT FINAL.
        read: other queries can read the table.

    Raises:
        StatementError: a size or advance is zero, the advance exceeds the size, too many windows overlap, or the retention
            is too short.
    """
    size = milliseconds(window.size)
    if size <= 0:
        what = "gap of a session" if window.type == "SESSION" else "size of a window"
        raise StatementError(f"the {what} must be above zero", span=window.size.span)
    advance = size if window.advance is None else milliseconds(window.advance)
    if not 0 < advance <= size:
        raise StatementError(
            "ADVANCE BY must be above zero and at most the SIZE",
            span=window.span if window.advance is None else window.advance.span,
        )
    if size // advance > WINDOWS_PER_ROW_MAX:
        raise StatementError(
            f"every row would fall into {size // advance:,} windows, more than {WINDOWS_PER_ROW_MAX:,}",
            span=window.span if window.advance is None else window.advance.span,
            suggestion="ADVANCE BY more, or make the windows smaller.",
        )
    retention = None if window.retention is None else milliseconds(window.retention)
    if window.grace_period is not None:
        grace = milliseconds(window.grace_period)
    elif final:
        grace = 0
    else:
        grace = max(DEFAULT_GRACE_MS - size, 0)
        if retention is not None and retention >= size:
            grace = min(grace, retention - size)
    if retention is not None and retention < size + grace:
        raise StatementError(
            f"RETENTION must be at least the window's size and GRACE PERIOD together, {size + grace} milliseconds",
            span=window.span if window.retention is None else window.retention.span,
        )
    if retention is None:
        retention = size + grace + (FINAL_KEPT_MS if final and read else 0)
    return WindowSpec(window.type, size, advance, grace, retention)
