"""Windows of queries: every closed one is put out once, and what leaves the store or comes too late is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError


@pytest.fixture
def db() -> Iterator[Database]:
    database = connect(None, threads=0)
    yield database
    database.close()


def stream(db: Database) -> None:
    db.execute("CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")


def insert(db: Database, seconds: list[float], *, cut: bool, key: str = "a") -> None:
    for second in seconds:
        db.insert("s", [{"k": key, "v": 1, "rowtime": int(second * 1000)}])
        if cut:
            db.drain()
    db.drain()


def counts(db: Database, topic: str) -> list[Any]:
    """The N of each record, in order."""
    return [json.loads(record.value)["N"] for record in db.consume(topic) if record.value is not None]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    "window", ["TUMBLING (SIZE 10 SECONDS)", "HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS)", "SESSION (5 SECONDS)"]
)
@pytest.mark.parametrize("grace", ["", ", GRACE PERIOD 7 SECONDS"])
@pytest.mark.parametrize("expired", ["emit", "drop"])
def test_every_closed_window_is_put_out_once(db: Database, cut: bool, window: str, grace: str, expired: str) -> None:
    """However far stream time jumps; ksqlDB's way is a property."""
    stream(db)
    db.execute(f"SET 'penstock.emit.final.expired' = '{expired}';")
    db.execute(
        f"CREATE TABLE f WITH (PARTITIONS=1) AS SELECT k, COUNT(*) AS n FROM s "
        f"WINDOW {window[:-1]}{grace}) GROUP BY k EMIT FINAL;"
    )
    insert(db, [0, 1, 2, 60, 61, 120, 1000], cut=cut)
    found = counts(db, "F")
    if "SESSION" in window:
        assert found == [3, 2, 1]
    elif expired == "drop":
        assert found == []
    elif "HOPPING" in window:
        assert found == [3, 2, 2, 1, 1]
    else:
        assert found == [3, 2, 1]


def test_windows_that_leave_the_store_are_counted(db: Database) -> None:
    """DESCRIBE shows how many, the account of the query, too; CREATE says how long windows are kept."""
    stream(db)
    (made,) = db.execute(
        "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS, RETENTION 1 HOUR, "
        "GRACE PERIOD 1 MINUTE) GROUP BY k;"
    )
    assert "windows are kept for 1 hour of stream time" in made.text
    assert "late rows for 1 minute" in made.text
    insert(db, [0, 11, 21, 3590, 3630], cut=True)
    (query,) = db.queries.values()
    assert query.progress().account.expired == 3
    (described,) = db.execute(f"EXPLAIN {query.id};")
    assert ("Windows removed", "3, after their retention") in described.sections


LATE = {
    "TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 0 SECONDS)": "windows are closed",
    "SESSION (10 SECONDS, GRACE PERIOD 0 SECONDS)": "session is closed",
}


@pytest.mark.parametrize("window", LATE)
@pytest.mark.parametrize("on", [True, False])
def test_late_rows_are_in_the_processing_log_if_that_is_wanted(db: Database, window: str, on: bool) -> None:
    """With topic, partition and offset; they count as late, not as bad."""
    stream(db)
    if on:
        db.execute("SET 'penstock.log.late' = 'true';")
    db.execute(f"CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW {window} GROUP BY k;")
    insert(db, [100, 5, 200], cut=False)
    account = next(iter(db.queries.values())).progress().account
    assert (account.late, account.bad, account.used) == (1, 0, 2)
    logged = [str(row) for row in db.execute("SELECT * FROM KSQL_PROCESSING_LOG;")[0].fetchall()] if on else []
    assert len(logged) == on
    assert not on or LATE[window] in logged[0]


def test_late_rows_of_joins(db: Database) -> None:
    """A row whose partners are no longer kept."""
    stream(db)
    db.execute(
        "CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');"
        "SET 'penstock.log.late' = 'true';"
        "CREATE STREAM j AS SELECT s.k, s.v AS a, r.v AS b FROM s JOIN r "
        "WITHIN 1 SECONDS GRACE PERIOD 0 SECONDS ON s.k = r.k;"
    )
    insert(db, [100, 5], cut=True)
    (row,) = db.execute("SELECT * FROM KSQL_PROCESSING_LOG;")[0].fetchall()
    assert "no longer kept" in str(row)


@pytest.mark.parametrize("kind", ["LEFT", "FULL OUTER", "RIGHT"])
@pytest.mark.parametrize(("rows", "cut"), [("grace", True), ("grace", False), ("early", True)])
def test_a_row_is_not_unmatched_before_its_grace_is_over(db: Database, cut: bool, kind: str, rows: str) -> None:
    """A row that comes when its window is over, and its match after it, within the grace; ksqlDB's way is a property."""
    stream(db)
    first, second = ("r", "s") if kind == "RIGHT" else ("s", "r")
    key = "ROWKEY" if "FULL" in kind else f"{first}.k"
    db.execute(
        "CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');"
        f"SET 'penstock.join.unmatched' = '{rows}';"
        f"CREATE STREAM j AS SELECT {key}, s.v AS a, r.v AS b FROM s {kind} JOIN r "
        "WITHIN 10 SECONDS GRACE PERIOD 50 SECONDS ON s.k = r.k;"
    )
    for source, word, at in ((first, "other", 20), (first, "x", 0), (second, "x", 5)):
        db.insert(source, [{"k": word, "v": 1, "rowtime": at * 1000}])
        if cut:
            db.drain()
    db.drain()
    found = [json.loads(record.value) for record in db.consume("J")]
    match, alone = {"A": 1, "B": 1}, {"A": 1, "B": None} if first == "s" else {"A": None, "B": 1}
    assert found == ([match] if rows == "grace" else [alone, match])
    db.insert(first, [{"k": "later", "v": 1, "rowtime": 80_001}])
    db.drain()
    assert [json.loads(record.value) for record in db.consume("J")][len(found) :] == [alone]


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "FULL OUTER", "RIGHT"])
@pytest.mark.parametrize("grace", ["", "GRACE PERIOD 1 HOUR"])
def test_all_kinds_of_joins_look_in_the_same_direction(db: Database, kind: str, grace: str) -> None:
    """WITHIN (before, after) is about the right row, seen from the left one, whichever side is the outer one."""
    stream(db)
    key = "ROWKEY" if "FULL" in kind else "r.k" if kind == "RIGHT" else "s.k"
    db.execute(
        "CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');"
        f"CREATE STREAM j AS SELECT {key}, s.v AS a, r.v AS b FROM s {kind} JOIN r "
        f"WITHIN (1 SECOND, 5 SECONDS) {grace} ON s.k = r.k;"
    )
    for source, at in (("s", 10), ("r", 8), ("r", 9), ("r", 15), ("r", 16), ("s", 11), ("s", 17)):
        db.insert(source, [{"k": "x", "v": at, "rowtime": at * 1000}])
        db.drain()
    found = {(row["A"], row["B"]) for row in (json.loads(record.value) for record in db.consume("J"))}
    assert {pair for pair in found if None not in pair} == {(10, 9), (10, 15), (11, 15), (11, 16), (17, 16)}


@pytest.mark.parametrize("kind", ["LEFT", "FULL OUTER", "RIGHT"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_row_that_was_put_out_unmatched_is_matched_by_no_late_row(db: Database, cut: bool, kind: str) -> None:
    """The late row counts as late, or is unmatched too where its side is an outer one."""
    stream(db)
    first, second = ("r", "s") if kind == "RIGHT" else ("s", "r")
    key = "ROWKEY" if "FULL" in kind else f"{first}.k"
    db.execute(
        "CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');"
        f"CREATE STREAM j AS SELECT {key}, s.v AS a, r.v AS b FROM s {kind} JOIN r "
        "WITHIN 10 SECONDS GRACE PERIOD 50 SECONDS ON s.k = r.k;"
    )
    rows = ((first, "x", 0, 1), (second, "other", 61, 2), (second, "x", 5, 3))
    for source, word, at, value in rows:
        db.insert(source, [{"k": word, "v": value, "rowtime": at * 1000}])
        if cut:
            db.drain()
    db.insert(first, [{"k": "later", "v": 4, "rowtime": 125_000}])
    db.drain()
    found = sorted((row["A"] or 0, row["B"] or 0) for row in (json.loads(record.value) for record in db.consume("J")))
    if kind == "FULL OUTER":
        assert found == [(0, 2), (0, 3), (1, 0)]
        return
    assert found == [(1, 0) if first == "s" else (0, 1)]
    (query,) = db.queries.values()
    assert query.progress().account.late == 1


@pytest.mark.parametrize("window", ["TUMBLING (SIZE 10 SECONDS,", "SESSION (10 SECONDS,"])
@pytest.mark.parametrize("cut", [True, False])
def test_reading_shows_what_emit_final_put_out(db: Database, window: str, cut: bool) -> None:
    """A window that is still open is not there for readers, whatever they ask with, and is once it was put out."""
    stream(db)
    db.execute(
        f"CREATE TABLE f AS SELECT k, COUNT(*) AS n FROM s WINDOW {window} RETENTION 10 SECONDS,"
        " GRACE PERIOD 0 SECONDS) GROUP BY k EMIT FINAL;"
    )

    def seen() -> list[list[Any]]:
        answers = [
            db.sql("SELECT n FROM f;"),
            db.sql("SELECT n FROM f WHERE k = 'a';"),
            db.sql("SELECT n FROM f ORDER BY n LIMIT 5;"),
            db.duckdb("SELECT n FROM f"),
        ]
        return [[n for (n,) in answer.fetchall()] for answer in answers] + [[row["N"] for row in db.table("f").rows("a")]]

    insert(db, [0, 1], cut=cut)
    assert seen() == [[]] * 5
    insert(db, [12], cut=cut)
    assert seen() == [[2]] * 5
    insert(db, [23], cut=cut)
    assert seen() == [[1]] * 5


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("window", "last"),
    [
        ("TUMBLING (SIZE 10 SECONDS)", 60), ("HOPPING (SIZE 10 SECONDS, ADVANCE BY 10 SECONDS, GRACE PERIOD 5 SECONDS)", 60),
        ("SESSION (10 SECONDS)", 60), ("TUMBLING (SIZE 2 DAYS)", 2 * 86_400),
    ],
)  # fmt: skip
def test_final_windows_can_be_read_for_a_day_without_a_retention(db: Database, cut: bool, window: str, last: int) -> None:
    """Nobody sees them before they have closed, so they must not leave the table as they close."""
    stream(db)
    (made,) = db.execute(f"CREATE TABLE f AS SELECT k, COUNT(*) AS n FROM s WINDOW {window} GROUP BY k EMIT FINAL;")
    assert "RETENTION" in str(made)
    insert(db, [1, 2, last], cut=cut)
    assert db.sql("SELECT n FROM f").fetchall() == [(2,)]
    assert db.sql("SELECT n FROM f WHERE k = 'a'").fetchall() == [(2,)]
    insert(db, [last + 86_000], cut=cut)
    assert [n for (n,) in db.sql("SELECT n FROM f ORDER BY WINDOWSTART LIMIT 1").fetchall()] == [2]
    insert(db, [last + 5 * 86_400, last + 8 * 86_400], cut=cut)
    assert (2,) not in db.sql("SELECT n FROM f").fetchall()


@pytest.mark.parametrize(
    "options", ["", ", GRACE PERIOD 1 SECOND, RETENTION 1 HOUR", ", RETENTION 1 HOUR, GRACE PERIOD 1 SECOND"]
)
def test_retention_and_grace_stand_in_any_order(db: Database, options: str) -> None:
    """Each at most once."""
    stream(db)
    for number, window in enumerate(
        ["TUMBLING (SIZE 1 MINUTE", "HOPPING (SIZE 1 MINUTE, ADVANCE BY 1 SECOND", "SESSION (1 MINUTE"]
    ):
        db.execute(f"CREATE TABLE t{number} AS SELECT k, COUNT(*) AS n FROM s WINDOW {window}{options}) GROUP BY k;")
        if options:
            with pytest.raises(StatementError, match="is given twice"):
                db.execute(
                    f"SELECT k, COUNT(*) AS n FROM s WINDOW {window}{options}, RETENTION 2 HOURS) GROUP BY k EMIT CHANGES;"
                )


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize(("more", "expected"), [([85], [(85, 85, 2)]), ([85, 84], [(84, 85, 3)]), ([90, 95], [(85, 95, 3)])])
def test_a_session_at_the_bound_of_its_grace_period_takes_more_rows(
    db: Database, more: list[int], expected: list[Any], final: bool, cut: bool
) -> None:
    """Its end is gap and grace before stream time, which is not late yet: its rows are counted together."""
    stream(db)
    db.execute(f"""
        CREATE TABLE o AS SELECT k, COUNT(*) AS n FROM s
        WINDOW SESSION (5 MILLISECONDS, GRACE PERIOD 10 MILLISECONDS) GROUP BY k {"EMIT FINAL" if final else ""};
    """)
    insert(db, [0.1], cut=cut, key="other")
    insert(db, [ms / 1000 for ms in (85, *more)], cut=cut)
    if final:
        insert(db, [0.111], cut=cut, key="other")
    db.drain()
    assert db.sql("SELECT WINDOWSTART, WINDOWEND, n FROM o WHERE k = 'a'").fetchall() == expected
