"""Completion, as plain calls: no terminal is needed."""

from __future__ import annotations

import pytest

from penstock.grammar.complete import Names, suggest

NAMES = Names(
    sources={"ORDERS": ["ID", "AMOUNT", "mixed"], "USERS": ["ID", "NAME"], "lower": ["X"]},
    functions=["ABS", "ARRAY_SORT"],
    queries=["CTAS_SPEND_1"],
    topics=["orders"],
    types=["ADDRESS"],
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


def test_a_statement_begins_with_a_statement_word() -> None:
    """At the start of a statement, also behind another one, only words that can begin one are offered."""
    assert "CREATE" in texts("SHOW STREAMS; CR|")
    assert texts("SHOW STREAMS; WHE|") == []


def test_types_are_offered_in_column_lists() -> None:
    """CREATE .. (column TYPE) completes built-in and custom types."""
    assert texts("CREATE STREAM s (a ADD|", "type") == ["ADDRESS"]
