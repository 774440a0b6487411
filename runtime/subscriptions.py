"""Push queries: a bounded buffer between a running query and its reader.

A slow reader never costs more memory.  By choice (``overflow``) the query waits for it (``block``; the log keeps the
records), or rows are dropped and the reader learns how many (``drop``).

The query holds the `Feed`, the reader holds the `Subscription`, and the feed has no reference to its reader.  So a
subscription that is dropped without `Subscription.close` becomes garbage, and its query ends.

On an event loop no thread waits for rows: the loop wakes `Subscription.next_row`, `Subscription.next_batch` and ``async
for`` (`Wakes`), so any number of idle readers costs only their memory.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import pyarrow as pa

from ..limits import SUBSCRIPTION_ROWS_MAX
from ..storage import interrupts
from ..storage.forks import Origin
from . import user_code
from .batch import Batch, Bools, Int64s, python_values
from .timeouts import deadline_after
from .wakes import Wakes

_LOGGER = logging.getLogger("penstock.subscriptions")


@dataclass(frozen=True, slots=True)
class PushRow:
    """One row of a push query.

    Attributes:
        values: Python values, parallel to the subscription's columns.
        tombstone: the row of that key was deleted (only for tables).
        timestamp: ROWTIME in ms.
        missed: rows dropped before this one because the reader was slow, and records that retention removed meanwhile.
        columns: the names of the values.
    """

    values: tuple[Any, ...]
    tombstone: bool = False
    timestamp: int = 0
    missed: int = 0
    columns: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The values by column name."""
        return dict(zip(self.columns, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class PushBatch:
    """Rows of a push query as columns.

    Attributes:
        columns: one Arrow array per column of the subscription.
        timestamps: int64[n], ROWTIME in ms.
        tombstones: bool[n], the row of that key was deleted (only for tables).
        missed: rows dropped before these because the reader was slow, and records that retention removed meanwhile.
    """

    columns: pa.RecordBatch
    timestamps: Int64s
    tombstones: Bools
    missed: int = 0

    def __len__(self) -> int:
        return len(self.timestamps)


class ReaderPosition(Protocol):
    """Keeps the position of a subscription's reader, see `resuming`."""

    def giving(self, places: Any, row: int) -> None: ...

    def asking(self) -> None: ...

    def failed(self) -> None: ...


class Shared:
    """A batch for one or many readers of the same shape.  Each form of it is made once, for the first reader that asks."""

    __slots__ = ("_columns", "_rows", "batch")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._columns: PushBatch | None = None
        self._rows: tuple[list[tuple[Any, ...]], Bools] | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def first(self, count: int) -> Shared:
        """The first rows only."""
        return self if count >= len(self) else Shared(self.batch.slice(0, count))

    def rows(self, to_columns: Callable[[Batch], Sequence[Any]]) -> tuple[list[tuple[Any, ...]], Bools]:
        """The rows as Python values, and bool[n], which of them are tombstones."""
        if self._rows is None:
            columns = [python_values(column) for column in to_columns(self.batch)]
            rows = list(zip(*columns, strict=True)) if columns else [()] * len(self)
            self._rows = rows, self.batch.tombstone_mask()
        return self._rows

    def columns(self, to_columns: Callable[[Batch], Sequence[Any]], names: Sequence[str]) -> PushBatch:
        """The rows as Arrow columns; the same object for all."""
        if self._columns is None:
            self._columns = _columns(self.batch, to_columns, names, 0)
        return self._columns


def _columns(batch: Batch, to_columns: Callable[[Batch], Sequence[Any]], names: Sequence[str], missed: int) -> PushBatch:
    arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in to_columns(batch)]
    columns = pa.RecordBatch.from_arrays(arrays, names=list(names))
    return PushBatch(columns, batch.timestamps, batch.tombstone_mask(), missed)


@dataclass(slots=True)
class _Held:
    """A batch that was not read to its end."""

    shared: Shared
    missed: int
    places: Any = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.shared)


_Found = TypeVar("_Found")

_ROWS_PER_TURN = 256
"""The number of rows after which ``async for`` lets the loop's other tasks run."""


class Feed:
    """The query's side of a push query.  Thread-safe."""

    def __init__(
        self,
        *,
        limit: int | None = None,
        overflow: Literal["block", "drop"] = "block",
        rows_max: int = SUBSCRIPTION_ROWS_MAX,
        on_close: Callable[[], None] = lambda: None,
        on_room: Callable[[], None] = lambda: None,
        on_abandon: Callable[[], None] = lambda: None,
    ) -> None:
        self.limit_reached = limit == 0
        self.reader: ReaderPosition | None = None
        """Is told the position of its reader."""
        self.abandoned = False
        """Set when the subscription is garbage: nobody will read any more."""
        self._limit = limit
        self._overflow = overflow
        self._rows_max = rows_max
        self._on_close = on_close
        self._on_room = on_room
        self._on_abandon = on_abandon
        self._held: deque[_Held] = deque()
        self._held_rows = 0
        self._condition = threading.Condition()
        self._origin = Origin()
        self._wakes = Wakes()
        self._listener: Callable[[], None] = lambda: None
        self._received = 0
        self._missed = 0
        self._closed = self.limit_reached
        self._error: BaseException | None = None
        self._ended = False

    # --- the query's side ------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether the query may add rows."""
        with self._condition:
            if self._closed or self._ended or self.limit_reached or self.abandoned:
                return False
            return self._overflow == "drop" or self._held_rows < self._rows_max

    def receive(self, batch: Batch | Shared, places: Any = None) -> None:
        """Add a batch of the running query; ``places``: where its rows came from, for a reader whose position is kept."""
        shared = batch if isinstance(batch, Shared) else Shared(batch)
        with self._condition:
            if self._closed or self.limit_reached or self.abandoned:
                return
            if self._limit is not None:
                shared = shared.first(self._limit - self._received)
            missed = self._missed
            if self._overflow == "drop" and self._held_rows + len(shared) > self._rows_max:
                room = max(0, self._rows_max - self._held_rows)
                self._missed += len(shared) - room
                shared = shared.first(room)
            if len(shared):
                self._held.append(_Held(shared, missed, places))
                self._held_rows += len(shared)
                self._missed -= missed
            self._received += len(shared)
            if self._limit is not None and self._received >= self._limit:
                self.limit_reached = True
            self._condition.notify_all()
        self._tell()

    def overtaken(self, records: int) -> None:
        """Note records that retention removed before the query read them; the next row says how many."""
        with self._condition:
            self._missed += records

    def fail(self, error: BaseException) -> None:
        """Note that the query failed; readers get the error after the remaining rows."""
        with self._condition:
            self._error = error
            self._condition.notify_all()
        self._tell()

    def end(self) -> None:
        """Note that there will be no more rows; readers stop after those at hand."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        self._tell()

    def _tell(self) -> None:
        """Notify readers for which no thread waits that there is something to read or an end."""
        self._wakes.wake()
        try:
            user_code.call(self._listener)
        except user_code.UserCodeError as error:  # whoever listens is no part of the query, which other readers may share
            _LOGGER.warning("the listener of a subscription failed: %s", error)

    # --- the reader's side -----------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function, on any thread, whenever there is something to read or an end."""
        self._listener = listener

    def abandon(self) -> None:
        """Note that the subscription was dropped.  Called on any thread at any moment, so it takes no lock."""
        self.abandoned = True
        self._on_abandon()

    def take(self, timeout_s: float | None, *, whole: bool) -> _Held | None:
        """Wait at most so long for what is to be read next; returns it in place, or (``whole``) removes it from the buffer.

        A reader of single rows takes them with `took_row`.
        """
        deadline = deadline_after(timeout_s)
        self._origin.check("the subscription")
        with self._condition:
            while not self._held:
                if self._error is not None:
                    raise self._error
                if self._closed or self._ended or self.limit_reached:
                    return None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                interrupts.wait_for(self._condition, self._something, left)
            held = self._held[0]
            if not whole:
                return held
            self._held.popleft()
            wake = self._took(len(held) - held.start)
        if self.reader is not None:
            self.reader.giving(held.places, len(held) - 1)
        if wake:
            self._on_room()
        return held

    @property
    def held(self) -> bool:
        """Whether rows are at hand."""
        with self._condition:
            return bool(self._held)

    def _something(self) -> bool:
        """Whether there is something to read or an end.  Call it with the condition held."""
        return bool(self._held) or self._closed or self._ended or self.limit_reached or self._error is not None

    def next_row(
        self, timeout_s: float | None, to_columns: Callable[[Batch], Sequence[Any]], names: tuple[str, ...] = ()
    ) -> PushRow | None:
        """The next row, see `Subscription.poll`."""
        if self.reader is not None:
            self.reader.asking()
        deadline = deadline_after(timeout_s)
        while True:
            if self.take(None if deadline is None else deadline - time.monotonic(), whole=False) is None:
                return None
            with self._condition:
                if not self._held:
                    continue  # another reader was quicker
                held = self._held[0]
                number = held.start
                rows, tombstones = held.shared.rows(to_columns)
                missed = 0 if number else held.missed
                stamp = int(held.shared.batch.timestamps[number])
                row = PushRow(rows[number], bool(tombstones[number]), stamp, missed, names)
                held.start += 1
                if held.start == len(held):
                    self._held.popleft()
                wake = self._took(1)
            if self.reader is not None:
                self.reader.giving(held.places, number)
            if wake:
                self._on_room()
            return row

    def _took(self, rows: int) -> bool:
        """Note that rows were read; returns whether that made room."""
        half = self._rows_max // 2
        before, self._held_rows = self._held_rows, self._held_rows - rows
        return self._held_rows <= half < before

    async def changed(self, timeout_s: float | None) -> bool:
        """Wait on the event loop until there is something to read or an end; False if the time was up first."""

        def something() -> bool:
            with self._condition:
                return self._something()

        return await self._wakes.wait(timeout_s, something)

    @property
    def finished(self) -> bool:
        """Whether no row is left and none will come."""
        with self._condition:
            return not self._held and (self._closed or self._ended or self.limit_reached or self._error is not None)

    @property
    def over(self) -> bool:
        """Whether no row is left, none will come, and there is no error to raise."""
        with self._condition:
            return not self._held and self._error is None and (self._closed or self._ended or self.limit_reached)

    def close(self) -> None:
        """Stop the query and end all iteration."""
        if self._origin.foreign:
            return
        with self._condition:
            if self._closed and not self.limit_reached:
                return
            self._closed = True
            self._held.clear()
            self._held_rows = 0
            self._condition.notify_all()
        self._tell()
        self._on_close()


@interrupts.doors()
class Subscription:
    """An iterator (also ``async for``) over the rows of a push query.  Thread-safe.

    Iteration ends when LIMIT is reached, when the query ends, or after ``close()``.  `batches` gives the same rows as Arrow
    columns, many at a time and without a Python object for each.  It is a context manager, also for ``async with``.  A
    subscription that is dropped without being closed ends its query when it is garbage-collected.

    On an event loop::

        async with db.subscribe("SELECT * FROM spend EMIT CHANGES") as rows:
            async for row in rows: ...
            batch = await rows.next_batch(timeout_s=1.0)

    Args:
        feed: the query's side of it.
        query_id: of the transient query that fills it.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        feed: Feed,
        *,
        to_columns: Callable[[Batch], Sequence[Any]] = lambda batch: batch.columns,
        query_id: str = "",
    ) -> None:
        self.columns = columns
        self.query_id = query_id
        self.use: object = None
        """Keeps what it reads open, for whoever made it."""
        self._feed = feed
        self._to_columns = to_columns
        weakref.finalize(self, feed.abandon).atexit = False

    @property
    def limit_reached(self) -> bool:
        """Whether LIMIT has ended it."""
        return self._feed.limit_reached

    def poll(self, timeout_s: float | None = 0.0) -> PushRow | None:
        """The next row.  Waits for it at most this long (None: for ever).  None if it did not come, or there are no more.

        Raises:
            PenstockError: the query failed.
        """
        return self._feed.next_row(timeout_s, self._to_columns, self.columns)

    def poll_batch(self, timeout_s: float | None = 0.0) -> PushBatch | None:
        """Like `poll`, but returns all rows that came together."""
        held = self._feed.take(timeout_s, whole=True)
        if held is None:
            return None
        if not held.start and not held.missed:
            return held.shared.columns(self._to_columns, self.columns)
        batch = held.shared.batch
        if held.start:
            batch = batch.slice(held.start, len(batch))
        return _columns(batch, self._to_columns, self.columns, 0 if held.start else held.missed)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function, on any thread, whenever `poll` or `poll_batch` may find something or `finished` may change."""
        self._feed.listen(listener)

    async def next_row(self, timeout_s: float | None = None) -> PushRow | None:
        """`poll` for an event loop: other tasks run while it waits, and no thread is used.

        Raises:
            PenstockError: the query failed.
        """
        return await self._on_loop(self.poll, timeout_s)

    async def next_batch(self, timeout_s: float | None = None) -> PushBatch | None:
        """`poll_batch` for an event loop, see `next_row`."""
        return await self._on_loop(self.poll_batch, timeout_s)

    async def _on_loop(self, poll: Callable[[float], _Found | None], timeout_s: float | None) -> _Found | None:
        deadline = deadline_after(timeout_s)
        while True:
            found = poll(0.0)  # raises what the query failed with
            if found is not None or self._feed.over:
                return found
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not await self._feed.changed(left):
                return None

    def batches(self) -> Iterator[PushBatch]:
        """Iterate over the rows as Arrow columns."""
        try:
            while (batch := self.poll_batch(None)) is not None:
                yield batch
        finally:
            self.close()

    @property
    def finished(self) -> bool:
        """Whether no row is left and none will come."""
        return self._feed.finished

    def end(self) -> None:
        """End the query; the rows at hand can still be read."""
        self._feed.end()

    def close(self) -> None:
        """Stop the query and end all iteration."""
        self._feed.close()

    def __iter__(self) -> Iterator[PushRow]:
        try:
            while (row := self.poll(None)) is not None:
                yield row
        finally:
            self._left()

    async def __aiter__(self) -> AsyncIterator[PushRow]:
        given = 0
        try:
            while (row := await self.next_row()) is not None:
                yield row
                given += 1
                if given % _ROWS_PER_TURN == 0:
                    await asyncio.sleep(0)
        finally:
            self._left()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: object = None, *exc: object) -> None:
        if kind is None:
            self.close()
            return
        if self._feed.reader is not None:
            self._feed.reader.failed()
        self._feed.close()

    def _left(self) -> None:
        """Note the end of a loop over it.  If the reader's position is kept, the subscription stays open: only ``with``
        around the loop sees whether the last row failed, and closes it.
        """
        if self._feed.reader is None or self._feed.over:
            self._feed.close()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, kind: object = None, *exc: object) -> None:
        self.__exit__(kind)
