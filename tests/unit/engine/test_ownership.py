"""The log belongs to the engine: every way in refuses its topics and their names, and sweeps nothing that a user named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock import connect
from penstock.engine.database import Database
from penstock.errors import ClientError, PenstockError, StatementError
from penstock.listener.log_access import LogAccess
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.ownership import is_own_name, refused_name, refused_write
from penstock.storage.log.protocol import Records, TopicConfig

OWN = [
    "_penstock-statements",
    "_penstock-submissions",
    "_schemas",
    "ksql_processing_log",
    "_changelog-CTAS_COUNTS_1-0-groups",
]
SCRIPT = """
CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);
CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
"""


@pytest.fixture
def db(tmp_path: Path) -> Any:
    with connect(tmp_path / "db") as made:
        made.submit(SCRIPT, "script")
        made.insert("s", [{"k": "a", "v": 1}])
        made.wait_idle()
        yield made


def own_topics(db: Database) -> list[str]:
    """Those that are there."""
    return [name for name in db._engine.log.topics() if is_own_name(name)]


def in_transaction(db: Database, topic: str) -> None:
    with db.producer() as producer, producer.transaction() as transaction:
        transaction.send(topic, value=b"x")


def in_bulk_transaction(db: Database, topic: str) -> None:
    with db.producer("id") as producer, producer.transaction() as transaction:
        transaction.send_batch(topic, [{"value": b"x"}])


def sent(db: Database, topic: str) -> None:
    with db.producer() as producer:
        producer.send(topic, value=b"x").result()


def sent_in_bulk(db: Database, topic: str) -> None:
    with db.producer() as producer:
        producer.send_batch(topic, [{"value": b"x"}], partition=0).result()


def created_as(db: Database, topic: str) -> None:
    db.execute(f"CREATE STREAM x WITH (KAFKA_TOPIC='{topic}') AS SELECT * FROM s;")


WAYS_TO_WRITE: list[Callable[[Database, str], Any]] = [
    sent,
    sent_in_bulk,
    in_transaction,
    in_bulk_transaction,
    created_as,
    lambda db, topic: db.produce(topic, value=b"x"),
    lambda db, topic: db.produce(topic, value=None, producer="p", sequence=1),
]


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_nobody_writes_to_the_engines_topics(db: Database, tmp_path: Path, way: Callable[[Database, str], Any]) -> None:
    """An error that says so; the database opens again with the same statements and rows."""
    topics = own_topics(db)
    assert len(topics) >= 5
    for topic in topics:
        log = db._engine.log
        before = log.end_offset(topic, 0)
        with pytest.raises((StatementError, ClientError), match="internal"):
            way(db, topic)
        assert log.end_offset(topic, 0) == before
    db.close()
    with connect(tmp_path / "db") as again:
        again.wait_idle()
        assert again.sql("SELECT * FROM counts WHERE k = 'a';").fetchall() == [("a", 1)]


@pytest.mark.parametrize("name", [*OWN, "_changelog-x", "_penstock", "_penstock-statements2", "_changelog-"])
@pytest.mark.parametrize("kind", ["stream", "table", "query", "insert into", "method"])
def test_names_of_the_engines_own_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    """Whichever statement would make such a topic; nothing is left of it."""
    options = f"WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='JSON', PARTITIONS=1)"
    with connect(tmp_path / "db") as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
        before = db._engine.log.topics()
        with pytest.raises(PenstockError, match=r"internal|already|typed values"):
            if kind == "stream":
                db.execute(f"CREATE STREAM x (v INT) {options};")
            elif kind == "table":
                db.execute(f"CREATE TABLE x (k INT PRIMARY KEY, v INT) {options};")
            elif kind == "query":
                db.execute(f"CREATE STREAM x WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='JSON') AS SELECT * FROM s;")
            elif kind == "insert into":
                db.execute(f"CREATE STREAM x (k STRING KEY, v INT) {options}; INSERT INTO x SELECT * FROM s;")
            else:
                db.create_topic(name)
        assert db._engine.log.topics() == before


def test_a_prefix_of_sinks_does_not_get_around_it(tmp_path: Path) -> None:
    """The name of a query's topic is refused wherever it comes from."""
    with connect(tmp_path / "db", settings={"ksql.output.topic.name.prefix": "_changelog-"}) as db:
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
        with pytest.raises(StatementError, match="internal"):
            db.execute("CREATE STREAM x AS SELECT * FROM s;")


def test_the_processing_log_can_be_read_and_not_deleted(db: Database) -> None:
    """A stream of one's own over it: rows cannot be inserted, and DROP leaves the topic."""
    db.execute("CREATE STREAM mine (`LEVEL` STRING) WITH (KAFKA_TOPIC='ksql_processing_log', VALUE_FORMAT='ARROW');")
    with pytest.raises(StatementError, match="internal"):
        db.insert("mine", [{}])
    with pytest.raises(StatementError, match="internal"):
        db.execute("DROP STREAM mine DELETE TOPIC;")
    db.execute("DROP STREAM mine;")
    with pytest.raises(StatementError, match="is internal"):
        db.delete_topic("ksql_processing_log")


def test_what_a_user_named_before_stays(tmp_path: Path) -> None:
    """A directory of an older build may hold a user's topic with such a name: opening it keeps it, again and again."""
    with connect(tmp_path / "db") as db:
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
    log = LocalLog.open(tmp_path / "db")
    log.create_topic("_changelog-mine", TopicConfig())
    transaction = log.transaction()
    transaction.append("_changelog-mine", Records(None, pa.array([b"kept"]), np.array([1])), 0)
    transaction.commit()
    log.close()
    for _ in range(2):
        with connect(tmp_path / "db") as db:
            assert [r.value for r in db.consume("_changelog-mine")] == [b"kept"]
            with pytest.raises(StatementError, match="internal"):
                db.produce("_changelog-mine", value=b"x")


def test_what_an_older_build_let_into_the_schemas_is_ignored(tmp_path: Path) -> None:
    """A record without a key is none of the registry's: the database opens."""
    with connect(tmp_path / "db"):
        pass
    log = LocalLog.open(tmp_path / "db")
    transaction = log.transaction()
    transaction.append("_schemas", Records(None, pa.array([b"x"]), np.array([1])), 0)
    transaction.commit()
    log.close()
    with connect(tmp_path / "db") as db:
        assert db.schema_registry.subjects() == []


def test_the_guard() -> None:
    """Kept names in one place; anything else is free."""
    for name in OWN:
        assert is_own_name(name)
        assert refused_name(name)
        assert refused_write(name, None)
    for name in ("orders", "penstock", "_orders", "changelog-x", "schemas"):
        assert refused_name(name) is None
        assert refused_write(name, TopicConfig()) is None
        assert refused_write(name, TopicConfig(internal=True))


def inserted_beside(db: Database, topic: str) -> None:
    """Through another source on the same topic."""
    db.execute(f"CREATE TABLE beside (k STRING PRIMARY KEY, n BIGINT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")
    try:
        db.insert("beside", [{"k": "a", "n": 9}])
    finally:
        db.execute("DROP TABLE beside;")


def stated_beside(db: Database, topic: str) -> None:
    db.execute(f"CREATE STREAM beside (k STRING KEY, n BIGINT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")
    try:
        db.execute("INSERT INTO beside VALUES ('a', 9);")
    finally:
        db.execute("DROP STREAM beside;")


def queried_beside(db: Database, topic: str) -> None:
    db.execute(f"CREATE STREAM beside (k STRING KEY, v INT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")
    try:
        db.execute("INSERT INTO beside SELECT * FROM s;")
    finally:
        db.execute("DROP STREAM beside;")


def deleted_beside(db: Database, topic: str) -> None:
    db.execute(f"CREATE TABLE beside (k STRING PRIMARY KEY, n BIGINT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")
    try:
        db.execute("DELETE FROM beside WHERE k = 'a';")
    finally:
        db.execute("DROP TABLE beside;")


@pytest.mark.parametrize("write", [*WAYS_TO_WRITE, inserted_beside, stated_beside, queried_beside, deleted_beside])
@pytest.mark.parametrize("again", [False, True])
def test_nothing_comes_past_a_query_into_its_table(tmp_path: Path, write: Any, again: bool) -> None:
    """What would be in the topic and not in the table that pull queries read is refused, whichever way it comes."""
    with connect(tmp_path / "db") as db:
        db.execute(SCRIPT)
        db.insert("s", [{"k": "a", "v": 1}])
        db.wait_idle()
    with connect(tmp_path / "db") as db:
        if again:
            db.execute("CREATE OR REPLACE TABLE counts AS SELECT k, COUNT(*) AS n FROM s WHERE k <> 'z' GROUP BY k;")
        with pytest.raises(PenstockError, match="holds the table COUNTS, which its query CTAS_COUNTS_1 alone changes"):
            write(db, "COUNTS")
        assert [r.value for r in db.consume("COUNTS")] == [b'{"N":1}']
        assert db.sql("SELECT n FROM counts").fetchall() == [(1,)]
        db.execute("TERMINATE CTAS_COUNTS_1;")
        db.produce("COUNTS", key=b"b", value=b'{"N":5}')  # nothing keeps it any more


@pytest.mark.parametrize("write", [sent, in_transaction, WAYS_TO_WRITE[-2]])
def test_a_database_may_allow_it_as_ksqldb_does(write: Any) -> None:
    """Queries that read the topic see what was written; the table of the query does not."""
    with connect(settings={"penstock.result.topics.writable": "true"}) as db:
        db.execute(SCRIPT)
        db.execute("CREATE TABLE above AS SELECT * FROM counts WHERE n > 0;")
        db.insert("s", [{"k": "a", "v": 1}])
        db.wait_idle()
        before = len(list(db.consume("COUNTS")))
        write(db, "COUNTS")
        assert len(list(db.consume("COUNTS"))) > before
        assert db.sql("SELECT n FROM counts").fetchall() == [(1,)]


def test_a_stream_of_a_query_takes_records_beside_it(db: Database) -> None:
    """It is what was put into it, by whomever."""
    db.execute("CREATE STREAM d AS SELECT k, v * 2 AS v FROM s;")
    db.wait_idle()
    db.produce("D", key=b"x", value=b'{"V":7}')
    assert len(db.sql("SELECT * FROM d WHERE k = 'x'").fetchall()) == 1


def test_kafka_clients_ask_the_same(db: Database) -> None:
    """They may read and describe the topic of a query's table, and write to others."""
    access = LogAccess(db)
    assert access.topic("COUNTS") is not None
    assert "holds the table COUNTS" in str(access.refused_records("COUNTS"))
    assert access.refused_write("COUNTS") is None
    assert access.refused_records("s") is None
