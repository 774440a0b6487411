"""Topics that others fill and read with Confluent's serialisers, their schemas in a registry server.

The registry is Penstock's own over HTTP, of another database; serialisers and deserialisers are those of confluent-kafka.
"""

from __future__ import annotations

import csv
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import penstock

schema_registry = pytest.importorskip("confluent_kafka.schema_registry")
avro = pytest.importorskip("confluent_kafka.schema_registry.avro")
json_schema = pytest.importorskip("confluent_kafka.schema_registry.json_schema")
protobuf = pytest.importorskip("confluent_kafka.schema_registry.protobuf")

Connect = Callable[..., penstock.Database]
Coder = Callable[[Any, Any], Any]

ROWS = [{"A": 7, "B": "über", "C": [0.5, -1.0]}, {"A": -2, "B": "", "C": []}, {"A": 2_000_000_000, "B": "x,y", "C": [1e300]}]
KEYS = ["ada", "bob", "ada"]
T0 = int(time.time() * 1000) - 1_000_000
AVRO = {
    "type": "record",
    "name": "Made",
    "fields": [
        {"name": "A", "type": "int"},
        {"name": "B", "type": "string"},
        {"name": "C", "type": {"type": "array", "items": "double"}},
    ],
}
JSON_SR = {
    "title": "Made",
    "type": "object",
    "properties": {
        "A": {"type": "integer", "connect.type": "int32"},
        "B": {"type": "string"},
        "C": {"type": "array", "items": {"type": "number"}},
    },
}


def _message(name: str, *columns: tuple[str, int, bool]) -> Any:
    """A class of messages, as protoc would make it."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="shop", syntax="proto3")
    made = file.message_type.add(name=name)
    for number, (column, type_, repeated) in enumerate(columns, 1):
        made.field.add(name=column, number=number, type=type_, label=3 if repeated else 1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop.{name}"))


_INT, _TEXT, _DOUBLE = 5, 9, 1
MADE = _message("Made", ("A", _INT, False), ("B", _TEXT, False), ("C", _DOUBLE, True), ("H", _TEXT, False))
KEY = _message("MadeKey", ("K", _TEXT, False))


@dataclass(frozen=True)
class Foreign:
    """How another program writes and reads a format: values and keys."""

    value: tuple[Coder, Coder]
    key: tuple[Coder, Coder]


def _plain(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> tuple[Coder, Coder]:
    return lambda item, _: encode(item), lambda data, _: decode(data)


def _of_messages(kind: Any, client: Any, to: Callable[[Any], Any], back: Callable[[Any], Any]) -> tuple[Coder, Coder]:
    settings = {"use.deprecated.format": False}
    serialise = protobuf.ProtobufSerializer(kind, client, settings)
    read = protobuf.ProtobufDeserializer(kind, settings, client)
    return lambda item, context: serialise(to(item), context), lambda data, context: back(read(data, context))


def foreign(format_: str, client: Any) -> Foreign:
    if format_ == "AVRO":
        read = avro.AvroDeserializer(client)
        return Foreign(
            (avro.AvroSerializer(client, json.dumps(AVRO)), read), (avro.AvroSerializer(client, '"string"'), read)
        )
    if format_ == "JSON_SR":
        text = json.dumps({"type": "string"})
        return Foreign(
            (json_schema.JSONSerializer(json.dumps(JSON_SR), client), json_schema.JSONDeserializer(json.dumps(JSON_SR))),
            (json_schema.JSONSerializer(text, client), json_schema.JSONDeserializer(text)),
        )
    if format_ == "PROTOBUF":
        row = _of_messages(MADE, client, lambda item: MADE(**item), lambda m: {"A": m.A, "B": m.B, "C": list(m.C), "H": m.H})
        return Foreign(row, _of_messages(KEY, client, lambda item: KEY(K=item), lambda m: m.K))
    if format_ == "JSON":
        plain = _plain(lambda item: json.dumps(item).encode(), json.loads)
        return Foreign(plain, plain)
    if format_ == "DELIMITED":

        def split(data: bytes) -> dict[str, Any]:
            [(a, b, h)] = csv.reader([data.decode()])
            return {"A": int(a), "B": b, "H": h}

        return Foreign(
            _plain(lambda item: f'{item["A"]},"{item["B"]}"'.encode(), split), _plain(str.encode, lambda data: data.decode())
        )
    assert format_ == "KAFKA"
    return Foreign(
        _plain(lambda item: struct.pack(">i", item["A"]), lambda data: {"A": struct.unpack(">i", data)[0]}),
        _plain(str.encode, bytes.decode),
    )


@pytest.fixture
def registry() -> Iterator[penstock.Server]:
    with penstock.connect() as database, penstock.serve(database, port=0) as server:
        yield server


def read(address: str, topic: str, count: int) -> list[Any]:
    """The first records of a topic, as a foreign consumer gets them."""
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    reader.subscribe([topic])
    found: list[Any] = []
    end = time.monotonic() + 120
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} records came"
        for message in reader.consume(count - len(found), 1.0):
            if message.error() is None:
                found.append(message)
    reader.close()
    return found


DECLARED = {"JSON": "a INT, b STRING, c ARRAY<DOUBLE>,", "DELIMITED": "a INT, b STRING,", "KAFKA": "a INT,"}
"""Value columns, for formats that have no schema in the registry to take them from."""


@pytest.mark.parametrize("format_", ["AVRO", "PROTOBUF", "JSON_SR", "JSON", "DELIMITED", "KAFKA"])
def test_what_others_write_and_read(
    connect: Connect, address: str, service_id: str, registry: penstock.Server, format_: str
) -> None:
    """Keys, values, headers and timestamps arrive as they were sent, and what a query writes of them is read by others."""
    client = schema_registry.SchemaRegistryClient({"url": registry.url})
    other = foreign(format_, client)
    source, result = f"{service_id}.made", f"{service_id}.copies"
    database = connect(settings={"auto.offset.reset": "earliest", "ksql.schema.registry.url": registry.url})
    database.create_topic("made", partitions=2)
    columns = ["A"] if format_ == "KAFKA" else ["A", "B"] if format_ == "DELIMITED" else ["A", "B", "C"]
    sender = confluent_kafka.Producer({"bootstrap.servers": address, "partitioner": "murmur2_random"})
    about = [SerializationContext(source, field) for field in (MessageField.KEY, MessageField.VALUE)]
    if schemas := format_ in ("AVRO", "PROTOBUF", "JSON_SR"):
        # the engine knows the topic by a name of its own: the subjects are those of the names that it has
        about = [SerializationContext("made", field) for field in (MessageField.KEY, MessageField.VALUE)]
    for number, (key, row) in enumerate(zip(KEYS, ROWS, strict=True)):
        sender.produce(
            source,
            other.value[0]({name: row[name] for name in columns}, about[1]),
            other.key[0](key, about[0]),
            timestamp=T0 + number,
            headers=[("trace", f"h{number}".encode()), ("other", b"\x00\xff")],
        )
    assert sender.flush(60) == 0
    header = "" if format_ == "KAFKA" else ", FROM_BYTES(traced, 'utf8') AS h"
    database.execute(
        f"""CREATE STREAM made (k STRING KEY, {DECLARED.get(format_, "")} traced BYTES HEADER('trace'))
                WITH (KAFKA_TOPIC = 'made', FORMAT = '{format_}');
            CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT k, {", ".join(columns)}{header} FROM made;"""
    )
    if schemas:
        assert {column.name for column in database.catalog.source("MADE").schema} >= {"K", "A", "B", "C"}
    expected = [
        (key, {**{name: row[name] for name in columns}, **({"H": f"h{number}"} if header else {})}, T0 + number)
        for number, (key, row) in enumerate(zip(KEYS, ROWS, strict=True))
    ]
    about = [SerializationContext("copies", field) for field in (MessageField.KEY, MessageField.VALUE)]
    found = [
        (other.key[1](m.key(), about[0]), other.value[1](m.value(), about[1]), m.timestamp()[1], m.headers())
        for m in read(address, result, len(ROWS))
    ]
    assert sorted((f[:3] for f in found), key=lambda f: f[2]) == expected


def test_arrow_is_for_penstock_alone(connect: Connect) -> None:
    """Its values have no bytes that others know: a topic of theirs cannot be read in it."""
    database = connect()
    database.create_topic("made", partitions=1)
    with pytest.raises(penstock.StatementError, match="ARROW"):
        database.execute("CREATE STREAM made (k STRING KEY, a INT) WITH (KAFKA_TOPIC = 'made', VALUE_FORMAT = 'ARROW');")
