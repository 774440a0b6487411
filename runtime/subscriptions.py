"""Push queries: a bounded buffer between a running query and its reader.

A slow reader is never a reason to use more memory.  By choice (``overflow``) the query waits for it (``block``, the log
keeps what is to come), or rows are dropped and the reader is told how many (``drop``).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from ..limits import SUBSCRIPTION_ROWS_MAX
from .batch import Batch, Bools, Int64s, python_values


@dataclass(frozen=True, slots=True)
class PushRow:
    """One row of a push query.

    Attributes:
        values: as Python values, parallel to the subscription's columns.
        tombstone: the row of that key was deleted (only for tables).
        timestamp: ROWTIME in ms.
        missed: rows dropped before this one because the reader was slow.
    """

    values: tuple[Any, ...]
    tombstone: bool = False
    timestamp: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class PushBatch:
    """Rows of a push query as columns.

    Attributes:
        columns: one Arrow array per column of the subscription.
        timestamps: int64[n], ROWTIME in ms.
        tombstones: bool[n], the row of that key was deleted (only for tables).
        missed: rows dropped before these because the reader was slow.
    """

    columns: pa.RecordBatch
    timestamps: Int64s
    tombstones: Bools
    missed: int = 0

    def __len__(self) -> int:
        return len(self.timestamps)


@dataclass(slots=True)
class _Held:
    """A batch that was not read, or not to its end; its rows are made when the first one is asked for."""

    batch: Batch
    missed: int
    start: int = 0
    rows: list[tuple[Any, ...]] | None = None
    tombstones: Bools | None = None


class Subscription:
    """An iterator (also ``async for``) over the rows of a push query.  Thread-safe.

    Iteration ends when LIMIT is reached, when the query ends, or after ``close()``.  `batches` gives the same rows as Arrow
    columns, many at a time and without a Python object for each.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        *,
        limit: int | None = None,
        overflow: Literal["block", "drop"] = "block",
        rows_max: int = SUBSCRIPTION_ROWS_MAX,
        on_close: Callable[[], None] = lambda: None,
        on_room: Callable[[], None] = lambda: None,
        to_columns: Callable[[Batch], Sequence[Any]] = lambda batch: batch.columns,
    ) -> None:
        self.columns = columns
        self.query_id = ""
        """Of the transient query that fills it; set by whoever starts that."""
        self.limit_reached = limit == 0
        self._limit = limit
        self._overflow = overflow
        self._rows_max = rows_max
        self._on_close = on_close
        self._on_room = on_room
        self._to_columns = to_columns
        self._held: deque[_Held] = deque()
        self._held_rows = 0
        self._condition = threading.Condition()
        self._received = 0
        self._missed = 0
        self._closed = self.limit_reached
        self._error: BaseException | None = None
        self._ended = False

    def ready(self) -> bool:
        """Whether the query may hand over more."""
        with self._condition:
            if self._closed or self._ended or self.limit_reached:
                return False
            return self._overflow == "drop" or self._held_rows < self._rows_max

    def receive(self, batch: Batch) -> None:
        """Take a batch from the running query."""
        with self._condition:
            if self._closed or self.limit_reached:
                return
            if self._limit is not None:
                batch = batch.slice(0, min(len(batch), self._limit - self._received))
            missed = self._missed
            if self._overflow == "drop" and self._held_rows + len(batch) > self._rows_max:
                room = max(0, self._rows_max - self._held_rows)
                self._missed += len(batch) - room
                batch = batch.slice(0, room)
            if len(batch):
                self._held.append(_Held(batch, missed))
                self._held_rows += len(batch)
                self._missed -= missed
            self._received += len(batch)
            if self._limit is not None and self._received >= self._limit:
                self.limit_reached = True
            self._condition.notify_all()

    def fail(self, error: BaseException) -> None:
        """The query stopped because of an error: readers get it after the rows they have not read."""
        with self._condition:
            self._error = error
            self._condition.notify_all()

    def end(self) -> None:
        """There will be no more rows: readers stop after those at hand."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def poll(self, timeout_s: float | None = 0.0) -> PushRow | None:
        """The next row, waiting for it at most so long (None waits for ever); None if there is none or it is over.

        Raises:
            PenstockError: the query failed.
        """
        with self._condition:
            if not self._await(timeout_s):
                return None
            held, number = self._held[0], self._held[0].start
            if held.rows is None:
                columns = [python_values(column) for column in self._to_columns(held.batch)]
                held.rows = list(zip(*columns, strict=True)) if columns else [()] * len(held.batch)
                held.tombstones = held.batch.tombstone_mask()
            assert held.tombstones is not None
            missed = 0 if number else held.missed
            row = PushRow(held.rows[number], bool(held.tombstones[number]), int(held.batch.timestamps[number]), missed)
            held.start += 1
            if held.start == len(held.batch):
                self._held.popleft()
            wake = self._took(1)
        if wake:
            self._on_room()
        return row

    def poll_batch(self, timeout_s: float | None = 0.0) -> PushBatch | None:
        """Like `poll`, but all rows that came together."""
        with self._condition:
            if not self._await(timeout_s):
                return None
            held = self._held.popleft()
            wake = self._took(len(held.batch) - held.start)
        if wake:
            self._on_room()
        batch = held.batch.slice(held.start, len(held.batch)) if held.start else held.batch
        arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in self._to_columns(batch)]
        columns = pa.RecordBatch.from_arrays(arrays, names=list(self.columns))
        return PushBatch(columns, batch.timestamps, batch.tombstone_mask(), 0 if held.start else held.missed)

    def _await(self, timeout_s: float | None) -> bool:
        """Wait for a row, with the condition held."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._closed or self._ended or self.limit_reached:
                return False
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._condition.wait(left)
        return True

    def _took(self, rows: int) -> bool:
        """Note that rows were read; whether that made room for more."""
        half = self._rows_max // 2
        before, self._held_rows = self._held_rows, self._held_rows - rows
        return self._held_rows <= half < before

    def batches(self) -> Iterator[PushBatch]:
        """The rows as Arrow columns, as they come."""
        try:
            while (batch := self.poll_batch(None)) is not None:
                yield batch
        finally:
            self.close()

    @property
    def finished(self) -> bool:
        """No row is left and none will come."""
        with self._condition:
            return not self._held and (self._closed or self._ended or self.limit_reached or self._error is not None)

    def _over(self) -> bool:
        """No row is left, none will come, and no error is to be told."""
        with self._condition:
            return not self._held and self._error is None and (self._closed or self._ended or self.limit_reached)

    def close(self) -> None:
        """Stop the query and end all iteration."""
        with self._condition:
            if self._closed and not self.limit_reached:
                return
            self._closed = True
            self._held.clear()
            self._held_rows = 0
            self._condition.notify_all()
        self._on_close()

    def __iter__(self) -> Iterator[PushRow]:
        try:
            while (row := self.poll(None)) is not None:
                yield row
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[PushRow]:
        try:
            while True:
                row = await asyncio.to_thread(self.poll, 0.2)  # raises what the query failed with
                if row is not None:
                    yield row
                elif self._over():
                    return
        finally:
            self.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
