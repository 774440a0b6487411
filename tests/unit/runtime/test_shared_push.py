"""Push queries of the same shape share one running query, and each reader gets what it would get alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import penstock
from penstock.engine.database import Database, connect
from penstock.limits import SUBSCRIPTION_ROWS_MAX
from penstock.runtime.push_queries import PushQueries
from penstock.runtime.subscriptions import Subscription
from tests.support.waiting import until

QUERY = "SELECT id, v * 2 AS w FROM s WHERE v % 3 <> 0 EMIT CHANGES"
PATIENCE_S = 30.0


@pytest.fixture
def db() -> Iterator[Database]:
    with connect(settings={"auto.offset.reset": "earliest"}, threads=2) as made:
        made.execute("CREATE STREAM s (id STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=3, VALUE_FORMAT='ARROW');")
        yield made


def pushes(db: Database) -> PushQueries:
    return db._engine.host.pushes


def insert(db: Database, *values: int) -> None:
    db.insert("s", [{"id": f"k{v}", "v": v} for v in values])


def expected(values: range) -> list[int]:
    return sorted(v * 2 for v in values if v % 3)


def read(subscription: Subscription, count: int) -> list[int]:
    """So many rows, and no more than these."""
    found: list[int] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        batch = subscription.poll_batch(max(0.0, deadline - time.monotonic()))
        assert batch is not None, f"{len(found)} of {count} rows came"
        found += batch.columns.column(1).to_pylist()
    return sorted(found)


def test_readers_of_one_shape_share_a_query_and_get_every_row_once(db: Database) -> None:
    """Some come before the first row, others read what is there already; then one query runs for all of them."""
    early = [db.subscribe(QUERY + ";") for _ in range(5)]
    until(lambda: pushes(db).running == 1)
    insert(db, *range(30))
    late = [db.subscribe(QUERY + ";") for _ in range(5)]
    until(lambda: pushes(db).running == 1)
    insert(db, *range(30, 60))
    for subscription in (*early, *late):
        assert read(subscription, len(expected(range(60)))) == expected(range(60))
        assert subscription.poll() is None


def test_what_differs_is_not_shared(db: Database) -> None:
    """Other text, other settings, a function that gives another value each time, one of the user's, a query with state."""
    penstock.udf(name="share_me_not", signature="(v INT) -> INT")(lambda v: v)
    texts = [QUERY, "SELECT id, v FROM s EMIT CHANGES", "SELECT id, RANDOM() AS r FROM s EMIT CHANGES"]
    texts += ["SELECT id, SHARE_ME_NOT(v) AS v FROM s EMIT CHANGES"]
    texts += ["SELECT id, COUNT(*) AS n FROM s GROUP BY id EMIT CHANGES"]
    opened: list[Any] = [db.subscribe(text + ";") for text in texts for _ in range(2)]
    session = db.session()
    session.execute("SET 'processing.order' = 'arrival';")
    opened += [session.subscribe(QUERY + ";") for _ in range(2)]
    until(lambda: pushes(db).running == 2 + 1 + 3 * 2)
    assert len(pushes(db)) == len(opened)


def test_a_slow_reader_moves_out_and_loses_nothing(db: Database) -> None:
    """The others go on; it gets a query of its own, and comes back when it has read what it had."""
    quick, slow = db.subscribe(QUERY + ";"), db.subscribe(QUERY + ";")
    until(lambda: pushes(db).running == 1)
    total = 4 * SUBSCRIPTION_ROWS_MAX
    wanted = len(expected(range(total)))
    step = SUBSCRIPTION_ROWS_MAX // 2
    found: list[int] = []
    for start in range(0, total, step):
        insert(db, *range(start, start + step))
        found += read(quick, len(expected(range(start, start + step))))
    assert sorted(found) == expected(range(total))
    assert pushes(db).running == 2
    assert read(slow, wanted) == expected(range(total))
    until(lambda: pushes(db).running == 1)
    insert(db, 3 * total + 1)
    assert len(read(quick, 1)) == len(read(slow, 1)) == 1


def test_limit_counts_each_readers_own_rows_and_its_end_is_its_own(db: Database) -> None:
    """One reads three rows, one is closed, one goes on."""
    three, closed, rest = (db.subscribe(f"{QUERY}{limit};") for limit in (" LIMIT 3", "", ""))
    until(lambda: pushes(db).running == 1)
    insert(db, 1, 2)
    assert [len(read(s, 2)) for s in (three, closed, rest)] == [2, 2, 2]
    closed.close()
    insert(db, 4, 5)
    assert len(read(three, 1)) == 1 and three.poll(1.0) is None and three.limit_reached
    assert len(read(rest, 2)) == 2
    three.close()
    rest.close()
    assert (len(pushes(db)), pushes(db).running) == (0, 0)
    again = db.subscribe(QUERY + ";")
    assert read(again, 4) == [2, 4, 8, 10]


def test_readers_that_come_and_go_while_rows_come(db: Database) -> None:
    """Each one gets all rows from the first to the last that was there when it had read so many."""
    total, opened = 3_000, []
    for start in range(0, total, 100):
        insert(db, *range(start, start + 100))
        opened.append(db.subscribe(QUERY + ";"))
        if len(opened) > 10:
            opened.pop(0).close()
    for subscription in opened:
        assert read(subscription, len(expected(range(total)))) == expected(range(total))
