"""Carries rows of push queries from the engine's threads to clients on the event loop.

A subscription notifies its `PushReader` when it has rows, and the reader then takes them, so no thread and no task waits for
rows.  A reader's queue is bounded: rows for a slow reader stay in its subscription, and only its own query waits
(`runtime.push_queries`).  Readers that share a running query get rows at the same time: they take them in one turn of the
loop (`_Deliveries`), and a batch is converted to each format once for all of them.
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
"""The largest number of rows in one reader's queue."""
_READERS_PER_TURN: Final = 200
"""The number of readers that take rows before the loop's other tasks get a turn."""
_BATCHES_KEPT: Final = 16
"""The number of latest batches whose texts are kept for readers that take them later."""


class PushRows:
    """A batch of rows of a push query, and its texts in the formats that readers asked for."""

    __slots__ = ("_texts", "batch", "schema")

    def __init__(self, batch: PushBatch, schema: Schema) -> None:
        self.batch = batch
        self.schema = schema
        self._texts: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self.batch)

    def texts(self, format_: RowFormat) -> list[bytes]:
        """The texts of the rows in a format.  They are made once for all readers if the format keeps no state."""
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
    """Delivers rows of subscriptions to their readers on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: dict[PushReader, None] = {}
        self._scheduled = False
        self._made: OrderedDict[int, PushRows] = OrderedDict()
        """``id(batch)`` -> its rows.  Each value keeps its batch alive, so ids are not used again."""

    def notify(self, reader: PushReader) -> None:
        """Note that a reader's subscription has rows.  Thread-safe."""
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

    def rows(self, batch: PushBatch, schema: Schema) -> PushRows:
        """The rows of a batch, the same object for all its readers."""
        found = self._made.get(id(batch))
        if found is None:
            found = self._made[id(batch)] = PushRows(batch, schema)
            while len(self._made) > _BATCHES_KEPT:
                self._made.popitem(last=False)
        return found


_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Deliveries] = WeakKeyDictionary()


def _deliveries() -> _Deliveries:
    """The `_Deliveries` of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _LOOPS.get(loop)
    if found is None:
        found = _LOOPS[loop] = _Deliveries(loop)
    return found


class PushReader:
    """One client of a push query.  Create and use it on the event loop.

    Attributes:
        query_id: the id for ``/close-query``.
        account: of the client.
    """

    def __init__(self, subscription: Subscription, schema: Schema, query_id: str, account: str) -> None:
        self.query_id = query_id
        self.account = account
        self.schema = schema
        self._subscription = subscription
        self._queue: deque[PushRows] = deque()
        self._rows = 0
        self._changed = asyncio.Event()
        self._error: ApiError | None = None
        self._ended = False
        self.final_message: str | None = None
        """The text that says why the query has ended; None while it runs and after an error."""
        self._deliveries = _deliveries()
        subscription.listen(partial(self._deliveries.notify, self))
        self._deliveries.notify(self)

    async def next(self) -> PushRows | None:
        """Wait for the next rows; None when the query has ended, with the reason in `final_message`.

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
        """Take rows from the subscription into the queue, as far as it has room."""
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
            problem = api_error(error)
            problem.__cause__ = error
            self.end(None, problem)

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        """Note that no more rows will come."""
        if not self._ended:
            self._ended = True
            self.final_message = final_message
            self._error = error
            self._changed.set()
            self._subscription.close()

    def close(self) -> None:
        """Stop reading."""
        self.end("Query Completed")


class PrintReader:
    """A running PRINT, as an entry of the list of open queries, which can end it."""

    def __init__(self, printed: PrintResult, account: str) -> None:
        self._printed = printed
        self.account = account

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        self._printed.close()

    def close(self) -> None:
        self._printed.close()


__all__ = ["PrintReader", "PushReader", "PushRows"]
