"""Queries with brief steps are left to one worker, and to another one when that is kept."""

from __future__ import annotations

import threading

import penstock
from tests.support.waiting import until


def test_a_brief_query_that_is_kept_holds_up_no_other() -> None:
    """Its steps were brief, so that one worker steps all the queries; then a call of its function does not come back."""
    held, free = threading.Event(), threading.Event()

    with penstock.connect(threads=2) as db:

        @penstock.udf
        def wait_on(a: int) -> int:
            if a < 0:
                held.set()
                assert free.wait(300)
            return a

        db.execute(
            """
            CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);
            CREATE STREAM waits AS SELECT WAIT_ON(a) AS a FROM s;
            CREATE TABLE counts AS SELECT a, COUNT(*) AS n FROM s GROUP BY a;
            CREATE TABLE sums AS SELECT a, SUM(a) AS total FROM s GROUP BY a;
            """
        )
        for a in range(20):
            db.wait(db.insert("s", [{"a": a}]), timeout_s=300)
        scheduler = db._engine.host._scheduler
        until(lambda: db.insert("s", [{"a": 1}]) and scheduler._brief == set(db.queries))
        token = db.insert("s", [{"a": -1}])
        try:
            assert held.wait(300)
            db.wait(token, ["counts", "sums"], timeout_s=300)
            db.wait(db.insert("s", [{"a": -2}]), ["counts", "sums"], timeout_s=300)
            assert db.sql("SELECT n FROM counts WHERE a = -1;").fetchall() == [(1,)]
        finally:
            free.set()
        db.wait(token, timeout_s=300)
