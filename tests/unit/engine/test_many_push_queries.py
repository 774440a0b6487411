"""Push queries that come and go, closed or only dropped, leave nothing behind.  (10,000 were tried by hand.)"""

from __future__ import annotations

import gc
import os
import threading

import pytest

from penstock import connect

COUNT = int(os.environ.get("PENSTOCK_PUSH_QUERIES", "200"))


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("alike", [True, False])
def test_push_queries_that_come_and_go(close: bool, alike: bool) -> None:
    """However many there were: no thread, no query and no limit is used up."""
    with connect() as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        with db.subscribe("SELECT * FROM s EMIT CHANGES;"):
            before = threading.active_count()
        for number in range(COUNT):
            rows = db.subscribe(f"SELECT k, v + {0 if alike else number} AS w FROM s EMIT CHANGES;")
            if close:
                rows.close()
            del rows
        gc.collect()
        token = db.insert("s", [{"k": "a", "v": 1}])
        db.wait(token)
        assert db.wait_idle(60)
        with db.subscribe("SELECT * FROM s EMIT CHANGES;") as last:
            db.insert("s", [{"k": "b", "v": 2}])
            row = last.poll(30)
            assert row is not None and row.values == ("b", 2)
        assert threading.active_count() <= before + 1
