"""Commits on their way: their bytes lie in the segments, the disk works for them, and nobody sees them yet.

While the disk works for one large commit, the next one goes through steps 1 and 2 of docs/commit.md already.  What it stands
on has then not happened yet, and may not happen: a `Line` knows what the log will be if it does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from .....errors import StorageError
from ...protocol import Commit, Outcome
from ..manifest import Manifest

if TYPE_CHECKING:
    from .placing import Tail

__all__ = ["Line", "Staged", "WriteLock"]


@dataclass(slots=True)
class Line:
    """What the log will be once all that is on its way has happened: the manifest, and what that does not know yet.

    Attributes:
        broken: some of it did not happen, so nothing that was planned behind it can.
    """

    manifest: Manifest
    epoch: int
    arrival: int
    tails: dict[tuple[str, int], Tail] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    numbers: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """By producer, topic and partition the number of the last record."""
    broken: bool = False

    @classmethod
    def after(cls, manifest: Manifest) -> Line:
        """Nothing is on its way."""
        return cls(manifest, manifest.epoch, manifest.next_arrival)


@dataclass(slots=True, eq=False)
class Staged:
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

    Whoever holds it finds nothing on its way: what was is through, or given up.  `appending` is for who can do with less.

    Args:
        land: sees through what is on its way; called with the lock held.
    """

    def __init__(self, land: Callable[[], None]) -> None:
        self.appending = threading.RLock()
        """Others that are on their way may be under it meanwhile."""
        self._land = land
        self._depth = 0

    def acquire(self) -> None:
        """Returns when nobody else has it and nothing is on its way."""
        self.appending.acquire()
        self._depth += 1
        if self._depth == 1:
            try:
                with suppress(StorageError):  # those whose commits they were are told
                    self._land()
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
