"""PRINT: shows the records of a topic as text, and guesses their formats.

The formats of each record are guessed from its bytes, from the schema registry (AVRO, PROTOBUF and JSON_SR records name
their schema) and, where bytes cannot decide (window bounds after a key, a number of 8 bytes), from the sources over the
topic.  A guess never fails: bytes that fit no format are shown in hexadecimal.
"""

from __future__ import annotations

import base64
import datetime
import difflib
import json
import math
import struct
from typing import Any

import msgspec
import pyarrow as pa

from ...errors import DataError, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.topic_tail import TopicRecord, TopicTail
from ...storage.formats import infer_columns, make_serde
from ...storage.formats.base import Serde, SerdeOptions
from ...storage.schemas.registry import SchemaText
from ..catalog import DataSource
from ..results import PrintedRecord, PrintResult
from ..types import BIGINT, DOUBLE, TIMESTAMP, SqlType
from .context import Context
from .planning import copies

_NOTHING = "none"
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_FORMAT_OF_SCHEMA = {"AVRO": "AVRO", "PROTOBUF": "PROTOBUF", "JSON": "JSON_SR"}


def print_topic(context: Context, statement: ast.Print) -> PrintResult:
    """The records of a topic: those that come from now on, with FROM BEGINNING also those before, until LIMIT.

    Raises:
        StatementError: there is no such topic.
    """
    if context.topic(statement.topic) is None:
        names = [n for n, c in context.log.topics().items() if not c.internal]
        lower = {n.lower(): n for n in names}
        near = [lower[n] for n in difflib.get_close_matches(statement.topic.lower(), lower, 1, 0.5)]
        source = context.catalog.sources.get(statement.topic.upper())
        if source is not None:
            near = [source.topic]
        raise StatementError(
            f"there is no topic {statement.topic}",
            span=statement.span,
            suggestion=f"Did you mean {near[0]}? Names of topics keep their case." if near else "SHOW TOPICS; lists them.",
        )
    for word, count in (("SAMPLE", statement.interval), ("LIMIT", statement.limit)):
        if count is not None and count < 1:
            raise StatementError(f"{word} must be at least 1, not {count}", span=statement.span)
    tail = TopicTail(
        context.log,
        statement.topic,
        context.host.wakes,
        from_beginning=statement.from_beginning,
        every=statement.interval or 1,
        limit=statement.limit,
    )
    sources = [s for s in context.catalog.sources.values() if s.topic == statement.topic]
    internal = [found for q in context.planned.values() if (found := copies(q.plan).get(statement.topic)) is not None]
    sources += internal
    reader = RecordPrinter(context.schemas, sources)
    return PrintResult(tail, statement.topic, reader.read, unparse(statement))


class RecordPrinter:
    """Turns records into text.  ``sources`` are the sources over the topic."""

    def __init__(self, registry: Any, sources: list[DataSource]) -> None:
        self._registry = registry
        self._window = next((s.window for s in sources if s.window is not None), None)
        self._key_types = {s.schema.keys[0].type for s in sources if len(s.schema.keys) == 1}
        self._value_types = {c.type for s in sources for c in s.schema.values if len(s.schema.values) == 1}
        self._serdes: dict[tuple[bool, int], tuple[Serde, pa.Schema, str]] = {}

    def read(self, record: TopicRecord) -> PrintedRecord:
        """A record with its formats and texts."""
        key_format, key = self._key(record.key)
        value_format, value = self._guess(record.value, is_key=False)
        headers = tuple((name, None if data is None else _plain(data)) for name, data in record.headers)
        return PrintedRecord(
            key_format, value_format, record.timestamp, key, value, record.partition, record.offset, headers
        )

    def _key(self, data: bytes | None) -> tuple[str, str]:
        window = self._window
        width = 0 if window is None else 16 if window.type == "SESSION" else 8
        if data is None or window is None or len(data) < width:
            return self._guess(data, is_key=True)
        format_, text = self._guess(data[:-width], is_key=True)
        bounds = struct.unpack(">q" if width == 8 else ">qq", data[-width:])
        start, end = (bounds[1], bounds[0]) if width == 16 else (bounds[0], bounds[0] + (window.size_ms or 0))
        kind = "SESSION" if width == 16 else "TIME_WINDOW"
        return f"{kind}({format_})", f"[{text}@{start}/{end}]"

    def _guess(self, data: Any, *, is_key: bool) -> tuple[str, str]:
        if data is None:
            return _NOTHING, "<null>"
        if not isinstance(data, bytes):
            return "ARROW", _json(data)
        written = self._by_schema(data, is_key)
        if written is not None:
            return written
        text = _text(data)
        if text is not None and _is_json(text):
            return "JSON", text
        if text is not None and all(c.isprintable() or c in "\t\r\n" for c in text) and not self._is_number(data, is_key):
            return "KAFKA_STRING", text
        if len(data) == 4:
            return "KAFKA_INT", str(struct.unpack(">i", data)[0])
        if len(data) == 8:
            return self._eight(data, is_key)
        return "BYTES", "0x" + data.hex()

    def _is_number(self, data: bytes, is_key: bool) -> bool:
        """Whether the sources say that these bytes are a number, although they are printable by chance."""
        types = self._key_types if is_key else self._value_types
        widths = {"INTEGER": 4, "BIGINT": 8, "DOUBLE": 8, "TIMESTAMP": 8}
        return bool(types) and all(widths.get(str(t)) == len(data) for t in types)

    def _eight(self, data: bytes, is_key: bool) -> tuple[str, str]:
        """Read 8 bytes as a BIGINT or a DOUBLE.

        The sources over the topic decide.  Without them it is a DOUBLE if the DOUBLE is of ordinary size and the BIGINT is
        not.
        """
        types: set[SqlType] = self._key_types if is_key else self._value_types
        integer, double = struct.unpack(">q", data)[0], struct.unpack(">d", data)[0]
        ordinary = math.isfinite(double) and 1e-9 < abs(double) < 1e15 and abs(integer) > 2**53
        if types == {DOUBLE} or (ordinary and not types & {BIGINT, TIMESTAMP}):
            return "KAFKA_DOUBLE", repr(double)
        return "KAFKA_BIGINT", str(integer)

    def _by_schema(self, data: bytes, is_key: bool) -> tuple[str, str] | None:
        """Read the record by the schema whose id its bytes begin with; None if that fails."""
        if self._registry is None or len(data) < 5 or data[0] != 0:
            return None
        number = int.from_bytes(data[1:5], "big")
        try:
            found = self._serde(number, is_key)
            if found is None:
                return None
            serde, schema, format_ = found
            decoded = serde.decode(pa.array([data], pa.binary()), schema)
        except (DataError, StatementError):
            return None
        if decoded.malformed is not None and len(decoded.malformed.rows):
            return None
        row = {f.name: column[0].as_py() for f, column in zip(schema, decoded.columns, strict=True)}
        bare = len(row) == 1 and next(iter(row)) in ("ROWKEY", "ROWVAL")
        return f"{format_} (schema {number})", _json(next(iter(row.values())) if bare else row)

    def _serde(self, number: int, is_key: bool) -> tuple[Serde, pa.Schema, str] | None:
        if (is_key, number) not in self._serdes:
            written: SchemaText = self._registry.by_id(number)
            format_ = _FORMAT_OF_SCHEMA[written.type]
            try:
                schema, wrap = infer_columns(self._registry, written, is_key=is_key), True
            except StatementError:
                schema, wrap = infer_columns(self._registry, written, is_key=is_key, wrapped=False), False
            serde = make_serde(format_, SerdeOptions(is_key=is_key, wrap=wrap, schema_id=number), self._registry)
            self._serdes[is_key, number] = (serde, schema, format_)
        return self._serdes[is_key, number]


def _plain(data: bytes) -> str:
    """A header's bytes as text, if they are UTF-8."""
    text = _text(data)
    return text if text is not None and text.isprintable() else "0x" + data.hex()


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _is_json(text: str) -> bool:
    """Whether a text is a JSON document.  A number, true or null alone is more likely plain text."""
    if text[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(value: Any) -> str:
    """Typed values as JSON, in the notations of section 2."""
    return _ENCODER.encode(_node(value)).decode()


def _node(value: Any) -> Any:
    match value:
        case dict():
            return {str(k): _node(v) for k, v in value.items()}
        case list() | tuple():
            pairs = list(value)
            if pairs and all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
                return {str(k): _node(v) for k, v in pairs}
            return [_node(v) for v in pairs]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime.datetime():
            return value.isoformat(timespec="milliseconds")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return str(value)
    return value


__all__ = ["RecordPrinter", "print_topic"]
