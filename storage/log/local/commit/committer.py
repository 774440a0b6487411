"""Commits transactions by the five steps of docs/commit.md.

The steps, and what a crash leaves behind after each:

1. The transaction gathers and encodes its records, in memory and in its own thread.  (A small transaction is encoded in
   step 2, together with the others of its group: they share frames and the commit record.)
   *Crash here =>* nothing was written, so the commit did not happen.
2. Its frames are appended to their segments, behind the segments' recorded lengths.
   *Crash here =>* recovery cuts off the bytes behind the recorded length; the commit did not happen.
3. The segments that got bytes are synced, in parallel.  A segment that got few bytes is not: the commit record carries a
   copy of these bytes, so a small commit needs one sync and not one per file.  Such segments are synced when the journal
   is rolled.
   *Crash here =>* as after 2.
4. The commit record (epoch, new length and end of each partition written to, positions, sequences) is appended to the
   journal and synced.  **The commit happens when this sync is done.**
   *Crash during the sync =>* if the whole record is on the disk, the commit happened; if a part is, recovery cuts it off and
   the commit did not happen.  *Crash after =>* the commit happened: recovery applies the record and writes the bytes that
   it carries to their segments.
5. The manifest applies the record: readers see the whole transaction.  *Crash here =>* as after 4.

Group commit: transactions that come while another one is being synced wait in a queue.  The first of them is then woken and
takes them all through the steps together, with one sync.

A relaxed commit does steps 1, 2 and 5.  Steps 3 and 4 follow with the next durable commit, or ``relaxed_delay_s`` seconds
later, always in order of epochs: a crash loses the newest relaxed commits, each as a whole.  The background thread that
does 3 and 4 for them holds no lock meanwhile, so other commits go on with 1, 2 and 5.

A large durable transaction does step 2 without waiting for the syncs of others: `Committer.begin` writes while the disk
syncs earlier commits; `Committer.complete` does steps 3 to 5 for all transactions in flight (see `in_flight`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .....errors import StorageError
from ....combining import Combiner
from ....files import Files
from ...measures import CommitMeasures
from ...protocol import Outcome
from ...settings import LogSettings
from ..log_state import LogState
from ..manifest import Entry
from ..segments.segment import Segment
from .append_plan import AppendPlan, Pending
from .contents import Contents
from .fail_stop import FailStop
from .in_flight import InFlight, WriteLock
from .journal import CommitJournal
from .journal_writer import JournalWriter
from .log_end import LogEnd
from .parallel_io import ParallelIO

__all__ = ["Committer"]


@dataclass(slots=True, eq=False)
class _Waiter:
    """A transaction on its way through the steps."""

    contents: Contents
    durable: bool
    outcome: Outcome | None = None


class Committer:
    """The only writer of the log.  It decides the order of commits, makes callers wait, and flushes relaxed commits.

    `AppendPlan` decides where bytes go, `JournalWriter` makes them durable, `ParallelIO` has the threads for it, and
    `FailStop` remembers why the log takes no more commits.

    Locks are taken in this order:

    * ``write_lock`` guards the end of the log, the manifest while nothing is in flight, and the choice of the journal file.
      The thread that leads a group holds it, and so does a thread that changes topics or segments.  A thread that only
      appends takes ``write_lock.appending`` instead, which guards plans and their writes.
    * ``_flushing`` guards the journal, and the manifest while it applies commits that were in flight.
    * ``_guard`` guards the entries that wait for the journal, the transactions in flight, and the journal writer's notes of
      files that are not synced.
    """

    def __init__(
        self, state: LogState, files: Files, journal: CommitJournal, settings: LogSettings, on_relaxed: Callable[[], None]
    ) -> None:
        self.write_lock = WriteLock(self._complete_all)
        self._state = state
        self._on_relaxed = on_relaxed
        self._files = files
        self._manifest = state.manifest
        self._settings = settings
        self._combiner = Combiner(self.write_lock)
        self._flushing = threading.Lock()
        """Held from the choice of the entries to flush until they are in the journal.  A thread may take it with or without
        ``write_lock``, but never takes ``write_lock`` while holding it."""
        self._guard = threading.RLock()
        """Guards the fields below.  Held for an instant only, while they change."""
        self._unflushed: list[Pending] = []
        """Entries that are not in the journal yet, in order: first those of relaxed commits, which are visible, then those
        of ``_in_flight``, which are not."""
        self._in_flight: list[InFlight] = []
        self._end: LogEnd | None = None
        """The end of the log behind all commits in flight; None if there are none."""
        self._bytes_taken_in = 0
        """Bytes appended by transactions that did not fail."""
        self._bytes_flushed = 0
        """How many of ``_bytes_taken_in`` are durable."""
        self._leftovers = False
        """Whether a commit failed in step 2 or later, so segments may be longer than the journal says."""
        self._fail_stop = FailStop(files.root)
        self._io = ParallelIO(settings.sync_threads)
        self._journal_writer = JournalWriter(
            files, journal, state.manifest, settings, self._guard, self._fail_stop, self._io
        )

    @property
    def failure(self) -> StorageError | None:
        """The error for which the log takes no more commits; None while it takes commits."""
        return self._fail_stop.failure

    @property
    def measures(self) -> CommitMeasures:
        """The durations of steps 3 and 4."""
        return self._journal_writer.measures

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._state.check_process()

    # ------------------------------------------------------------------------------------------------ transactions

    def commit(self, transactions: Sequence[tuple[Contents, bool]], outcomes: list[Outcome | None]) -> None:
        """Take transactions through the steps, alone or in a group.

        Args:
            transactions: pairs of a transaction and whether its commit must be durable on return.
            outcomes: gets the outcome of each, in order.  None stands for a transaction that did not happen because of an
                interruption (Ctrl-C).
        """
        waiters = [_Waiter(contents, durable) for contents, durable in transactions]
        try:
            self._combiner.ask(waiters, lambda asked: self._lead([waiter for some in asked for waiter in some]))
        finally:
            outcomes[:] = [w.outcome for w in waiters]

    @property
    def appended_bytes(self) -> int:
        """The bytes appended since the log was opened."""
        return self._bytes_taken_in

    @property
    def waiting(self) -> int:
        """The number of callers in the queue, whose transactions no thread has begun to commit."""
        return self._combiner.waiting

    def _lead(self, group: list[_Waiter]) -> None:
        try:
            self._commit_group(group)
        except Exception as error:
            left = [waiter for waiter in group if waiter.outcome is None]
            if len(group) > 1 and self.failure is None:
                for waiter in left:  # one may be at fault: each for itself
                    self._lead([waiter])
            else:
                for waiter in left:
                    waiter.outcome = error
        except BaseException as error:
            untold = [waiter for waiter in group if waiter.outcome is None]
            for waiter in untold:
                waiter.outcome = error
            if not untold:  # they are committed, and something ended the process behind that
                raise

    def _commit_group(self, group: list[_Waiter]) -> None:
        self._fail_stop.check()
        plan = AppendPlan(LogEnd.after(self._manifest), self._state, self._settings)
        try:
            results = [plan.add(waiter.contents) for waiter in group]
            self._write(plan)  # step 2
            pendings = plan.pendings
            self._take_in(plan)
            try:
                unflushed_bytes = self._bytes_taken_in - self._bytes_flushed
                if any(w.durable for w in group) or unflushed_bytes > self._settings.relaxed_bytes_max:
                    self._flush()  # steps 3 and 4
            except BaseException:
                self._give_up(len(pendings), plan.bytes)
                raise
        except BaseException:
            self._leftovers = True
            raise
        if pendings:
            self._publish([p.entry for p in pendings])  # step 5
        for waiter, result in zip(group, results, strict=True):
            waiter.outcome = result
        if self._unflushed:
            self._on_relaxed()
        self._bound_journal()

    def _publish(self, entries: Sequence[Entry]) -> None:
        """Step 5.  If it fails, readers do not see what the disk has, so the log takes no more commits."""
        try:
            self._state.publish(entries)
        except BaseException as error:
            self._fail_stop.stop(error)
            raise

    def _write(self, plan: AppendPlan) -> None:
        """Step 2.  The bytes are behind the segments' recorded lengths, so a failure does no harm."""
        plan.close()
        self._io.write(list(plan.writes.values()), plan.bytes)

    def _take_in(self, plan: AppendPlan) -> None:
        """Note a plan whose bytes are written, so that the next flush puts it into the journal."""
        with self._guard, self._fail_stop.whole():
            self._journal_writer.appended(plan.writes, plan.fresh_directories)
            self._unflushed.extend(plan.pendings)
            self._bytes_taken_in += plan.bytes

    def _give_up(self, pendings: int, size: int) -> None:
        """Drop the last ``pendings`` unflushed entries, which stand for ``size`` bytes: their commits do not happen."""
        with self._guard:
            del self._unflushed[len(self._unflushed) - pendings :]
            self._bytes_taken_in -= size

    # ------------------------------------------------------------------------------------------- large transactions

    def begin(self, contents: Contents, after: InFlight | None = None) -> InFlight:
        """Steps 1 and 2 for a durable transaction; others may be in flight.

        Args:
            after: a transaction in flight.  If that one fails, this one fails, too.

        Raises:
            ClientError, StorageError: the transaction does not happen.
        """
        with self.write_lock.appending:
            while True:
                begun = self._begin(contents, after)
                if begun is not None:
                    return begun

    def _begin(self, contents: Contents, after: InFlight | None) -> InFlight | None:
        """Plan and write a transaction.  None if a commit in flight, behind which it was planned, has failed meanwhile."""
        self._fail_stop.check()
        with self._guard:
            if after is not None and isinstance(after.outcome, BaseException):
                raise StorageError(
                    "the transaction before this one failed, so this one cannot follow it", path=self._files.root
                )
            end = self._end or LogEnd.after(self._manifest)
        try:
            plan = AppendPlan(end, self._state, self._settings)
            commit = plan.add(contents)
            self._write(plan)
        except BaseException:
            self._leftovers = True
            raise
        with self._guard:
            if end.broken:
                self._leftovers = True
                return None
            with self._fail_stop.whole():
                plan.extend()
                self._end = end
                self._take_in(plan)
                begun = InFlight(commit, len(plan.pendings), plan.bytes)
                self._in_flight.append(begun)
                return begun

    def complete(self, begun: InFlight) -> Outcome:
        """Do steps 3 to 5 for a transaction and all others in flight, unless another thread has done so; return the outcome.

        An interruption (Ctrl-C) is raised only when the outcome is known.
        """
        interruption: BaseException | None = None
        while begun.outcome is None:
            try:
                with self._flushing:
                    if begun.outcome is None:
                        self._complete()
            except StorageError:
                pass  # that is what became of it
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption
        if self._journal_writer.too_long:
            with self.write_lock:
                self._bound_journal()
        return begun.outcome

    def _complete_all(self) -> None:
        """Do steps 3 to 5 for all transactions in flight.

        Raises:
            StorageError: they did not happen.  The callers that wait for them get the error, too.
        """
        if self._in_flight:
            with self._flushing:
                if self._in_flight:
                    self._complete()

    def _complete(self) -> None:
        """Take all of ``_in_flight`` through steps 3 to 5 and set their outcomes.  The caller holds ``_flushing``."""
        completing: list[InFlight] = []
        try:
            self._fail_stop.check()
            with self._guard:
                completing, flushing = self._in_flight[:], tuple(self._unflushed)
                step = self._journal_writer.take(flushing)
            own = flushing[len(flushing) - sum(s.pendings for s in completing) :]
            self._journal_writer.write(flushing, step)
        except BaseException as error:
            self._lose(error)
            raise
        try:
            if own:
                self._publish([p.entry for p in own])
            with self._guard:
                for begun in completing:  # first, so that an interruption leaves nobody waiting
                    begun.outcome = begun.commit
                self._flushed(flushing)
                del self._in_flight[: len(completing)]
                if not self._in_flight:
                    self._end = None
        except BaseException as error:
            self._fail_stop.stop(error)
            self._lose(self.failure or error)
            raise

    def _lose(self, error: BaseException) -> None:
        """Let all transactions in flight fail that have not happened, with those that were planned behind them meanwhile."""
        with self._guard:
            lost, self._in_flight = [s for s in self._in_flight if s.outcome is None], []
            self._give_up(sum(s.pendings for s in lost), sum(s.bytes for s in lost))
            if self._end is not None:
                self._end.broken = True
                self._end = None
            self._leftovers = True
        if not isinstance(error, Exception):  # an interruption is for the thread that it came to
            error = self.failure or StorageError("the commit was interrupted: nothing of it happened", path=self._files.root)
        for begun in lost:
            begun.outcome = error

    # ------------------------------------------------------------------------------------------- topics and segments

    def record(self, entry: Entry, *, durable: bool = True) -> None:
        """Write an entry that is no transaction to the journal, and make it visible.  The caller holds ``write_lock``.

        Args:
            durable: sync the journal; if false, the next sync makes the entry durable.

        Raises:
            StorageError: the entry does not count.
        """
        self._fail_stop.check()
        with self._guard:
            self._unflushed.append(Pending(entry))
        if not durable:
            self._publish([entry])
            self._on_relaxed()
            return
        try:
            self._flush()
        except BaseException:
            self._give_up(1, 0)
            raise
        self._publish([entry])

    def begun(self, directories: Iterable[str]) -> None:
        """Note directories with new file names, which must be synced before the content of these files counts."""
        self._journal_writer.begun(directories)

    def forget(self, topic: str) -> None:
        """Note that a topic's files and directories are removed, so they need no sync."""
        self._journal_writer.forget(topic)

    def forget_segments(self, segments: set[Segment]) -> None:
        """Note that these segments' files are removed."""
        self._journal_writer.forget_segments(segments)

    # ---------------------------------------------------------------------------------------------------- steps 3, 4

    def flush(self) -> None:
        """Make relaxed commits durable.

        Raises:
            StorageError: the commits are visible, but not durable.
        """
        with self.write_lock:
            if self._unflushed:
                self._fail_stop.check()
                self._flush()

    def flush_beside(self) -> None:
        """Like `flush`, without holding a lock during the sync, so that other commits go on.

        Raises:
            StorageError: the commits are visible, but not durable.
        """
        with self.write_lock:
            if not self._unflushed:
                return
            self._fail_stop.check()
            self._flushing.acquire()
            try:
                with self._guard:
                    flushing = tuple(self._unflushed)
                    step = self._journal_writer.take(flushing)
            except BaseException:
                self._flushing.release()
                raise
        try:
            self._journal_writer.write(flushing, step)
            with self._guard:
                self._flushed(flushing)
        finally:
            self._flushing.release()

    def _flush(self) -> None:
        """Steps 3 and 4.  The caller holds the write lock."""
        with self._flushing:
            if not self._unflushed:
                return
            self._fail_stop.check()
            with self._guard:
                flushing = tuple(self._unflushed)
                step = self._journal_writer.take(flushing)
            self._journal_writer.write(flushing, step)
            with self._guard:
                self._flushed(flushing)

    def _flushed(self, flushing: Sequence[Pending]) -> None:
        """Drop the entries that are in the journal now, and keep those that came meanwhile.  The caller holds ``_guard``."""
        del self._unflushed[: len(flushing)]
        self._bytes_flushed += sum(size for p in flushing for _, size, _ in p.writes)

    # ----------------------------------------------------------------------------------------------------- the journal

    def _bound_journal(self) -> None:
        if self._journal_writer.too_long:
            self._roll_when_possible()

    def _roll_when_possible(self) -> None:
        """Roll the journal.  If the disk has no room for a new journal, go on with the old one."""
        try:
            self.roll()
        except StorageError as error:
            self._journal_writer.roll_failed(error)

    def roll(self) -> None:
        """Make all commits durable and start a new journal with the present state, so that opening stays quick.

        Raises:
            StorageError: the old journal stays in use, or the log takes no more commits.
        """
        with self.write_lock:
            self.flush()
            self._fail_stop.check()
            self._journal_writer.roll()

    def close(self) -> None:
        """Make all commits durable and close the journal."""
        with self.write_lock:
            try:
                if self.failure is None:
                    self.flush()
                    if self._journal_writer.long_to_replay:
                        self._roll_when_possible()  # the next open has little to replay
                    if self.failure is None:
                        self._journal_writer.seal(closed=not self._leftovers)
            finally:
                self._fail_stop.refuse(StorageError("the database is closed", path=self._files.root))
                self._journal_writer.close()
                self._io.shutdown()
