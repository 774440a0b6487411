"""Values beside the text change nothing else: each is the constant that the text would have in its place."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.engine.database import Database, connect
from penstock.engine.results import PrintResult
from penstock.errors import StatementError

MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, 678_901)


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    """A stream with a column of every type, and one row."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM s (k STRING KEY, i INT, l BIGINT, d DOUBLE, m DECIMAL(6, 2), t BOOLEAN, ts TIMESTAMP, da DATE,
                ti TIME, b BYTES, a ARRAY<INT>, st STRUCT<X INT, `y` STRING>) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
        """)
        opened.insert(
            "S",
            [
                {
                    "k": "it's", "i": 5, "l": 2**40, "d": float("nan"), "m": "1.50", "t": True, "ts": MOMENT,
                    "da": MOMENT.date(), "ti": datetime.time(1, 2, 3), "b": b"\x00\xff", "a": [1, 2],
                    "st": {"X": 1, "y": "z"},
                }
            ],
        )  # fmt: skip
        yield opened


MATCHES: list[tuple[str, Any]] = [
    ("k", "it's"), ("i", 5), ("i", np.int16(5)), ("l", 2**40), ("d", float("nan")), ("m", decimal.Decimal("1.5")),
    ("t", True), ("ts", MOMENT), ("ts", MOMENT.replace(tzinfo=datetime.UTC)), ("ts", np.datetime64(MOMENT)),
    ("da", MOMENT.date()), ("ti", datetime.time(1, 2, 3)), ("b", b"\x00\xff"), ("b", bytearray(b"\x00\xff")),
    ("a", [1, 2]), ("a", (1, 2)), ("a", np.array([1, 2])), ("st", {"X": 1, "y": "z"}),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), MATCHES)
def test_every_type(db: Database, column: str, value: Any) -> None:
    """By place and by name, in lookups and beside other clauses."""
    assert len(db.sql(f"SELECT k FROM s WHERE {column} = ?", parameters=[value])) == 1
    assert len(db.sql(f"SELECT k FROM s WHERE {column} = $v ORDER BY k", parameters={"v": value})) == 1


TEXTS = ["x'; DROP STREAM s; --", "?", "$name", "${variable}", "", "\\", "2024-01-01", "true", "1", "NULL", 'ü\n`"']


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_never_read_as_sql(db: Database, text: str) -> None:
    """It comes back as it went in."""
    assert db.sql("SELECT ? AS x", parameters=[text]).fetchall() == [(text,)]


def test_types_are_those_of_constants(db: Database) -> None:
    """7 / 2 is 3 with a parameter, too; a UUID is its text."""
    one = uuid.uuid4()
    assert db.sql("SELECT ? / 2 AS a, ? / 2 AS b, ? AS c, ? AS d", parameters=[7, 7.0, one, 2**70]).fetchall() == [
        (3, 3.5, str(one), decimal.Decimal(2**70))
    ]


def test_in_every_statement(db: Database) -> None:
    """INSERT, WITH, LIMIT, DELETE, CREATE and push queries; a query keeps the values that it was made with."""
    db.execute(
        "CREATE TABLE t (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC = $topic, PARTITIONS = $n);", {"topic": "tt", "n": 1}
    )
    db.execute("CREATE TABLE c AS SELECT k, v + ? AS v FROM t WHERE k <> ?;", [10, "no'"])
    db.execute("INSERT INTO t VALUES (?, ?), (?, ?); INSERT INTO t VALUES (?, 5);", ["a", 1, "no'", 2, "b"])
    db.drain()
    assert db.sql("SELECT * FROM c ORDER BY k LIMIT ? OFFSET ?", parameters=[5, 0]).fetchall() == [("a", 11), ("b", 15)]
    db.execute("DELETE FROM t WHERE k = $k;", {"K": "a"})
    db.drain()
    assert db.sql("SELECT k FROM c LIMIT $l", parameters={"$l": 9}).fetchall() == [("b",)]
    assert "no''" in db.catalog.queries[next(q for q in db.catalog.queries if q.startswith("CTAS_C"))].statement
    with db.subscribe("SELECT i + ? AS x FROM s EMIT CHANGES LIMIT ?;", [1, 1]) as rows:
        db.drain()
        assert [row.values for row in rows] == [(6,)]


WRONG: list[tuple[str, Any]] = [
    ("SELECT ? AS x", [object()]), ("SELECT ? AS x", []), ("SELECT ? AS x", [1, 2]), ("SELECT ? AS x", 5),
    ("SELECT ? AS x", "a"),
    ("SELECT ? AS x", ["\udc80"]), ("SELECT ? AS x", [None]), ("SELECT ? AS x", [10**90]), ("SELECT $x AS x", {"y": 1}),
    ("SELECT $x AS x", {"x": 1, "X": 2}), ("SELECT $x AS x", {1: 2}), ("SELECT 1 AS x", [1]), ("SELECT '?' AS x", [1]),
    ("SELECT k FROM s LIMIT ?", [-1]), ("SELECT k FROM s LIMIT ?", ["1"]), ("SELECT k FROM s LIMIT ?", [True]),
    ("SELECT k FROM s LIMIT ?", [None]), ("SELECT ? AS x", [datetime.timedelta(1)]), ("SELECT ? AS x", None),
    ("SELECT ? AS x", [datetime.time(1, tzinfo=datetime.UTC)]), ("SELECT ? AS x", [np.datetime64(2**62, "s")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parameters"), WRONG)
def test_what_does_not_fit_is_refused(db: Database, text: str, parameters: Any) -> None:
    """With a StatementError, before anything is done."""
    with pytest.raises(StatementError):
        db.sql(text, parameters=parameters)
    if text.endswith("x"):
        with pytest.raises(StatementError):
            db.execute(text + ";", parameters)


def test_a_deep_value_is_refused(db: Database) -> None:
    """A list in a list in a list .."""
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(StatementError, match="nested"):
        db.sql("SELECT ? AS x", parameters=[value])
    while isinstance(value, list):  # taken apart by hand: its end would be a deep recursion
        value = value.pop()


def test_in_texts_and_numbers_that_are_no_expressions(db: Database) -> None:
    """SET, WITHIN, GRACE, windows, ESCAPE, PRINT, RETENTION: each as if the text had the value in its place."""
    db.execute("SET 'ksql.query.pull.table.scan.enabled' = ?; SET 'auto.offset.reset' = ?;", [False, "latest"])
    assert (db.settings.options.pull_table_scan, db.settings.options.auto_offset_reset) == (False, "latest")
    db.execute("UNSET 'ksql.query.pull.table.scan.enabled'; SET 'auto.offset.reset' = $to;", {"to": "earliest"})
    db.execute("CREATE STREAM w (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'w', PARTITIONS = 1);")
    text = """
        CREATE TABLE ww AS SELECT k, COUNT(*) AS n FROM w WINDOW HOPPING (SIZE ? SECONDS, ADVANCE BY ? SECONDS,
            GRACE PERIOD ? SECONDS, RETENTION ? SECONDS) GROUP BY k;
        CREATE STREAM j AS SELECT a.k AS k, a.v AS v FROM w a JOIN w2 b WITHIN (?  SECONDS, ? SECONDS) GRACE PERIOD ? HOURS
            ON a.k = b.k;
    """
    db.execute("CREATE STREAM w2 (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'w2', PARTITIONS = 1);")
    db.execute(text, [10, np.int64(5), 0, 3600, 1, 2, 3])
    made = {query.sink: " ".join(query.statement.split()) for query in db.catalog.queries.values()}
    assert "SIZE 10 SECONDS, ADVANCE BY 5 SECONDS, RETENTION 3600 SECONDS, GRACE PERIOD 0 SECONDS" in made["WW"]
    assert "WITHIN (1 SECOND, 2 SECONDS) GRACE PERIOD 3 HOURS" in made["J"]
    found = db.sql("SELECT '5%' LIKE ? ESCAPE ? AS a, '55' LIKE $1 ESCAPE $2 AS b", parameters=["5!%", "!"]).fetchall()
    assert found == [(True, False)]
    db.execute("INSERT INTO w (k, v) VALUES ('a', 1), ('a', 2);")
    (printed,) = db.execute("PRINT w FROM BEGINNING INTERVAL ? LIMIT ?;", [2, 1])
    assert isinstance(printed, PrintResult)
    assert len(list(printed)) == 1


NOT_THERE = [
    "SELECT * FROM ? EMIT CHANGES;", "SELECT CAST(k AS DECIMAL(?, 1)) AS x FROM s;", "DEFINE a = ?;", "RUN SCRIPT ?;",
    "SET ? = 'earliest';", "UNSET ?;", "PRINT ?;", "DROP STREAM ?;", "CREATE STREAM n (?  INT) WITH (PARTITIONS = 1);",
    "SELECT s.? FROM s;",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_THERE)
def test_where_none_can_stand_the_error_says_why(db: Database, text: str) -> None:
    """Names, types and what becomes part of a text."""
    with pytest.raises(StatementError, match="A parameter can only stand for a value"):
        db.execute(text, ["S"])


WRONG_PLAIN: list[tuple[str, Any]] = [
    ("SET 'auto.offset.reset' = ?;", [None]), ("SET 'auto.offset.reset' = ?;", ["x"]), ("SET 'auto.offset.reset' = ?;", []),
    ("SELECT k FROM s WHERE k LIKE 'a' ESCAPE ?;", ["ab"]), ("SELECT k FROM s WHERE k LIKE 'a' ESCAPE ?;", [1]),
    ("PRINT s LIMIT ?;", [0]), ("PRINT s LIMIT ?;", ["1"]),
    ("SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE ? DAYS) GROUP BY k EMIT CHANGES;", [-1]),
    ("SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE ? DAYS) GROUP BY k EMIT CHANGES;", [2**62]),
    ("SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE ? DAYS) GROUP BY k EMIT CHANGES;", [1.5]),
    ("SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE ? DAYS) GROUP BY k EMIT CHANGES;", None),
    ("SET 'ksql.variable.substitution.enable' = ?; SELECT '${x}' AS x;", ["false"]),
    ("CREATE STREAM f FROM ?;", [5]), ("CREATE STREAM f FROM ?;", ["no/such/file.csv"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parameters"), WRONG_PLAIN)
def test_a_plain_value_that_does_not_fit_is_refused(db: Database, text: str, parameters: Any) -> None:
    """With a StatementError that has a place, or one about the file."""
    with pytest.raises(StatementError):
        db.execute(text, parameters)
    with pytest.raises(StatementError, match=r"no value|no parameter|is not a|decides"):
        db.submit(text, "script") if "${" not in text else db.execute(text, parameters)


def test_a_script_of_its_own_sees_no_values(db: Database, tmp_path: Path) -> None:
    """Parameters are those of one text: in a file that it runs, they have none."""
    (tmp_path / "inner.sql").write_text("SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE ? DAYS) GROUP BY k EMIT CHANGES;")
    with pytest.raises(StatementError, match="has no value"):
        db.execute(f"SELECT ? AS x; RUN SCRIPT '{tmp_path / 'inner.sql'}';", [1])


@pytest.fixture(scope="module")
def wide(db: Database) -> Database:
    """A stream with a column of every kind of type."""
    db.execute("""
        CREATE STREAM wide (k INT KEY, i INT, l BIGINT, d DOUBLE, m DECIMAL(6, 2), t STRING, f BOOLEAN, ts TIMESTAMP,
            da DATE, ti TIME, b BYTES, a ARRAY<INT>, mp MAP<STRING, INT>, mi MAP<INT, INT>, st STRUCT<x INT, y STRING>,
            sa ARRAY<STRUCT<x INT>>, sm MAP<STRING, STRUCT<x INT>>);
    """)
    return db


WHOLE_VALUES: list[tuple[str, Any]] = [
    ("mp", {"a": 1}), ("mp", {}), ("mp", {"a": None}), ("mi", {1: 2}), ("mi", {}), ("mi", [(1, 2)]),
    ("st", {"x": 1, "y": "q"}), ("st", {"X": 1}), ("st", {"x": None, "y": None}), ("st", {}), ("st", {"z": 1}),
    ("a", []), ("a", [None]), ("a", [1, None]), ("a", (1, 2)), ("a", np.array([1, 2])), ("a", ["1"]), ("a", ["one"]),
    ("sa", [{"x": 1}, {"x": None}, {}, None]), ("sa", []), ("sm", {"k": {"x": 1}}), ("sm", {"k": None}),
    ("t", 5), ("t", MOMENT.date()), ("t", MOMENT), ("t", datetime.time(1)), ("t", b"a"), ("t", float("nan")),
    ("b", uuid.UUID(int=1)), ("b", "YWJj"), ("b", b""), ("b", memoryview(b"ab")),
    ("i", 5.0), ("i", 5.5), ("i", "5"), ("i", True), ("i", 2**40), ("i", float("nan")), ("i", -(2**31)),
    ("l", 2**63), ("l", 1e18), ("l", -(2**63)), ("d", 2**60 + 1), ("d", decimal.Decimal("0.1")), ("d", float("inf")),
    ("d", -0.0), ("m", 1.005), ("m", "19.99"), ("m", -0.5), ("m", decimal.Decimal("NaN")), ("f", "true"), ("f", "yes"),
    ("ts", 0), ("ts", MOMENT.date()), ("ts", 2**50), ("ts", -(2**50)), ("ts", 1.5), ("ts", "2024-01-01T00:00:00Z"),
    ("da", MOMENT), ("da", datetime.datetime(2024, 1, 1)), ("da", 5), ("da", -(2**31)), ("ti", 5000), ("ti", "01:02"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), WHOLE_VALUES)
def test_a_whole_value_is_what_insert_stores(wide: Database, column: str, value: Any) -> None:
    """Values of INSERT become what `Database.insert` makes of them, or are refused as there."""

    def last() -> Any:
        return wide.sql(f"SELECT {column} FROM wide").fetchall()[-1]

    try:
        wide.insert("wide", {"k": 1, column: value})
    except StatementError as error:
        with pytest.raises(StatementError) as refused:
            wide.execute(f"INSERT INTO wide (k, {column}) VALUES (?, ?);", [1, value])
        assert str(refused.value.message) == str(error.message)
        return
    wanted = last()
    wide.execute(f"INSERT INTO wide (k, {column}) VALUES (?, ?);", [1, value])
    assert repr(last()) == repr(wanted)
    (done,) = wide.execute(f"INSERT INTO wide (k, {column}) VALUES ($k, $v);", {"k": 1, "v": value})
    wide.execute(done.statement + ";")  # the text that is told means the same
    assert repr(last()) == repr(wanted)


def test_keys_to_delete_are_whole_values(db: Database) -> None:
    """The fields of a STRUCT are found as columns are, and a value that is no key of the table is refused."""
    db.execute("""
        CREATE TABLE places (k STRUCT<x INT, y INT> PRIMARY KEY, v INT) WITH (KEY_FORMAT = 'JSON');
        CREATE TABLE kept AS SELECT k, v FROM places;
    """)
    db.insert("places", [{"k": {"x": n, "y": None}, "v": n} for n in range(4)])
    db.execute("DELETE FROM places WHERE k = ?; DELETE FROM places WHERE k IN (?, ?);", [{"x": 0}, {"X": 1}, {"x": 2}])
    db.drain()
    assert db.sql("SELECT v FROM kept").fetchall() == [(3,)]
    for wrong in ({"z": 3}, 3):
        with pytest.raises(StatementError, match="does not fit"):
            db.execute("DELETE FROM places WHERE k = ?;", [wrong])


def test_a_field_that_is_spelled_differently_is_told(db: Database) -> None:
    """`x` and X are two fields, and a comparison that could never be true is no answer."""
    for text in ("st = ?", "? <> st", "st IN (?)", "ARRAY[st] = ARRAY[?]"):
        with pytest.raises(StatementError, match="spell a field differently"):
            db.sql(f"SELECT k FROM s WHERE {text}", parameters=[{"x": 1, "y": "z"}])
    # what is written as names of the dialect is two fields, as in ksqlDB
    assert db.sql("SELECT k FROM s WHERE STRUCT(x := 1) IN (STRUCT(`x` := 1), STRUCT(z := 2));").fetchall() == []


BESIDE = [
    ("st = STRUCT(X := 1, `y` := NULL)", "p"), ("STRUCT(`y` := NULL, X := 1) = st", "p"), ("a = ARRAY[]", "p"),
    ("ARRAY[NULL, 2] = a", "q"), ("a IN (ARRAY[5], ARRAY[NULL, 2])", "q"), ("m = MAP()", "p"),
    ("m <> MAP('k' := NULL)", "p"),
    ("st IN (STRUCT(X := NULL, `y` := 'z'))", "q"), ("m IS DISTINCT FROM MAP('k' := NULL)", "p"),
    ("sa = ARRAY[STRUCT(x := NULL), NULL]", "q"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "expected"), BESIDE)
def test_what_a_value_is_compared_with_gives_its_nulls_their_types(db: Database, condition: str, expected: str) -> None:
    """In texts and as parameters, whatever clauses the query has."""
    db.execute("""
        CREATE STREAM IF NOT EXISTS beside (k STRING KEY, a ARRAY<INT>, m MAP<STRING, INT>, st STRUCT<X INT, `y` STRING>,
            sa ARRAY<STRUCT<x INT>>);
    """)
    if not len(db.sql("SELECT k FROM beside")):
        rows: list[dict[str, Any]] = [
            {"k": "p", "a": [], "m": {}, "st": {"X": 1}, "sa": []},
            {"k": "q", "a": [None, 2], "m": {"k": None}, "st": {"y": "z"}, "sa": [{"x": None}, None]},
            {"k": "r"},
        ]
        db.insert("beside", rows)
    found = [db.sql(f"SELECT k FROM beside WHERE {condition}{more}").fetchall() for more in ("", " ORDER BY k", " LIMIT 9")]
    assert [[k for (k,) in rows if k != "r"] for rows in found] == [[expected]] * 3


def test_nulls_within_parameters_that_are_compared(db: Database) -> None:
    """A list, and a dict with the names of the fields."""
    for column, value in (("st", {"X": None, "y": None}), ("a", [None]), ("a", [])):
        assert db.sql(f"SELECT k FROM s WHERE {column} = ?", parameters=[value]).fetchall() == []
        assert len(db.sql(f"SELECT k FROM s WHERE {column} <> ? ORDER BY k", parameters=[value])) == 1


def test_times_keep_their_milliseconds(db: Database) -> None:
    """As a value of a column, within a list, as a key to delete and anywhere else."""
    noon = datetime.time(12, 0, 0, 500_000)
    db.execute("CREATE STREAM clocks (k STRING KEY, t TIME, a ARRAY<TIME>) WITH (KAFKA_TOPIC = 'clocks', PARTITIONS = 1);")
    db.execute("INSERT INTO clocks VALUES (?, ?, ?);", ["one", noon, [noon]])
    assert db.sql("SELECT t, a, t = ? AS same FROM clocks", parameters=[noon]).fetchall() == [(noon, [noon], True)]
    db.execute("CREATE TABLE alarms (t TIME PRIMARY KEY, v INT) WITH (KEY_FORMAT = 'JSON', PARTITIONS = 1);")
    db.execute("CREATE TABLE left_over AS SELECT t, v FROM alarms;")
    db.insert("alarms", [{"t": noon, "v": 1}, {"t": datetime.time(12), "v": 2}])
    db.execute("DELETE FROM alarms WHERE t = ?;", [noon])
    db.drain()
    assert db.sql("SELECT v FROM left_over").fetchall() == [(2,)]


def test_times_at_the_ends_of_what_python_has(db: Database) -> None:
    """A time of another zone is the same instant, also where Python has no name for it in UTC."""
    east = datetime.timezone(datetime.timedelta(hours=5))
    first = datetime.datetime(1, 1, 1, tzinfo=east)
    assert db.sql("SELECT UNIX_TIMESTAMP(?) AS ms", parameters=[first]).fetchall() == [(-62_135_614_800_000,)]
    far = np.datetime64("20000-01-01", "ms")
    assert db.sql("SELECT UNIX_TIMESTAMP(?) AS ms", parameters=[far]).fetchall() == [(int(far.astype(np.int64)),)]
