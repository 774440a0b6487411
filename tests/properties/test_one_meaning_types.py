"""Clauses change no value, whatever its type: decimals, times, bytes and nested values, and functions of them."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.database import Database, connect
from penstock.errors import StatementError

DAYS = st.sampled_from([datetime.date(1, 1, 1), datetime.date(1969, 12, 31), datetime.date(2024, 2, 29)])
MOMENTS = st.sampled_from(
    [
        datetime.datetime(1899, 12, 31, 23, 59, 59, 999000),
        datetime.datetime(2024, 3, 31, 1, 30),
        datetime.datetime(9999, 1, 1),
    ]
)
REALS = st.none() | st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 2.5])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from(["a", "b", ""]),
            "i": st.none() | st.integers(-3, 3),
            "e": st.none() | st.sampled_from([Decimal("0.00"), Decimal("-2.50"), Decimal("9999.99")]),
            "s": st.none() | st.sampled_from(["", "x", "X_%", "Straße", "a,b", '{"p": [1, null]}']),
            "ts": st.none() | MOMENTS,
            "dt": st.none() | DAYS,
            "tm": st.none() | st.sampled_from([datetime.time(0), datetime.time(23, 59, 59)]),
            "bi": st.none() | st.sampled_from([b"", b"\x00\xff"]),
            "a": st.none() | st.lists(st.none() | st.integers(0, 2), max_size=3),
            "r": st.none() | st.lists(REALS, max_size=2),
            "m": st.none() | st.dictionaries(st.sampled_from("pq"), st.none() | st.integers(0, 2), max_size=2),
            "st": st.none() | st.fixed_dictionaries({"x": st.none() | st.integers(0, 1), "y": st.lists(DAYS, max_size=1)}),
        }
    ),
    min_size=1,
    max_size=8,
)
EXPRESSIONS = (
    "e * 2 - i",
    "e / 3",
    "ROUND(e, 1)",
    "e % 2",
    "CAST(e AS DECIMAL(3, 1))",
    "CAST(i AS DECIMAL(10, 2)) / 0",
    "CAST(s AS INT)",
    "CAST(ts AS STRING)",
    "TIMESTAMPADD(DAYS, i, ts)",
    "FORMAT_TIMESTAMP(ts, 'yyyy-MM-dd HH:mm XXX', 'Europe/Berlin')",
    "CONVERT_TZ(ts, 'UTC', 'America/New_York')",
    "DATEADD(HOURS, i, dt)",
    "ts > '2000-01-01'",
    "dt = '2024-02-29'",
    "dt < ts",
    "TIMEADD(SECONDS, i, tm)",
    "tm BETWEEN '00:00' AND '12:00'",
    "bi",
    "FROM_BYTES(bi, 'hex')",
    "bi = TO_BYTES('', 'utf8')",
    "a",
    "a[1] + a[-1]",
    "ARRAY_SORT(a, 'DESC')",
    "TRANSFORM(a, z => z + 1)",
    "REDUCE(a, i, (t, z) => t + COALESCE(z, 0))",
    "ARRAY_CONTAINS(a, i)",
    "a = ARRAY[1, 2]",
    "r",
    "ARRAY_DISTINCT(r)",
    "m",
    "m['p']",
    "MAP_UNION(m, MAP('p' := 7))",
    "m = MAP('q' := 1, 'p' := 2)",
    "st",
    "st->x",
    "st->y[1]",
    "STRUCT(a := st->x, b := a)",
    "CASE WHEN st->x = 1 THEN a ELSE ARRAY[i] END",
    "TO_JSON_STRING(st)",
    "CAST(m AS STRING)",
    "EXTRACTJSONFIELD(s, '$.p[0]')",
    "SPLIT(s, ',')",
    "s LIKE 'X!_%' ESCAPE '!'",
    "s NOT LIKE '%'",
    "UCASE(s) || k",
    "SUBSTRING(s, -1)",
    "s IN ('x', k)",
    "i NOT IN (1, i - 1)",
    "i IS DISTINCT FROM st->x",
    "COALESCE(m['q'], a[2], i)",
    "GREATEST(e, CAST(i AS DECIMAL(4, 1)))",
    "CASE i WHEN 0 THEN 'zero' WHEN a[1] THEN 'first' END",
    "CONCAT_WS('-', s, k)",
    "INSTR(s, k)",
    "MD5(s)",
)
CONDITIONS = (
    "ts > '2000-01-01'",
    "dt < ts",
    "tm BETWEEN '00:00' AND '12:00'",
    "bi = TO_BYTES('', 'utf8')",
    "ARRAY_CONTAINS(a, i)",
    "a <> ARRAY[1, 2]",
    "m = MAP('q' := 1, 'p' := 2) OR st->x = 1",
    "NOT (s LIKE 'X!_%' ESCAPE '!')",
    "s NOT LIKE '%'",
    "i NOT IN (1, i - 1)",
    "e / 3 IS NULL",
)


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        yield opened


_numbers = iter(range(10**6))


def _frozen(value: Any) -> Any:
    """Equal exactly where SQL's equality holds."""
    if isinstance(value, float):
        return "NaN" if value != value else value + 0.0
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return value


def _bag(rows: list[tuple[Any, ...]]) -> Counter[Any]:
    return Counter(repr(_frozen(row)) for row in rows)


@settings(max_examples=10, deadline=None)
@given(
    rows=ROWS,
    expressions=st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=4, unique=True),
    where=st.none() | st.sampled_from(CONDITIONS),
)
def test_clauses_change_no_value_of_any_type(
    db: Database, rows: list[dict[str, Any]], expressions: list[str], where: str | None
) -> None:
    """The plain query says what is right.  A query that keeps running gives the same rows."""
    name = f"S{next(_numbers)}"
    db.execute(f"""CREATE STREAM {name} (k STRING KEY, i INT, e DECIMAL(6, 2), s STRING, ts TIMESTAMP, dt DATE, tm TIME,
        bi BYTES, a ARRAY<INT>, r ARRAY<DOUBLE>, m MAP<STRING, INT>, st STRUCT<x INT, y ARRAY<DATE>>);""")
    db.insert(name, rows)
    names = [f"c{n}" for n in range(len(expressions))]
    listed = ", ".join(f"{e} AS {c}" for e, c in zip(expressions, names, strict=True))
    filtered = "" if where is None else f" WHERE {where}"
    plain = f"SELECT {listed} FROM {name}{filtered}"
    wanted = db.sql(plain)
    bag, types = _bag(wanted.fetchall()), [f.type for f in wanted.arrow().schema]
    every = ", ".join(names)
    for text in (
        f"{plain} ORDER BY k, i DESC NULLS FIRST",
        f"{plain} LIMIT 1000",
        f"SELECT * FROM ({plain}) AS q",
        f"WITH q AS ({plain}), z AS (SELECT {every} FROM q) SELECT * FROM z",
        f"{plain} UNION ALL {plain} EXCEPT ALL {plain}",
        f"{plain} INTERSECT ALL {plain}",
        f"SELECT {every} FROM (SELECT {listed}, RANK() OVER (PARTITION BY k ORDER BY i) AS n FROM {name}{filtered}) AS q",
        f"SELECT {listed} FROM {name} CROSS JOIN (VALUES (1)) AS one(n){filtered}",
        f"SELECT (SELECT q.c0) AS c0{''.join(f', {c}' for c in names[1:])} FROM ({plain}) AS q",
        f"SELECT * FROM ({plain}) AS q WHERE EXISTS (SELECT 1 FROM (VALUES (1)) AS v(n) WHERE q.c0 = q.c0 OR v.n = 1)",
    ):
        try:
            found = db.sql(text)
        except StatementError as error:
            raise AssertionError(text) from error
        assert _bag(found.fetchall()) == bag, text
        assert [f.type for f in found.arrow().schema] == types, text
    once = Counter(dict.fromkeys(bag, 1))
    assert _bag(db.sql(plain.replace("SELECT", "SELECT DISTINCT", 1)).fetchall()) == once
    assert _bag(db.sql(f"SELECT {every} FROM ({plain}) AS q GROUP BY {every}").fetchall()) == once
    assert _bag(db.sql(f"{plain} UNION {plain}").fetchall()) == once
    db.execute(f"CREATE STREAM {name}_out AS SELECT k, {listed} FROM {name}{filtered};")
    db.drain()
    assert _bag(db.sql(f"SELECT {every} FROM {name}_out").fetchall()) == bag
