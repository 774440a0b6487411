"""Stops the log for good after a failure that leaves unknown what the disk has: it then takes no more commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .....errors import StorageError

__all__ = ["FailStop"]


class FailStop:
    """Remembers the failure after which nothing may be written.  Thread-safe; its methods take no lock of the caller's.

    Args:
        root: the database's directory, for messages.

    Attributes:
        failure: the error for which the log takes no more commits; None while it takes them.  Once set, it stays.
    """

    def __init__(self, root: str) -> None:
        self.failure: StorageError | None = None
        self._root = root

    def check(self) -> None:
        """Check that the log takes commits.  Raises: StorageError, if it takes no more."""
        if self.failure is not None:
            raise self.failure

    def stop(self, error: BaseException) -> None:
        """Refuse all further commits, because after this error it is unknown what the disk has."""
        cause = f"{error.message} [{error.path}]" if isinstance(error, StorageError) else repr(error)
        self.failure = self.failure or StorageError(
            f"the log takes no more commits: {cause}",
            path=self._root,
            action="check the disk, then close and open the database: it opens with the last commit that is durable",
        )

    def refuse(self, failure: StorageError) -> None:
        """Refuse all further commits with this error, unless there is one already."""
        self.failure = self.failure or failure

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A context manager for changes that must all be made or none.  If an error leaves the block, the log is stopped."""
        try:
            yield
        except BaseException as error:
            self.stop(error)
            raise
