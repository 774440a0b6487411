"""A connection belongs to no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.aio.threads import CALLS_MAX
from tests.support.waiting import until

SETUP = "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');"
ROWS = "SELECT k, v FROM s EMIT CHANGES;"


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, 60))


async def opened(path: Path | None = None) -> penstock.AsyncDatabase:
    db = await penstock.connect_async(path, auto_offset_reset="earliest")
    await db.execute(SETUP)
    return db


def test_loops_one_after_the_other() -> None:
    """A database and a subscription go from one ``asyncio.run`` to the next."""
    db = run(opened())
    rows = db.subscribe(ROWS)

    async def step(number: int) -> Any:
        await db.insert("s", ("a", number))
        row = await rows.next_row(30)
        return None if row is None else row.values

    assert [run(step(number)) for number in range(3)] == [("a", 0), ("a", 1), ("a", 2)]
    run(rows.close())
    run(db.close())
    run(db.close())


def test_loops_side_by_side() -> None:
    """Many tasks of two loops begin one subscription, and share its rows."""
    db = run(opened())
    began = threading.Barrier(2)
    seen: list[int] = []
    errors: list[BaseException] = []
    for _ in range(10):
        rows = db.subscribe(ROWS)

        def reads(rows: Any = rows) -> None:
            async def read() -> None:
                found = await asyncio.gather(*[rows.next_row(30) for _ in range(5)])
                seen.extend(row.values[1] for row in found)

            began.wait(30)
            try:
                run(read())
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=reads) for _ in range(2)]
        for thread in threads:
            thread.start()
        run(db.insert("s", {"k": ["a"] * 10, "v": list(range(10))}))
        for thread in threads:
            thread.join()
        assert not errors
        assert db.database._engine.host.subscriptions == 1
        run(rows.close())
        run(db.execute("DROP STREAM s DELETE TOPIC;" + SETUP))
    assert sorted(seen) == sorted(list(range(10)) * 10)
    run(db.close())


def test_a_close_outlives_its_loop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loop in which it began is gone before it is done: it is done all the same, and another loop can wait for it."""
    db = run(opened(tmp_path / "db"))
    go_on = threading.Event()

    async def give_up() -> None:
        busy = [asyncio.ensure_future(db.call(go_on.wait, 30)) for _ in range(CALLS_MAX)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(db.close())
        await asyncio.sleep(0)
        for task in (closing, *busy):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing

    with caplog.at_level(logging.DEBUG, logger="concurrent.futures"):
        run(give_up())
        go_on.set()
        run(db.close())
    assert not caplog.records
    assert until(lambda: not [t for t in threading.enumerate() if t.name.startswith("penstock-async")])
    with penstock.connect(tmp_path / "db", threads=0, penstock_rows_per_step=5):
        pass


CALLS: dict[str, Callable[[penstock.AsyncDatabase, Any], Coroutine[Any, Any, Any]]] = {
    "execute": lambda db, rows: db.execute("SHOW STREAMS;"),
    "insert": lambda db, rows: db.insert("s", ("b", 1)),
    "open": lambda db, rows: rows._started(),
    "next_row": lambda db, rows: rows.next_row(),
    "next_batch": lambda db, rows: rows.next_batch(),
    "close a subscription": lambda db, rows: rows.close(),
    "leave a subscription": lambda db, rows: rows.__aexit__(None, None, None),
    "close": lambda db, rows: db.close(),
    "wait_idle": lambda db, rows: db.wait_idle(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("begun", [False, True])
def test_cancelled_at_every_await(call: str, begun: bool) -> None:
    """At its first turn, its second, ..: the database closes, and so does what the call has begun."""

    async def scenario(turns: int) -> bool:
        db = await opened()
        rows = db.subscribe(ROWS)
        if begun:
            await rows
        task = asyncio.ensure_future(CALLS[call](db, rows))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if call != "close":
            await rows.close()
            assert await asyncio.to_thread(until, lambda: db.database._engine.host.subscriptions == 0)
            assert rows.finished
        await db.close()
        with pytest.raises(penstock.StatementError, match="closed"):
            await db.execute("SHOW STREAMS;")
        return cancelled

    for turns in range(6):
        run(scenario(turns))


def test_an_opening_that_nobody_waits_for_any_more_is_closed() -> None:
    """And one that somebody else waits for goes on."""

    async def scenario() -> None:
        db = await opened()
        go_on = threading.Event()
        for others in (0, 1):
            go_on.clear()
            busy = [asyncio.ensure_future(db.call(go_on.wait, 30)) for _ in range(CALLS_MAX)]
            await asyncio.sleep(0)
            rows = db.subscribe(ROWS)
            readings = [asyncio.ensure_future(rows._started()) for _ in range(1 + others)]
            await asyncio.sleep(0)
            readings[0].cancel()
            await asyncio.gather(readings[0], return_exceptions=True)
            go_on.set()
            await asyncio.gather(*busy, *readings[1:])
            assert await asyncio.to_thread(until, lambda n=others: db.database._engine.host.subscriptions == n)
            await rows
            await rows.close()
        await db.close()

    run(scenario())


def test_loops_that_are_none_of_asyncio() -> None:
    """Trio awaits a coroutine as this does."""

    def drive(awaitable: Any) -> None:
        awaitable.send(None)

    db = run(opened())
    rows = db.subscribe(ROWS)
    with db.database.subscribe(ROWS) as sync:
        for call in (db.insert("s", ("a", 1)), rows.next_row(), rows.close(), db.close(), sync.next_row()):
            with pytest.raises(penstock.StatementError, match="no event loop of asyncio is running"):
                drive(call)
    with pytest.raises(penstock.StatementError, match="no event loop of asyncio"):
        drive(penstock.connect_async().__await__())
    assert run(db.sql("SELECT COUNT(*) FROM s;")).fetchall() == [(0,)]
    run(db.close())


def test_a_connection_is_entered_once() -> None:
    """A second ``async with`` over the same `connect_async` would close the wrong database."""

    async def scenario() -> None:
        connecting = penstock.connect_async()
        async with connecting as db:
            with pytest.raises(penstock.StatementError, match="in use already"):
                await connecting.__aenter__()
            await db.execute(SETUP)
        async with connecting as db:
            await db.execute(SETUP)
        with pytest.raises(penstock.StatementError):
            async with penstock.connect_async(nonsense=1):
                pass

    run(scenario())
