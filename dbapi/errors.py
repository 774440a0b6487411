"""PEP 249's exceptions, and how Penstock's errors map to them.

Each exception has the original `PenstockError` as its ``__cause__``, which knows the place in the statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import errors


class Warning(Exception):
    """PEP 249's warning; Penstock raises none."""


class Error(Exception):
    """The base class of all exceptions of this module but `Warning`."""


class InterfaceError(Error):
    """The DB-API is used wrongly: a cursor is closed, or there is no result to fetch."""


class DatabaseError(Error):
    """The base class of errors of the database."""


class DataError(DatabaseError):
    """A record could not be processed."""


class OperationalError(DatabaseError):
    """The disk, the directory, its lock or the connection to a server failed: the program does not control it."""


class IntegrityError(DatabaseError):
    """Required by PEP 249; never raised, since Penstock checks no relational integrity."""


class InternalError(DatabaseError):
    """A bug in Penstock."""


class ProgrammingError(DatabaseError):
    """A statement is wrong."""


class NotSupportedError(DatabaseError):
    """The statement asks for something that the dialect or the log does not support."""


_STANDS_FOR: tuple[tuple[type[errors.PenstockError], type[Error]], ...] = (
    (errors.UnsupportedError, NotSupportedError),
    (errors.StatementError, ProgrammingError),
    (errors.DataError, DataError),
    (errors.StorageError, OperationalError),
    (errors.ClientError, OperationalError),
    (errors.InternalError, InternalError),
    (errors.PenstockError, DatabaseError),
)


@contextmanager
def translated() -> Iterator[None]:
    """A context manager: Penstock's errors that are raised inside leave it as PEP 249's exceptions."""
    try:
        yield
    except errors.PenstockError as error:
        for ours, theirs in _STANDS_FOR:
            if isinstance(error, ours):
                raise theirs(str(error)) from error
        raise
