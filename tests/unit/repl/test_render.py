"""Results as text for a terminal."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock.errors import DataError, InternalError, StatementError, StorageError
from penstock.repl.render import cell, error, push_line, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "true"),
        (1.0, "1.0"),
        (b"\x00\xff", "0x00ff"),
        (Decimal("1E+2"), "100"),
        (datetime.datetime(2024, 1, 1, 10), "2024-01-01 10:00:00.000"),
        ([1, None], "[1, NULL]"),
        ({"A": 1}, "{A=1}"),
        ([("k", 1)], "{k=1}"),
    ],
)
def test_a_cell(value: Any, text: str) -> None:
    """Every type has one way to be written; a map comes as pairs."""
    assert cell(value) == text


def test_a_narrow_table() -> None:
    """Numbers flush right, texts flush left, line ends shown as such."""
    assert table(("N", "TEXT"), [(1, "a"), (20, "b\nc")]) == " N | TEXT\n---+-----\n 1 | a\n20 | b\\nc"


def test_a_long_text_is_folded() -> None:
    """The widest column of texts gives way, and no line is wider than the terminal."""
    text = table(("N", "NAME", "TEXT"), [(1, "a", "word " * 20), (2, "b", "short")], 60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.splitlines()[3].startswith("  |      | word")
    assert text.splitlines()[-1] == "2 | b    | short"


def test_what_cannot_be_folded_stands_on_lines_of_its_own() -> None:
    """Many wide columns: one block per row."""
    text = table(tuple(f"COLUMN_{i}" for i in range(9)), [tuple(range(9))], 60)
    assert text.splitlines()[0].startswith("-[ row 1 ]-")
    assert "COLUMN_8: 8" in text


def test_a_table_without_rows_or_columns() -> None:
    """Headings stay; nothing fails."""
    assert table(("A", "B"), []) == "A | B\n--+--"
    assert table((), []).strip() == ""


def test_an_error_says_who_should_act() -> None:
    """By its first word."""
    words = [error(kind("x")).split(":")[0] for kind in (StatementError, DataError, StorageError, InternalError)]
    assert words == ["error", "data error", "storage error", "internal error (please report it)"]


def test_a_row_of_a_push_query() -> None:
    """A tombstone is marked, and dropped rows are told."""
    assert push_line(("A",), (1,), False, 0) == "+ A=1"
    assert push_line(("A",), (None,), True, 3) == "(3 rows were dropped: the reader was slow)\n- A=NULL"
