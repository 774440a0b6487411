"""The JSON between Penstock's own client and server, beyond ksqlDB's API: results, errors, the catalog and progress.

The client makes objects of it that equal those of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import msgspec

from ..engine import types as t
from ..engine.catalog import Catalog, DataSource, FormatInfo, QueryEntry, UnknownSourceError, WindowInfo
from ..engine.flow import FlowEdge, FlowGraph, FlowNode
from ..engine.flow_layout import Box
from ..engine.results import Description, Listing, Message
from ..engine.schema import Column, Role, Schema
from ..errors import (
    AssertionFailedError,
    BufferExhaustedError,
    ClientError,
    CommitFailedError,
    DataError,
    InternalError,
    LogRefusedError,
    LogUnavailableError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceError,
    PartitionsLostError,
    PenstockError,
    ProducerFencedError,
    Span,
    StatementError,
    StorageError,
    UnsupportedError,
)
from ..runtime.metrics import Progress
from .problems import ApiError
from .tokens import read_token, write_token
from .values import field_json, schema_json

_Made = TypeVar("_Made")

CLIENT_HEADER = "penstock-client"
"""The header of requests of Penstock's client.  Answers to such requests have errors with all their parts."""
_ERRORS: dict[str, type[PenstockError]] = {
    e.__name__: e
    for e in (
        StatementError,
        UnsupportedError,
        AssertionFailedError,
        UnknownSourceError,
        DataError,
        StorageError,
        OffsetOutOfRangeError,
        LogUnavailableError,
        LogRefusedError,
        PartitionsLostError,
        ClientError,
        ProducerFencedError,
        OutOfOrderSequenceError,
        BufferExhaustedError,
        CommitFailedError,
        InternalError,
    )
}
"""Name -> class of the errors that the client can raise."""


# --- results -------------------------------------------------------------------------------


def result_json(result: Message | Listing | Description) -> dict[str, Any]:
    """Write a result other than rows of a query."""
    if isinstance(result, Message):
        details = {name: value for name, value in result.details.items() if isinstance(value, str | int | bool | None)}
        token = result.details.get("token")
        return {
            "result": "message",
            "kind": result.kind,
            "text": result.text,
            "statement": result.statement,
            "warning": result.warning,
            "details": details,
            "token": None if token is None else write_token(token),
        }
    if isinstance(result, Listing):
        return {"result": "listing", **_listing(result)}
    sections = [[title, _listing(s) if isinstance(s, Listing) else s] for title, s in result.sections]
    return {
        "result": "description",
        "kind": result.kind,
        "title": result.title,
        "sections": sections,
        "statement": result.statement,
    }


def _listing(listing: Listing) -> dict[str, Any]:
    return {
        "kind": listing.kind,
        "columns": list(listing.columns),
        "rows": [[_plain(v) for v in row] for row in listing.rows],
        "statement": listing.statement,
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def result_of(data: Mapping[str, Any]) -> Message | Listing | Description:
    """Read a result that `result_json` wrote."""
    if data["result"] == "message":
        details = dict(data["details"])
        if data["token"] is not None:
            details["token"] = read_token(data["token"])
        kind, text, statement, warning = msgspec.convert(
            [data[name] for name in ("kind", "text", "statement", "warning")], tuple[str, str, str, bool]
        )
        return Message(kind, text, statement, warning, details)
    if data["result"] == "listing":
        return _listing_of(data)
    sent = msgspec.convert(data["sections"], list[tuple[str, str | dict[str, Any]]])
    sections = tuple((title, s if isinstance(s, str) else _listing_of(s)) for title, s in sent)
    named = [data[name] for name in ("kind", "title", "statement")]
    kind, title, statement = msgspec.convert(named, tuple[str, str, str])
    return Description(kind, title, sections, statement)


def _listing_of(data: Mapping[str, Any]) -> Listing:
    parts = [data[name] for name in ("kind", "columns", "rows", "statement")]
    kind, columns, rows, statement = msgspec.convert(parts, tuple[str, tuple[str, ...], list[tuple[Any, ...]], str])
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row has not as many values as there are columns")
    return Listing(kind, columns, tuple(rows), statement)


# --- errors --------------------------------------------------------------------------------


def error_parts(error: BaseException) -> dict[str, Any]:
    """Write all parts of an error, from which the client makes it again."""
    known = next((c.__name__ for c in type(error).__mro__ if c.__name__ in _ERRORS), type(error).__name__)
    found: dict[str, Any] = {"kind": known}  # of a class of the engine's own, the one that it is a kind of
    if isinstance(error, StatementError):
        span = error.span
        found |= {
            "message": error.message,
            "span": None if span is None else [span.start, span.end, span.line, span.column],
            "text": error.text,
            "suggestion": error.suggestion,
            "expected": list(error.expected),
        }
    elif isinstance(error, StorageError):
        found |= {"message": error.message, "action": error.action}
        if isinstance(error, OffsetOutOfRangeError):
            found["place"] = [error.topic, error.partition, error.asked, error.start, error.end]
    else:
        found["message"] = str(error)
    return found


def error_of(entity: Mapping[str, Any]) -> PenstockError:
    """Make the error that an entity of an answer describes."""
    parts = entity.get("parts") or {}
    message = parts.get("message") or str(entity.get("message", entity))
    kind = _ERRORS.get(parts.get("kind", ""))
    if kind is None:
        code = int(entity.get("error_code", 0))
        return StatementError(message) if code // 100 in (400, 403, 404, 413, 417) else ClientError(message)
    if issubclass(kind, StatementError):
        span = parts.get("span")
        return kind(
            message,
            span=None if span is None else Span(*span),
            text=parts.get("text"),
            suggestion=parts.get("suggestion"),
            expected=tuple(parts.get("expected") or ()),
        )
    if kind is OffsetOutOfRangeError:
        return OffsetOutOfRangeError(*parts["place"])
    if issubclass(kind, StorageError):
        return kind(message, action=parts.get("action"))
    return kind(message)


def with_parts(problem: ApiError, cause: BaseException | None) -> dict[str, Any]:
    """Make the entity of an error, with the parts of its cause."""
    return {**problem.entity(), "parts": None if cause is None else error_parts(cause)}


# --- the catalog ---------------------------------------------------------------------------


def catalog_json(catalog: Catalog, sources: Mapping[str, DataSource], queries: Mapping[str, QueryEntry]) -> dict[str, Any]:
    """Write the sources and queries that an account may see, and all types of the catalog."""
    return {
        "sources": [_source_json(s) for s in sources.values()],
        "queries": [{**asdict(q), "properties": dict(q.properties)} for q in queries.values()],
        "types": {name: schema_json(type_) for name, type_ in catalog.types.items()},
    }


def _source_json(source: DataSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "fields": [{**field_json(c), "role": c.role} for c in source.schema],
        "topic": source.topic,
        "key_format": _format_json(source.key_format),
        "value_format": _format_json(source.value_format),
        "partitions": source.partitions,
        "window": None if source.window is None else [source.window.type, source.window.size_ms],
        "timestamp_column": source.timestamp_column,
        "timestamp_format": source.timestamp_format,
        "read_only": source.read_only,
        "query_id": source.query_id,
        "statement": source.statement,
    }


def _format_json(info: FormatInfo) -> list[Any]:
    return [info.name, dict(info.properties), sorted(info.features)]


class _SentSource(msgspec.Struct):
    """The types of what `_source_json` writes, with which msgspec checks it."""

    name: str
    kind: Literal["STREAM", "TABLE"]
    fields: list[dict[str, Any]]
    topic: str
    key_format: tuple[str, dict[str, str], frozenset[str]]
    value_format: tuple[str, dict[str, str], frozenset[str]]
    partitions: int
    window: tuple[Literal["TUMBLING", "HOPPING", "SESSION"], int | None] | None
    timestamp_column: str | None
    timestamp_format: str | None
    read_only: bool
    query_id: str | None
    statement: str


def catalog_of(data: Mapping[str, Any]) -> Catalog:
    """Read a catalog that `catalog_json` wrote."""
    sources = {}
    for item in msgspec.convert(data["sources"], list[_SentSource]):
        sources[item.name] = DataSource(
            item.name,
            item.kind,
            Schema(tuple(column_of(field) for field in item.fields)),
            item.topic,
            FormatInfo(*item.key_format),
            FormatInfo(*item.value_format),
            item.partitions,
            None if item.window is None else WindowInfo(*item.window),
            item.timestamp_column,
            item.timestamp_format,
            item.read_only,
            item.query_id,
            item.statement,
        )
    queries = {q["id"]: msgspec.convert(q, QueryEntry) for q in data["queries"]}
    return Catalog(sources, {name: type_of(schema) for name, schema in data["types"].items()}, queries)


def column_of(field: Mapping[str, Any]) -> Column:
    """Make a column from a field of the API."""
    role: Any = field.get("role") or {"KEY": "KEY", "HEADER": "HEADER"}.get(field.get("type", ""), "VALUE")
    name, header = msgspec.convert((field["name"], field.get("headerKey")), tuple[str, str | None])
    return Column(name, type_of(field["schema"]), msgspec.convert(role, Role), header)


def type_of(schema: Mapping[str, Any]) -> t.SqlType:
    """Read a type that `schema_json` wrote."""
    match schema["type"]:
        case "DECIMAL":
            sizes = schema["parameters"]
            return t.Decimal(*msgspec.convert((sizes["precision"], sizes["scale"]), tuple[int, int]))
        case "ARRAY":
            return t.Array(type_of(schema["memberSchema"]))
        case "MAP":
            return t.Map(
                t.STRING if "keySchema" not in schema else type_of(schema["keySchema"]), type_of(schema["memberSchema"])
            )
        case "STRUCT":
            return t.Struct(tuple((msgspec.convert(f["name"], str), type_of(f["schema"])) for f in schema["fields"]))
        case name:
            return t.Primitive(name)


# --- the flow graph --------------------------------------------------------------------------


def graph_of(data: Mapping[str, Any]) -> FlowGraph:
    """Read a graph that `FlowGraph.json` wrote."""
    nodes = []
    for given in data["nodes"]:
        node = dict(given)
        box = Box(*(node.pop(name) for name in ("layer", "x", "y", "width", "height")))
        id_, kind, name, label = (node.pop(part) for part in ("id", "kind", "name", "label"))
        nodes.append(FlowNode(id_, kind, name, label, node, box))
    edges = []
    for given in data["edges"]:
        edge = dict(given)
        points = tuple((x, y) for x, y in edge.pop("points"))
        edges.append(FlowEdge(edge.pop("from"), edge.pop("to"), edge, points))
    return typed(FlowGraph(tuple(nodes), tuple(edges), data["width"], data["height"]))


def typed(made: _Made) -> _Made:
    """Check that an object made of an answer has values of the types that its class declares; returns it.

    Raises:
        msgspec.ValidationError: a value has another type.
    """
    return msgspec.convert(msgspec.to_builtins(made), type(made))


# --- progress ------------------------------------------------------------------------------


def progress_json(progress: Progress) -> dict[str, Any]:
    """Write a query's progress."""
    return asdict(progress)


def progress_of(data: Mapping[str, Any]) -> Progress:
    """Read progress that `progress_json` wrote."""
    return msgspec.convert(data, Progress)


__all__ = [
    "CLIENT_HEADER",
    "catalog_json",
    "catalog_of",
    "column_of",
    "error_of",
    "graph_of",
    "progress_json",
    "progress_of",
    "result_json",
    "result_of",
    "type_of",
    "typed",
    "with_parts",
]
