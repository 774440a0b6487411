"""Queries that read one topic commit together; who waits for them looks again when they have counted that."""

from __future__ import annotations

import threading

import penstock
from penstock.runtime.host import _Pause
from tests.support.waiting import until

_FAR = 1 << 60
"""An epoch that no commit reaches."""


def test_who_waits_is_woken_when_queries_have_counted_their_common_commit() -> None:
    with penstock.connect(threads=2) as db:
        db.execute(
            """
            CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);
            CREATE STREAM doubled AS SELECT a * 2 AS a FROM s;
            CREATE TABLE counts AS SELECT a, COUNT(*) AS n FROM s GROUP BY a;
            """
        )
        host = db._engine.host
        pause = _Pause(_FAR, host._scheduler.counted, 600)
        waiter = threading.Thread(target=host._rest, args=(pause,), daemon=True)
        waiter.start()
        until(lambda: db.insert("s", [{"a": 1}]) and not waiter.is_alive())
        waiter.join()
        assert host._scheduler.counted != pause.counted


def test_a_wait_passes_by_queries_that_the_write_cannot_reach() -> None:
    """One of them stands still, and so do what it fills and its readers."""
    with penstock.connect(threads=2) as db:
        db.execute(
            """
            CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);
            CREATE STREAM t (a INT) WITH (KAFKA_TOPIC = 't', VALUE_FORMAT = 'JSON', PARTITIONS = 1);
            CREATE TABLE of_s AS SELECT a, COUNT(*) AS n FROM s GROUP BY a;
            CREATE STREAM of_t AS SELECT a FROM t;
            """
        )
        db.insert("t", [{"a": 1}])
        db.execute(f"PAUSE {db.catalog.source('OF_T').query_id};")
        db.insert("t", [{"a": 2}])
        db.wait(db.insert("s", [{"a": 1}]), timeout_s=300)
        assert db.sql("SELECT n FROM of_s WHERE a = 1;").fetchall() == [(1,)]
