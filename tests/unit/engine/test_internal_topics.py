"""``penstock.internal.topics``: what queries re-key and what their joins keep, in topics that can be looked into.

The oracle is the input itself: a topic holds, in order, the rows that pass the place it is named for.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError
from penstock.runtime.clock import ManualClock
from penstock.storage.log.partitioner import partitions_of

PREFIX = "_confluent-ksql-default_query_"
ROWS = 24


def opened(path: Path | None = None, **settings: object) -> Database:
    """Stepped by hand, with the property on."""
    chosen = {
        "auto.offset.reset": "earliest",
        "processing.order": "arrival",
        "cache.max.bytes.buffering": "0",
        "penstock.internal.topics": "true",
        **settings,
    }
    return connect(path, threads=0, clock=ManualClock(1_000), settings=chosen)


SOURCES = (
    "CREATE STREAM s (id INT KEY, name STRING, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=$P);"
    "CREATE STREAM r (id INT KEY, w INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='ARROW', PARTITIONS=$P);"
    "CREATE TABLE t (id INT PRIMARY KEY, label STRING) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=$P);"
)
GROUPED = "CREATE TABLE o AS SELECT name, COUNT(*) AS n, SUM(v + 1) AS total FROM s GROUP BY name;"
JOINED = "CREATE STREAM o AS SELECT t.id, s.name, t.label FROM s LEFT JOIN t ON s.v = t.id;"
PAIRED = "CREATE STREAM o AS SELECT r.w, s.name FROM s JOIN r WITHIN 5 MILLISECONDS ON s.v = r.w;"
LABELS = "CREATE TABLE o AS SELECT label, COUNT(*) AS n FROM t GROUP BY label;"


def fill(db: Database) -> None:
    """Rows whose groups and keys are sometimes null; their timestamps are their numbers."""
    numbers = range(ROWS)
    db.insert("t", [{"id": i % 6, "label": None if i % 5 == 4 else f"l{i % 3}", "rowtime": i} for i in numbers])
    names = [None if i % 7 == 6 else f"n{i % 4}" for i in numbers]
    db.insert("s", [{"id": i, "name": names[i], "v": None if i % 9 == 8 else i % 5, "rowtime": i} for i in numbers])
    db.insert("r", [{"id": i, "w": i % 4, "rowtime": i} for i in numbers])


def held(db: Database, name: str) -> list[Any]:
    """The records of the only query's internal topic, by time (the order of arrival, as the rows were inserted)."""
    (query,) = db.queries
    (topic,) = [t for t in db.queries[query].internal_topics if t == f"{PREFIX}{query}-{name}"]
    return sorted(db.consume(topic), key=lambda record: record.timestamp)


def as_int(key: bytes | None) -> int | None:
    return None if key is None else struct.unpack(">i", key)[0]


def grouped(db: Database) -> None:
    found = [(r.key, json.loads(r.value), r.timestamp) for r in held(db, "Aggregate-GroupBy-repartition")]
    names = [(i, f"n{i % 4}") for i in range(ROWS) if i % 7 != 6]
    sums = [None if i % 9 == 8 else i % 5 + 1 for i, _ in names]
    wanted = [
        (name.encode(), {"NAME": name, "KSQL_INTERNAL_COL_0": total}, i)
        for (i, name), total in zip(names, sums, strict=True)
    ]
    assert found == wanted


def joined(db: Database) -> None:
    found = [(as_int(r.key), json.loads(r.value), r.timestamp) for r in held(db, "Join-repartition")]
    wanted = [(None if i % 9 == 8 else i % 5, {"S_NAME": None if i % 7 == 6 else f"n{i % 4}"}, i) for i in range(ROWS)]
    assert found == wanted
    kept = [(as_int(r.key), json.loads(r.value)) for r in held(db, "KafkaTopic_Right-Reduce-changelog")]
    assert kept == [(i % 6, {"LABEL": None if i % 5 == 4 else f"l{i % 3}"}) for i in range(ROWS)]


def paired(db: Database) -> None:
    right = [(as_int(r.key), r.value, r.timestamp) for r in held(db, "Join-right-repartition")]
    assert right == [(i % 4, {"ROWKEY": i % 4}, i) for i in range(ROWS)]
    stored = held(db, "KSTREAM-JOINTHIS-0000000016-store-changelog")
    wanted = [(i % 5, i) for i in range(ROWS) if i % 9 != 8]
    assert [struct.unpack(">iq", r.key[:-4]) for r in stored] == wanted
    by_partition: dict[int, list[int]] = {}
    for record in stored:
        by_partition.setdefault(record.partition, []).append(struct.unpack(">I", record.key[-4:])[0])
    assert all(numbers == list(range(len(numbers))) for numbers in by_partition.values())
    assert [struct.unpack(">iq", r.key[:-4]) for r in held(db, "KSTREAM-JOINOTHER-0000000017-store-changelog")] == [
        (i % 4, i) for i in range(ROWS)
    ]


def labelled(db: Database) -> None:
    rows: dict[int, str | None] = {}
    wanted = []
    for i in range(ROWS):
        label = None if i % 5 == 4 else f"l{i % 3}"
        before = rows.get(i % 6)
        if before is not None:
            wanted.append((before, True, i))
        if label is not None:
            wanted.append((label, False, i))
        rows[i % 6] = label
    found = [
        (r.key.decode(), ("penstock.undo", b"") in r.headers, r.timestamp) for r in held(db, "Aggregate-GroupBy-repartition")
    ]
    # a change that goes to another group is in two partitions, which have no order between them
    assert sorted(found, key=lambda f: (f[2], not f[1])) == wanted


CASES: dict[str, tuple[str, Callable[[Database], None]]] = {
    "grouped": (GROUPED, grouped),
    "joined": (JOINED, joined),
    "paired": (PAIRED, paired),
    "labelled": (LABELS, labelled),
}


@pytest.mark.parametrize(("rows_per_step", "partitions"), [(1, 3), (7, 1), (1_000, 3)])
@pytest.mark.parametrize("case", CASES)
def test_a_topic_holds_what_passed(case: str, rows_per_step: int, partitions: int) -> None:
    """Every row once and in order, however the input is cut into steps and partitions."""
    query, check = CASES[case]
    with opened(**{"penstock.rows.per.step": rows_per_step}) as db:
        db.execute(SOURCES.replace("$P", str(partitions)) + query)
        fill(db)
        db.drain()
        check(db)


@pytest.mark.parametrize("case", CASES)
def test_a_topic_is_a_copy(case: str) -> None:
    """The result, and the account of the query, are what they are without it."""
    results = []
    for value in ("true", "false"):
        with opened(**{"penstock.internal.topics": value}) as db:
            db.execute(SOURCES.replace("$P", "3") + CASES[case][0])
            fill(db)
            db.drain()
            (query,) = db.queries.values()
            results.append(([(r.key, r.value, r.timestamp) for r in db.consume("O")], query.progress().account))
            assert bool(query.internal_topics) == (value == "true")
            internal = [row[0] for row in db.execute("SHOW ALL TOPICS;")[0].rows if row[0].startswith("_confluent")]
            assert internal == sorted(query.internal_topics)
    assert results[0] == results[1]


def test_rows_lie_where_murmur2_puts_their_key() -> None:
    """As in Kafka: over the bytes of the key in the topic's own format, without what a window store adds."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "3") + PAIRED)
        fill(db)
        db.drain()
        for name, tail in (("Join-right-repartition", 0), ("KSTREAM-JOINOTHER-0000000017-store-changelog", 12)):
            found = held(db, name)
            keys = pa.array([r.key[: len(r.key) - tail] for r in found], pa.binary())
            assert [r.partition for r in found] == partitions_of(keys, 3).tolist()
            assert len({r.partition for r in found}) > 1


@pytest.mark.parametrize("case", CASES)
def test_a_crash_loses_and_repeats_nothing(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is opened anew from a copy of its files after every step."""
    for sync in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, sync, lambda descriptor: None, raising=False)
    query, check = CASES[case]
    db = opened(tmp_path / "0", **{"penstock.rows.per.step": 7})
    db.execute(SOURCES.replace("$P", "3") + query)
    fill(db)
    number = 0
    while any(run.step() for run in db._engine.host._scheduler.runs()):
        shutil.copytree(tmp_path / str(number), tmp_path / str(number + 1))
        db.close()
        number += 1
        db = opened(tmp_path / str(number), **{"penstock.rows.per.step": 7})
    assert number > 3
    check(db)
    db.close()


def test_topics_end_with_their_query(tmp_path: Path) -> None:
    """TERMINATE and DROP delete them, and so does opening after a crash in between."""
    with opened(tmp_path / "db") as db:
        db.execute(SOURCES.replace("$P", "1") + GROUPED)
        (topic,) = db.queries["CTAS_O_3"].internal_topics
        config = db._engine.log.topics()[topic]
    with opened(tmp_path / "db") as db:  # the property counts as it was when the query was made
        assert list(db.queries["CTAS_O_3"].internal_topics) == [topic]
        db.execute("TERMINATE CTAS_O_3;")
        assert topic not in db._engine.log.topics()
        db._engine.log.create_topic(topic, config)  # as a crash before the deletion leaves it
    with opened(tmp_path / "db") as db:
        assert topic not in db._engine.log.topics()


def test_a_lost_topic_comes_back(tmp_path: Path) -> None:
    """A crash between the statement and its topics: they are made when the query starts."""
    with opened(tmp_path / "db") as db:
        db.execute(SOURCES.replace("$P", "1") + GROUPED)
        (topic,) = db.queries["CTAS_O_3"].internal_topics
        db._engine.log.delete_topic(topic)
    with opened(tmp_path / "db") as db:
        fill(db)
        db.drain()
        grouped(db)


def test_replacing_a_query_goes_on_or_ends_the_copying() -> None:
    """CREATE OR REPLACE takes the property as it is then."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "1") + GROUPED)
        fill(db)
        db.drain()
        grouped(db)
        db.execute(GROUPED.replace("CREATE", "CREATE OR REPLACE").replace("FROM s", "FROM s WHERE v > 1"))
        db.insert("s", [{"id": 1, "name": "x", "v": 1, "rowtime": 99}, {"id": 2, "name": "y", "v": 2, "rowtime": 100}])
        db.drain()
        found = held(db, "Aggregate-GroupBy-repartition")
        assert [r.key for r in found[-2:]] == [b"n3", b"y"]
        db.execute("SET 'penstock.internal.topics' = 'false';")
        db.execute(GROUPED.replace("CREATE", "CREATE OR REPLACE"))
        assert not db.queries["CTAS_O_3"].internal_topics
        assert not [t for t in db._engine.log.topics() if t.startswith(PREFIX)]


def test_schemas_are_registered_and_go() -> None:
    """For the formats that have some, under the topic's own subjects."""
    with opened() as db:
        db.execute(
            "CREATE STREAM a (id INT KEY, v INT) WITH (KAFKA_TOPIC='a', FORMAT='AVRO', PARTITIONS=1);"
            "CREATE TABLE o AS SELECT v, COUNT(*) AS n FROM a GROUP BY v;"
        )
        registry = db.schema_registry
        topic = f"{PREFIX}CTAS_O_1-Aggregate-GroupBy-repartition"
        assert json.loads(registry.latest(f"{topic}-value").schema.text)["fields"][0]["name"] == "V"
        assert registry.latest(f"{topic}-key") is not None
        db.insert("a", [{"id": 1, "v": 5}])
        db.drain()
        (record,) = db.consume(topic)
        assert struct.unpack(">bi", record.value[:5]) == (0, registry.latest(f"{topic}-value").id)
        shown = db.execute(f"PRINT '{topic}' FROM BEGINNING LIMIT 1;")[0]
        (row,) = list(shown)
        assert row.key_format.startswith("AVRO") and (row.key, row.value) == ("5", '{"V":5}')
        db.execute("DROP TABLE o;")
        assert registry.latest(f"{topic}-value") is None
        assert registry.latest(f"{topic}-key") is None


def test_nobody_else_writes_to_them() -> None:
    """They are hidden from SHOW TOPICS, and cannot be written or declared."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "1") + GROUPED)
        (topic,) = db.queries["CTAS_O_3"].internal_topics
        assert topic not in db.topic_names()
        with pytest.raises(StatementError, match="internal"):
            db.produce(topic, key=b"k", value=b"{}")
        with pytest.raises(StatementError, match="internal"):
            db.execute(f"CREATE STREAM z (id INT KEY, v INT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');")
        with pytest.raises(StatementError, match="internal"):
            db.execute(f"CREATE STREAM z WITH (KAFKA_TOPIC='{topic}') AS SELECT id, v FROM s;")


def test_a_topic_of_that_name_is_left_alone() -> None:
    """The query is refused, nothing is overwritten."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "1"))
        db.create_topic(f"{PREFIX}CTAS_O_3-Aggregate-GroupBy-repartition")
        with pytest.raises(StatementError, match="needs an internal topic"):
            db.execute(GROUPED)
        db.execute("SET 'ksql.service.id' = 'mine_';")
        db.execute(GROUPED)
        assert list(db.queries["CTAS_O_3"].internal_topics) == [
            "_confluent-ksql-mine_query_CTAS_O_3-Aggregate-GroupBy-repartition"
        ]


def test_explain_says_what_would_be_copied() -> None:
    """Of a statement, under the id that its query would have; of a query, as it is."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "1"))
        before = db.execute("EXPLAIN " + GROUPED)[0].details["plan"]
        assert f"Copy to topic {PREFIX}CTAS_O_3-Aggregate-GroupBy-repartition" in before
        db.execute(GROUPED)
        assert db.queries["CTAS_O_3"].explain() == before


def test_a_windowed_key_keeps_its_window() -> None:
    """The bounds stand behind the key, as in every topic of windowed keys."""
    with opened() as db:
        db.execute(
            "CREATE STREAM a (id INT KEY, v INT) WITH (KAFKA_TOPIC='a', KEY_FORMAT='JSON_SR', VALUE_FORMAT='JSON',"
            " WINDOW_TYPE='SESSION', PARTITIONS=1);"
            "CREATE STREAM b (id INT KEY, w INT) WITH (KAFKA_TOPIC='b', KEY_FORMAT='JSON_SR', VALUE_FORMAT='JSON',"
            " WINDOW_TYPE='SESSION', PARTITIONS=1);"
            "CREATE STREAM o AS SELECT a.id, v, w FROM a JOIN b WITHIN 1 MINUTE ON a.id = b.id;"
        )
        key = struct.pack(">bi", 0, db.schema_registry.latest("a-key").id) + b"7" + struct.pack(">qq", 30, 10)
        db.produce("a", key=key, value=b'{"V": 1}', timestamp=30)
        db.drain()
        (moved,) = db.consume(f"{PREFIX}CSAS_O_2-Join-left-repartition")
        own = db.schema_registry.latest(f"{PREFIX}CSAS_O_2-Join-left-repartition-key").id
        assert moved.key == struct.pack(">bi", 0, own) + b"7" + struct.pack(">qq", 30, 10)
        (stored,) = db.consume(f"{PREFIX}CSAS_O_2-KSTREAM-JOINTHIS-0000000016-store-changelog")
        assert stored.key[-28:] == struct.pack(">qqqI", 30, 10, 30, 0)


def test_a_deleted_row_is_a_tombstone_in_a_changelog() -> None:
    """So that compaction may forget it."""
    with opened() as db:
        db.execute(SOURCES.replace("$P", "1") + JOINED)
        db.produce("t", key=struct.pack(">i", 1), value=b'{"LABEL": "x"}', timestamp=1)
        db.produce("t", key=struct.pack(">i", 1), value=None, timestamp=2)
        db.drain()
        found = held(db, "KafkaTopic_Right-Reduce-changelog")
        assert [r.value for r in found] == [b'{"LABEL":"x"}', None]
        config = db._engine.log.topics()[f"{PREFIX}CSAS_O_3-KafkaTopic_Right-Reduce-changelog"]
        assert (config.cleanup_policy, config.internal) == ("compact", True)


def test_rows_that_a_format_cannot_hold_are_refused() -> None:
    """When the query is made, with what to do."""
    with opened() as db:
        db.execute("CREATE STREAM q (id INT KEY, y INT) WITH (KAFKA_TOPIC='q', VALUE_FORMAT='DELIMITED', PARTITIONS=1);")
        text = "CREATE TABLE o WITH (KEY_FORMAT='JSON') AS SELECT ARRAY[y] AS a, COUNT(*) AS n FROM q GROUP BY ARRAY[y];"
        with pytest.raises(StatementError, match="Aggregate-GroupBy-repartition cannot be written"):
            db.execute(text)
        assert not db.queries
        db.execute("SET 'penstock.internal.topics' = 'false';" + text)
