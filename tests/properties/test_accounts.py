"""Nothing is lost silently: rows read = used + filtered + late + bad, for every query, however it is run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from penstock.engine.database import Database, connect
from penstock.runtime.metrics import RowCounts

SETTINGS = {"auto.offset.reset": "earliest", "processing.order": "arrival", "cache.max.bytes.buffering": "0"}
SIZE, ADVANCE, GRACE = 20, 10, 5

records = st.lists(
    st.tuples(
        st.sampled_from([None, 1, 2, 3]),  # key
        st.sampled_from([None, "broken", "mistyped", 0, 1, 5, 9]),  # value
        st.lists(st.sampled_from("ab"), max_size=2),
        st.integers(0, 120),  # timestamp
    ),
    max_size=40,
)


def value_of(value: Any, items: list[str]) -> bytes | None:
    if value is None:
        return None
    if value == "broken":
        return b"{"
    if value == "mistyped":
        return b'{"V": "x"}'
    return json.dumps({"V": value, "ITEMS": items}).encode()


def read(row: Any) -> str | None:
    """Why a record cannot be read, or None."""
    return "bad" if row[1] in ("broken", "mistyped") else None


def filtering(rows: list[Any]) -> Counter[str]:
    """WHERE V > 3: a record without a value is dropped, too."""
    return Counter(read(r) or ("used" if r[1] is not None and r[1] > 3 else "filtered") for r in rows)


def projecting(rows: list[Any]) -> Counter[str]:
    """10 / V fails for 0, which makes a null and loses nothing."""
    return Counter(read(r) or "used" for r in rows)


def grouping(rows: list[Any]) -> Counter[str]:
    """GROUP BY the key: without a value it is dropped, without a key it is bad."""
    return Counter(read(r) or ("filtered" if r[1] is None else "bad" if r[0] is None else "used") for r in rows)


def hopping(rows: list[Any]) -> Counter[str]:
    """A row is late only if every window that it belongs to is closed, at its own turn."""
    found: Counter[str] = Counter()
    stream_time = -1
    for row in rows:
        outcome = next(iter(grouping([row])))
        if outcome == "used":
            stream_time = max(stream_time, row[3])
            start = max(0, (row[3] - SIZE + ADVANCE) // ADVANCE * ADVANCE)
            ends = range(start + SIZE, row[3] + SIZE + 1, ADVANCE)
            outcome = "used" if any(end > stream_time - GRACE for end in ends) else "late"
        found[outcome] += 1
    return found


def exploding(rows: list[Any]) -> Counter[str]:
    """A row whose list is empty gives no row: it is filtered."""
    return Counter(read(r) or ("used" if r[1] is not None and r[2] else "filtered") for r in rows)


def having(rows: list[Any]) -> Counter[str]:
    """What HAVING drops are results, not input."""
    return grouping(rows)


QUERIES = {
    "CREATE STREAM F AS SELECT K, V FROM S WHERE V > 3;": filtering,
    "CREATE STREAM P AS SELECT K, 10 / V AS W FROM S;": projecting,
    "CREATE TABLE G AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;": grouping,
    f"CREATE TABLE H AS SELECT K, COUNT(*) AS N FROM S WINDOW HOPPING (SIZE {SIZE} MILLISECONDS, ADVANCE BY {ADVANCE} "
    f"MILLISECONDS, GRACE PERIOD {GRACE} MILLISECONDS) GROUP BY K;": hopping,
    "CREATE STREAM E AS SELECT K, EXPLODE(ITEMS) AS I FROM S;": exploding,
    "CREATE TABLE J AS SELECT K, COUNT(*) AS N FROM S GROUP BY K HAVING COUNT(*) > 2;": having,
}


def opened(path: Path, rows_max: int) -> Database:
    return connect(path, settings={**SETTINGS, "penstock.rows.per.step": str(rows_max)}, threads=0)


def accounts(db: Database) -> dict[str, RowCounts]:
    return {q.statement.split()[2]: q.progress().account for q in db.queries.values()}


@settings(max_examples=20)
@given(records, st.sampled_from([1, 3, 100]), st.integers(0, 40))
def test_the_account_is_the_count_of_a_plain_program(rows: list[Any], rows_max: int, restart_after: int) -> None:
    """Also across a restart, and for steps of every size; every bad record is in the processing log with its place."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        with opened(path, rows_max) as db:
            db.execute(
                "CREATE STREAM S (K INT KEY, V INT, ITEMS ARRAY<STRING>) "
                "WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
            )
            for text in QUERIES:
                db.execute(text)
            produce(db, rows[:restart_after])
            db.drain()
        with opened(path, rows_max) as db:
            produce(db, rows[restart_after:])
            db.drain()
            found = accounts(db)
            for text, count in QUERIES.items():
                name, expected = text.split()[2], count(rows)
                account = found[name]
                shown = {"used": account.used, "filtered": account.filtered, "late": account.late, "bad": account.bad}
                assert shown == {k: expected[k] for k in shown}, name
                assert account.read == len(rows)
            check_processing_log(db, rows)


def produce(db: Database, rows: list[Any]) -> None:
    for key, value, items, timestamp in rows:
        key_bytes = None if key is None else key.to_bytes(4)
        db.produce("s", key=key_bytes, value=value_of(value, items), timestamp=timestamp)


def check_processing_log(db: Database, rows: list[Any]) -> None:
    """Every query has logged every record that it could not use, with its offset."""
    logged: dict[str, set[int]] = {}
    for record in db.consume("ksql_processing_log"):
        message = record.value["MESSAGE"]
        place = message["deserializationError"] or message["recordProcessingError"]
        assert (place["topic"], place["partition"]) == ("s", 0)
        assert place["errorMessage"]
        query_id = record.value["LOGGER"].split(".")[1]
        logged.setdefault(query_id.split("_")[1], set()).add(place["offset"])
    broken = {i for i, r in enumerate(rows) if read(r)}
    unkeyed = {i for i, r in enumerate(rows) if not read(r) and r[0] is None and r[1] is not None}
    zero = {i for i, r in enumerate(rows) if r[1] == 0}
    expected = {"F": broken, "P": broken | zero, "E": broken, **dict.fromkeys("GHJ", broken | unkeyed)}
    for name, offsets in expected.items():
        assert logged.get(name, set()) == offsets, name


JOINS = {
    "stream-table": "CREATE STREAM O AS SELECT L.K AS K, L.V AS V, T.W AS W FROM L {kind} JOIN T ON L.K = T.K;",
    "stream-stream": "CREATE STREAM O AS SELECT L.K AS K, L.V AS V, R.V AS W FROM L {kind} JOIN R "
    "WITHIN 10 MILLISECONDS GRACE PERIOD 5 MILLISECONDS ON L.K = R.K;",
    "table-table": "CREATE TABLE O AS SELECT T.K AS K, T.W AS V, U.W AS W FROM T {kind} JOIN U ON T.K = U.K;",
    "foreign key": "CREATE TABLE O AS SELECT T.K AS K, T.W AS V, U.W AS W FROM T {kind} JOIN U ON T.W = U.K;",
}


@pytest.mark.parametrize("kind", ["INNER", "LEFT"])
@pytest.mark.parametrize("join", JOINS)
def test_joins_account_for_both_sides(join: str, kind: str) -> None:
    """Every row of both inputs is used, filtered, late or bad; rows without a key are bad and logged."""
    rows: list[tuple[str, Any, Any, int]] = []
    for i in range(120):
        topic = ("l", "r", "t", "u")[i % 4]
        key = None if i % 7 == 0 else i % 5
        rows.append((topic, key, None if i % 11 == 0 else i % 6, (i * 37) % 90))
    outcomes = []
    for rows_max in (1, 7, 1000):
        with TemporaryDirectory() as directory:
            path = Path(directory)
            with opened(path, rows_max) as db:
                for name, what in (("L", "STREAM"), ("R", "STREAM"), ("T", "TABLE"), ("U", "TABLE")):
                    key, value = ("INT KEY", "V") if what == "STREAM" else ("INT PRIMARY KEY", "W")
                    db.execute(
                        f"CREATE {what} {name} (K {key}, {value} INT) "
                        f"WITH (KAFKA_TOPIC='{name.lower()}', PARTITIONS=1, VALUE_FORMAT='JSON');"
                    )
                db.execute(JOINS[join].format(kind=kind))
                write(db, rows[:50])
                db.drain()
            with opened(path, rows_max) as db:
                write(db, rows[50:])
                db.drain()
                (account,) = accounts(db).values()
                outcomes.append((account, [(r.key, r.value, r.timestamp) for r in db.consume("O")]))
                inputs = {"stream-table": "lt", "stream-stream": "lr"}.get(join, "tu")
                assert account.read == sum(1 for r in rows if r[0] in inputs)
                unkeyed = [r for r in rows if r[0] in inputs and r[1] is None]
                if join != "foreign key":
                    assert account.bad == sum(1 for r in unkeyed if r[0] in "tu" or r[2] is not None)
                assert min(account.used, account.filtered, account.late, account.bad) >= 0
                logged = sum(1 for _ in db.consume("ksql_processing_log"))
                assert logged == account.bad
    assert outcomes[0] == outcomes[1] == outcomes[2]


def write(db: Database, rows: list[tuple[str, Any, Any, int]]) -> None:
    for topic, key, value, timestamp in rows:
        name = "V" if topic in "lr" else "W"
        db.produce(
            topic,
            key=None if key is None else key.to_bytes(4),
            value=None if value is None else json.dumps({name: value}).encode(),
            timestamp=timestamp,
        )
