"""PEP 249's cursor: executes statements and fetches the rows of their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..engine.relation import Relation
from ..engine.results import Description, Listing, Message, PrintResult, PushResult, Result
from .errors import InterfaceError, NotSupportedError, translated

Parameters = Sequence[Any] | Mapping[str, Any] | None


class Executing(Protocol):
    """The methods of a connection that a cursor uses."""

    def run(self, operation: str, parameters: Parameters) -> Result:
        """Execute one statement, see `Connection.run`.  Raises: PenstockError, NotSupportedError."""
        ...

    def check_open(self) -> None:
        """Check that the connection is open.  Raises: InterfaceError, if it is closed."""
        ...


class Cursor:
    """Executes statements and fetches their rows.

    A SELECT over tables waits until they include what this connection has written, so a program reads its own writes.
    `execute` reads a push query (EMIT CHANGES) with LIMIT to its end; one without LIMIT is refused.

    Attributes:
        arraysize: the number of rows that `fetchmany` returns by default.
        rowcount: the number of rows of the result, or of those that ``INSERT .. VALUES`` wrote; -1 if it is not known.
        lastrowid: always None, since records have offsets and no row ids.
    """

    arraysize = 1
    lastrowid = None

    def __init__(self, connection: Executing) -> None:
        self.connection = connection
        self.rowcount = -1
        self._relation: Relation | None = None
        self._closed = False

    @property
    def description(self) -> Sequence[tuple[Any, ...]] | None:
        """PEP 249's seven items for each column of the result; None if there is no result."""
        return None if self._relation is None else self._relation.description

    def execute(self, operation: str, parameters: Parameters = None) -> Cursor:
        """Execute one statement.

        Args:
            parameters: a sequence of values for ``?``, or a mapping of values for ``$name``.

        Raises:
            Error: the statement failed; the module `errors` lists the subclasses.
        """
        self._check_open()
        self._relation, self.rowcount = None, -1
        with translated():
            result = self.connection.run(operation, parameters or None)
            self._relation = rows_of(result)
        if self._relation is not None:
            self.rowcount = len(self._relation)
        elif isinstance(result, Message) and result.kind == "insert values":
            self.rowcount = int(result.details.get("rows", 1))
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Any]) -> Cursor:
        """Execute one statement once for each item of ``seq_of_parameters``; raises what `execute` raises."""
        count = 0
        for parameters in seq_of_parameters:
            self.execute(operation, parameters)
            if self._relation is not None:
                raise InterfaceError("executemany() takes statements that give no rows: use execute()")
            count += max(self.rowcount, 0)
        self.rowcount = count
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None after the last.  Raises: InterfaceError, if there is no result."""
        return self._result().fetchone()

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next ``size`` rows, by default `arraysize`.  Raises: InterfaceError, if there is no result."""
        return self._result().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All remaining rows.  Raises: InterfaceError, if there is no result."""
        return self._result().fetchall()

    def fetch_arrow_table(self) -> Any:
        """Return the result's rows as a `pyarrow.Table`.  Raises: InterfaceError, if there is no result."""
        return self._result().arrow()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def nextset(self) -> None:
        """Return None, PEP 249's sign that there is no further result: a statement has one at most."""
        self._check_open()

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Close the cursor and drop its result."""
        self._check_open()
        self._closed, self._relation = True, None

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._closed:
            self.close()

    def _result(self) -> Relation:
        self._check_open()
        if self._relation is None:
            raise InterfaceError("there is no result to fetch rows from: execute() a SELECT first")
        return self._relation

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")
        self.connection.check_open()


def rows_of(result: Result) -> Relation | None:
    """The rows of a result; None if it is a message without rows."""
    if isinstance(result, Relation):
        return result
    if isinstance(result, Description):
        sections = tuple(
            (heading, str(content.text()) if isinstance(content, Listing) else content)
            for heading, content in result.sections
        )
        return Listing(result.kind, ("Section", "Content"), sections)
    if isinstance(result, PushResult):
        with result.subscription as rows:
            return Listing("push query", rows.columns, tuple(row.values for row in rows))
    if isinstance(result, PrintResult):
        result.close()
        raise NotSupportedError("PRINT has no end: use Database.execute")
    return None
