"""IN over subqueries of any size, names in messages of joins, and data of the program where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from penstock import connect
from penstock.engine.database import Database
from penstock.errors import StatementError


@pytest.fixture
def db() -> Iterator[Database]:
    with connect(None, threads=0) as database:
        yield database


@pytest.mark.parametrize("count", [10, 3000])
def test_in_over_few_and_many_values(db: Database, count: int) -> None:
    """The values that a subquery gives count, as many as there are; NaN and -0.0 by the one equality; NULL is not found."""
    db.execute("CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, d DOUBLE, s STRING, x TIMESTAMP) WITH (PARTITIONS=1);")
    db.execute("CREATE TABLE k AS SELECT * FROM t;")
    numbers = np.arange(count)
    doubles = [float(n) for n in numbers]
    doubles[0], doubles[1] = -0.0, float("nan")
    db.insert("t", {"id": numbers, "n": numbers * 2, "d": doubles, "s": [str(n) for n in numbers], "x": numbers})
    db.insert("t", {"id": -1, "n": None, "d": None, "s": None, "x": None})
    db.insert("t", {"id": -2, "n": 7, "d": 0.0, "s": "x", "x": 10**9})
    db.drain()

    def ids(condition: str) -> list[int]:
        return sorted(i for (i,) in db.sql(f"SELECT id FROM k WHERE {condition};").fetchall())

    some = "(SELECT {0} FROM k WHERE id < " + str(count - 2) + " AND id > -2)"
    everything = list(range(count))
    for column in ("n", "s", "x", "id"):
        assert ids(f"{column} IN {some.format(column)}") == [*([-1] if column == "id" else []), *everything[:-2]]
    assert ids(f"d IN {some.format('d')}") == [-2, *everything[:-2]]
    assert ids(f"n NOT IN {some.format('n')}") == [-2, -1, *everything[-2:]]  # a comparison with NULL is false
    assert ids(f"CAST(id AS BIGINT) IN {some.format('id')}") == [-1, *everything[:-2]]
    assert ids(f"id IN {some.format('id')} AND id IN (3, 4)") == [3, 4]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT s.id, t.i, COUNT(*) n FROM s JOIN t ON s.id=t.id GROUP BY s.id", "SELECT expression T.I uses T.I"),
        ("SELECT s.id, COUNT(*) n FROM s JOIN t ON s.id=t.id GROUP BY s.id HAVING t.i > 5", "LATEST_BY_OFFSET(T.I)"),
        ("SELECT s.id, t.i FROM s JOIN t ON s.id=t.id WHERE t.i = 'a'", "T.I (INTEGER) cannot be compared"),
        ("SELECT s.id, t.i->x FROM s JOIN t ON s.id=t.id", "T.I is INTEGER"),
        ("SELECT a.id, -b.`v w` x FROM s a JOIN t b ON a.id=b.id", "B.`v w`"),
        ("SELECT s.id, t.i || 'x' FROM s JOIN t ON s.id=t.id", "CAST(T.I AS STRING)"),
    ],
)
def test_messages_name_columns_of_joins_as_the_query_does(db: Database, query: str, words: str) -> None:
    """``T.I``, not the name that the plan has for it, in whatever is said of it."""
    db.execute(
        "CREATE STREAM s (id INT KEY, v INT) WITH (PARTITIONS=1, VALUE_FORMAT='JSON');"
        "CREATE TABLE t (id INT PRIMARY KEY, i INT, `v w` STRING) WITH (PARTITIONS=1, VALUE_FORMAT='JSON');"
    )
    kind = "TABLE" if "GROUP BY" in query else "STREAM"
    with pytest.raises(StatementError) as refused:
        db.execute(f"CREATE {kind} j AS {query};")
    assert words in str(refused.value)
    assert "T_I " not in str(refused.value)


def test_data_of_the_program_in_statements(db: Database) -> None:
    """Where streams and tables are read, data of the program is refused, with what takes it."""
    db.execute("CREATE STREAM s (id INT KEY, v INT) WITH (PARTITIONS=1, VALUE_FORMAT='JSON');")
    frame = pd.DataFrame({"id": [1], "v": [2]})
    db.register("registered", frame)
    for name in ("frame", "registered"):
        for statement in (
            f"SELECT * FROM {name};",
            f"INSERT INTO s SELECT * FROM {name};",
            f"SELECT id FROM {name} ORDER BY id;",
        ):
            with pytest.raises(StatementError, match=r"is data of the program: db\.duckdb"):
                db.execute(statement)
        with pytest.raises(StatementError, match="is data of the program"):
            db.sql(f"SELECT * FROM {name};")
        with pytest.raises(StatementError, match="is data of the program"):
            db.subscribe(f"SELECT * FROM {name} EMIT CHANGES;")
    with pytest.raises(StatementError) as unknown:
        db.sql("SELECT * FROM nothing_like_it;")
    assert "data of the program" not in str(unknown.value)
