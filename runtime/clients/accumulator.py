"""The record accumulator of a producer: batches that wait, batches in flight, and the threads that write them.

Batches begin one after the other, so records keep their order; a large batch begins while the disk still works for earlier
ones.  One thread begins batches, another waits for the disk.  A caller that waits for a batch does this work itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from ...errors import BufferExhaustedError, ClientError, PenstockError
from ...storage import interrupts
from ...storage.log.protocol import Committing
from .batch_writer import BatchWriter, Bulk, ProducerBatch, Send, fail_all
from .producer_options import ProducerOptions

__all__ = ["Accumulator"]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A batch that has its place in the log."""

    batch: ProducerBatch
    writer: BatchWriter
    committing: Committing


class Accumulator:
    """The accumulator.  Thread-safe.

    Args:
        max_in_flight: the largest number of batches that have begun and are not done.
        begin: gives a batch its place in the log; is called with ``sending`` held.
    """

    def __init__(
        self,
        options: ProducerOptions,
        max_in_flight: int,
        begin: Callable[[Sequence[Send | Bulk]], tuple[BatchWriter, Committing]],
    ) -> None:
        self.sending = threading.RLock()
        """The thread that begins a batch holds it."""
        self.closed = False
        self.abandoned = False
        """Set when the producer is garbage: nothing more will come."""
        self._options = options
        self._begin = begin
        self._guard = threading.Lock()
        self._waiting: deque[ProducerBatch] = deque()
        """Batches that have not begun.  The last one takes more records, unless it is full."""
        self._in_flight: list[ProducerBatch] = []
        """Batches that were taken and are not done."""
        self._buffered = 0
        """Bytes in both."""
        self._slots = threading.BoundedSemaphore(max_in_flight)
        self._begun: SimpleQueue[_Begun | None] = SimpleQueue()
        self._asleep = threading.Lock()
        """Released to make the thread look again."""
        self._thread: threading.Thread | None = None
        self._completer: threading.Thread | None = None
        """The thread that waits for the disk, while ``_thread`` begins the next batch."""

    def add(self, item: Send | Bulk, size: int) -> None:
        """Add an item to the next batch.

        Args:
            size: bytes that it takes in memory.

        Raises:
            ClientError: it is larger than the buffer; the producer is closed.
            BufferExhaustedError: the buffer stayed full.
        """
        if size > self._options.buffer_memory:
            raise ClientError(
                f"a record of {size} bytes is larger than the buffer: buffer_memory={self._options.buffer_memory}"
            )
        while True:
            with self._guard:
                if self.closed:
                    raise ClientError("the producer is closed")
                if self._buffered + size <= self._options.buffer_memory:
                    batch = self._last_batch()
                    full = batch.size + size >= self._options.batch_bytes
                    if self._options.background and (full or not batch.items):
                        self._wake()  # (first: whom it wakes looks when the guard is free)
                    item.join_batch(batch)
                    batch.items.append(item)
                    batch.size += size
                    self._buffered += size
                    break
            self._make_room()
        if not self._options.background:
            if full:
                self._send_pending()
        elif self._thread is None:
            self._start_thread()

    def _wake(self) -> None:
        """Make the thread look again.  This is one call into C, so an interrupt cannot come in the middle of it."""
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def _last_batch(self) -> ProducerBatch:
        """The batch that takes the next item.  Call it with ``_guard`` held."""
        if not self._waiting or self._waiting[-1].size >= self._options.batch_bytes:
            self._waiting.append(ProducerBatch(self._drive, time.monotonic() + self._options.linger_ms / 1000))
        return self._waiting[-1]

    @interrupts.deferring
    def _make_room(self) -> None:
        """Make room in a full buffer: write what waits, or wait for what is being written.  Raises: BufferExhaustedError."""
        deadline_s = time.monotonic() + self._options.max_block_ms / 1000
        with suppress(TimeoutError):
            if self._send_next(deadline_s=deadline_s):
                return
            in_flight = self._others()
            if not in_flight or self._wait_for(in_flight[0], deadline_s):
                return
        raise BufferExhaustedError(
            f"the buffer of {self._options.buffer_memory} bytes was full for {self._options.max_block_ms} ms: records "
            "come faster than they can be written"
        )

    def flush(self) -> None:
        """See `Producer.flush`."""
        error = self._send_pending()
        for batch in self._others():
            self._wait_for(batch)
        if error is not None:
            raise error

    def _others(self) -> list[ProducerBatch]:
        """The batches on their way, except one whose senders this thread is telling (a sender's callback may ask)."""
        with self._guard:
            return [batch for batch in self._in_flight if batch.told_by != threading.get_ident()]

    def _wait_for(self, batch: ProducerBatch, deadline_s: float | None = None) -> bool:
        """Wait for a batch; returns whether it is done."""
        while not batch.done.is_set() and self._complete_one():
            pass
        return interrupts.wait_for_event(batch.done, _left_s(deadline_s))

    def _complete_one(self) -> bool:
        """Do the work of the thread that waits for the disk, if this is that thread.  A sender's callback may make it wait,
        and no other thread would do that work then.  Returns whether there was any.
        """
        if threading.current_thread() is not self._completer:
            return False
        try:
            begun = self._begun.get_nowait()
        except Empty:
            return False
        if begun is not None:
            self._complete(begun)
        return True

    @interrupts.deferring
    def _send_pending(self) -> PenstockError | None:
        """Write what waits now.  Returns the error of the first batch that failed."""
        with self._guard:
            pending = self._waiting[-1] if self._waiting else None
        found = None
        while pending is not None and not pending.taken:
            sent = self._send_next()
            found = found or (None if sent is None else sent.error)
        return found

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold ``sending`` for a commit of the caller's own, when fewer than ``max_in_flight`` others are on their way."""
        self._take_slot()
        try:
            with self.sending:
                yield
        finally:
            self._slots.release()

    def _take_slot(self, deadline_s: float | None = None) -> None:
        """Take a slot in flight.  Call it before taking ``sending``, which the holder of a slot may need.

        Raises: TimeoutError.
        """
        while not self._slots.acquire(blocking=False):
            if not self._complete_one():
                if not interrupts.acquire(self._slots, _left_s(deadline_s)):
                    raise TimeoutError
                return

    def _send_next(self, *, ahead: bool = False, deadline_s: float | None = None) -> ProducerBatch | None:
        """Write the first waiting batch; returns it, or None if there was none.

        Args:
            ahead: whether another thread may wait for the disk.
            deadline_s: how long to wait for the turn.

        Raises:
            TimeoutError: the turn did not come in time.
        """
        self._take_slot(deadline_s)
        left_s = _left_s(deadline_s)
        try:
            if not interrupts.acquire(self.sending, left_s):
                raise TimeoutError
        except BaseException:
            self._slots.release()
            raise
        try:
            with self._guard:
                batch = self._waiting.popleft() if self._waiting else None
                if batch is not None:
                    batch.taken = True
                    self._in_flight.append(batch)
            if batch is None:
                self._slots.release()
                return None
            try:
                begun = _Begun(batch, *self._begin(batch.items))
            except BaseException as error:
                self._slots.release()
                self._end(batch, error)
                if not isinstance(error, PenstockError):
                    raise
                return batch
        finally:
            self.sending.release()
        if ahead and not begun.committing.done:
            self._begun.put(begun)
            if self._completer is None:
                self._completer = threading.Thread(target=self._complete_in_background, name="penstock-sender", daemon=True)
                self._completer.start()
        else:
            self._complete(begun)
        return batch

    def _complete(self, begun: _Begun) -> None:
        """Wait until a batch is written, and tell its senders."""
        begun.batch.told_by = threading.get_ident()
        try:
            try:
                commit = begun.committing.result()
            finally:
                self._slots.release()
            begun.writer.settle(commit)
        except BaseException as error:
            self._end(begun.batch, error)
            if not isinstance(error, PenstockError):
                raise
        else:
            self._end(begun.batch)

    def _end(self, batch: ProducerBatch, error: BaseException | None = None) -> None:
        """Remove a batch that is done."""
        if error is not None:
            batch.error = error if isinstance(error, PenstockError) else None
            fail_all(batch.items, error)
        with self._guard:
            self._buffered -= batch.size
            self._in_flight.remove(batch)
        batch.items = []
        batch.done.set()

    def _drive(self, batch: ProducerBatch, timeout_s: float | None) -> None:
        """For `Delivery.result`: without a linger the caller that waits writes them, to save a change of threads."""
        completes = threading.current_thread() is self._completer
        if self._options.background and not completes and (self._options.linger_ms > 0 or timeout_s is not None):
            return
        while not batch.taken:
            self._send_next()
        if completes:
            self._wait_for(batch)

    @interrupts.deferring
    def _start_thread(self) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_in_background, name="penstock-producer", daemon=True)
                self._thread.start()

    def _send_in_background(self) -> None:
        while not self.closed:
            due_s = self._due_s()
            if due_s is None and self.abandoned:
                self._begun.put(None)
                return
            if due_s is None or due_s > 0:
                self._asleep.acquire(timeout=-1 if due_s is None else due_s)
                continue
            with suppress(Exception):  # whoever sent a record is told of what it was
                self._send_next(ahead=True)

    def _complete_in_background(self) -> None:
        while (begun := self._begun.get()) is not None:
            with suppress(Exception):  # the same
                self._complete(begun)

    def _due_s(self) -> float | None:
        """In how many seconds the next batch is due; None if nothing waits."""
        with self._guard:
            if not self._waiting:
                return None
            batch = self._waiting[0]
            return 0.0 if batch.size >= self._options.batch_bytes else batch.deadline_s - time.monotonic()

    def abandon(self) -> None:
        """Note that the producer was dropped: the threads write what waits, and end.

        Called on any thread at any moment, so it takes no lock.
        """
        self.abandoned = True
        self._wake()

    def close(self) -> None:
        """See `Producer.close`."""
        with self._guard:
            if self.closed:
                return
            self.closed = True
        self._wake()
        try:
            self.flush()
        finally:
            self._begun.put(None)
            for thread in (self._thread, self._completer):
                if thread is not None and thread is not threading.current_thread():
                    thread.join()


def _left_s(deadline_s: float | None) -> float | None:
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
