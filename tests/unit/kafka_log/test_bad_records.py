"""Records of others that cannot be decoded: counted and told, as they are on the log of a machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest

import penstock
from penstock.storage.schemas.registry import SchemaText
from penstock.testing.kafka import KafkaBroker

Connect = Callable[..., penstock.Database]

SCHEMA = SchemaText("AVRO", json.dumps({"type": "record", "name": "R", "fields": [{"name": "A", "type": "int"}]}))
GOOD = {"JSON": b'{"A": 21}', "AVRO": b"\x00\x00\x00\x00\x07\x2a"}
BAD = {
    "not JSON": ("JSON", b"\xff\xfe{", "not UTF-8"),
    "cut off": ("JSON", b'{"A": 1', "not JSON"),
    "unknown magic byte": ("AVRO", b"\x05\x00\x00\x00\x07\x2a", "begins with byte 5"),
    "unknown schema id": ("AVRO", b"\x00\x00\x00\x03\xe7\x2a", "schema id 999 is not in the registry"),
    "shorter than a schema id": ("AVRO", b"\x00\x00", "too few for a schema id"),
}


def _outcome(database: penstock.Database, format_: str, fill: Callable[[], None]) -> tuple[Any, ...]:
    database.schema_registry.register("t-value", SCHEMA, id=7)
    database.execute(
        f"""CREATE STREAM t (k STRING KEY, a INTEGER) WITH (KAFKA_TOPIC = 't', VALUE_FORMAT = '{format_}');
            CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies', VALUE_FORMAT = 'JSON') AS SELECT * FROM t;"""
    )
    fill()
    assert database.wait_idle(60)
    [query] = database.queries.values()
    progress = query.progress()
    log = database.sql("SELECT logger, level, message FROM KSQL_PROCESSING_LOG").fetchall()
    logged = [(logger, level, message["deserializationError"]) for logger, level, message in log]
    rows = database.sql("SELECT k, a FROM copies").fetchall()
    return progress, logged, rows


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_left_out_and_told(connect: Connect, kafka_broker: KafkaBroker, case: str) -> None:
    """Between two good ones."""
    format_, bad, said = BAD[case]
    values = [GOOD[format_], bad, GOOD[format_]]
    kafka_broker.database.create_topic("t", partitions=1)
    sender = confluent_kafka.Producer({"bootstrap.servers": kafka_broker.address, "log_level": 0})

    def send() -> None:
        for number, value in enumerate(values):
            sender.produce("t", value, f"k{number}")
        assert sender.flush(30) == 0

    with penstock.connect(auto_offset_reset="earliest") as other:
        other.create_topic("t", partitions=1)

        def produce() -> None:
            for number, value in enumerate(values):
                other.produce("t", key=f"k{number}".encode(), value=value)

        expected = _outcome(other, format_, produce)
    progress, logged, rows = _outcome(connect(), format_, send)
    assert (progress.account, logged, rows) == (expected[0].account, *expected[1:])
    assert progress.state == "RUNNING" and progress.error is None
    assert (progress.account.read, progress.account.bad, progress.account.written) == (3, 1, 2)
    assert rows == [("k0", 21), ("k2", 21)]
    [(_, level, told)] = logged
    assert level == "ERROR" and (told["topic"], told["partition"], told["offset"]) == ("t", 0, 1)
    assert said in told["errorMessage"]
