"""DuckDB's own SQL over the tables, for `Session.duckdb`.

A quoted name is looked up as it is written, then in upper case.  A name without quotes is looked up in upper case first, as
in the dialect, so ``FROM spend`` finds the table SPEND.  The tables of queries are all read as of the same commit; streams
give all of their records.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ..analysis.query import analyse
from ..catalog import DataSource
from ..duckdb import pull as duckdb_pull
from ..duckdb.check import Mention, span_at
from ..results import Table
from ..schema import WINDOW_BOUNDS
from .context import Context
from .reading_sources import find_source, kept_view, read_stream
from .wanted import check_scan


def query(
    context: Context, text: str, parameters: object = None, lookup: Callable[[str], pa.Table | None] = lambda name: None
) -> Table:
    """Run one SELECT in a DuckDB connection that cannot reach anything else.

    Args:
        parameters: the values of the parameters.
        lookup: gives data of the calling program by the names in the text.  A stream or table of the same name comes first.

    Raises:
        StatementError: DuckDB cannot parse the text; it names something unknown or asks for something that is locked; or a
            property forbids it.
    """
    found = duckdb_pull.named(text)
    try:
        given = {m: data for m in found if m.kind == "table" and (data := _given(context, m, lookup)) is not None}
        sources = {m: _source(context, m, text) for m in found if m.kind == "table" and m not in given}
        views = {s.name: v for s in sources.values() if (v := context.view_of(s)) is not None}
        snapshots = context.host.tables(views) if views else {}
        rows = {
            name: snapshots[name].table() if name in snapshots else _stream(context, source)
            for name, source in {source.name: source for source in sources.values()}.items()  # reads each once
        }
    except StatementError as error:
        raise error.located(text) from error.__cause__
    options = context.session.settings.database
    bounds = duckdb_pull.Bounds(options.duckdb_memory, options.duckdb_threads)
    tables = {m: (source.name, rows[source.name]) for m, source in sources.items()}
    tables |= {m: (m.name, data) for m, data in given.items()}
    return Table(duckdb_pull.run_select(text, found, tables, parameters, bounds))


def _given(context: Context, mention: Mention, lookup: Callable[[str], pa.Table | None]) -> pa.Table | None:
    """The data of the program that a name means; None if a stream or table has this name."""
    if {mention.name, mention.name.upper()} & context.catalog.sources.keys():
        return None
    return lookup(mention.name)


def _source(context: Context, mention: Mention, text: str) -> DataSource:
    """The stream or table that a name means.

    Raises:
        StatementError: it is unknown, or may not be read.
    """
    in_quotes = text[mention.start : mention.start + 1] == '"'
    first, second = (mention.name, mention.name.upper()) if in_quotes else (mention.name.upper(), mention.name)
    name = first if first in context.catalog.sources or second not in context.catalog.sources else second
    span = span_at(text, mention.start, mention.start + len(mention.name)) if mention.start < len(text) else ast.NO_SPAN
    source = find_source(context, ast.SourceRef(name, span=span))
    if source.kind == "TABLE":
        kept_view(context, source, span)
        check_scan(context, None, source, span)
    return source


def _stream(context: Context, source: DataSource) -> pa.Table:
    """All records of a stream, with ROWTIME and, if it is windowed, the bounds of the windows."""
    bounds = () if source.window is None else WINDOW_BOUNDS
    names = [*(c.name for c in source.schema), *bounds, "ROWTIME"]
    select = ast.Query(tuple(ast.SelectExpression(ast.NameRef(n)) for n in names), ast.SourceRef(source.name))
    resolved = analyse(select, context.query_context())
    return pa.Table.from_arrays(read_stream(context, select, resolved), names=names)
