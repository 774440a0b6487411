"""How a commit happens.  The five steps of docs/commit.md, and what a crash leaves behind after each.

1. The transaction gathers and encodes its records, in memory and in its own thread.  (A small one is encoded in step 2,
   together with those that are committed along with it: they share frames and the commit record.)
   *Crash here =>* nothing was written, nothing happened.
2. Its frames are appended to their segments, beyond the length that counts.
   *Crash here =>* the bytes lie beyond the recorded length: recovery cuts them off, nothing happened.
3. The touched segments are synced, in parallel.  A segment that got few bytes is not: its bytes travel inside the commit
   record instead, so that a small commit needs one sync and not one per file.  Such segments are synced when the journal
   is rolled.
   *Crash here =>* as after 2.
4. The commit record (epoch, new length and end of every touched partition, positions, sequences) is appended to the
   journal and synced.  **This is the instant at which it happened.**
   *Crash before the sync is through =>* the record is whole on disk, then it happened; or torn, then it is cut and nothing
   happened.  *Crash after =>* it happened: recovery applies the record and writes the bytes it carries to their segments.
5. The manifest takes the record in: readers see all of it.  *Crash here =>* as after 4.

Transactions that come while another is being synced sleep in a queue; the first of them is then woken and takes all of them
through the steps together, with one sync (group commit).  A relaxed commit does 1, 2 and 5; 3 and 4 follow with the next
commit that is durable, or ``relaxed_delay_s`` later, always in order of epochs: a crash loses the newest relaxed commits,
whole.  The background thread that does 3 and 4 for them holds no lock meanwhile: others go on with 1, 2 and 5.

A large durable transaction waits for nobody with 2: `Committer.begin` does it while the disk still works for those before
it, `Committer.complete` does the rest, for all that have come so far (see `in_flight`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from .....errors import StorageError
from ....combining import Combiner
from ....files import File, Files, NothingSyncedError, discard
from ....layout import journal_path, partition_directory
from ...measures import CommitMeasures
from ...protocol import Outcome
from ...settings import LogSettings
from ..log_state import LogState
from ..manifest import Committed, Entry, SegmentsReplaced
from ..segments.segment import Segment
from .append_plan import AppendPlan, Pending
from .contents import Contents
from .in_flight import InFlight, WriteLock
from .journal import CommitJournal
from .log_end import LogEnd

__all__ = ["Committer"]

_BYTES_WRITTEN_BY_TWO_MIN = 1 << 20
"""From this size of a commit, in bytes, two threads write to its files at the same time."""
_CHUNKS_WRITTEN_APART_MAX = 8
_CHUNK_BYTES_JOINED_MAX = 4096
"""Smaller pieces are joined before they are written, since each costs 0.4 us in the kernel."""


class _Step3(NamedTuple):
    """What must be synced before the journal records the commit."""

    segments: set[Segment]
    directories: set[str]


def _directories_of(path: str) -> Iterator[str]:
    """The directories that a file is in, innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _write_files(writes: Sequence[tuple[File, int, list[Any]]], size: int) -> None:
    """Write to files, one after the other.

    Args:
        writes: each a file, a position and what goes there.
        size: of the commit, in bytes.
    """
    for file, position, chunks in writes:
        if len(chunks) > _CHUNKS_WRITTEN_APART_MAX and size <= len(chunks) * _CHUNK_BYTES_JOINED_MAX:
            chunks = [b"".join(chunks)]
        file.write(position, *chunks)


@dataclass(slots=True, eq=False)
class _Waiter:
    """A transaction on its way through the steps."""

    contents: Contents
    durable: bool
    outcome: Outcome | None = None


class Committer:
    """The one writer of the log.  ``write_lock`` is held by whoever leads a group or changes topics or segments.

    Lock order: the write lock (or its ``appending``), ``_flushing``, ``_guard``.
    """

    def __init__(
        self, state: LogState, files: Files, journal: CommitJournal, settings: LogSettings, on_relaxed: Callable[[], None]
    ) -> None:
        self.write_lock = WriteLock(self._complete_all)
        self._state = state
        self._on_relaxed = on_relaxed
        self._files = files
        self._journal = journal
        self._manifest = state.manifest
        self._settings = settings
        self._journal_bytes_max = settings.journal_bytes_max
        self._combiner = Combiner(self.write_lock)
        self._flushing = threading.Lock()
        """Held from taking what is to be flushed until it is in the journal.  Taken under ``write_lock`` or without it, but
        never the other way round: whoever holds it only reads what it took."""
        self._guard = threading.RLock()
        """Guards the fields below.  Held for an instant only, while they change."""
        self._unflushed: list[Pending] = []
        """Entries that are not in the journal yet.  The last ones belong to ``_in_flight``; the others are visible."""
        self._in_flight: list[InFlight] = []
        self._end: LogEnd | None = None
        """The end of the log behind all commits in flight; None if there are none."""
        self._bytes_taken_in = 0
        """Bytes appended by transactions that did not fail."""
        self._bytes_flushed = 0
        """How many of these bytes are durable."""
        self._dirty: set[Segment] = set()
        self._new_names: set[str] = set()
        """Directories with names of segments, partitions or topics that are not durable yet."""
        self._leftovers = False
        """Whether a commit failed in step 2 or later: segments may be longer than the journal says."""
        self.measures = CommitMeasures()
        self._failure: StorageError | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._state.check_process()

    # ------------------------------------------------------------------------------------------------ transactions

    def commit(self, transactions: Sequence[tuple[Contents, bool]], outcomes: list[Outcome | None]) -> None:
        """Take transactions through the steps, alone or in a group.

        Args:
            transactions: each with whether it must be durable.
            outcomes: gets the outcome of each, in order; None after an interruption: it did not happen.
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
        """How many callers wait for a transaction that no thread has begun to commit."""
        return self._combiner.waiting

    def _lead(self, group: list[_Waiter]) -> None:
        try:
            self._commit_group(group)
        except Exception as error:
            left = [waiter for waiter in group if waiter.outcome is None]
            if len(group) > 1 and self._failure is None:
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
        self._check_running()
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
        """Step 5.  If that fails, readers see less than what is on the disk, so the log takes no more commits."""
        try:
            self._state.publish(entries)
        except BaseException as error:
            self._stop(error)
            raise

    def _write(self, plan: AppendPlan) -> None:
        """Step 2.  The bytes lie behind the recorded length, so a failure does no harm."""
        plan.close()
        writes = list(plan.writes.values())
        if len(writes) < 2 or plan.bytes < _BYTES_WRITTEN_BY_TWO_MIN:
            _write_files(writes, plan.bytes)
            return
        # Copying into the kernel is what it takes: another thread does about a half of it.
        first, size = 0, 0
        while size < plan.bytes // 2 and first < len(writes) - 1:
            size += sum(map(len, writes[first][2]))
            first += 1
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "penstock-write")
        try:
            other = self._writer.submit(_write_files, writes[:first], plan.bytes)
        except RuntimeError:  # no thread is to be had: then it takes longer
            _write_files(writes, plan.bytes)
            return
        try:
            _write_files(writes[first:], plan.bytes)
        finally:
            wait([other])  # also where this half fails: nobody writes on behind the back of a commit
        other.result()

    def _take_in(self, plan: AppendPlan) -> None:
        """Note a plan whose bytes are written, so that the next flush puts it into the journal."""
        with self._guard, self._whole():
            self._dirty.update(plan.writes)  # (only now: a sync that runs meanwhile may have come too early for them)
            self._new_names.update(plan.fresh_directories)
            self._unflushed.extend(plan.pendings)
            self._bytes_taken_in += plan.bytes

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Guard changes that belong together.  After half of them, what waits for the journal is unknown: the log stops."""
        try:
            yield
        except BaseException as error:
            self._stop(error)
            raise

    def _give_up(self, pendings: int, size: int) -> None:
        """Drop the last ``pendings`` entries, which have ``size`` bytes: they do not happen."""
        with self._guard:
            del self._unflushed[len(self._unflushed) - pendings :]
            self._bytes_taken_in -= size

    # ------------------------------------------------------------------------------------------- large transactions

    def begin(self, contents: Contents, after: InFlight | None = None) -> InFlight:
        """Steps 1 and 2 for a durable transaction; others may be in flight.

        Args:
            after: this transaction may happen only if that one does.

        Raises:
            ClientError, StorageError: it does not happen.
        """
        with self.write_lock.appending:
            while True:
                begun = self._begin(contents, after)
                if begun is not None:
                    return begun

    def _begin(self, contents: Contents, after: InFlight | None) -> InFlight | None:
        """Plan and write a transaction.  None if it was planned behind a commit in flight that has failed since."""
        self._check_running()
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
            with self._whole():
                plan.extend()
                self._end = end
                self._take_in(plan)
                begun = InFlight(commit, len(plan.pendings), plan.bytes)
                self._in_flight.append(begun)
                return begun

    def complete(self, begun: InFlight) -> Outcome:
        """Steps 3 to 5 for a transaction and all others in flight, unless another thread has done that.

        An interruption waits until the outcome is known.
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
        if self._journal.end > self._journal_bytes_max:
            with self.write_lock:
                self._bound_journal()
        return begun.outcome

    def _complete_all(self) -> None:
        """`complete` for all transactions in flight.  Raises: StorageError, of which their own callers are told too."""
        if self._in_flight:
            with self._flushing:
                if self._in_flight:
                    self._complete()

    def _complete(self) -> None:
        """Take all of ``_in_flight`` through steps 3 to 5; afterwards each has its outcome.  Under ``_flushing``."""
        completing: list[InFlight] = []
        try:
            self._check_running()
            with self._guard:
                completing, flushing = self._in_flight[:], tuple(self._unflushed)
                step = self._take(flushing)
            own = flushing[len(flushing) - sum(s.pendings for s in completing) :]
            self._write_down(flushing, step)
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
            self._stop(error)
            self._lose(self._failure or error)
            raise

    def _lose(self, error: BaseException) -> None:
        """Give up all transactions in flight that have not happened, and what was planned behind them meanwhile."""
        with self._guard:
            lost, self._in_flight = [s for s in self._in_flight if s.outcome is None], []
            self._give_up(sum(s.pendings for s in lost), sum(s.bytes for s in lost))
            if self._end is not None:
                self._end.broken = True
                self._end = None
            self._leftovers = True
        if not isinstance(error, Exception):  # an interruption is for the thread that it came to
            error = self._failure or StorageError(
                "the commit was interrupted: nothing of it happened", path=self._files.root
            )
        for begun in lost:
            begun.outcome = error

    # ------------------------------------------------------------------------------------------- topics and segments

    def record(self, entry: Entry, *, durable: bool = True) -> None:
        """Journal an entry other than a transaction, and make it visible.  Without ``durable`` the next sync makes it
        durable.

        The caller holds ``write_lock``.

        Raises:
            StorageError: it did not happen.
        """
        self._check_running()
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
        """Note new file names, which must be synced before the content of these files counts."""
        with self._guard:
            self._new_names.update(directories)

    def forget(self, topic: str) -> None:
        """Note that the files and the directory of a topic are removed, so they need no sync."""
        with self._guard:
            self._dirty = {s for s in self._dirty if not s.path.startswith(topic + "/")}
            self._new_names = {d for d in self._new_names if not f"{d}/".startswith(topic + "/")}

    def forget_segments(self, segments: set[Segment]) -> None:
        """Note that these segments' files are removed."""
        self._dirty -= segments

    # ---------------------------------------------------------------------------------------------------- steps 3, 4

    def flush(self) -> None:
        """Make relaxed commits durable.

        Raises:
            StorageError: they are visible, but not durable.
        """
        with self.write_lock:
            if self._unflushed:
                self._check_running()
                self._flush()

    def flush_beside(self) -> None:
        """Like `flush`, without holding a lock during the sync, so that other commits go on.

        Raises:
            StorageError: the commits are visible, but not durable.
        """
        with self.write_lock:
            if not self._unflushed:
                return
            self._check_running()
            self._flushing.acquire()
            try:
                with self._guard:
                    flushing = tuple(self._unflushed)
                    step = self._take(flushing)
            except BaseException:
                self._flushing.release()
                raise
        try:
            self._write_down(flushing, step)
            with self._guard:
                self._flushed(flushing)
        finally:
            self._flushing.release()

    def _flush(self) -> None:
        """Steps 3 and 4, under the write lock."""
        with self._flushing:
            if not self._unflushed:
                return
            self._check_running()
            with self._guard:
                flushing = tuple(self._unflushed)
                step = self._take(flushing)
            self._write_down(flushing, step)
            with self._guard:
                self._flushed(flushing)

    def _flushed(self, flushing: Sequence[Pending]) -> None:
        """Drop the entries that are in the journal now; later ones were appended meanwhile.  Under ``_guard``."""
        del self._unflushed[: len(flushing)]
        self._bytes_flushed += sum(size for p in flushing for _, size, _ in p.writes)

    def _take(self, flushing: Sequence[Pending]) -> _Step3:
        """Decide what step 3 syncs: each byte is either synced or embedded in the commit record.  Under ``_guard``."""
        sizes: dict[Segment, int] = {}
        for pending in flushing:
            for segment, size, _ in pending.writes:
                sizes[segment] = sizes.get(segment, 0) + size
        large = {s for s, size in sizes.items() if size > self._settings.embedded_bytes_max}
        for pending in flushing:
            if isinstance(pending.entry, Committed):
                for part, (segment, _, chunks) in zip(pending.entry.appended, pending.writes, strict=True):
                    part.data = None if segment in large else b"".join(chunks)
        files = [segment.path for segment in large]
        for pending in flushing:
            match pending.entry:
                case SegmentsReplaced(topic=topic, partition=number, added=[_, *_]):  # which are synced themselves
                    files.append(f"{partition_directory(topic, self._manifest.topics[topic].id, number)}/")
        if not files:
            return _Step3(set(), set())
        step = _Step3(large, self._new_names & {d for file in files for d in _directories_of(file)})
        self._new_names -= step.directories
        self._dirty -= large  # before the sync: what is written meanwhile makes them dirty again
        return step

    def _write_down(self, flushing: Sequence[Pending], step: _Step3) -> None:
        """Steps 3 and 4.

        Raises:
            StorageError, or any other error: nothing happened; or that is unknown, and the log takes no more commits.
        """
        end = self._journal.end
        began_s = time.perf_counter()
        try:
            self._sync_all(step.segments, step.directories)  # step 3
            self._journal.append([p.entry for p in flushing])  # step 4
        except BaseException:
            if self._journal.end != end:
                self._withdraw()
            with self._guard:
                self._dirty |= step.segments
                self._new_names |= step.directories
            raise
        try:
            self._journal.sync()
            self.measures.add(time.perf_counter() - began_s, len(step.segments) + len(step.directories) + 1)
        except NothingSyncedError:
            self._withdraw()
            raise
        except BaseException as error:
            self._stop(error)
            raise

    def _withdraw(self) -> None:
        """Take back what was appended to the journal and not synced, so that recovery does not find it."""
        try:
            self._journal.withdraw()
        except BaseException as error:
            self._stop(error)
            raise

    def _stop(self, error: BaseException) -> None:
        """Refuse all further commits, since it is unknown what is on the disk."""
        cause = f"{error.message} [{error.path}]" if isinstance(error, StorageError) else repr(error)
        self._failure = self._failure or StorageError(
            f"the log takes no more commits: {cause}",
            path=self._files.root,
            action="check the disk, then close and open the database: it opens with the last commit that is durable",
        )

    def _sync_all(self, segments: Iterable[Segment], directories: Iterable[str]) -> None:
        """Sync several files at once.

        Raises:
            NothingSyncedError: one of them could not be opened; those that could may be synced.
            StorageError: a sync failed: the log takes no more commits, as what the disk has is unknown.
        """
        syncs = [s.file.sync for s in segments]
        syncs += [partial(self._files.sync_directory, d) for d in sorted(directories)]
        errors = [error for error in self._at_once(syncs) if error is not None]
        fatal = next((error for error in errors if not isinstance(error, NothingSyncedError)), None)
        if fatal is not None:
            self._stop(fatal)
        for error in errors[:1] if fatal is None else [fatal]:
            raise error

    def _at_once(self, syncs: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        """Run all syncs, side by side if there are several.  Returns the error of each, or None."""

        def tried(sync: Callable[[], None]) -> BaseException | None:
            try:
                sync()
            except BaseException as error:  # told to whoever asked, on another thread
                return error
            return None

        if len(syncs) < 2:
            return [tried(sync) for sync in syncs]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._settings.sync_threads, "penstock-sync")
        waiting: list[Future[BaseException | None]] = []
        try:
            for sync in syncs:
                waiting.append(self._pool.submit(tried, sync))
        except RuntimeError:  # no thread is to be had: then it takes longer
            found = [tried(sync) for sync in syncs[len(waiting) :]]
            return found + [future.result() for future in waiting]
        return [future.result() for future in waiting]

    def _check_running(self) -> None:
        if self._failure is not None:
            raise self._failure

    # ----------------------------------------------------------------------------------------------------- the journal

    def _bound_journal(self) -> None:
        if self._journal.end > self._journal_bytes_max:
            self._roll_when_possible()

    def _roll_when_possible(self) -> None:
        """Roll the journal; if there is no room for a new one, go on with the old one."""
        try:
            self.roll()
        except StorageError as error:
            if self._failure is None and self._files.exists(journal_path(self._journal.number + 1)):
                self._failure = error  # the new one may count after a crash: nothing may go to the old one
            self._journal_bytes_max *= 2

    def roll(self) -> None:
        """Start a new journal from the present state, so that opening stays quick.

        Crash before the new journal has its name => the old one counts.  After => the new one does; the old is removed.
        """
        with self.write_lock:
            self.flush()
            self._check_running()
            self._sync_all(self._dirty, self._new_names)
            self._dirty.clear()
            self._new_names.clear()
            old = self._journal
            self._journal = CommitJournal.create(self._files, old.number + 1, self._manifest)
            old.close()
            discard(self._files, journal_path(old.number))

    def close(self) -> None:
        """Make everything durable and close the journal."""
        with self.write_lock:
            try:
                if self._failure is None:
                    self.flush()
                    if self._journal.end > self._journal_bytes_max // 64:
                        self._roll_when_possible()  # the next open has little to replay
                    if self._failure is None:
                        self._journal.seal(closed=not self._leftovers)
            finally:
                self._failure = self._failure or StorageError("the database is closed", path=self._files.root)
                self._journal.close()
                for pool in (self._pool, self._writer):
                    if pool is not None:
                        pool.shutdown()
