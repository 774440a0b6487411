"""Runs SELECTs over snapshots of tables in a locked-down DuckDB.

Nothing outside the given tables can be reached: no file, no network, no extension, no setting, no other database.  Only
one SELECT statement is accepted.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import StatementError
from ...limits import DUCKDB_MEMORY_BYTES
from ...storage import interrupts
from ...storage.forks import on_fork
from .check import Mention, duckdb_span, mentions, parsed, too_deep, too_large
from .sizes import KnownQuery, check_sizes, longest
from .watch import Watch, watched

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_LOCKDOWN: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
_READ_ROWS = 65_536
"""The number of an answer's rows that are checked at once."""


class _Namers:
    """Connections that only parse statements.  Threads that parse at the same time use different ones.

    A connection belongs to no thread.  After a fork, the child process clears what belongs to the parent's other threads,
    but DuckDB's objects cannot be destroyed there.  So the child keeps these connections for ever.
    """

    def __init__(self) -> None:
        self._idle: deque[duckdb.DuckDBPyConnection] = deque()
        on_fork(self)

    @contextmanager
    def one(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that no other thread uses in the meantime."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _connection(Bounds())
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def forked(self) -> None:
        """See `on_fork`."""
        while self._idle:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._idle.pop()))


_namers = _Namers()


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one query.

    Attributes:
        memory: bytes that DuckDB may use, and as many again for the answer.
        threads: the number of DuckDB's threads.
    """

    memory: int = DUCKDB_MEMORY_BYTES
    threads: int = 1


def _connection(bounds: Bounds) -> duckdb.DuckDBPyConnection:
    """Open a new, locked-down database in memory (1-2 ms)."""
    import duckdb

    config = {**_LOCKDOWN, "threads": str(bounds.threads), "memory_limit": f"{bounds.memory}B"}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def named(sql: str) -> list[Mention]:
    """Find the tables, columns and fields that a SELECT names.

    Raises:
        StatementError: it is not exactly one SELECT that DuckDB can parse, or asks for what is locked.
    """
    import duckdb

    if "\0" in sql:
        raise StatementError("the text holds the character NUL")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise StatementError("the text holds half of a surrogate pair, which is not a character") from error
    try:
        with _namers.one() as connection:
            return mentions(connection, sql)
    except duckdb.Error as error:
        raise _wrong("DuckDB cannot read this query", error, sql) from error


def run_select(
    sql: str,
    found: Sequence[Mention],
    tables: Mapping[Mention, tuple[str, pa.Table]],
    parameters: object = None,
    bounds: Bounds = Bounds(),  # a constant
) -> Any:
    """Run a SELECT over the given tables, and return an Arrow table.

    Args:
        found: what the statement names (`named`).
        tables: for each mention of a table the name of its source, which identifies it, and its rows.

    Raises:
        StatementError: the statement is wrong, asks for something that is locked, or needs too much memory.
    """
    import duckdb
    import pyarrow as pa

    from ..renaming import renamed
    from .names import replacements, restored, rewritten

    _check_sizes(sql, tables, parameters, bounds)
    sources = dict(tables.values())
    new = replacements([table.schema for table in sources.values()])
    physical = _physical(tables)
    moved = {m: physical[name] for m, (name, _) in tables.items() if m.name.lower() != physical[name].lower()}
    text = rewritten(sql, found, new, moved) if new or moved else sql
    connection = _connection(bounds)
    watch: Watch | None = None
    try:
        for name, table in sources.items():
            connection.register(physical[name], renamed(table, new))
        with interrupts.stopping(connection.interrupt), watched(bounds.memory, connection.interrupt) as watch:
            relation = connection.sql(text, params=parameters)
            wide = [place for place, type_ in enumerate(relation.types) if str(type_) == "HUGEINT"]
            answer = _narrowed(_whole(relation.to_arrow_reader(_READ_ROWS), sql, bounds.memory), wide)
        return restored(answer, new)
    except duckdb.OutOfMemoryException as error:
        raise _too_large(bounds, sql) from error
    except duckdb.Error as error:
        interrupts.check()  # raises the reason of the interrupt
        if watch is not None and watch.exceeded:
            raise _too_large(bounds, sql) from error
        raise _wrong("DuckDB refuses this query", error, sql if text == sql else None) from error
    except (pa.ArrowException, OverflowError, RuntimeError, TypeError, ValueError) as error:
        interrupts.check()
        # a parameter that DuckDB cannot take, or a result that Arrow cannot hold
        raise StatementError(f"this query cannot be answered: {_first_line(error)}", text=sql) from error
    finally:
        connection.close()


def _check_sizes(sql: str, tables: Mapping[Mention, tuple[str, pa.Table]], parameters: object, bounds: Bounds) -> None:
    """Check the sizes of values before the query runs.

    Raises:
        StatementError: the values for one block of rows can exceed the memory.
    """
    with _namers.one() as connection:
        statement, text = parsed(connection, sql)
    known: dict[str, tuple[int, float]] = {}
    for mention, (_, table) in tables.items():
        rows, size = known.get(mention.name.lower(), (0, 0.0))
        known[mention.name.lower()] = max(rows, table.num_rows), max([size, *map(longest, table.columns)])
    given = list(parameters.values()) if isinstance(parameters, Mapping) else parameters
    values = given if isinstance(given, (list, tuple)) else []
    largest = max([64, *(8 * len(v) if isinstance(v, (str, bytes, list)) else 64 for v in values)])
    try:
        check_sizes(KnownQuery(statement, text, known, largest), bounds.memory, too_large(sql, bounds.memory))
    except RecursionError:
        raise too_deep(sql) from None


def _too_large(bounds: Bounds, sql: str) -> StatementError:
    return StatementError(
        f"DuckDB needs more than {bounds.memory:,} bytes for this query, which is penstock.duckdb.memory",
        text=sql,
        suggestion="Filter or aggregate earlier, or raise the property at connect().",
    )


def _physical(tables: Mapping[Mention, tuple[str, pa.Table]]) -> dict[str, str]:
    """A name for each source that differs from the others for DuckDB too: the written name if possible."""
    found: dict[str, str] = {}
    for mention, (name, _) in tables.items():
        if name in found:
            continue
        free = mention.name.lower() not in {other.lower() for other in found.values()}
        found[name] = mention.name if free else f"{mention.name}~{len(found)}"
    return found


def _whole(reader: pa.RecordBatchReader, sql: str, most: int) -> pa.Table:
    """Read all batches of an answer.

    Raises:
        StatementError: it grows too large.
    """
    import pyarrow as pa

    batches, size = [], 0
    for batch in reader:
        interrupts.check()
        batches.append(batch)
        size += batch.nbytes
        if size > most:
            raise StatementError(
                f"the answer is larger than {most:,} bytes, which is penstock.duckdb.memory",
                text=sql,
                suggestion="Aggregate, or add a LIMIT.",
            )
    return pa.Table.from_batches(batches, reader.schema)


def _narrowed(table: pa.Table, places: list[int]) -> pa.Table:
    """Convert some columns to BIGINT if they fit.  They are sums of integers, which DuckDB returns as DECIMALs."""
    import pyarrow as pa

    for place in places:
        try:
            column = table.column(place).cast(pa.int64())
        except pa.ArrowException:
            continue
        table = table.set_column(place, table.schema.names[place], column)
    return table


def _wrong(what: str, error: Exception, sql: str | None) -> StatementError:
    span = None if sql is None else duckdb_span(str(error), sql)
    return StatementError(f"{what}: {_first_line(error)}", span=span, text=sql)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
