"""Completion, as plain calls: no terminal is needed."""

from __future__ import annotations

from collections import Counter

import pytest

from penstock.grammar.complete import WITH_PROPERTIES, CompletionNames, suggest

NAMES = CompletionNames(
    sources={"ORDERS": ["ID", "AMOUNT", "mixed"], "USERS": ["ID", "NAME"], "lower": ["X"]},
    functions=["ABS", "ARRAY_SORT"],
    queries=["CTAS_SPEND_1"],
    topics=["orders"],
    types=["ADDRESS"],
    properties={"auto.offset.reset": ("earliest", "latest"), "commit.interval.ms": ()},
)


def texts(text: str, kind: str | None = None) -> list[str]:
    """Suggestions at the ``|`` of the text."""
    cursor = text.index("|")
    found = suggest(text.replace("|", ""), cursor, NAMES, ["\\help", "\\quit"])
    return [s.text for s in found if kind is None or s.kind == kind]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM OR|", ["ORDERS"]),
        ("select * from or|", ["orders"]),
        ("SELECT * FROM l|", ["`lower`"]),
        ("SELECT * FROM ORDERS o JOIN U|", ["USERS"]),
        ("SELECT o.A| FROM ORDERS o", ["AMOUNT"]),
        ("SELECT ORDERS.`m| FROM ORDERS", ["`mixed`"]),
        ("TERMINATE C|", ["CTAS_SPEND_1"]),
        ("PRINT o|", ["orders"]),
        ("SHOW Q|", ["QUERIES"]),
        ("\\h|", ["\\help"]),
        ("SELECT 'FROM O|", []),
        ("-- FROM O|", []),
    ],
)
def test_suggestions_fit_the_place(text: str, expected: list[str]) -> None:
    """Sources after FROM, columns of the right source after a dot, ids after TERMINATE, nothing inside a text."""
    assert texts(text) == expected


def test_columns_of_the_named_source_come_first() -> None:
    """In a SELECT list, the columns of the source that FROM names (further on) are offered before keywords."""
    found = texts("SELECT A| FROM ORDERS")
    assert found[:3] == ["AMOUNT", "ABS", "ARRAY_SORT"]
    assert "AS" in found


def test_a_large_catalog_does_not_fill_the_menu() -> None:
    """Before FROM says whose columns are meant, some are offered, and all functions and words behind them."""
    sources = {f"SOURCE_{n}": [f"COLUMN_{n}_{c}" for c in range(50)] for n in range(100)}
    names = CompletionNames(sources, ["CONCAT"], [], [], [])
    kinds = Counter(s.kind for s in suggest("SELECT CO", 9, names))
    assert kinds["column"] == 500 and kinds["function"] == 1 and kinds["keyword"] > 0
    assert [s.text for s in suggest("SELECT COLUMN_99_49", 19, names)] == ["COLUMN_99_49"]
    assert len(suggest("SELECT s. FROM source_99 s", 9, names)) == 50


def test_a_statement_begins_with_a_statement_word() -> None:
    """At the start of a statement, also behind another one, only words that can begin one are offered."""
    assert "CREATE" in texts("SHOW STREAMS; CR|")
    assert texts("SHOW STREAMS; WHE|") == []


def test_types_are_offered_in_column_lists() -> None:
    """CREATE .. (column TYPE) completes built-in and custom types."""
    assert texts("CREATE STREAM s (a ADD|", "type") == ["ADDRESS"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET 'auto|", ["auto.offset.reset'"]),
        ("SET 'auto|' = 'latest'", ["auto.offset.reset"]),
        ("SET |", ["'auto.offset.reset'", "'commit.interval.ms'"]),
        ("UNSET 'com|", ["commit.interval.ms'"]),
        ("SHOW TABLES; SET 'auto.offset.reset' = 'e|", ["earliest'"]),
        ("SET 'auto.offset.reset' = |;", ["'earliest'", "'latest'"]),
        ("CREATE STREAM s (a INT) WITH (KAFKA|", ["KAFKA_TOPIC"]),
        ("CREATE STREAM s (a INT) WITH (kafka_topic = 'a,(b', va|", ["value_format", "value_delimiter"]),
        ("CREATE STREAM s (a INT) WITH (FORMAT = 'JS|", ["JSON'", "JSON_SR'"]),
        ("CREATE STREAM s WITH (FORMAT = J|", ["'JSON'", "'JSON_SR'"]),
        ("CREATE STREAM s (a INT) WITH (WRAP_SINGLE_VALUE=f|", ["false"]),
        ("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC = '|", ["orders'"]),
        ("CREATE STREAM s (a INT) WITH (PARTITIONS = |", []),
        ("SELECT 'WITH (FORMAT = J|", []),
        ("SELECT * FROM ORDERS ORDER |", ["BY"]),
        ("SELECT * FROM ORDERS EMIT |", ["CHANGES", "FINAL"]),
        ("SELECT COUNT(*) FROM ORDERS WINDOW T|", ["TUMBLING"]),
        ("insert i|", ["into"]),
    ],
)
def test_properties_their_values_and_words_that_follow(text: str, expected: list[str]) -> None:
    """With the quotes that are missing, and only what can stand there."""
    assert texts(text)[:2] == expected[:2] and len(texts(text)) >= len(expected)
    if not expected:
        assert texts(text) == []


def test_the_properties_are_those_that_statements_take() -> None:
    """No more and no fewer (one has no effect here and is not offered)."""
    from penstock.engine.analysis.with_clause import CREATE_SOURCE

    assert set(WITH_PROPERTIES) == CREATE_SOURCE - {"SOURCED_BY_CONNECTOR"}


def test_the_formats_are_those_that_there_are() -> None:
    """A format that is added is offered."""
    from penstock.storage.formats import FORMATS

    for name in ("FORMAT", "KEY_FORMAT", "VALUE_FORMAT"):
        assert set(WITH_PROPERTIES[name]) == set(FORMATS)
