"""Every property that can be set does something: a case for each, and none forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from penstock.engine.database import Database, connect
from penstock.engine.query_options import PROPERTIES
from penstock.errors import DataError, InternalError, StatementError, UnsupportedError
from penstock.runtime.clock import ManualClock
from penstock.runtime.operators.aggregate import Aggregate

S = "CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);"
T = "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"
ROWS = "INSERT INTO s VALUES (1, 10); INSERT INTO s VALUES (1, 20); INSERT INTO s VALUES (2, 30);"


def opened(**settings: object) -> Database:
    """In memory; stepped by hand."""
    return connect(None, threads=0, clock=ManualClock(1_000), settings=settings)


def refused(statement: str, before: str = S) -> Callable[[Database], bool]:
    """Whether a statement is refused."""

    def look(db: Database) -> bool:
        db.execute(before)
        db.drain()
        try:
            db.execute(statement)
        except StatementError:
            return True
        return False

    return look


def output(statement: str, topic: str) -> Callable[[Database], Any]:
    """The records that a query gives for `ROWS`, which are there before and after it is created."""

    def look(db: Database) -> Any:
        db.execute(S + ROWS + statement)
        db.drain()
        db.execute(ROWS)
        db.drain()
        return [(r.key, r.value) for r in db.consume(topic)]

    return look


def source(name: str, what: str) -> Callable[[Database], Any]:
    """A fact about the source that a CREATE .. AS SELECT makes."""

    def look(db: Database) -> Any:
        db.execute(
            "SET 'ksql.persistence.default.format.value' = 'JSON';" if what == "value_format.features" else "SHOW TYPES;"
        )
        db.execute("CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        db.execute(f"CREATE STREAM {name} AS SELECT k, a FROM s PARTITION BY k;")
        found: Any = db.catalog.sources[name]
        for part in what.split("."):
            found = getattr(found, part)
        return found

    return look


def replicas(db: Database) -> Any:
    """Of a sink."""
    source("X", "topic")(db)
    return db.execute("SHOW TOPICS;")


def push_query(db: Database) -> Any:
    """What a push query over a query's result shows: all of it, or what comes after it was asked."""
    db.execute(S + "CREATE STREAM c AS SELECT * FROM s;" + ROWS)
    db.drain()
    (result,) = db.execute("SELECT * FROM c EMIT CHANGES;")
    identity: str = result.query_id.split("_")[0]  # type: ignore[union-attr]
    return identity


def bad_timestamp(db: Database) -> bool:
    """Whether a record without a valid time fails the query."""
    db.execute("CREATE STREAM s (a BIGINT) WITH (KAFKA_TOPIC='s', TIMESTAMP='a', VALUE_FORMAT='JSON', PARTITIONS=1);")
    db.execute("CREATE STREAM c AS SELECT * FROM s; INSERT INTO s VALUES (-1);")
    try:
        db.drain()
    except DataError:
        return True
    return False


def bad_row(db: Database) -> bool:
    """Whether a row that cannot be aggregated stops the query."""
    db.execute("CREATE STREAM s (k INT KEY, a DOUBLE) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
    db.execute("CREATE TABLE c AS SELECT k, SUM(a) AS n FROM s GROUP BY k; INSERT INTO s VALUES (1, 2);")
    run = db._engine.host.run("CTAS_C_1")
    with mock.patch.object(Aggregate, "process", side_effect=ValueError("poison")):
        try:
            while run.step():
                pass
        except InternalError:
            return True
    return False


def nested(db: Database) -> Any:
    """What a SELECT item, a condition and a pull query make of a nested part that fails."""
    db.execute(S + "CREATE STREAM c AS SELECT k, COALESCE(CAST('x' + CAST(a AS STRING) AS INT), 7) AS n FROM s;")
    db.execute("CREATE STREAM d AS SELECT * FROM s WHERE COALESCE(CAST('x' + CAST(a AS STRING) AS INT), 7) = 7;" + ROWS)
    db.drain()
    pulled = db.sql("SELECT COALESCE(CAST('x' + CAST(a AS STRING) AS INT), 7) AS n FROM s;").fetchall()
    return [r.value for name in "CD" for r in db.consume(name)] + list(pulled)


def test_what_is_nested_fails_alone_or_with_all_around_it() -> None:
    """`COALESCE` sees a NULL, or does not come to pass."""
    with opened(**{"auto.offset.reset": "earliest"}) as db:
        rows = [{"K": 1, "A": 10}, {"K": 1, "A": 20}, {"K": 2, "A": 30}]
        assert [str(v) for v in nested(db)] == [
            *["b'{\"N\":7}'"] * 3,
            *(f"b'{{\"A\":{r['A']}}}'" for r in rows),
            *["(7,)"] * 3,
        ]
    with opened(**{"auto.offset.reset": "earliest", "ksql.nested.error.set.null": "false"}) as db:
        assert [str(v) for v in nested(db)] == [*["b'{\"N\":null}'"] * 3, *["(None,)"] * 3]
        (query, _) = db.queries.values()
        assert query.progress().account.used == 3
        loggers = [row[0].split(".", 1)[1] for row in db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").fetchall()]
        assert loggers == ["CSAS_C_1.project"] * 3 + ["CSAS_D_2.filter"] * 3 + ["pull.project"] * 3


def idle(db: Database) -> int:
    """How long a join waits for its other input."""
    db.execute(S + "CREATE STREAM r (k INT KEY, b INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);")
    db.execute("CREATE STREAM j AS SELECT s.k, a, b FROM s JOIN r WITHIN 1 HOUR ON s.k = r.k;")
    planned = next(iter(db._engine.planned.values()))
    return planned.dataflow.max_task_idle_ms


def order(db: Database) -> Any:
    """Which of two inputs comes first."""
    db.execute(S + "CREATE TABLE p (k INT PRIMARY KEY, b INT) WITH (KAFKA_TOPIC='p', PARTITIONS=1);")
    db.execute("SET 'auto.offset.reset' = 'earliest'; CREATE STREAM j AS SELECT s.k, a, b FROM s JOIN p ON s.k = p.k;")
    db.execute("INSERT INTO s (rowtime, k, a) VALUES (20, 1, 1); INSERT INTO p (rowtime, k, b) VALUES (10, 1, 2);")
    db.drain()
    return len(list(db.consume("J")))


def schema_level(db: Database) -> Any:
    """Of a subject that a statement registers."""
    db.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='AVRO', PARTITIONS=1);")
    return db.schema_registry.level("s-value")


def many(statement: str, count: int) -> Callable[[Database], bool]:
    """Whether a statement is refused the n-th time."""

    def look(db: Database) -> bool:
        db.execute(S)
        held = [db.execute(statement.replace("?", str(number))) for number in range(count - 1)]
        try:
            held.append(db.execute(statement.replace("?", str(count))))
        except StatementError:
            return True
        return False

    return look


KEYED = "SELECT * FROM t WHERE k "
CASES: dict[str, tuple[Callable[[Database], Any], object, object]] = {
    "auto.offset.reset": (output("CREATE STREAM c AS SELECT * FROM s;", "C"), "latest", "earliest"),
    "processing.order": (order, "timestamp", "arrival"),
    "cache.max.bytes.buffering": (output(T, "T"), "10000000", "0"),
    "max.task.idle.ms": (idle, "0", "500"),
    "ksql.output.topic.name.prefix": (source("X", "topic"), "", "pre-"),
    "ksql.persistence.default.format.key": (source("X", "key_format.name"), "KAFKA", "JSON"),
    "ksql.persistence.default.format.value": (source("X", "value_format.name"), "ARROW", "JSON"),
    "ksql.persistence.wrap.single.values": (source("X", "value_format.features"), "", "false"),
    "ksql.sink.partitions": (source("X", "partitions"), "", "5"),
    "ksql.sink.replicas": (replicas, "", "3"),
    "ksql.functions.collect_list.limit": (
        output("CREATE TABLE c AS SELECT k, COLLECT_LIST(a) AS l FROM s GROUP BY k;", "C"), "100", "1"),
    "ksql.functions.collect_set.limit": (
        output("CREATE TABLE c AS SELECT k, COLLECT_SET(a) AS l FROM s GROUP BY k;", "C"), "100", "1"),
    "ksql.insert.into.values.enabled": (refused("INSERT INTO s VALUES (1, 2);"), "true", "false"),
    "ksql.create.or.replace.enabled": (refused("CREATE OR REPLACE " + S[7:]), "true", "false"),
    "ksql.variable.substitution.enable": (refused("DEFINE x = 's'; SELECT * FROM ${x};"), "true", "false"),
    "ksql.query.persistent.active.limit": (refused(T), "1", "0"),
    "ksql.max.push.queries": (many("SELECT * FROM s EMIT CHANGES;", 2), "2", "1"),
    "ksql.new.query.planner.enabled": (refused("CREATE STREAM c AS SELECT a FROM s;"), "false", "true"),
    "ksql.query.pull.table.scan.enabled": (refused("SELECT * FROM t;", S + T), "true", "false"),
    "ksql.query.pull.limit.clause.enabled": (refused("SELECT * FROM t LIMIT 1;", S + T), "true", "false"),
    "ksql.query.pull.stream.enabled": (refused("SELECT * FROM s;"), "true", "false"),
    "ksql.query.push.v2.enabled": (push_query, "false", "true"),
    "ksql.timestamp.throw.on.invalid": (bad_timestamp, "false", "true"),
    "penstock.row.failure": (bad_row, "log", "stop"),
    "ksql.assert.topic.default.timeout.ms": (refused("ASSERT TOPIC x TIMEOUT 1 MILLISECOND; SHOW TYPES;"), "1", None),
    "ksql.assert.schema.default.timeout.ms": (refused("ASSERT SCHEMA SUBJECT x; SHOW TYPES;"), "1", None),
    "ksql.properties.overrides.denylist": (refused("SET 'max.task.idle.ms' = '5';"), "", "max.task.idle.ms"),
    "ksql.lambdas.enabled": (
        lambda db: [
            refused(text, before)(db)
            for text, before in (
                ("CREATE STREAM c AS SELECT k, REDUCE(ARRAY[a], 1, (x, y) => x + y) AS r FROM s;", S),
                ("SELECT k, TRANSFORM(ARRAY[a], x => x + 1) FROM s EMIT CHANGES;", "SHOW TYPES;"),
                ("INSERT INTO s VALUES (1, REDUCE(ARRAY[2], 1, (x, y) => x + y));", "SHOW TYPES;"),
            )
        ], "true", "false"),
    "ksql.headers.columns.enabled": (
        refused("CREATE STREAM h (a INT, h BYTES HEADER('h')) WITH (KAFKA_TOPIC='h', PARTITIONS=1);"), "true", "false"),
    "ksql.suppress.enabled": (
        refused("CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k EMIT FINAL;"),
        "true", "false"),
    "ksql.nested.error.set.null": (nested, "true", "false"),
    "penstock.topic.auto.create": (refused("CREATE STREAM c (a INT) WITH (KAFKA_TOPIC='c');"), "false", "true"),
    "penstock.schema.compatibility": (schema_level, "", "full"),
}  # fmt: skip
"""What to look at, and two values that must give two answers (None: it only needs to be taken)."""

ELSEWHERE = {
    "ksql.query.pull.range.scan.enabled": "only where table scans are off: the conformance kit's pull queries",
    "ksql.schema.registry.url": "test_schema_server.py",
    "ksql.schema.registry.ssl.ca.location": "tests/unit/storage/formats/test_registry_tls.py",
    "penstock.durability": "tests/simulation/test_relaxed_crashes.py",
    "penstock.durability.relaxed.ms": "tests/simulation/test_relaxed_crashes.py",
    "penstock.threads": "every test that sets threads",
    "penstock.duckdb.memory": "tests/unit/engine/statements/test_locked_down.py",
    "penstock.duckdb.threads": "how fast DuckDB is",
    "penstock.rows.per.step": "tests/properties: batch sizes",
    "ksql.service.id": "test_internal_topics.py: part of the names",
    "penstock.internal.topics": "test_internal_topics.py",
    "penstock.emit.final.expired": "commands/test_windows.py",
    "penstock.join.unmatched": "commands/test_windows.py",
    "penstock.log.late": "commands/test_windows.py",
    "penstock.deviation": "functions/test_deviation.py",
    "penstock.result.topics.writable": "test_ownership.py",
    "num.standby.replicas": "../kafka_log/test_standbys.py",
    "processing.guarantee": "../kafka_log/test_at_least_once.py",
}


@pytest.mark.parametrize("name", CASES)
def test_both_values_differ(name: str) -> None:
    """A value that changes nothing would be one that is accepted and ignored."""
    look, usual, other = CASES[name]
    extra = {"auto.offset.reset": "earliest"} if name.startswith("ksql.functions") else {}
    with opened(**{name: usual, **extra}) as db:
        first = look(db)
    if other is None:
        assert first is True
        return
    with opened(**{name: other, **extra}) as db:
        assert look(db) != first


def test_no_property_is_forgotten() -> None:
    """Each has a case here or is tested elsewhere, or is always met."""
    left = set(PROPERTIES) - set(CASES) - set(ELSEWHERE)
    forgotten = {n for n in left if PROPERTIES[n].in_effect}
    assert forgotten == set(), "a case for each in CASES, or its test's name in ELSEWHERE"


@pytest.mark.parametrize(
    "name",
    [
        "num.stream.threads", "state.dir", "ksql.connect.url", "ksql.extension.dir",
        "ksql.udfs.enabled", "ksql.udf.collect.metrics", "ksql.queries.file", "ksql.hidden.topics", "ksql.readonly.topics",
        "fail.on.deserialization.error", "ksql.streams.num.stream.threads", "ksql.query.pull.max.qps",
        "ksql.query.pull.consistency.token.enabled", "ksql.suppress.buffer.size.bytes", "ksql.query.error.max.queue.size",
        "listeners", "bootstrap.servers", "rocksdb.config.setter", "ksql.query.transient.max.bytes.buffering.total",
    ],
)  # fmt: skip
def test_what_penstock_has_not_is_refused_by_name(name: str) -> None:
    """With the name, never accepted and ignored."""
    with opened() as db, pytest.raises(UnsupportedError, match=name.removeprefix("ksql.streams.")):
        db.execute(f"SET '{name}' = '1';")


def test_what_changes_nothing_is_said_to() -> None:
    """A property that is met whatever its value is."""
    with opened() as db:
        (result,) = db.execute("SET 'ksql.streams.commit.interval.ms' = '20';")
        assert "changes nothing" in str(result) and "every step is committed at once" in str(result)
        (result,) = db.execute("SET 'auto.offset.reset' = 'latest';")
        assert "changes nothing" not in str(result)


@pytest.mark.parametrize("name", ["penstock.threads", "penstock.rows.per.step"])
def test_what_belongs_to_the_database_is_not_set_in_a_session(name: str) -> None:
    """It would do nothing."""
    with opened() as db, pytest.raises(StatementError):
        db.execute(f"SET '{name}' = '1';")
