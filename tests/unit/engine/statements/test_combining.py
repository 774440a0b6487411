"""Small inserts of many callers are made records together: nobody can tell, and what is wrong is told to whom it belongs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from penstock.engine.database import Database, connect
from penstock.engine.statements import records
from penstock.errors import PenstockError, StatementError, StorageError
from penstock.storage.log.protocol import Records
from penstock.tests.unit.engine.statements.test_odd_data import COLUMNS, VALUES

Together = Callable[..., list[Any]]


@pytest.fixture(name="db")
def opened() -> Iterator[Database]:
    with connect() as db:
        yield db


def shown(made: Records) -> list[str]:
    """Equal texts for equal records (values may be NaN)."""
    keys = [None] * len(made) if made.keys is None else made.keys.to_pylist()
    return [repr(row) for row in zip(keys, made.values.to_pylist(), made.timestamps.tolist(), strict=True)]


@pytest.mark.parametrize("format_", ["ARROW", "JSON"])
def test_rows_become_the_same_together_and_alone(db: Database, format_: str) -> None:
    """Any two odd values in one column: together they are refused, or are what each is by itself."""
    db.execute(f"CREATE STREAM s ({COLUMNS}) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = '{format_}');")
    engine = db._engine
    source = engine.catalog.source("S")
    combined = 0
    for name in "ABCDEFGHIJKLM":
        alone: list[str | None] = []
        for value in VALUES:
            try:
                alone += shown(records._made_together(engine, source, [([{"ID": 1, name: value}], 5)]))
            except StatementError:
                alone.append(None)
        for first, one in zip(VALUES, alone, strict=True):
            for second, other in zip(VALUES, alone, strict=True):
                rows = [([{"id": 1, name: first}], 5), ([{"ID": 1, name.lower(): second}], 5)]
                try:
                    made = shown(records._made_together(engine, source, rows))
                except PenstockError:
                    continue
                assert made == [one, other], (name, first, second)
                combined += 1
    assert combined > 500


def test_times_are_those_of_each_caller(db: Database) -> None:
    """A row has its rowtime, or the time at which its caller came."""
    db.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);")
    source = db._engine.catalog.source("S")
    made = records._made_together(
        db._engine, source, [([{"a": 1}], 7), ([{"a": 2, "rowtime": 3}, {"a": 3, "ROWTIME": 4}], 8), ([{"a": 4}], 9)]
    )
    assert made.timestamps.tolist() == [7, 3, 4, 9]
    with pytest.raises(StatementError, match="negative"):
        records._made_together(db._engine, source, [([{"a": 1, "rowtime": -1}], 7), ([{"a": 1}], 7)])


def test_each_caller_gets_its_own_error(db: Database, together: Together) -> None:
    """One in eight is wrong: it is told so, the others are written once."""
    db.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT) WITH (KAFKA_TOPIC = 't', PARTITIONS = 1);")

    def insert(number: int) -> Any:
        for step in range(20):
            wrong = [{"ID": None, "A": 1}, {"ID": 1, "B": 1}, {"ID": 1, "A": "x"}][step % 3]
            with pytest.raises(
                StatementError, match=["no value for its key ID", "no column B", "does not fit INTEGER"][step % 3]
            ):
                db.insert("t", [wrong])
            db.insert("t", [{"ID": number * 100 + step, "A": step}])

    assert together(*[lambda n=n: insert(n) for n in range(8)]) == [None] * 8  # type: ignore[misc]
    keys = [int.from_bytes(r.key or b"", "big") for r in db.consume("t")]
    assert sorted(keys) == [n * 100 + step for n in range(8) for step in range(20)]


def test_produced_records_too(db: Database, together: Together) -> None:
    """With keys, headers and times, and without; what the topic cannot hold is refused alone."""
    db.create_topic("raw")

    def produce(number: int) -> None:
        for step in range(20):
            with pytest.raises(StatementError, match="negative"):
                db.produce("raw", value=b"x", timestamp=-1)
            name = b"%d-%d" % (number, step)
            headers = (("h", name),) if step % 2 else ()
            db.produce("raw", key=name if step % 3 else None, value=name, timestamp=step, headers=headers)

    assert together(*[lambda n=n: produce(n) for n in range(8)]) == [None] * 8  # type: ignore[misc]
    found = list(db.consume("raw"))
    assert sorted(r.value for r in found) == sorted(b"%d-%d" % (n, step) for n in range(8) for step in range(20))
    for record in found:
        step = int(record.value.split(b"-")[1])
        assert record.timestamp == step
        assert record.key == (record.value if step % 3 else None)
        assert record.headers == ((("h", record.value),) if step % 2 else ())


def test_a_source_that_changes_is_planned_again(db: Database) -> None:
    """ALTER, and DROP with another CREATE of the same name: rows are written as the source is now."""
    db.execute("CREATE STREAM s (id INT KEY, a INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
    db.insert("s", [{"ID": 1, "A": 1}])
    kept = db._engine.layouts["S"]
    db.insert("s", [{"ID": 1, "A": 2}])
    assert db._engine.layouts["S"] is kept
    db.execute("ALTER STREAM s ADD COLUMN b STRING;")
    db.insert("s", [{"ID": 1, "A": 3, "B": "x"}])
    db.execute("DROP STREAM s;")
    db.execute(
        "CREATE STREAM s (id STRING KEY, a INT) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'DELIMITED', KEY_FORMAT = 'KAFKA');"
    )
    db.insert("s", [{"ID": "k", "A": 4}])
    found = list(db.consume("s"))
    assert [r.value for r in found] == [b'{"A":1}', b'{"A":2}', b'{"A":3,"B":"x"}', b"4"]
    assert found[3].key == b"k"


def test_formats_of_the_registry_are_not_kept(db: Database) -> None:
    """Which schema a record gets is asked for every write."""
    db.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'AVRO');")
    db.insert("s", [{"A": 1}])
    assert "S" not in db._engine.layouts


def test_a_commit_that_fails_is_tried_by_each_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch, together: Together
) -> None:
    """What did not happen together happens once; an interruption of the one at work loses and doubles nothing."""
    db.create_topic("raw")
    log: Any = db._engine.log
    commit_all = log.commit_all
    failing = itertools.cycle([StorageError("the disk is full"), None, KeyboardInterrupt(), None])

    def sometimes(transactions: Any, outcomes: list[Any]) -> None:
        error = next(failing)
        if isinstance(error, StorageError):
            outcomes[:] = [error]
            return
        if error is None:
            commit_all(transactions, outcomes)
            return
        raise error

    monkeypatch.setattr(type(log), "commit_all", lambda self, *given: sometimes(*given))
    done: list[bytes] = []

    def produce(number: int) -> None:
        for step in range(20):
            name = b"%d-%d" % (number, step)
            try:
                db.produce("raw", value=name)
            except KeyboardInterrupt:
                continue
            done.append(name)

    assert together(*[lambda n=n: produce(n) for n in range(8)]) == [None] * 8  # type: ignore[misc]
    assert sorted(r.value for r in db.consume("raw")) == sorted(done)
    assert len(done) > 80


def test_an_interruption_in_the_commit_reaches_the_caller(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error of the disk, after which each could try alone."""
    db.create_topic("raw")

    def interrupted(transactions: Any, outcomes: list[Any]) -> None:
        outcomes[:] = [KeyboardInterrupt()]

    log: Any = db._engine.log
    monkeypatch.setattr(type(log), "commit_all", lambda self, *given: interrupted(*given))
    with pytest.raises(KeyboardInterrupt):
        db.produce("raw", value=b"x")
    assert not list(db.consume("raw"))


def test_several_topics_are_one_commit_and_tokens_name_their_own(together: Together) -> None:
    """Two sources and a topic at once: each token waits for its own topic only."""
    with connect() as db:
        db.execute(
            "CREATE STREAM a (v INT) WITH (KAFKA_TOPIC = 'a', PARTITIONS = 1); "
            "CREATE STREAM b (v INT) WITH (KAFKA_TOPIC = 'b', PARTITIONS = 1);"
        )
        engine = db._engine
        requests = []
        for name in "abab":
            source = engine.catalog.source(name.upper())
            make = partial(records._made_together, engine, source)
            requests.append(records._Small(source, make, ([{"V": len(requests)}], 5), name, None, True))
        epoch = engine.log.epoch
        records._write_together(engine, requests)
        assert engine.log.epoch == epoch + 1
        assert [[r.value for r in db.consume(name)] for name in "ab"] == [[{"V": 0}, {"V": 2}], [{"V": 1}, {"V": 3}]]
        tokens = together(*[lambda n=n: db.insert(n, [{"V": 1}]) for n in "ab"])  # type: ignore[misc]
        assert [set(token.ends) for token in tokens] == [{("a", 0)}, {("b", 0)}]
