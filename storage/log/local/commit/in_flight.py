"""Commits in flight: their bytes were written to segments and are not synced yet, and readers do not see them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from .....errors import StorageError
from ...protocol import Commit, Outcome

__all__ = ["InFlight", "WriteLock"]


@dataclass(slots=True, eq=False)
class InFlight:
    """A transaction that has gone through step 2.

    Attributes:
        commit: its epoch and offsets, which are its result if it happens.
        pendings: the number of its entries that wait for the journal.
        bytes: the number of bytes that it appended.
        outcome: a commit or an error; None while it is in flight.
    """

    commit: Commit
    pendings: int
    bytes: int
    outcome: Outcome | None = None


class WriteLock:
    """Guards topics, segments and the end of the log.  Reentrant.

    While a thread holds it, no commit is in flight: all earlier ones have happened or failed.  `appending` is a weaker lock,
    for appends: other commits may be in flight while it is held.

    Args:
        complete: completes the commits in flight; it is called with the lock held.
    """

    def __init__(self, complete: Callable[[], None]) -> None:
        self.appending = threading.RLock()
        """The lock for appending a transaction.  Other commits may be in flight while it is held."""
        self._complete = complete
        self._depth = 0

    def acquire(self) -> None:
        """Wait until no other thread holds the lock and no commit is in flight."""
        self.appending.acquire()
        self._depth += 1
        if self._depth == 1:
            try:
                with suppress(StorageError):  # those whose commits they were are told
                    self._complete()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Release the lock."""
        self._depth -= 1
        self.appending.release()

    def __enter__(self) -> WriteLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
