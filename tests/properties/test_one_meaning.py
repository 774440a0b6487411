"""Adding ORDER BY, LIMIT, DISTINCT, a subquery or a CTE changes no value; grouping and joins are as DuckDB has them where
both languages mean the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.database import Database, connect
from penstock.errors import StatementError

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from(["a", "b", "c", ""]),
            "i": st.none() | st.integers(-5, 5),
            "l": st.none() | st.integers(-(2**62), 2**62),
            "d": st.none() | st.sampled_from([0.0, -0.0, 1.5, -2.5, math.inf, math.nan, 1e300]),
            "t": st.none() | st.sampled_from(["x", "y", "Ü", "", "x'y"]),
            "b": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=12,
)
NUMBERS = st.recursive(
    st.sampled_from(["i", "l", "7", "2", "0", "1.5", "CAST(d AS DOUBLE)", "LEN(t)"]),
    lambda e: st.one_of(
        st.tuples(e, st.sampled_from("+-*/%"), e).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        e.map(lambda x: f"ROUND({x})"),
        e.map(lambda x: f"CAST({x} AS INT)"),
        e.map(lambda x: f"ABS({x})"),
        st.tuples(e, e).map(lambda p: f"COALESCE({p[0]}, {p[1]})"),
    ),
    max_leaves=5,
)
TEXTS = st.one_of(
    st.sampled_from(["t", "k", "t || k", "SUBSTRING(t, 1, 1)", "UCASE(t)", "CONCAT(t, k)", "CAST(i AS STRING)"]),
    NUMBERS.map(lambda e: f"CAST({e} AS STRING)"),
)
CONDITIONS = st.one_of(
    NUMBERS.map(lambda e: f"({e}) > 1"),
    NUMBERS.map(lambda e: f"({e}) IS NULL"),
    st.just("b"),
    st.just("NOT b OR t = 'x'"),
    st.just("t LIKE 'x%'"),
    st.just("i IN (1, 2, 3)"),
)
EXPRESSIONS = st.one_of(NUMBERS, TEXTS, CONDITIONS)


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        yield opened


_numbers = iter(range(10**6))


def _filled(db: Database, rows: list[dict[str, Any]]) -> str:
    """A stream of its own with these rows."""
    name = f"S{next(_numbers)}"
    db.execute(f"CREATE STREAM {name} (k STRING KEY, i INT, l BIGINT, d DOUBLE, t STRING, b BOOLEAN);")
    db.insert(name, rows)
    return name


def _key(row: tuple[Any, ...]) -> Any:
    """A row that equals itself: NaN is NaN, and -0.0 is 0.0."""
    return tuple("nan" if isinstance(v, float) and v != v else v + 0.0 if isinstance(v, float) else v for v in row)


def _bag(rows: list[tuple[Any, ...]]) -> Counter[Any]:
    return Counter(map(_key, rows))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, expressions=st.lists(EXPRESSIONS, min_size=1, max_size=3), where=st.none() | CONDITIONS)
def test_clauses_change_no_value(
    db: Database, rows: list[dict[str, Any]], expressions: list[str], where: str | None
) -> None:
    """The plain query, which is the one that can also run for ever, says what is right; types do not change either."""
    name = _filled(db, rows)
    listed = ", ".join(f"{e} AS c{n}" for n, e in enumerate(expressions))
    plain = f"SELECT {listed} FROM {name}" + ("" if where is None else f" WHERE {where}")
    try:
        wanted = db.sql(plain)
    except StatementError:
        for around in (f"{plain} ORDER BY 1", f"SELECT * FROM ({plain}) AS q"):
            with pytest.raises(StatementError):
                db.sql(around)
        return
    bag, types = _bag(wanted.fetchall()), [f.type for f in wanted.arrow().schema]
    for text in (
        f"{plain} ORDER BY 1, {len(expressions)} DESC NULLS FIRST",
        f"{plain} LIMIT 1000 OFFSET 0",
        f"SELECT * FROM ({plain}) AS q",
        f"WITH q AS ({plain}) SELECT * FROM q ORDER BY c0",
        f"SELECT {', '.join(f'c{n}' for n in range(len(expressions)))} FROM (SELECT i AS z, {listed}"
        f" FROM {name}{'' if where is None else f' WHERE {where}'}) AS q",
        f"{plain} UNION ALL {plain} EXCEPT ALL {plain}",
    ):
        found = db.sql(text)
        assert _bag(found.fetchall()) == bag, text
        assert [f.type for f in found.arrow().schema] == types, text
    distinct = db.sql(plain.replace("SELECT", "SELECT DISTINCT", 1)).fetchall()
    assert _bag(distinct) == Counter(dict.fromkeys(bag, 1))
    limited = db.sql(f"{plain} ORDER BY c0 LIMIT 2").fetchall()
    assert len(limited) == min(2, len(wanted)) and not _bag(limited) - bag


SAME = [
    "SELECT k, COUNT(*) AS n, MIN(i) AS lo, MAX(i) AS hi FROM {s} GROUP BY k",
    "SELECT i, t, COUNT(t) AS n FROM {s} GROUP BY i, t",
    "SELECT d, COUNT(*) AS n FROM {s} GROUP BY d",
    "SELECT COUNT(DISTINCT i) AS a, COUNT(DISTINCT d) AS b, COUNT(DISTINCT t) AS c FROM {s}",
    "SELECT k, COUNT(*) AS n FROM {s} GROUP BY k HAVING COUNT(*) > 1",
    "SELECT DISTINCT i, b FROM {s}",
    "SELECT a.i AS x, c.t AS y FROM {s} a JOIN {s} c ON a.i = c.i",
    "SELECT a.i AS x, c.t AS y FROM {s} a LEFT JOIN {s} c ON a.i = c.i AND c.t = 'x'",
    "SELECT a.i AS x, c.i AS y FROM {s} a RIGHT JOIN {s} c ON a.i < c.i",
    "SELECT a.d AS x, c.d AS y FROM {s} a FULL JOIN {s} c ON a.d = c.d AND a.k <> c.k",
    "SELECT a.t AS x, c.t AS y FROM {s} a CROSS JOIN {s} c",
    "SELECT i AS x FROM {s} UNION SELECT i AS x FROM {s} WHERE b",
    "SELECT i AS x FROM {s} INTERSECT SELECT i AS x FROM {s} WHERE b",
    "SELECT i AS x FROM {s} EXCEPT SELECT i AS x FROM {s} WHERE b",
    "SELECT d AS x FROM {s} EXCEPT ALL SELECT d AS x FROM {s} WHERE b",
    "SELECT d AS x FROM {s} INTERSECT ALL SELECT d AS x FROM {s} WHERE b",
    "SELECT k AS x, RANK() OVER (PARTITION BY k ORDER BY i) AS r, DENSE_RANK() OVER (ORDER BY d) AS q FROM {s}",
    "SELECT i AS x, SUM(i) OVER (ORDER BY i) AS s, COUNT(*) OVER (PARTITION BY k) AS n FROM {s} WHERE i IS NOT NULL",
    "SELECT i AS x, MAX(i) OVER (ORDER BY i ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS m FROM {s}",
    "SELECT k AS x FROM {s} WHERE i = (SELECT MAX(i) FROM {s})",
    "SELECT k AS x FROM {s} WHERE i IN (SELECT i FROM {s} WHERE b)",
    "WITH q AS (SELECT k, COUNT(*) AS n FROM {s} GROUP BY k) SELECT n, COUNT(*) AS m FROM q GROUP BY n",
]
ORDERED = [
    "SELECT {e} AS x FROM {s} ORDER BY {e}",
    "SELECT {e} AS x FROM {s} ORDER BY {e} DESC",
    "SELECT {e} AS x FROM {s} ORDER BY {e} NULLS FIRST",
    "SELECT {e} AS x FROM {s} ORDER BY {e} DESC NULLS LAST LIMIT 3 OFFSET 1",
]


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_where_both_languages_mean_the_same(db: Database, rows: list[dict[str, Any]]) -> None:
    """Groups, joins, set operations, windows and orders: the same rows as DuckDB's over the same table."""
    name = _filled(db, rows)
    schema = pa.schema(
        [
            ("k", pa.string()),
            ("i", pa.int32()),
            ("l", pa.int64()),
            ("d", pa.float64()),
            ("t", pa.string()),
            ("b", pa.bool_()),
        ]
    )
    oracle = duckdb.connect()
    try:
        oracle.register(name, pa.Table.from_pylist(rows, schema))
        for text in SAME:
            text = text.format(s=name)
            assert _bag(db.sql(text).fetchall()) == _bag(oracle.sql(text).fetchall()), text
        for text in ORDERED:
            for column in ("i", "l", "d", "t", "b"):
                asked = text.format(s=name, e=column)
                assert [_key(r) for r in db.sql(asked).fetchall()] == [_key(r) for r in oracle.sql(asked).fetchall()], asked
    finally:
        oracle.close()
