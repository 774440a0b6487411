"""SELECTs with any clauses over streams and tables that are answered once: gives `engine.pull` snapshots and streams.

All tables that a query names, in subqueries too, are read at the same moment, between steps of their queries.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ...grammar.selects import nodes_of
from ...runtime.views import TableSnapshot
from ..analysis.query import analyse
from ..analysis.scope import FromSource, source_columns
from ..analysis.switches import check_expression
from ..catalog import DataSource
from ..expressions.nodes import TypedExpression
from ..pull.explain import steps_of
from ..pull.from_tables import FromTable
from ..pull.query import Environment, answer, arrow_of, schema_of
from ..pull.rows import Rows, whole
from ..pull.select import Selected
from ..results import Table
from ..schema import Schema
from ..types import to_arrow
from .context import Context
from .reading_sources import check_limit, find_source, kept_view, read_stream
from .wanted import bound_keys, check_scan, in_key_order

_LOGGER = logging.getLogger("penstock.queries")


def sources_named(context: Context, query: ast.AnyQuery) -> list[str]:
    """The streams and tables of the catalog that a query names anywhere in it."""
    names = dict.fromkeys(n.name for n in nodes_of(query) if isinstance(n, ast.SourceRef))
    return [name for name in names if name in context.catalog.sources]


def answered(context: Context, query: ast.AnyQuery) -> Table:
    """Answer a query with any clauses.

    Raises:
        StatementError: the query is wrong, or a property forbids it.
    """
    nodes = nodes_of(query)
    check_expression(query, context.options)
    for node in nodes:
        if isinstance(node, ast.Query | ast.TableQuery) and node.limit is not None:
            check_limit(context, node.span)
    environment = _Reading(context, query, nodes).environment()
    found = _answer(query, environment)
    limit = query.limit
    faults = environment.faults
    if faults.text is not None:
        _LOGGER.warning("%s", faults.text)
    return Table(
        arrow_of(found),
        schema_of(found),
        limit_reached=isinstance(limit, int) and found.length >= limit,
        final_message=faults.text,
        rows_left_out=faults.count,
    )


def _answer(query: ast.AnyQuery, environment: Environment) -> Selected:
    """See `pull.query.answer`.

    Raises:
        StatementError: the query is wrong, or its subqueries are too deep for the rest of the stack.
    """
    try:
        return answer(query, environment)
    except RecursionError:
        raise StatementError(
            "the subqueries are nested too deeply", span=query.span, suggestion="Write them one after the other, by WITH."
        ) from None


def described(context: Context, query: ast.AnyQuery) -> tuple[str, Schema]:
    """Describe in words how a query would be answered, and the columns of its answer.  No rows are read.

    Raises:
        StatementError: the query is wrong.
    """
    nodes = nodes_of(query)
    reading = _Reading(context, query, nodes, empty=True)
    found = _answer(query, reading.environment())
    return "\n".join(steps_of(query, reading.read_how)), schema_of(found)


class _Reading:
    """The sources of one query."""

    def __init__(self, context: Context, query: ast.AnyQuery, nodes: list[ast.Node], *, empty: bool = False) -> None:
        self._context = context
        self._empty = empty
        self.read_how: dict[str, str] = {}
        views: dict[str, str] = {}
        for name in sources_named(context, query):
            view = context.view_of(context.catalog.sources[name])
            if view is not None:
                views[name] = view
        self._snapshots: Mapping[str, TableSnapshot] = context.host.tables(views) if views and not empty else {}
        self._streams: dict[str, Rows] = {}
        self._wholes: dict[str, pa.Table] = {}
        stars = any(isinstance(n, ast.SelectStar) for n in nodes)
        using = {name for n in nodes if isinstance(n, ast.TableJoin) for name in n.using}
        self._needed = None if stars else {n.name for n in nodes if isinstance(n, ast.NameRef)} | using
        self._named = {n.name for n in nodes if isinstance(n, ast.NameRef)}
        self._first_rows = any(
            isinstance(n, ast.Query | ast.TableQuery)
            and (n.limit is not None or getattr(n, "offset", None) is not None)
            and not getattr(n, "order_by", ())
            for n in nodes
        )

    def environment(self) -> Environment:
        context = self._context
        guard = context.options.nested_errors_are_null
        return Environment(self.open, self.open_empty, context.functions, context.catalog.types, context.options, guard)

    def open(self, reference: ast.SourceRef, joined: bool) -> FromTable:
        """See `engine.pull.query.OpenTable`."""
        return self._open(reference, joined, self._empty)

    def open_empty(self, reference: ast.SourceRef, joined: bool) -> FromTable:
        """Like `open`, without rows."""
        return self._open(reference, joined, True)

    def _open(self, reference: ast.SourceRef, joined: bool, empty: bool) -> FromTable:
        source = find_source(self._context, reference)
        alias = reference.alias or reference.name
        found = FromSource(alias, source, source_columns(source, alias, joined), reference.span)
        if source.kind == "TABLE":
            kept_view(self._context, source, reference.span)
            return FromTable(found, lambda where: self._table(found, where, empty))
        return FromTable(found, lambda where: self._stream(found, empty))

    def _table(self, found: FromSource, where: TypedExpression | None, empty: bool) -> Rows:
        source = found.source
        keys = bound_keys(where, source)
        check_scan(self._context, where, source, found.span)
        if empty:
            how = "all rows of the table" if keys is None else f"{len(keys[0])} rows by key of the table"
            self.read_how[found.alias] = f"{how} {source.name}"
            return _nothing(found)
        rows = self._wholes.get(source.name) if keys is None else None
        if rows is None:
            snapshot = self._snapshots[source.name]
            rows = snapshot.table() if keys is None else snapshot.lookup(keys)
            if self._first_rows:
                rows = in_key_order(self._context, source, rows)
            if keys is None:
                self._wholes[source.name] = rows
        return _rows(found, {name: rows.column(name) for name in rows.column_names}, rows.num_rows)

    def _stream(self, found: FromSource, empty: bool) -> Rows:
        name = found.source.name
        if empty:
            self.read_how[found.alias] = f"all records of the stream {name}"
            return _nothing(found)
        if name not in self._streams:
            self._streams[name] = self._read(found.source)
        rows = self._streams[name]
        return _rows(found, rows.columns, rows.length)

    def _read(self, source: DataSource) -> Rows:
        """All records of a stream.  Only the columns that the query names are read, unless it has a star."""
        columns = [c for c in source_columns(source, source.name, False) if c.role != "PSEUDO" or c.name == "ROWTIME"]
        needed = [
            c.name
            for c in columns
            if (c.name in self._named if c.role == "PSEUDO" else self._needed is None or c.name in self._needed)
        ] or ["ROWTIME"]
        names = tuple(ast.SelectExpression(ast.NameRef(name)) for name in needed)
        query = ast.Query(names, ast.SourceRef(source.name))
        resolved = analyse(query, self._context.query_context())
        arrays = read_stream(self._context, query, resolved)
        return Rows({n: whole(a) for n, a in zip(needed, arrays, strict=True)}, len(arrays[0]))


def _nothing(found: FromSource) -> Rows:
    """No rows of a source."""
    return Rows({c.internal: pa.nulls(0, to_arrow(c.type)) for c in found.columns}, 0)


def _rows(found: FromSource, columns: Mapping[str, Any], length: int) -> Rows:
    """Columns under their internal names."""
    return Rows({c.internal: whole(columns[c.name]) for c in found.columns if c.name in columns}, length)
