"""Schemas and answers of a registry are input from outside: whatever they are, it is an error of ours with a reason."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import limits
from penstock.errors import DataError, StatementError, StorageError
from penstock.storage.formats import EmbeddedRegistry, SchemaText, infer_columns, make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.schemas.inference import required_fields
from penstock.storage.schemas.remote import RemoteRegistry

FORMATS = {"AVRO": "AVRO", "JSON": "JSON_SR", "PROTOBUF": "PROTOBUF"}
GOOD = {
    "AVRO": '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}',
    "JSON": '{"type":"object","properties":{"a":{"type":"string"}}}',
    "PROTOBUF": 'syntax = "proto3"; message M { int32 a = 1; }',
}
COLUMNS = (pa.schema([("a", pa.int32())]), pa.schema([("a", pa.int32()), ("b", pa.list_(pa.string()))]))


class Fixed:
    """A registry that has one schema, under every id."""

    def __init__(self, schema: SchemaText) -> None:
        self._schema = schema

    def by_id(self, id: int) -> SchemaText:
        return self._schema

    def register(self, *_: Any, **__: Any) -> int:
        return 1


def try_all(kind: str, text: str) -> None:
    """Everything that is done with a schema; only our own errors may come of it."""
    schema = SchemaText(kind, text)
    registry = EmbeddedRegistry()
    registry.register("x-value", SchemaText(kind, GOOD[kind]))
    calls: list[Callable[[], Any]] = [
        lambda: EmbeddedRegistry().register("s-value", schema),
        lambda: registry.problems("x-value", schema),
        lambda: infer_columns(registry, schema),
        lambda: infer_columns(registry, schema, wrapped=False),
        lambda: required_fields(schema),
    ]
    for columns in COLUMNS:
        for count in (1, 40):
            blobs = pa.array([b"\0\0\0\0\x01\0\x02"] * count, pa.binary())
            reader: Any = make_serde(FORMATS[kind], SerdeOptions(topic="t"), Fixed(schema))  # type: ignore[arg-type]
            reader.decode(blobs, columns)  # bad rows, never an error
            writer: Any = make_serde(FORMATS[kind], SerdeOptions(topic="t", schema_id=1), Fixed(schema))  # type: ignore[arg-type]
            values = [pa.array([1] * count, pa.int32()), pa.array([["x"]] * count)][: len(columns)]
            calls.append(lambda writer=writer, values=values, columns=columns: writer.encode(values, columns, None))  # type: ignore[misc]
    for call in calls:
        try:
            call()
        except (StatementError, DataError):
            continue


AVRO = [
    '{"type":"record"}', "{}", "[]", "null", "3", '"nosuch"', "not json", "", '{"type":"record","name":"R"}',
    '{"type":"record","name":"R","fields":{}}', '{"type":"record","name":"R","fields":[1]}',
    '{"type":"record","name":"R","fields":[{}]}', '{"type":"record","name":"R","fields":[{"name":"a"}]}',
    '{"type":"record","name":1,"fields":[]}', '{"type":"record","name":"R","fields":[{"name":"a","type":"R"}]}',
    '{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array"}}]}', '{"type":"map"}',
    '{"type":"fixed","name":"F"}', '{"type":"enum","name":"E","symbols":3}', '{"type":{"type":"record"}}', '[["int"]]',
    '{"type":"bytes","logicalType":"decimal","precision":"x","scale":2}',
    '{"type":"bytes","logicalType":"decimal","precision":-3,"scale":2}',
    '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}',
    '{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"int","logicalType":{}}}]}',
    '{"type":"array","items":' * 2000 + '"int"' + "}" * 2000,
]  # fmt: skip
JSON = [
    '{"properties":5}', '{"type":5}', '{"$ref":"#"}', '{"$ref":5}', '{"$ref":"#/x/y"}', '{"type":"array","items":5}',
    '{"type":"object","properties":{"a":{"$ref":"#"}}}', '{"oneOf":5}', '{"oneOf":[5]}', '{"allOf":[1]}', "true", "[]",
    '{"type":"object","required":5,"properties":{"a":{"type":"string"}}}', '{"$ref":"other.json"}', '{"enum":5}',
    '{"type":"number","connect.type":"bytes","title":"org.apache.kafka.connect.data.Decimal","connect.parameters":{"scale":"x"}}',
    '{"type":"object","properties":{"a":{"type":"object","connect.index":{}}}}',
    '{"type":"array","items":' * 2000 + "{}" + "}" * 2000,
]  # fmt: skip
PROTOBUF = [
    "", "syntax", "message M {", 'syntax = "proto3";', 'syntax = "proto3"; message M { M m = 1; }',
    'syntax = "proto3"; message M { X m = 1; }', 'syntax = "proto3"; message M { int32 a = 99999999999; }',
    'syntax = "proto3"; import "x.proto"; message M { int32 a = 1; }', 'syntax = "proto3"; message M { map<string> a = 1; }',
    "message M { " * 1500 + "}" * 1500,
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"), [(k, t) for k, ts in (("AVRO", AVRO), ("JSON", JSON), ("PROTOBUF", PROTOBUF)) for t in ts]
)
def test_malformed_schemas(kind: str, text: str) -> None:
    """Known ones, each of which was a bare error once."""
    try_all(kind, text)


WORDS = st.sampled_from(
    [
        "record",
        "array",
        "map",
        "enum",
        "fixed",
        "int",
        "string",
        "bytes",
        "null",
        "decimal",
        "object",
        "number",
        "R",
        "a",
        "#",
        "",
    ]
)
KEYS = st.sampled_from(
    ["type", "name", "fields", "items", "values", "symbols", "size", "logicalType", "precision", "scale", "namespace",
     "properties",
     "oneOf", "allOf", "$ref", "required", "enum", "title", "connect.type", "connect.parameters",
     "additionalProperties", "default"]
)  # fmt: skip
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 50) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["AVRO", "JSON"]), TREES)
def test_random_schemas(kind: str, tree: Any) -> None:
    """Objects with the words of the formats in any place."""
    try_all(kind, json.dumps(tree))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"{};=<>,123", "message ", "M ", "int32 ", "map", "oneof ", "repeated ", "import ", '"x"', "enum "])
    )
)
def test_random_proto_texts(words: list[str]) -> None:
    """Tokens in any order."""
    try_all("PROTOBUF", 'syntax = "proto3"; ' + "".join(words))


@pytest.mark.parametrize("kind", FORMATS)
def test_schemas_that_double_with_every_level(kind: str) -> None:
    """A record that has the next one twice: bounded, and quick however many levels there are."""
    levels = range(1, 40)
    if kind == "AVRO":
        text = '"int"'
        for level in reversed(levels):
            again = '"int"' if level == levels[-1] else f'"R{level + 1}"'
            fields = f'[{{"name":"x","type":{text}}},{{"name":"y","type":{again}}}]'
            text = f'{{"type":"record","name":"R{level}","fields":{fields}}}'
    elif kind == "PROTOBUF":
        inner = "".join(f"message R{i} {{ R{i + 1} x = 1; R{i + 1} y = 2; }} " for i in levels)
        text = f'syntax = "proto3"; {inner} message R{levels[-1] + 1} {{ int32 a = 1; }}'
    else:
        parts: dict[str, Any] = {
            f"R{i}": {"type": "object", "properties": {key: {"$ref": f"#/definitions/R{i + 1}"} for key in "xy"}}
            for i in levels
        }
        text = json.dumps({"$ref": "#/definitions/R1", "definitions": parts | {f"R{levels[-1] + 1}": {"type": "string"}}})
    with pytest.raises(StatementError, match="more than"):
        infer_columns(EmbeddedRegistry(), SchemaText(kind, text))
    try_all(kind, text)


# --- servers -------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Any]:
    """A server whose ``answer(handler)`` a test sets; it notes (method, path, authorization) of requests."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            made.requests.append((self.command, self.path, self.headers.get("Authorization")))
            made.answer(self)

        do_GET = do_POST = do_PUT = do_DELETE = _do

        def log_message(self, *_: Any) -> None:
            return

    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.requests = []
    made.url = f"http://127.0.0.1:{made.server_address[1]}"
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def says(body: str, code: int = 200, **headers: str) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["{url}/elsewhere", "ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_redirections_are_not_followed(server: Any, code: int, target: str) -> None:
    """Neither with the credentials nor as another method."""
    server.answer = says("", code, Location=target.format(url=server.url))
    registry = RemoteRegistry(server.url.replace("//", "//user:secret@"))
    with pytest.raises(StorageError, match="not followed"):
        registry.by_id(1)
    with pytest.raises(StorageError, match="not followed"):
        registry.register("s", SchemaText("AVRO", '"int"'))
    assert [method for method, _, _ in server.requests] == ["GET", "POST"]
    assert all("elsewhere" not in path for _, path, _ in server.requests)


@pytest.mark.parametrize("url", ["ftp://host:8081", "file:///x", "host:8081"])
def test_only_http(url: str) -> None:
    """Other schemes are no registry."""
    with pytest.raises(StatementError):
        RemoteRegistry(url)


@pytest.mark.parametrize(
    "body", ["{}", "[]", "null", "3", '"x"', '{"schema":5}', '{"id":"x"}', '{"id":[]}',
             '{"schema":"\\"int\\"","references":[{}]}',
             '{"schema":"\\"int\\"","references":5}', '[{"a":1}, 2]', "[" * 100_000, "<html>", '{"id":1e999}', "[1e999]",
             '{"id":99999999999999999999}', '{"id":true}', '{"id":-1}', '{"schema":"\\ud800"}', '{"schema":"[[[["}',
             '{"subject":"s","version":1e999,"id":1,"schema":"\\"int\\""}',
             '{"schema":"\\"int\\"","references":[{"name":"a","subject":"a","version":1e999}]}']
)  # fmt: skip
def test_odd_answers(server: Any, body: str) -> None:
    """What is no registry's answer is an error of the storage that names the server, or of a record."""
    server.answer = says(body)
    calls: list[Callable[[RemoteRegistry], Any]] = [
        lambda r: r.by_id(1),
        lambda r: r.latest("s"),
        lambda r: r.version("s", 1),
        lambda r: r.versions("s"),
        lambda r: r.subjects(),
        lambda r: r.level("s"),
        lambda r: r.register("s", SchemaText("AVRO", '"int"')),
        lambda r: r.problems("s", SchemaText("AVRO", '"int"')),
        lambda r: r.delete_subject("s"),
    ]
    for call in calls:
        try:
            call(RemoteRegistry(server.url))
        except (StorageError, StatementError, DataError):
            continue


@pytest.mark.parametrize("body", ['{"id":true}', '{"id":-1}', '{"id":1e999}', '{"id":4294967296}', '{"id":"7"}'])
def test_an_id_that_can_be_none(server: Any, body: str) -> None:
    """It is refused where it comes from; records have 32 bits for it."""
    server.answer = says(body)
    with pytest.raises(StorageError, match="cannot be understood"):
        RemoteRegistry(server.url).register("s", SchemaText("AVRO", '"int"'))


def test_references_without_an_end(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each schema refers to a next one: they are not followed for ever.  A circle ends by itself."""
    monkeypatch.setattr("penstock.storage.schemas.protocol.SCHEMA_REFERENCES_MAX", 20)
    endless = True

    def answer(handler: Any) -> None:
        number = len(server.requests) if endless else len(server.requests) % 2
        reference = {"name": f"n{number}", "subject": f"n{number}", "version": 1}
        schema = {"schema": '"int"', "references": [reference], "subject": "s", "version": 1, "id": 1}
        says(json.dumps(schema))(handler)

    server.answer = answer
    registry = RemoteRegistry(server.url)
    with pytest.raises(DataError, match="SCHEMA_REFERENCES_MAX"):
        infer_columns(registry, registry.by_id(1))
    assert len(server.requests) < 30
    endless = False
    assert infer_columns(RemoteRegistry(server.url), registry.by_id(1), wrapped=False).names == ["ROWVAL"]


def test_deep_texts_are_compared() -> None:
    """What is nested too deeply to be read is the same only as itself."""
    deep = SchemaText("JSON", "[" * 100_000)
    assert deep.same_as(deep) and not deep.same_as(SchemaText("JSON", "{}"))


@pytest.mark.parametrize("where", ["headers", "body"])
def test_an_answer_that_drips(server: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer as a whole has a limit, not each of its pieces only; it is not asked for again."""
    monkeypatch.setattr(limits, "REGISTRY_ANSWER_SECONDS_MAX", 0.5)

    def answer(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"" if where == "headers" else b"\r\n"))
        for _ in range(1000):
            handler.wfile.write(b"x: y\r\n")
            handler.wfile.flush()
            time.sleep(0.1)

    server.answer = answer
    began = time.monotonic()
    with pytest.raises(StorageError, match="took longer"):
        RemoteRegistry(server.url).subjects()
    assert time.monotonic() - began < 50
    assert len(server.requests) == 1
