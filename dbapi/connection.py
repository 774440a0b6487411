"""PEP 249's connection: a session of a database."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ..engine.results import Message, Result
from ..engine.surface import DatabaseSurface
from ..engine.texts import check_text
from ..errors import StatementError
from ..grammar import ast
from ..grammar.parse import parse_statement
from ..runtime.host import Token
from . import errors
from .cursor import Cursor, Parameters
from .errors import InterfaceError, NotSupportedError, translated


def connect(database: str | Path | DatabaseSurface | None = None, **how: Any) -> Connection:
    """Open a connection.

    Args:
        database: a directory, the address of a server (``http://host:8088``), an open database (which
            `Connection.close` leaves open), or None for a database in memory.
        how: keyword arguments of `penstock.connect`.

    Raises:
        Error: the database cannot be opened, or an argument is wrong; the module `errors` lists the subclasses.
    """
    from .. import connect as open_database

    with translated():
        if database is None or isinstance(database, str | PathLike):
            return Connection(open_database(database, **how), owned=True)
        if isinstance(database, type) or not callable(getattr(database, "session", None)):
            raise StatementError(f"database must be a path, an address or an open database, not {type(database).__name__}")
        if how:
            raise StatementError(f"the database is open already, so {next(iter(how))} comes too late")
        return Connection(database, owned=False)


class Connection:
    """A connection with its own settings and variables.  Threads may share it.

    Every statement is committed when it is executed, so `commit` does nothing and `rollback` cannot undo anything.
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, database: DatabaseSurface, *, owned: bool) -> None:
        self.database = database
        self._owned = owned
        self._session = database.session()
        self._written = Token()
        self._closed = False

    def cursor(self) -> Cursor:
        """A new cursor.  Raises: InterfaceError, if the connection is closed."""
        self.check_open()
        return Cursor(self)

    def commit(self) -> None:
        """Do nothing: every statement is committed already.  Raises: InterfaceError, if the connection is closed."""
        self.check_open()

    def rollback(self) -> None:
        """Do nothing: there is nothing to undo.  Raises: InterfaceError, if the connection is closed."""
        self.check_open()

    def close(self) -> None:
        """Close the connection, and the database if `connect` opened it.  Raises: InterfaceError, if it is closed."""
        self.check_open()
        self._closed = True
        self._session.close()
        if self._owned:
            self.database.close()

    def run(self, operation: str, parameters: Parameters = None, *, endless: bool = False) -> Result:
        """Execute one statement.

        Args:
            endless: allow push queries without LIMIT, too.

        Raises:
            PenstockError: the statement failed.
            NotSupportedError: it is a push query without LIMIT, and ``endless`` is false.
        """
        check_text(operation)
        text = operation if operation.rstrip().endswith(";") else operation + "\n;"
        if "${" in text:  # variables may stand for anything, so what it is shows in the result only
            self._session.wait(self._written)
            (found,) = self._session.execute(text, parameters)
            return found
        statement = parse_statement(text)
        if isinstance(statement, ast.Query | ast.TableQuery) and getattr(statement, "emit", None) is None:
            after = self._written if self._written.ends else None
            return self._session.sql(text, parameters=parameters, after=after)
        if isinstance(statement, ast.Query) and statement.limit is None and not endless:
            raise NotSupportedError("a push query has no end: add LIMIT, or use Database.subscribe")
        (result,) = self._session.execute(text, parameters)
        if isinstance(result, Message) and isinstance(result.details.get("token"), Token):
            self._written = self._written | result.details["token"]
        return result

    def check_open(self) -> None:
        """Check that the connection is open.  Raises: InterfaceError, if it is closed."""
        if self._closed:
            raise InterfaceError("the connection is closed")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._closed:
            self.close()
