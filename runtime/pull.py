"""Runs SELECTs over snapshots of tables in a locked-down DuckDB.

Nothing outside the given tables can be reached: no file, no network, no extension, no setting, no other database.  Only
one SELECT statement is accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import StatementError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_LOCKDOWN: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
_names = threading.local()


def _connection() -> duckdb.DuckDBPyConnection:
    """A fresh, locked-down, in-memory database (1-2 ms)."""
    import duckdb

    connection = duckdb.connect(":memory:", config=_LOCKDOWN)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def _namer() -> duckdb.DuckDBPyConnection:
    """A per-thread connection used only to parse statements."""
    if not hasattr(_names, "connection"):
        _names.connection = _connection()
    connection: duckdb.DuckDBPyConnection = _names.connection
    return connection


def table_names(sql: str) -> set[str]:
    """The tables a SELECT names, as written.

    Raises:
        StatementError: it is not exactly one SELECT that DuckDB can parse.
    """
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise StatementError(
                "only one SELECT statement can be run here", suggestion="Use execute() for other statements."
            )
        return set(_namer().get_table_names(sql))
    except duckdb.Error as error:
        raise StatementError(f"DuckDB cannot read this query: {_first_line(error)}", text=sql) from error


def run_select(sql: str, tables: Mapping[str, Callable[[], pa.Table]], parameters: object = None) -> Any:
    """Run a SELECT over the given tables (made when first needed) and return an Arrow table.

    Raises:
        StatementError: the statement is wrong, or asks for something that is locked.
    """
    import duckdb

    connection = _connection()
    try:
        for name, make in tables.items():
            connection.register(name, make())
        return connection.sql(sql, params=parameters).to_arrow_table()
    except duckdb.Error as error:
        raise StatementError(f"DuckDB refuses this query: {_first_line(error)}", text=sql) from error
    finally:
        connection.close()


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
