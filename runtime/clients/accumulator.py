"""Batches of a producer: what waits, what is on its way, and the threads that see to it.

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
from typing import TYPE_CHECKING

from ...errors import BufferExhaustedError, ClientError, PenstockError
from ...storage import interrupts
from ...storage.log.protocol import Committing
from .outgoing import Bulk, Flight, Outgoing, Send, fail_all

if TYPE_CHECKING:
    from .producer import ProducerOptions

__all__ = ["Flights"]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A batch that has its place in the log."""

    flight: Flight
    outgoing: Outgoing
    committing: Committing


class Flights:
    """Thread-safe.

    Args:
        max_in_flight: batches that were begun and are not done, at most.
        begin: gives a batch its place in the log; called with ``sending`` held.
    """

    def __init__(
        self,
        options: ProducerOptions,
        max_in_flight: int,
        begin: Callable[[Sequence[Send | Bulk]], tuple[Outgoing, Committing]],
    ) -> None:
        self.sending = threading.RLock()
        """Held by whoever begins a batch."""
        self.closed = False
        self._options = options
        self._begin = begin
        self._guard = threading.Lock()
        self._waiting: deque[Flight] = deque()
        """Batches that nobody has begun; the last one takes more, unless it is full."""
        self._flying: list[Flight] = []
        """Batches that were taken and are not done."""
        self._buffered = 0
        """Bytes in both."""
        self._slots = threading.BoundedSemaphore(max_in_flight)
        self._begun: SimpleQueue[_Begun | None] = SimpleQueue()
        self._asleep = threading.Lock()
        """Released where the thread has to look again."""
        self._thread: threading.Thread | None = None
        self._lander: threading.Thread | None = None
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
                    flight = self._last_flight()
                    full = flight.size + size >= self._options.batch_bytes
                    if self._options.background and (full or not flight.items):
                        self._wake()  # (first: whom it wakes looks when the guard is free)
                    item.board(flight)
                    flight.items.append(item)
                    flight.size += size
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

    def _last_flight(self) -> Flight:
        """What takes the next item.  Called with ``_guard`` held."""
        if not self._waiting or self._waiting[-1].size >= self._options.batch_bytes:
            self._waiting.append(Flight(self._drive, time.monotonic() + self._options.linger_ms / 1000))
        return self._waiting[-1]

    @interrupts.deferring
    def _make_room(self) -> None:
        """The buffer is full: write what waits, or wait for what is being written.  Raises: BufferExhaustedError."""
        deadline_s = time.monotonic() + self._options.max_block_ms / 1000
        with suppress(TimeoutError):
            if self._send_next(deadline_s=deadline_s):
                return
            flying = self._others()
            if not flying or self._wait_for(flying[0], deadline_s):
                return
        raise BufferExhaustedError(
            f"the buffer of {self._options.buffer_memory} bytes was full for {self._options.max_block_ms} ms: records "
            "come faster than they can be written"
        )

    def flush(self) -> None:
        """See `Producer.flush`."""
        error = self._send_pending()
        for flight in self._others():
            self._wait_for(flight)
        if error is not None:
            raise error

    def _others(self) -> list[Flight]:
        """What is on its way, but for those that this thread is telling about: it may be a sender's callback that asks."""
        with self._guard:
            return [flight for flight in self._flying if flight.told_by != threading.get_ident()]

    def _wait_for(self, flight: Flight, deadline_s: float | None = None) -> bool:
        """Returns: whether it is done."""
        while not flight.done.is_set() and self._land_one():
            pass
        return interrupts.wait_for_event(flight.done, _left_s(deadline_s))

    def _land_one(self) -> bool:
        """If this is the thread that waits for the disk, and a sender's callback has it wait for something else: nobody else
        would do its work meanwhile.  Returns: whether there was any."""
        if threading.current_thread() is not self._lander:
            return False
        try:
            begun = self._begun.get_nowait()
        except Empty:
            return False
        if begun is not None:
            self._land(begun)
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
            if not self._land_one():
                if not interrupts.acquire(self._slots, _left_s(deadline_s)):
                    raise TimeoutError
                return

    def _send_next(self, *, ahead: bool = False, deadline_s: float | None = None) -> Flight | None:
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
                flight = self._waiting.popleft() if self._waiting else None
                if flight is not None:
                    flight.taken = True
                    self._flying.append(flight)
            if flight is None:
                self._slots.release()
                return None
            try:
                begun = _Begun(flight, *self._begin(flight.items))
            except BaseException as error:
                self._slots.release()
                self._end(flight, error)
                if not isinstance(error, PenstockError):
                    raise
                return flight
        finally:
            self.sending.release()
        if ahead and not begun.committing.done:
            self._begun.put(begun)
            if self._lander is None:
                self._lander = threading.Thread(target=self._land_in_background, name="penstock-sender", daemon=True)
                self._lander.start()
        else:
            self._land(begun)
        return flight

    def _land(self, begun: _Begun) -> None:
        """Wait until a batch is written, and tell its senders."""
        begun.flight.told_by = threading.get_ident()
        try:
            try:
                commit = begun.committing.result()
            finally:
                self._slots.release()
            begun.outgoing.settle(commit)
        except BaseException as error:
            self._end(begun.flight, error)
            if not isinstance(error, PenstockError):
                raise
        else:
            self._end(begun.flight)

    def _end(self, flight: Flight, error: BaseException | None = None) -> None:
        """A batch is done."""
        if error is not None:
            flight.error = error if isinstance(error, PenstockError) else None
            fail_all(flight.items, error)
        with self._guard:
            self._buffered -= flight.size
            self._flying.remove(flight)
        flight.items = []
        flight.done.set()

    def _drive(self, flight: Flight, timeout_s: float | None) -> None:
        """What `Delivery.result` calls: with nothing to linger for, whoever waits writes, and spares a change of threads."""
        lands = threading.current_thread() is self._lander
        if self._options.background and not lands and (self._options.linger_ms > 0 or timeout_s is not None):
            return
        while not flight.taken:
            self._send_next()
        if lands:
            self._wait_for(flight)

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

    def _land_in_background(self) -> None:
        while (begun := self._begun.get()) is not None:
            with suppress(Exception):  # the same
                self._land(begun)

    def _due_s(self) -> float | None:
        """In how many seconds there is something to do; None if nothing waits."""
        with self._guard:
            if not self._waiting:
                return None
            flight = self._waiting[0]
            return 0.0 if flight.size >= self._options.batch_bytes else flight.deadline_s - time.monotonic()

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
            for thread in (self._thread, self._lander):
                if thread is not None and thread is not threading.current_thread():
                    thread.join()


def _left_s(deadline_s: float | None) -> float | None:
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
