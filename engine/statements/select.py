"""SELECT: push queries (EMIT ..) become subscriptions, pull queries tables.

Here the dialect's own rules hold (section 9).  What `Database.sql` allows beyond them is answered by DuckDB, see `adhoc`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...runtime.batch import Batch
from ...runtime.dataflow import Dataflow, Source
from ...runtime.kernel import as_mask
from ...runtime.query.ledger import NoLedger
from ...runtime.query.lifecycle import QueryRun
from ..analysis.query import analyse
from ..analysis.resolved import ResolvedQuery
from ..catalog import DataSource
from ..expressions.compile import compile_expression, compile_predicate
from ..expressions.nodes import Arithmetic, Between, Call, ColumnRef, Compare, In, Logical, TypedExpression, columns_of
from ..expressions.nodes import Literal as Constant
from ..results import PushResult, Table
from ..schema import WINDOW_BOUNDS, Column, Schema
from ..serdes import key_schema, serdes_of
from ..types import BIGINT, BYTES, DOUBLE, INTEGER, STRING, is_numeric, to_arrow
from .context import Engine
from .planning import plan_query, to_dataflow

# --- push ----------------------------------------------------------------------------------


def push(engine: Engine, query: ast.Query, overflow: Literal["block", "drop"] = "block") -> PushResult:
    """Start a push query.

    Raises:
        StatementError: the query is wrong, or there are too many already.
    """
    limit = engine.options.push_queries_max
    if engine.host.subscriptions >= limit:
        raise StatementError(
            f"there are {limit} push queries already, which is ksql.max.push.queries",
            span=query.span,
            suggestion="Close one of them.",
        )
    planned = plan_query(engine, query)
    resolved = planned.resolved
    assert resolved is not None
    columns = tuple(replace(c, role="VALUE", header=None) for c in resolved.select_schema)
    latest = _only_latest(engine, resolved)

    def dataflow_for(receive: Callable[[Batch], None]) -> Dataflow:
        dataflow = to_dataflow(engine, planned.plan, _events_only(receive) if resolved.kind == "STREAM" else receive)
        return _from_the_end(dataflow) if latest else dataflow

    subscription = engine.host.subscribe(
        dataflow_for,
        tuple(c.name for c in columns),
        limit=resolved.limit,
        overflow=overflow,
        to_columns=_column_maker(resolved),
        prefix="SCALABLE_PUSH_QUERY" if latest else "transient",
    )
    return PushResult(subscription, Schema(columns), subscription.query_id)


def _events_only(receive: Callable[[Batch], None]) -> Callable[[Batch], None]:
    """Section 11: a record of a stream without a value is no row."""

    def events(batch: Batch) -> None:
        receive(batch if batch.tombstones is None else batch.filter(~batch.tombstones))

    return events


def _only_latest(engine: Engine, resolved: ResolvedQuery) -> bool:
    """Section 9, push version 2: over the result of one persistent query, filtered and projected, from now on."""
    if not engine.options.push_from_the_end or resolved.joins or resolved.grouping is not None:
        return False
    if resolved.partition_by is not None or resolved.table_calls:
        return False
    source = resolved.sources[0].source
    return len({*engine.writers(source.name)}) == 1 and engine.options.auto_offset_reset == "latest"


def _from_the_end(dataflow: Dataflow) -> Dataflow:
    nodes = tuple(replace(n, from_beginning=False) if isinstance(n, Source) else n for n in dataflow.nodes)
    return replace(dataflow, nodes=nodes)


def _column_maker(resolved: ResolvedQuery) -> Callable[[Batch], list[Any]]:
    """Batches -> columns in the order of the SELECT list; a tombstone of a windowed table still shows its window."""
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
    """WINDOWSTART or WINDOWEND, if the expression is one of them as it is."""
    return expression.name if isinstance(expression, ColumnRef) and expression.name in WINDOW_BOUNDS else None


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
    _check_columns(resolved)
    if source.kind == "STREAM":
        return _pull_stream(engine, query, resolved)
    view = engine.view_of(source)
    if view is None:
        raise StatementError(
            f"{source.name} is a table that no query keeps, so it cannot be asked",
            span=query.source.span,
            suggestion=f"CREATE TABLE .. AS SELECT * FROM {source.name}; makes one that can.",
        )
    _check_key_values(query.where, source)
    _check_bounds(resolved.where, source)
    keys = _bound_keys(resolved.where, source)
    _check_scan(engine, resolved, source, keys, query)
    snapshot = engine.host.tables({source.name: view})[source.name]
    rows = snapshot.table() if keys is None else snapshot.lookup(keys)
    if resolved.limit is not None:
        rows = _in_key_order(engine, source, rows)
    return _answer(rows, resolved, source, guard=engine.options.nested_errors_are_null)


def access_path(engine: Engine, query: ast.Query, resolved: ResolvedQuery) -> str:
    """How a pull query finds its rows, in words (for EXPLAIN)."""
    source = resolved.sources[0].source
    if source.kind == "STREAM":
        return f"reads all records of {source.name}"
    view = engine.view_of(source)
    if view is None:
        return f"not possible: no query keeps the rows of {source.name}"
    keys = _bound_keys(resolved.where, source)
    if keys is not None:
        count = len(keys[0])
        return f"looks up {count} {'key' if count == 1 else 'keys'} in the state of {view}"
    return f"reads all rows in the state of {view}" + (", then filters" if query.where is not None else "")


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
    if query.limit is not None and not engine.options.pull_limit:
        raise StatementError(
            "LIMIT in pull queries is switched off by ksql.query.pull.limit.clause.enabled", span=query.span
        )


def _source(engine: Engine, query: ast.Query) -> DataSource:
    try:
        source = engine.catalog.source(query.source.name)
    except StatementError as error:
        error.span = query.source.span
        raise
    if source.kind == "STREAM" and not engine.options.pull_stream:
        raise StatementError(
            "pull queries on streams are switched off by ksql.query.pull.stream.enabled", span=query.source.span
        )
    return source


def _check_columns(resolved: ResolvedQuery) -> None:
    """Section 4: a pull query does not know where a row came from."""
    expressions = [o.expression for o in resolved.outputs]
    if resolved.where is not None:
        expressions.append(resolved.where)
    for expression in expressions:
        for column in columns_of(expression):
            if column.name in ("ROWPARTITION", "ROWOFFSET"):
                raise StatementError(
                    f"a pull query has no {column.name}", span=column.span, suggestion="Add EMIT CHANGES for a push query."
                )


def _check_key_values(where: ast.Expression | None, source: DataSource) -> None:
    """Section 9: a key is looked up by values of its own type, and never by NULL.  Raises: StatementError."""
    keys = {c.name: c.type for c in source.schema.keys}
    stack: list[Any] = [] if where is None else [where]
    while stack:
        node = stack.pop()
        match node:
            case ast.InList(operand=ast.NameRef(name=name), items=items) if name in keys:
                for item in items:
                    if isinstance(item, ast.NullLiteral):
                        raise StatementError(f"the key {name} is never NULL", span=item.span)
                    if isinstance(item, ast.StringLiteral) and is_numeric(keys[name]):
                        raise StatementError(f"the key {name} is {keys[name]}, and '{item.value}' is text", span=item.span)
            case ast.Logical(left=left, right=right):
                stack += [left, right]
            case ast.Not(operand=operand):
                stack.append(operand)


def _check_bounds(where: TypedExpression | None, source: DataSource) -> None:
    """Section 9: in a lookup of keys, the windows wanted are one range of starts and one of ends.

    Raises:
        StatementError: a bound that is no range, or two that limit the same end of one.
    """
    if source.window is None:
        return
    names = [c.name for c in source.schema.keys]
    branches = [list(_operands(branch, "AND")) for branch in _operands(where, "OR")]
    found = [[b for condition in branch for b in _bounds_in(condition)] for branch in branches]
    for column, how, span in (b for bounds in found for b in bounds):
        if how not in _RANGE_ENDS:
            raise StatementError(
                f"{column} cannot be compared by {how} in a pull query", span=span, suggestion="Use =, <, <=, > or >=."
            )
    keyed = [{k[0] for c in branch if (k := _key_condition(c, names)) is not None} == set(names) for branch in branches]
    if not all(keyed):
        return  # the windows of all keys are read, and any condition filters them
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
"""Which ends of a range of windows a bound sets."""

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _bounds_in(condition: TypedExpression) -> Iterator[tuple[str, str, Span]]:
    """A condition that compares WINDOWSTART or WINDOWEND with a constant: the column, the operator, its place."""
    match condition:
        case Compare(operator=how, left=ColumnRef() as column, right=other):
            pass
        case Compare(operator=how, left=other, right=ColumnRef() as column):
            how = _MIRRORED.get(how, how)  # type: ignore[assignment]  # an operator, too
        case Between(operand=ColumnRef(name=name), low=low, high=high, negated=False) if name in WINDOW_BOUNDS:
            if not columns_of(low) and not columns_of(high):
                yield name, ">=", condition.span
                yield name, "<=", condition.span
            return
        case _:
            return
    if column.name in WINDOW_BOUNDS and not columns_of(other):
        yield column.name, how, condition.span


def _pull_stream(engine: Engine, query: ast.Query, resolved: ResolvedQuery) -> Table:
    """Read a stream from its start to its present end."""
    pieces: list[Batch] = []
    options = replace(engine.options, auto_offset_reset="earliest")
    planned = plan_query(engine, query)
    dataflow = to_dataflow(engine, planned.plan, _events_only(pieces.append), options)
    run = QueryRun("pull", dataflow, engine.host.services, ledger=NoLedger())
    taken, limit = 0, resolved.limit
    ends = {place: engine.log.end_offset(*place) for place in run.positions}
    while any(at < ends[place] for place, at in run.positions.items()):  # what is written meanwhile is not waited for
        if (limit is not None and taken >= limit) or not run.step():
            break
        taken = sum(len(p) for p in pieces)
    columns = tuple(replace(c, role="VALUE", header=None) for c in resolved.select_schema)
    schema = pa.schema([(c.name, to_arrow(c.type)) for c in columns])
    arrays = [
        pa.chunked_array([p.columns[place] for p in pieces], schema.field(i).type)
        for i, place in enumerate(resolved.select_order)
    ]
    return _limited(_table(arrays, schema), Schema(columns), limit, "Query Completed")


def _answer(rows: pa.Table, resolved: ResolvedQuery, source: DataSource, *, guard: bool) -> Table:
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
        keep = as_mask(compile_predicate(resolved.where, schema, guard=guard)(columns, count))
        mask = pa.array(keep)
        columns = [c.filter(mask) for c in columns]
        count = int(np.count_nonzero(keep))
    results, shown = [], []
    for place in resolved.select_order:
        output = resolved.outputs[place]
        values = compile_expression(output.expression, schema, guard=guard)(columns, count).values
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
    """The first rows.  Streams say whether they were read to their end: see `Table.final_message`."""
    if limit is None or table.num_rows < limit:
        return Table(table, schema, final_message=final_message)
    return Table(
        table.slice(0, limit),
        schema,
        limit_reached=True,
        final_message=None if final_message is None else "Limit Reached",
    )


# --- which rows are wanted -----------------------------------------------------------------


def _operands(expression: TypedExpression | None, operator: Literal["AND", "OR"]) -> Iterator[TypedExpression]:
    """What a chain of ANDs, or of ORs, combines; the expression itself if it is none."""
    if isinstance(expression, Logical) and expression.operator == operator:
        yield from _operands(expression.left, operator)
        yield from _operands(expression.right, operator)
    elif expression is not None:
        yield expression


def _bound_keys(where: TypedExpression | None, source: DataSource) -> list[Any] | None:
    """The keys that WHERE asks for, one array per key column, or None if it does not name whole keys."""
    names = [c.name for c in source.schema.keys]
    bound: dict[str, list[Any]] = {}
    for condition in _operands(where, "AND"):
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
    """``column = constant`` and ``column IN (constants)`` -> the column and the values, if its type has them."""
    match condition:
        case (
            Compare(operator="=", left=ColumnRef() as column, right=Constant() as constant)
            | Compare(operator="=", left=Constant() as constant, right=ColumnRef() as column)
        ) if _is_of(constant, column):
            return column.name, [constant.value]
        case In(operand=ColumnRef() as column, items=items, negated=False) if all(
            isinstance(i, Constant) and _is_of(i, column) for i in items
        ):
            values = [i.value for i in items if isinstance(i, Constant) and i.value is not None]
            return (column.name, values) if values else None
    return None


_RANGES: dict[object, int] = {INTEGER: 2**31, BIGINT: 2**63, DOUBLE: 2**53}
"""Up to here (in both directions) a type has every whole number."""


def _is_of(constant: Constant, column: ColumnRef) -> bool:
    """Whether a constant is a value of the column's type: of the type itself, or a whole number that the type has.

    ``7`` is an INTEGER; a key of BIGINT is looked up by it, too.
    """
    if constant.type == column.type:
        return True
    bound = _RANGES.get(column.type) if constant.type in (INTEGER, BIGINT) else None
    return bound is not None and (constant.value is None or -bound <= constant.value < bound)


def _check_scan(
    engine: Engine, resolved: ResolvedQuery, source: DataSource, keys: list[Any] | None, query: ast.Query
) -> None:
    """Without table scans, every alternative of WHERE must name each key column once, or a range of the only one.

    Raises:
        StatementError: it does not.
    """
    if engine.options.pull_table_scan:
        return
    names = [c.name for c in source.schema.keys]
    alternatives = [[]] if resolved.where is None else _alternatives(resolved.where)
    ranged = (
        engine.options.pull_range_scan
        and len(alternatives) == len(names) == 1
        and source.schema.keys[0].type in (STRING, BYTES)
    )
    for alternative in alternatives:
        found = [f for condition in alternative if (f := _key_condition(condition, names)) is not None]
        if sorted(name for name, _ in found) != sorted(names) or any(how == "other" for _, how in found):
            break
        if any(how == "range" for _, how in found) and not ranged:
            break
    else:
        return
    raise StatementError(
        "this query reads the whole table, which ksql.query.pull.table.scan.enabled forbids",
        span=query.span,
        suggestion=f"Compare {', '.join(names)} with a constant, once.",
    )


def _alternatives(expression: TypedExpression) -> list[list[TypedExpression]]:
    """The disjunctive normal form: alternatives, each a list of conditions."""
    match expression:
        case Logical(operator="OR", left=left, right=right):
            return _alternatives(left) + _alternatives(right)
        case Logical(operator="AND", left=left, right=right):
            return [[*a, *b] for a in _alternatives(left) for b in _alternatives(right)]
    return [[expression]]


def _key_condition(condition: TypedExpression, names: list[str]) -> tuple[str, str] | None:
    """The key column that a condition is about, and how: ``=`` (also IN), ``range`` or ``other``."""
    if isinstance(condition, In):
        operand = condition.operand
        if isinstance(operand, ColumnRef) and operand.name in names:
            return operand.name, "other" if condition.negated else "="
        return None
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
