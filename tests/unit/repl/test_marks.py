"""Which faults are marked while a text is typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import penstock
from penstock.repl.marks import marks_of


@pytest.fixture
def database() -> Iterator[penstock.Database]:
    with penstock.connect(threads=0) as db:
        db.execute("CREATE STREAM orders (id INT KEY, item STRING) WITH (KAFKA_TOPIC = 'o', PARTITIONS = 1);")
        yield db


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        ("SELECT itm FROM orders EMIT CHANGES;", ["itm"]),
        ("SELECT itm| FROM orders EMIT CHANGES;", []),  # still being typed
        ("SELECT itm |FROM orders EMIT CHANGES;", ["itm"]),
        ("SELECT item FROM orders\nWHERE ix = 1 EMIT CHANGES;", ["ix"]),
        ("SELECT item FROM", []),
        ("SELECT item FROM ord", []),
        ("SELECT item FROM ord ", ["ord"]),
        ("SELECT 'it", []),
        ("SELECT item /* and", []),
        ("SELCT item FROM orders", ["SELCT"]),
        ("\\d nothing", []),
        ("exit", []),
        ("SHOW STREAMS; \\q", []),
        ("", []),
        ("DROP STREAM nothing;\nDROP STREAM nought;", ["nothing", "nought"]),
        ("\\timing\nDROP STREAM nothing;", []),
    ],
)
def test_marks(database: penstock.Database, typed: str, marked: list[str]) -> None:
    """The place of the cursor is ``|``; without it, the end."""
    cursor = typed.find("|")
    text = typed.replace("|", "")
    found = marks_of(text, len(text) if cursor < 0 else cursor, database.examiner().faults)
    assert [text[mark.start : mark.end] for mark in found] == marked
    assert all("\n" not in mark.message and mark.message.startswith("line ") for mark in found)
