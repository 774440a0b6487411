"""PRINT: what it guesses, in which order records come, and when it ends."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.engine.database import Database, connect
from penstock.engine.results import PrintedRecord, PrintResult
from penstock.errors import StatementError
from penstock.runtime.clock import ManualClock


@pytest.fixture
def db() -> Iterator[Database]:
    """In memory, from the earliest record."""
    with connect(None, threads=0, clock=ManualClock(1_000), settings={"auto.offset.reset": "earliest"}) as database:
        yield database


def printed(db: Database, text: str) -> PrintResult:
    """The result of a PRINT."""
    (result,) = db.execute(text)
    assert isinstance(result, PrintResult)
    return result


def now(db: Database, topic: str) -> list[PrintedRecord]:
    """The records that a topic holds."""
    result = printed(db, f"PRINT `{topic}` FROM BEGINNING;")
    found = []
    while (record := result.poll(0)) is not None:
        found.append(record)
    return found


@pytest.mark.parametrize(
    ("data", "format_", "text"),
    [
        (None, "none", "<null>"),
        (b'{"a": 1}', "JSON", '{"a": 1}'),
        (b'"x"', "JSON", '"x"'),
        (b"{broken", "KAFKA_STRING", "{broken"),
        (b"12", "KAFKA_STRING", "12"),
        ("ünï".encode(), "KAFKA_STRING", "ünï"),
        (b"", "KAFKA_STRING", ""),
        (struct.pack(">i", -5), "KAFKA_INT", "-5"),
        (struct.pack(">q", 5), "KAFKA_BIGINT", "5"),
        (struct.pack(">q", 1_700_000_000_000), "KAFKA_BIGINT", "1700000000000"),
        (struct.pack(">d", 2.5), "KAFKA_DOUBLE", "2.5"),
        (b"\xff\xfe\x00", "BYTES", "0xfffe00"),
        (b"\x00\x00\x00\x00\x63garbage", "BYTES", "0x0000000063" + b"garbage".hex()),
        (b"[" * 5_000, "KAFKA_STRING", "[" * 5_000),
    ],
)
def test_bytes_are_guessed(db: Database, data: bytes | None, format_: str, text: str) -> None:
    """Each record from its own bytes; what nothing fits is hexadecimal, and nothing fails."""
    db.create_topic("raw")
    db.produce("raw", key=data, value=data)
    (record,) = now(db, "raw")
    assert (record.value_format, record.value) == (format_, text)
    assert (record.key_format, record.key) == (format_, text)


@pytest.mark.parametrize("format_", ["AVRO", "JSON_SR", "PROTOBUF"])
def test_records_with_schemas(db: Database, format_: str) -> None:
    """They are read with the schema whose id they carry; one that is damaged is bytes."""
    db.execute(
        f"CREATE STREAM s (k INT KEY, a STRING, b ARRAY<INT>) WITH (KAFKA_TOPIC='s', FORMAT='{format_}', PARTITIONS=1);"
    )
    db.execute("INSERT INTO s VALUES (7, 'x', ARRAY[1, 2]);")
    db.produce("s", key=None, value=b"\x00\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    good, bad = now(db, "s")
    assert good.value_format.startswith(f"{format_} (schema ") and good.value == '{"A":"x","B":[1,2]}'
    assert good.key_format.startswith(format_) and "7" in good.key
    assert (bad.value_format, bad.key) == ("BYTES", "<null>")


def test_typed_topics_and_tombstones(db: Database) -> None:
    """ARROW values are shown as JSON with the dialect's notations; a deleted row as null."""
    db.execute(
        "CREATE TABLE t (k STRING PRIMARY KEY, d DECIMAL(4,2), m TIMESTAMP, b BYTES) WITH (KAFKA_TOPIC='t', PARTITIONS=1);"
    )
    db.execute("CREATE TABLE u AS SELECT * FROM t WHERE d > 1;")
    db.execute("INSERT INTO t VALUES ('k', 1.5, '2024-01-02', 'IQ==');")
    db.drain()
    db.execute("INSERT INTO t (k, d) VALUES ('k', 0.5);")
    db.drain()
    assert [(r.value_format, r.value) for r in now(db, "U")] == [
        ("ARROW", '{"D":1.50,"M":"2024-01-02T00:00:00.000","B":"IQ=="}'),
        ("none", "<null>"),
    ]


@pytest.mark.parametrize(
    ("window", "key"),
    [("TUMBLING (SIZE 10 SECONDS)", "[7@10000/20000]"), ("SESSION (10 SECONDS)", "[7@12000/12000]")],
)
def test_windowed_keys(db: Database, window: str, key: str) -> None:
    """The sources on the topic say that the last bytes of a key are its window."""
    db.execute("CREATE STREAM s (k BIGINT KEY, a INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    db.execute(f"CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM s WINDOW {window} GROUP BY k;")
    db.execute("INSERT INTO s (rowtime, k) VALUES (12000, 7);")
    db.drain()
    (record,) = now(db, "N")
    assert record.key == key and record.key_format.endswith("(KAFKA_BIGINT)")


def test_sources_say_what_bytes_cannot(db: Database) -> None:
    """A number whose bytes happen to be letters, or could be another type."""
    db.execute("CREATE STREAM s (k INT KEY, v DOUBLE) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='KAFKA', PARTITIONS=1);")
    db.produce("s", key=b"abcd", value=struct.pack(">q", 1))
    (record,) = now(db, "s")
    assert (record.key_format, record.key) == ("KAFKA_INT", "1633837924")
    assert record.value_format == "KAFKA_DOUBLE"


def test_records_come_in_order_of_arrival(db: Database) -> None:
    """Over all partitions; SAMPLE takes every n-th, LIMIT counts what is shown and ends it."""
    db.create_topic("raw", partitions=3)
    for number in range(10):
        db.produce("raw", value=str(number).encode(), partition=(number * 2) % 3)
    assert [r.value for r in now(db, "raw")] == [str(n) for n in range(10)]
    result = printed(db, "PRINT raw FROM BEGINNING SAMPLE 3 LIMIT 2;")
    assert [r.value for r in result] == ["0", "3"] and result.tail.limit_reached


def test_without_from_beginning_only_new_records_are_shown() -> None:
    """It waits for them, also from another thread, and ends when the topic is deleted or it is closed."""
    with connect(None, threads=1) as db:
        db.execute("CREATE STREAM s (v STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='KAFKA', PARTITIONS=1);")
        db.insert("s", [{"v": "old"}])
        result = printed(db, "PRINT s;")
        assert result.poll(0) is None
        found: list[Any] = []
        read = threading.Event()

        def read_all() -> None:
            for record in result:
                found.append(record.value)
                read.set()

        reader = threading.Thread(target=read_all)
        reader.start()
        db.insert("s", [{"v": "new"}])
        assert read.wait(30)
        db.execute("DROP STREAM s DELETE TOPIC;")
        reader.join(30)
        assert found == ["new"] and result.tail.finished


def test_lines_name_formats_when_they_change(db: Database) -> None:
    """Once for the first record, again when another one differs; headers and times are shown."""
    db.create_topic("raw")
    db.produce("raw", value=b"{}", timestamp=1500, headers=[("h", b"x"), ("n", None), ("b", b"\xff")])
    db.produce("raw", value=b"{}", timestamp=2**62)
    db.produce("raw", key=b"k", value=b"text")
    lines = printed(db, "PRINT raw FROM BEGINNING LIMIT 3;").lines()
    assert list(lines) == [
        "Value format: JSON",
        "rowtime: 1970-01-01T00:00:01.500Z, key: <null>, value: {}, partition: 0, headers: h=x, n=<null>, b=0xff",
        f"rowtime: {2**62} ms, key: <null>, value: {{}}, partition: 0",
        "Key format: KAFKA_STRING",
        "Value format: KAFKA_STRING",
        "rowtime: 1970-01-01T00:00:01.000Z, key: k, value: text, partition: 0",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PRINT ordres;", "Did you mean orders?"),
        ("PRINT COPY;", "Did you mean orders?"),
        ("PRINT orders LIMIT 0;", "at least 1"),
        ("PRINT orders SAMPLE 0;", "at least 1"),
    ],
)
def test_refusals(db: Database, text: str, says: str) -> None:
    """Near misses of topics, and the name of a source, lead to the topic."""
    db.execute("CREATE STREAM copy (a INT) WITH (KAFKA_TOPIC='orders', PARTITIONS=1);")
    with pytest.raises(StatementError, match=says.replace("?", r"\?")):
        db.execute(text)
