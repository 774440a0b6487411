"""Many threads use one database at once: nothing is lost, nothing is half visible, nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.engine.database import Database, connect
from penstock.errors import PenstockError, StatementError
from penstock.limits import SUBSCRIPTION_ROWS_MAX

SETTINGS = {"auto.offset.reset": "earliest"}
PATIENCE_S = 60.0


def all_at_once(*works: Callable[[], None]) -> None:
    """Run every function in a thread; the first error of any is raised; none may take for ever."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(w,), daemon=True) for w in works]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[0]
    assert not any(t.is_alive() for t in threads), "a thread waits for ever"


def close(db: Database) -> None:
    """Closing ends, whatever is going on."""
    all_at_once(db.close)


@pytest.mark.parametrize("where", ["memory", "directory"])
def test_everything_at_once(where: str, tmp_path: Path) -> None:
    """Inserts, pulls, subscriptions, pauses, terminations and new queries side by side; then every row is there once."""
    db = connect(None if where == "memory" else tmp_path / "x", settings=SETTINGS, threads=3)
    db.execute("CREATE STREAM S (ID INT KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=3);")
    db.execute("CREATE TABLE T AS SELECT ID, COUNT(*) AS N, SUM(V) AS TOTAL FROM S GROUP BY ID;")
    db.execute("CREATE STREAM F AS SELECT ID, V FROM S WHERE V > 50;")
    table = next(q for q in db.queries if q.startswith("CTAS_T"))
    inserted = 30 * 20
    done = threading.Event()

    def insert(writer: int) -> Callable[[], None]:
        def work() -> None:
            for i in range(30):
                db.insert("S", [{"ID": k % 7, "V": writer * 30 + i} for k in range(20)])

        return work

    def pull() -> None:
        while not done.is_set():
            counted = db.sql("SELECT sum(N) AS n FROM T").fetchone()
            assert counted is not None
            assert 0 <= (counted[0] or 0) <= 4 * inserted

    def subscribe() -> None:
        seen = 0
        for _ in db.subscribe("SELECT * FROM S EMIT CHANGES LIMIT 600;"):
            seen += 1
        assert seen == 600

    def control() -> None:
        while not done.is_set():
            db.queries[table].pause()
            db.queries[table].resume()

    def churn() -> None:
        for _ in range(5):
            db.execute("CREATE TABLE X AS SELECT V, COUNT(*) AS N FROM S GROUP BY V;")
            db.execute("SHOW QUERIES; DESCRIBE X EXTENDED;")
            db.execute("DROP TABLE X DELETE TOPIC;")

    def writers() -> None:
        try:
            all_at_once(*(insert(w) for w in range(4)), subscribe, churn)
        finally:
            done.set()

    all_at_once(writers, pull, control)
    db.queries[table].resume()
    assert db.wait_idle(PATIENCE_S)
    assert db.sql("SELECT sum(N) AS n FROM T").fetchall() == [(4 * inserted,)]
    expected = sorted(v for v in range(120) for _ in range(20) if v > 50)
    assert sorted(r.value["V"] for r in db.consume("F")) == expected
    close(db)


def test_a_transfer_is_never_half_visible() -> None:
    """Rows of one insert into one partition are taken in by one step, and tables are read as of the same commits."""
    db = connect(settings=SETTINGS, threads=2)
    db.execute("CREATE STREAM S (ACCOUNT STRING, AMOUNT BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    db.execute("CREATE TABLE A AS SELECT ACCOUNT, SUM(AMOUNT) AS BALANCE FROM S GROUP BY ACCOUNT;")
    done = threading.Event()

    def transfer() -> None:
        try:
            for i in range(200):
                db.insert("S", [{"ACCOUNT": "a", "AMOUNT": -i}, {"ACCOUNT": "b", "AMOUNT": i}])
        finally:
            done.set()

    def look() -> None:
        while not done.is_set():
            row = db.sql("SELECT coalesce(sum(BALANCE), 0) AS total FROM A").fetchone()
            assert row == (0,)

    all_at_once(transfer, look, look)
    close(db)


def test_one_query_fails_and_the_others_go_on(tmp_path: Path) -> None:
    """With worker threads, too; waiting for the failed one says so at once."""

    @penstock.udaf(name="refuses_all")
    class Refuses:
        def initialize(self) -> int:
            return 0

        def aggregate(self, state: int, v: int) -> int:
            raise ValueError("no")

    db = connect(tmp_path / "x", settings={**SETTINGS, "penstock.row.failure": "stop"}, threads=2)
    db.execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    db.execute("CREATE TABLE BAD AS SELECT K, REFUSES_ALL(V) AS TOTAL FROM S GROUP BY K;")
    db.execute("CREATE TABLE GOOD AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
    token = db.insert("S", [{"K": 1, "V": 60}, {"K": 1, "V": 60}])
    assert db.sql("SELECT N FROM GOOD;", after=token).fetchall() == [(2,)]
    with pytest.raises(PenstockError, match="BAD"):
        db.sql("SELECT * FROM BAD;", after=token)
    states = {q.id.split("_")[1]: q.state for q in db.queries.values()}
    assert states == {"BAD": "ERROR", "GOOD": "RUNNING"}
    close(db)


def test_closing_while_others_work_ends_all_of_them() -> None:
    """Whoever is inserting, reading or subscribed gets an error or an end, and close() returns."""
    db = connect(settings=SETTINGS, threads=2)
    db.execute("CREATE STREAM S (ID INT KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=2);")
    db.execute("CREATE TABLE T AS SELECT ID, COUNT(*) AS N FROM S GROUP BY ID;")
    started = threading.Barrier(4)

    def until_closed(work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            started.wait(PATIENCE_S)
            with pytest.raises(PenstockError):
                while True:
                    work()

        return run

    def subscribed() -> None:
        subscription = db.subscribe("SELECT * FROM S EMIT CHANGES;")
        started.wait(PATIENCE_S)
        for _ in subscription:
            pass

    def closing() -> None:
        started.wait(PATIENCE_S)
        time.sleep(0.2)
        db.close()

    insert = until_closed(lambda: db.insert("S", [{"ID": 1, "V": 1}]))
    all_at_once(insert, until_closed(lambda: db.sql("SELECT * FROM T").fetchall()), subscribed, closing)
    with pytest.raises(StatementError, match="closed"):
        db.execute("SHOW STREAMS;")


def test_a_slow_subscriber_blocks_its_query_or_is_told() -> None:
    """Blocking loses nothing; dropping says how many rows are missing."""
    count = SUBSCRIPTION_ROWS_MAX + 3_000
    rows = [{"ID": i, "V": i} for i in range(count)]
    with connect(settings={**SETTINGS, "penstock.rows.per.step": "500"}, threads=2) as db:
        db.execute("CREATE STREAM S (ID INT KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        db.insert("S", rows)
        blocking = db.subscribe(f"SELECT V FROM S EMIT CHANGES LIMIT {count};")
        assert [r.values[0] for r in blocking] == list(range(count))
        dropping = db.subscribe("SELECT V FROM S EMIT CHANGES;", overflow="drop")
        deadline = time.monotonic() + PATIENCE_S
        while any(run.status.lag for run in db._engine.host._scheduler.runs()) and time.monotonic() < deadline:
            time.sleep(0.05)
        seen = sum(1 for _ in iter(lambda: dropping.poll(0.0), None))
        assert seen == SUBSCRIPTION_ROWS_MAX
        db.insert("S", rows[:1])
        row = dropping.poll(PATIENCE_S)
        assert row is not None
        assert row.missed == count - seen
        dropping.close()
