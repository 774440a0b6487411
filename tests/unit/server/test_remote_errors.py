"""Errors of `connect("http://..")` are those of the database itself: class, text, place and suggestion."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import penstock
from penstock.errors import OffsetOutOfRangeError, PenstockError
from penstock.server.wire import _ERRORS, error_of, error_parts

from .conftest import Api

TEXTS = [
    "SELECT * FROM ordres;",
    "SHOW STREAMS;\n\n  DESCRIBE nothing;",
    "CREATE STREAM x AS SELECT * FORM orders;",
    "DROP STREAM ordres;",
    "DROP STREAM orders;",
    "DROP TABLE orders;",
    "CREATE STREAM orders (a INT) WITH (kafka_topic='q', partitions=1, value_format='json');",
    "SET 'auto.offset.rest' = 'earliest';",
    "SHOW STREAMS; SET 'auto.offset.reset' = 'never';",
    "SHOW CONNECTORS;",
    "ASSERT TOPIC nothing TIMEOUT 0 SECONDS;",
    "ASSERT NOT EXISTS TOPIC orders TIMEOUT 0 SECONDS;",
    "INSERT INTO orders (id, nn) VALUES ('1', 2);",
    "INSERT INTO orders (id, euros) VALUES ('1', 'x');",
    "TERMINATE nothing;",
    "EXPLAIN nothing;",
    "PRINT nothing;",
    "RUN SCRIPT '/nowhere/x.sql';",
    "DEFINE v = 'nothing'; DESCRIBE ${v};",
    "CREATE STREAM z (a INT) WITH (kafka_topic='_schemas', partitions=1, value_format='json');",
    "DROP TYPE nothing;",
]
QUERIES = [
    "SELECT * FROM ordres",
    "SELECT custmer FROM orders",
    "SELECT FOO(customer) FROM orders",
    "SELECT customer + 1 FROM orders",
    "SELEC * FROM orders",
    "SELECT * FROM orders EMIT CHANGES",
    "DROP STREAM orders",
    "SELECT ROWOFFSET FROM spend",
    "SELECT '\ud800' FROM spend",
    "",
    5,
]
CALLS: list[Callable[[Any], Any]] = [
    lambda d: d.subscribe("SELECT * FROM ordres EMIT CHANGES;"),
    lambda d: d.subscribe("SELECT * FROM spend"),
    lambda d: d.sql("SELECT * FROM spend WHERE customer = ?"),
    lambda d: d.sql("SELECT * FROM spend WHERE customer = ?", parameters=[1, 2]),
    lambda d: d.sql("SELECT nothing FROM spend WHERE customer = ?", parameters=["a"]),
    lambda d: d.execute("SHOW STREAMS; SELECT nothing FROM spend WHERE customer = ?;", parameters=["a"]),
    lambda d: d.insert("ordres", [{"id": "1"}]),
    lambda d: d.insert("orders", [{"nothing": 1}]),
    lambda d: d.insert("orders", [{"id": "2"}, {"euros": Decimal("1.005")}]),
    lambda d: d.insert("spend", [{"n": 1}]),
    lambda d: d.create_topic("orders"),
    lambda d: d.delete_topic("nothing"),
    lambda d: d.describe_topic("nothing"),
    lambda d: d.delete_topic("_penstock-statements"),
    lambda d: d.wait(penstock.Token(), ["nothing"]),
]


def look(call: Callable[[Any], Any], database: Any) -> Any:
    with pytest.raises(PenstockError) as raised:
        call(database)
    error = raised.value
    return type(error), error.code, str(error), error.hint, error.span


def test_every_error_is_the_same_over_a_server(shop: Api) -> None:
    """Also its place in a script of several statements; a push query given to sql() is refused, not waited for."""
    calls = [
        *(lambda d, text=text: d.execute(text) for text in TEXTS),
        *(lambda d, text=text: d.sql(text) for text in QUERIES),
        *CALLS,
    ]
    with penstock.connect(shop.url) as far:
        for call in calls:
            assert look(call, far) == look(call, shop.database)


@pytest.mark.parametrize("kind", _ERRORS.values())
def test_every_class_of_errors_survives_the_wire(kind: Any) -> None:
    """With its text and hint."""
    error = kind("t", 0, 5, 7, 9) if issubclass(kind, OffsetOutOfRangeError) else kind("a sentence")
    made = error_of({"parts": error_parts(error)})
    assert (type(made), str(made), made.hint) == (kind, str(error), error.hint)


def test_all_errors_of_the_door_are_known_by_name() -> None:
    """None becomes one of its families on the way."""
    named = {name for name in penstock.errors.__all__ if name not in ("PenstockError", "Span")}
    assert named <= set(_ERRORS)


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize(
    ("query", "statement", "name"),
    [
        ("SELECT * FROM alone EMIT CHANGES;", "DROP STREAM alone DELETE TOPIC;", "ALONE was dropped: its topic"),
        ("SELECT n, COUNT(*) FROM alone GROUP BY n EMIT CHANGES;", "DROP STREAM alone DELETE TOPIC;", "ALONE was dropped"),
        ("SELECT * FROM spend EMIT CHANGES;", "DROP TABLE spend DELETE TOPIC;", "SPEND was dropped: its topic"),
        (
            "SELECT o.id FROM orders o JOIN alone a WITHIN 1 HOUR ON o.id = a.id EMIT CHANGES;",
            "DROP STREAM alone DELETE TOPIC;",
            "ALONE was dropped: its topic",
        ),
        ("SELECT * FROM alone EMIT CHANGES;", "delete", "the topic alone"),
    ],
)
def test_a_push_query_whose_stream_is_dropped_says_so(
    shop: Api, query: str, statement: str, name: str, over_http: bool
) -> None:
    """After the rows that it has: it was "there is no topic", over HTTP of the server's storage."""
    database = shop.database
    database.execute("CREATE STREAM alone (id STRING KEY, n INT) WITH (VALUE_FORMAT = 'JSON', PARTITIONS = 1);")
    if statement == "delete":
        database.execute(
            "DROP STREAM alone;"
            "CREATE STREAM alone (id STRING KEY, n INT) WITH (KAFKA_TOPIC = 'ALONE', VALUE_FORMAT = 'JSON');"
        )
    with penstock.connect(shop.url) as far:
        rows = (far if over_http else database).subscribe(query)
        if statement == "delete":
            database._engine.host.delete_topic("ALONE")
            name = name.replace("alone", "ALONE")
        else:
            database.execute(statement)
        with pytest.raises(penstock.DataError, match=name) as raised:
            while rows.poll(20) is not None:
                pass
        assert "was deleted while this query was reading it" in str(raised.value)
        rows.close()
