"""SELECT: a push query (EMIT ..) becomes a subscription; any other query is answered once.

A query that has the form of ksqlDB's own pull queries, over the rows of one source, is answered here by lookups or a scan.
All others go to `answers`.  Both give the same answers for queries that both can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ...grammar.selects import nodes_of
from ...grammar.unparse import unparse
from ...runtime.batch import Batch
from ...runtime.dataflow import Dataflow, Source
from ...runtime.kernel import as_mask
from ..analysis.query import analyse
from ..analysis.resolved import ResolvedQuery
from ..catalog import DataSource
from ..columns.sizes import ColumnTooLargeError
from ..expressions.compile import compile_expression, compile_predicate
from ..expressions.nodes import ColumnRef, TypedExpression, columns_of
from ..functions.registry import BUILT_INS
from ..pull.key_values import check_key_values
from ..pull.window_bounds import check_window_bounds
from ..results import PushResult, Table
from ..schema import WINDOW_BOUNDS, Column, Schema
from ..types import to_arrow
from .answers import answered, described
from .context import Context
from .planning import plan_query, to_dataflow
from .reading_sources import check_limit, events_only, find_source, kept_view, read_stream
from .wanted import bound_keys, check_scan, in_key_order

# --- push ----------------------------------------------------------------------------------


def push(
    context: Context, query: ast.Query, overflow: Literal["block", "drop"] = "block", resume: str | None = None
) -> PushResult:
    """Start a push query.

    Args:
        overflow: for a slow reader: ``block`` lets the query wait, ``drop`` drops rows.
        resume: a name for the reader.  It continues where the last reader of this name stopped.

    Raises:
        StatementError: the query is wrong, there are too many, or ``resume`` is given and the query keeps state.
    """
    limit = context.options.push_queries_max
    if context.host.subscriptions >= limit:
        raise StatementError(
            f"there are {limit} push queries already, which is ksql.max.push.queries",
            span=query.span,
            suggestion="Close one of them.",
        )
    planned = plan_query(context, query)
    resolved = planned.resolved
    assert resolved is not None
    columns = tuple(replace(c, role="VALUE", header=None) for c in resolved.select_schema)
    latest = _only_latest(context, resolved)

    def dataflow_for(receive: Callable[[Batch], None]) -> Dataflow:
        dataflow = to_dataflow(context, planned.plan, events_only(receive) if resolved.kind == "STREAM" else receive)
        return _from_the_end(dataflow) if latest else dataflow

    subscription = context.host.pushes.subscribe(
        dataflow_for,
        tuple(c.name for c in columns),
        limit=resolved.limit,
        overflow=overflow,
        to_columns=_column_maker(resolved),
        prefix="SCALABLE_PUSH_QUERY" if latest else "transient",
        resume=None if resume is None else (resume, _resumable(resolved, query)),
        shape=_shape(context, query, resolved),
    )
    named = {*(column.name for column in resolved.schema.keys), *WINDOW_BOUNDS} if resolved.kind == "TABLE" else set()
    keys = [place for place, column in enumerate(columns) if column.name in named]
    windowed = resolved.kind == "TABLE" and resolved.window is not None
    return PushResult(subscription, Schema(columns), subscription.query_id, tuple(keys), windowed)


def _shape(context: Context, query: ast.Query, resolved: ResolvedQuery) -> Hashable | None:
    """A value that is equal for push queries that give the same rows for the same records; None if that cannot be known."""
    for node in nodes_of(query):
        if isinstance(node, ast.FunctionCall):
            function = context.functions.find(node.name)
            if function is None or function is not BUILT_INS.find(node.name):
                return None  # a user's function may do anything, and may be replaced
            if any(getattr(overload, "volatile", False) for overload in function.overloads):
                return None
    topics = tuple((s.source, context.log.topic_id(s.source.topic)) for s in resolved.sources)
    return unparse(replace(query, limit=None)), context.options, repr(topics)


def _resumable(resolved: ResolvedQuery, query: ast.Query) -> str:
    """The name of the only source of a query that keeps no state.

    Raises:
        StatementError: the query keeps state.
    """
    if resolved.joins or resolved.grouping is not None or resolved.partition_by is not None:
        raise StatementError(
            "a push query that joins or aggregates keeps its state in memory, and cannot continue where it stopped",
            span=query.span,
            suggestion="CREATE TABLE .. AS this query, and subscribe to the table.",
        )
    return resolved.sources[0].source.name


def _only_latest(context: Context, resolved: ResolvedQuery) -> bool:
    """Section 9, push version 2: whether a query only filters and projects the result of one persistent query, from now
    on.
    """
    if not context.options.push_from_the_end or resolved.joins or resolved.grouping is not None:
        return False
    if resolved.partition_by is not None or resolved.table_calls:
        return False
    source = resolved.sources[0].source
    return len({*context.writers(source.name)}) == 1 and context.options.auto_offset_reset == "latest"


def _from_the_end(dataflow: Dataflow) -> Dataflow:
    nodes = tuple(replace(n, from_beginning=False) if isinstance(n, Source) else n for n in dataflow.nodes)
    return replace(dataflow, nodes=nodes)


def _column_maker(resolved: ResolvedQuery) -> Callable[[Batch], list[Any]]:
    """Make a function that gives the columns of a batch in the order of the SELECT list.

    A tombstone of a windowed table still shows its window.
    """
    order = resolved.select_order
    bounds = [_bound(resolved.outputs[place].expression) for place in order]

    def to_columns(batch: Batch) -> list[Any]:
        columns: list[Any] = []
        for place, bound in zip(order, bounds, strict=True):
            window = batch.window_starts if bound == "WINDOWSTART" else batch.window_ends
            if bound is not None and window is not None:
                columns.append(pa.array(window))
            else:
                columns.append(batch.columns[place])
        return columns

    return to_columns


def _bound(expression: TypedExpression) -> str | None:
    """WINDOWSTART or WINDOWEND if the expression is only this column; otherwise None."""
    return expression.name if isinstance(expression, ColumnRef) and expression.name in WINDOW_BOUNDS else None


# --- pull ----------------------------------------------------------------------------------


def pull(context: Context, query: ast.AnyQuery, text: str | None = None) -> Table:
    """Answer a query once, from the present state.

    Args:
        text: the text of the query, if it is the whole text.  Then later queries like it skip the analysis (`lookup_cache`).

    Raises:
        StatementError: the query is wrong, or a property forbids it.
    """
    try:
        return _pull(context, query, text)
    except ColumnTooLargeError as error:
        raise StatementError(
            str(error), span=error.span or query.span, suggestion="Filter earlier, add a LIMIT, or make shorter values."
        ) from error


def _pull(context: Context, query: ast.AnyQuery, text: str | None) -> Table:
    if isinstance(query, ast.TableQuery) or not is_plain(context, query):
        return answered(context, query)
    source, resolved = _plain(context, query)
    if source.kind == "STREAM":
        columns = tuple(replace(c, role="VALUE", header=None) for c in resolved.select_schema)
        schema = pa.schema([(c.name, to_arrow(c.type)) for c in columns])
        table = _table(read_stream(context, query, resolved), schema)
        return _limited(table, Schema(columns), resolved.limit, "Query Completed")
    view, keys = _wanted(context, query, source, resolved)
    if keys is not None and text is not None:
        reader = context.host.point_reader(view)
        context.engine.lookups.learn(
            context.catalog, context.options, text, resolved, source, context.host.run(view).view, reader
        )
    snapshot = context.host.tables({source.name: view})[source.name]
    rows = snapshot.table() if keys is None else snapshot.lookup(keys)
    if resolved.limit is not None:
        rows = in_key_order(context, source, rows)
    return _answer(context, rows, resolved, source)


def check_pull(context: Context, query: ast.AnyQuery) -> None:
    """Check a query as `pull` does, without reading rows.

    Raises:
        StatementError: see `pull`.
    """
    if isinstance(query, ast.TableQuery) or not is_plain(context, query):
        described(context, query)
        return
    source, resolved = _plain(context, query)
    if source.kind == "TABLE":
        _wanted(context, query, source, resolved)


def _plain(context: Context, query: ast.Query) -> tuple[DataSource, ResolvedQuery]:
    """The source of a plain query, and the resolved query.

    Raises:
        StatementError: the query is wrong, or a property forbids it.
    """
    if query.limit is not None:
        check_limit(context, query.span)
    source = find_source(context, query.source)
    resolved = analyse(query, context.query_context())
    _check_columns(resolved)
    return source, resolved


def _wanted(
    context: Context, query: ast.Query, source: DataSource, resolved: ResolvedQuery
) -> tuple[str, list[list[Any]] | None]:
    """The query that keeps a table's rows, and the keys to look up (None: all rows are read).

    Raises:
        StatementError: no query keeps the rows, or they cannot be looked up by the condition.
    """
    view = kept_view(context, source, query.source.span)
    check_key_values(query.where, resolved.sources, resolved.sources[0].keys)
    check_window_bounds(resolved.where, resolved.sources)
    keys = bound_keys(resolved.where, source)
    check_scan(context, resolved.where, source, query.span)
    return view, keys


def is_plain(context: Context, query: ast.Query) -> bool:
    """Whether a query has the form of ksqlDB's own pull queries: rows of one source, without other clauses."""
    if query.joins or query.window or query.group_by or query.partition_by or query.having:
        return False
    for node in nodes_of((query.select, query.where)):
        if isinstance(node, ast.ScalarSubquery | ast.InSubquery | ast.Exists | ast.WindowCall):
            return False
        if isinstance(node, ast.FunctionCall):
            function = context.functions.find(node.name)
            if function is not None and function.kind != "SCALAR":
                return False
    return True


def access_path(context: Context, query: ast.Query, resolved: ResolvedQuery) -> str:
    """How a pull query finds its rows, in words (for EXPLAIN)."""
    source = resolved.sources[0].source
    if source.kind == "STREAM":
        return f"reads all records of {source.name}"
    view = context.view_of(source)
    if view is None:
        return f"not possible: no query keeps the rows of {source.name}"
    keys = bound_keys(resolved.where, source)
    if keys is not None:
        count = len(keys[0])
        return f"looks up {count} {'key' if count == 1 else 'keys'} in the state of {view}"
    return f"reads all rows in the state of {view}" + (", then filters" if query.where is not None else "")


def _check_columns(resolved: ResolvedQuery) -> None:
    """Section 4: a pull query cannot use ROWPARTITION and ROWOFFSET."""
    expressions = [o.expression for o in resolved.outputs]
    if resolved.where is not None:
        expressions.append(resolved.where)
    for expression in expressions:
        for column in columns_of(expression):
            if column.name in ("ROWPARTITION", "ROWOFFSET"):
                raise StatementError(
                    f"a pull query has no {column.name}", span=column.span, suggestion="Add EMIT CHANGES for a push query."
                )


def _answer(context: Context, rows: pa.Table, resolved: ResolvedQuery, source: DataSource) -> Table:
    """Apply WHERE and the SELECT list to the rows of a table."""
    functions, guard = context.functions, context.options.nested_errors_are_null
    columns, fields = [], []
    for column in resolved.sources[0].columns:
        name = column.name
        if name not in rows.column_names:
            continue  # ROWPARTITION and ROWOFFSET: no expression reads them here
        array = rows.column(name)
        columns.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
        fields.append((column.internal, array.type))
    schema = pa.schema(fields)
    count = rows.num_rows
    if resolved.where is not None:
        keep = as_mask(compile_predicate(resolved.where, schema, functions=functions, guard=guard)(columns, count))
        mask = pa.array(keep)
        columns = [c.filter(mask) for c in columns]
        count = int(np.count_nonzero(keep))
    results, shown = [], []
    for place in resolved.select_order:
        output = resolved.outputs[place]
        values = compile_expression(output.expression, schema, functions=functions, guard=guard)(columns, count).values
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


def _limited(table: pa.Table, schema: Schema, limit: int | None, final_message: str | None = None) -> Table:
    """The first rows.  For streams, the table says whether they were read to their end, see `Table.final_message`."""
    if limit is None or table.num_rows < limit:
        return Table(table, schema, final_message=final_message)
    return Table(
        table.slice(0, limit),
        schema,
        limit_reached=True,
        final_message=None if final_message is None else "Limit Reached",
    )
