"""Subqueries that refer to columns of the query around them, against DuckDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError
from penstock.limits import SUBQUERY_ANSWERS_MAX

ORDERS = [
    {"id": 1, "customer": "ada", "amount": 10, "place": "x"},
    {"id": 2, "customer": "ada", "amount": 30, "place": None},
    {"id": 3, "customer": "bob", "amount": 20, "place": "y"},
    {"id": 4, "customer": None, "amount": 5, "place": "x"},
    {"id": 5, "customer": "cleo", "amount": None, "place": "z"},
]
PEOPLE = [
    {"name": "ada", "city": "Oslo", "bound": 15},
    {"name": "bob", "city": "Rome", "bound": None},
    {"name": "dora", "city": "Oslo", "bound": 0},
]


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM orders (id INT KEY, customer STRING, amount INT, place STRING);
            CREATE STREAM people_in (name STRING KEY, city STRING, bound INT);
            CREATE TABLE people AS SELECT name, LATEST_BY_OFFSET(city) AS city, LATEST_BY_OFFSET(bound) AS bound
                FROM people_in GROUP BY name;
        """)
        opened.insert("orders", ORDERS)
        opened.insert("people_in", PEOPLE)
        opened.drain()
        yield opened


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with duckdb.connect() as opened:
        opened.register("orders", pa.Table.from_pylist(ORDERS))
        opened.register("people", pa.Table.from_pylist(PEOPLE))
        yield opened


SAME = {
    "EXISTS": "SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = p.name)",
    "NOT EXISTS": "SELECT name FROM people p WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = p.name)",
    "by the key of a table": "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM people p WHERE p.name = o.customer)",
    "not by the key": "SELECT id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM people p WHERE p.name = o.customer)",
    "names without a qualifier": "SELECT name FROM people WHERE EXISTS (SELECT 1 FROM orders WHERE customer = name)",
    "an inequality": "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM orders p WHERE p.amount > o.amount)",
    "a value": "SELECT name, (SELECT MAX(amount) FROM orders o WHERE o.customer = p.name) AS m FROM people p",
    "a count": "SELECT name, (SELECT COUNT(*) FROM orders o WHERE o.customer = p.name) AS n FROM people p",
    "a value in a condition": """SELECT id FROM orders o
        WHERE amount = (SELECT MAX(i.amount) FROM orders i WHERE i.customer = o.customer)""",
    "in an expression": "SELECT id, amount + (SELECT COUNT(*) FROM people p WHERE p.name = o.customer) AS s FROM orders o",
    "IN": "SELECT name FROM people p WHERE p.bound IN (SELECT o.amount - p.bound * 2 FROM orders o)",
    "IN of texts": "SELECT id FROM orders o WHERE o.place IN (SELECT i.place FROM orders i WHERE i.amount < o.amount)",
    "two columns": """SELECT id FROM orders o
        WHERE EXISTS (SELECT 1 FROM orders i WHERE i.place = o.place AND i.id <> o.id)""",
    "only around": "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM people WHERE o.amount > 10)",
    "a column as it is": "SELECT id, (SELECT o.amount) AS a FROM orders o",
    "ORDER BY and LIMIT inside": """SELECT name,
        (SELECT id FROM orders o WHERE o.customer = p.name ORDER BY amount DESC LIMIT 1) AS best FROM people p""",
    "GROUP BY inside": """SELECT name FROM people p WHERE EXISTS
        (SELECT place FROM orders o WHERE o.customer = p.name GROUP BY place HAVING SUM(amount) > 10)""",
    "a set inside": """SELECT name, (SELECT COUNT(*) FROM (SELECT id FROM orders o WHERE o.customer = p.name
        UNION SELECT 1 AS id) AS u) AS n FROM people p""",
    "WITH inside": """SELECT name, (WITH mine AS (SELECT amount FROM orders o WHERE o.customer = p.name)
        SELECT SUM(amount) FROM mine WHERE amount > 10) AS s FROM people p WHERE name <> 'dora'""",
    "of WITH": """WITH big AS (SELECT * FROM orders WHERE amount > 10)
        SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM big WHERE big.customer = p.name)""",
    "a join inside": """SELECT id FROM orders o WHERE EXISTS
        (SELECT 1 FROM people a JOIN people b ON a.city = b.city AND a.name <> b.name WHERE a.name = o.customer)""",
    "of a join": """SELECT o.id FROM orders o JOIN people p ON o.customer = p.name
        WHERE EXISTS (SELECT 1 FROM orders i WHERE i.amount > p.bound AND i.id = o.id)""",
    "in ON": """SELECT o.id AS i, p.name AS n FROM orders o LEFT JOIN people p
        ON o.customer = p.name AND EXISTS (SELECT 1 FROM orders q WHERE q.amount > p.bound AND q.id = o.id)""",
    "two deep": """SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = p.name
        AND EXISTS (SELECT 1 FROM orders i WHERE i.customer = p.name AND i.amount > o.amount))""",
    "two deep, the middle not named": """SELECT name FROM people p WHERE EXISTS
        (SELECT 1 FROM orders o WHERE EXISTS (SELECT 1 FROM orders i WHERE i.customer = p.name AND i.id = 2))""",
    "over groups": """SELECT customer, COUNT(*) AS n, (SELECT COUNT(*) FROM people p WHERE p.name = o.customer) AS m
        FROM orders o GROUP BY customer""",
    "in HAVING": """SELECT customer FROM orders o GROUP BY customer
        HAVING COUNT(*) > (SELECT COUNT(*) FROM people p WHERE p.name = o.customer)""",
    "in an aggregate": """SELECT SUM(CASE WHEN EXISTS
        (SELECT 1 FROM people p WHERE p.name = o.customer) THEN amount ELSE 0 END) AS s FROM orders o""",
    "as a group": """SELECT EXISTS (SELECT 1 FROM people p WHERE p.name = o.customer) AS known, COUNT(*) AS n
        FROM orders o GROUP BY EXISTS (SELECT 1 FROM people p WHERE p.name = o.customer)""",
    "in CASE": """SELECT id, CASE WHEN EXISTS (SELECT 1 FROM people p WHERE p.name = o.customer) THEN 'y' ELSE 'n' END AS c
        FROM orders o""",
    "an alias that hides": "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM orders o WHERE o.amount > 25)",
    "OVER beside it": """SELECT id, RANK() OVER (ORDER BY (SELECT COUNT(*) FROM people p WHERE p.name = o.customer)) AS r
        FROM orders o""",
}


@pytest.mark.parametrize("query", SAME.values(), ids=SAME)
def test_the_rows_are_duckdbs(db: Database, oracle: Any, query: str) -> None:
    """Where no text hangs on a difference of the languages, the rows are equal."""
    assert Counter(db.sql(query).fetchall()) == Counter(oracle.sql(query).fetchall())


def test_in_order(db: Database) -> None:
    found = db.sql("""SELECT name FROM people p
        ORDER BY (SELECT SUM(amount) FROM orders o WHERE o.customer = p.name) DESC, name""")
    assert found.fetchall() == [("ada",), ("bob",), ("dora",)]


def test_nothing_is_among_nulls(db: Database) -> None:
    """``NOT IN`` leaves NULLs out, as it does with a list and with a subquery that depends on nothing."""
    text = "SELECT name FROM people p WHERE p.name NOT IN (SELECT o.customer FROM orders o WHERE o.amount > p.bound)"
    assert {row[0] for row in db.sql(text).fetchall()} == {"ada", "bob", "dora"} - {"ada"}


WRONG = {
    "several rows": (
        "SELECT (SELECT amount FROM orders o WHERE o.customer = p.name) AS a FROM people p",
        "gives one row, and this one gives 2",
    ),
    "an aggregate of the query around": (
        "SELECT (SELECT COUNT(p.bound) FROM orders o WHERE o.id = 1) AS n FROM people p",
        "belong to the query around",
    ),
    "an unknown name": (
        "SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id = p.nam)",
        "does not exist",
    ),
    "types": ("SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id = p.name)", "cannot be compared"),
    "a text is no number in a list": (
        "SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id IN (p.name, 1))",
        "does not go with",
    ),
    "neither grouped nor aggregated": (
        "SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM people p WHERE p.name = o.customer) AS m FROM orders o",
        "neither in GROUP BY nor",
    ),
    "ambiguous around": (
        "SELECT 1 AS x FROM people a JOIN people b ON a.name = b.name WHERE EXISTS (SELECT 1 FROM orders WHERE id = bound)",
        "ambiguous",
    ),
    "beside it in FROM": (
        "SELECT 1 AS x FROM people p JOIN (SELECT id FROM orders o WHERE o.customer = p.name) AS q ON q.id = 1",
        "P is not the name",
    ),
}


@pytest.mark.parametrize(("query", "words"), WRONG.values(), ids=WRONG)
def test_what_is_refused(db: Database, query: str, words: str) -> None:
    with pytest.raises(StatementError) as caught:
        db.sql(query)
    assert words in str(caught.value)
    assert caught.value.span is not None and caught.value.span.end > caught.value.span.start


def test_a_column_is_named_as_it_is_written(db: Database) -> None:
    """Messages show the column and not its value."""
    with pytest.raises(StatementError) as caught:
        db.sql("SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE p.name LIKE o.id)")
    assert "o.id" in str(caught.value).lower()
    with pytest.raises(StatementError) as caught:
        db.sql("SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.place LIKE p.bound)")
    assert "P.BOUND" in str(caught.value)


def test_explain_reads_nothing(db: Database) -> None:
    """Described, and its types are known."""
    text = "SELECT name, (SELECT MAX(amount) FROM orders o WHERE o.customer = p.name) AS m FROM people p"
    shown = str(db.execute(f"EXPLAIN {text};")[0])
    assert "PEOPLE" in shown
    assert [str(f.type) for f in db.sql(text).arrow().schema] == ["string", "int32"]


def test_a_query_that_keeps_running_has_none(db: Database) -> None:
    with pytest.raises(StatementError, match="no subqueries"):
        db.execute("CREATE STREAM o AS SELECT * FROM orders WHERE EXISTS (SELECT 1 FROM people WHERE name = customer);")


def test_random_is_drawn_for_each_row(db: Database) -> None:
    """Rows with equal columns are not answered once where the answer differs each time."""
    drawn = db.sql(
        "SELECT (SELECT RANDOM() + o.amount * 0) AS r FROM orders o CROSS JOIN people p WHERE o.id = 1"
    ).fetchall()
    assert len({row[0] for row in drawn}) == len(PEOPLE)


def test_too_many_answers(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that is told before the work begins."""
    assert SUBQUERY_ANSWERS_MAX >= 1000
    monkeypatch.setattr("penstock.engine.pull.evaluation.SUBQUERY_ANSWERS_MAX", 2)
    with pytest.raises(StatementError, match="5 different rows"):
        db.sql("SELECT (SELECT o.id) AS x FROM orders o")
