"""PEP 249's exceptions, and how Penstock's errors map to them.

Each exception has the original error as its cause, with its place in the statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import errors


class Warning(Exception):
    """PEP 249's warning; Penstock raises none."""


class Error(Exception):
    """The base of all errors here."""


class InterfaceError(Error):
    """The module is used wrongly: a closed cursor, no result to fetch."""


class DatabaseError(Error):
    """The base of errors that concern the database."""


class DataError(DatabaseError):
    """A record could not be processed."""


class OperationalError(DatabaseError):
    """The disk, the directory or a lock failed: something that the program does not control."""


class IntegrityError(DatabaseError):
    """Required by PEP 249; never raised, since Penstock checks no relations."""


class InternalError(DatabaseError):
    """A bug in Penstock."""


class ProgrammingError(DatabaseError):
    """A statement is wrong."""


class NotSupportedError(DatabaseError):
    """The dialect or the log does not support it."""


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
    """A context that raises PEP 249's exceptions in place of Penstock's errors."""
    try:
        yield
    except errors.PenstockError as error:
        for ours, theirs in _STANDS_FOR:
            if isinstance(error, ours):
                raise theirs(str(error)) from error
        raise
