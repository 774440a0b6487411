"""Topics through the public API: create, alter, delete, describe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock import StatementError, StorageError


@pytest.fixture
def db() -> Iterator[penstock.Database]:
    with penstock.connect(threads=0) as made:
        yield made


def test_a_topic_is_created_altered_and_described(tmp_path: Path) -> None:
    """What was set is there after opening again; None goes back to the default."""
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.create_topic("t", partitions=2, config={"retention.ms": 1000, "cleanup.policy": "compact,delete"})
        db.alter_topic("t", {"retention.ms": -1, "segment.bytes": "4096", "compression.type": "zstd"})
        db.alter_topic("t", {"compression.type": None, "segment.ms": 5})
    with penstock.connect(tmp_path / "db", threads=0) as db:
        for i in range(3):
            db.produce("t", value=b"v", timestamp=1000 + i, partition=1)
        topic = db.describe_topic("t")
    assert topic.config == {
        "cleanup.policy": "compact,delete",
        "compression.type": "none",
        "delete.retention.ms": "86400000",
        "min.compaction.lag.ms": "0",
        "retention.bytes": "-1",
        "retention.ms": "-1",
        "segment.bytes": "4096",
        "segment.ms": "5",
    }
    empty, filled = topic.partitions
    assert (empty.start_offset, empty.end_offset, empty.segments, empty.size_bytes) == (0, 0, 0, 0)
    assert empty.first_timestamp is empty.last_timestamp is None
    assert (filled.end_offset, filled.segments, filled.first_timestamp, filled.last_timestamp) == (3, 1, 1000, 1002)
    assert topic.size_bytes == filled.size_bytes > 0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"retention.m": 1}, "Did you mean retention.ms"),
        ({"flush.ms": 1}, "not supported"),
        ({"segment.bytes": 0}, "14 to"),
        ({"cleanup.policy": "keep"}, "one of"),
    ],
)
def test_a_wrong_config_changes_nothing(db: penstock.Database, config: dict[str, object], said: str) -> None:
    """Neither a new topic nor an old one takes it."""
    with pytest.raises(StatementError, match=said):
        db.create_topic("t", config=config)
    assert "t" not in db.topic_names()
    db.create_topic("t")
    before = db.describe_topic("t")
    with pytest.raises(StatementError, match=said):
        db.alter_topic("t", {"retention.ms": 5, **config})
    assert db.describe_topic("t") == before


def test_partitions_are_added_where_no_record_has_a_key(tmp_path: Path) -> None:
    """Records stay where they are; new ones go to the new partitions, too, also after opening again."""
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.create_topic("t")
        for i in range(4):
            db.produce("t", value=b"%d" % i)
        db.alter_topic("t", {"retention.ms": 10**15}, partitions=3)
        assert [p.end_offset for p in db.describe_topic("t").partitions] == [4, 0, 0]
        for i in range(4, 10):
            db.produce("t", value=b"%d" % i)
        with pytest.raises(StatementError, match="cannot get fewer"):
            db.alter_topic("t", partitions=2)
    with penstock.connect(tmp_path / "db", threads=0) as db:
        assert {p.partition for p in db.describe_topic("t").partitions if p.end_offset} == {0, 1, 2}
        assert sorted(r.value for r in db.consume("t")) == [b"%d" % i for i in range(10)]
        db.produce("t", key=b"k", value=b"v")
        with pytest.raises(StorageError, match="has a key"):
            db.alter_topic("t", partitions=4)
        assert len(db.describe_topic("t").partitions) == 3


def test_partitions_are_not_added_where_a_source_or_a_query_relies_on_their_number(db: penstock.Database) -> None:
    """A key column in a schema is enough, as is a running query; without either it goes."""
    db.create_topic("keyed")
    db.create_topic("plain")
    db.execute("CREATE STREAM k (id INT KEY, v INT) WITH (KAFKA_TOPIC = 'keyed', VALUE_FORMAT = 'JSON');")
    db.execute("CREATE STREAM p (v INT) WITH (KAFKA_TOPIC = 'plain', VALUE_FORMAT = 'JSON');")
    with pytest.raises(StatementError, match="K has a key"):
        db.alter_topic("keyed", partitions=2)
    db.execute("CREATE STREAM q AS SELECT * FROM p;")
    for name in ("plain", "Q"):
        with pytest.raises(StatementError, match="while queries use it"):
            db.alter_topic(name, partitions=2)
    db.execute("DROP STREAM q;")
    db.alter_topic("plain", partitions=2)
    db.execute("INSERT INTO p VALUES (1);")
    assert len(db.sql("SELECT * FROM p")) == 1


def test_a_topic_is_deleted_only_when_nothing_stands_on_it(db: penstock.Database) -> None:
    """A source keeps it; afterwards there is nothing of this name."""
    db.create_topic("t")
    db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 't', VALUE_FORMAT = 'JSON');")
    with pytest.raises(StatementError, match="S is declared over it"):
        db.delete_topic("t")
    db.execute("DROP STREAM s;")
    db.delete_topic("t")
    assert "t" not in db.topic_names()
    for broken in (lambda: db.delete_topic("t"), lambda: db.alter_topic("t"), lambda: db.describe_topic("t")):
        with pytest.raises(StatementError, match="there is no topic t"):
            broken()
