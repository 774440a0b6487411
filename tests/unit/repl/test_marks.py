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


CASES = [
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
]


@pytest.mark.parametrize(("typed", "marked"), CASES)
def test_marks(database: penstock.Database, typed: str, marked: list[str]) -> None:
    """The place of the cursor is ``|``; without it, the end."""
    cursor = typed.find("|")
    text = typed.replace("|", "")
    found = marks_of(text, len(text) if cursor < 0 else cursor, database.examiner().faults)
    assert [text[mark.start : mark.end] for mark in found] == marked
    assert all("\n" not in mark.message and mark.message.startswith("line ") for mark in found)


def test_marks_over_a_server(database: penstock.Database) -> None:
    """They are the same as in the process; what is set here counts there."""
    pytest.importorskip("httpx")
    with penstock.serve(database, port=0) as server, penstock.connect(server.url) as remote:
        for typed, marked in CASES:
            cursor = typed.find("|")
            text = typed.replace("|", "")
            found = marks_of(text, len(text) if cursor < 0 else cursor, remote.examiner().faults)
            assert [text[mark.start : mark.end] for mark in found] == marked
        assert not remote.examiner().faults(["INSERT INTO orders VALUES (1, 'tea');"])
        remote.execute("SET 'ksql.insert.into.values.enabled' = 'false';")
        (fault,) = remote.examiner().faults(["INSERT INTO orders VALUES (1, 'tea');"])
        assert fault.span is not None


def test_syntax_where_no_server_answers(database: penstock.Database) -> None:
    """The prompt goes on with what it can say by itself."""
    pytest.importorskip("httpx")
    with penstock.serve(database, port=0) as server:
        remote = penstock.connect(server.url)
    (fault,) = remote.examiner().faults(["DROP STREAM nothing;", "\nSELCT 1;"])
    assert fault.span is not None and fault.span.line == 2
    remote.close()
