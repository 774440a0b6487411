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
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...errors import ClientError, OutOfOrderSequenceError, ProducerFencedError, StorageError
from ..files import File, Files, discard
from ..layout import journal_path
from .journal import Journal
from .manifest import Appended, Committed, Entry, Manifest, Produced, SegmentState
from .partition import Partition
from .protocol import Commit, Outcome
from .record import PreparedFrame
from .segment import Segment, segment_header
from .settings import LogSettings
from .transaction import Prepared, join

if TYPE_CHECKING:
    from .local import LocalLog
    from .transaction import LocalTransaction

__all__ = ["Committer"]

_CHUNKS_WRITTEN_APART_MAX = 8
_CHUNK_BYTES_JOINED_MAX = 4096
"""More and smaller pieces than these are quicker copied together than handed to the kernel one by one (0.4 us each)."""


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Waiter:
    """A transaction on its way through the steps.

    ``woken`` is held until the transaction is through, or ``leads``: then it is at its caller to lead the next group.
    """

    transaction: LocalTransaction
    durable: bool
    outcome: Outcome | None = None
    leads: bool = False
    woken: threading.Lock = field(default_factory=_held_lock)


@dataclass(slots=True)
class _Pending:
    """An entry that the journal does not have yet, and the bytes it stands for (in the order of ``appended``)."""

    entry: Entry
    writes: list[tuple[Segment, int, list[Any]]] = field(default_factory=list)
    """Segment, bytes, and these bytes: none if they are too many to be embedded (holding them would only take memory)."""


@dataclass(slots=True)
class _Tail:
    """Where the next frame of a partition goes, while a group is planned."""

    partition: Partition
    segment: Segment | None
    position: int
    placed: int
    """The offset after the last frame that has its place."""
    end: int
    """The offset after the last record that has its offset."""
    segment_bytes: int
    fresh: bool = False


@dataclass(slots=True)
class _Run:
    """Transactions of a group, one behind the other, that share a commit record: all of them happen, or none."""

    entry: Committed
    first_arrival: int
    parts: dict[tuple[str, int], list[tuple[Prepared, int]]] = field(default_factory=dict)
    """What they append by topic and partition, and which of the run's records is the first of that transaction."""


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
        self._queue: list[_Waiter] = []
        self._led = False
        """Whether somebody leads a group, and will wake the next one in the queue."""
        self._queue_guard = threading.Lock()
        self._flushing = threading.Lock()
        """Held from taking what is to be flushed until it is in the journal.  Taken under ``write_lock`` or without it, but
        never the other way round: whoever holds it only reads what it took."""
        self._unflushed: list[_Pending] = []
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
        first = waiters[0]  # all are taken by the same leader, who wakes all; this thread sleeps at the lock of the first
        with self._queue_guard:
            self._queue.extend(waiters)
            leads = not self._led
            self._led = True
        try:
            if not leads:
                first.woken.acquire()
            if leads or first.leads:
                self._lead_queue(waiters)
        except BaseException:  # interrupted: whoever is behind must not wait for this one
            with self._queue_guard:
                queued = first in self._queue
                if queued:
                    place = self._queue.index(first)
                    del self._queue[place : place + len(waiters)]
                    if leads or first.leads:
                        self._wake_next()
            if not (queued or leads or first.leads):  # somebody leads it through: the caller wants to know how that ends
                while first.outcome is None and not first.woken.acquire(timeout=1.0):
                    pass
            raise
        finally:
            outcomes[:] = [w.outcome for w in waiters]

    def _lead_queue(self, own: Sequence[_Waiter]) -> None:
        """Take all who wait through the steps, then wake the first of those who came meanwhile, to do the same."""
        group: list[_Waiter] = []
        try:
            with self.write_lock:
                with self._queue_guard:
                    group, self._queue = self._queue, []
                self._lead(group)
        finally:
            if group:
                with self._queue_guard:
                    self._wake_next()
                for waiter in group:
                    if waiter is not own[0]:
                        waiter.woken.release()

    def _wake_next(self) -> None:
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].woken.release()
        else:
            self._led = False

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
        plan = _Plan(self._manifest, self._log, self._settings)
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
        self._unflushed.append(_Pending(entry))
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

    def _take(self, taken: Sequence[_Pending]) -> list[Callable[[], None]]:
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

    def _write_down(self, taken: Sequence[_Pending], syncs: Sequence[Callable[[], None]]) -> None:
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
            self._failure = StorageError(
                f"the log takes no more commits: {error}",
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


class _Plan:
    """Where a group's frames go.  Nothing outside changes until the group is through."""

    def __init__(self, manifest: Manifest, log: LocalLog, settings: LogSettings) -> None:
        self.tails: dict[tuple[str, int], _Tail] = {}
        self.writes: dict[Segment, tuple[File, int, list[Any]]] = {}
        self.bytes = 0
        self.pendings: list[_Pending] = []
        self._run: _Run | None = None
        self._open = False
        """Whether another may join the run."""
        self._log = log
        self._segment_bytes_max = settings.segment_bytes_max
        self._embedded_bytes_max = settings.embedded_bytes_max
        self._epoch = manifest.epoch
        self._arrival = manifest.next_arrival
        self._sequences: dict[str, int] = {}
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._manifest = manifest

    def add(self, transaction: LocalTransaction) -> Commit:
        """Give a transaction its epoch, arrivals and offsets.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
            StorageError: a topic is gone.
        """
        prepared = transaction.prepared
        for part in prepared:
            topic = self._log.topic(part.topic)
            if topic.id != part.topic_id:
                raise StorageError(f"the topic {part.topic!r} was deleted and created again during a transaction")
            if part.partitions != len(topic.partitions) and part.records.keys is not None:
                raise StorageError(f"the topic {part.topic!r} got partitions during a transaction", action="try it again")
            part.widen(topic.config.value_type)
        for producer, sequence in transaction.sequences.items():
            last = self._sequences.get(producer, self._manifest.sequences.get(producer))
            if last is not None and sequence <= last:
                return Commit(self._epoch, {})  # a retry of what has happened
        starts = {(p.topic, p.partition): self._tail(p.topic, p.partition).end for p in prepared}
        produced = self._numbered(transaction, starts)
        if not prepared and not transaction.positions and not transaction.sequences:
            return Commit(self._epoch, {})
        run = self._joined(transaction)
        entry = run.entry
        for group, positions in transaction.positions.items():
            entry.positions.setdefault(group, []).extend((t, p, o) for (t, p), o in positions.items())
        self._sequences.update(transaction.sequences)
        entry.sequences.update(transaction.sequences)
        entry.produced = produced
        ends = {}
        for part in prepared:
            place = (part.topic, part.partition)
            run.parts.setdefault(place, []).append((part, self._arrival - run.first_arrival))
            tail = self.tails[place]
            tail.end += len(part.records)
            ends[place] = tail.end
        self._arrival += transaction.rows
        entry.next_arrival = self._arrival
        return Commit(self._epoch, ends, starts)

    def _joined(self, transaction: LocalTransaction) -> _Run:
        """The run that a transaction belongs to: that of those before it, if it may share frames, or one of its own."""
        run = self._run
        if run is None or not (transaction.joins and self._open):
            self.close()
            run = self._run = _Run(Committed(self._epoch, self._arrival, [], {}, {}), self._arrival)
            self._open = transaction.joins
        self._epoch += 1  # each has an epoch of its own; what they share bears the last one
        run.entry.epoch = self._epoch
        return run

    def close(self) -> None:
        """Give all frames their places.

        Raises:
            StorageError: a record is larger than a frame can be.
        """
        run, self._run = self._run, None
        if run is None:
            return
        pending = _Pending(run.entry)
        for (topic, number), parts in run.parts.items():
            for _, alike in groupby(parts, lambda part: (part[0].records.values.type, part[0].compression)):
                together = list(alike)
                part, first = together[0]
                if len(together) == 1:
                    part.encode()
                    frames = part.frames
                else:
                    frames, first = join(together), 0
                for frame in frames:
                    self._place(pending, topic, number, part.value_type, frame, run.first_arrival + first)
        self.pendings.append(pending)

    def _numbered(self, transaction: LocalTransaction, starts: dict[tuple[str, int], int]) -> Produced | None:
        """The numbers that a producer's records get.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
        """
        if transaction.producer is None:
            return None
        producer, epoch, wanted = transaction.producer
        state = self._manifest.producers.get(producer)
        if state is None or state.epoch != epoch:
            raise ProducerFencedError(
                f"the producer {producer!r} was opened again: this one (epoch {epoch}) writes nothing any more"
            )
        batches = []
        for part in transaction.prepared:
            place = (producer, part.topic, part.partition)
            first = self._numbers.get(place, state.last(part.topic, part.partition)) + 1
            asked = wanted.get((part.topic, part.partition), first)
            if asked != first:
                raise OutOfOrderSequenceError(
                    f"the producer {producer!r} sends number {asked} to {part.topic!r}, partition {part.partition}, "
                    f"where {first} is next"
                )
            last = first + len(part.records) - 1
            batches.append((part.topic, part.partition, first, last, starts[part.topic, part.partition]))
        self._numbers.update({(producer, topic, number): last for topic, number, _, last, _ in batches})
        return Produced(producer, batches)

    def _place(
        self, pending: _Pending, topic: str, number: int, value_type: Any | None, frame: PreparedFrame, arrival: int
    ) -> None:
        assert isinstance(pending.entry, Committed)
        tail = self._tail(topic, number)
        segment = tail.segment
        full = segment is not None and tail.position + frame.size > tail.segment_bytes
        chunks: list[Any] = []
        if segment is None or full or segment.value_type != value_type:
            segment = tail.segment = tail.partition.segment_of(SegmentState(tail.placed, 0, 0, tail.placed, 0))
            file = segment.create(value_type)
            tail.position = 0
            tail.fresh = True
            self.writes[segment] = (file, 0, [])
            chunks.append(segment_header(topic, number, tail.placed, segment.generation, value_type))
        elif segment not in self.writes:
            self.writes[segment] = (segment.file, tail.position, [])
        chunks.append(frame.header(pending.entry.epoch, tail.placed, arrival + frame.first_arrival))
        chunks.append(frame.body)
        length = sum(len(c) for c in chunks)
        end = tail.placed + frame.offset_span
        pending.entry.appended.append(
            Appended(topic, number, segment.base_offset, segment.generation, tail.position, length, end, frame.timestamp_max)
        )
        pending.writes.append((segment, length, chunks if length <= self._embedded_bytes_max else []))
        self.writes[segment][2].extend(chunks)
        self.bytes += length
        tail.position += length
        tail.placed = end

    def _tail(self, topic: str, number: int) -> _Tail:
        known = self.tails.get((topic, number))
        if known is None:
            known = self.tails[topic, number] = self._found_tail(topic, number)
        return known

    def _found_tail(self, topic: str, number: int) -> _Tail:
        of = self._log.topic(topic)
        partition = of.partitions[number]
        state = partition.state
        last = state.segments[-1] if state.segments else None
        segment_bytes = of.config.segment_bytes or self._segment_bytes_max
        if last is None or last.sealed:
            return _Tail(partition, None, 0, state.end, state.end, segment_bytes)
        return _Tail(partition, partition.segment_of(last), last.length, state.end, state.end, segment_bytes)
