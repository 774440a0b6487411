"""Push queries: a bounded buffer between a running query and its reader.

A slow reader is never a reason to use more memory.  By choice (``overflow``) the query waits for it (``block``, the log
keeps what is to come), or rows are dropped and the reader is told how many (``drop``).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..limits import SUBSCRIPTION_ROWS_MAX
from .batch import Batch


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


class Subscription:
    """An iterator (also ``async for``) over the rows of a push query.  Thread-safe.

    Iteration ends when LIMIT is reached, when the query ends, or after ``close()``.
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
        to_rows: Callable[[Batch], list[tuple[Any, ...]]] | None = None,
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
        self._to_rows = to_rows or _rows
        self._rows: deque[PushRow] = deque()
        self._condition = threading.Condition()
        self._received = 0
        self._missed = 0
        self._closed = self.limit_reached
        self._error: BaseException | None = None
        self._ended = False

    def ready(self) -> bool:
        """Whether the query may hand over more."""
        with self._condition:
            if self._closed:
                return False
            return self._overflow == "drop" or len(self._rows) < self._rows_max

    def receive(self, batch: Batch) -> None:
        """Take a batch from the running query."""
        with self._condition:
            if self._closed or self.limit_reached:
                return
            if self._limit is not None:
                batch = batch.slice(0, min(len(batch), self._limit - self._received))
            if self._overflow == "drop" and len(self._rows) + len(batch) > self._rows_max:
                room = max(0, self._rows_max - len(self._rows))
                self._missed += len(batch) - room
                batch = batch.slice(0, room)
            tombstones = batch.tombstone_mask()
            for number, values in enumerate(self._to_rows(batch)):
                row = PushRow(values, bool(tombstones[number]), int(batch.timestamps[number]), self._missed)
                self._missed = 0
                self._rows.append(row)
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
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._rows:
                if self._error is not None:
                    raise self._error
                if self._closed or self._ended or self.limit_reached:
                    return None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._condition.wait(left)
            row = self._rows.popleft()
            wake = len(self._rows) == self._rows_max // 2
        if wake:
            self._on_room()
        return row

    @property
    def finished(self) -> bool:
        """No row is left and none will come."""
        with self._condition:
            return not self._rows and (self._closed or self._ended or self.limit_reached or self._error is not None)

    def close(self) -> None:
        """Stop the query and end all iteration."""
        with self._condition:
            if self._closed and not self.limit_reached:
                return
            self._closed = True
            self._rows.clear()
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
            while not self.finished:
                row = await asyncio.to_thread(self.poll, 0.2)
                if row is not None:
                    yield row
        finally:
            self.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _rows(batch: Batch) -> list[tuple[Any, ...]]:
    """All columns of a batch as Python tuples."""
    if not batch.columns:
        return [()] * len(batch)
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
