"""The record accumulator of a producer: batches that wait, batches in flight, and the threads that see to them.

Batches are begun one after the other, so records keep their order, and a large one is begun while the disk still works for
those before it.  One thread begins them, another waits for the disk; and whoever waits for something of it does it himself.
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
    """Thread-safe.

    Args:
        max_in_flight: batches that were begun and are not done, at most.
        begin: gives a batch its place in the log; called with ``sending`` held.
    """

    def __init__(
        self,
        options: ProducerOptions,
        max_in_flight: int,
        begin: Callable[[Sequence[Send | Bulk]], tuple[BatchWriter, Committing]],
    ) -> None:
        self.sending = threading.RLock()
        """Held by whoever begins a batch."""
        self.closed = False
        self._options = options
        self._begin = begin
        self._guard = threading.Lock()
        self._waiting: deque[ProducerBatch] = deque()
        """Batches that nobody has begun; the last one takes more, unless it is full."""
        self._in_flight: list[ProducerBatch] = []
        """Batches that were taken and are not done."""
        self._buffered = 0
        """Bytes in both."""
        self._slots = threading.BoundedSemaphore(max_in_flight)
        self._begun: SimpleQueue[_Begun | None] = SimpleQueue()
        self._asleep = threading.Lock()
        """Released where the thread has to look again."""
        self._thread: threading.Thread | None = None
        self._completer: threading.Thread | None = None
        """Waits for the disk, while ``_thread`` begins the next batch."""

    def add(self, item: Send | Bulk, size: int) -> None:
        """Have it written with the next batch.

        Args:
            size: bytes that it holds in memory.

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
        """Have the thread look again.  One call into C: it may be interrupted before or behind, and not in between."""
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def _last_batch(self) -> ProducerBatch:
        """What takes the next item.  Called with ``_guard`` held."""
        if not self._waiting or self._waiting[-1].size >= self._options.batch_bytes:
            self._waiting.append(ProducerBatch(self._drive, time.monotonic() + self._options.linger_ms / 1000))
        return self._waiting[-1]

    @interrupts.deferring
    def _make_room(self) -> None:
        """The buffer is full: write what waits, or wait for what is being written.  Raises: BufferExhaustedError."""
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
        """What is on its way, but for those that this thread is telling about: it may be a sender's callback that asks."""
        with self._guard:
            return [batch for batch in self._in_flight if batch.told_by != threading.get_ident()]

    def _wait_for(self, batch: ProducerBatch, deadline_s: float | None = None) -> bool:
        """Returns: whether it is done."""
        while not batch.done.is_set() and self._complete_one():
            pass
        return interrupts.wait_for_event(batch.done, _left_s(deadline_s))

    def _complete_one(self) -> bool:
        """If this is the thread that waits for the disk, and a sender's callback has it wait for something else: nobody else
        would do its work meanwhile.  Returns: whether there was any."""
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
        """Write what waits by now.  Returns: why the first one failed, of those that did."""
        with self._guard:
            pending = self._waiting[-1] if self._waiting else None
        found = None
        while pending is not None and not pending.taken:
            sent = self._send_next()
            found = found or (None if sent is None else sent.error)
        return found

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold ``sending`` for a commit of one's own, with fewer than ``max_in_flight`` others on their way."""
        self._take_slot()
        try:
            with self.sending:
                yield
        finally:
            self._slots.release()

    def _take_slot(self, deadline_s: float | None = None) -> None:
        """Before ``sending`` is taken: who has a slot may want that.  Raises: TimeoutError."""
        while not self._slots.acquire(blocking=False):
            if not self._complete_one():
                if not interrupts.acquire(self._slots, _left_s(deadline_s)):
                    raise TimeoutError
                return

    def _send_next(self, *, ahead: bool = False, deadline_s: float | None = None) -> ProducerBatch | None:
        """Write the first batch that waits.  Returns: it, if there was one.

        Args:
            ahead: whether another thread may wait for the disk.
            deadline_s: until when to wait for one's turn.

        Raises:
            TimeoutError: it did not come.
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
        """A batch is done."""
        if error is not None:
            batch.error = error if isinstance(error, PenstockError) else None
            fail_all(batch.items, error)
        with self._guard:
            self._buffered -= batch.size
            self._in_flight.remove(batch)
        batch.items = []
        batch.done.set()

    def _drive(self, batch: ProducerBatch, timeout_s: float | None) -> None:
        """What `Delivery.result` calls: with nothing to linger for, whoever waits writes, and spares a change of threads."""
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
        """In how many seconds there is something to do; None if nothing waits."""
        with self._guard:
            if not self._waiting:
                return None
            batch = self._waiting[0]
            return 0.0 if batch.size >= self._options.batch_bytes else batch.deadline_s - time.monotonic()

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
