"""WHY NO ROWS FROM: every cause is named, with its count and a statement that mends it; EXPLAIN ANALYZE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock import Database
from penstock.errors import StatementError

ORDERS = "CREATE STREAM orders (id STRING KEY, euros INT) WITH (KAFKA_TOPIC='orders', PARTITIONS=1, VALUE_FORMAT='JSON');"
PAID = ORDERS.replace("orders", "paid")
PEOPLE = ORDERS.replace("STREAM orders", "TABLE people").replace("'orders'", "'people'").replace("KEY", "PRIMARY KEY")
BIG = "CREATE STREAM big AS SELECT * FROM orders WHERE euros > 100;"
FINAL = (
    "CREATE TABLE spend AS SELECT id, SUM(euros) AS total FROM orders WINDOW TUMBLING (SIZE 10 SECONDS, "
    "GRACE PERIOD 5 SECONDS) GROUP BY id EMIT FINAL;"
)


@pytest.fixture
def db() -> Iterator[Database]:
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as database:
        database.execute(ORDERS)
        yield database


def why(db: Database, name: str) -> dict[str, tuple[int | None, str, str]]:
    """The findings by their names."""
    (listing,) = db.execute(f"WHY NO ROWS FROM {name};")
    assert listing.columns == ("Finding", "Count", "Detail", "Statement")
    return {finding: (count, detail, statement) for finding, count, detail, statement in listing.rows}


def put(db: Database, *rows: tuple[str, int, int], source: str = "orders") -> None:
    """Rows of id, euros and time."""
    for id_, euros, time in rows:
        db.execute(f"INSERT INTO {source} (ROWTIME, id, euros) VALUES ({time}, '{id_}', {euros});")
    db.drain()


def rows(db: Database, name: str) -> list[tuple[Any, ...]]:
    return list(db.sql(f"SELECT * FROM {name};").fetchall())


def test_a_paused_query_is_named_and_resumed(db: Database) -> None:
    db.execute(BIG)
    (query,) = db.queries
    db.execute(f"PAUSE {query};")
    put(db, ("a", 200, 0))
    count, detail, statement = why(db, "big")["paused"]
    assert count == 1 and query in detail
    db.execute(statement)
    db.drain()
    assert why(db, "big")["rows are there"][0] == 1
    assert rows(db, "big") == [("a", 200)]


def test_a_failed_query_says_what_it_failed_with(db: Database) -> None:
    db.execute("SET 'ksql.timestamp.throw.on.invalid' = 'true';")
    db.execute("CREATE STREAM timed (t BIGINT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON', TIMESTAMP='t');")
    db.execute("CREATE STREAM copied AS SELECT * FROM timed;")
    (query,) = db.queries
    db.produce("t", value=b'{"T": null}')
    with pytest.raises(penstock.errors.DataError):
        db.drain()
    _, detail, statement = why(db, query.lower())["error"]
    assert str(db.queries[query].progress().error) in detail and statement == f"RESUME {query};"


def test_an_empty_input_is_found_through_the_queries_between(db: Database) -> None:
    db.execute(BIG)
    db.execute("CREATE STREAM bigger AS SELECT * FROM big WHERE euros > 1000;")
    put(db, ("a", 1, 0), ("b", 2, 0))
    (listing,) = db.execute("WHY NO ROWS FROM bigger;")
    found = [(finding, count) for finding, count, _, _ in listing.rows]
    assert found == [("empty input", 0), ("filter", 2)]


def test_records_before_the_query_are_counted_and_read_again(db: Database) -> None:
    put(db, ("a", 200, 0), ("b", 300, 0))
    db.execute("SET 'auto.offset.reset' = 'latest';")
    db.execute(BIG)
    db.drain()
    count, detail, statement = why(db, "big")["offset reset"]
    assert count == 2 and "2 records were there before" in detail
    db.execute(statement)
    db.drain()
    assert "offset reset" not in why(db, "big")
    assert sorted(rows(db, "big")) == [("a", 200), ("b", 300)]


def test_nothing_was_skipped_by_a_query_that_read_all(db: Database) -> None:
    db.execute("SET 'auto.offset.reset' = 'latest';")
    db.execute(BIG)
    put(db, ("a", 200, 0))
    assert set(why(db, "big")) == {"rows are there"}


def test_a_filter_that_dropped_all(db: Database) -> None:
    db.execute(BIG)
    put(db, ("a", 1, 0), ("b", 2, 0))
    count, detail, statement = why(db, "big")["filter"]
    assert count == 2 and "WHERE" in detail and "> 100" in detail
    db.execute(statement)
    db.drain()
    assert sorted(rows(db, "big")) == [("a", 1), ("b", 2)]


def test_a_filter_is_known_after_the_database_was_opened_again(tmp_path: Path) -> None:
    with penstock.connect(tmp_path, threads=0) as db:
        db.execute(ORDERS + BIG)
        put(db, ("a", 1, 0))
    with penstock.connect(tmp_path, threads=0) as db:
        assert why(db, "big")["filter"][0] == 1


def test_a_having_that_dropped_all(db: Database) -> None:
    db.execute("CREATE TABLE often AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id HAVING COUNT(*) > 5;")
    put(db, ("a", 1, 0), ("b", 2, 0))
    count, detail, statement = why(db, "often")["filter"]
    assert count == 2 and "HAVING" in detail
    db.execute(statement)
    db.drain()
    assert sorted(rows(db, "often")) == [("a", 1), ("b", 1)]


def test_a_window_that_is_not_over(db: Database) -> None:
    db.execute(FINAL)
    put(db, ("a", 1, 1_000), ("b", 2, 12_000))
    count, detail, _ = why(db, "spend")["stream time"]
    assert count == 2 and "3000 ms of event time are missing" in detail and "1970-01-01T00:00:15.000Z" in detail
    put(db, ("c", 3, 14_999))
    assert "1 ms of event time" in why(db, "spend")["stream time"][1]
    put(db, ("c", 3, 15_000))
    assert why(db, "spend")["stream time"][0] == 2  # of the window from 10 s on


def test_a_window_that_is_not_over_is_shown_by_emit_changes(db: Database) -> None:
    db.execute(FINAL)
    put(db, ("a", 1, 1_000))
    db.execute(why(db, "spend")["stream time"][2])
    db.drain()
    assert [row[-1] for row in rows(db, "spend")] == [1]


def test_a_session_that_is_not_over(db: Database) -> None:
    db.execute(
        "CREATE TABLE visits AS SELECT id, COUNT(*) AS n FROM orders WINDOW SESSION (10 SECONDS, GRACE PERIOD 0 SECONDS) "
        "GROUP BY id EMIT FINAL;"
    )
    put(db, ("a", 1, 1_000))
    assert "10001 ms of event time" in why(db, "visits")["stream time"][1]


def test_a_partition_that_lags_is_named() -> None:
    with penstock.connect(settings={"auto.offset.reset": "earliest"}, threads=0) as db:
        db.execute(ORDERS.replace("PARTITIONS=1", "PARTITIONS=2") + FINAL)
        db.produce("orders", key=b"a", value=b'{"EUROS": 1}', partition=0, timestamp=1_000)
        db.produce("orders", key=b"b", value=b'{"EUROS": 1}', partition=1, timestamp=60_000)
        db.drain()
        count, detail, _ = why(db, "spend")["idle partition"]
        assert count == 1 and "partition 0 holds back" in detail
        assert "partition 1 holds back" in why(db, "spend")["stream time"][1]


def test_unmatched_rows_of_an_outer_join_wait_for_stream_time(db: Database) -> None:
    db.execute(PAID)
    db.execute(
        "CREATE STREAM j AS SELECT o.id, o.euros, p.euros AS paid FROM orders o LEFT JOIN paid p WITHIN 10 SECONDS "
        "GRACE PERIOD 1 SECOND ON o.id = p.id;"
    )
    put(db, ("a", 1, 1_000))
    count, detail, _ = why(db, "j")["stream time"]
    assert count == 1 and "11001 ms" in detail
    put(db, ("b", 1, 1_000 + 11_001))
    (query,) = db.queries.values()
    assert query.progress().account.written == 1


def test_bad_records_have_their_reason(db: Database) -> None:
    db.execute(BIG)
    db.produce("orders", key=b"a", value=b"{nonsense")
    db.drain()
    count, detail, statement = why(db, "big")["bad records"]
    assert count == 1 and "orders, partition 0, offset 0" in detail
    (found,) = db.execute(statement)
    assert len(found.fetchall()) == 1


def test_late_rows_are_taken_in_with_a_longer_grace(db: Database) -> None:
    db.execute(FINAL.replace("EMIT FINAL", "EMIT CHANGES"))
    put(db, ("a", 1, 100_000), ("b", 2, 1_000))
    count, _, statement = why(db, "spend")["late rows"]
    assert count == 1
    db.execute(statement)
    db.drain()
    assert "late rows" not in why(db, "spend")
    assert {row[0] for row in rows(db, "spend")} == {"a", "b"}


@pytest.mark.parametrize(
    ("left", "right", "difference"),
    [
        ("ann", "ANN", "upper and lower case"),
        ("ann", "ann ", "spaces around them"),
        ("7", "007", "how a number is written"),
        ("An n", "ann", "spaces and case"),
        ("ann", "bob", "no key of the samples is on both sides"),
    ],
)
def test_keys_of_a_join_that_do_not_meet(db: Database, left: str, right: str, difference: str) -> None:
    db.execute(PEOPLE)
    db.execute("CREATE STREAM j AS SELECT o.id, p.euros FROM orders o JOIN people p ON o.id = p.id;")
    put(db, (right, 1, 0), source="people")
    put(db, (left, 1, 1))
    count, detail, _ = why(db, "j")["join without matches"]
    assert count == 2 and difference in detail
    assert f"keys on the left: {left!r}" in detail and f"keys on the right: {right!r}" in detail


def test_a_join_by_an_expression_compares_what_it_gives(db: Database) -> None:
    db.execute("CREATE STREAM paid (id STRING, euros INT) WITH (KAFKA_TOPIC='paid', PARTITIONS=1, VALUE_FORMAT='JSON');")
    db.execute("CREATE STREAM j AS SELECT o.id, p.euros FROM orders o JOIN paid p WITHIN 1 HOUR ON o.id = LCASE(p.id);")
    put(db, ("X1", 1, 0))
    put(db, ("X1", 1, 0), source="paid")
    assert "keys on the right: 'x1'" in why(db, "j")["join without matches"][1]


def test_equal_keys_that_are_too_far_apart(db: Database) -> None:
    db.execute(PAID)
    db.execute("CREATE STREAM j AS SELECT o.id, p.euros FROM orders o JOIN paid p WITHIN 1 SECOND ON o.id = p.id;")
    put(db, ("a", 1, 0))
    put(db, ("a", 1, 60_000), source="paid")
    assert "1 keys are on both sides, but never within" in why(db, "j")["join without matches"][1]


def test_a_table_whose_rows_came_too_late(db: Database) -> None:
    db.execute(PEOPLE)
    db.execute("CREATE STREAM j AS SELECT o.id, p.euros FROM orders o JOIN people p ON o.id = p.id;")
    put(db, ("a", 1, 0))
    put(db, ("a", 1, 1), source="people")
    assert "the table's rows came after" in why(db, "j")["join without matches"][1]


def test_a_query_that_waits_for_an_input() -> None:
    settings = {"auto.offset.reset": "earliest", "max.task.idle.ms": "60000"}
    with penstock.connect(settings=settings, threads=1) as db:
        db.execute(ORDERS)
        db.execute(PAID)
        db.execute("CREATE STREAM j AS SELECT o.id, p.euros FROM orders o LEFT JOIN paid p WITHIN 1 SECOND ON o.id = p.id;")
        db.insert("orders", [{"ID": "a", "EUROS": 1}])
        for _ in range(200):
            found = why(db, "j")
            if "waiting for an input" in found:
                break
            db.wait_idle(0.02)
        count, detail, _ = found["waiting for an input"]
        assert count == 1 and "paid partition 0" in detail


def test_sources_that_no_query_writes(db: Database) -> None:
    assert why(db, "orders")["empty input"][0] == 0
    put(db, ("a", 1, 0))
    count, _, statement = why(db, "orders")["rows are there"]
    assert count == 1 and "EMIT CHANGES" in statement
    db.execute("CREATE STREAM other (x INT) WITH (KAFKA_TOPIC='other', PARTITIONS=1, VALUE_FORMAT='JSON');")
    db.produce("other", value=b"nonsense")
    assert why(db, "other")["bad records"][0] == 1


def test_an_unknown_name_is_refused_with_a_near_one(db: Database) -> None:
    with pytest.raises(StatementError) as caught:
        db.execute("WHY NO ROWS FROM ordes;")
    assert "ORDERS" in str(caught.value.suggestion)


def test_the_new_words_are_names_still(db: Database) -> None:
    made = "CREATE STREAM why (no INT, rows INT, analyze INT)"
    db.execute(f"{made} WITH (KAFKA_TOPIC='w', PARTITIONS=1, VALUE_FORMAT='JSON');")
    db.execute("CREATE STREAM analyze AS SELECT why.no AS why, analyze, rows AS no FROM why why;")
    assert "empty input" in why(db, "why") and "empty input" in why(db, "analyze")


# --- EXPLAIN ANALYZE -----------------------------------------------------------------------


def test_explain_analyze_counts_rows_and_state_per_operator(db: Database) -> None:
    db.execute("CREATE TABLE sums AS SELECT id, SUM(euros) AS total FROM orders WHERE euros > 1 GROUP BY id;")
    put(db, ("a", 1, 0), ("a", 2, 0), ("b", 3, 0), ("a", 4, 0))
    (query,) = db.queries
    (found,) = db.execute(f"EXPLAIN ANALYZE {query};")
    table = dict(found.sections)["Operators"]
    assert table.columns == ("Operator", "Rows In", "Rows Out", "Time (ms)", "State Rows", "State Bytes")
    counts = {row[0].split()[0]: row[1:3] for row in table.rows}
    assert counts["Scan"] == (4, 4) and counts["Filter"] == (4, 3) and counts["Aggregate"] == (3, 2)
    assert counts["Write"] == (2, 2)
    state = {row[0].split()[0]: row[4] for row in table.rows}
    assert state["Aggregate"] == 2 and state["Filter"] is None
    assert all(row[3] > 0 for row in table.rows if row[0].split()[0] in ("Filter", "Aggregate"))
    plan = db.queries[query].explain().splitlines()
    assert [line.split(" [")[0] for line in plan] == [row[0] for row in table.rows]


def test_explain_analyze_takes_the_id_of_a_query_only(db: Database) -> None:
    with pytest.raises(StatementError):
        db.execute("EXPLAIN ANALYZE SELECT * FROM orders EMIT CHANGES;")
    with pytest.raises(StatementError, match="no persistent query"):
        db.execute("EXPLAIN ANALYZE nothing;")
