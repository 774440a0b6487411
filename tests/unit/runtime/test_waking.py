"""Readers on an event loop, and readers that are gone."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

import penstock
from tests.support.waiting import until

STREAM = "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);"
PUSH = "SELECT a FROM s EMIT CHANGES;"


def test_idle_readers_take_no_threads() -> None:
    """200 readers wait on a loop; its pool of threads stays free, and each of them gets the row."""
    with penstock.connect(settings={"ksql.max.push.queries": "1000"}) as db:
        db.execute(STREAM)

        async def read(rows: penstock.Subscription) -> int:
            async with rows:
                async for row in rows:
                    return int(row.values[0])
            return -1

        async def main() -> None:
            tasks = [asyncio.ensure_future(read(db.subscribe(PUSH))) for _ in range(200)]
            await asyncio.sleep(0.2)
            before = time.monotonic()
            await asyncio.to_thread(lambda: None)
            assert time.monotonic() - before < 30
            assert threading.active_count() < 60
            await asyncio.to_thread(db.insert, "s", [{"a": 7}])
            assert await asyncio.wait_for(asyncio.gather(*tasks), 30) == [7] * 200

        asyncio.run(main())
        until(lambda: db._engine.host.subscriptions == 0)


def test_next_row_and_next_batch_wait_on_the_loop() -> None:
    """Both wait as long as they are told, and are woken by a row."""
    with penstock.connect() as db:
        db.execute(STREAM)

        async def main() -> None:
            async with db.subscribe(PUSH) as rows:
                assert await rows.next_row(timeout_s=0.05) is None
                assert await rows.next_batch(timeout_s=0.0) is None
                waiting = asyncio.ensure_future(rows.next_row(timeout_s=10))
                await asyncio.sleep(0.05)
                await asyncio.to_thread(db.insert, "s", [{"a": 1}])
                row = await waiting
                assert row is not None and row.values == (1,)
                await asyncio.to_thread(db.insert, "s", [{"a": 2}, {"a": 3}])
                batch = await rows.next_batch(timeout_s=10)
                assert batch is not None and batch.columns.to_pydict() == {"A": [2, 3]}
                closing = asyncio.ensure_future(rows.next_row())
                await asyncio.sleep(0.05)
            assert await closing is None, "closing ends the waiting"

        asyncio.run(main())


def test_waits_for_writes_on_the_loop() -> None:
    """`QueryHost.taken_in` and `QueryHost.idle` wait like their brothers, and the loop goes on meanwhile."""
    with penstock.connect() as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT a, COUNT(*) AS n FROM s GROUP BY a EMIT CHANGES;")
        host = db._engine.host
        (query_id,) = db.queries

        async def main() -> None:
            token = db.insert("s", [{"a": 1}] * 3)
            await host.taken_in(token, [query_id], 10)
            assert db.sql("SELECT n FROM t WHERE a = 1;").fetchall() == [(3,)]
            assert await host.idle(10)
            db.execute(f"PAUSE {query_id};")
            with pytest.raises(penstock.StatementError, match="is paused"):
                await host.taken_in(db.insert("s", [{"a": 1}]), [query_id], 10)

        asyncio.run(main())


def test_a_dropped_subscription_ends_its_query() -> None:
    """Without ``close()``: nothing holds it but its user, and those that are garbage do not count."""
    with penstock.connect(settings={"ksql.max.push.queries": "3"}) as db:
        db.execute(STREAM)
        for _ in range(10):
            rows = db.subscribe(PUSH)
            seen = weakref.ref(rows)
            del rows
            gc.collect()
            assert seen() is None
        kept = [db.subscribe(PUSH) for _ in range(3)]
        with pytest.raises(penstock.StatementError, match="3 push queries"):
            db.subscribe(PUSH)
        del kept
        gc.collect()
        until(lambda: db._engine.host.subscriptions == 0)
        until(lambda: not [r for r in db._engine.host._scheduler.runs() if r.query_id.startswith("transient")])


def test_push_queries_leave_nothing_behind() -> None:
    """Opened and closed, or dropped, many times: as many objects and threads afterwards as before."""
    with penstock.connect() as db:
        db.execute(STREAM)
        db.insert("s", [{"a": 1}])

        def some(count: int) -> None:
            for i in range(count):
                rows = db.subscribe(PUSH)
                if i % 2:
                    rows.close()
                del rows
            gc.collect()
            until(lambda: db._engine.host.subscriptions == 0)
            gc.collect()

        def held() -> int:
            kinds = ("Subscription", "Feed", "QueryRun", "Task", "Inputs")
            known = (type(o) for o in gc.get_objects())  # asyncio has tasks, too
            return sum(kind.__name__ in kinds and kind.__module__.startswith("penstock.") for kind in known)

        some(50)
        before, threads = held(), threading.active_count()
        some(300)
        until(lambda: gc.collect() >= 0 and held() <= before + 5)  # (the last ones may still be ending)
        until(lambda: threading.active_count() <= threads)


def test_printing_on_the_loop() -> None:
    """A topic's tail waits on the loop, too."""
    with penstock.connect() as db:
        db.execute(STREAM)
        (printed,) = db.execute("PRINT s LIMIT 2;")

        async def main() -> None:
            found = []

            async def read() -> None:
                async for record in printed.tail:  # type: ignore[attr-defined]
                    found.append(record.value)

            reader = asyncio.ensure_future(read())
            await asyncio.sleep(0.05)
            for a in (1, 2):
                await asyncio.to_thread(db.insert, "s", [{"a": a}])
            await asyncio.wait_for(reader, 10)
            assert found == [b'{"A":1}', b'{"A":2}']

        asyncio.run(main())
