"""The database on an event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.aio.threads import CALLS_MAX
from tests.support.waiting import until

SETUP = """
    CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
    CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s GROUP BY k;
"""
ROWS = "SELECT k, v FROM s EMIT CHANGES;"


def run(scenario: Any) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, 60))


def test_statements_writes_and_reads(tmp_path: Path) -> None:
    """Everything is awaited; a read sees what was just written."""

    async def scenario() -> None:
        async with penstock.connect_async(tmp_path / "db", auto_offset_reset="earliest") as db:
            await db.execute(SETUP)
            token = await db.insert("s", [("a", 1), ("b", 2)])
            await db.wait(token, ["t"])
            table = await db.sql("SELECT v FROM t WHERE k = 'a';", after=token)
            assert table.fetchall() == [(1,)]
            await db.produce("s", key=b"c", value=b'{"V": 7}')
            assert await db.wait_idle(20)
            assert len(await db.sql("SELECT * FROM t;")) == 3
            assert db.settings["auto.offset.reset"] == "earliest" and "S" in db.catalog.sources
            with pytest.raises(penstock.StatementError):
                await db.sql("SELECT nothing FROM t;")
        with pytest.raises(penstock.StatementError, match="closed"):
            db.database.execute("SHOW STREAMS;")
        again = await penstock.connect_async(tmp_path / "db")
        assert len(await again.sql("SELECT * FROM t;")) == 3
        await again.close()
        await again.close()

    run(scenario())


def test_rows_come_one_by_one_and_in_batches() -> None:
    """``async for``, `next_row` with a time, `next_batch`; a wrong query is told where it is first used."""

    async def scenario() -> None:
        async with penstock.connect_async() as db:
            await db.execute(SETUP)
            async with db.subscribe(ROWS) as rows:
                assert rows.columns == ("K", "V") and await rows.next_row(0.01) is None
                await db.insert("s", {"k": ["a"] * 3, "v": [1, 2, 3]})
                seen = []
                async for row in rows:
                    seen.append(row.as_dict()["V"])
                    if len(seen) == 2:
                        break
                batch = await rows.next_batch(10)
                assert seen == [1, 2] and batch is not None and batch.columns.column("V").to_pylist() == [3]
            limited = [row.values async for row in db.subscribe("SELECT v FROM s EMIT CHANGES LIMIT 0;")]
            assert limited == []
            with pytest.raises(penstock.StatementError):
                async for _ in db.subscribe("SELECT nobody FROM s EMIT CHANGES;"):
                    pass

    run(scenario())


def test_idle_readers_take_no_threads() -> None:
    """200 of them: no thread more, and the loop's own pool is free."""

    async def scenario() -> None:
        async with penstock.connect_async(ksql_max_push_queries=500) as db:
            await db.execute(SETUP)
            before = threading.active_count()
            readers = [asyncio.ensure_future((await db.subscribe(ROWS)).next_row()) for _ in range(200)]
            await asyncio.sleep(0.1)
            threads = threading.active_count()
            began = time.monotonic()
            names = await asyncio.gather(*[asyncio.to_thread(lambda: threading.current_thread().name) for _ in range(20)])
            assert time.monotonic() - began < 30 and not any("penstock" in name for name in names)
            assert threads - before < 35  # the connection has a pool; readers do not make it larger
            await db.insert("s", ("a", 1))
            assert {row.values for row in await asyncio.gather(*readers) if row} == {("a", 1)}

    run(scenario())


def test_waiting_calls_do_not_hold_up_others() -> None:
    """More waits than threads for calls, on a query that stands still."""

    async def scenario() -> None:
        ready = threading.Event()
        async with penstock.connect_async() as db:
            await db.execute(SETUP)
            token = await db.insert("s", ("a", 1))
            db.database.wait = lambda *args: ready.wait(30)  # type: ignore[method-assign, assignment]
            waits = [asyncio.ensure_future(db.wait(token, ["t"], 30)) for _ in range(20)]
            await asyncio.sleep(0.05)
            await db.insert("s", ("b", 1))
            assert not any(wait.done() for wait in waits)
            ready.set()
            await asyncio.gather(*waits)

    run(scenario())


def test_cancelled_calls_leave_nothing_behind(tmp_path: Path) -> None:
    """What is cancelled while it opens is closed; the database goes on; close() finishes though it is cancelled."""

    async def scenario() -> None:
        for pause in (0, 0.001, 0.02):
            opening = asyncio.ensure_future(penstock.connect_async(tmp_path / "db")._open())
            await asyncio.sleep(pause)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                db = await opening
                await db.close()
                raise asyncio.CancelledError
        async with penstock.connect_async(tmp_path / "db") as db:
            await db.execute(SETUP)
            for pause in (0, 0.001):
                reading = asyncio.ensure_future(db.subscribe(ROWS).next_row())
                await asyncio.sleep(pause)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                del reading  # a task holds its frames, and so the subscription
            await db.insert("s", ("a", 1))
            for _ in range(200):
                gc.collect()  # what was cancelled is garbage, and in a cycle with the traceback
                if db.database._engine.host.subscriptions == 0:
                    break
                await asyncio.sleep(0.02)
            assert db.database._engine.host.subscriptions == 0
            closing = asyncio.ensure_future(db.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        with penstock.connect(tmp_path / "db", threads=0, penstock_rows_per_step=5) as alone:
            assert len(alone.sql("SELECT * FROM s;")) == 1

    run(scenario())


def test_a_reader_with_a_name_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Over restarts, with rows that are filtered out and records in several partitions: each row once."""

    async def read(count: int, **how: Any) -> list[int]:
        async with penstock.connect_async(tmp_path / "db") as db:
            seen: list[int] = []
            async for row in db.subscribe("SELECT v FROM s WHERE v % 3 <> 0 EMIT CHANGES;", resume="me"):
                seen.append(row.values[0])
                if len(seen) == count:
                    break
            return seen

    async def scenario() -> None:
        async with penstock.connect_async(tmp_path / "db") as db:
            await db.execute(SETUP)
            async with db.subscribe("SELECT v FROM s WHERE v % 3 <> 0 EMIT CHANGES;", resume="me"):
                with pytest.raises(penstock.StatementError, match="another reader"):
                    await db.subscribe(ROWS, resume="me")
            await db.insert("s", {"k": [f"key{n % 7}" for n in range(30)], "v": list(range(30))})
        parts = [await read(1), await read(5), await read(3), await read(11)]
        assert sorted(value for part in parts for value in part) == [n for n in range(30) if n % 3]

    run(scenario())


def test_a_row_that_failed_comes_again(tmp_path: Path) -> None:
    """Leaving ``with`` by an error leaves the row in hand undone."""
    with penstock.connect(tmp_path / "db") as db:
        db.execute(SETUP)
        db.subscribe(ROWS, resume="me").close()
        db.insert("s", {"k": ["a"] * 4, "v": [1, 2, 3, 4]})
        with pytest.raises(ZeroDivisionError), db.subscribe(ROWS, resume="me") as rows:
            for row in rows:
                if row.values[1] == 3:
                    1 / 0  # noqa: B018
        with db.subscribe(ROWS, resume="me") as rows:
            assert [next(iter(rows)).values[1], next(iter(rows)).values[1]] == [3, 4]
        with db.subscribe(ROWS, resume="me") as rows:
            assert rows.poll(0.1) is None


def test_what_keeps_state_cannot_go_on() -> None:
    """Aggregations and joins in memory are refused by name."""
    with penstock.connect(threads=0) as db:
        db.execute(SETUP)
        for text in (
            "SELECT k, COUNT(*) FROM s GROUP BY k EMIT CHANGES;",
            "SELECT s.k, t.v FROM s JOIN t ON s.k = t.k EMIT CHANGES;",
        ):
            with pytest.raises(penstock.StatementError, match="keeps its state"):
                db.subscribe(text, resume="me")
        assert db._engine.host.subscriptions == 0


def test_a_cancelled_read_loses_no_row() -> None:
    """Rows by one and in batches, each read given up at a moment of its own: every row once, in order."""

    async def scenario() -> None:
        async with penstock.connect_async(auto_offset_reset="earliest") as db:
            await db.execute(SETUP.replace("PARTITIONS = 2", "PARTITIONS = 1"))
            async with db.subscribe(ROWS) as rows:
                seen: list[int] = []
                given_up = 0
                for number in range(60):
                    reading = asyncio.ensure_future(rows.next_row() if number % 2 else rows.next_batch())
                    for _ in range(number % 7):
                        await asyncio.sleep(0)
                    await db.insert("s", {"k": ["a", "a"], "v": [2 * number, 2 * number + 1]})
                    if reading.cancel():
                        given_up += 1
                    (found,) = await asyncio.gather(reading, return_exceptions=True)
                    if isinstance(found, penstock.PushRow):
                        seen.append(found.values[1])
                    elif isinstance(found, penstock.PushBatch):
                        seen += found.columns.column("V").to_pylist()
                while len(seen) < 120 and (row := await rows.next_row(30)) is not None:
                    seen.append(row.values[1])
                assert seen == list(range(120)) and given_up

    run(scenario())


def test_a_group_of_tasks_ends_as_one() -> None:
    """An error of one ends the others, wherever they wait, and leaves no query behind."""

    async def follow(db: Any, text: str) -> None:
        async with db.subscribe(text) as rows:
            async for _ in rows:
                pass

    async def scenario() -> None:
        async with penstock.connect_async() as db:
            await db.execute(SETUP)
            with pytest.raises(ExceptionGroup) as failed:
                async with asyncio.TaskGroup() as group:
                    group.create_task(follow(db, ROWS))
                    group.create_task(follow(db, "SELECT * FROM t EMIT CHANGES;"))
                    group.create_task(db.wait_idle(30))
                    await asyncio.sleep(0.05)
                    group.create_task(follow(db, "SELECT nobody FROM s EMIT CHANGES;"))
            assert failed.group_contains(penstock.StatementError)
            assert await asyncio.to_thread(until, lambda: db.database._engine.host.subscriptions == 0)

    run(scenario())


def test_closing_is_not_cancelled() -> None:
    """Who leaves ``async with`` and is cancelled once more has closed the subscription all the same."""

    async def scenario() -> None:
        async with penstock.connect_async() as db:
            await db.execute(SETUP)
            rows = await db.subscribe(ROWS)
            full = threading.Event()
            busy = [asyncio.ensure_future(db.call(full.wait, 30)) for _ in range(CALLS_MAX)]
            await asyncio.sleep(0.05)
            closing = asyncio.ensure_future(rows.close())
            await asyncio.sleep(0.05)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            full.set()
            await asyncio.gather(*busy)
            assert await asyncio.to_thread(until, lambda: db.database._engine.host.subscriptions == 0)
            assert rows.finished and await rows.next_row() is None

    run(scenario())


def test_what_is_closed_says_so_as_ever() -> None:
    """A database that is closed raises its own error, and a subscription that is closed has no rows."""

    async def scenario() -> None:
        async with penstock.connect_async() as db:
            await db.execute(SETUP)
            left = db.subscribe(ROWS)
            unopened = db.subscribe(ROWS)
            await left
            await unopened.close()
            assert [row async for row in unopened] == [] and unopened.finished and not unopened.limit_reached
            reading = asyncio.ensure_future(left.next_row())
            await asyncio.sleep(0.01)
        assert await reading is None
        await left.close()
        for call in (
            db.execute("SHOW STREAMS;"),
            db.insert("s", ("a", 1)),
            db.sql("SELECT * FROM t"),
            db.subscribe(ROWS).next_row(),
        ):
            with pytest.raises(penstock.StatementError, match="closed"):
                await call

    run(scenario())


def test_batches_come_as_columns() -> None:
    """``async for batch in rows.batches()`` ends with the query, and closes it."""

    async def scenario() -> None:
        async with penstock.connect_async(auto_offset_reset="earliest") as db:
            await db.execute(SETUP)
            await db.insert("s", {"k": ["a"] * 5, "v": [1, 2, 3, 4, 5]})
            rows = db.subscribe("SELECT v FROM s EMIT CHANGES LIMIT 4;")
            assert [v async for batch in rows.batches() for v in batch.columns.column("V").to_pylist()] == [1, 2, 3, 4]
            assert rows.limit_reached and rows.finished

    run(scenario())


def test_what_only_a_database_has_is_pointed_to() -> None:
    """No bare AttributeError for `backup` and the like."""

    async def scenario() -> None:
        async with penstock.connect_async() as db:
            with pytest.raises(AttributeError, match=r"await db\.call\(db\.database\.backup, \.\.\)"):
                _ = db.backup
            with pytest.raises(AttributeError, match=r"has no nothing$"):
                _ = db.nothing

    run(scenario())
