"""PEP 249's exceptions, and which of Penstock's errors becomes which of them.

Each carries the error that it stands for as its cause, with its place in the statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import errors


class Warning(Exception):
    """PEP 249: something worth a word."""


class Error(Exception):
    """PEP 249: what every other one is."""


class InterfaceError(Error):
    """The module is used in a way that cannot work: a closed cursor, no result to fetch."""


class DatabaseError(Error):
    """What is about the database."""


class DataError(DatabaseError):
    """A record could not be processed."""


class OperationalError(DatabaseError):
    """The disk, the directory, a lock: what is not in the program's hands."""


class IntegrityError(DatabaseError):
    """PEP 249 has it; Penstock checks no relations."""


class InternalError(DatabaseError):
    """A bug in Penstock."""


class ProgrammingError(DatabaseError):
    """A statement is wrong."""


class NotSupportedError(DatabaseError):
    """The dialect, or the log, has no such thing."""


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
    """Have what is raised in the block raised as PEP 249 has it."""
    try:
        yield
    except errors.PenstockError as error:
        for ours, theirs in _STANDS_FOR:
            if isinstance(error, ours):
                raise theirs(str(error)) from error
        raise
