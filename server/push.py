"""Push queries between the engine's threads and the clients on the event loop.

A `Feed` takes the rows of one running query when the query says that there are some, and hands them to its readers: no
thread waits for a reader.  Each reader has a bounded queue.  The only reader of a feed holds its query up when it is slow
(the log keeps what is to come); where several read the same feed, one that falls too far behind is told so and ends, and
the others go on.  A batch is put into each format once for all readers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import pyarrow as pa

from ..engine.results import PrintResult
from ..engine.schema import Schema
from ..runtime.subscriptions import PushBatch, Subscription
from .problems import SERVER_ERROR, ApiError, api_error
from .rowtexts import RowFormat

_ROWS_MAX: Final = 10_000
"""Rows that wait for one reader."""


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


class PushReader:
    """One client of a feed; used on the event loop.

    Attributes:
        query_id: what ``/close-query`` ends.
        account: who reads.
    """

    def __init__(self, feed: Feed, query_id: str, account: str) -> None:
        self.query_id = query_id
        self.account = account
        self.schema = feed.schema
        self._feed = feed
        self._queue: deque[Rows] = deque()
        self._rows = 0
        self._changed = asyncio.Event()
        self._error: ApiError | None = None
        self._ended = False
        self.final_message: str | None = None
        """Why there are no more rows; None after an error."""

    async def next(self) -> Rows | None:
        """The next rows; None at the end, whose reason is `final_message`.

        Raises:
            ApiError: the query failed, or this reader was too slow.
        """
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        rows = self._queue.popleft()
        self._rows -= len(rows)
        if not self._queue:
            self._feed.wanted()
        return rows

    @property
    def room(self) -> int:
        """Rows that it may still be given."""
        return _ROWS_MAX - self._rows

    def give(self, rows: Rows) -> None:
        self._queue.append(rows)
        self._rows += len(rows)
        self._changed.set()

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        """There will be no more rows."""
        if not self._ended:
            self._ended = True
            self.final_message = final_message
            self._error = error
            self._changed.set()

    def close(self) -> None:
        """Read no more; the last reader ends the query."""
        self.end("Query Completed")
        self._feed.leave(self)


class Feed:
    """The rows of one push query for its readers; used on the event loop.

    Args:
        subscription: the query's rows.
        on_close: called once, when the last reader has left or the query has ended.
    """

    def __init__(self, subscription: Subscription, schema: Schema, on_close: Callable[[], None] = lambda: None) -> None:
        self.subscription = subscription
        self.schema = schema
        self.readers: list[PushReader] = []
        self._on_close = on_close
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def join(self, query_id: str, account: str) -> PushReader:
        """A new reader, of the rows from now on."""
        reader = PushReader(self, query_id, account)
        self.readers.append(reader)
        self._room.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return reader

    def leave(self, reader: PushReader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        if self.readers:
            self._room.set()
        else:
            self.close()

    def close(self) -> None:
        """End the query."""
        if not self.closed:
            self.closed = True
            self._on_close()
            self.subscription.close()
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()

    def wanted(self) -> None:
        """A reader has room again."""
        self._room.set()

    async def _run(self) -> None:
        """Hand rows over as they come, and wait while no reader has room for them."""
        message, problem = "Query Completed", None
        try:
            while not self.closed:
                while max((reader.room for reader in self.readers), default=0) <= 0:
                    self._room.clear()
                    await self._room.wait()
                batch = await self.subscription.next_batch()
                if batch is None:
                    break
                self._give(Rows(batch, self.schema))
            if self.subscription.limit_reached:
                message = "Limit Reached"
        except Exception as error:  # the query's own failure, told to every reader
            problem = api_error(error)
        for reader in self.readers:
            reader.end(None if problem else message, problem)
        self.close()

    def _give(self, rows: Rows) -> None:
        for reader in list(self.readers):
            if reader.room > 0:
                reader.give(rows)
            else:
                self.readers.remove(reader)
                slow = "the rows were read too slowly, and others who read the same query do not wait"
                reader.end(None, ApiError(SERVER_ERROR, slow))


class PrintReader:
    """A PRINT among the open queries: what ends them ends it."""

    def __init__(self, printed: PrintResult, account: str) -> None:
        self._printed = printed
        self.account = account

    def end(self, final_message: str | None, error: ApiError | None = None) -> None:
        self._printed.close()

    def close(self) -> None:
        self._printed.close()


__all__ = ["Feed", "PrintReader", "PushReader", "Rows"]
