"""Queries that move rows to another key are spread over processes: through topics of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

import penstock
from penstock.errors import StatementError, StorageError
from penstock.runtime.batch import Batch
from penstock.runtime.operators.aggregate import Aggregate
from penstock.runtime.query import repartitioning
from penstock.runtime.query.repartitioning import REPARTITION_PREFIX, ensure_moving_topic
from penstock.storage.layout import open_directory
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.storage.log.settings import LogSettings
from tests.support.waiting import until

Connect = Callable[..., penstock.Database]

SOURCES = """
SET 'cache.max.bytes.buffering' = '0';
CREATE STREAM orders (id STRING KEY, town STRING, euros INTEGER)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 3, VALUE_FORMAT = 'JSON');
CREATE TABLE people (id STRING PRIMARY KEY, town STRING, n INTEGER)
    WITH (KAFKA_TOPIC = 'people', PARTITIONS = 3, VALUE_FORMAT = 'JSON');
CREATE TABLE towns (town STRING PRIMARY KEY, land STRING)
    WITH (KAFKA_TOPIC = 'towns', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
"""
QUERIES = """
CREATE TABLE by_town AS SELECT town, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY town;
CREATE TABLE per_town AS SELECT town, COUNT(*) AS n, SUM(n) AS total FROM people GROUP BY town;
CREATE TABLE hourly AS SELECT town, COUNT(*) AS n FROM orders WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY town;
CREATE STREAM placed AS SELECT * FROM orders PARTITION BY town;
CREATE STREAM landed AS SELECT o.town AS town, o.euros, t.land FROM orders o LEFT JOIN towns t ON o.town = t.town;
CREATE TABLE lands AS SELECT p.id, p.n, t.land FROM people p LEFT JOIN towns t ON p.town = t.town;
"""
NAMES = ("BY_TOWN", "PER_TOWN", "HOURLY", "PLACED", "LANDED", "LANDS")


def fill(database: penstock.Database) -> None:
    database.insert("towns", [{"TOWN": f"t{i}", "LAND": f"l{i % 3}"} for i in range(8)])
    assert database.wait_idle(60)
    for i in range(40):
        database.insert("people", [{"ID": f"p{i % 9}", "TOWN": f"t{(i * 7) % 10}", "N": i}])
        database.insert("orders", [{"ID": f"p{i % 9}", "TOWN": None if i == 20 else f"t{(i * 3) % 10}", "EUROS": i}])
    assert database.wait_idle(60)


def written(database: penstock.Database) -> dict[str, Any]:
    """Of every result: how many records each key has, and the last one; of streams, all of them in no order."""
    found: dict[str, Any] = {}
    for name in NAMES:
        records: dict[bytes | None, list[Any]] = {}
        for record in database.consume(name):
            records.setdefault(record.key and record.key[:2], []).append(record.value)
        streams = name in ("PLACED", "LANDED")
        found[name] = {k: sorted(map(str, v)) if streams else (len(v), v[-1]) for k, v in records.items()}
    return found


def test_what_comes_out_is_as_on_the_log_of_a_machine(connect: Connect) -> None:
    """GROUP BY of streams and tables, windows, PARTITION BY, joins by other columns, foreign keys."""
    with penstock.connect(auto_offset_reset="earliest") as alone:
        alone.execute(SOURCES + QUERIES)
        fill(alone)
        expected = written(alone)
    database = connect()
    database.execute(SOURCES + QUERIES)
    fill(database)
    assert written(database) == expected


def test_processes_share_it(connect: Connect) -> None:
    """Each has tasks before and behind the topic; nobody but the engine writes to it; it goes with the query."""
    one, two = connect("one"), connect("two")
    one.execute(SOURCES)
    one.execute("CREATE TABLE by_town AS SELECT town, COUNT(*) AS n FROM orders GROUP BY town;")
    until(lambda: "BY_TOWN" in two.catalog.sources)
    query = next(iter(one.queries))
    topic = f"{REPARTITION_PREFIX}{query}-repartition"

    def topics(database: penstock.Database) -> set[str]:
        shares = database._engine.host.run(query).shares
        assert shares is not None
        return set() if shares.moved else {name for name, _ in shares.mine}

    until(lambda: topics(one) == topics(two) == {"orders", topic})
    for i in range(60):
        (one, two)[i % 2].insert("orders", [{"ID": f"p{i % 9}", "TOWN": f"t{i % 10}", "EUROS": i}])

    def counted() -> dict[bytes | None, int]:
        return {record.key: json.loads(record.value)["N"] for record in one.consume("BY_TOWN")}

    until(lambda: counted() == {f"t{i}".encode(): 6 for i in range(10)})
    assert sum(d._engine.host.run(query).status.account.read for d in (one, two)) == 60
    assert "1_2" in one.execute("SHOW QUERIES;")[0].rows[0][-1]
    assert topic not in str(one.execute("SHOW TOPICS;")[0]) and topic in str(one.execute("SHOW ALL TOPICS;")[0])
    with pytest.raises(StatementError, match="internal"):
        one.produce(topic, key=b"t1", value=b"{}")
    one.execute("DROP TABLE by_town;")
    until(lambda: "BY_TOWN" not in two.catalog.sources and topic not in str(two.execute("SHOW ALL TOPICS;")[0]))


def test_what_was_taken_in_is_deleted(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repartitioning, "PURGE_S", 0.0)
    database = connect()
    database.execute(SOURCES + "CREATE TABLE by_town AS SELECT town, COUNT(*) AS n FROM orders GROUP BY town;")
    query = next(iter(database.queries))
    log, topic = database._engine.log, f"{REPARTITION_PREFIX}{query}-repartition"

    def left() -> int:
        return sum(log.end_offset(topic, p) - log.start_offset(topic, p) for p in range(3))

    for _ in range(3):
        database.insert("orders", [{"ID": f"p{i}", "TOWN": f"t{i}", "EUROS": i} for i in range(50)])
        assert database.wait_idle(60)
    until(lambda: left() < 60)
    assert sorted(database.sql("SELECT n FROM by_town").fetchall()) == [(3,)] * 50


def test_a_query_that_is_replaced_goes_on(connect: Connect) -> None:
    database = connect()
    database.execute(SOURCES + "CREATE TABLE by_town AS SELECT town, COUNT(*) AS n FROM orders GROUP BY town;")
    rows = [{"ID": f"p{i}", "TOWN": f"t{i % 4}", "EUROS": i % 2} for i in range(20)]
    database.insert("orders", rows)
    assert database.wait_idle(60)
    database.execute(
        "CREATE OR REPLACE TABLE by_town AS SELECT town, COUNT(*) AS n FROM orders WHERE town <> 't0' GROUP BY town;"
    )
    database.insert("orders", rows)
    assert database.wait_idle(60)
    assert sorted(database.sql("SELECT town, n FROM by_town").fetchall()) == [("t0", 5), ("t1", 10), ("t2", 10), ("t3", 10)]


def test_a_topic_for_rows_on_their_way_gains_columns() -> None:
    """What is on its way keeps its own; other types, or another number of partitions, are refused."""
    log = LocalLog(open_directory(None), LogSettings(background=False))
    config = TopicConfig(2, pa.struct([("kind", pa.int32()), ("row.A", pa.string())]), internal=True)
    ensure_moving_topic(log, "t", config)
    ensure_moving_topic(log, "t", replace(config, value_type=pa.struct([("kind", pa.int32()), ("row.B", pa.int64())])))
    found = log.config("t")
    assert found is not None and [f.name for f in found.value_type] == ["kind", "row.A", "row.B"]
    with pytest.raises(StorageError, match="A was string, not int64"):
        ensure_moving_topic(log, "t", replace(config, value_type=pa.struct([("row.A", pa.int64())])))
    with pytest.raises(StorageError, match="in another form"):
        ensure_moving_topic(log, "t", replace(config, partitions=3))
    log.close()


def test_rows_at_fault_are_left_out_and_no_others(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails goes back to the last commit, its positions included, also when that is done from memory."""
    process = Aggregate.process

    def picky(self: Aggregate, inputs: Sequence[Batch]) -> Batch:
        columns = dict(zip(inputs[0].schema.names, inputs[0].columns, strict=True))
        if {13, 14, 33} & {v for name, c in columns.items() if "EUROS" in name for v in c.to_pylist()}:
            raise ValueError("poison")
        return process(self, inputs)

    monkeypatch.setattr(Aggregate, "process", picky)
    database = connect()
    database.execute(SOURCES + "CREATE TABLE sums AS SELECT id, SUM(euros) AS total FROM orders GROUP BY id;")
    for first in (0, 20):
        rows = [{"ID": f"p{i % 3}", "TOWN": "t", "EUROS": i} for i in range(first, first + 20)]
        database.insert("orders", rows)
        assert database.wait_idle(60)
    good = [i for i in range(40) if i not in (13, 14, 33)]
    expected = [(f"p{k}", sum(i for i in good if i % 3 == k)) for k in range(3)]
    assert sorted(database.sql("SELECT id, total FROM sums").fetchall()) == expected
