"""Whether the log takes commits.  After a failure that leaves it unknown what is on the disk, it takes no more of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .....errors import StorageError

__all__ = ["FailStop"]


class FailStop:
    """Remembers the failure after which nothing may be written.  Any thread may ask, with or without locks.

    Args:
        root: the database's directory, for messages.

    Attributes:
        failure: why the log takes no commits; None while it does.  Once set, it stays.
    """

    def __init__(self, root: str) -> None:
        self.failure: StorageError | None = None
        self._root = root

    def check(self) -> None:
        """Raises: StorageError: the log takes no more commits."""
        if self.failure is not None:
            raise self.failure

    def stop(self, error: BaseException) -> None:
        """Refuse all further commits, since it is unknown what is on the disk."""
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
        """Guard changes that belong together.  After half of them, what waits for the journal is unknown: the log stops."""
        try:
            yield
        except BaseException as error:
            self.stop(error)
            raise
