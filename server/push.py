"""Push queries between the engine's threads and the clients on the event loop.

A `PushReader` takes the rows of its subscription when that says that there are some: no thread and no task waits for it.
It has a bounded queue, and one that is slow leaves the rows where they are: its query waits, alone (`runtime.push_queries`).
Many readers have something to take at the same moment, since they share a running query: they take it in one turn of the
loop (`_Deliveries`), and a batch is put into each format once for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import pyarrow as pa

from ..engine.results import PrintResult
from ..engine.schema import Schema
from ..runtime.subscriptions import PushBatch, Subscription
from .problems import ApiError, api_error
from .rowtexts import RowFormat

_ROWS_MAX: Final = 10_000
"""Rows that wait for one reader."""
_READERS_PER_TURN: Final = 200
"""Then the loop's other tasks have a turn."""
_BATCHES_KEPT: Final = 16
"""Whose texts are at hand for readers that come to them later."""


class Rows:
    """Some rows of a feed, and their texts in the formats that were asked for."""

    __slots__ = ("_texts", "batch", "schema")

    def __init__(self, batch: PushBatch, schema: Schema) -> None:
        self.batch = batch
        self.schema = schema
        self._texts: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self.batch)

    def texts(self, format_: RowFormat) -> list[bytes]:
        """The rows as a format writes them, made once for all readers of a format that keeps no state."""
        key = type(format_).__name__
        if key == "ArrowStream":
            extra = [pa.array(self.batch.tombstones), pa.array(self.batch.timestamps)]
            return format_.rows([*extra, *self.batch.columns.columns], self.schema, None)
        found = self._texts.get(key)
        if found is None:
            columns, tombstones = self.batch.columns.columns, self.batch.tombstones
            if tombstones.any() and not format_.shows_tombstones:
                kept = pa.array(~tombstones)
                columns = [c.filter(kept) for c in columns]
                found = format_.rows(columns, self.schema, None)
            else:
                found = format_.rows(columns, self.schema, tombstones if tombstones.any() else None)
            self._texts[key] = found
        return found


class _Deliveries:
    """What subscriptions have for their readers on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: dict[PushReader, None] = {}
        self._scheduled = False
        self._made: OrderedDict[int, Rows] = OrderedDict()
        """By the identity of their batch, which they keep alive."""

    def notify(self, reader: PushReader) -> None:
        """There is something for a reader.  Called on any thread."""
        with self._lock:
            self._waiting[reader] = None
            if self._scheduled:
                return
            self._scheduled = True
        with suppress(RuntimeError):  # the loop is closed, and with it whoever reads
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            turn = list(itertools.islice(self._waiting, _READERS_PER_TURN))
            for reader in turn:
                del self._waiting[reader]
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                self._loop.call_soon(self._deliver)
        for reader in turn:
            reader.take(self)

    def rows(self, batch: PushBatch, schema: Schema) -> Rows:
        """A batch's rows, the same for all readers that it was handed to."""
        found = self._made.get(id(batch))
        if found is None:
            found = self._made[id(batch)] = Rows(batch, schema)
            while len(self._made) > _BATCHES_KEPT:
                self._made.popitem(last=False)
        return found


_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Deliveries] = WeakKeyDictionary()


def _deliveries() -> _Deliveries:
    """Of the running loop."""
    loop = asyncio.get_running_loop()
    found = _LOOPS.get(loop)
    if found is None:
        found = _LOOPS[loop] = _Deliveries(loop)
    return found


class PushReader:
    """One client of a push query; made and used on the event loop.

    Attributes:
        query_id: what ``/close-query`` ends.
        account: who reads.
    """

    def __init__(self, subscription: Subscription, schema: Schema, query_id: str, account: str) -> None:
        self.query_id = query_id
        self.account = account
        self.schema = schema
        self._subscription = subscription
        self._queue: deque[Rows] = deque()
        self._rows = 0
        self._changed = asyncio.Event()
        self._error: ApiError | None = None
        self._ended = False
        self.final_message: str | None = None
        """Why there are no more rows; None after an error."""
        self._deliveries = _deliveries()
        subscription.listen(partial(self._deliveries.notify, self))
        self._deliveries.notify(self)

    async def next(self) -> Rows | None:
        """The next rows; None at the end, whose reason is `final_message`.

        Raises:
            ApiError: the query failed.
        """
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        rows = self._queue.popleft()
        full = self._rows >= _ROWS_MAX
        self._rows -= len(rows)
        if full and self._rows < _ROWS_MAX:
            self._deliveries.notify(self)
        return rows

    def take(self, deliveries: _Deliveries) -> None:
        """Take what the subscription has, as far as there is room."""
        try:
            while not self._ended and self._rows < _ROWS_MAX:
                batch = self._subscription.poll_batch(0.0)
                if batch is None:
                    if self._subscription.finished:
                        self.end("Limit Reached" if self._subscription.limit_reached else "Query Completed")
                    return
                rows = deliveries.rows(batch, self.schema)
                self._queue.append(rows)
                self._rows += len(rows)
                self._changed.set()
        except Exception as error:  # the query's own failure
            self.end(None, api_error(error))

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        """There will be no more rows."""
        if not self._ended:
            self._ended = True
            self.final_message = final_message
            self._error = error
            self._changed.set()
            self._subscription.close()

    def close(self) -> None:
        """Read no more."""
        self.end("Query Completed")


class PrintReader:
    """A PRINT among the open queries: what ends them ends it."""

    def __init__(self, printed: PrintResult, account: str) -> None:
        self._printed = printed
        self.account = account

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        self._printed.close()

    def close(self) -> None:
        self._printed.close()


__all__ = ["PrintReader", "PushReader", "Rows"]
