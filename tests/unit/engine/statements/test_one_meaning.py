"""A SELECT has the dialect's meaning whatever clauses it has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError

ROWS = [
    {"k": "a", "v": 1, "d": 1.5, "rowtime": 5},
    {"k": "b", "v": 7, "d": float("nan"), "rowtime": 15_000},
    {"k": "a", "v": 5, "d": -0.0, "rowtime": 16_000},
    {"k": "c", "v": None, "d": None, "rowtime": 17_000},
    {"k": "d", "v": 2, "d": 0.0, "rowtime": 18_000},
]


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    """A stream S, a table T over it, a windowed table W, and names that differ in case only."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM s (k STRING KEY, v INT, d DOUBLE) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
            CREATE TABLE t AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY k;
            CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY k;
            CREATE STREAM `s` (id INT KEY, `v` STRING, V INT, p STRUCT<`x` INT, X INT>)
                WITH (KAFKA_TOPIC = 's2', PARTITIONS = 1);
            CREATE STREAM big (id INT KEY, amount DECIMAL(50, 2), n INT) WITH (KAFKA_TOPIC = 'big', PARTITIONS = 1);
        """)
        opened.insert("S", ROWS)
        opened.execute("""
            INSERT INTO `s` (id, `v`, V, p) VALUES (1, 'low', 2, STRUCT(`x` := 3, X := 4));
            INSERT INTO big VALUES (1, 123456789012345678901234567890123456789012.25, 7), (2, -1.5, 8);
        """)
        opened.drain()
        yield opened


CONSTANTS = {
    "7 / 2": 3,
    "CAST(1.7 AS INT)": 1,
    "CAST(ROUND(-2.5) AS INT)": -2,
    "1 / 0": None,
    "LEN('a' || CAST(NULL AS STRING))": 1,
    "SUBSTRING('stream', 2, 3)": "tre",
    "INSTR('corporate', 'or')": 2,
    "LCASE('ABC')": "abc",
    "ELT(2, 'x', 'y')": "y",
    "ARRAY_LENGTH(SPLIT('a,b', ','))": 2,
}
AROUND = [
    "SELECT {e} AS x FROM s WHERE v = 1",
    "SELECT {e} AS x FROM s WHERE v = 1 ORDER BY 1",
    "SELECT {e} AS x FROM s WHERE v = 1 ORDER BY x DESC LIMIT 1",
    "SELECT {e} AS x FROM s LIMIT 1 OFFSET 1",
    "SELECT DISTINCT {e} AS x FROM s",
    "SELECT x FROM (SELECT {e} AS x FROM s WHERE v = 1) AS q",
    "WITH q AS (SELECT {e} AS x FROM s WHERE v = 1) SELECT x FROM q",
    "SELECT {e} AS x FROM s WHERE v = 1 UNION SELECT {e} AS y FROM s",
    "SELECT {e} AS x",
    "SELECT x FROM (VALUES ({e})) AS q (x)",
    "SELECT MAX({e}) AS x FROM s GROUP BY k HAVING COUNT(*) > 1",
    "SELECT FIRST_VALUE({e}) OVER (ORDER BY v) AS x FROM s WHERE v = 1",
    "SELECT {e} AS x FROM s JOIN t ON s.k = t.k WHERE v = 1",
]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("expression", CONSTANTS)
def test_no_clause_changes_a_value(db: Database, around: str, expression: str) -> None:
    """Integer division, casts, rounding, NULL and functions are the dialect's, whatever stands around them."""
    ((found,),) = db.sql(around.format(e=expression)).fetchall()
    assert found == CONSTANTS[expression] and type(found) is type(CONSTANTS[expression])


NAN = math.nan
ANSWERS: dict[str, list[Any]] = {
    "SELECT * FROM s ORDER BY v DESC NULLS FIRST LIMIT 2": [("c", None, None), ("b", 7, NAN)],
    "SELECT k FROM s ORDER BY d, k": [("a",), ("d",), ("a",), ("b",), ("c",)],
    "SELECT k FROM s ORDER BY d DESC, k": [("b",), ("a",), ("a",), ("d",), ("c",)],
    "SELECT DISTINCT d FROM s ORDER BY 1": [(-0.0,), (1.5,), (NAN,), (None,)],
    "SELECT d, COUNT(*) FROM s GROUP BY d ORDER BY d": [(-0.0, 2), (1.5, 1), (NAN, 1), (None, 1)],
    "SELECT v * 2 AS w FROM s WHERE k <> 'c' ORDER BY -v": [(14,), (10,), (4,), (2,)],
    "SELECT k, v AS k2 FROM s ORDER BY LCASE(k) DESC, k2 LIMIT 1": [("d", 2)],
    "SELECT k, COUNT(*) n, SUM(v) t, COLLECT_LIST(v) l FROM s GROUP BY k HAVING COUNT(*) > 1": [("a", 2, 6, [1, 5])],
    "SELECT COUNT(*), SUM(v), COUNT(DISTINCT k), TOPK(v, 2) FROM s": [(5, 15, 4, [7, 5])],
    "SELECT COUNT(*), MAX(v) FROM s WHERE k = 'nobody'": [(0, None)],
    "SELECT COUNT(*) FROM t GROUP BY k HAVING MAX(total) > 100": [],
    "SELECT n, COUNT(*) FROM t GROUP BY n ORDER BY COUNT(*)": [(2, 1), (1, 3)],
    "SELECT s.v, t.n FROM s JOIN t ON s.k = t.k WHERE t.n > 1 ORDER BY v": [(1, 2), (5, 2)],
    "SELECT a.k, b.k FROM t a LEFT JOIN t b ON a.total < b.total AND b.k <> 'a' ORDER BY 1, 2": [
        ("a", "b"), ("b", None), ("c", "b"), ("c", "d"), ("d", "b"),
    ],
    "SELECT a.k, b.k FROM t a RIGHT JOIN (SELECT k FROM t WHERE n > 1) b ON a.k = b.k": [("a", "a")],
    "SELECT k, x FROM t FULL JOIN (VALUES ('a', 1), ('z', 2)) v (k, x) USING (k) ORDER BY k": [
        ("a", 1), ("b", None), ("c", None), ("d", None), ("z", 2),
    ],
    "SELECT COUNT(*) FROM t a, t b CROSS JOIN t c": [(64,)],
    "SELECT k FROM t WHERE n = (SELECT MAX(n) FROM t)": [("a",)],
    "SELECT k FROM t WHERE total IN (SELECT v FROM s WHERE v > 1) ORDER BY k": [("b",), ("d",)],
    "SELECT k FROM t WHERE total NOT IN (SELECT v FROM s) ORDER BY k": [("a",), ("c",)],
    "SELECT EXISTS (SELECT 1 FROM t WHERE n > 5) AS e, NOT EXISTS (SELECT 1 FROM t) AS f": [(False, False)],
    "WITH a (x, y) AS (SELECT k, n FROM t), b AS (SELECT MAX(y) AS m FROM a) SELECT x FROM a JOIN b ON y = m": [("a",)],
    "WITH t AS (SELECT k FROM t WHERE n > 1) SELECT * FROM t": [("a",)],
    "SELECT k FROM s EXCEPT SELECT k FROM t WHERE n > 1 ORDER BY k": [("b",), ("c",), ("d",)],
    "SELECT k FROM s EXCEPT ALL SELECT k FROM t": [("a",)],
    "SELECT k FROM s INTERSECT ALL SELECT k FROM s WHERE k = 'a'": [("a",), ("a",)],
    "SELECT 1 AS x UNION SELECT 2.5 AS y UNION ALL VALUES (1) ORDER BY x": [(1.0,), (1.0,), (2.5,)],
    "SELECT k, ROW_NUMBER() OVER (ORDER BY k, v) r, RANK() OVER (ORDER BY k) q, DENSE_RANK() OVER (ORDER BY k) d FROM s"
    " ORDER BY r": [("a", 1, 1, 1), ("a", 2, 1, 1), ("b", 3, 3, 2), ("c", 4, 4, 3), ("d", 5, 5, 4)],
    "SELECT v, SUM(v) OVER (ORDER BY v) s, LAG(v) OVER (ORDER BY v) l, LEAD(v, 1, 0) OVER (ORDER BY v) n FROM s"
    " WHERE v IS NOT NULL ORDER BY v": [(1, 1, None, 2), (2, 3, 1, 5), (5, 8, 2, 7), (7, 15, 5, 0)],
    "SELECT v, SUM(v) OVER (ORDER BY v ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) s, COLLECT_LIST(v) OVER (ORDER BY v ROWS 1"
    " PRECEDING) c FROM s WHERE v IS NOT NULL ORDER BY v": [
        (1, 3, [1]), (2, 8, [1, 2]), (5, 14, [2, 5]), (7, 12, [5, 7]),
    ],
    "SELECT k, SUM(COUNT(*)) OVER (ORDER BY k) AS c FROM s GROUP BY k ORDER BY k": [("a", 2), ("b", 3), ("c", 4), ("d", 5)],
    "SELECT EXPLODE(ARRAY[1, 2]) AS e, n FROM t WHERE k = 'a' ORDER BY e DESC": [(2, 2), (1, 2)],
    "SELECT k, WINDOWSTART, n FROM w WHERE k = 'a' ORDER BY WINDOWSTART DESC": [("a", 10_000, 1), ("a", 0, 1)],
    "SELECT ROWTIME FROM s ORDER BY ROWTIME DESC LIMIT 1": [(18_000,)],
    'SELECT `v`, V, p->`x` AS a, p->X AS b FROM "s" ORDER BY `v`': [("low", 2, 3, 4)],
    "SELECT s.k, q.`v` FROM s JOIN `s` q ON s.v = q.V": [("d", "low")],
    "SELECT n FROM big ORDER BY amount": [(8,), (7,)],
    "SELECT CAST(SUM(n) AS BIGINT) AS n FROM big": [(15,)],
}  # fmt: skip


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers(db: Database, text: str) -> None:
    """Each clause, alone and with others."""
    found = db.sql(text).fetchall()
    wanted = ANSWERS[text]
    assert len(found) == len(wanted), found
    assert all(_same(a, b) for x, y in zip(found, wanted, strict=True) for a, b in zip(x, y, strict=True)), found


ERRORS = {
    "SELECT customer FROM s ORDER BY k": ("CUSTOMER does not exist", 8),
    "SELECT k FROM s ORDER BY kk": ("Did you mean K?", 26),
    "SELECT k AS item FROM s ORDER BY itm": ("Did you mean ITEM?", 34),
    "SELECT k FROM s ORDER BY 2": ("the columns 1 to 1", 26),
    "SELECT DISTINCT k FROM s ORDER BY v": ("with DISTINCT", 35),
    "SELECT k, v FROM s GROUP BY k": ("neither in GROUP BY", 11),
    "SELECT k FROM s WHERE SUM(v) > 1": ("WHERE cannot use SUM", 23),
    "SELECT k FROM s WHERE ROW_NUMBER() OVER () = 1": ("WHERE cannot use ROW_NUMBER", 23),
    "SELECT k FROM t a WHERE EXISTS (SELECT 1 FROM s WHERE s.k = a.kk)": ("A.KK does not exist", 61),
    "SELECT k FROM t WHERE n = (SELECT v FROM s)": ("this one gives 5", 28),
    "SELECT k FROM t WHERE k IN (SELECT v, d FROM s)": ("has 2", 29),
    "SELECT k FROM s UNION SELECT v FROM s": ("cannot combine K (STRING) with V (INTEGER)", 23),
    "SELECT k FROM s UNION SELECT k, v FROM s": ("have 1 and 2", 23),
    "SELECT a.k FROM t a JOIN t a ON a.k = a.k": ("two sources of the query are called A", 26),
    "SELECT * FROM t JOIN s USING (nothing)": ("USING column NOTHING does not exist", 17),
    "SELECT ROW_NUMBER() FROM s": ("there is no function named ROW_NUMBER", 8),
    "SELECT LCASE(k) OVER () FROM s": ("neither an aggregate nor a window function", 8),
    "SELECT SUM(SUM(SUM(v))) OVER () FROM s GROUP BY k": ("aggregate cannot stand inside of another aggregate", 16),
    "SELECT SUM(v) OVER (ORDER BY v RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM s": ("RANGE with a distance", 46),
    "SELECT k FROM s WINDOW TUMBLING (SIZE 1 DAY) GROUP BY k": ("answered once has no WINDOW", 17),
    "SELECT k FROM (SELECT k FROM s EMIT CHANGES) AS q": ("EMIT CHANGES stands at the end", 16),
    "SELECT k FROM range(5)": ("db.duckdb()", 20),
    "SELECT v FROM s ORDER BY ARRAY[v]": ("has no order", 26),
    "VALUES (1, 2), (3)": ("has 1 values, the first one has 2", 17),
    "SELECT k FROM s LIMIT ?": ("has no value", 23),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_point_at_the_word(db: Database, text: str) -> None:
    """No error of another language hides what is wrong."""
    message, column = ERRORS[text]
    with pytest.raises(StatementError) as caught:
        db.sql(text)
    assert message in str(caught.value) and caught.value.span is not None
    assert caught.value.span.column == column


PERSISTENT = [
    ("SELECT k, v FROM s ORDER BY v", "ORDER BY"),
    ("SELECT DISTINCT k FROM s", "DISTINCT"),
    ("SELECT k FROM s UNION SELECT k FROM s", "UNION"),
    ("SELECT k FROM (SELECT * FROM s) AS q", "a subquery in FROM"),
    ("SELECT k FROM s WHERE v IN (SELECT n FROM t)", "no subqueries"),
    ("SELECT k, SUM(v) OVER (ORDER BY v) AS x FROM s", "no OVER"),
    ("SELECT * FROM s CROSS JOIN t", "CROSS JOIN"),
    ("SELECT * FROM s JOIN t USING (k)", "USING"),
    ("SELECT k, COUNT(DISTINCT v) AS n FROM s GROUP BY k", "COUNT_DISTINCT"),
    ("SELECT k FROM s LIMIT 1 OFFSET 1", "OFFSET"),
    ("SELECT 1 AS one", "SELECT without FROM"),
]


@pytest.mark.parametrize(("text", "clause"), PERSISTENT)
def test_queries_that_keep_running_have_none_of_it(db: Database, text: str, clause: str) -> None:
    """EMIT CHANGES and CREATE .. AS SELECT refuse by name what only an answer can have."""
    for whole in (f"CREATE STREAM x AS {text};", f"{text} EMIT CHANGES;"):
        with pytest.raises(StatementError) as caught:
            db.execute(whole)
        assert clause in str(caught.value)


def test_execute_means_the_same(db: Database) -> None:
    """A statement of a script is answered as sql() answers it."""
    (table,) = db.execute("SELECT k, 7 / 2 AS x FROM t WHERE n > 1 ORDER BY k;")
    assert table.fetchall() == [("a", 3)]  # type: ignore[union-attr]


def test_switches_hold_for_every_clause() -> None:
    """What a property forbids is not let in by ORDER BY or a subquery; keys and ranges of keys are no scan."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("""
            CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
            CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
            CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY k;
            INSERT INTO s VALUES ('a', 1), ('b', 2);
        """)
        db.drain()
        db.execute("SET 'ksql.query.pull.table.scan.enabled' = 'false';")
        for text in ("SELECT * FROM t ORDER BY n", "SELECT COUNT(*) FROM t", "SELECT * FROM (SELECT * FROM t) AS x"):
            with pytest.raises(StatementError, match="forbids"):
                db.sql(text)
        assert db.sql("SELECT n FROM t WHERE k = 'a' ORDER BY n").fetchall() == [(1,)]
        for table in ("t", "w"):
            for where in ("k > 'a'", "k BETWEEN 'b' AND 'c'", "k >= 'b' AND n > 0"):
                assert db.sql(f"SELECT k FROM {table} WHERE {where}").fetchall() == [("b",)]
        db.execute("SET 'ksql.query.pull.limit.clause.enabled' = 'false';")
        for text in (
            "SELECT v FROM s LIMIT 1",
            "SELECT v FROM s ORDER BY v LIMIT 1",
            "SELECT * FROM (SELECT v FROM s LIMIT 1)",
        ):
            with pytest.raises(StatementError, match="LIMIT"):
                db.sql(text)
        db.execute("SET 'ksql.query.pull.stream.enabled' = 'false';")
        with pytest.raises(StatementError, match="switched off"):
            db.sql("SELECT v FROM s ORDER BY v")


def test_rows_are_inserted_together_and_deleted_by_key() -> None:
    """VALUES takes several rows, DELETE writes a tombstone for each key."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("""
            CREATE TABLE t (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC = 't', PARTITIONS = 2);
            CREATE TABLE c AS SELECT k, v FROM t;
            INSERT INTO t (k, v) VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4);
        """)
        db.drain()
        assert db.sql("SELECT * FROM c ORDER BY k").fetchall() == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
        db.execute("DELETE FROM t WHERE k = 'a'; DELETE FROM t WHERE k IN ('b', 'nobody');")
        db.drain()
        assert db.sql("SELECT k FROM c ORDER BY k").fetchall() == [("c",), ("d",)]
        for text in (
            "DELETE FROM t;",
            "DELETE FROM t WHERE v = 1;",
            "DELETE FROM t WHERE k > 'a';",
            "DELETE FROM c WHERE k = 'c';",
        ):
            with pytest.raises(StatementError):
                db.execute(text)
        with pytest.raises(StatementError, match="2 columns, but 1 values"):
            db.execute("INSERT INTO t VALUES ('x', 1), ('y');")
        db.drain()
        assert len(db.sql("SELECT k FROM c")) == 2


def test_long_chains_and_deep_nesting(db: Database) -> None:
    """10,000 ORs are fine; what is too deep is refused where it stands, never a RecursionError."""
    chain = " OR ".join(f"v = {n}" for n in range(2, 10_002))
    assert db.sql(f"SELECT COUNT(*) FROM s WHERE {chain}").fetchall() == [(3,)]
    for text in (
        " + ".join(["v"] * 340),
        " || ".join(["k"] * 1000),
        "(" * 5000 + "v" + ")" * 5000,
        "ABS(" * 340 + "v" + ")" * 340,
    ):
        try:
            db.sql(f"SELECT {text} AS x FROM s")
        except StatementError as error:
            assert "nested" in str(error)


@pytest.mark.parametrize("key", ["10 / v", "CAST(SUBSTRING(k, 2, 1) AS INT)", "CAST(k AS INT) + v", "1 / 0"])
def test_a_row_whose_group_fails_is_in_no_group(key: str) -> None:
    """As in a persistent query, whatever stands around it; what fails inside of COALESCE has a value and is in its group."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute(f"""
            CREATE STREAM f (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'f', PARTITIONS = 1);
            CREATE TABLE kept AS SELECT {key} AS g, COUNT(*) AS n FROM f GROUP BY {key};
            CREATE TABLE whole AS SELECT COALESCE(CAST(k AS INT), -1) AS g, COUNT(*) AS n FROM f
                GROUP BY COALESCE(CAST(k AS INT), -1);
        """)
        db.insert("F", [{"k": str(i % 3) + "x", "v": i % 3} for i in range(7)] + [{"k": "3", "v": 5}])
        db.drain()
        kept = db.sql("SELECT g, n FROM kept ORDER BY g").fetchall()
        for text in (
            f"SELECT {key} AS g, COUNT(*) AS n FROM f GROUP BY {key} ORDER BY g",
            f"SELECT g, n FROM (SELECT {key} AS g, COUNT(*) AS n FROM f GROUP BY {key}) ORDER BY g",
        ):
            assert db.sql(text).fetchall() == kept
        whole = db.sql("SELECT g, n FROM whole ORDER BY g").fetchall()
        asked = "COALESCE(CAST(k AS INT), -1) AS g, COUNT(*) AS n FROM f GROUP BY COALESCE(CAST(k AS INT), -1)"
        assert db.sql(f"SELECT {asked} ORDER BY g").fetchall() == whole == [(-1, 7), (3, 1)]


@pytest.mark.parametrize("column", ["a", "p", "aa", "ap"])
@pytest.mark.parametrize("negated", [False, True])
def test_subqueries_of_nested_values_are_constants(column: str, negated: bool) -> None:
    """IN and = with a subquery of ARRAYs and STRUCTs, in every clause; NaN equals NaN inside them, and -0.0 equals 0.0."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM n (id INT KEY, a ARRAY<DOUBLE>, p STRUCT<X DOUBLE, `y` STRING>, aa ARRAY<ARRAY<DOUBLE>>,
                ap ARRAY<STRUCT<X DOUBLE>>) WITH (KAFKA_TOPIC = 'n', PARTITIONS = 1);
        """)
        for id_, d in enumerate([float("nan"), 0.0, -0.0, 1.0, float("nan")]):
            opened.insert("n", {"id": id_, "a": [d], "p": {"X": d, "y": "q"}, "aa": [[d], []], "ap": [{"X": d}, None]})
        opened.insert("n", {"id": 9})

        def ids(query: str) -> list[int]:
            return [row[0] for row in opened.sql(query).fetchall()]

        word = "NOT IN" if negated else "IN"
        found = [0, 1, 2, 4]
        inside = f"{column} {word} (SELECT {column} FROM n WHERE id IN (1, 4))"
        rest = [i for i in (0, 1, 2, 3, 4, 9) if i not in found]
        assert ids(f"SELECT id FROM n WHERE {inside}") == (rest if negated else found)
        assert ids(f"SELECT id FROM n ORDER BY CASE WHEN {inside} THEN 0 ELSE 1 END, id") == (
            rest + found if negated else found + rest
        )
        equal = f"{column} {'<>' if negated else '='} (SELECT {column} FROM n WHERE id = 2)"
        assert ids(f"SELECT id FROM n WHERE {equal}") == ([0, 3, 4] if negated else [1, 2])
