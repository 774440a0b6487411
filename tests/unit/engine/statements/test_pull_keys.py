"""Which pull queries find their rows by key, and that those which read everything say the same."""

from __future__ import annotations

import pytest

import penstock

KEYS = {
    "BIGINT": (("k = 7", True), ("7 = k", True), ("k IN (7, 8)", True), ("k = 7 AND n > 0", True), ("k = -1", True)),
    "INTEGER": (("k = 7", True), ("k = 3000000000", False), ("k IN (7, 3000000000)", False), ("k = 7.0", False)),
    "DOUBLE": (("k = 7", True), ("k = 7E0", True), ("k IN (7, 8E0)", True), ("k = 9007199254740993", False)),
    "STRING": (("k = '7'", True), ("k LIKE '7'", False), ("k > '6'", False)),
}
CASES = [(kind, condition, by_key) for kind, conditions in KEYS.items() for condition, by_key in conditions]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("k IN (NULL, 7)", [7]), ("k IN (7, 8, NULL)", [7, 8]), ("k NOT IN (NULL, 7)", [6, 8]), ("NOT k IN (NULL, 7)", [6, 8])],
)
def test_a_null_among_the_keys_is_left_out(condition: str, expected: list[int]) -> None:
    """As in every other list, and as with further clauses."""
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT); CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        db.insert("s", [{"k": k, "v": 1} for k in (6, 7, 8)])
        db.drain()
        for clause in ("", " ORDER BY k", " LIMIT 9"):
            assert sorted(k for (k,) in db.sql(f"SELECT k FROM t WHERE {condition}{clause}").fetchall()) == expected
        with pytest.raises(penstock.StatementError, match="never NULL"):
            db.sql("SELECT k FROM t WHERE k IN (NULL)")


@pytest.mark.parametrize(
    "condition", ["k IN ('7')", "t.k IN (6, '7')", "k NOT IN ('7')", "NOT (k IN ('7') OR n = 1)", "k IN (NULL)"]
)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM t WHERE {c}",
        "SELECT * FROM t WHERE {c} ORDER BY k",
        "SELECT COUNT(*) FROM t WHERE {c}",
        "SELECT DISTINCT n FROM t WHERE {c} LIMIT 1",
        "SELECT * FROM (SELECT k FROM t WHERE {c}) AS x",
        "SELECT * FROM t JOIN u ON t.k = u.k2 WHERE {c}",
        "SELECT k FROM t WHERE {c} UNION SELECT k2 FROM u",
    ],
)
def test_a_numeric_key_takes_no_texts_whatever_clauses_there_are(condition: str, query: str) -> None:
    """ksqlDB's rule for lookups; a value column of that type takes them."""
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT); CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        db.execute("CREATE TABLE u AS SELECT k AS k2, COUNT(*) AS m FROM s GROUP BY k;")
        with pytest.raises(penstock.StatementError, match=r"the key K is (INTEGER, and '7' is text|never NULL)"):
            db.sql(query.format(c=condition))
        db.sql(query.format(c="n IN ('7')"))
        db.sql("SELECT * FROM s WHERE k IN ('7') ORDER BY k")


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("SELECT * FROM (SELECT k, n FROM t) AS x WHERE {c}", "K"),
        ("SELECT * FROM (SELECT n, k AS j FROM t) AS x WHERE x.j IN ('7')", "J"),
        ("SELECT * FROM (SELECT * FROM (SELECT * FROM t ORDER BY n) AS y LIMIT 1) AS x WHERE {c}", "K"),
        ("WITH x (m, j) AS (SELECT n, k FROM t) SELECT * FROM x WHERE j IN ('7')", "J"),
        ("SELECT * FROM (SELECT t.k AS k FROM t JOIN u ON t.k = u.k2) AS x WHERE {c}", "K"),
        ("SELECT * FROM (SELECT k FROM t GROUP BY k) AS x JOIN u ON x.k = u.k2 WHERE {c}", "K"),
        ("SELECT * FROM (SELECT k FROM t UNION SELECT k2 FROM u) AS x WHERE {c}", "K"),
    ],
)
def test_a_key_that_a_subquery_has_passed_on_takes_no_texts(query: str, key: str) -> None:
    """It is the table's key still; what is computed, or may be another column's value, is none."""
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT); CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        db.execute("CREATE TABLE u AS SELECT k AS k2, COUNT(*) AS m FROM s GROUP BY k;")
        with pytest.raises(penstock.StatementError, match=f"the key {key} is INTEGER, and '7' is text"):
            db.sql(query.format(c="x.k IN ('7')"))
        db.sql("SELECT * FROM (SELECT k + 0 AS k, n FROM t) AS x WHERE x.k IN ('7') AND x.n IN ('7')")
        db.sql("SELECT * FROM (SELECT k FROM t UNION SELECT m FROM u) AS x WHERE x.k IN ('7')")
        db.sql("SELECT * FROM (SELECT k FROM s) AS x WHERE x.k IN ('7')")


@pytest.mark.parametrize(("kind", "condition", "by_key"), CASES)
def test_a_key_is_looked_up_where_its_type_has_the_constant(kind: str, condition: str, by_key: bool) -> None:
    """A whole number is a key of any numeric type that has it; the answer is that of a scan."""
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute(f"CREATE STREAM s (k {kind}, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
        db.execute("CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
        convert = {"DOUBLE": float, "STRING": str}.get(kind, int)
        db.insert("s", [{"K": convert(k), "V": 1} for k in (6, 7, 7, 8)])
        db.drain()
        (plan,) = db.execute(f"EXPLAIN SELECT * FROM t WHERE {condition};")
        assert dict(plan.sections)["Access"].startswith("looks up") == by_key
        found = sorted(db.sql(f"SELECT * FROM t WHERE {condition};").fetchall())
        scanned = sorted(db.sql(f"SELECT * FROM t WHERE ({condition}) OR n < 0;").fetchall())
        assert found == scanned
