"""Pull queries: SELECT without EMIT over one source (section 9 of the reference).

A table is read from the view of the query that maintains it: by its keys where WHERE binds all of them to constants, else
as a whole.  A stream is read from the topic's start to its present end, by a push query that stops there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...runtime.kernel import Kernel, as_mask
from ..catalog import DataSource
from ..expressions import nodes as n
from ..expressions.compile import compile_expression, compile_predicate, evaluate_constant
from ..expressions.nodes import TypedExpression
from ..schema import WINDOW_BOUNDS, Column, Schema
from ..stored_tables import ROWTIME, view_schema
from ..types import BIGINT, BYTES, STRING, to_arrow
from .bind import bind, bind_condition
from .projection import Item, expand, name_items
from .query import QueryContext, analyse
from .resolved import ResolvedQuery
from .scope import FromSource, Scope, from_sources

TABLE_SCAN = "ksql.query.pull.table.scan.enabled"
RANGE_SCAN = "ksql.query.pull.range.scan.enabled"
LIMIT_CLAUSE = "ksql.query.pull.limit.clause.enabled"
DISJUNCTS_MAX = 256
"""Alternatives of a WHERE clause that are looked up one by one; with more, the table is scanned."""


@dataclass(frozen=True, slots=True)
class PullPlan:
    """How to answer a pull query.

    Attributes:
        source: what it reads.
        query_id: the query whose view holds the table; None for streams.
        columns: of the result, in the order of the SELECT list; keys and window bounds are marked KEY.
        keys: for a lookup: one Arrow array per key column, parallel; None scans.
        predicate: over the view's columns, checked after a lookup, too.
        kernels: parallel to ``columns``, over the view's columns.
        stream: for streams: the query to run up to the topic's present end.
    """

    source: DataSource
    columns: tuple[Column, ...]
    query_id: str | None = None
    keys: tuple[Any, ...] | None = None
    predicate: Kernel | None = None
    kernels: tuple[Kernel, ...] = ()
    limit: int | None = None
    stream: ResolvedQuery | None = None

    def answer(self, rows: pa.Table) -> pa.Table:
        """The result from rows of the view: those that ``keys`` names, or all."""
        rows = rows.combine_chunks()
        columns = [c.chunk(0) if c.num_chunks else pa.nulls(0, c.type) for c in rows.columns]
        length = rows.num_rows
        if self.predicate is not None:
            mask = pa.array(as_mask(self.predicate(columns, length)))
            columns = [c.filter(mask) for c in columns]
            length = len(columns[0])
        if self.limit is not None:
            length = min(length, self.limit)
            columns = [c.slice(0, length) for c in columns]
        results = [kernel(columns, length).values for kernel in self.kernels]
        return pa.table(results, schema=pa.schema([(c.name, to_arrow(c.type)) for c in self.columns]))


def analyse_pull(query: ast.Query, context: QueryContext) -> PullPlan:
    """Resolve and check a pull query.

    Raises:
        StatementError: a clause, column or table that pull queries cannot have.
    """
    _check_clauses(query, context.properties)
    (source,) = from_sources(context.catalog, (query.source,))
    if source.source.kind == "STREAM":
        return _stream(query, source, context)
    query_id = _view_of(source, context)
    scope = Scope((source,))
    _check_pseudo_columns(query)
    where = None
    if query.where is not None:
        where = bind_condition(query.where, scope.at("WHERE"), context.functions, context.catalog.types)
        _check_scalar(where, "WHERE")
    items = _items(query, source, scope, context)
    keys = None if where is None else _lookup(where, source)
    _check_scan(where, keys, source, context.properties, query.span)
    schema = _view_columns(source)
    arrow = schema.arrow()
    return PullPlan(
        source.source,
        tuple(_column(i, source) for i in items),
        query_id,
        keys,
        None if where is None else compile_predicate(where, arrow),
        tuple(compile_expression(i.expression, arrow) for i in items),
        query.limit,
    )


# --- rules -----------------------------------------------------------------------------------


def _check_clauses(query: ast.Query, properties: Mapping[str, str]) -> None:
    """A pull query has FROM one source, WHERE and LIMIT."""
    unwanted: list[tuple[str, Span]] = [("JOIN", j.span) for j in query.joins]
    if query.window is not None:
        unwanted.append(("WINDOW", query.window.span))
    unwanted += [("GROUP BY", e.span) for e in query.group_by]
    unwanted += [("PARTITION BY", e.span) for e in query.partition_by]
    if query.having is not None:
        unwanted.append(("HAVING", query.having.span))
    if unwanted:
        clause, span = unwanted[0]
        raise StatementError(
            f"a pull query has no {clause}",
            span=span,
            suggestion="Add EMIT CHANGES to make it a push query.",
        )
    if query.limit is not None and query.limit < 0:
        raise StatementError("LIMIT cannot be negative", span=query.span)
    if query.limit is not None and properties.get(LIMIT_CLAUSE, "true").lower() == "false":
        raise StatementError(f"LIMIT in pull queries is switched off by {LIMIT_CLAUSE}", span=query.span)


def _check_pseudo_columns(query: ast.Query) -> None:
    """ROWPARTITION and ROWOFFSET are not kept with a table's rows, nor asked for in a stream's WHERE."""
    items = [i.expression for i in query.select if isinstance(i, ast.SelectExpression)]
    for clause, expressions in (("SELECT", items), ("WHERE", [] if query.where is None else [query.where])):
        for expression in expressions:
            for name in _names(expression):
                if name.name in ("ROWPARTITION", "ROWOFFSET"):
                    raise StatementError(
                        f"{name.name} cannot be used in the {clause} of a pull query",
                        span=name.span,
                        suggestion="Add EMIT CHANGES to make it a push query.",
                    )


def _names(value: Any) -> list[ast.NameRef]:
    """All names below a node of the AST."""
    if isinstance(value, ast.NameRef):
        return [value]
    if isinstance(value, tuple):
        return [name for item in value for name in _names(item)]
    if isinstance(value, ast.Node):
        return [name for f in value.__dataclass_fields__ for name in _names(getattr(value, f))]
    return []


def _check_scalar(expression: TypedExpression, clause: str) -> None:
    for node in n.walk(expression):
        if isinstance(node, n.AggregateCall | n.TableCall):
            kind = "aggregate" if isinstance(node, n.AggregateCall) else "table function"
            raise StatementError(
                f"{node.name} is a{'n' if kind[0] == 'a' else ''} {kind}, which the {clause} of a pull query cannot have",
                span=node.span,
                suggestion="Add EMIT CHANGES to make it a push query.",
            )


def _view_of(source: FromSource, context: QueryContext) -> str:
    """Only tables that a query maintains can be read."""
    query_id = source.source.query_id
    entry = None if query_id is None else context.catalog.queries.get(query_id)
    if entry is None or entry.kind not in ("CTAS", "CST"):
        name = source.source.name
        raise StatementError(
            f"the table {name} is not queryable: no query maintains it",
            span=source.span,
            suggestion=f"Make one that is: CREATE TABLE QUERYABLE_{name} AS SELECT * FROM {name}; or declare it by "
            "CREATE SOURCE TABLE.",
        )
    return entry.id


def _check_scan(
    where: TypedExpression | None,
    keys: tuple[Any, ...] | None,
    source: FromSource,
    properties: Mapping[str, str],
    span: Span,
) -> None:
    """Scans can be switched off."""
    if properties.get(TABLE_SCAN, "true").lower() != "false" or keys is not None:
        return
    if where is not None and properties.get(RANGE_SCAN, "true").lower() != "false" and _is_range(where, source):
        return
    raise StatementError(
        f"this query must scan the table, which is switched off by {TABLE_SCAN}",
        span=span,
        suggestion="Compare every key column with a constant.",
    )


def _is_range(where: TypedExpression, source: FromSource) -> bool:
    """One comparison of a single STRING or BYTES key with a constant."""
    if not isinstance(where, n.Compare) or where.operator not in ("<", "<=", ">", ">=") or len(source.keys) != 1:
        return False
    key = source.keys[0]
    sides = (where.left, where.right)
    return key.type in (STRING, BYTES) and key.ref() in sides and any(n.is_constant(s) for s in sides)


# --- SELECT ----------------------------------------------------------------------------------


def _items(query: ast.Query, source: FromSource, scope: Scope, context: QueryContext) -> tuple[Item, ...]:
    def bound(expression: ast.Expression, scope: Scope) -> TypedExpression:
        found = bind(expression, scope, context.functions, context.catalog.types)
        _check_scalar(found, "SELECT list")
        return found

    return name_items(expand(query.select, scope, bound, persistent=False, partition_by=None), scope)


def _view_columns(source: FromSource) -> Schema:
    """The columns of the source's view, in its order."""
    types = {c.name: c.type for c in source.columns}
    arrow = view_schema(source.source.schema, windowed=source.source.window is not None)
    return Schema(tuple(Column(f.name, types.get(f.name, BIGINT)) for f in arrow))


def _column(item: Item, source: FromSource) -> Column:
    """Keys and window bounds that are selected as they are count as KEY."""
    keys = {c.internal for c in source.keys} | {c.internal for c in source.bounds}
    is_key = isinstance(item.expression, n.ColumnRef) and item.expression.name in keys
    role: Literal["KEY", "VALUE"] = "KEY" if is_key else "VALUE"
    return Column(str(item.name), item.expression.type, role)


# --- WHERE -> keys ---------------------------------------------------------------------------


def _lookup(where: TypedExpression, source: FromSource) -> tuple[Any, ...] | None:
    """The keys that WHERE names, if each of its alternatives binds all key columns; of windowed tables, none are
    looked up (their store's key has the window, too)."""
    _check_bounds(where)
    if source.source.window is not None:
        return None
    alternatives = _alternatives(where)
    if alternatives is None:
        return None
    found: dict[tuple[Any, ...], None] = {}
    for conditions in alternatives:
        bound = _bound_keys(conditions, source)
        if bound is None:
            return None
        found.update(dict.fromkeys(bound))
    arrays = []
    for number, key in enumerate(source.keys):
        try:
            arrays.append(pa.array([k[number] for k in found], to_arrow(key.type)))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return None
    return tuple(arrays)


def _alternatives(where: TypedExpression) -> list[list[TypedExpression]] | None:
    """WHERE as alternatives of conditions that hold together (DNF); None if there are too many."""
    if isinstance(where, n.Logical):
        left, right = _alternatives(where.left), _alternatives(where.right)
        if left is None or right is None:
            return None
        if where.operator == "OR":
            both = left + right
        else:
            if len(left) * len(right) > DISJUNCTS_MAX:
                return None
            both = [a + b for a in left for b in right]
        return both if len(both) <= DISJUNCTS_MAX else None
    return [[where]]


def _bound_keys(conditions: Sequence[TypedExpression], source: FromSource) -> list[tuple[Any, ...]] | None:
    """The keys that conditions allow, if they bind all key columns to constants."""
    allowed: dict[str, list[Any]] = {}
    names = {c.internal for c in source.keys}
    for condition in conditions:
        found = _constants(condition, names)
        if found is None:
            continue
        name, values = found
        allowed[name] = [v for v in values if v in allowed[name]] if name in allowed else values
    if set(allowed) != names:
        return None
    return list(itertools.product(*(allowed[c.internal] for c in source.keys)))


def _constants(condition: TypedExpression, names: set[str]) -> tuple[str, list[Any]] | None:
    """``key = constant`` and ``key IN (constants)``: the key column and the values; None for anything else."""
    match condition:
        case n.Compare(operator="=", left=n.ColumnRef(name=name, type=type_), right=value) if name in names:
            items: tuple[TypedExpression, ...] = (value,)
        case n.Compare(operator="=", left=value, right=n.ColumnRef(name=name, type=type_)) if name in names:
            items = (value,)
        case n.In(operand=n.ColumnRef(name=name, type=type_), items=items, negated=False) if name in names:
            pass
        case _:
            return None
    if not all(n.is_constant(i) and not n.is_volatile(i) and i.type == type_ for i in items):
        return None
    values = [evaluate_constant(i) for i in items]
    if any(v is None for v in values):
        raise StatementError(
            f"the key column {name} is compared with NULL, which no key is",
            span=condition.span,
            suggestion="Leave the comparison out.",
        )
    if any(isinstance(v, list | dict | float) for v in values):
        return None
    return name, values


def _check_bounds(where: TypedExpression) -> None:
    """In each alternative a window bound is compared at most once in each way."""
    for conditions in _alternatives(where) or []:
        seen: set[tuple[str, str]] = set()
        for condition in conditions:
            if not isinstance(condition, n.Compare):
                continue
            column, operator = condition.left, condition.operator
            if not isinstance(column, n.ColumnRef):
                column = condition.right
                operator = _FLIPPED.get(operator, operator)
            if not isinstance(column, n.ColumnRef) or column.name not in WINDOW_BOUNDS:
                continue
            side = (column.name, operator[0])
            if side in seen:
                raise StatementError(
                    f"{column.name} has two bounds of the same kind",
                    span=condition.span,
                    suggestion="Keep the stricter one.",
                )
            seen.add(side)


_FLIPPED: dict[str, Literal["<", "<=", ">", ">="]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


# --- streams ---------------------------------------------------------------------------------


def _stream(query: ast.Query, source: FromSource, context: QueryContext) -> PullPlan:
    """A stream is read by a push query that ends at the topic's present end."""
    _check_pseudo_columns(query)
    resolved = analyse(replace(query, emit="CHANGES"), replace(context, sink=None))
    if resolved.grouping is not None or resolved.table_calls:
        raise StatementError(
            "a pull query has no aggregates and no table functions",
            span=query.span,
            suggestion="Add EMIT CHANGES to make it a push query.",
        )
    return PullPlan(source.source, resolved.select_schema, limit=query.limit, stream=resolved)


__all__ = ["ROWTIME", "PullPlan", "analyse_pull"]
