"""Any SQL over the tables: what `Database.sql` gives to DuckDB.

Names are looked up as the dialect does (bare ones in upper case), so ``FROM spend`` finds the table SPEND.  Tables that a
query keeps show their state as of one commit over all of them; streams show all their records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ..catalog import DataSource
from ..duckdb import pull as duckdb_pull
from ..results import Table
from .context import Context
from .select import pull


def query(context: Context, text: str, parameters: object = None) -> Table:
    """Run one SELECT in a locked-down DuckDB.

    Raises:
        StatementError: DuckDB cannot read it, it names something that is not there, or asks for what is locked.
    """
    named = duckdb_pull.table_names(text)
    found = {name: _source(context, name) for name in named}
    _check_distinct(found)
    views = {name: v for name, source in found.items() if (v := context.view_of(source)) is not None}
    snapshots = context.host.tables(views) if views else {}
    tables: dict[str, Callable[[], pa.Table]] = {}
    for name, source in found.items():
        tables[name] = snapshots[name].table if name in snapshots else _stream_reader(context, source)
    return Table(duckdb_pull.run_select(text, tables, parameters))


def _check_distinct(found: dict[str, DataSource]) -> None:
    """DuckDB does not see the difference between names in upper and in lower case.  Raises: StatementError."""
    seen: dict[str, str] = {}
    for source in found.values():
        other = seen.setdefault(source.name.lower(), source.name)
        if other != source.name:
            raise StatementError(f"{other} and {source.name} differ in case only, so one query cannot name both")


def _source(context: Context, name: str) -> DataSource:
    source = context.catalog.sources.get(name) or context.catalog.sources.get(name.upper())
    if source is None:
        return context.catalog.source(name.upper())  # raises, with near misses
    if source.kind == "TABLE" and context.view_of(source) is None:
        raise StatementError(
            f"{source.name} is a table that no query keeps, so it cannot be asked",
            suggestion=f"CREATE TABLE .. AS SELECT * FROM {source.name}; makes one that can.",
        )
    return source


def _stream_reader(context: Context, source: DataSource) -> Callable[[], Any]:
    """All records of a stream, with ROWTIME."""

    def read() -> pa.Table:
        rowtime = ast.SelectExpression(ast.NameRef("ROWTIME"))
        columns = tuple(ast.SelectExpression(ast.NameRef(c.name)) for c in source.schema)
        return pull(context, ast.Query((*columns, rowtime), ast.SourceRef(source.name))).arrow()

    return read
