"""What the methods of a database are given is checked before anything happens: names, tokens, times."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from penstock import connect
from penstock.engine.database import Database
from penstock.errors import ClientError, StatementError, StorageError
from penstock.runtime.host import Token


@pytest.fixture
def db() -> Iterator[Database]:
    with connect(None, threads=0) as database:
        database.execute(
            "CREATE STREAM s (id INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
            "CREATE TABLE tt AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;"
        )
        yield database


@pytest.mark.parametrize("name", ["", "\ud800", "a\0b", 5, b"x"])
def test_names_of_readers_and_of_data(db: Database, name: Any) -> None:
    """What has no bytes in UTF-8, is empty or no text names nothing."""
    for call in (
        lambda: db.subscribe("SELECT * FROM s EMIT CHANGES;", resume=name),
        lambda: db.register(name, {"a": [1]}),
    ):
        with pytest.raises(StatementError, match=r"empty|surrogate|NUL|must be text"):
            call()
    with pytest.raises(StatementError, match="nothing is registered"):
        db.unregister(name)


def test_names_of_columns(db: Database) -> None:
    with pytest.raises(StatementError, match="the name of a column holds half of a surrogate pair"):
        db.register("frame", {"\ud800": [1]})
    with pytest.raises(StatementError, match="the name of a column holds half of a surrogate pair"):
        db.create_stream("made", {"\ud800": [1]})
    with pytest.raises(StatementError):
        db.register("frame", {"a": ["\ud800"]})


@pytest.mark.parametrize("token", [None, 5, "tok", {("s", 0): 1}])
def test_what_is_waited_for_is_a_token(db: Database, token: Any) -> None:
    calls: list[Callable[[], Any]] = [lambda: db.wait(token), lambda: db.wait(token, ["tt"])]
    if token is not None:
        calls += [
            lambda: db.sql("SELECT * FROM tt;", after=token),
            lambda: db.duckdb("SELECT * FROM tt;", after=token),
        ]
    for call in calls:
        with pytest.raises(StatementError, match="is the token that insert"):
            call()


def test_a_name_to_wait_for_is_one_name(db: Database) -> None:
    """``wait(token, "tt")`` waits for TT, not for T twice; a time is a number."""
    token = db.insert("s", {"id": 1, "v": 1})
    db.wait(token, "tt")
    assert db.sql("SELECT n FROM tt;").fetchall() == [(1,)]
    with pytest.raises(StatementError, match="named ABC"):
        db.wait(token, "abc")
    for seconds in ("5", math.nan, True, [1]):
        with pytest.raises(StatementError, match="number of seconds"):
            db.wait(token, "tt", seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../x", "x" * 250, ".", "..", "a b", "a/b", "ä", "a\n", 5, "\ud800"])
def test_names_of_topics(db: Database, name: Any) -> None:
    """Kafka's rule, whichever way a topic is made."""
    with pytest.raises(StatementError, match=r"topic|name must be text"):
        db.create_topic(name)
    if isinstance(name, str) and name.isprintable():
        before = len(db.catalog.sources)
        for statement in (
            f"CREATE STREAM n (a INT) WITH (KAFKA_TOPIC='{name}', PARTITIONS=1, VALUE_FORMAT='JSON');",
            f"CREATE STREAM n WITH (KAFKA_TOPIC='{name}') AS SELECT * FROM s;",
        ):
            with pytest.raises(StatementError, match="a topic cannot be called"):
                db.execute(statement)
        assert len(db.catalog.sources) == before


def test_a_stream_whose_topic_would_have_too_long_a_name(db: Database) -> None:
    for statement in (f"CREATE STREAM {'x' * 250} (a INT);", f"CREATE STREAM {'x' * 250} AS SELECT * FROM s;"):
        with pytest.raises(StatementError, match="a topic cannot be called"):
            db.execute(statement)
    db.execute(f"CREATE STREAM {'x' * 249} (a INT);")


def test_the_processing_log_is_altered_by_nobody(db: Database) -> None:
    with pytest.raises(StatementError, match="is internal"):
        db.alter_topic("ksql_processing_log", {"retention.ms": 1})
    for call in (db.alter_topic, db.describe_topic, db.delete_topic):
        with pytest.raises(StatementError, match=r"there is no topic|name must be text"):
            call(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("offset", ["+25:00", "+18:01", "-19:00", "+12:60", "+2500"])
def test_offsets_that_no_zone_has(db: Database, offset: str) -> None:
    """As in Java they end at 18 hours; every way in refuses others."""
    db.execute("CREATE STREAM times (id INT KEY, x TIMESTAMP) WITH (PARTITIONS=1, VALUE_FORMAT='JSON');")
    text = f"2024-01-01T00:00:00{offset}"
    for row in ({"id": 1, "x": text}, {"id": 1, "x": None, "rowtime": text}):
        with pytest.raises(StatementError):
            db.insert("times", row)
    for statement in (
        f"INSERT INTO times VALUES (1, '{text}');",
        f"SELECT id FROM times WHERE x > '{text}';",
        f"SELECT id FROM times WHERE ROWTIME > '{text}';",
    ):
        with pytest.raises(StatementError):
            db.execute(statement)
    db.insert("times", {"id": 1, "x": "2024-01-01T00:00:00+18:00"})
    found = db.sql(
        f"SELECT CAST('{text}' AS TIMESTAMP), PARSE_TIMESTAMP('{text}', 'yyyy-MM-dd''T''HH:mm:ss[XXX][XX]'), x FROM times;"
    ).fetchall()
    assert [tuple(map(str, row)) for row in found] == [("None", "None", "2023-12-31 06:00:00")]


@pytest.mark.parametrize("timeout", ["1", float("nan"), [], True])
def test_a_time_to_wait_is_a_number(timeout: Any) -> None:
    """NaN would wait for ever, a text raise an error that is not ours: in every call that waits."""
    with connect(threads=0) as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        (printed,) = db.execute("PRINT s FROM BEGINNING;")
        rows = db.subscribe("SELECT * FROM s EMIT CHANGES;")
        waits: list[Callable[[], object]] = [
            lambda: rows.poll(timeout),
            lambda: rows.poll_batch(timeout),
            lambda: asyncio.run(rows.next_row(timeout)),
            lambda: asyncio.run(rows.next_batch(timeout)),
            lambda: cast("Any", printed).poll(timeout),
            lambda: db.wait_idle(timeout),
            lambda: db.wait(Token(), timeout_s=timeout),
        ]
        for wait in waits:
            with pytest.raises(StatementError, match="a time to wait is a number"):
                wait()
        with db.producer() as producer, db.consumer(["s"]) as consumer:
            with pytest.raises(ClientError, match="a time to wait"):
                producer.send("s", value=b"{}").result(timeout)
            with pytest.raises(ClientError, match="a time to wait"):
                consumer.poll(timeout)


def test_infinity_waits_for_ever() -> None:
    """Which is over when there is something."""
    with connect() as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        with db.subscribe("SELECT * FROM s EMIT CHANGES;") as rows:
            token = db.insert("s", [{"k": "a", "v": 1}])
            db.wait(token, timeout_s=math.inf)
            assert rows.poll(math.inf) is not None
            assert rows.poll(-1) is None
        assert db.wait_idle(1e300)


@pytest.mark.parametrize("path", [5, b"x", ["x"], 1.5, object()])
def test_what_is_no_path_is_refused(path: Any) -> None:
    """By an error of ours."""
    with pytest.raises(StorageError, match="a path is a text"):
        connect(path)


def test_names_to_wait_for(tmp_path: Path) -> None:
    """One name or several."""
    with connect(tmp_path / "db") as db, pytest.raises(StatementError, match="are names"):
        db.wait(Token(), cast("Any", 5))


@pytest.mark.parametrize("error", [SystemExit(3), ValueError("x")])
def test_a_listener_that_raises_is_not_the_querys_end(error: BaseException) -> None:
    """Others read from the same query."""

    def listen() -> None:
        raise error

    with connect(settings={"auto.offset.reset": "earliest"}) as db:
        db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        with db.subscribe("SELECT * FROM s EMIT CHANGES;") as one, db.subscribe("SELECT * FROM s EMIT CHANGES;") as other:
            one.listen(listen)
            for number in range(3):
                db.insert("s", [{"k": "a", "v": number}])
                for rows in (one, other):
                    row = rows.poll(10)
                    assert row is not None and row.values[-1] == number
