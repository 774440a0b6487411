"""What texts mean where sources had to be asked: ksqlDB's LIKE of NULL, its JSON null, its hexadecimal digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.engine.database import Database, connect


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    """A stream with one row, whose S is NULL."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("CREATE STREAM one (k INT KEY, s STRING, p STRING);")
        opened.insert("one", [{"k": 1, "s": None, "p": "%"}])
        yield opened


VALUES: dict[str, Any] = {
    "s LIKE '%'": None,
    "s NOT LIKE '%'": None,
    "s LIKE p": None,
    "p LIKE s": None,
    "NOT (s LIKE '%')": None,
    "s LIKE '%' OR k = 1": True,
    "CASE WHEN s LIKE '%' THEN 'yes' ELSE 'no' END": "no",
    "COALESCE(s LIKE '%', FALSE)": False,
    "'ab' LIKE 'ab!' ESCAPE '!'": None,
    "'a%' LIKE 'a%%' ESCAPE '%'": True,
    "EXTRACTJSONFIELD('{\"a\": null}', '$.a')": "null",
    "EXTRACTJSONFIELD('[null]', '$[0]')": "null",
    "EXTRACTJSONFIELD('{\"a\": null}', '$.b')": None,
    "EXTRACTJSONFIELD('{\"a\": null}', '$.a.b')": None,
    "EXTRACTJSONFIELD('null', '$')": "null",
    "TO_BYTES('ABC', 'hex')": None,
    "TO_BYTES('', 'hex')": b"",
    "TO_BYTES('ab', 'hex')": b"\xab",
    "ENCODE('414', 'hex', 'ascii')": "\x04\x14",
    "CAST(NULL AS STRING) || 'a'": "a",
}


@pytest.mark.parametrize("expression", VALUES)
def test_values(db: Database, expression: str) -> None:
    """A LIKE of NULL fails and so is NULL, also under NOT; JSON null is a value, whose text is null."""
    assert db.sql(f"SELECT {expression} AS x FROM one").fetchall() == [(VALUES[expression],)]
    assert db.sql(f"SELECT {expression} AS x FROM one ORDER BY k").fetchall() == [(VALUES[expression],)]


@pytest.mark.parametrize("condition", ["s LIKE '%'", "s NOT LIKE '%'", "NOT (s LIKE '%')"])
def test_no_row_is_like_null(db: Database, condition: str) -> None:
    """Neither a pattern nor its opposite keeps a row without a text."""
    assert db.sql(f"SELECT k FROM one WHERE {condition}").fetchall() == []
    assert db.sql(f"SELECT k FROM one WHERE {condition} OR k = 1").fetchall() == [(1,)]
