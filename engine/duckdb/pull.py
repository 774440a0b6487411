"""Runs SELECTs over snapshots of tables in a locked-down DuckDB.

Nothing outside the given tables can be reached: no file, no network, no extension, no setting, no other database.  Only
one SELECT statement is accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import StatementError
from ...limits import ANSWER_BYTES_MAX
from ...storage import interrupts
from .check import duckdb_span, tables_named

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
_READ_ROWS = 65_536
"""Rows of an answer that are looked at together."""
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
        StatementError: it is not exactly one SELECT that DuckDB can parse, or asks for what is locked.
    """
    import duckdb

    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise StatementError("the query holds half of a surrogate pair, which is no character") from error
    try:
        return tables_named(_namer(), sql)
    except duckdb.Error as error:
        raise _wrong("DuckDB cannot read this query", error, sql) from error


def run_select(sql: str, tables: Mapping[str, Callable[[], pa.Table]], parameters: object = None) -> Any:
    """Run a SELECT over the given tables (made when first needed) and return an Arrow table.

    Raises:
        StatementError: the statement is wrong, or asks for something that is locked.
    """
    import duckdb
    import pyarrow as pa

    connection = _connection()
    try:
        for name, make in tables.items():
            connection.register(name, make())
        with interrupts.stopping(connection.interrupt):
            relation = connection.sql(sql, params=parameters)
            wide = [place for place, type_ in enumerate(relation.types) if str(type_) == "HUGEINT"]
            return _narrowed(_whole(relation.to_arrow_reader(_READ_ROWS), sql), wide)
    except duckdb.Error as error:
        interrupts.check()  # raises what stopped it
        raise _wrong("DuckDB refuses this query", error, sql) from error
    except (pa.ArrowException, OverflowError, RuntimeError, TypeError, ValueError) as error:
        interrupts.check()
        # a parameter that DuckDB cannot take, or a result that Arrow cannot hold
        raise StatementError(f"this query cannot be answered: {_first_line(error)}", text=sql) from error
    finally:
        connection.close()


def _whole(reader: pa.RecordBatchReader, sql: str) -> pa.Table:
    """All batches of an answer.  Raises: StatementError, if it grows too large."""
    import pyarrow as pa

    batches, size = [], 0
    for batch in reader:
        interrupts.check()
        batches.append(batch)
        size += batch.nbytes
        if size > ANSWER_BYTES_MAX:
            raise StatementError(
                f"the answer is larger than {ANSWER_BYTES_MAX:,} bytes", text=sql, suggestion="Aggregate, or add a LIMIT."
            )
    return pa.Table.from_batches(batches, reader.schema)


def _narrowed(table: pa.Table, places: list[int]) -> pa.Table:
    """The table with these columns, sums of whole numbers, as BIGINT where they fit (they come as DECIMALs)."""
    import pyarrow as pa

    for place in places:
        try:
            column = table.column(place).cast(pa.int64())
        except pa.ArrowException:
            continue
        table = table.set_column(place, table.schema.names[place], column)
    return table


def _wrong(what: str, error: Exception, sql: str) -> StatementError:
    return StatementError(f"{what}: {_first_line(error)}", span=duckdb_span(str(error), sql), text=sql)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
