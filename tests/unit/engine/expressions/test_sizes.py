"""What expressions make is bounded: a few bytes of a row, and a few words of a query, cannot take all memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from penstock.engine.columns import sizes
from penstock.engine.database import Database, connect
from penstock.engine.functions import regexp, text
from penstock.errors import StatementError

LARGE = {
    "padded rows": "LPAD(t, 400000, 'x')",
    "a padded constant": "LPAD('', 400000, 'x')",
    "a constant beside a column": "t || LPAD('', 400000, 'x')",
    "replaced": "REPLACE(LPAD(t, 1000, 'x'), 'x', LPAD('', 400, 'y'))",
    "replaced by a column": "REPLACE(LPAD(t, 1000, 'x'), 'x', LPAD(t, 400, 'y'))",
    "replaced matches": "REGEXP_REPLACE(LPAD(t, 1000, 'x'), '[xy]', LPAD('', 400, 'y'))",
    "joined items": "ARRAY_JOIN(GENERATE_SERIES(1, 1000), LPAD('', 400, 'x'))",
    "joined arguments": "CONCAT_WS(LPAD('', 200000, 'x'), t, t, t)",
    "a series": "GENERATE_SERIES(1, 50000)",
    "texts of a lambda": "TRANSFORM(GENERATE_SERIES(1, 1000), x => LPAD('', 400, 'x'))",
    "doubled by a lambda": "REDUCE(GENERATE_SERIES(1, 30), t, (s, x) => s || s)",
    "lists of lists": "TRANSFORM(GENERATE_SERIES(1, 300), x => GENERATE_SERIES(1, 300))",
    "bytes": "LPAD(TO_BYTES(t, 'utf8'), 400000, TO_BYTES('x', 'utf8'))",
    "nested arrays": "ARRAY[GENERATE_SERIES(1, 50000), GENERATE_SERIES(1, 50000)]",
    "as text": "CAST(GENERATE_SERIES(1, 50000) AS STRING)",
}
ROWS = 30


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A stream of 30 rows; a column may have 2 MB, a text that grows 1 MB."""
    monkeypatch.setattr(sizes, "COLUMN_BYTES_MAX", 2_000_000)
    for module in (sizes, regexp, text):
        monkeypatch.setattr(module, "GROWN_CHARS_MAX", 1_000_000)
    with connect(threads=0, settings={"auto.offset.reset": "earliest"}) as opened:
        opened.execute("CREATE STREAM s (k INT KEY, t STRING) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);")
        opened.execute("CREATE TABLE t AS SELECT k, LATEST_BY_OFFSET(t) AS t FROM s GROUP BY k;")
        opened.insert("s", [{"k": i, "t": "abc"} for i in range(ROWS)])
        opened.drain()
        yield opened


@pytest.mark.parametrize("expression", LARGE.values(), ids=LARGE)
def test_an_answer_of_too_much_is_refused_where_it_stands(db: Database, expression: str) -> None:
    """With the place in the text, whether it is shown or used further.  Rows of a stream as they are come piece by piece."""
    queries = [f"SELECT k, {expression} AS v FROM s ORDER BY k", f"SELECT k, {expression} AS v FROM t"]
    if re.search(r"\bt\b", expression):  # a constant is made once
        queries += [
            f"SELECT MAX(k) FROM s WHERE {expression} IS NOT NULL",
            f"SELECT k FROM t WHERE {expression} IS NOT NULL",
        ]
    for query in queries:
        with pytest.raises(StatementError) as refused:
            db.sql(query)
        assert "bytes of memory" in str(refused.value) and "^" in str(refused.value)
    assert len(db.sql("SELECT t || t FROM s").fetchall()) == ROWS


@pytest.mark.parametrize("expression", LARGE.values(), ids=LARGE)
def test_a_query_that_keeps_running_takes_fewer_rows_at_once(db: Database, expression: str) -> None:
    """Rows that fit by themselves come out; one that does not is at fault alone, and the query goes on."""
    db.execute(f"CREATE STREAM o AS SELECT k, {expression} IS NOT NULL AS v FROM s;")
    db.drain()
    query = next(q for q in db.queries.values() if "_O_" in q.id)
    account = query.progress().account
    assert (query.state, account.read) == ("RUNNING", ROWS)
    alone = "REDUCE" in expression  # 3 GB for a row
    assert (account.bad, account.used) == ((ROWS, 0) if alone else (0, ROWS))


@pytest.mark.parametrize(
    "expression",
    [
        "LPAD(t, 1000001, 'x')",
        "REPLACE(LPAD(t, 1000, 'x'), 'x', LPAD('', 2000, 'y'))",
        "REPLACE(LPAD(t, 1000, 'x'), 'x', LPAD(t, 2000, 'y'))",
        "REGEXP_REPLACE(LPAD(t, 1000, 'x'), 'x', LPAD('', 2000, 'y'))",
        "REGEXP_REPLACE(LPAD(t, 1000, 'x'), '(x)', '$1' + LPAD('', 2000, 'y'))",
    ],
)
def test_a_text_that_grows_too_long_fails_its_row(db: Database, expression: str) -> None:
    """As any other failure inside of an expression."""
    assert db.sql(f"SELECT {expression} FROM s WHERE k = 1").fetchall() == [(None,)]
    longer = "LEN(REGEXP_REPLACE(REPLACE(t, 'a', 'xy'), '([xy])', '$1$1'))"
    assert db.sql(f"SELECT {longer} FROM s WHERE k = 1").fetchall() == [(6,)]
