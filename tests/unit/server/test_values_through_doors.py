"""The same values through every door: one row per type says what each of them gives."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

import penstock
from penstock import dbapi

sa = pytest.importorskip("sqlalchemy")
pytest.importorskip("kio")
kafka = pytest.importorskip("confluent_kafka")

NEST = {"A": [1, None], "M": {"x": None, "y": Decimal("0.50")}, "S": {"B": b"\0\xff", "D": datetime.date(1969, 12, 31)}}
AT = datetime.datetime(1969, 12, 31, 23, 59, 59, 999000)

TYPES: dict[str, tuple[str, Any, Any, str]] = {
    "boolean": ("BOOLEAN", True, True, "true"),
    "int": ("INT", -(2**31), -(2**31), "-2147483648"),
    "bigint": ("BIGINT", 2**63 - 1, 2**63 - 1, "9223372036854775807"),
    "double": ("DOUBLE", 0.1, 0.1, "0.1"),
    "large double": ("DOUBLE", 1e300, 1e300, "1.0E300"),
    "nan": ("DOUBLE", math.nan, "NaN", '"NaN"'),
    "minus zero": ("DOUBLE", -0.0, -0.0, "-0.0"),
    "infinity": ("DOUBLE", math.inf, "Infinity", '"Infinity"'),
    "minus infinity": ("DOUBLE", -math.inf, "-Infinity", '"-Infinity"'),
    "decimal": (
        "DECIMAL(20, 4)",
        Decimal("1234567890123456.7800"),
        Decimal("1234567890123456.7800"),
        "1234567890123456.7800",
    ),
    "string": ("STRING", 'é"\n\u2028😀', 'é"\n\u2028😀', '"é\\"\\n\u2028😀"'),
    "empty string": ("STRING", "", "", '""'),
    "bytes": ("BYTES", b"\0\xff", "AP8=", '"AP8="'),
    "date": ("DATE", datetime.date(1969, 12, 31), "1969-12-31", "-1"),
    "time": ("TIME", datetime.time(23, 59, 59, 999000), "23:59:59.999", "86399999"),
    "timestamp": ("TIMESTAMP", AT, "1969-12-31T23:59:59.999", "-1"),
    "array": ("ARRAY<INT>", [1, None, 3], [1, None, 3], "[1,null,3]"),
    "empty array": ("ARRAY<STRING>", [], [], "[]"),
    "map": ("MAP<STRING, DOUBLE>", {"a": 1.5, "b": None}, {"a": 1.5, "b": None}, '{"a":1.5,"b":null}'),
    "struct": ("STRUCT<X INT, Y STRING>", {"X": 1, "Y": None}, {"X": 1, "Y": None}, '{"X":1,"Y":null}'),
    "nested": (
        "STRUCT<A ARRAY<INT>, M MAP<STRING, DECIMAL(4, 2)>, S STRUCT<B BYTES, D DATE>>",
        NEST,
        {"A": [1, None], "M": {"x": None, "y": Decimal("0.50")}, "S": {"B": "AP8=", "D": "1969-12-31"}},
        '{"A":[1,null],"M":{"x":null,"y":0.50},"S":{"B":"AP8=","D":-1}}',
    ),
}
"""Per case: the type, the value in Python, the value in HTTP's JSON, and its text in a topic of JSON."""


@dataclass(frozen=True)
class Doors:
    """The doors of one database, each as a function from a case to what it gives: a value, then the same for NULL."""

    database: penstock.Database
    far: penstock.Database
    cursor: Any
    engine: Any
    http: httpx.Client
    values_in_topic: dict[str, list[str]]

    def python(self, stream: str) -> dict[str, list[Any]]:
        """The values that programs get."""
        query = f"SELECT c FROM {stream}"
        self.cursor.execute(query)
        with self.engine.connect() as connection:
            by_alchemy = [tuple(row) for row in connection.execute(sa.text(query)).all()]
        given = {
            "sql": self.database.sql(query).fetchall(),
            "sql with clauses": self.database.sql(query + " ORDER BY id").fetchall(),
            "dbapi": self.cursor.fetchall(),
            "sqlalchemy": by_alchemy,
            "remote": self.far.sql(query).fetchall(),
            "remote with clauses": self.far.sql(query + " ORDER BY id").fetchall(),
        }
        return {door: [value for (value,) in rows] for door, rows in given.items()}

    def json(self, stream: str) -> list[Any]:
        """The values in the lines of /query-stream; numbers with a fraction as texts."""
        lines = self.http.post("/query-stream", json={"sql": f"SELECT c FROM {stream};"}).text.split("\n")
        rows = [json.loads(line, parse_float=number_text) for line in lines if line]
        return [row[0] for row in rows if isinstance(row, list)]


def number_text(number: str) -> str:
    """A number in JSON with its digits as they are, and exponents as Python writes them."""
    return repr(float(number)) if "e" in number.lower() else number


def stream_of(case: str) -> str:
    return "of_" + case.replace(" ", "_")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    path: Path = tmp_path_factory.mktemp("doors") / "db"
    with penstock.connect(path) as database:
        for case, (type_, value, _, _) in TYPES.items():
            name = stream_of(case)
            database.execute(
                f"CREATE STREAM {name} (id INT KEY, c {type_}, d INT)"
                f" WITH (KAFKA_TOPIC='{name}', PARTITIONS=1, VALUE_FORMAT='JSON');"
            )
            database.insert(name, [{"id": 1, "c": value}, {"id": 2, "c": None}])
        with (
            penstock.serve(database, port=0) as server,
            penstock.broker(database) as listener,
            penstock.connect(server.url) as far,
            httpx.Client(base_url=server.url, timeout=60) as http,
        ):
            connection = dbapi.connect(path)
            engine = sa.create_engine(server.url.replace("http://", "penstock://"))
            yield Doors(database, far, connection.cursor(), engine, http, values_in_topics(listener.address))
            engine.dispose()
            connection.close()


def values_in_topics(address: str) -> dict[str, list[str]]:
    """What a Kafka client gets of each case's topic, as text, without the column that is always NULL."""
    source = kafka.Consumer({"bootstrap.servers": address, "group.id": "doors", "enable.auto.commit": False})
    source.assign([kafka.TopicPartition(stream_of(case), 0, 0) for case in TYPES])
    found: dict[str, list[str]] = {stream_of(case): [] for case in TYPES}
    while any(len(values) < 2 for values in found.values()):
        messages = source.consume(2 * len(TYPES), 60)
        assert messages, "no records came"
        for message in messages:
            assert message.error() is None, message.error()
            found[message.topic()].append(message.value().decode())
    source.close()
    return found


@pytest.mark.parametrize("case", TYPES)
def test_programs_get_the_same_value(doors: Doors, case: str) -> None:
    """Of the same Python type, to the bit, and NULL as None."""
    _, value, _, _ = TYPES[case]
    for door, found in doors.python(stream_of(case)).items():
        assert list(map(repr, found)) == [repr(value), "None"], door


@pytest.mark.parametrize("case", TYPES)
def test_http_gives_json(doors: Doors, case: str) -> None:
    """Numbers are exact; what JSON has no number for is a text."""
    _, _, value, _ = TYPES[case]
    assert doors.json(stream_of(case)) == [as_json(value), None]


def as_json(value: Any) -> Any:
    """The value with the texts of its fractions."""
    match value:
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case list():
            return [as_json(item) for item in value]
        case float() | Decimal():
            return number_text(str(value))
        case _:
            return value


@pytest.mark.parametrize("case", TYPES)
def test_a_kafka_client_gets_the_record(doors: Doors, case: str) -> None:
    """As ksqlDB writes JSON: numbers in full, bytes in base64, times as numbers."""
    _, _, _, text = TYPES[case]
    assert doors.values_in_topic[stream_of(case)] == [f'{{"C":{text},"D":null}}', '{"C":null,"D":null}']
