"""SELECT: push queries (EMIT ..) become subscriptions, pull queries tables.

Here the dialect's own rules hold (section 9).  What `Database.sql` allows beyond them is answered by DuckDB, see `adhoc`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ...runtime.batch import Batch
from ...runtime.dataflow import Dataflow
from ...runtime.kernel import as_mask
from ...runtime.queries import QueryRun
from ..analysis.query import analyse
from ..analysis.resolved import ResolvedQuery
from ..catalog import DataSource
from ..expressions.compile import compile_expression, compile_predicate
from ..expressions.nodes import ColumnRef, Compare, In, Logical, TypedExpression, columns_of, walk
from ..expressions.nodes import Literal as Constant
from ..results import PushResult, Table
from ..schema import WINDOW_BOUNDS, Column, Schema
from ..serdes import key_schema, serdes_of
from ..types import BYTES, STRING, to_arrow
from .context import Engine
from .planning import plan_query, to_dataflow

# --- push ----------------------------------------------------------------------------------


def push(engine: Engine, query: ast.Query, overflow: Literal["block", "drop"] = "block") -> PushResult:
    """Start a push query.

    Raises:
        StatementError: the query is wrong, or there are too many already.
    """
    limit = int(engine.properties["ksql.max.push.queries"])
    if engine.host.subscriptions >= limit:
        raise StatementError(
            f"there are {limit} push queries already, which is ksql.max.push.queries",
            span=query.span,
            suggestion="Close one of them.",
        )
    planned = plan_query(engine, query)
    resolved = planned.resolved
    assert resolved is not None
    order = resolved.select_order
    columns = resolved.select_schema

    def to_rows(batch: Batch) -> list[tuple[Any, ...]]:
        if not order:
            return [()] * len(batch)
        return list(zip(*(batch.columns[place].to_pylist() for place in order), strict=True))

    subscription = engine.host.subscribe(
        lambda receive: to_dataflow(engine, planned.plan, receive),
        tuple(c.name for c in columns),
        limit=resolved.limit,
        overflow=overflow,
        to_rows=to_rows,
    )
    return PushResult(subscription, Schema(tuple(columns)), subscription.query_id)


# --- pull ----------------------------------------------------------------------------------


def pull(engine: Engine, query: ast.Query) -> Table:
    """Answer a pull query from the state as it is now.

    Raises:
        StatementError: the query breaks a rule of section 9.
    """
    _check_clauses(engine, query)
    source = _source(engine, query)
    resolved = analyse(query, engine.query_context())
    if resolved.grouping is not None or resolved.table_calls:
        raise StatementError(
            "a pull query takes rows as they are: no aggregates and no table functions",
            span=query.span,
            suggestion="Add EMIT CHANGES for a push query, or use sql().",
        )
    if source.kind == "STREAM":
        return _pull_stream(engine, query, resolved)
    view = engine.view_of(source)
    if view is None:
        raise StatementError(
            f"{source.name} is a table that no query keeps, so it cannot be asked",
            span=query.source.span,
            suggestion=f"CREATE TABLE .. AS SELECT * FROM {source.name}; makes one that can.",
        )
    _check_columns(resolved, query)
    keys = _bound_keys(resolved.where, source)
    _check_scan(engine, resolved, source, keys, query)
    snapshot = engine.host.tables({source.name: view})[source.name]
    rows = snapshot.table() if keys is None else snapshot.lookup(keys)
    if resolved.limit is not None:
        rows = _in_key_order(engine, source, rows)
    return _answer(rows, resolved, source)


def _check_clauses(engine: Engine, query: ast.Query) -> None:
    for clause, found in (
        ("JOIN", query.joins),
        ("WINDOW", query.window),
        ("GROUP BY", query.group_by),
        ("PARTITION BY", query.partition_by),
        ("HAVING", query.having),
    ):
        if found:
            raise StatementError(
                f"a pull query has no {clause}",
                span=query.span,
                suggestion="Add EMIT CHANGES for a push query, or use sql(), where any SQL can be asked.",
            )
    if query.limit is not None and engine.properties["ksql.query.pull.limit.clause.enabled"] == "false":
        raise StatementError(
            "LIMIT in pull queries is switched off by ksql.query.pull.limit.clause.enabled", span=query.span
        )


def _source(engine: Engine, query: ast.Query) -> DataSource:
    try:
        source = engine.catalog.source(query.source.name)
    except StatementError as error:
        error.span = query.source.span
        raise
    if source.kind == "STREAM" and engine.properties["ksql.query.pull.stream.enabled"] == "false":
        raise StatementError(
            "pull queries on streams are switched off by ksql.query.pull.stream.enabled", span=query.source.span
        )
    return source


def _check_columns(resolved: ResolvedQuery, query: ast.Query) -> None:
    """Section 4: a table's rows have no partition and no offset."""
    expressions = [o.expression for o in resolved.outputs]
    if resolved.where is not None:
        expressions.append(resolved.where)
    for expression in expressions:
        for column in columns_of(expression):
            if column.name in ("ROWPARTITION", "ROWOFFSET"):
                raise StatementError(f"{column.name} is not known of the rows of a table", span=column.span)


def _pull_stream(engine: Engine, query: ast.Query, resolved: ResolvedQuery) -> Table:
    """Read a stream from its start to its present end."""
    pieces: list[Batch] = []
    properties = {**engine.properties, "auto.offset.reset": "earliest"}
    planned = plan_query(engine, query)
    dataflow: Dataflow = to_dataflow(engine, planned.plan, pieces.append, properties)
    run = QueryRun("pull", dataflow, engine.host.services, persistent=False)
    taken, limit = 0, resolved.limit
    while (limit is None or taken < limit) and run.step():
        taken = sum(len(p) for p in pieces)
    columns = resolved.select_schema
    schema = pa.schema([(c.name, to_arrow(c.type)) for c in columns])
    arrays = [
        pa.chunked_array([p.columns[place] for p in pieces], schema.field(i).type)
        for i, place in enumerate(resolved.select_order)
    ]
    return _limited(_table(arrays, schema), Schema(tuple(columns)), limit)


def _answer(rows: pa.Table, resolved: ResolvedQuery, source: DataSource) -> Table:
    """WHERE and the SELECT list over the rows of a table."""
    columns, fields = [], []
    for column in resolved.sources[0].columns:
        name = column.name
        if name not in rows.column_names:
            continue  # ROWPARTITION and ROWOFFSET, which nothing reads here
        array = rows.column(name)
        columns.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
        fields.append((column.internal, array.type))
    schema = pa.schema(fields)
    count = rows.num_rows
    if resolved.where is not None:
        keep = as_mask(compile_predicate(resolved.where, schema)(columns, count))
        mask = pa.array(keep)
        columns = [c.filter(mask) for c in columns]
        count = int(np.count_nonzero(keep))
    results, shown = [], []
    for place in resolved.select_order:
        output = resolved.outputs[place]
        values = compile_expression(output.expression, schema)(columns, count).values
        if isinstance(values, pa.Scalar):
            values = pa.array([values.as_py()] * count, to_arrow(output.column.type))
        results.append(values)
        shown.append(_shown(output.column, output.expression, source))
    out = pa.schema([(c.name, to_arrow(c.type)) for c in shown])
    return _limited(_table(results, out), Schema(tuple(shown)), resolved.limit)


def _shown(column: Column, expression: TypedExpression, source: DataSource) -> Column:
    """The bounds of a windowed table's rows are part of their key."""
    if source.window is not None and isinstance(expression, ColumnRef) and expression.name in WINDOW_BOUNDS:
        return replace(column, role="KEY")
    return column


def _table(arrays: list[Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays(arrays, schema=schema)


def _limited(table: pa.Table, schema: Schema, limit: int | None) -> Table:
    if limit is None or table.num_rows < limit:
        return Table(table, schema)
    return Table(table.slice(0, limit), schema, limit_reached=True)


# --- which rows are wanted -----------------------------------------------------------------


def _conjuncts(expression: TypedExpression | None) -> Iterator[TypedExpression]:
    if isinstance(expression, Logical) and expression.operator == "AND":
        yield from _conjuncts(expression.left)
        yield from _conjuncts(expression.right)
    elif expression is not None:
        yield expression


def _bound_keys(where: TypedExpression | None, source: DataSource) -> list[Any] | None:
    """The keys that WHERE asks for, one array per key column, or None if it does not name whole keys."""
    names = [c.name for c in source.schema.keys]
    bound: dict[str, list[Any]] = {}
    for condition in _conjuncts(where):
        found = _equality(condition)
        if found is not None and found[0] in names and found[0] not in bound:
            bound[found[0]] = found[1]
    if source.window is not None or len(bound) != len(names):
        return None
    rows: list[tuple[Any, ...]] = [()]
    for name in names:
        rows = [(*row, value) for row in rows for value in bound[name]]
    rows = list(dict.fromkeys(rows))
    return [pa.array([row[i] for row in rows], to_arrow(c.type)) for i, c in enumerate(source.schema.keys)]


def _equality(condition: TypedExpression) -> tuple[str, list[Any]] | None:
    """``column = constant`` and ``column IN (constants)`` of one type -> the column and the values."""
    match condition:
        case Compare(operator="=", left=ColumnRef() as column, right=Constant() as constant) if column.type == constant.type:
            return column.name, [constant.value]
        case Compare(operator="=", left=Constant() as constant, right=ColumnRef() as column) if column.type == constant.type:
            return column.name, [constant.value]
        case In(operand=ColumnRef() as column, items=items) if all(
            isinstance(i, Constant) and i.type == column.type for i in items
        ):
            values = [i.value for i in items if isinstance(i, Constant) and i.value is not None]
            return (column.name, values) if values else None
    return None


def _check_scan(
    engine: Engine, resolved: ResolvedQuery, source: DataSource, keys: list[Any] | None, query: ast.Query
) -> None:
    """Whether the query may read the whole table, or a range of it, if it does not name keys.  Raises: StatementError."""
    if keys is not None or engine.properties["ksql.query.pull.table.scan.enabled"] == "true":
        return
    names = {c.name for c in source.schema.keys}
    named = {found[0] for c in _conjuncts(resolved.where) if (found := _key_condition(c, names)) is not None}
    exact = {found[0] for c in _conjuncts(resolved.where) if (found := _key_condition(c, names)) and found[1] == "="}
    if names and names <= exact:
        return
    ranged = engine.properties["ksql.query.pull.range.scan.enabled"] == "true"
    if ranged and len(names) == 1 and named == names and source.schema.keys[0].type in (STRING, BYTES):
        return
    raise StatementError(
        "this query reads the whole table, which ksql.query.pull.table.scan.enabled forbids",
        span=query.span,
        suggestion=f"Compare {', '.join(sorted(names))} with a constant.",
    )


def _key_condition(condition: TypedExpression, names: set[str]) -> tuple[str, str] | None:
    """The key column that a condition compares with something constant, and how."""
    match condition:
        case Compare(left=left, right=right, operator=operator):
            for one, other in ((left, right), (right, left)):
                columns = [e for e in walk(one) if isinstance(e, ColumnRef)]
                if len(columns) == 1 and columns[0].name in names and not columns_of(other):
                    return columns[0].name, "=" if operator == "=" else "range"
        case In(operand=ColumnRef(name=name)) if name in names:
            return name, "="
        case Logical(operator="OR", left=left, right=right):
            a, b = _key_condition(left, names), _key_condition(right, names)
            return a if a is not None and a == b else None
    return None


def _in_key_order(engine: Engine, source: DataSource, rows: pa.Table) -> pa.Table:
    """Rows in the order of their serialised keys (then windows), so that LIMIT takes the same ones every time."""
    serde, _ = serdes_of(source, engine.schemas)
    if serde is None or rows.num_rows == 0:
        return rows
    schema = key_schema(source.schema)
    arrays = [rows.column(f.name).combine_chunks() for f in schema]
    encoded = serde.encode(arrays, schema, None).data.to_pylist()
    starts = rows.column("WINDOWSTART").to_pylist() if source.window is not None else [0] * rows.num_rows
    order = sorted(range(rows.num_rows), key=lambda i: (encoded[i] or b"", starts[i]))
    return rows.take(pa.array(order, pa.int64()))
