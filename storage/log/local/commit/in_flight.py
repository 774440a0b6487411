"""Commits in flight: their bytes lie in the segments, the disk works for them, and nobody sees them yet.

While the disk works for one large commit, the next one goes through steps 1 and 2 of docs/commit.md already.  What it stands
on has then not happened yet, and may not happen: a `LogEnd` knows what the log will be if it does.
"""

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
        commit: what becomes of it, if it happens.
        pendings: how many of the entries that wait for the journal are its own.
        bytes: appended by it.
        outcome: what became of it.
    """

    commit: Commit
    pendings: int
    bytes: int
    outcome: Outcome | None = None


class WriteLock:
    """Guards topics, segments and the place where transactions are appended.  Reentrant.

    Whoever holds it finds nothing in flight: what was is through, or given up.  `appending` is for who can do with less.

    Args:
        complete: sees through what is in flight; called with the lock held.
    """

    def __init__(self, complete: Callable[[], None]) -> None:
        self.appending = threading.RLock()
        """Others may be in flight under it meanwhile."""
        self._complete = complete
        self._depth = 0

    def acquire(self) -> None:
        """Returns when nobody else has it and nothing is in flight."""
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
