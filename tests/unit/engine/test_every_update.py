"""An aggregation whose table another one aggregates writes every update: the second one's groups do not depend on steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.engine.database import Database, connect

ROWS = [{"k": number, "g": number // 2} for number in range(4)]
COUNTS = "CREATE TABLE counts AS SELECT g, COUNT(*) AS n FROM s GROUP BY g;"
ANSWER = [(1, 0), (2, 2)]
"""How many groups have n rows: every group had one row at first."""


def opened(directory: Path | None = None, *statements: str) -> Database:
    database = connect(directory, threads=0)
    database.execute("CREATE STREAM IF NOT EXISTS s (k INT KEY, g INT) WITH (KAFKA_TOPIC='s', PARTITIONS=2);")
    database.execute("CREATE TABLE IF NOT EXISTS known (g INT PRIMARY KEY, t INT) WITH (KAFKA_TOPIC='known', PARTITIONS=2);")
    for statement in statements:
        database.execute(statement)
    return database


def answer(database: Database, table: str = "of_counts") -> list[Any]:
    database.drain()
    return sorted(tuple(row) for row in database.sql(f"SELECT * FROM {table}").fetchall())


OF_COUNTS = "CREATE TABLE of_counts AS SELECT n, COUNT(*) AS m FROM counts GROUP BY n;"


@pytest.mark.parametrize(
    "between",
    [
        (),
        ("CREATE TABLE filtered AS SELECT * FROM counts WHERE n < 9;",),
        ("CREATE TABLE filtered AS SELECT * FROM counts WHERE n < 9;", "CREATE TABLE again AS SELECT * FROM filtered;"),
        ("CREATE TABLE joined AS SELECT c.g AS g, n FROM counts c JOIN known ON c.g = known.g;",),
        ("CREATE TABLE counts_again (g INT PRIMARY KEY, n BIGINT) WITH (KAFKA_TOPIC='COUNTS');",),
    ],
)
def test_the_cut_into_steps_does_not_matter(between: tuple[str, ...]) -> None:
    """Not directly, nor through tables of the table, nor through a table that somebody declared over its topic."""
    last = ("counts", *(statement.split()[2] for statement in between))[-1]
    aggregated = OF_COUNTS.replace("FROM counts", f"FROM {last}")
    for cut in (False, True):
        with opened(None, COUNTS, *between, aggregated) as database:
            database.insert("known", [{"g": g, "t": g, "rowtime": 0} for g in (0, 1)])
            for row in ROWS:
                database.insert("s", [row])
                if cut:
                    database.drain()
            assert answer(database) == ANSWER


def test_aggregations_of_aggregations_of_aggregations() -> None:
    """Every one of them writes every update, and the last one merges its own."""
    with opened(
        None, COUNTS, OF_COUNTS, "CREATE TABLE third AS SELECT m, COUNT(*) AS l FROM of_counts GROUP BY m;"
    ) as database:
        database.insert("s", ROWS)
        assert answer(database, "third") == [(0, 1), (1, 0), (2, 1)]
        flows = {name: planned.dataflow.every_update for name, planned in database._engine.planned.items()}
        assert flows == {"CTAS_COUNTS_2": True, "CTAS_OF_COUNTS_3": True, "CTAS_THIRD_4": False}


def test_an_aggregation_that_runs_already_keeps_its_groups() -> None:
    """It goes on from where it was, and writes every update from then on."""
    with opened(None, COUNTS) as database:
        database.insert("s", [{"k": 9, "g": 0}])
        database.drain()
        database.execute(OF_COUNTS)
        database.insert("s", ROWS)
        assert answer(database) == [(1, 0), (2, 1), (3, 1)]


def test_one_that_is_replaced_does_so_again() -> None:
    with opened(None, COUNTS, OF_COUNTS) as database:
        database.execute(COUNTS.replace("CREATE", "CREATE OR REPLACE").replace("GROUP", "WHERE g > -1 GROUP"))
        database.insert("s", ROWS)
        assert answer(database) == ANSWER


def test_a_database_that_is_opened_again_knows_it(tmp_path: Path) -> None:
    with opened(tmp_path / "db", COUNTS, OF_COUNTS) as database:
        database.insert("s", ROWS[:2])
        database.drain()
    with opened(tmp_path / "db") as database:
        database.insert("s", ROWS[2:])
        assert answer(database) == ANSWER


def test_a_paused_one_stays_paused() -> None:
    with opened(None, COUNTS) as database:
        database.execute("PAUSE CTAS_COUNTS_2;")
        database.execute(OF_COUNTS)
        database.insert("s", ROWS)
        assert answer(database) == []
        database.execute("RESUME CTAS_COUNTS_2;")
        assert answer(database) == ANSWER


def test_others_go_on_merging() -> None:
    """A table that is only copied, joined or read by a stream merges its updates within a step."""
    with opened(None, COUNTS, "CREATE TABLE copied AS SELECT * FROM counts;") as database:
        assert not any(planned.dataflow.every_update for planned in database._engine.planned.values())
