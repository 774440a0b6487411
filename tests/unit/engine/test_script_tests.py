"""Tests written as SQL: how files are read, what passes, what fails and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.engine.script_tests import read_tests, run_test
from penstock.errors import StatementError

ORDERS = (
    "CREATE STREAM orders (customer STRING KEY, total INT, placed TIMESTAMP) WITH (KAFKA_TOPIC='o', VALUE_FORMAT='JSON');\n"
)
SPEND = "CREATE TABLE spend AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer HAVING SUM(total) > 3;\n"


def failure(text: str, **options: bool) -> str | None:
    """Why the only test of a text fails."""
    (test,) = read_tests(text)
    return run_test(test, **options).failure


def test_a_file_is_cut_into_tests() -> None:
    """Names, expectations and lines; a line that looks like a directive inside quotes is none."""
    text = "-- about\n--@test: first\nDEFINE a = '\n--@test: none\n';\n"
    text += "--@test: second\n--@expected.error: DataError\nSHOW TYPES;"
    first, second = read_tests(text)
    assert (first.name, first.line, first.error) == ("first", 2, None)
    assert (second.name, second.line, second.error, second.message) == ("second", 6, "DataError", None)
    assert second.text.split("\n")[7] == "SHOW TYPES;"


def test_a_file_without_names_is_one_test() -> None:
    """It is called as the file is."""
    (only,) = read_tests("SHOW TYPES;", Path("a/b.sql"))
    assert only.name == "b"


@pytest.mark.parametrize("line", ["--@tests: x", "--@expected.error: A\n--@expected.error: B"])
def test_directives_are_checked(line: str) -> None:
    """Unknown and repeated ones are errors with a place."""
    with pytest.raises(StatementError, match=r"line [12]"):
        read_tests(line)


def test_values_are_compared_record_by_record() -> None:
    """Listed columns only, in the order of arrival; tombstones and pseudo columns too."""
    assert (
        failure(
            ORDERS
            + SPEND
            + "INSERT INTO orders (rowtime, customer, total, placed) VALUES (7, 'a', 5, '2024-01-02T03:04:05');"
            + "INSERT INTO orders (customer, total) VALUES ('a', -4);"
            + "ASSERT VALUES orders (rowtime, placed, rowoffset) VALUES (7, '2024-01-02T03:04:05', 0);"
            + "ASSERT VALUES orders (customer, placed) VALUES (LCASE('A'), NULL);"
            + "ASSERT VALUES spend (customer, total) VALUES ('a', 2 + 3);"
            + "ASSERT NULL VALUES spend (customer) KEY ('a');"
        )
        is None
    )


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("ASSERT VALUES orders (total) VALUES (6);", "TOTAL = 5, not TOTAL = 6"),
        ("ASSERT VALUES orders (total) VALUES (5); ASSERT VALUES orders (total) VALUES (5);", "no further record"),
        ("ASSERT NULL VALUES orders (customer) KEY ('a');", "not a tombstone"),
        ("ASSERT VALUES orders (nope) VALUES (5);", "no column NOPE"),
        ("ASSERT NULL VALUES orders (total) KEY (5);", "no key column TOTAL"),
        ("ASSERT VALUES orders (total) VALUES (5, 6);", "1 columns and 2 values"),
        ("ASSERT VALUES nope (total) VALUES (5);", "NOPE"),
        ("ASSERT VALUES orders (windowstart) VALUES (5);", "no column WINDOWSTART"),
        ("ASSERT TABLE orders (customer STRING PRIMARY KEY) WITH (KAFKA_TOPIC='o');", "is a stream"),
        ("ASSERT STREAM orders (customer STRING KEY) WITH (KAFKA_TOPIC='o', VALUE_FORMAT='JSON');", "columns"),
    ],
)
def test_what_does_not_hold_fails_at_its_line(statement: str, says: str) -> None:
    """The failure says what there is instead, and where the assertion stands."""
    (test,) = read_tests(ORDERS + "INSERT INTO orders (customer, total) VALUES ('a', 5);\n" + statement)
    outcome = run_test(test)
    assert outcome.failure is not None and says in outcome.failure and outcome.line == 3


@pytest.mark.parametrize(
    ("columns", "properties", "says"),
    [
        ("customer STRING KEY, total INT, placed TIMESTAMP", "KAFKA_TOPIC='o', VALUE_FORMAT='JSON'", None),
        (
            "customer STRING KEY, total INT, placed TIMESTAMP",
            "KAFKA_TOPIC='p', VALUE_FORMAT='JSON'",
            "the topic o, not p",
        ),
        (
            "customer STRING KEY, total INT, placed TIMESTAMP",
            "KAFKA_TOPIC='o', VALUE_FORMAT='AVRO'",
            "the value format JSON",
        ),
        ("customer STRING KEY, total INT, placed TIMESTAMP", "KAFKA_TOPIC='o', FORMAT='JSON'", "the key format KAFKA"),
        ("customer STRING KEY, total INT", "KAFKA_TOPIC='o', VALUE_FORMAT='JSON'", "has the columns"),
        (
            "customer STRING KEY, total INT, placed TIMESTAMP",
            "KAFKA_TOPIC='o', VALUE_FORMAT='JSON', TIMESTAMP='placed'",
            "timestamp column the default, not PLACED",
        ),
        (
            "customer STRING KEY, total INT, placed TIMESTAMP",
            "KAFKA_TOPIC='o', VALUE_FORMAT='JSON', WINDOW_TYPE='Tumbling', WINDOW_SIZE='1 SECOND'",
            "window the default, not TUMBLING 1000 ms",
        ),
    ],
)
def test_sources_are_compared(columns: str, properties: str, says: str | None) -> None:
    """Every part of a definition counts."""
    found = failure(ORDERS + f"ASSERT STREAM orders ({columns}) WITH ({properties});")
    assert found is None if says is None else found is not None and says in found


@pytest.mark.parametrize(
    ("told", "statement", "options", "passes"),
    [
        ("expected.error: StatementError", "DROP STREAM nope;", {}, True),
        ("expected.error: AssertionFailedError", "DROP STREAM nope;", {}, False),
        ("expected.error: StatementError", "SHOW TYPES;", {}, False),
        ("expected.message: NO STREAM", "DROP STREAM nope;", {}, True),
        ("expected.message: another text", "DROP STREAM nope;", {}, False),
        ("expected.error: java.lang.AssertionError", "ASSERT TOPIC x TIMEOUT 0 SECONDS;", {}, True),
        ("expected.error: java.lang.AssertionError", "DROP STREAM nope;", {}, False),
        ("expected.error: org.other.SomeException", "DROP STREAM nope;", {}, True),
        ("expected.error: org.other.SomeException", "SHOW CONNECTORS;", {}, False),
        ("expected.error: org.other.SomeException\n--@expected.message: their words", "DROP STREAM nope;", {}, True),
        (
            "expected.error: org.other.SomeException\n--@expected.message: their words",
            "DROP STREAM nope;",
            {"foreign_messages": True},
            False,
        ),
    ],
)
def test_expected_errors(told: str, statement: str, options: dict[str, bool], passes: bool) -> None:
    """Classes are compared by family, messages where they are ours or where it is asked for."""
    assert (failure(f"--@test: t\n--@{told}\n{statement}", **options) is None) == passes


def test_each_test_has_its_own_engine() -> None:
    """What one creates, the next one does not see; a failed query is a failure."""
    first, second = read_tests("--@test: a\n" + ORDERS + "--@test: b\n" + ORDERS)
    assert run_test(first).passed and run_test(second).passed


def test_windowed_keys_are_compared() -> None:
    """The window's bounds are columns of a windowed table."""
    count = (
        "CREATE TABLE n AS SELECT customer, COUNT(*) AS n FROM orders WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY customer;"
    )
    insert = "INSERT INTO orders (rowtime, customer) VALUES (12345, 'a');"
    check = "ASSERT VALUES n (customer, windowstart, windowend, n) VALUES ('a', 10000, 20000, 1);"
    assert failure(ORDERS + count + insert + check) is None
