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
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ClientError, StorageError
from ..combining import Combiner
from ..files import Files, discard
from ..layout import journal_path
from .journal import Journal
from .manifest import Committed, Entry, Manifest
from .partition import Partition
from .placing import Pending, Plan
from .protocol import Outcome
from .segment import Segment
from .settings import LogSettings

if TYPE_CHECKING:
    from .local import LocalLog
    from .transaction import LocalTransaction

__all__ = ["Committer"]

_CHUNKS_WRITTEN_APART_MAX = 8
_CHUNK_BYTES_JOINED_MAX = 4096
"""More and smaller pieces than these are quicker copied together than handed to the kernel one by one (0.4 us each)."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A transaction on its way through the steps."""

    transaction: LocalTransaction
    durable: bool
    outcome: Outcome | None = None


class Committer:
    """The one writer of the log.  ``write_lock`` is held by whoever leads a group or changes topics or segments."""

    def __init__(self, log: LocalLog, files: Files, journal: Journal, manifest: Manifest, settings: LogSettings) -> None:
        self.write_lock = threading.RLock()
        self._log = log
        self._files = files
        self._journal = journal
        self._manifest = manifest
        self._settings = settings
        self._journal_bytes_max = settings.journal_bytes_max
        self._combiner = Combiner(self.write_lock)
        self._flushing = threading.Lock()
        """Held from taking what is to be flushed until it is in the journal.  Taken under ``write_lock`` or without it, but
        never the other way round: whoever holds it only reads what it took."""
        self._unflushed: list[Pending] = []
        self._bytes_taken_in = 0
        """Appended by transactions that did not fail; changed under ``write_lock``."""
        self._bytes_flushed = 0
        """Of these, bytes that are durable; changed under ``_flushing``."""
        self._dirty: set[Segment] = set()
        self._new_names: set[str] = set()
        """Directories with names of segments that are not durable yet."""
        self._leftovers = False
        """Whether a commit failed in step 2 or later: segments may be longer than the journal says."""
        self._failure: StorageError | None = None
        self._pool: ThreadPoolExecutor | None = None

    # ------------------------------------------------------------------------------------------------ transactions

    def commit(self, transactions: Sequence[tuple[LocalTransaction, bool]], outcomes: list[Outcome | None]) -> None:
        """Take transactions through the steps, alone or in a group.

        Args:
            transactions: with each whether it shall be durable.
            outcomes: gets what became of each, in their order; None after an interruption: it did not happen.
        """
        waiters = [_Waiter(transaction, durable) for transaction, durable in transactions]
        try:
            self._combiner.ask(waiters, lambda asked: self._lead([waiter for some in asked for waiter in some]))
        finally:
            outcomes[:] = [w.outcome for w in waiters]

    @property
    def waiting(self) -> int:
        """Callers whose transactions nobody has begun with."""
        return self._combiner.waiting

    def _lead(self, group: list[_Waiter]) -> None:
        try:
            self._commit_group(group)
        except (StorageError, ClientError) as error:
            if len(group) > 1 and self._failure is None:
                for waiter in group:  # one may be at fault: each for itself
                    self._lead([waiter])
            else:
                for waiter in group:
                    waiter.outcome = error
        except BaseException as error:
            for waiter in group:
                waiter.outcome = waiter.outcome if isinstance(waiter.outcome, BaseException) else error
            self._failure = self._failure or StorageError(f"the log stopped: {error}", path=self._files.root)

    def _commit_group(self, group: list[_Waiter]) -> None:
        self._check_running()
        leftovers, self._leftovers = self._leftovers, True
        plan = Plan(self._manifest, self._log, self._settings)
        results = [plan.add(waiter.transaction) for waiter in group]
        plan.close()
        self._new_names.update(t.partition.directory for t in plan.tails.values() if t.fresh)
        for segment, (file, position, chunks) in plan.writes.items():  # step 2
            self._dirty.add(segment)
            if len(chunks) > _CHUNKS_WRITTEN_APART_MAX and plan.bytes <= len(chunks) * _CHUNK_BYTES_JOINED_MAX:
                chunks = [b"".join(chunks)]
            file.write(position, *chunks)
        pendings = plan.pendings
        self._unflushed.extend(pendings)
        self._bytes_taken_in += plan.bytes
        try:
            unflushed_bytes = self._bytes_taken_in - self._bytes_flushed
            if any(w.durable for w in group) or unflushed_bytes > self._settings.relaxed_bytes_max:
                self._flush()  # steps 3 and 4
        except BaseException:
            del self._unflushed[len(self._unflushed) - len(pendings) :]
            self._bytes_taken_in -= plan.bytes
            raise
        self._leftovers = leftovers
        if pendings:
            self._log.publish([p.entry for p in pendings])  # step 5
        for waiter, result in zip(group, results, strict=True):
            waiter.outcome = result
        if self._unflushed:
            self._log.housekeeper.wake()
        if self._journal.end > self._journal_bytes_max:
            self._roll_when_possible()

    # ------------------------------------------------------------------------------------------- topics and segments

    def record(self, entry: Entry) -> None:
        """Journal something other than a transaction, durably, and let it be seen.  Called under ``write_lock``.

        Raises:
            StorageError: it did not happen.
        """
        self._check_running()
        self._unflushed.append(Pending(entry))
        try:
            self._flush()
        except BaseException:
            self._unflushed.pop()
            raise
        self._log.publish([entry])

    def forget(self, partition: Partition) -> None:
        """The partition's files go: they need no sync any more."""
        self._dirty = {s for s in self._dirty if not s.path.startswith(partition.directory + "/")}
        self._new_names.discard(partition.directory)

    def forget_segments(self, segments: set[Segment]) -> None:
        """These segments' files go."""
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
        """The same, but others go on to commit meanwhile: nothing is locked while the disk works.

        Raises:
            StorageError: they are visible, but not durable.
        """
        with self.write_lock:
            if not self._unflushed:
                return
            self._check_running()
            self._flushing.acquire()
            try:
                taken = tuple(self._unflushed)
                syncs = self._take(taken)
            except BaseException:
                self._flushing.release()
                raise
        try:
            self._write_down(taken, syncs)
            del self._unflushed[: len(taken)]  # those behind were appended meanwhile
            self._bytes_flushed += sum(size for p in taken for _, size, _ in p.writes)
        finally:
            self._flushing.release()

    def _flush(self) -> None:
        """Steps 3 and 4, under the write lock."""
        with self._flushing:
            if not self._unflushed:
                return
            self._check_running()
            self._write_down(self._unflushed, self._take(self._unflushed))
            self._unflushed.clear()
            self._bytes_flushed = self._bytes_taken_in

    def _take(self, taken: Sequence[Pending]) -> list[Callable[[], None]]:
        """What to sync for step 3, under the write lock: every byte is either synced or rides in the commit record."""
        sizes: dict[Segment, int] = {}
        for pending in taken:
            for segment, size, _ in pending.writes:
                sizes[segment] = sizes.get(segment, 0) + size
        large = {s for s, size in sizes.items() if size > self._settings.embedded_bytes_max}
        for pending in taken:
            if isinstance(pending.entry, Committed):
                for part, (segment, _, chunks) in zip(pending.entry.appended, pending.writes, strict=True):
                    part.data = None if segment in large else b"".join(chunks)
        syncs: list[Callable[[], None]] = []
        if large:
            syncs = [s.file.sync for s in large]
            syncs += [partial(self._files.sync_directory, d) for d in sorted(self._new_names)]
            self._new_names.clear()
            self._dirty -= large  # before the sync: what is written meanwhile makes them dirty again
        return syncs

    def _write_down(self, taken: Sequence[Pending], syncs: Sequence[Callable[[], None]]) -> None:
        try:
            if syncs:
                self._guarded(*syncs)  # step 3
            self._journal.append([p.entry for p in taken])  # step 4
            self._guarded(self._journal.sync)
        except StorageError:
            raise
        except BaseException as error:  # interrupted: the journal may hold what its caller gives up
            self._failure = self._failure or StorageError(f"the log stopped: {error!r}", path=self._files.root)
            raise

    def _guarded(self, *syncs: Any) -> None:
        """Sync several files at once.  After a failure the log takes no more commits: what the disk has is unknown."""
        try:
            if len(syncs) == 1:
                syncs[0]()
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._settings.sync_threads, "penstock-sync")
            for future in [self._pool.submit(s) for s in syncs]:
                future.result()
        except BaseException as error:
            cause = f"{error.message} [{error.path}]" if isinstance(error, StorageError) else repr(error)
            self._failure = StorageError(
                f"the log takes no more commits: {cause}",
                path=self._files.root,
                action="check the disk, then close and open the database: it opens with the last commit that is durable",
            )
            raise

    def _check_running(self) -> None:
        if self._failure is not None:
            raise self._failure

    # ----------------------------------------------------------------------------------------------------- the journal

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
            syncs = [s.file.sync for s in self._dirty]
            syncs += [partial(self._files.sync_directory, d) for d in sorted(self._new_names)]
            if syncs:
                self._guarded(*syncs)
            self._dirty.clear()
            self._new_names.clear()
            old = self._journal
            self._journal = Journal.create(self._files, old.number + 1, self._manifest)
            old.close()
            discard(self._files, journal_path(old.number))

    def close(self) -> None:
        """Make everything durable and give up the journal."""
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
                if self._pool is not None:
                    self._pool.shutdown()
