"""Group commit: the steps of several queries are committed with one sync, each as a transaction of its own.

A worker with several queries computes their steps one after the other and adds the transactions to a `GroupCommit`.  It
commits them at the end of its round, or when the first has waited for `_GATHERING_S`.  A thread that must know earlier
how one of them ended calls `PendingCommit.wait`, which commits all that are there: the worker may be waiting for that
thread.
"""

from __future__ import annotations

import threading
import time

from ...errors import StorageError
from ...storage import interrupts
from ...storage.log.protocol import Commit, Log, Outcome
from .commit import Begun, StepCommitter

__all__ = ["GroupCommit", "PendingCommit"]

_GATHERED_MAX = 128
_GATHERING_S = 0.03
"""How long the first transaction waits for others, in seconds: about as long as a slow disk takes for a sync."""


class GroupCommit:
    """Transactions that wait for a common commit.  Thread-safe; one thread adds them."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        """Held while transactions are committed."""
        self._guard = threading.Lock()
        self._gathered: list[PendingCommit] = []
        self._since_s = 0.0

    def add(self, committer: StepCommitter, begun: Begun) -> PendingCommit:
        """Add a step's transaction to those that are committed next."""
        gathered = PendingCommit(self, committer, begun)
        with self._guard:
            if not self._gathered:
                self._since_s = time.monotonic()
            self._gathered.append(gathered)
        return gathered

    @property
    def due(self) -> bool:
        """Whether the first transaction has waited long enough, or there are many."""
        gathered = self._gathered
        return bool(gathered) and (len(gathered) >= _GATHERED_MAX or time.monotonic() - self._since_s > _GATHERING_S)

    def commit(self) -> None:
        """Commit all that are there.  Afterwards each `PendingCommit` has its outcome; nothing is raised here."""
        with interrupts.DEFERRED, self._lock:
            with self._guard:
                gathered, self._gathered = self._gathered, []
            if not gathered:
                return
            outcomes: list[Outcome | None] = []
            try:
                self._log.commit_all([(g.begun.transaction, g.begun.durable) for g in gathered], outcomes)
            except BaseException as error:  # told to each of them; it is no fault of who happens to commit
                outcomes = [outcome or error for outcome in outcomes or [None] * len(gathered)]
            for one, outcome in zip(gathered, outcomes, strict=True):
                one.happened(outcome)


class PendingCommit:
    """The commit of one query's step.

    Attributes:
        error: what the commit failed with, once that is known.
    """

    def __init__(self, group: GroupCommit, committer: StepCommitter, begun: Begun) -> None:
        self.begun = begun
        self.error: BaseException | None = None
        self._group = group
        self._committer = committer
        self._known = threading.Event()

    def happened(self, outcome: Outcome | None) -> None:
        """Take the outcome of the transaction; None: it did not happen."""
        try:
            if isinstance(outcome, Commit):
                self._committer.finish(self.begun)
            else:
                self.error = outcome or StorageError("a commit was interrupted")
        except BaseException as error:
            self.error = error
        self._known.set()

    def wait(self) -> BaseException | None:
        """Wait for the commit, and give what it failed with; None if it happened."""
        while not self._known.is_set():
            self._group.commit()  # which waits for who is doing it
        return self.error
