"""Times, offsets, sizes and names at their limits: the right answer or a clear error, and never a hang."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_workload import QUERIES, SETTINGS, SOURCES

from penstock.engine.database import Database, connect
from penstock.errors import PenstockError, StatementError, StorageError
from penstock.limits import TIMESTAMP_MS_MAX
from penstock.runtime.clock import ManualClock

TIMES = (
    "CREATE STREAM S (K STRING KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');",
    "CREATE STREAM R (K STRING KEY, W BIGINT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');",
    "CREATE TABLE TUMBLED AS SELECT K, COUNT(*) AS N FROM S "
    "WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 1 SECONDS) GROUP BY K;",
    "CREATE TABLE VISITS AS SELECT K, COUNT(*) AS N FROM S WINDOW SESSION (10 SECONDS, GRACE PERIOD 1 SECONDS) GROUP BY K;",
    "CREATE TABLE FINALS AS SELECT K, COUNT(*) AS N FROM S "
    "WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 1 SECONDS) GROUP BY K EMIT FINAL;",
    "CREATE STREAM PAIRS AS SELECT S.K, V, W FROM S JOIN R WITHIN 10 SECONDS GRACE PERIOD 1 SECONDS ON S.K=R.K;",
)


def memory(**more: Any) -> Database:
    return connect(settings=SETTINGS, threads=0, **more)


def test_times_in_the_far_past_and_future() -> None:
    """From 1970 to the latest time that a record can have, in windows, joins and searches."""
    with memory() as db:
        for text in TIMES:
            db.execute(text)
        times = (0, 1, 2**53 + 1, TIMESTAMP_MS_MAX - 1, TIMESTAMP_MS_MAX)
        for time in times:
            db.insert("S", [{"K": "a", "V": 1, "ROWTIME": time}])
            db.insert("R", [{"K": "a", "W": 1, "ROWTIME": time}])
        db.drain()
        assert all(query.state == "RUNNING" for query in db.queries.values())
        start = TIMESTAMP_MS_MAX - TIMESTAMP_MS_MAX % 10_000
        assert db.sql("SELECT WINDOWSTART, N FROM TUMBLED;").fetchall()[-1] == (start, 2)
        assert db.sql("SELECT WINDOWSTART, WINDOWEND, N FROM VISITS;").fetchall()[-1] == (times[-2], times[-1], 2)
        assert [r.timestamp for r in db.consume("PAIRS")] == [0, 1, 1, 1, times[2], times[3], times[4], times[4], times[4]]
        find = db._engine.log.offset_for_time
        assert [find("s", 0, t) for t in (-(2**63), -1, 0, 1, 2, times[-1], times[-1] + 1, 2**63 - 1)] == [
            *(0, 0, 0, 1, 2),
            *(4, 5, 5),
        ]


@pytest.mark.parametrize("time", [-1, -(2**63), TIMESTAMP_MS_MAX + 1, 2**63 - 1, 2**63, 2**70])
def test_times_that_no_record_can_have(time: int) -> None:
    """Refused by everything that writes, before anything is written."""
    with memory() as db:
        db.execute(TIMES[0])
        for write in (
            lambda: db.insert("S", [{"K": "a", "V": 1, "ROWTIME": time}]),
            lambda: db.produce("s", value=b"{}", timestamp=time),
            lambda: db.execute(f"INSERT INTO S (ROWTIME, K, V) VALUES ({time}, 'a', 1);"),
        ):
            with pytest.raises(StatementError):
                write()
        assert list(db.consume("s")) == []


def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """While it runs and between runs: offsets, order and results do not depend on the clock."""
    clock = ManualClock(10**12)
    expected = []
    for turn, now in enumerate((10**12, 10**12 - 10**10, 0, 10**12)):
        clock = ManualClock(now)
        with connect(tmp_path / "x", settings=SETTINGS, threads=0, clock=clock) as db:
            if turn == 0:
                for text in (TIMES[0], "CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;"):
                    db.execute(text)
            for back in (0, 5_000):
                use = ManualClock(max(0, now - back))
                db._engine.clock = use
                db.insert("S", [{"K": "a", "V": turn}])
                expected.append((use.now_ms(), turn))
            db.drain()
            db._engine.log.maintain(max(0, now - 10**9))
            assert [(r.timestamp, int(r.value[5:-1])) for r in db.consume("s")] == expected
            assert db.sql("SELECT N FROM T;").fetchall() == [(len(expected),)]


def test_offsets_outside_of_what_a_partition_holds() -> None:
    """Its end is nothing yet; beyond it and below zero are errors."""
    with memory() as db:
        db.create_topic("x", partitions=2)
        for number in range(3):
            db.produce("x", value=b"%d" % number, partition=0)
        assert [r.value for r in db.consume("x", offset=2, partition=0)] == [b"2"]
        assert list(db.consume("x", offset=3, partition=0)) == []
        assert list(db.consume("x", partition=1)) == []
        for offset in (-1, -(2**63), -(2**70), 4, 2**62, 2**63, 2**70):
            with pytest.raises(PenstockError, match="offset"):
                list(db.consume("x", offset=offset, partition=0))
        for partition in (-1, 2, 2**40):
            with pytest.raises(StatementError, match="partitions 0 to 1"):
                list(db.consume("x", partition=partition))


def test_empty_topics_in_every_kind_of_query() -> None:
    """Queries over nothing write nothing, and every way of asking them answers with no rows."""
    with memory() as db:
        for text in (*SOURCES, *QUERIES.values()):
            db.execute(text)
        db.drain()
        for name, source in db.catalog.sources.items():
            if source.kind == "STREAM" or source.query_id is not None:
                assert db.sql(f"SELECT * FROM {name};").fetchall() == []
                assert db.sql(f"SELECT count(*) AS n FROM {name} a, {name} b").fetchall() == [(0,)]
                assert db.sql(f"SELECT * FROM {name}").arrow().num_rows == 0
            assert list(db.consume(source.topic)) == []
        assert db.sql("SELECT * FROM SPEND WHERE CUSTOMER = 'x';").fetchall() == []
        with db.subscribe("SELECT * FROM ORDERS EMIT CHANGES;") as rows:
            assert rows.poll(0.0) is None


@pytest.mark.parametrize("size", [0, 16 << 20])
def test_keys_and_values_of_nothing_and_of_16_mib(size: int, tmp_path: Path) -> None:
    """Through the log, an aggregate's state, its changelog and checkpoint, pull queries and DuckDB, and a re-open."""
    text = "x" * size
    with connect(tmp_path / "x", settings=SETTINGS, threads=0) as db:
        db.execute("CREATE STREAM S (K STRING KEY, V STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='ARROW');")
        db.execute("CREATE TABLE T AS SELECT K, COUNT(*) AS N, LATEST_BY_OFFSET(V) AS L FROM S GROUP BY K;")
        db.insert("S", [{"K": text, "V": text, "ROWTIME": 1}])
        db.drain()
        for durable in db._engine.host.run(next(iter(db.queries))).parts.keeper.stores:
            db._engine.host.run(next(iter(db.queries))).parts.keeper.checkpoint(durable)
        db.create_topic("raw")
        db.produce("raw", key=text.encode(), value=text.encode(), headers=[("h", text.encode()), ("", b""), ("n", None)])
    with connect(tmp_path / "x", settings=SETTINGS, threads=0) as db:
        assert db.sql("SELECT K, N, L FROM T;").fetchall() == [(text, 1, text)]
        assert db.sql("SELECT LEN(K) AS kk, LEN(L) AS ll FROM T").fetchall() == [(size, size)]
        (record,) = db.consume("raw")
        assert (record.key, record.value) == (text.encode(), text.encode())
        assert record.headers == (("h", text.encode()), ("", b""), ("n", None))


def test_ten_thousand_tiny_commits(tmp_path: Path) -> None:
    """They are there after the next open, in order."""
    with connect(tmp_path / "x", settings=SETTINGS, threads=0) as db:
        db.create_topic("t")
        for number in range(10_000):
            db.produce("t", value=b"%d" % number, durable=number % 1000 == 999)
    with connect(tmp_path / "x", settings=SETTINGS, threads=0) as db:
        assert [int(r.value) for r in db.consume("t")] == list(range(10_000))


@pytest.mark.parametrize("seed", [1])
def test_threads_that_do_everything_at_once(seed: int, tmp_path: Path) -> None:
    """Inserts, pulls, alters, new and dropped queries, maintenance, and at last close(): only errors that say what is the
    matter, nobody waits for ever, and every acknowledged row is there."""
    db = connect(tmp_path / "x", settings={"auto.offset.reset": "earliest"}, threads=2)
    db.execute("CREATE STREAM S (K INT KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='ARROW');")
    db.execute("CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
    acknowledged = [0, 0]
    unexpected: list[BaseException] = []
    started = threading.Barrier(6)

    def act(number: int, kind: str) -> None:
        chance = random.Random(seed * 100 + number)
        started.wait(60)
        for turn in range(40):
            try:
                if kind == "insert":
                    db.insert("S", [{"K": chance.randrange(9), "V": turn}])
                    acknowledged[number] += 1
                elif kind == "pull":
                    db.sql("SELECT sum(N) AS n FROM T").fetchone()
                elif kind == "alter" and turn < 12:
                    db.execute(f"ALTER STREAM S ADD COLUMN C{turn} INT;")
                elif kind == "churn" and turn < 12:
                    db.execute("CREATE STREAM X AS SELECT K, V FROM S WHERE V > 3;")
                    db.execute("DROP STREAM X DELETE TOPIC;")
                elif kind == "maintain":
                    db._engine.log.maintain(0)
            except (StatementError, StorageError) as error:
                if "closed" not in str(error):
                    unexpected.append(error)
                return
            except BaseException as error:
                unexpected.append(error)
                return
        if kind == "alter":
            db.close()

    kinds = ("insert", "insert", "pull", "alter", "churn", "maintain")
    threads = [threading.Thread(target=act, args=(i, kind), daemon=True) for i, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), f"seed {seed}: a thread waits for ever"
    assert not unexpected, f"seed {seed}: {unexpected}"
    db.close()
    with connect(tmp_path / "x", settings={"auto.offset.reset": "earliest"}, threads=0) as again:
        again.drain()
        total = sum(acknowledged)
        assert total <= sum(1 for _ in again.consume("s")) <= total + 2
        assert again.sql("SELECT sum(N) AS n FROM T").fetchone() == (sum(1 for _ in again.consume("s")),)
