"""The formats of answers with rows: the bytes before the first row, for each row, and at the end.

The answer to a push query is written row by row, since some clients take each chunk for a row.  The answer to a pull query
is written in large pieces.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Protocol

import pyarrow as pa

from ..engine.schema import Column, Schema
from ..engine.types import to_arrow
from ..errors import PenstockError
from .http import ARROW, DELIMITED, EVENTS, JSON
from .problems import ApiError
from .values import encode, field_json, rows_of
from .wire import with_parts

SCHEMA_KEY = b"penstock.schema"
"""The metadata key of an Arrow schema for the columns, as JSON of the API's fields."""
COLUMNS_KEY = b"penstock.columns"
ERROR_KEY = b"penstock.error"
"""The metadata key of a record batch for the error that ended the query."""


class RowFormat(Protocol):
    """A format for the rows of an answer.

    Attributes:
        content_type: the answer's content type.
        shows_tombstones: whether deletions are written as rows; if false, they are left out.
    """

    content_type: str
    shows_tombstones: bool

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        """The bytes before the first row."""
        ...

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        """The bytes of each row, with separators; one item for all rows if the format has no bytes per row (Arrow)."""
        ...

    def note(self, name: str, value: Any) -> bytes:
        """The bytes of a message that is no row, such as a consistency token; empty if the format has no such messages."""
        ...

    def error(self, error: ApiError) -> bytes:
        """The bytes of an error that occurs after the head was sent."""
        ...

    def tail(self, final_message: str | None) -> bytes:
        """The bytes after the last row."""
        ...


class Delimited:
    """A line with the header (a JSON object), then a line with a JSON array for each row."""

    content_type = DELIMITED
    shows_tombstones = False

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        return encode(_header(query_id, schema)) + b"\n"

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        return [encode(row) + b"\n" for row in _rows(columns, schema)]

    def note(self, name: str, value: Any) -> bytes:
        return encode({name: value}) + b"\n"

    def error(self, error: ApiError) -> bytes:
        return encode(_error(error)) + b"\n"

    def tail(self, final_message: str | None) -> bytes:
        return b""


class JsonArray:
    """One JSON array whose items are the lines of `Delimited`."""

    content_type = JSON
    shows_tombstones = False

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        return b"[" + encode(_header(query_id, schema))

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        return [b",\n" + encode(row) for row in _rows(columns, schema)]

    def note(self, name: str, value: Any) -> bytes:
        return b",\n" + encode({name: value})

    def error(self, error: ApiError) -> bytes:
        return b",\n" + encode(_error(error))

    def tail(self, final_message: str | None) -> bytes:
        return b"]"


class KsqlRows:
    """The format of ``/query``: one JSON array of objects, one per row and line.

    In the answer to a pull query a comma precedes each row but the first, since it is not known which row is the last.  In
    the answer to a push query a comma follows each row, since a final message comes at the end: so a client that reads line
    by line gets each row as soon as it is sent.
    """

    shows_tombstones = True

    def __init__(self, content_type: str, *, push: bool) -> None:
        self.content_type = content_type
        self._push = push
        self._before, self._after = (b"", b",\n") if push else (b",\n", b"")

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        text = ", ".join(_column_text(c, keys=not self._push) for c in schema)
        return b"[" + encode({"header": {"queryId": query_id, "schema": text}}) + self._after

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        rows = _rows(columns, schema)
        start, live, gone = self._before + b'{"row":{"columns":', b"}}" + self._after, b',"tombstone":true}}' + self._after
        if tombstones is None:
            return [start + encode(row) + live for row in rows]
        return [start + encode(row) + (gone if dead else live) for row, dead in zip(rows, tombstones, strict=True)]

    def note(self, name: str, value: Any) -> bytes:
        return self._before + encode({name: {name: value}}) + self._after

    def error(self, error: ApiError) -> bytes:
        return self._before + encode({"errorMessage": error.entity()})

    def tail(self, final_message: str | None) -> bytes:
        """The end of the array.  After an error it has no final message, only the bracket."""
        return b"]" if final_message is None else self._before + encode({"finalMessage": final_message}) + b"]"


class Events:
    """Server-sent events, for EventSource in browsers: an event ``header``, an unnamed event per row, an event ``end``."""

    content_type = EVENTS
    shows_tombstones = True

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        return _event("header", _header(query_id, schema))

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        rows = _rows(columns, schema)
        gone = [False] * len(rows) if tombstones is None else tombstones
        return [
            b"event: tombstone\ndata: " + encode(row) + b"\n\n" if dead else b"data: " + encode(row) + b"\n\n"
            for row, dead in zip(rows, gone, strict=True)
        ]

    def note(self, name: str, value: Any) -> bytes:
        return _event(name, value)

    def error(self, error: ApiError) -> bytes:
        return _event("failure", error.entity())

    def tail(self, final_message: str | None) -> bytes:
        return _event("end", final_message or "Query Completed")


class ArrowStream:
    """An Arrow IPC stream, with a record batch for rows that come together.

    The schema's metadata has the columns as the API's fields (`SCHEMA_KEY`).  Answers to push queries begin with two more
    columns, ``__tombstone`` and ``__rowtime``.
    """

    content_type = ARROW
    shows_tombstones = True

    def __init__(self, *, push: bool) -> None:
        self.facts: dict[bytes | str, bytes | str] = {}
        """Further metadata for the schema; it must be set before `head` is called."""
        self._push = push
        self._schema: Any = None

    def head(self, query_id: str | None, schema: Schema) -> bytes:
        fields = [pa.field(c.name, to_arrow(c.type)) for c in schema]
        if self._push:
            fields = [pa.field("__tombstone", pa.bool_()), pa.field("__rowtime", pa.int64()), *fields]
        metadata: dict[bytes | str, bytes | str] = {
            SCHEMA_KEY: encode([field_json(c) for c in schema]),
            COLUMNS_KEY: str(schema).encode(),
        }
        metadata |= self.facts
        if query_id is not None:
            metadata[b"penstock.query"] = query_id.encode()
        self._schema = pa.schema(fields, metadata)
        return bytes(self._schema.serialize())  # (a writer of Arrow's would keep it until the first rows come)

    def rows(self, columns: list[Any], schema: Schema, tombstones: Iterable[bool] | None) -> list[bytes]:
        arrays = [
            (c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c).cast(f.type, safe=False)
            for c, f in zip(columns, self._schema, strict=True)
        ]
        return [bytes(pa.RecordBatch.from_arrays(arrays, schema=self._schema).serialize())]

    def note(self, name: str, value: Any) -> bytes:
        return b""

    def error(self, error: ApiError) -> bytes:
        """A record batch without rows whose metadata has the error (`ERROR_KEY`), for Penstock's client.

        The stream then has no end mark, so other readers take it for broken off.
        """
        cause = error.__cause__ if isinstance(error.__cause__, PenstockError) else None
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, self._schema) as writer:
            nothing = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in self._schema], schema=self._schema)
            writer.write_batch(nothing)  # with it, the schema
            start = sink.tell()
            writer.write_batch(nothing, custom_metadata={ERROR_KEY: encode(with_parts(error, cause))})
            return sink.getvalue()[start:]

    def tail(self, final_message: str | None) -> bytes:
        return _END_OF_STREAM


_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The end mark of an Arrow IPC stream: a message without metadata."""


def _rows(columns: list[Any], schema: Schema) -> list[tuple[Any, ...]]:
    return rows_of(columns, [c.type for c in schema]) if columns else []


def _header(query_id: str | None, schema: Schema) -> dict[str, Any]:
    return {
        "queryId": query_id,
        "columnNames": [c.name for c in schema],
        "columnTypes": [str(c.type) for c in schema],
    }


def _column_text(column: Column, *, keys: bool) -> str:
    return str(column) if keys else str(Column(column.name, column.type))


def _error(error: ApiError) -> dict[str, Any]:
    return {"@type": "generic_error", "error_code": error.code, "message": error.message}


def _event(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(value) + b"\n\n"


def make_format(content_type: str, *, push: bool) -> RowFormat:
    """Make the format for a content type that `negotiate` has chosen."""
    if content_type == DELIMITED:
        return Delimited()
    if content_type == EVENTS:
        return Events()
    if content_type == ARROW:
        return ArrowStream(push=push)
    return KsqlRows(content_type, push=push)


__all__ = ["COLUMNS_KEY", "SCHEMA_KEY", "ArrowStream", "Delimited", "JsonArray", "RowFormat", "make_format"]
