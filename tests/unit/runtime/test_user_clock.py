"""A clock that a program brings along may fail: that is an error of ours, and ends nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock import connect
from penstock.errors import StorageError
from penstock.runtime.clock import SYSTEM_CLOCK, ManualClock
from penstock.runtime.user_clock import checked_clock
from tests.support.waiting import until


class Told:
    """Says or raises what it is told."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def now_ms(self) -> Any:
        if isinstance(self.said, BaseException):
            raise self.said
        return self.said


FAILS = [ValueError("x"), SystemExit(3), RecursionError(), None, "5", 1.5, float("nan"), 2**70, -(2**63)]


@pytest.mark.parametrize("said", FAILS)
def test_what_a_clock_cannot_say(tmp_path: Path, said: Any) -> None:
    """Opening, statements and inserts raise a StorageError; when it is well again, everything goes on."""
    clock = Told(said)
    with pytest.raises(StorageError, match="the clock of the database"):
        checked_clock(clock).now_ms()
    clock.said = 1_000
    with connect(tmp_path / "db", threads=0, clock=clock, settings={"auto.offset.reset": "earliest"}) as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        clock.said = said
        for call in (
            lambda: db.insert("s", [{"k": "a", "v": 1}]),
            lambda: db.execute("INSERT INTO s VALUES ('a', 1);"),
            lambda: db.execute("CREATE STREAM x (v INT) WITH (KAFKA_TOPIC = 'x', PARTITIONS = 1);"),
        ):
            with pytest.raises(StorageError, match="the clock of the database"):
                call()
        clock.said = np.int64(2_000)
        db.insert("s", [{"k": "a", "v": 1}])
        db.drain()
        assert db.sql("SELECT n FROM t").fetchall() == [(1,)]
        assert [r.timestamp for r in db.consume("s")] == [2_000]
        db.execute("CREATE STREAM x (v INT) WITH (KAFKA_TOPIC = 'x', PARTITIONS = 1);")


@pytest.mark.parametrize("said", [ValueError("x"), SystemExit(3), None, float("nan"), 2**70])
def test_workers_outlive_a_clock(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    """That fails while they step queries, and before and after that."""
    clock = Told(1_000)
    with connect(threads=2, clock=clock, settings={"auto.offset.reset": "earliest"}) as db:
        db.execute("""
            CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
            CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'r', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
            CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
            CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k EMIT FINAL;
            CREATE STREAM j AS SELECT s.k, s.v, r.v FROM s JOIN r WITHIN 1 HOUR ON s.k = r.k;
        """)
        with db.subscribe("SELECT * FROM s EMIT CHANGES;") as rows:
            db.insert("s", {"k": "a", "v": 1})
            assert db.wait_idle(60)
            before = {thread.name for thread in threading.enumerate()}
            clock.said = said
            db.produce("s", key=b"b", value=b'{"V": 1}', timestamp=2_000)
            until(lambda: any("clock" in record.getMessage() for record in caplog.records))
            clock.said = 3_000
            for query in db.queries.values():
                if query.state == "ERROR":
                    query.resume()
            assert {name for name in before if name.startswith("penstock-")} <= {t.name for t in threading.enumerate()}
            token = db.insert("s", [{"k": "a", "v": 2}, {"k": "c", "v": 2}])
            assert sorted(db.sql("SELECT k, n FROM t;", after=token)) == [("a", 2), ("b", 1), ("c", 1)]
            assert db.wait_idle(60)
            assert rows.poll(60) is not None


def test_our_clocks_are_asked_directly() -> None:
    """They give what they should."""
    clock = ManualClock(5)
    assert checked_clock(clock) is clock
    assert checked_clock(SYSTEM_CLOCK) is SYSTEM_CLOCK


@pytest.mark.parametrize("jump", [-(10**9), 10**12, 5])
def test_clocks_that_jump(tmp_path: Path, jump: int) -> None:
    """Forwards, back, and behind the last time in the log when it is opened again: nothing is lost, and nothing waits."""
    clock = ManualClock(10**12)
    settings = {"auto.offset.reset": "earliest"}
    with connect(tmp_path / "db", threads=0, clock=clock, settings=settings) as db:
        db.execute("""
            CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
            CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
        """)
        consumer = db.consumer(["s"], group="g", auto_offset_reset="earliest")
        consumer.poll(0)
        for moment in (10**12, 10**12 + jump, 10**12 + 1):
            clock.set(max(moment, 0))
            db.insert("s", [{"k": "a", "v": 1}])
            db.drain()
            assert len(consumer.poll(5_000)) == 1  # groups go by a clock that never jumps
        consumer.close()
        assert db.sql("SELECT n FROM t").fetchall() == [(3,)]
    with connect(tmp_path / "db", threads=0, clock=ManualClock(3), settings=settings) as db:
        db.insert("s", [{"k": "a", "v": 1}])
        db.drain()
        assert db.sql("SELECT n FROM t").fetchall() == [(4,)]
        db.execute("CREATE STREAM x (v INT) WITH (KAFKA_TOPIC = 'x', PARTITIONS = 1);")
    with connect(tmp_path / "db", threads=0, clock=ManualClock(10**13), settings=settings) as db:
        assert db.sql("SELECT n FROM t").fetchall() == [(4,)]
        assert "X" in db.catalog.sources
