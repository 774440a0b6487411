"""Which conditions on WINDOWSTART and WINDOWEND a pull query takes (section 9 of the reference)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import penstock
from penstock.engine.database import Database

TAKEN = {
    "k = 1 AND WINDOWSTART = 1000": [1000],
    "k = 1 AND WINDOWSTART > 0 AND WINDOWSTART <= 2000": [1000, 2000],
    "k = 1 AND 1000 < WINDOWSTART AND WINDOWEND <= 3000": [2000],
    "k = 1 AND WINDOWSTART BETWEEN 1000 AND 2000 AND WINDOWEND >= 2000": [1000, 2000],
    "k = 1 AND WINDOWSTART >= 2000 OR k = 1 AND WINDOWSTART < 1000": [0, 2000],
    "k = 1 AND WINDOWSTART IN (0, 2000)": [0, 2000],
    "k = 1 AND WINDOWSTART >= '1970-01-01T00:00:01'": [1000, 2000],
    "WINDOWSTART > 0 AND WINDOWSTART > 1000 AND n > 0": [2000],
    "WINDOWSTART + 0 <> 1000": [0, 2000],
}
REFUSED = (
    "k = 1 AND WINDOWSTART > 0 AND WINDOWSTART >= 1000",
    "k = 1 AND WINDOWEND < 2000 AND 3000 > WINDOWEND",
    "k = 1 AND WINDOWSTART = 0 AND WINDOWSTART = 0",
    "k = 1 AND WINDOWSTART = 0 AND WINDOWSTART < 5000",
    "k = 1 AND WINDOWSTART BETWEEN 0 AND 2000 AND WINDOWSTART < 5000",
    "k = 1 AND WINDOWSTART < 5000 OR k = 2 AND WINDOWEND > 1 AND WINDOWEND > 2",
    "k = 1 AND WINDOWSTART <> 0",
    "WINDOWEND <> 1000",
    "k = 1 AND WINDOWSTART IS DISTINCT FROM 0",
)


@pytest.fixture(scope="module")
def windows() -> Iterator[Database]:
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
        db.execute("CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k;")
        for start in (0, 1000, 2000):
            db.execute(f"INSERT INTO s (ROWTIME, k, v) VALUES ({start}, 1, 1);")
        db.drain()
        yield db


@pytest.mark.parametrize(("condition", "starts"), TAKEN.items())
def test_one_range_of_windows_is_taken(windows: Database, condition: str, starts: list[int]) -> None:
    """Also without a key, where any condition filters the rows of the whole table."""
    (table,) = windows.execute(f"SELECT WINDOWSTART FROM w WHERE {condition};")
    assert sorted(row[0] for row in table.fetchall()) == starts


@pytest.mark.parametrize("condition", REFUSED)
def test_bounds_that_make_no_range_are_refused(windows: Database, condition: str) -> None:
    """Two bounds for one end of a range, or a comparison that is no bound."""
    with pytest.raises(penstock.StatementError, match=r"WINDOW(START|END)"):
        windows.execute(f"SELECT * FROM w WHERE {condition};")


WITH_CLAUSES = (
    "SELECT k FROM w WHERE {c} ORDER BY k",
    "SELECT COUNT(*) FROM w WHERE {c}",
    "SELECT DISTINCT n FROM w AS y WHERE {c} LIMIT 1",
    "SELECT * FROM (SELECT k FROM w WHERE {c}) AS x",
    "SELECT k FROM w WHERE {c} UNION SELECT n FROM w",
    "SELECT k FROM w WHERE n IN (SELECT n FROM w WHERE {c})",
)


@pytest.mark.parametrize("query", WITH_CLAUSES)
def test_windows_are_asked_for_in_one_way_whatever_clauses_there_are(windows: Database, query: str) -> None:
    """The same conditions are taken and refused as without them."""
    for condition in TAKEN:
        windows.sql(query.format(c=condition))
    for condition in REFUSED:
        with pytest.raises(penstock.StatementError, match=r"WINDOW(START|END)"):
            windows.sql(query.format(c=condition))


def test_windows_of_joined_tables_are_asked_for_in_one_way(windows: Database) -> None:
    """The bounds of one of them are no bounds of the other; those that a subquery has passed on are any columns."""
    joined = "SELECT a.k FROM w AS a JOIN w AS b ON a.WINDOWSTART = b.WINDOWEND WHERE "
    for condition in ("a.WINDOWSTART <> 0", "a.k = 1 AND b.k = 1 AND b.WINDOWEND > 0 AND b.WINDOWEND > 1"):
        with pytest.raises(penstock.StatementError, match=r"WINDOW(START|END)"):
            windows.sql(joined + condition)
    found = windows.sql(joined + "a.k = 1 AND a.WINDOWSTART > 0 AND b.WINDOWEND > 1000").fetchall()
    assert found == [(1,)]
    passed_on = "SELECT start FROM (SELECT k, WINDOWSTART AS start FROM w) AS x WHERE start <> 1000 ORDER BY start"
    assert len(windows.sql(passed_on).fetchall()) == 2
