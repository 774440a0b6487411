"""The steps of a query: taken one after the other, each committed as a whole, or taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass

from ...errors import DataError, InternalError, OffsetOutOfRangeError, PenstockError, StorageError
from ...limits import MARKED_STATE_BYTES_MAX
from ...storage.log.protocol import TopicPartition
from ...storage.state.store import Capture
from ..processing_log import ProcessingLog
from ..user_code import Allowance, StepOverrun, allowed, text_of
from .assembly import Assembly
from .pace import OVERRUN_S, Pace
from .reports import complain_about_gap, complain_about_row
from .step import PARALLEL_ROWS_MIN
from .taken import Outcome, Taken
from .task import NodeError
from .together import Together

__all__ = ["Steps", "as_ours"]


@dataclass(frozen=True, slots=True)
class _Committing:
    """A commit that is under way: of what was taken, and the state before that step if it is marked.

    Attributes:
        wait: returns, when it is known, what it failed with; None if it happened.
    """

    wait: Callable[[], BaseException | None]
    taken: list[Taken]
    marks: list[Capture] | None
    gathered: bool


def _waiting_for(future: Future[None]) -> Callable[[], BaseException | None]:
    def outcome() -> BaseException | None:
        wait([future])
        return future.exception()

    return outcome


def as_ours(query_id: str, error: BaseException) -> PenstockError:
    """What a query stopped with, said in a way that names it."""
    match error:
        case PenstockError():
            return error
        case NodeError(cause=DataError()):
            return DataError(f"query {query_id}, {error}")
        case NodeError():
            return InternalError(f"query {query_id} stopped: {error}")
    return InternalError(f"query {query_id} stopped: {text_of(error)}")


class Steps:
    """Takes the steps of one query.  Used with ``lock`` held, but for what ends a step from another thread.

    Where much is waiting, the commit of a step runs beside the computation of the next one (one at most, in order), and
    where several queries have something to do, their commits are done together (`Together`).

    Attributes:
        lock: held during a step.
        count: of those that happened.
        dirty: a step began and did not commit: the operators' state in memory is not that of any commit.

    Args:
        fail: makes it known that the query cannot go on.
        on_gap, on_taken: see `QueryRun`.
        alone: every commit is done at once, by the thread that takes the step.
    """

    def __init__(
        self,
        assembly: Assembly,
        fail: Callable[[Exception], None],
        on_gap: Callable[[int], None] | None,
        on_taken: Callable[[list[Taken]], None] | None,
        *,
        alone: bool,
    ) -> None:
        self.lock = threading.RLock()
        self.count = 0
        self.dirty = False
        self._assembly = assembly
        self._fail = fail
        self._on_gap = on_gap
        self._on_taken = on_taken
        self._alone = alone
        self._committing: _Committing | None = None
        self._marks: list[Capture] | None = None
        """The state before the step in hand."""
        self._pace = Pace(assembly.services.rows_max)
        self._allowance = Allowance()
        self._guard = threading.Lock()
        self._ending = 0
        """How many threads want the step in hand to end."""

    # --- ending the step in hand -------------------------------------------------------------

    @property
    def ending(self) -> bool:
        """Whether somebody wants the step in hand to end."""
        return self._ending > 0

    def interrupt(self) -> None:
        """Have the step in hand end at its next row, and let none begin."""
        with self._guard:
            self._ending += 1
        self._allowance.ending = True

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The lock, soon: a step that is under way ends at its next row and is taken back."""
        self.interrupt()
        try:
            with self.lock:
                yield
        finally:
            with self._guard:
                self._ending -= 1

    # --- a step ----------------------------------------------------------------------------

    def take(self, patient: bool, together: Together | None, bounded: bool) -> bool:
        """See `QueryRun.step`.

        Raises:
            NodeError: an operator or a sink failed, and the rows at fault cannot be left out.
            PenstockError: the query cannot go on.
        """
        parts = self._assembly
        self.restore()
        self._marks = None
        taken: list[Taken] = []
        try:
            taken = self._take(patient, self._pace.rows(bounded=bounded))
            began_s = time.monotonic()
            if not taken:
                return self.settle()
            self._marks = self._mark()
            outcome = self._compute(taken, began_s + OVERRUN_S if bounded else None)
            if outcome is None:
                return not self._ending
            outcome.published = parts.published.take_if_due(parts.computer.tasks)
            if self._on_taken is not None:
                self._on_taken(outcome.taken)
            waits_s = time.monotonic()
            self.settle()
            began_s += time.monotonic() - waits_s  # for the commit before this one: fewer rows would not shorten that
            self._committing = self._commit_later(outcome, together)
            if self._committing is not None:
                self.dirty = False
            else:
                parts.committer.commit(outcome)
                self.dirty = False
                if parts.keeps_state:
                    parts.keeper.checkpoint_if_due()
                parts.purging.committed(parts.inputs)
        except NodeError as error:
            if not self._narrow(taken, error):
                raise
            return True
        took_s = time.monotonic() - began_s
        self._pace.took(_rows(taken), took_s)
        parts.published.stepped(took_s)
        self.count += 1
        return True

    def advance(self, time_ms: int) -> None:
        """See `QueryRun.advance`."""
        parts = self._assembly
        self.settle()
        self.restore()
        for task in parts.computer.tasks:
            for operator in task.operators.values():
                operator.advance(time_ms)
        self.dirty = True
        outcome = parts.computer.compute([], parts.keeper, keeps_state=parts.keeps_state)
        outcome.published = parts.published.take_if_due(parts.computer.tasks)
        parts.committer.commit(outcome)
        self.dirty = False

    def _mark(self) -> list[Capture] | None:
        """The state before a step, if a failed one could not go back to it otherwise, or is likely to have to."""
        keeper = self._assembly.keeper
        if not keeper.stores:
            return None
        if self._pace.careful or (not self._assembly.keeps_state and keeper.size_bytes <= MARKED_STATE_BYTES_MAX):
            return keeper.mark()
        return None

    def _compute(self, taken: list[Taken], deadline_s: float | None) -> Outcome | None:
        """The outcome of a step; None if it was taken back because it took too long or the query is to end."""
        parts = self._assembly
        rows = _rows(taken)
        began_s = time.monotonic()
        cheap = self._marks is not None or parts.keeper.size_bytes <= MARKED_STATE_BYTES_MAX  # to take back
        allowance = Allowance(deadline_s if rows > 1 and cheap else None)
        self.dirty = True
        self._allowance = allowance
        allowance.ending = self._ending > 0
        try:
            with allowed(allowance if self.recoverable else None):
                return parts.computer.compute(taken, parts.keeper, keeps_state=parts.keeps_state)
        except StepOverrun:
            if not allowance.ending:
                self._pace.overran(rows, allowance.rows, time.monotonic() - began_s)
            if not parts.computer.touched:
                parts.computer.clear()
                self.dirty = False
            return None

    def _take(self, patient: bool, rows: int) -> list[Taken]:
        """The step's records.  Inputs whose next record retention has removed read on where ``auto.offset.reset`` says;
        that is committed at once, with a line in the processing log: nobody would notice otherwise."""
        parts = self._assembly
        while True:
            before = {id(entry): entry.offset for entry in parts.inputs}
            try:
                return parts.inputs.take(rows, patient=patient)
            except OffsetOutOfRangeError as outside:
                self.settle()
                moved = parts.inputs.reset(outside, overtaken=self._on_gap is not None)
                if not moved:
                    raise
                if self._on_gap is not None:
                    self._on_gap(sum(max(0, min(entry.offset, outside.start) - before[id(entry)]) for entry in moved))
                complaints = ProcessingLog()
                for entry in moved:
                    complain_about_gap(complaints, parts.query_id, entry, before[id(entry)], outside)
                parts.committer.commit_gap(moved, complaints)

    # --- taking a step back ------------------------------------------------------------------

    @property
    def recoverable(self) -> bool:
        """Whether the state as of the last commit can be had again after a step that broke off."""
        return self._assembly.keeps_state or not self._assembly.keeper.stores or self._marks is not None

    def restore(self, failed_with: BaseException | None = None) -> None:
        """Where a step broke off, go back to the last commit: what it did to the operators is not used again.

        Args:
            failed_with: why it broke off, if it failed.

        Raises:
            DataError: the state was in memory only.
            StorageError: it cannot be read.
        """
        if not self.dirty:
            return
        parts = self._assembly
        if not self.recoverable:
            reason = "it was interrupted" if failed_with is None else str(failed_with)
            raise DataError(f"query {parts.query_id} broke off inside a step, and its state was in memory only: {reason}")
        parts.keeper.abandon()
        marks, self._marks = self._marks, None
        parts.computer.take_seconds()
        if marks is not None or not parts.ledger.kept:
            parts.go_back(marks or [])
        else:
            parts.make()
            parts.recover()
        self.dirty = False

    def start_anew(self) -> None:
        """What was in memory is not of this query any more: other partitions have come.  Raises: StorageError."""
        parts = self._assembly
        self.dirty, self._marks = False, None
        account = parts.committer.account
        parts.make_anew()
        parts.recover()
        parts.committer.account = account

    def _narrow(self, taken: list[Taken], error: NodeError) -> bool:
        """After a step failed: go back to the last commit, and take fewer rows the next time, or leave out the one at fault.

        Returns:
            False if that cannot be done, or is not wanted (`Dataflow.row_failure`): the query stops.
        """
        parts = self._assembly
        earlier, self._committing = self._committing, None
        if earlier is not None:  # of the step before this one, which is first to be known
            before = earlier.wait()
            if before is not None:
                self.dirty, self._marks = True, earlier.marks
            if isinstance(before, NodeError):
                taken, error = earlier.taken, before
            elif before is not None:
                raise before
        self.dirty = True
        if parts.dataflow.row_failure == "stop" or not self.recoverable:
            return False
        rows = _rows(taken)
        if rows == 1 and isinstance(error.cause, MemoryError):
            return False
        self.restore()
        if rows > 1:
            self._pace.failed(rows)
            return True
        complaints = ProcessingLog()
        complain_about_row(complaints, parts.query_id, taken, error)
        parts.committer.commit_without(taken, complaints)
        for item in taken:
            item.input.offset = item.next_offset
        self._pace.dropped()
        return True

    # --- commits that are under way ----------------------------------------------------------

    def goes_on(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether a step has left something to do before anything comes behind these ends of its inputs."""
        committing = self._committing
        if committing is not None and not committing.gathered:
            return True
        return any(i.offset < ends.get((i.source.topic, i.partition), 0) for i in self._assembly.inputs)

    def _commit_later(self, outcome: Outcome, together: Together | None) -> _Committing | None:
        """Have a step's commit done by somebody else: on a thread of its own, if the step is large and more is waiting,
        which is computed meanwhile; else together with those of others.  None if it is to be done now, as a checkpoint,
        which needs state and commit to agree, is due."""
        parts = self._assembly
        if not parts.ledger.kept or parts.keeper.due or self._alone:
            return None
        executor, taken = parts.services.committer, outcome.taken
        if executor is not None and _rows(taken) >= PARALLEL_ROWS_MIN and self._behind(taken):
            future = executor.submit(copy_context().run, parts.committer.commit, outcome)
            return _Committing(_waiting_for(future), taken, self._marks, gathered=False)
        if together is None:
            return None
        gathered = together.add(parts.committer, parts.committer.begin(outcome))
        return _Committing(gathered.wait, taken, self._marks, gathered=True)

    def _behind(self, taken: list[Taken]) -> bool:
        """Whether more is waiting where records were taken from."""
        log = self._assembly.log
        return any(log.end_offset(t.input.source.topic, t.input.partition) > t.next_offset for t in taken)

    def settle(self, *, failed: bool = False) -> bool:
        """Wait for the commit that is under way; false if there is none.

        Args:
            failed: the query has failed or ends anyway; whether this commit happened shows in the log.

        Raises:
            NodeError: a sink could not take its rows, so it did not happen.
            StorageError: it did not happen, and the query has failed.
        """
        committing = self._committing
        if committing is None:
            return False
        error = committing.wait()
        if isinstance(error, NodeError) and not failed:
            raise error  # `_narrow` looks at what was committed
        self._committing = None
        if error is not None:
            self.dirty, self._marks = True, committing.marks
        if error is None or failed:
            return True
        failure = error if isinstance(error, Exception) else StorageError(f"a commit was interrupted: {error!r}")
        self._fail(failure)
        raise failure

    def settle_gathered(self) -> None:
        """Take note of a commit that was done together with those of others.  Takes the lock itself.

        Raises:
            StorageError: it failed, and the query has failed.
        """
        committing = self._committing
        if committing is not None and committing.gathered:
            with self.lock:
                if self._committing is committing:
                    self.come_to_rest()

    def come_to_rest(self) -> None:
        """`settle`, where no step is to follow.

        Raises:
            PenstockError: the query has failed.
        """
        try:
            self.settle()
        except NodeError as error:
            if not self._narrow([], error):
                failure = as_ours(self._assembly.query_id, error)
                self._fail(failure)
                raise failure from error


def _rows(taken: list[Taken]) -> int:
    return sum(len(item.positions) for item in taken)
