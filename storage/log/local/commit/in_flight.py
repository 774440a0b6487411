"""Commits in flight: their bytes are in the segments, the disk is syncing them, and readers do not see them yet."""

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
        commit: its result, if it happens.
        pendings: how many entries it has among those that wait for the journal.
        bytes: appended by it.
        outcome: how it ended; None while it is in flight.
    """

    commit: Commit
    pendings: int
    bytes: int
    outcome: Outcome | None = None


class WriteLock:
    """Guards topics, segments and the end of the log.  Reentrant.

    While a thread holds it, no commit is in flight: all earlier ones have happened or were given up.  `appending` is a
    weaker lock, for appends.

    Args:
        complete: completes the commits in flight; called with the lock held.
    """

    def __init__(self, complete: Callable[[], None]) -> None:
        self.appending = threading.RLock()
        """Held to append a transaction; other commits may be in flight."""
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
        """Let others have it."""
        self._depth -= 1
        self.appending.release()

    def __enter__(self) -> WriteLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
