"""One SELECT: FROM, WHERE, GROUP BY, HAVING, windows, the SELECT list and DISTINCT, in the order of evaluation."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.selects import rebuilt
from ...runtime.batch import Int64s
from ..analysis import grouping as g
from ..analysis.bind import bind
from ..analysis.binding import Scope as NameScope
from ..analysis.projection import Item, name_items
from ..analysis.resolved import Named
from ..analysis.scope import FromSource, SourceColumn, aliases_of, check_internal_names
from ..analysis.table_calls import TableCallColumns
from ..expressions.nodes import (
    AggregateCall,
    Case,
    ColumnRef,
    Compare,
    IsNull,
    Logical,
    OuterValue,
    TableCall,
    TypedExpression,
    WindowFunction,
    aggregates_of,
    columns_of,
    is_volatile,
    table_calls_of,
    text,
    transform,
    walk,
)
from ..schema import RESERVED_NAMES
from ..types import BOOLEAN, Array, Map, SqlType, Struct
from .evaluation import evaluate, evaluated
from .faults import CallError, rows_to_leave_out
from .from_tables import FromTable, TableFinder
from .groups import aggregate, folded
from .joins import all_of, conjuncts, join
from .key_values import check_key_values
from .rows import Rows, SortKey, check_size, row_codes
from .scope import Around, TableScope
from .window_bounds import check_window_bounds
from .windows import window_values


@dataclass(frozen=True, slots=True)
class Selected:
    """The result of a SELECT.

    Attributes:
        columns: the name, type and values of each column of the SELECT list.
        keys: the keys of ORDER BY, with a value for each row.
        roots: for each column the table's column that it is unchanged, if there is one.  The column keeps its role.
        table_keys: the indices of the columns that are keys of tables, unchanged.
    """

    columns: tuple[tuple[str, SqlType, Any], ...]
    length: int
    keys: tuple[SortKey, ...] = ()
    roots: tuple[SourceColumn | None, ...] = ()
    table_keys: frozenset[int] = frozenset()


def select(body: ast.Select, order_by: Sequence[ast.OrderItem], environment: TableFinder, around: Around | None) -> Selected:
    """Answer one SELECT.

    Raises:
        StatementError: it breaks a rule.  The error has the place.
    """
    return _Select(body, environment, around).run(order_by)


class _Select:
    def __init__(self, body: ast.Select, environment: TableFinder, around: Around | None) -> None:
        self.body = body
        self.environment = environment
        self.around = around
        self.how = environment.how
        self.taken: set[str] = set(RESERVED_NAMES)

    def bind(self, expression: ast.Expression, scope: NameScope) -> TypedExpression:
        return bind(expression, scope, self.environment.functions, self.environment.types)

    def evaluate(self, expression: TypedExpression, rows: Rows) -> Any:
        return evaluate(expression, rows, how=self.how)

    def run(self, order_by: Sequence[ast.OrderItem]) -> Selected:
        body = self.body
        tables = self._tables()
        scope = self._scope(tables)
        keys = [c for t in tables for c in t.table_keys]
        check_key_values(body.where, [t.source for t in tables], keys)
        conditions = [None if j.on is None else self._condition(j.on, scope, "ON") for j in body.joins]
        where = None if body.where is None else self._condition(body.where, scope, "WHERE")
        check_window_bounds(where, [t.source for t in tables])
        items = name_items(scope.items(body.select, self.bind), scope)
        named = {c.internal for c in keys}
        passed_on = frozenset(
            at for at, i in enumerate(items) if isinstance(i.expression, ColumnRef) and i.expression.name in named
        )
        group_by = [self.bind(e, scope.at("GROUP BY")) for e in body.group_by]
        having = None if body.having is None else self._predicate(self.bind(body.having, scope.at("HAVING")), "HAVING")
        orders = [self._order(o, items, scope) for o in order_by]
        _check_whose_aggregates([*(i.expression for i in items), having, *orders])
        rows, where = self._joined(tables, scope, conditions, where)
        if where is not None:
            rows = rows.filter(_truth(self.evaluate(where, rows)))
        expressions = [*(i.expression for i in items), *(o for o in orders if not isinstance(o, int))]
        if group_by or having is not None or any(aggregates_of(e) for e in expressions):
            rows, change = self._grouped(rows, group_by, [*expressions, *([] if having is None else [having])])
            if having is not None:
                rows = rows.filter(_truth(self.evaluate(change(having, "HAVING"), rows)))
            items = tuple(replace(i, expression=change(i.expression, "SELECT")) for i in items)
            orders = [o if isinstance(o, int) else change(o, "ORDER BY") for o in orders]
        elif any(table_calls_of(e) for e in expressions):
            rows, items, orders = self._exploded(rows, items, orders)
        rows, items, orders = self._windows(rows, items, orders)
        values: list[Any] = []
        for item in items:
            values.append(self.evaluate(item.expression, rows))
            check_size(sum(value.nbytes for value in values))
        ranks = [values[o] if isinstance(o, int) else self.evaluate(o, rows) for o in orders]
        if body.distinct:
            _check_distinct_order(orders, items, order_by)
            _, first = row_codes(values, rows.length)
            index = pa.array(first)
            values, ranks = [v.take(index) for v in values], [k.take(index) for k in ranks]
            rows = Rows({}, len(first))
        sort = tuple(SortKey(k, o.descending, o.nulls == "FIRST") for k, o in zip(ranks, order_by, strict=True))
        known = {c.internal: c for s in scope.sources for c in s.columns} if not body.group_by and not body.joins else {}
        roots = tuple(known.get(i.expression.name) if isinstance(i.expression, ColumnRef) else None for i in items)
        columns = tuple((str(i.name), i.expression.type, v) for i, v in zip(items, values, strict=True))
        return Selected(columns, rows.length, sort, roots, passed_on)

    # --- FROM --------------------------------------------------------------------------------

    def _tables(self) -> list[FromTable]:
        body = self.body
        if body.source is None:
            return []
        places = [body.source, *(j.source for j in body.joins)]
        joined = len(places) > 1
        tables: list[FromTable] = []
        for place in places:
            tables.append(self.environment.table(place, joined, [t.source.alias for t in tables], self.around))
        if joined:
            _check_aliases([t.source for t in tables])
            check_internal_names([t.source for t in tables])
        self.taken |= {c.internal for t in tables for c in t.source.columns}
        return tables

    def _scope(self, tables: Sequence[FromTable]) -> TableScope:
        scope = TableScope(
            tuple(t.source for t in tables),
            aliases=aliases_of(self.body.select),
            check=self.environment.subquery,
            around=self.around,
        )
        merged: dict[str, SourceColumn] = {}
        for place, item in enumerate(self.body.joins):
            for name in item.using:
                left = self._using(replace(scope, sources=scope.sources[: place + 1], merged=merged), name, item)
                right = self._using(replace(scope, sources=scope.sources[place + 1 : place + 2]), name, item)
                if left.type != right.type:
                    raise StatementError(
                        f"USING ({name}) needs one type on both sides, which are {left.type} and {right.type}",
                        span=item.span,
                        suggestion="Write ON with a CAST.",
                    )
                internal = g.fresh_name(f"USING_{name}", self.taken)
                merged[name] = SourceColumn("", name, internal, left.type, "VALUE")
        return replace(scope, merged=merged)

    def _using(self, scope: TableScope, name: str, item: ast.TableJoin) -> SourceColumn:
        return scope.at("USING").column(ast.NameRef(name, span=item.span))

    def _joined(
        self,
        tables: Sequence[FromTable],
        scope: TableScope,
        conditions: Sequence[TypedExpression | None],
        where: TypedExpression | None,
    ) -> tuple[Rows, TypedExpression | None]:
        """The rows of FROM, and the conditions of WHERE that still must be tested.

        A table that stands alone is read by the keys in WHERE.  If no join pads rows, a condition of WHERE becomes a
        condition of the first join that has its columns.
        """
        if not tables:
            return Rows({}, 1), where
        if len(tables) == 1:
            return tables[0].read(where), where
        left = [] if any(j.type not in ("INNER", "CROSS") for j in self.body.joins) else _movable(where)
        kept = [c for c in conjuncts(where) if c not in left]
        rows = self._filtered(tables[0].read(None), left)
        merged: dict[str, ColumnRef] = {}
        for table, item, condition in zip(tables[1:], self.body.joins, conditions, strict=True):
            right = table.read(None)
            right = self._filtered(right, left)
            known = {*rows.columns, *right.columns}
            for moved in [c for c in left if {r.name for r in columns_of(c)} <= known]:
                condition = _and(condition, moved)
                left.remove(moved)
            pairs = []
            for name in item.using:
                left_ref = merged.get(name) or next(
                    c.ref() for s in scope.sources if (c := s.find(name)) is not None and c.internal in rows.columns
                )
                other = table.source.find(name)
                assert other is not None
                pairs.append((name, left_ref, other.ref()))
                condition = _and(condition, _equal(left_ref, other.ref()))
            rows = join(rows, right, item.type, condition, how=self.how)
            added: dict[str, Any] = {}
            for name, left_ref, right_ref in pairs:
                whole = scope.merged[name].ref()
                added[whole.name] = self.evaluate(_first_of(item.type, left_ref, right_ref), rows)
                merged[name] = whole
            rows = rows.with_columns(added)
        return rows, all_of([*kept, *left])

    def _filtered(self, rows: Rows, conditions: list[TypedExpression]) -> Rows:
        """Filter rows by the conditions that need only their columns, and remove these conditions from the list."""
        for condition in [c for c in conditions if {r.name for r in columns_of(c)} <= set(rows.columns)]:
            rows = rows.filter(_truth(self.evaluate(condition, rows)))
            conditions.remove(condition)
        return rows

    def _condition(self, expression: ast.Expression, scope: TableScope, clause: str) -> TypedExpression:
        bound = self._predicate(self.bind(expression, scope.at(clause)), clause)
        for node in walk(bound):
            if isinstance(node, AggregateCall | TableCall | WindowFunction):
                raise StatementError(
                    f"{clause} cannot use {node.name}, which needs the rows that {clause} gives",
                    span=node.span,
                    suggestion="Use HAVING to filter by aggregates, or a subquery: SELECT .. FROM (SELECT ..) WHERE ..",
                )
        return bound

    def _predicate(self, bound: TypedExpression, clause: str) -> TypedExpression:
        if bound.type != BOOLEAN:
            raise StatementError(
                f"{clause} needs a BOOLEAN, but {text(bound)} is {bound.type}",
                span=bound.span,
                suggestion="Compare it with something.",
            )
        return bound

    # --- GROUP BY ------------------------------------------------------------------------------

    def _grouped(self, rows: Rows, group_by: Sequence[TypedExpression], expressions: Sequence[TypedExpression]) -> Any:
        """Group rows.

        Returns:
            one row for each group, and a function that rewrites an expression over the rows to an expression over the
            groups.
        """
        for expression in group_by:
            for node in walk(expression):
                if isinstance(node, AggregateCall | TableCall | WindowFunction):
                    raise StatementError(f"GROUP BY cannot use {node.name}", span=node.span)
        for expression in expressions:
            for exploding in table_calls_of(expression):
                raise StatementError(
                    f"the table function {exploding.name} cannot stand in an aggregating query",
                    span=exploding.span,
                    suggestion="Explode in a subquery, and aggregate that.",
                )
        keys = [Named(g.fresh_name("KEY", self.taken), e) for e in dict.fromkeys(group_by)]
        aggregates = g.Aggregates(self.taken)

        def change(expression: TypedExpression, clause: str) -> TypedExpression:
            return g.over_groups(expression, keys, aggregates, clause, windowed=False)

        for place, expression in enumerate(expressions):
            having = self.body.having is not None and place == len(expressions) - 1
            change(expression, "HAVING" if having else "SELECT")
        values = []
        failed = np.zeros(rows.length, np.bool_)
        for key in keys:
            value, bad = evaluated(key.expression, rows, how=self.how)
            values.append(value)
            failed[bad] = True
        if failed.any():  # a row whose key fails is in no group, as in a query that keeps running
            values = [v.filter(pa.array(~failed)) for v in values]
            rows = rows.filter(~failed)
        options, how = self.environment.options, self.how
        while True:
            if keys:
                groups, first = row_codes(values, rows.length)
            else:
                groups, first = np.zeros(rows.length, np.int64), np.zeros(1, np.int64)
            columns = {k.name: v.take(pa.array(first)) for k, v in zip(keys, values, strict=True)}
            try:
                found = {name: aggregate(call, rows, groups, len(first), options, how) for name, call in aggregates.calls}
                for name, call in aggregates.calls:
                    how.faults.add_results(call.name, found[name].failures)
                    columns[name] = found[name].values
                return Rows(columns, len(first)), change
            except CallError as error:
                calls = [folded(call, rows, groups, options, how) for _, call in aggregates.calls]
                failed = rows_to_leave_out(calls, groups, len(first), options, how.faults, error)
            values = [v.filter(pa.array(~failed)) for v in values]
            rows = rows.filter(~failed)

    # --- table functions and windows -----------------------------------------------------------

    def _exploded(self, rows: Rows, items: tuple[Item, ...], orders: list[Any]) -> tuple[Rows, tuple[Item, ...], list[Any]]:
        """Add the columns of table functions.  A row becomes as many rows as its longest list has items; NULL fills shorter
        lists.
        """
        calls = TableCallColumns(self.taken)
        items = tuple(replace(i, expression=transform(i.expression, calls.column_for)) for i in items)
        orders = [o if isinstance(o, int) else transform(o, calls.column_for) for o in orders]
        lists = {name: self.evaluate(call, rows) for call, name in calls.names.items()}
        lengths = [pc.list_value_length(values).fill_null(0).to_numpy().astype(np.int64) for values in lists.values()]
        longest: Int64s = np.maximum.reduce(lengths)
        index = np.repeat(np.arange(rows.length, dtype=np.int64), longest)
        within = np.arange(len(index)) - np.repeat(np.cumsum(longest) - longest, longest)
        columns: dict[str, Any] = {}
        for (name, values), length in zip(lists.items(), lengths, strict=True):
            starts = np.cumsum(length) - length
            places = starts[index] + within
            outside = within >= length[index]
            columns[name] = pc.list_flatten(values).take(pa.array(np.where(outside, 0, places), mask=outside))
        return rows.take(index).with_columns(columns), items, orders

    def _windows(self, rows: Rows, items: tuple[Item, ...], orders: list[Any]) -> tuple[Rows, tuple[Item, ...], list[Any]]:
        """Add a column for each call with OVER."""
        calls: dict[WindowFunction, str] = {}

        def change(node: TypedExpression) -> TypedExpression | None:
            if not isinstance(node, WindowFunction):
                return None
            for key in node.order_by:
                _check_sortable(key)
            if node not in calls:
                calls[node] = g.fresh_name("OVER", self.taken)
            return ColumnRef(calls[node], type=node.type, span=node.span)

        items = tuple(replace(i, expression=transform(i.expression, change)) for i in items)
        orders = [o if isinstance(o, int) else transform(o, change) for o in orders]
        made = {n: window_values(c, rows, self.environment.options, how=self.how) for c, n in calls.items()}
        return rows.with_columns(made), items, orders

    # --- ORDER BY --------------------------------------------------------------------------------

    def _written(self, items: Sequence[Item]) -> dict[str, int]:
        """The columns of the SELECT list by the names as they are written.

        ``a.id`` is called A_ID if ``b.id`` is also listed; ORDER BY may then write ID if only one column of that name is
        listed.
        """
        found: dict[str, int | None] = {}
        for place, item in enumerate(items):
            if isinstance(item.expression, ColumnRef) and not item.star and item.written is not None:
                found[item.written] = None if item.written in found else place
        return {name: place for name, place in found.items() if place is not None}

    def _order(self, item: ast.OrderItem, items: Sequence[Item], scope: TableScope) -> TypedExpression | int:
        """A key of ORDER BY: the number of a column of the SELECT list, or an expression over the rows."""
        expression = item.expression
        if isinstance(expression, ast.IntegerLiteral):
            place = output_place(expression, len(items))
            _check_sortable(items[place].expression)
            return place
        names = {**self._written(items), **{str(i.name): place for place, i in enumerate(items)}}
        if isinstance(expression, ast.NameRef) and expression.qualifier is None and expression.name in names:
            place = names[expression.name]
            _check_sortable(items[place].expression)
            return place
        aliases = {
            i.alias: i.expression for i in self.body.select if isinstance(i, ast.SelectExpression) and i.alias is not None
        }

        def change(node: Any) -> Any:
            known = isinstance(node, ast.NameRef) and node.qualifier is None and node.name in aliases
            return aliases[node.name] if known and not scope.knows(node) else None

        try:
            bound = self.bind(rebuilt(expression, change), scope.at("ORDER BY"))
        except StatementError as error:
            if isinstance(expression, ast.NameRef):
                error.suggestion = near_output(expression, list(names)) or error.suggestion
            raise
        _check_sortable(bound)
        return bound


def _check_aliases(sources: Sequence[FromSource]) -> None:
    seen: set[str] = set()
    for source in sources:
        if source.alias in seen:
            raise StatementError(
                f"two sources of the query are called {source.alias}",
                span=source.span,
                suggestion=f"Give one an alias: {source.alias} AS {source.alias}_2.",
            )
        seen.add(source.alias)


def output_place(position: ast.IntegerLiteral, count: int) -> int:
    """The index, from 0, of the column that ``ORDER BY 2`` means.

    Raises:
        StatementError: there is no such column.
    """
    if not 1 <= position.value <= count:
        raise StatementError(f"ORDER BY {position.value}: the SELECT list has the columns 1 to {count}", span=position.span)
    return position.value - 1


def near_output(reference: ast.NameRef, names: Sequence[str]) -> str | None:
    """Suggest a column of the SELECT list for an unknown name."""
    near = difflib.get_close_matches(reference.name, names, 1)
    return f"Did you mean {near[0]}?" if near else None


def _check_sortable(expression: TypedExpression) -> None:
    if isinstance(expression.type, Array | Map | Struct):
        raise StatementError(
            f"{text(expression)} is {expression.type}, which has no order",
            span=expression.span,
            suggestion="Order by one of its items or fields.",
        )


def _check_distinct_order(orders: Sequence[Any], items: Sequence[Item], written: Sequence[ast.OrderItem]) -> None:
    """Refuse DISTINCT with a sort key that is not in the SELECT list: rows with different keys may have become one row."""
    for order, item in zip(orders, written, strict=True):
        if not isinstance(order, int) and order not in [i.expression for i in items]:
            raise StatementError(
                "with DISTINCT, ORDER BY takes columns of the SELECT list only",
                span=item.expression.span,
                suggestion="Add the expression to the SELECT list.",
            )


def _check_whose_aggregates(expressions: Sequence[TypedExpression | int | None]) -> None:
    """Refuse aggregates over columns of the query around a subquery.  In SQL, they would be aggregates of that query.

    Raises:
        StatementError: there is one.
    """
    for expression in expressions:
        for call in aggregates_of(expression) if isinstance(expression, TypedExpression) else ():
            nodes = [node for argument in call.arguments for node in walk(argument)]
            if any(isinstance(n, OuterValue) for n in nodes) and not any(isinstance(n, ColumnRef) for n in nodes):
                raise UnsupportedError(
                    f"{call.name} stands in a subquery, and all its columns belong to the query around",
                    span=call.span,
                    suggestion="Aggregate in a subquery of FROM, and use its column here.",
                )


def _movable(where: TypedExpression | None) -> list[TypedExpression]:
    """The conditions of WHERE that give the same result if they are tested on more rows than are left in the end."""
    return [c for c in conjuncts(where) if columns_of(c) and not is_volatile(c)]


def _truth(values: Any) -> Any:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _equal(left: TypedExpression, right: TypedExpression) -> TypedExpression:
    return Compare("=", left, right, type=BOOLEAN)


def _and(left: TypedExpression | None, right: TypedExpression) -> TypedExpression:
    return right if left is None else Logical("AND", left, right, type=BOOLEAN)


def _first_of(type_: str, left: TypedExpression, right: TypedExpression) -> TypedExpression:
    """The value of a column of USING: it comes from the side that has a row."""
    if type_ == "RIGHT":
        return right
    if type_ == "FULL":
        return Case(((IsNull(left, type=BOOLEAN), right),), left, type=left.type)
    return left


__all__ = ["Selected", "near_output", "output_place", "select"]
