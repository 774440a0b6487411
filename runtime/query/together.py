"""Steps of several queries that are committed together: a transaction for each, and one sync for all.

A worker that has several queries to step computes one after the other and lets their transactions gather here; at the
end of its round, or when they have waited a little, it commits them.  Whoever wants to know before what became of one of
them (`GatheredCommit.wait`) commits all that have gathered so far: the worker may be waiting for him.
"""

from __future__ import annotations

import threading
import time

from ...errors import StorageError
from ...storage import interrupts
from ...storage.log.protocol import Commit, Log, Outcome
from .commit import Begun, StepCommitter

__all__ = ["GatheredCommit", "Together"]

_GATHERED_MAX = 128
_GATHERING_S = 0.03
"""So long the first one waits for others: about as long as a slow disk takes for a sync."""


class Together:
    """See the module's text.  Thread-safe; steps are added by one thread."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        """Held while they are committed."""
        self._guard = threading.Lock()
        self._gathered: list[GatheredCommit] = []
        self._since_s = 0.0

    def add(self, committer: StepCommitter, begun: Begun) -> GatheredCommit:
        """Have a step's transaction committed with the others."""
        gathered = GatheredCommit(self, committer, begun)
        with self._guard:
            if not self._gathered:
                self._since_s = time.monotonic()
            self._gathered.append(gathered)
        return gathered

    @property
    def due(self) -> bool:
        """Whether the first one has waited long enough."""
        gathered = self._gathered
        return bool(gathered) and (len(gathered) >= _GATHERED_MAX or time.monotonic() - self._since_s > _GATHERING_S)

    def commit(self) -> None:
        """Commit what has gathered; afterwards each of them knows what became of it."""
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


class GatheredCommit:
    """The commit of one query's step.

    Attributes:
        error: what it failed with, once it is known.
    """

    def __init__(self, together: Together, committer: StepCommitter, begun: Begun) -> None:
        self.begun = begun
        self.error: BaseException | None = None
        self._together = together
        self._committer = committer
        self._known = threading.Event()

    def happened(self, outcome: Outcome | None) -> None:
        """Called with what became of its transaction."""
        try:
            if isinstance(outcome, Commit):
                self._committer.finish(self.begun)
            else:
                self.error = outcome or StorageError("a commit was interrupted")
        except BaseException as error:
            self.error = error
        self._known.set()

    def wait(self) -> BaseException | None:
        """What it failed with; None if it happened."""
        while not self._known.is_set():
            self._together.commit()  # which waits for who is doing it
        return self.error
