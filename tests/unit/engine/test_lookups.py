"""Lookups by key: the handle, and pull queries that differ in the key only, give what analysing each anew gives."""

from __future__ import annotations

import datetime
import random
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

import penstock
from penstock.engine.lookup_cache import LookupCache


@pytest.fixture(params=["memory", "directory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[penstock.Database]:
    path = tmp_path / "db" if request.param == "directory" else None
    database = penstock.connect(path, threads=0, auto_offset_reset="earliest")
    yield database
    database.close()


def anew(db: penstock.Database, text: str) -> list[tuple[Any, ...]]:
    """The answer without the cache."""
    with mock.patch.object(LookupCache, "find", lambda *a: None), mock.patch.object(LookupCache, "learn", lambda *a: None):
        return db.sql(text).fetchall()


def literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


KEYS: dict[str, list[Any]] = {
    "BIGINT": [0, 1, -1, 7, 2**40, -(2**63), 2**63 - 1],
    "INT": [0, 1, -5, 2**31 - 1],
    "STRING": ["a", "", "it's", "ä", "x" * 300, "''", "5", "--", "NULL"],
}


@pytest.mark.parametrize("type_", list(KEYS))
@pytest.mark.parametrize("partitions", [1, 3])
def test_lookups_while_rows_change(db: penstock.Database, type_: str, partitions: int) -> None:
    """Rows that come, change and go: at every moment the handle, the cached text and a new analysis agree."""
    db.execute(f"CREATE TABLE s (k {type_} PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS={partitions});")
    db.execute("CREATE TABLE t AS SELECT k, v, v + 1 AS w FROM s;")
    db.execute(f"CREATE STREAM e (k {type_}, v INT) WITH (KAFKA_TOPIC='e', PARTITIONS={partitions});")
    db.execute(
        "CREATE TABLE g AS SELECT k, COUNT(*) AS n, SUM(v) AS total, MAX(v) AS top FROM e GROUP BY k HAVING SUM(v) > 0;"
    )
    handles = {name: db.table(name) for name in ("t", "G")}
    random_ = random.Random(5)
    for _ in range(40):
        for _ in range(random_.randrange(1, 4)):
            key = random_.choice(KEYS[type_])
            if random_.random() < 0.3:
                db.execute(f"DELETE FROM s WHERE k = {literal(key)};")
            else:
                db.insert("s", [{"k": key, "v": random_.randrange(100)}])
            db.insert("e", [{"k": key, "v": random_.randrange(-20, 20)}])
        db.drain()
        for name, handle in handles.items():
            for key in KEYS[type_]:
                text = f"SELECT * FROM {name} WHERE k = {literal(key)};"
                wanted = anew(db, text)
                assert db.sql(text).fetchall() == wanted
                found = handle.get(key)
                assert ([] if found is None else [tuple(found.values())]) == wanted
                assert [tuple(row.values()) for row in handle.rows(key)] == wanted


def test_values_that_no_key_has(db: penstock.Database) -> None:
    """Of other types, out of range, or NULL: no row, or the error that there always was."""
    db.execute("CREATE STREAM e (k INT, s STRING) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute("CREATE TABLE a AS SELECT k, COUNT(*) AS n FROM e GROUP BY k;")
    db.execute("CREATE TABLE b AS SELECT s, COUNT(*) AS n FROM e GROUP BY s;")
    db.insert("e", [{"k": 1, "s": "x"}])
    db.drain()
    a, b = db.table("a"), db.table("b")
    assert a.get(1) == {"K": 1, "N": 1} and b.get("x") == {"S": "x", "N": 1}
    for value in ("1", 1.5, None, 2**31, 2**70, b"1", [1], object()):
        assert a.get(value) is None
    for value in (1, None, b"x", "\ud800", ["x"]):
        assert b.get(value) is None
    assert db.sql("SELECT * FROM a WHERE k = 1;").fetchall() == [(1, 1)]
    for text in ("SELECT * FROM a WHERE k = 9999999999;", "SELECT * FROM a WHERE k = 'x';", "SELECT * FROM b WHERE s = 5;"):
        outcomes = []
        for ask in (lambda t: anew(db, t), lambda t: db.sql(t).fetchall()):
            try:
                outcomes.append(ask(text))
            except penstock.StatementError as error:
                outcomes.append(str(error))  # type: ignore[arg-type]
        assert outcomes[0] == outcomes[1]
    with pytest.raises(penstock.StatementError, match="found by K"):
        a.get(1, 2)
    with pytest.raises(penstock.StatementError, match="found by K"):
        a.get(1, window_start=0)
    db.execute("CREATE TABLE c (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='c', PARTITIONS=1);")
    with pytest.raises(penstock.StatementError, match="cannot be looked up"):
        db.table("c").get(1)


def test_constants_that_are_no_keys_stay_what_they_are(db: penstock.Database) -> None:
    """Texts that differ in anything but the key are not taken for each other."""
    db.execute("CREATE STREAM e (k INT, v INT, `5` INT) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n, SUM(v) AS `5`, MAX(`5`) AS `6` FROM e GROUP BY k;")
    db.insert("e", [{"k": k, "v": 10 * k, "5": k} for k in (1, 2, 2)])
    db.drain()
    for text in (
        "SELECT n FROM t WHERE k = 1;",
        "SELECT n FROM t WHERE k = 2;",
        "SELECT n, 1 AS x FROM t WHERE k = 2;",
        "SELECT n, 2 AS x FROM t WHERE k = 2;",
        "SELECT `5` FROM t WHERE k = 2;",
        "SELECT `6` FROM t WHERE k = 2;",
        "SELECT n FROM t WHERE k = 2 AND n = 2;",
        "SELECT n FROM t WHERE k = 2 AND n = 1;",
        "SELECT n FROM t WHERE k = 2 AND k = 1;",
        "SELECT n FROM t WHERE k = 2 OR k = 1;",
        "SELECT n FROM t WHERE 2 = k;",
        "SELECT n FROM t WHERE 1 = k;",
        "SELECT n FROM t WHERE k = 1 LIMIT 1;",
        "SELECT n FROM t WHERE k = 2 /* k = 1 */;",
        "SELECT n FROM t WHERE k = 2; -- 1",
        "SELECT rowtime >= 0 AS r, k FROM t WHERE k = 2;",
        "SELECT k AS a, n AS b, k AS c FROM t WHERE k = 2;",
        "SELECT k AS a, n AS b, k AS c FROM t WHERE k = 1;",
    ):
        for _ in range(3):
            assert db.sql(text).fetchall() == anew(db, text), text
        assert db.sql(text).columns == db.sql(text).columns


def test_what_changes_around_a_lookup_counts(db: penstock.Database) -> None:
    """Another catalog, other settings: nothing remembered outlives them."""
    db.execute("CREATE STREAM e (k INT, v INT) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM e GROUP BY k;")
    db.insert("e", [{"k": 1, "v": 10}])
    db.drain()
    handle, text = db.table("t"), "SELECT * FROM t WHERE k = 1;"
    assert db.sql(text).fetchall() == [(1, 1)] == [tuple((handle.get(1) or {}).values())]
    db.execute("CREATE OR REPLACE TABLE t AS SELECT k, COUNT(*) AS n, COUNT(*) * 2 AS m FROM e GROUP BY k;")
    db.insert("e", [{"k": 1, "v": 30}])
    db.drain()
    assert db.sql(text).fetchall() == anew(db, text) == [tuple((handle.get(1) or {}).values())]
    db.execute("DROP TABLE t DELETE TOPIC;")
    with pytest.raises(penstock.StatementError):
        db.sql(text)
    with pytest.raises(penstock.StatementError):
        handle.get(1)
    db.execute("CREATE TABLE t AS SELECT k, SUM(v) AS s FROM e GROUP BY k;")
    db.drain()
    assert db.sql(text).fetchall() == [(1, 40)] and handle.get(1) == {"K": 1, "S": 40}
    db.close()
    with pytest.raises(penstock.StatementError, match="closed"):
        handle.get(1)
    with pytest.raises(penstock.StatementError, match="closed"):
        db.sql(text)


@pytest.mark.parametrize(
    "window",
    [
        "TUMBLING (SIZE 10 MILLISECONDS)",
        "HOPPING (SIZE 10 MILLISECONDS, ADVANCE BY 5 MILLISECONDS)",
        "SESSION (10 MILLISECONDS)",
    ],
)
def test_windowed_tables(db: penstock.Database, window: str) -> None:
    """One row per window: by its start, or all of a key's in the order of their starts."""
    db.execute("CREATE STREAM e (k STRING, v INT) WITH (KAFKA_TOPIC='e', PARTITIONS=2);")
    db.execute(f"CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM e WINDOW {window} GROUP BY k;")
    db.insert(
        "e", [{"k": k, "v": 1, "rowtime": t} for k, t in (("a", 1), ("a", 3), ("b", 4), ("a", 47), ("a", 90), ("a", 91))]
    )
    db.drain()
    handle = db.table("t")
    for key in ("a", "b", "c"):
        wanted = sorted(db.sql(f"SELECT * FROM t WHERE k = '{key}';").fetchall(), key=lambda row: row[1])
        assert [tuple(row.values()) for row in handle.rows(key)] == wanted
        for row in wanted:
            found = handle.get(key, window_start=row[1])
            assert found is not None and tuple(found.values()) == row
        assert handle.get(key, window_start=12345) is None
    with pytest.raises(penstock.StatementError, match="window_start"):
        handle.get("a")


def test_keys_of_several_columns_and_other_types(db: penstock.Database) -> None:
    """All key columns are named, in their order."""
    db.execute("CREATE STREAM e (a INT, b STRING, d DECIMAL(4, 1), f DOUBLE) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute("CREATE TABLE t WITH (KEY_FORMAT='JSON') AS SELECT a, b, COUNT(*) AS n FROM e GROUP BY a, b;")
    db.execute("CREATE TABLE u WITH (KEY_FORMAT='JSON') AS SELECT d, COLLECT_LIST(a) AS l FROM e GROUP BY d;")
    db.execute("CREATE TABLE v AS SELECT b, COLLECT_LIST(a) AS l FROM e GROUP BY b;")
    db.execute("CREATE TABLE w AS SELECT f, COUNT(*) AS n FROM e GROUP BY f;")
    db.insert("e", [{"a": 1, "b": "x", "d": "1.5", "f": 0.5}, {"a": 1, "b": "y", "d": "1.5", "f": -0.0}])
    db.drain()
    assert db.table("t").get(1, "y") == {"A": 1, "B": "y", "N": 1}
    assert db.table("t").get("y", 1) is None
    for b in ("x", "y", "z"):
        text = f"SELECT * FROM t WHERE b = '{b}' AND a = 1;"
        for _ in range(2):
            assert db.sql(text).fetchall() == anew(db, text)
    found = db.table("u").get(Decimal("1.5"))
    assert found is not None and found["L"] == [1, 1]
    lists = db.table("v")
    for _ in range(3):
        found = lists.get("x")
        assert found == {"B": "x", "L": [1]}
        found["L"].append(7)
    assert db.table("w").get(0.0) == db.table("w").get(-0.0) != None  # noqa: E711


NAN = float("nan")
BERLIN = datetime.timezone(datetime.timedelta(hours=1))
NEW_YEAR = datetime.datetime(2024, 1, 1)
BY_TYPE: list[tuple[str, list[Any], list[Any]]] = [
    ("DOUBLE", [0.0, NAN, -0.0], [1.5]),
    ("DOUBLE", [Decimal(2), 2, 2.0, np.float32(2)], ["2", True]),
    ("INT", [1, 1.0, Decimal(1), np.int8(1), pa.scalar(1)], [1.5, "1", True, 2**40]),
    ("DECIMAL(6, 2)", [Decimal("1.5"), 1.5, Decimal("1.500")], ["1.5", 1.505]),
    ("STRING", ["a", np.str_("a")], [b"a", 1]),
    ("BYTES", [b"a", bytearray(b"a")], ["a"]),
    ("DATE", [NEW_YEAR.date(), NEW_YEAR, "2024-01-01", 19723], [NEW_YEAR.replace(hour=1)]),
    ("TIMESTAMP", [NEW_YEAR, NEW_YEAR.replace(hour=1, tzinfo=BERLIN), NEW_YEAR.date(), "2024-01-01"], [1.5, "soon"]),
    ("ARRAY<DOUBLE>", [[0.0, None], (-0.0, None)], [[0.0], [NAN]]),
    ("ARRAY<DOUBLE>", [[NAN]], [[None], []]),
    ("STRUCT<x DOUBLE, y STRING>", [{"X": NAN, "Y": None}, {"x": NAN}], [{"x": 0.0}, {"z": 1}, 5]),
]


@pytest.mark.parametrize(("type_", "same", "others"), BY_TYPE)
def test_keys_are_found_by_what_insert_stores_for_them(
    db: penstock.Database, type_: str, same: list[Any], others: list[Any]
) -> None:
    """By one equality, in tables with and without windows, by `get` and by `rows`."""
    db.execute(f"CREATE STREAM e (k {type_}, v INT);")
    tables = {"t": "", "w": "WINDOW TUMBLING (SIZE 10 SECONDS)", "x": "WINDOW SESSION (1 SECOND)"}
    for name, window in tables.items():
        db.execute(f"CREATE TABLE {name} WITH (KEY_FORMAT='JSON') AS SELECT k, COUNT(*) AS n FROM e {window} GROUP BY k;")
    distinct = [NAN, 0.0] if same[0] == 0.0 else [same[0]]
    db.insert("e", [{"k": key, "v": 1, "rowtime": at} for at in (5, 15_005) for key in distinct])
    db.drain()
    for value, number in [*((value, 1) for value in same), *((value, 0) for value in others)]:
        assert len(db.table("t").rows(value)) == number
        assert (db.table("t").get(value) is not None) == bool(number)
        for name, start in (("w", 10_000), ("x", 15_005)):
            assert [row["N"] for row in db.table(name).rows(value)] == [1, 1] * number
            assert (db.table(name).get(value, window_start=start) is not None) == bool(number)
            assert db.table(name).get(value, window_start=start + 1) is None


def test_fields_of_all_kinds(db: penstock.Database) -> None:
    """Aggregates whose state is text, a list, a decimal, nothing yet."""
    db.execute("CREATE STREAM e (k INT, t STRING, d DECIMAL(6, 2), x DOUBLE) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute(
        "CREATE TABLE t AS SELECT k, LATEST_BY_OFFSET(t) AS l, MAX(t) AS m, SUM(d) AS s, AVG(x) AS a, COLLECT_LIST(t) AS c, "
        "MIN(x) AS n FROM e GROUP BY k;"
    )
    handle = db.table("t")
    for i in range(30):
        text = None if i % 5 == 0 else "text" * (i % 7)
        db.insert("e", [{"k": i % 4, "t": text, "d": f"{i}.25", "x": None if i % 3 else i / 2}])
        db.drain()
        for k in range(4):
            wanted = anew(db, f"SELECT * FROM t WHERE k = {k};")
            for _ in range(2):
                found = handle.get(k)
                assert ([] if found is None else [tuple(found.values())]) == wanted


def test_lookups_beside_running_steps() -> None:
    """While rows stream in, every answer is a row of some commit: totals agree with counts, and never go back."""
    with penstock.connect(auto_offset_reset="earliest") as db:
        db.execute("CREATE STREAM e (k INT, v INT) WITH (KAFKA_TOPIC='e', PARTITIONS=2);")
        db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n, SUM(v) AS s FROM e GROUP BY k;")
        handle, stop = db.table("t"), threading.Event()

        def write() -> None:
            while not stop.is_set():
                db.insert("e", [{"k": i % 50, "v": 3} for i in range(2000)])

        thread = threading.Thread(target=write)
        thread.start()
        try:
            seen = [0] * 50
            end = time.monotonic() + 3
            slowest = 0.0
            while time.monotonic() < end:
                for k in range(50):
                    before = time.monotonic()
                    row = handle.get(k)
                    slowest = max(slowest, time.monotonic() - before)
                    if row is not None:
                        assert row["S"] == 3 * row["N"] and row["N"] >= seen[k]
                        seen[k] = row["N"]
            assert seen[0] > 0
            assert slowest < 2
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("partitions", [1, 2])
def test_many_rows_that_change_a_few_at_a_time(db: penstock.Database, partitions: int) -> None:
    """Whatever was converted for lookups before: each row is the one of the last commit, signs of zeros and NaN included."""
    db.execute(f"CREATE STREAM e (k INT, x DOUBLE, t STRING) WITH (KAFKA_TOPIC='e', PARTITIONS={partitions});")
    db.execute(f"CREATE TABLE s (k INT PRIMARY KEY, t STRING) WITH (KAFKA_TOPIC='s', PARTITIONS={partitions});")
    db.execute(
        "CREATE TABLE a AS SELECT k, COUNT(*) AS n, LATEST_BY_OFFSET(x) AS x, AVG(x) AS mean, MAX(t) AS t FROM e GROUP BY k;"
    )
    db.execute("CREATE TABLE h AS SELECT k, COUNT(*) AS n FROM e GROUP BY k HAVING COUNT(*) % 3 <> 0;")
    db.execute("CREATE TABLE l AS SELECT k, COLLECT_LIST(x) AS l FROM e GROUP BY k;")
    db.execute("CREATE TABLE c AS SELECT k, t, LEN(t) AS length FROM s;")
    tables = {name: db.table(name) for name in ("a", "h", "l", "c")}
    random_ = random.Random(11)
    keys = range(300)
    numbers = [0.0, -0.0, float("nan"), 1.5, None]
    for round_ in range(12):
        changed = keys if not round_ else random_.sample(keys, (3, 40, 200)[round_ % 3])
        rows: list[dict[str, Any]] = [
            {"k": k, "x": random_.choice(numbers), "t": "t" * random_.randrange(5), "rowtime": 1_000} for k in changed
        ]
        db.insert("e", rows)
        db.insert("s", [{"k": k, "t": random_.choice("abc") * random_.randrange(3)} for k in changed])
        for k in random_.sample(keys, 3):
            db.execute(f"DELETE FROM s WHERE k = {k};")
        db.drain()
        for name, handle in tables.items():
            wanted = {row[0]: row for row in db.sql(f"SELECT * FROM {name};").fetchall()}
            for k in random_.choices(keys, k=150):
                found = handle.get(k)
                assert repr(None if found is None else tuple(found.values())) == repr(wanted.get(k)), (name, k)


def test_a_slot_that_another_key_has_now(db: penstock.Database) -> None:
    """A key that takes the place of one that went, with the same state, does not get the other one's row."""
    db.execute("CREATE STREAM e (k STRING) WITH (KAFKA_TOPIC='e', PARTITIONS=1);")
    db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM e WINDOW SESSION (10 MILLISECONDS) GROUP BY k;")
    handle = db.table("t")
    db.insert("e", [{"k": f"a{i}", "rowtime": 100} for i in range(20)])
    db.drain()
    for _ in range(3):
        for i in range(20):
            row = handle.get(f"a{i}", window_start=100)
            assert row is not None and row["K"] == f"a{i}"
    db.insert("e", [{"k": f"a{i}", "rowtime": 95} for i in range(20)])  # the sessions grow, and so have other keys
    db.drain()
    db.insert("e", [{"k": f"b{i}", "rowtime": 100} for i in range(20)])
    db.drain()
    for i in range(20):
        assert handle.get(f"a{i}", window_start=100) is None
        for key, start, count in ((f"a{i}", 95, 2), (f"b{i}", 100, 1)):
            row = handle.get(key, window_start=start)
            assert row is not None and (row["K"], row["N"]) == (key, count)
