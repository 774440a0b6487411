"""Opening a database again: the journal's statements are replayed over what the topics are by then."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError, StorageError
from penstock.runtime.host import QueryHost

SETTINGS = {"auto.offset.reset": "earliest", "processing.order": "arrival", "cache.max.bytes.buffering": "0"}


def opened(path: Path) -> Database:
    """A database without threads."""
    return connect(path, settings=SETTINGS, threads=0)


def stream(name: str, topic: str, partitions: int | None, columns: str = "ID INT KEY, V INT") -> str:
    count = "" if partitions is None else f", PARTITIONS={partitions}"
    return f"CREATE STREAM {name} ({columns}) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='ARROW'{count});"


def test_a_topic_made_again_with_other_partitions_does_not_stop_the_replay(tmp_path: Path) -> None:
    """Old statements met the topic of their time, also a join of two with equal partitions."""
    with opened(tmp_path) as db:
        db.execute(stream("A", "a", 3) + stream("B", "b", 3) + stream("C", "a", None))
        db.execute("CREATE STREAM J AS SELECT A.ID, A.V AS X, B.V AS Y FROM A JOIN B WITHIN 1 SECOND ON A.ID = B.ID;")
        db.execute("DROP STREAM J DELETE TOPIC; DROP STREAM C; DROP STREAM A DELETE TOPIC;")
        db.execute(stream("A", "a", 1, "ID INT KEY, V STRING"))
        db.insert("A", [{"ID": 1, "V": "x"}])
    with opened(tmp_path) as db:
        assert set(db.catalog.sources) == {"A", "B", "KSQL_PROCESSING_LOG"}
        assert [r.value for r in db.consume("a")] == [{"V": "x"}]


def test_a_source_over_a_topic_that_is_gone_does_not_stop_the_replay(tmp_path: Path) -> None:
    """A statement without PARTITIONS needed its topic when it was executed, not at the replay."""
    with opened(tmp_path) as db:
        db.execute(stream("A", "a", 2) + "DROP STREAM A;" + stream("B", "a", None))
        db.execute("CREATE STREAM C AS SELECT * FROM B; DROP STREAM C DELETE TOPIC; DROP STREAM B DELETE TOPIC;")
    with opened(tmp_path) as db:
        assert db.topic_names() == ["ksql_processing_log"]
        assert db.queries == {}


def test_a_topic_is_not_deleted_under_another_source(tmp_path: Path) -> None:
    """DELETE TOPIC is refused, and changes nothing, while another source reads the topic."""
    with opened(tmp_path) as db:
        db.execute(stream("A", "a", 1) + stream("B", "a", None) + "CREATE STREAM C AS SELECT * FROM B;")
        with pytest.raises(StatementError, match="B reads it too"):
            db.execute("DROP STREAM A DELETE TOPIC;")
        assert "A" in db.catalog.sources
        assert "a" in db.topic_names()


def broken(*_: Any, **__: Any) -> None:
    raise StorageError("the disk is gone")


@pytest.mark.parametrize("made_again", [False, True])
def test_an_unfinished_drop_is_finished_at_the_next_start(tmp_path: Path, made_again: bool) -> None:
    """DELETE TOPIC is journaled before it happens; a topic of the same name made since is not touched."""
    db = opened(tmp_path)
    db.execute(stream("A", "a", 1))
    db.insert("A", [{"ID": 1, "V": 1}])
    if made_again:
        db.execute("DROP STREAM A DELETE TOPIC;")
        db.create_topic("a")
        db.produce("a", key=b"k", value=b"v")
    else:
        with mock.patch.object(db._engine.log, "delete_topic", broken), pytest.raises(StorageError):
            db.execute("DROP STREAM A DELETE TOPIC;")
    db.close()
    with opened(tmp_path) as db:
        assert "A" not in db.catalog.sources
        assert ("a" in db.topic_names()) is made_again


def test_a_create_whose_topic_cannot_be_made_is_taken_back(tmp_path: Path) -> None:
    """The statement failed for its author, so it is not there after a restart either."""
    db = opened(tmp_path)
    with mock.patch.object(db._engine.log, "create_topic", broken), pytest.raises(StorageError):
        db.execute(stream("A", "a", 1))
    assert "A" not in db.catalog.sources
    db.execute(stream("B", "b", 1))
    with mock.patch.object(db._engine.log, "create_topic", broken), pytest.raises(StorageError):
        db.execute("CREATE STREAM C AS SELECT * FROM B;")
    assert set(db.catalog.sources) == {"B", "KSQL_PROCESSING_LOG"}
    db.close()
    with opened(tmp_path) as db:
        assert set(db.catalog.sources) == {"B", "KSQL_PROCESSING_LOG"}
        assert db.queries == {}


def test_a_replaced_query_keeps_its_state(tmp_path: Path) -> None:
    """State written by the older query is read by the newer one, in memory and after a restart; DROP leaves nothing."""
    with opened(tmp_path) as db:
        db.execute(
            "CREATE TABLE T (ID INT PRIMARY KEY, A INT, B INT, C INT) "
            "WITH (KAFKA_TOPIC='t', PARTITIONS=2, VALUE_FORMAT='JSON');"
            "CREATE TABLE U AS SELECT ID, A FROM T;"
        )
        db.insert("T", [{"ID": i, "A": i, "B": i, "C": i} for i in range(3)])
        db.drain()
        db.execute("CREATE OR REPLACE TABLE U AS SELECT ID, A, B FROM T;")
        db.insert("T", [{"ID": 2, "A": 20, "B": 20, "C": 20}, {"ID": 3, "A": 30, "B": 30, "C": 30}])
        db.drain()
        expected = [(0, 0, 0), (1, 1, 1), (2, 20, 20), (3, 30, 30)]
        assert sorted(db.sql("SELECT ID, A, B FROM U;").fetchall()) == expected
    with opened(tmp_path) as db:
        assert sorted(db.sql("SELECT ID, A, B FROM U;").fetchall()) == expected
        db.execute("DROP TABLE U;")
    with opened(tmp_path) as db:
        assert not [name for name in db._engine.log.topics() if name.startswith("_changelog")]
        assert db._engine.log.groups() == []


def test_a_replaced_query_keeps_its_state_under_another_alias(tmp_path: Path) -> None:
    """What a source is called in the statement names neither state nor positions."""
    with opened(tmp_path) as db:
        db.execute(
            "CREATE TABLE T (ID INT PRIMARY KEY, A INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON');"
            "CREATE TABLE U AS SELECT ID, A FROM T;"
        )
        db.insert("T", [{"ID": i, "A": i} for i in range(3)])
        db.drain()
        db.execute("CREATE OR REPLACE TABLE U AS SELECT X.ID, X.A FROM T X;")
        positions = {g: db._engine.log.positions(g) for g in db._engine.log.groups()}
        assert len(positions) == 2
        assert sorted(db.sql("SELECT ID, A FROM U;").fetchall()) == [(0, 0), (1, 1), (2, 2)]
    with opened(tmp_path) as db:
        assert sorted(db.sql("SELECT ID, A FROM U;").fetchall()) == [(0, 0), (1, 1), (2, 2)]


def test_a_database_that_cannot_be_opened_leaves_nothing_running(tmp_path: Path) -> None:
    """Queries that were started before the failure are stopped, and the directory can be opened again."""
    with connect(tmp_path, settings=SETTINGS) as db:
        db.execute(stream("A", "a", 1) + "CREATE STREAM B AS SELECT * FROM A;")
    before = set(threading.enumerate())
    with mock.patch.object(QueryHost, "forget_others", broken), pytest.raises(StorageError):
        connect(tmp_path, settings=SETTINGS)
    assert {t.name for t in set(threading.enumerate()) - before} == set()
    with connect(tmp_path, settings=SETTINGS) as db:
        assert db.wait_idle(60)
