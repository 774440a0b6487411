"""Commits that run beside the computation of the next steps.

The transaction of a step is made and appended on a thread of its own while the next step is computed, and the disk works
for it while the transaction after it is made.  At most two are under way.  They begin in the order of the steps and end in
that order, and none happens unless the one before it does (`Transaction.begin_commit`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event

from ...errors import StorageError
from ...storage.state.store import Capture
from .commit import Begun, StepCommitter
from .step_data import ComputedStep, InputSlice

__all__ = ["ASIDE_MAX", "AsideCommit", "Underway"]

ASIDE_MAX = 2
"""How many commits of one query may be under way.

A third step with its results would take more memory, and two keep the disk busy.
"""


@dataclass(frozen=True, slots=True)
class Underway:
    """A commit that is under way.

    Attributes:
        slices: the input of its step.
        marks: the state before that step, if it was marked.
        wait: waits for its end, and returns what it failed with; None if it happened.
        aside: see the module's text; None if it was gathered with those of other queries (`GroupCommit`).
    """

    wait: Callable[[], BaseException | None]
    slices: list[InputSlice]
    marks: list[Capture] | None
    aside: AsideCommit | None


class AsideCommit:
    """The commit of one step.

    Args:
        before: the commit of the step before, if it may still be under way.
    """

    def __init__(self, committer: StepCommitter, computed: ComputedStep, before: AsideCommit | None) -> None:
        self._committer = committer
        self._computed: ComputedStep | None = computed
        self._before = before
        self._has_place = Event()
        """Set when it is appended, or has failed."""
        self._begun: Begun | None = None
        self._future: Future[None] | None = None

    def start(self, executor: Executor) -> None:
        """Run the commit on a thread."""
        self._future = executor.submit(copy_context().run, self._run)

    def wait(self) -> BaseException | None:
        """Wait for its end, and return what it failed with; None if it happened."""
        assert self._future is not None
        wait([self._future])
        return self._future.exception()

    def _run(self) -> None:
        before, self._before = self._before, None  # (which else would hold on to all that ever were)
        computed, self._computed = self._computed, None
        assert computed is not None
        try:
            after = None
            if before is not None:
                before._has_place.wait()
                after = before._begun
                if after is None:
                    raise StorageError("the commit of the step before it failed")
            begun = self._committer.begin_alone(computed, after)
            self._begun = begun
        finally:
            self._has_place.set()
        committing = begun.committing
        commit = None if committing is None or begun.nothing else committing.result()
        if before is not None and before.wait() is not None:
            raise StorageError("the commit of the step before it failed")
        self._committer.happened(begun, commit)
