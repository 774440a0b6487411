"""The steps of a query: taken one after the other, each committed as a whole, or taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager

from ... import limits
from ...errors import DataError, InternalError, OffsetOutOfRangeError, PenstockError, StatementError, StorageError
from ...limits import MARKED_STATE_BYTES_MAX
from ...storage import interrupts
from ...storage.log.protocol import TopicPartition
from ...storage.state.store import Capture
from ..processing_log import ProcessingLog
from ..user_code import Allowance, StepOverrun, allowed, text_of
from .aside import ASIDE_MAX, AsideCommit, Underway
from .assembly import Assembly
from .group_commit import GroupCommit
from .reports import report_gap, report_row
from .step import PARALLEL_ROWS_MIN
from .step_data import ComputedStep, InputSlice
from .step_size import OVERRUN_S, StepSize
from .task import NodeError

__all__ = ["Steps", "as_ours"]


def as_ours(query_id: str, error: BaseException) -> PenstockError:
    """The error that stopped a query, as one of ours that names the query."""
    match error:
        case PenstockError():
            return error
        case NodeError(cause=DataError()):
            return DataError(f"query {query_id}, {error}")
        case NodeError():
            return InternalError(f"query {query_id} stopped: {error}")
    return InternalError(f"query {query_id} stopped: {text_of(error)}")


class Steps:
    """Takes the steps of one query.  Callers hold ``lock``, except for the methods by which another thread ends a step.

    If many records wait, the commit of a step runs beside the computation of the next ones (`AsideCommit`).  If several
    queries have something to do, their commits are done together (`GroupCommit`).

    Attributes:
        lock: held during a step.
        count: of those that happened.
        dirty: a step began and did not commit: the operators' state in memory is not that of any commit.

    Args:
        fail: is told the error with which the query cannot go on.
        on_gap, on_slices: see `QueryRun`.
        alone: every commit is done at once, by the thread that takes the step.
    """

    def __init__(
        self,
        assembly: Assembly,
        fail: Callable[[Exception], None],
        on_gap: Callable[[int], None] | None,
        on_slices: Callable[[list[InputSlice]], None] | None,
        *,
        alone: bool,
    ) -> None:
        self.lock = threading.RLock()
        self.count = 0
        self.dirty = False
        self._assembly = assembly
        self._fail = fail
        self._on_gap = on_gap
        self._on_slices = on_slices
        self._alone = alone
        self._underway: list[Underway] = []
        """The commits under way, the oldest first."""
        self._marks: list[Capture] | None = None
        """The marked state before the present step; None if it was not marked."""
        self._step_size = StepSize(assembly.rows_max)
        self._allowance = Allowance()
        self._guard = threading.Lock()
        self._ending = 0
        """How many threads want the present step to end."""

    # --- ending the step in hand -------------------------------------------------------------

    @property
    def ending(self) -> bool:
        """Whether another thread wants the present step to end."""
        return self._ending > 0

    def interrupt(self) -> None:
        """End the present step at its next row, and let no other begin."""
        with self._guard:
            self._ending += 1
        self._allowance.ending = True

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold the lock without waiting for a whole step: a step under way ends at its next row and is taken back."""
        with self.ending_soon(None), self.lock:
            yield

    @contextmanager
    def ending_soon(self, seconds: float | None) -> Iterator[bool]:
        """Let no step begin, and end the one under way at its next row.

        Gives whether it has ended within so many seconds: a function of the user's may never come back.
        """
        self.interrupt()
        try:
            ended = interrupts.acquire(self.lock, seconds)
            if ended:
                self.lock.release()
            yield ended
        finally:
            with self._guard:
                self._ending -= 1

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """Hold the lock.  Raises: StatementError, if the step in hand takes longer than `limits.STEP_END_SECONDS_MAX`."""
        if not interrupts.acquire(self.lock, limits.STEP_END_SECONDS_MAX):
            raise self.endless()
        try:
            yield
        finally:
            self.lock.release()

    def endless(self) -> StatementError:
        """The error for a step that did not end in time."""
        return StatementError(
            f"a step of the query {self._assembly.query_id} has not ended for {limits.STEP_END_SECONDS_MAX:g} s",
            suggestion="Try again. If a function of yours never returns, close the database, and open it in a new process.",
        )

    # --- a step ----------------------------------------------------------------------------

    def take(self, patient: bool, group_commit: GroupCommit | None, bounded: bool) -> bool:
        """See `QueryRun.step`.

        Raises:
            NodeError: an operator or a sink failed, and the rows at fault cannot be left out.
            PenstockError: the query cannot go on.
        """
        parts = self._assembly
        self.restore()
        self._marks = None
        slices: list[InputSlice] = []
        try:
            slices = self._take(patient, self._step_size.rows(bounded=bounded))
            began_s = time.monotonic()
            if not slices:
                return self.settle()
            parts.inputs.read_ahead(slices)
            self._marks = self._mark()
            computed = self._compute(slices, began_s + OVERRUN_S if bounded else None)
            if computed is None:
                return not self._ending
            computed_s = time.monotonic() - began_s
            computed.published = parts.published.take_if_due(parts.computer.tasks)
            if self._on_slices is not None:
                self._on_slices(computed.slices)
            waits_s = time.monotonic()
            executor = self._executor_for(slices)
            gathered = any(underway.aside is None for underway in self._underway)  # which nothing may overtake
            self.settle(but=0 if executor is None or gathered else ASIDE_MAX - 1)
            began_s += time.monotonic() - waits_s  # for the commits before this one: fewer rows would not shorten that
            underway = self._commit_later(computed, executor, group_commit)
            if underway is not None:
                self._underway.append(underway)
                self.dirty = False
            else:
                parts.committer.commit(computed)
                self.dirty = False
                if parts.keeps_state:
                    parts.keeper.checkpoint_if_due()
                parts.purging.committed(parts.inputs, parts.keeper.expired)
        except NodeError as error:
            if not self._narrow(slices, error):
                raise
            return True
        took_s = time.monotonic() - began_s
        self._step_size.took(_rows(slices), took_s, computed_s)
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
        computed = parts.computer.compute([], parts.keeper, keeps_state=parts.keeps_state)
        computed.published = parts.published.take_if_due(parts.computer.tasks)
        parts.committer.commit(computed)
        self.dirty = False

    def _mark(self) -> list[Capture] | None:
        """Mark the state before a step, if the step could not be taken back otherwise, or is likely to be taken back."""
        keeper = self._assembly.keeper
        if not keeper.stores:
            return None
        if self._step_size.careful or (not self._assembly.keeps_state and keeper.size_bytes <= MARKED_STATE_BYTES_MAX):
            return keeper.mark()
        return None

    def _compute(self, slices: list[InputSlice], deadline_s: float | None) -> ComputedStep | None:
        """The outcome of a step; None if it was taken back because it took too long or the query is to end."""
        parts = self._assembly
        rows = _rows(slices)
        began_s = time.monotonic()
        cheap = self._marks is not None or parts.keeper.size_bytes <= MARKED_STATE_BYTES_MAX  # to take back
        allowance = Allowance(deadline_s if rows > 1 and cheap else None)
        self.dirty = True
        self._allowance = allowance
        allowance.ending = self._ending > 0
        try:
            with allowed(allowance if self.recoverable else None):
                return parts.computer.compute(slices, parts.keeper, keeps_state=parts.keeps_state)
        except StepOverrun:
            if not allowance.ending:
                self._step_size.overran(rows, allowance.rows, time.monotonic() - began_s)
            if not parts.computer.touched:
                parts.computer.clear()
                self.dirty = False
            return None

    def _take(self, patient: bool, rows: int) -> list[InputSlice]:
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
                reports = ProcessingLog()
                for entry in moved:
                    report_gap(reports, parts.query_id, entry, before[id(entry)], outside)
                parts.committer.commit_gap(moved, reports)

    # --- taking a step back ------------------------------------------------------------------

    @property
    def recoverable(self) -> bool:
        """Whether the state of the last commit can be restored after a step that broke off."""
        return self._assembly.keeps_state or not self._assembly.keeper.stores or self._marks is not None

    def restore(self, failed_with: BaseException | None = None) -> None:
        """If a step broke off, go back to the last commit, so that what the step did to the operators is dropped.

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

    def refused(self) -> None:
        """After a refused commit, do the step again with fewer rows, since it may have taken too long."""
        self._step_size.refused()

    def start_anew(self) -> None:
        """Make all parts anew, because the query has other partitions now.  Raises: StorageError."""
        parts = self._assembly
        self.dirty, self._marks = False, None
        account = parts.committer.account
        parts.make_anew()
        parts.recover()
        parts.committer.account = account

    def _narrow(self, slices: list[InputSlice], error: NodeError) -> bool:
        """After a failed step, go back to the last commit; then take fewer rows, or leave out the one at fault.

        Returns:
            False if that cannot be done, or is not wanted (`Dataflow.row_failure`): the query stops.
        """
        parts = self._assembly
        earlier, self._underway = self._underway, []
        outcomes = [underway.wait() for underway in earlier]  # of the steps before this one, which are first to be known
        for underway, before in zip(earlier, outcomes, strict=True):
            if before is None:
                continue
            self.dirty, self._marks = True, underway.marks
            if not isinstance(before, NodeError):
                raise before
            slices, error = underway.slices, before
            break
        self.dirty = True
        if parts.dataflow.row_failure == "stop" or not self.recoverable:
            return False
        rows = _rows(slices)
        if rows == 1 and isinstance(error.cause, MemoryError):
            return False
        self.restore()
        if rows > 1:
            self._step_size.failed(rows)
            return True
        reports = ProcessingLog()
        report_row(reports, parts.query_id, slices, error)
        parts.committer.commit_without(slices, reports)
        for item in slices:
            item.input.offset = item.next_offset
        self._step_size.dropped()
        return True

    # --- commits that are under way ----------------------------------------------------------

    def goes_on(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether there is something to do although no input has records behind these ends: a commit is under way, or
        records before them are left."""
        if any(underway.aside is not None for underway in self._underway):
            return True
        return any(i.offset < ends.get((i.source.topic, i.partition), 0) for i in self._assembly.inputs)

    def _executor_for(self, slices: list[InputSlice]) -> Executor | None:
        """The executor that commits a step while the next ones are computed; None if the commit is to be done otherwise.

        There is one where the step is large and more records wait.
        """
        if not self._may_wait or _rows(slices) < PARALLEL_ROWS_MIN or not self._behind(slices):
            return None
        return self._assembly.services.committer

    @property
    def _may_wait(self) -> bool:
        """Whether a commit may be done later.  Not if a checkpoint is due, for which state and commit must agree."""
        parts = self._assembly
        return parts.ledger.kept and not parts.keeper.due and not self._alone

    def _commit_later(
        self, computed: ComputedStep, executor: Executor | None, group_commit: GroupCommit | None
    ) -> Underway | None:
        """Hand a step's commit to the executor (`_executor_for`) or to the group commit; None if it is to be done now."""
        committer = self._assembly.committer
        if executor is not None:
            before = self._underway[-1].aside if self._underway else None
            aside = AsideCommit(committer, computed, before)
            aside.start(executor)
            return Underway(aside.wait, computed.slices, self._marks, aside)
        if group_commit is None or not self._may_wait:
            return None
        gathered = group_commit.add(committer, committer.begin(computed))
        return Underway(gathered.wait, computed.slices, self._marks, None)

    def _behind(self, slices: list[InputSlice]) -> bool:
        """Whether the inputs that the step read have more records."""
        log = self._assembly.log
        return any(log.end_offset(t.input.source.topic, t.input.partition) > t.next_offset for t in slices)

    def settle(self, *, failed: bool = False, but: int = 0) -> bool:
        """Wait for the commits under way.  Returns whether there were any.

        Args:
            failed: the query has failed or ends, so errors of these commits are not raised.
            but: how many of the last ones may stay under way.

        Raises:
            NodeError: a sink could not take its rows, so one did not happen.
            StorageError: one did not happen, and the query has failed.
        """
        found = False
        while len(self._underway) > but:
            found = True
            underway = self._underway[0]
            error = underway.wait()
            if error is None:
                del self._underway[0]
                continue
            for later in self._underway[1:]:
                later.wait()  # none happens, and none may run on behind the back of a restart
            if isinstance(error, NodeError) and not failed:
                raise error  # `_narrow` looks at what was committed
            self._underway = []
            self.dirty, self._marks = True, underway.marks
            if failed:
                break
            failure = error if isinstance(error, Exception) else StorageError(f"a commit was interrupted: {error!r}")
            self._fail(failure)
            raise failure
        return found

    def settle_gathered(self) -> None:
        """Note the outcome of a group commit.  Takes the lock itself.

        Raises:
            StorageError: it failed, and the query has failed.
        """
        underway = self._underway[:]
        if underway and underway[0].aside is None:
            with self.lock:
                if self._underway[:1] == underway:
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


def _rows(slices: list[InputSlice]) -> int:
    return sum(len(item.positions) for item in slices)
