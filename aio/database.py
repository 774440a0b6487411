"""`connect_async`: a database whose methods are awaited.

A call that may block runs on a thread of the connection, never in the event loop's default executor.  Reading a
subscription occupies no thread.  A connection is not bound to an event loop: several loops may use it, one after the other
or each on its own thread.  A call that is cancelled while it waits for a thread never runs.  A call that is cancelled later
runs to its end on its thread; what it has opened (a database, a subscription) is then closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar

from ..engine.catalog import Catalog
from ..engine.database import Database
from ..engine.parameters import Parameters
from ..engine.results import Message, Result, Submitted, Table
from ..engine.settings import Settings
from ..engine.statements.topics import TopicDescription
from ..errors import StatementError
from ..runtime.host import Token
from ..runtime.subscriptions import PushBatch, PushRow, Subscription
from ..runtime.wakes import running_loop
from ..server.connecting import connect
from .threads import Threads, awaited

__all__ = ["AsyncDatabase", "AsyncSubscription", "connect_async"]

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")

_ROWS_PER_TURN = 256
"""Rows that ``async for`` yields without waiting before it lets the loop's other tasks run."""


_HANDLE = "what it gives has methods that block; `db.database` has it, and `db.call` takes such a method"
_LOOK = "`db.database` has it, which looks at what is in memory (over HTTP it asks the server: `db.call` then)"
ELSEWHERE: Mapping[str, str] = {
    "consume": "it gives records one by one, and reads files between them; `db.database` has it, for another thread",
    "describe_state": _LOOK,
    "examiner": _HANDLE,
    "flow": _LOOK,
    "function_names": _LOOK,
    "graph": _LOOK,
    "key_lookup": _HANDLE,
    "path": _LOOK,
    "queries": _HANDLE,
    "session": "a connection is a session: open one more",
    "steps": "it gives results one by one, and executes statements between them; use `execute`",
    "stream": _HANDLE,
    "table": _HANDLE,
    "topic_names": _LOOK,
    "user": _LOOK,
    "variables": _LOOK,
}
"""Methods that only `Database` has, each with the reason and how to call it from asyncio; used in the error's text."""


def _closed(database: Database) -> None:
    database.close()


class connect_async:
    """Open a database for asyncio: ``async with connect_async(path) as db``, or ``db = await connect_async(path)``.

    ``connect_async("http://host:8088")`` connects to a server.  The arguments and errors are those of `connect`.  If the
    opening is cancelled, whatever was opened is closed.

    Raises:
        StatementError: no asyncio event loop is running, or this object is already entered with ``async with``.
    """

    def __init__(self, path: str | Path | None = None, **how: Any) -> None:
        self._connect = partial(connect, path, **how)
        self._database: AsyncDatabase | None = None
        self._entered = False

    async def _open(self) -> AsyncDatabase:
        threads = Threads()
        try:
            database = await threads.call(self._connect, undo=_closed)
        except BaseException:
            threads.shut_down()
            raise
        return AsyncDatabase(database, threads)

    def __await__(self) -> Generator[Any, None, AsyncDatabase]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncDatabase:
        if self._entered:
            raise StatementError("this connect_async() is in use already", suggestion="Call connect_async() once more.")
        self._entered = True
        try:
            database = self._database = await self._open()
        finally:
            self._entered = self._database is not None
        return database

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database, self._database, self._entered = self._database, None, False
        if database is not None:
            await database.close()


class AsyncDatabase:
    """An open database whose methods are awaited.  Each does and raises what the method of the same name of `Database` does.

    Attributes:
        database: the `Database` itself, for calls that do not block (``catalog``, ``settings``) and for use on other
            threads.
    """

    def __init__(self, database: Database, threads: Threads) -> None:
        self.database = database
        self._threads = threads
        self._guard = threading.Lock()
        self._closing: Future[None] | None = None

    # --- statements ------------------------------------------------------------------------

    async def execute(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        path: str | Path | None = None,
    ) -> list[Result]:
        """Execute a script, see `Database.execute`."""
        return await self._call(self.database.execute, text, parameters, path=path)

    async def submit(self, text: str, name: str, *, path: str | Path | None = None) -> Submitted:
        """Execute a script whose statements happen once each, see `Database.submit`."""
        return await self._call(self.database.submit, text, name, path=path)

    async def sql(self, text: str, parameters: Parameters | None = None, *, after: Token | None = None) -> Table:
        """Answer one SELECT, see `Database.sql`."""
        ask = partial(self.database.sql, text, after=after, parameters=parameters)
        return await self._threads.call(ask, waits=after is not None)

    async def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None:
        """Wait until the named tables include a write, see `Database.wait`."""
        await self._threads.call(partial(self.database.wait, token, names, timeout_s), waits=True)

    def subscribe(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        overflow: Literal["block", "drop"] = "block",
        resume: str | None = None,
    ) -> AsyncSubscription:
        """Subscribe to the rows of a push query: ``async for row in db.subscribe(..)``.

        The query starts when the subscription is first read or awaited.  See `Database.subscribe`.
        """
        begin = partial(self.database.subscribe, text, parameters, overflow=overflow, resume=resume)
        return AsyncSubscription(self._threads, begin)

    async def create_stream(
        self, name: str, data: Any, *, key: str | Sequence[str] | None = None, **properties: object
    ) -> Message:
        """Make a stream of a frame, an Arrow table or a file, see `Database.create_stream`."""
        return await self._threads.call(partial(self.database.create_stream, name, data, key=key, **properties))

    async def create_table(self, name: str, data: Any, *, key: str | Sequence[str], **properties: object) -> Message:
        """Make a table of a frame, an Arrow table or a file, see `Database.create_table`."""
        return await self._threads.call(partial(self.database.create_table, name, data, key=key, **properties))

    # --- data ------------------------------------------------------------------------------

    async def insert(
        self,
        source: str,
        rows: Any,
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append rows to a stream or table, see `Database.insert`."""
        return await self._call(self.database.insert, source, rows, durable=durable, producer=producer, sequence=sequence)

    async def insert_many(
        self,
        rows: Mapping[str, Any],
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append rows to several sources in one commit, see `Database.insert_many`."""
        return await self._call(self.database.insert_many, rows, durable=durable, producer=producer, sequence=sequence)

    async def produce(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append one record without conversion, see `Database.produce`."""
        return await self._call(
            self.database.produce,
            topic,
            key=key,
            value=value,
            timestamp=timestamp,
            headers=headers,
            partition=partition,
            durable=durable,
            producer=producer,
            sequence=sequence,
        )

    async def last_sequence(self, producer: str) -> int | None:
        """The sequence number of a producer's last commit, see `Database.last_sequence`."""
        return await self._call(self.database.last_sequence, producer)

    async def create_topic(
        self, name: str, *, partitions: int = 1, replicas: int = 1, config: Mapping[str, object] | None = None
    ) -> None:
        """Make a topic of bytes, see `Database.create_topic`."""
        await self._call(self.database.create_topic, name, partitions=partitions, replicas=replicas, config=config)

    async def alter_topic(
        self, name: str, config: Mapping[str, object] | None = None, *, partitions: int | None = None
    ) -> None:
        """Set a topic's config, or add partitions, see `Database.alter_topic`."""
        await self._call(self.database.alter_topic, name, config, partitions=partitions)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic, see `Database.delete_topic`."""
        await self._call(self.database.delete_topic, name)

    async def describe_topic(self, name: str) -> TopicDescription:
        """Return a topic's config and the offsets and sizes of its partitions, see `Database.describe_topic`."""
        return await self._call(self.database.describe_topic, name)

    async def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until all running queries have processed all records in the log, see `Database.wait_idle`."""
        return await self._threads.call(partial(self.database.wait_idle, timeout_s), waits=True)

    async def drain(self) -> None:
        """Process all records in the log, see `Database.drain`."""
        await self._call(self.database.drain)

    async def call(
        self, function: Callable[_Parameters, _Returned], /, *args: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Returned:
        """Call any other blocking function on a thread of this connection: ``await db.call(db.database.backup, path)``."""
        return await self._call(function, *args, **named)

    # --- looking and closing ---------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """Sources, types and queries at this moment."""
        return self.database.catalog

    @property
    def settings(self) -> Settings:
        """The properties in force."""
        return self.database.settings

    async def close(self) -> None:
        """Close the database, see `Database.close`.  The database is closed even if the caller is cancelled."""
        running_loop()
        with self._guard:
            closing = self._closing = self._closing or self._threads.submit(self._close)
        await awaited(closing)

    def _close(self) -> None:
        try:
            self.database.close()
        finally:
            self._threads.shut_down()

    async def _call(
        self, function: Callable[_Parameters, _Returned], /, *args: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Returned:
        return await self._threads.call(partial(function, *args, **named))

    async def __aenter__(self) -> AsyncDatabase:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __getattr__(self, name: str) -> Any:
        why = ELSEWHERE.get(name)
        if why is None and not name.startswith("_") and hasattr(Database, name):
            why = f"`db.database` has it; what blocks goes to a thread: `await db.call(db.database.{name}, ..)`"
        raise AttributeError(f"AsyncDatabase has no {name}" + ("" if why is None else f": {why}"), name=name, obj=self)

    def __repr__(self) -> str:
        return f"<penstock.AsyncDatabase {self.database!r}>"


class AsyncSubscription:
    """The rows of a push query for asyncio.

    Iterate over it: ``async for row in db.subscribe(..)``.  ``async with`` closes it at the end of the block.  ``await``
    starts the query and returns the subscription.  A wait for a row occupies no thread.
    """

    def __init__(self, threads: Threads, subscribe: Callable[[], Subscription]) -> None:
        self._threads = threads
        self._subscribe = subscribe
        self._guard = threading.Lock()
        self._opening: Future[Subscription] | None = None
        """The future of the query's start, for which the tasks of all loops wait.  None before the start."""
        self._waiting = 0
        self._given_out = False
        self._given = 0
        self._closed = False

    async def _open(self) -> Subscription | None:
        """Start the query unless that was done.  Return the subscription; None if it was closed before its start."""
        running_loop()
        with self._guard:
            if self._opening is None or (self._opening.done() and self._begun is None):  # never begun, or that failed
                if self._closed:
                    return None
                self._opening = self._threads.submit(self._subscribe)
            opening = self._opening
            self._waiting += 1
        try:
            subscription = await awaited(opening)
            self._given_out = True
            return subscription
        finally:
            with self._guard:
                self._waiting -= 1
                if not (self._waiting or self._given_out) and self._opening is opening:  # all who waited were cancelled
                    self._opening = None
                    if not opening.cancel():
                        self._threads.submit(partial(_ended, opening, Subscription.close))

    @property
    def _begun(self) -> Subscription | None:
        """The subscription; None while its query has not started."""
        opening = self._opening
        if opening is None or not opening.done() or opening.cancelled() or opening.exception() is not None:
            return None
        return opening.result()

    async def _end(self, end: Callable[[Subscription], object]) -> None:
        """Call ``end`` with the subscription on a thread.  It is called even if the caller is cancelled."""
        running_loop()
        with self._guard:
            self._closed = True
            opening = self._opening
        if opening is not None:
            await awaited(self._threads.submit(partial(_ended, opening, end)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns; empty until the query has started."""
        return () if self._begun is None else self._begun.columns

    async def next_row(self, timeout_s: float | None = None) -> PushRow | None:
        """Wait for the next row.

        Args:
            timeout_s: seconds; None waits without a limit.

        Returns:
            the row; None if the time is up or the query has ended.

        Raises:
            PenstockError: the statement is wrong, or the query has failed.
        """
        subscription = await self._open()
        return None if subscription is None else await subscription.next_row(timeout_s)

    async def next_batch(self, timeout_s: float | None = None) -> PushBatch | None:
        """Like `next_row`, but returns all rows of the next batch, as Arrow columns."""
        subscription = await self._open()
        return None if subscription is None else await subscription.next_batch(timeout_s)

    @property
    def finished(self) -> bool:
        """Whether the query has ended and all its rows were read."""
        return self._closed if self._begun is None else self._begun.finished

    @property
    def limit_reached(self) -> bool:
        """Whether the query has ended because it reached its LIMIT."""
        return self._begun is not None and self._begun.limit_reached

    async def batches(self) -> AsyncIterator[PushBatch]:
        """Iterate over the rows as Arrow columns: ``async for batch in db.subscribe(..).batches()``."""
        while (batch := await self.next_batch()) is not None:
            yield batch
        await self.close()

    async def close(self) -> None:
        """Stop the query and end all iterations over it.  The query is stopped even if the caller is cancelled."""
        await self._end(Subscription.close)

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> PushRow:
        row = await self.next_row()
        if row is None:
            await self.close()
            raise StopAsyncIteration
        self._given += 1
        if self._given % _ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        return row

    def __await__(self) -> Generator[Any, None, AsyncSubscription]:
        return self._started().__await__()

    async def _started(self) -> AsyncSubscription:
        await self._open()
        return self

    async def __aenter__(self) -> AsyncSubscription:
        return await self._started()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(lambda subscription: subscription.__exit__(kind))


def _ended(opening: Future[Subscription], end: Callable[[Subscription], object]) -> None:
    """Wait for the start of a query, then end its subscription.

    The wait cannot deadlock: threads take calls in order, so the start has a thread before this call gets one.
    """
    try:
        subscription = opening.result()
    except BaseException:  # it has not begun, as whoever waited for it was told
        return
    end(subscription)
