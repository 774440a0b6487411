"""Small rules of the dialect: names of fields, STRUCTs in INSERT VALUES, hexadecimal digits, what is behind a JSON value."""

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
    database.execute(
        "CREATE STREAM s (k INT KEY, x INT, s STRUCT<X INT, Y STRING, Z STRUCT<X INT>>) "
        "WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
    )
    yield database
    database.close()


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ("k, x, s->x", ["K", "X", "X_1"]),
        ("k, s->x, x", ["K", "X_1", "X"]),
        ("k, s->x, s->z->x, x", ["K", "X_1", "X_2", "X"]),
        ("k, s->x, s->z->x", ["K", "X", "X_1"]),
        ("k, s->x", ["K", "X"]),
        ("k, s->x, s->y AS x", ["K", "X_1", "X"]),
        ("k, s->x, x AS x_1, x", ["K", "X_2", "X_1", "X"]),
    ],
)
def test_names_of_fields(db: Database, items: str, names: list[str]) -> None:
    """A field beside a column of its name gets a number; aliases and columns keep theirs."""
    db.execute(f"CREATE STREAM o AS SELECT {items} FROM s;")
    assert sorted(c.name for c in db.catalog.sources["O"].schema) == sorted(names)


def test_insert_values_fits_structs_by_name(db: Database) -> None:
    """Any order, at every depth; fields that are missing are NULL, and unknown ones are dropped."""
    db.execute("INSERT INTO s VALUES (1, 2, STRUCT(Y := 'a', Q := 5, X := 3));")
    db.execute("INSERT INTO s VALUES (1, 2, STRUCT(Z := STRUCT(V := 1, X := 4)));")
    assert [json.loads(r.value)["S"] for r in db.consume("s")] == [
        {"X": 3, "Y": "a", "Z": None},
        {"X": None, "Y": None, "Z": {"X": 4}},
    ]
    with pytest.raises(StatementError):
        db.execute("INSERT INTO s VALUES (1, 2, STRUCT(X := 'no number'));")


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("ENCODE(t, 'hex', 'utf8')", "94a", "\tJ"),
        ("ENCODE(t, 'hex', 'utf8')", "0x94a", "\tJ"),
        ("ENCODE(t, 'hex', 'utf8')", "X'94A'", "\tJ"),
        ("ENCODE(t, 'hex', 'utf8')", "4a", "J"),
        ("EXTRACTJSONFIELD(t, '$.a')", '{"a":1} trailing', "1"),
        ("EXTRACTJSONFIELD(t, '$.a')", '{"a":1}{"a":2}', "1"),
        ("EXTRACTJSONFIELD(t, '$.a')", ' {"a": 5}]', "5"),
        ("EXTRACTJSONFIELD(t, '$.a')", '{"a":1', None),
        ("EXTRACTJSONFIELD(t, '$.a')", 'x {"a":1}', None),
        ("JSON_ARRAY_LENGTH(t)", "[1,2] x", 2),
        ("JSON_ARRAY_CONTAINS(t, 1)", "[1] [2]", True),
        ("JSON_KEYS(t)", '{"a":1},', ["a"]),
        ("JSON_ITEMS(t)", "[1,2];", ["1", "2"]),
        ("JSON_RECORDS(t)", '{"a":1} {}', {"a": "1"}),
        ("JSON_CONCAT(t, '[2]')", "[1] [9]", "[1,2]"),
        ("IS_JSON_STRING(t)", "1 2", True),
        ("IS_JSON_STRING(t)", "0x616", False),
        ("IS_JSON_STRING(t)", "nullx", False),
        ("IS_JSON_STRING(t)", "", False),
    ],
)
def test_functions_of_texts(db: Database, expression: str, text: str, expected: Any) -> None:
    """The first JSON value counts; an odd number of hexadecimal digits has a first one of its own."""
    db.execute("CREATE STREAM e (k INT KEY, t STRING) WITH (KAFKA_TOPIC='e', PARTITIONS=1, VALUE_FORMAT='JSON');")
    db.execute(f"CREATE STREAM o AS SELECT k, {expression} AS v FROM e;")
    for rows in (1, 40):
        db.insert("e", [{"k": rows, "t": text}] * rows)
    db.drain()
    found = [tuple(row)[1] for row in db.execute("SELECT * FROM o;")[0].fetchall()]
    assert found == [expected] * 41
