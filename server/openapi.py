"""The OpenAPI document of the endpoints: ``GET /openapi.json``.

``python -m penstock.server.openapi`` prints it, for ``docs/server/openapi.json``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .. import __version__
from .http import ARROW, DELIMITED, EVENTS, JSON, KSQL_JSON

_OBJECT: dict[str, Any] = {"type": "object"}
_TEXT: dict[str, Any] = {"type": "string"}
_SQL_MEMBERS: dict[str, Any] = {
    "streamsProperties": _OBJECT,
    "properties": _OBJECT,
    "sessionVariables": _OBJECT,
    "requestProperties": _OBJECT,
    "commandSequenceNumber": {"type": ["integer", "null"]},
    "parameters": {"type": ["array", "object", "null"]},
}
_ERROR = {
    "type": "object",
    "required": ["@type", "error_code", "message"],
    "properties": {"@type": _TEXT, "error_code": {"type": "integer"}, "message": _TEXT},
}
_REGISTRY_ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "integer"}, "message": _TEXT},
}
_SCHEMA: dict[str, Any] = {
    "schema": _TEXT,
    "schemaType": {"enum": ["AVRO", "JSON", "PROTOBUF"]},
    "references": {"type": "array"},
}
_REGISTRY = "application/vnd.schemaregistry.v1+json"
_PLAIN = "text/plain"
_LEVEL = {"compatibility": _TEXT}
_MODE = {"mode": _TEXT}
_RECORD = {
    "key": {"type": ["string", "null"], "contentEncoding": "base64"},
    "value": {"type": ["string", "null"], "contentEncoding": "base64"},
    "columns": {"type": ["string", "null"], "contentEncoding": "base64"},
    "timestamp": {"type": ["integer", "null"]},
    "headers": {"type": ["array", "null"]},
    "partition": {"type": ["integer", "null"]},
    "durable": {"type": ["boolean", "null"]},
    "producer": {"type": ["string", "null"]},
    "sequence": {"type": ["integer", "null"]},
}
_TOPIC = {"partitions": {"type": ["integer", "null"]}, "config": {"type": ["object", "null"]}}


def _json(properties: dict[str, Any], *required: str, types: tuple[str, ...] = (JSON,)) -> dict[str, Any]:
    """Describe a body that is a JSON object."""
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"required": True, "content": {type_: {"schema": schema} for type_ in types}}


def _sql(member: str, **more: Any) -> dict[str, Any]:
    return _json({member: _TEXT, **_SQL_MEMBERS, **more}, member, *more, types=(JSON, KSQL_JSON))


def _bytes(type_: str) -> dict[str, Any]:
    return {"required": True, "content": {type_: {"schema": {"type": "string", "format": "binary"}}}}


def _operation(
    path: str,
    summary: str,
    *types: str,
    body: dict[str, Any] | None = None,
    query: dict[str, dict[str, Any]] | None = None,
    good: str = "200",
) -> dict[str, Any]:
    """Describe one method of a path.

    Args:
        types: content types of the answer.
        query: query parameters, with their schemas.
        good: the status of success.
    """
    registry = _REGISTRY in types
    problem = {_REGISTRY: {"schema": _REGISTRY_ERROR}} if registry else {JSON: {"schema": _ERROR}}
    error = {"description": "an error", "content": {**problem, "text/plain; charset=utf-8": {}}}
    fine: dict[str, Any] = {"description": "the answer"}
    if types:
        fine["content"] = {type_: {} for type_ in types}
    found: dict[str, Any] = {"summary": summary, "responses": {good: fine, "4XX": error, "5XX": error}}
    if body is not None:
        found["requestBody"] = body
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in (query or {}).items()]
    if parameters:
        found["parameters"] = parameters
    return found


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, description) of all endpoints."""
    rows = (DELIMITED, JSON, KSQL_JSON, ARROW, EVENTS)
    facts, own, registry = (KSQL_JSON, JSON), (JSON,), (_REGISTRY,)
    flag = {"enum": ["true", "false"]}
    deleted, version = {"deleted": flag, "deletedOnly": flag}, "/subjects/{subject}/versions/{version}"
    names = {"type": "array", "items": _TEXT}
    chosen = {"durable": flag, "producer": _TEXT, "sequence": {"type": "integer"}}
    place = {name: {"type": "string", "description": meaning} for name, meaning in _RECORDS.items()}
    schema = _json(_SCHEMA, "schema")
    lines = _bytes(DELIMITED)
    listed: list[tuple[str, str, str, tuple[str, ...], dict[str, Any]]] = [
        ("get", "/", "leads to /info", (), {"good": "307"}),
        ("get", "/info", "version and status", facts, {}),
        ("get", "/healthcheck", "whether queries run", facts, {}),
        ("get", "/v1/metadata", "version and cluster", facts, {}),
        ("get", "/v1/metadata/id", "cluster", facts, {}),
        ("get", "/chc/live", "whether the process lives", own, {}),
        ("get", "/chc/ready", "whether it answers", own, {}),
        ("post", "/ksql", "statements; one entity for each", facts, {"body": _sql("ksql")}),
        ("post", "/ksql/terminate", "end all", facts, {"body": _json({"deleteTopicList": names})}),
        ("post", "/query", "a SELECT or PRINT, rows in the old format", (*facts, ARROW, EVENTS), {"body": _sql("ksql")}),
        ("post", "/query-stream", "a SELECT or PRINT, rows in the new format", rows, {"body": _sql("sql")}),
        ("post", "/close-query", "end a push query", (), {"body": _json({"queryId": _TEXT}, "queryId")}),
        ("post", "/inserts-stream", "insert rows, an object per line after {target}", (DELIMITED, JSON), {"body": lines}),
        ("get", "/ws/query", "a SELECT or PRINT over a WebSocket", (), {"query": {"request": _TEXT}, "good": "101"}),
        ("get", "/status", "commands and their outcomes", facts, {}),
        ("get", "/status/{type}/{entity}/{action}", "a command's outcome", facts, {}),
        ("get", "/clusterStatus", "this host, its queries and lags", facts, {}),
        ("get", "/is_valid_property/{name}", "whether requests may set it", facts, {}),
        (
            "post",
            "/v1/arrow/{stream}",
            "insert an Arrow stream in one commit",
            own,
            {"body": _bytes(ARROW), "query": chosen},
        ),
        ("post", "/v1/arrow", "several streams, named by penstock-streams", own, {"body": _bytes(ARROW), "query": chosen}),
        (
            "post",
            "/v1/complete",
            "what could be typed at the cursor",
            own,
            {"body": _json({"text": _TEXT, "cursor": {"type": "integer"}}, "text")},
        ),
        ("get", "/v1/graph", "topics, sources and queries, with their places in a drawing", own, {}),
        (
            "post",
            "/v1/partitions/{id}",
            "rows of a table's partitions, for the other processes of the service",
            (ARROW,),
            {"body": _bytes(ARROW), "query": {"partitions": _TEXT}},
        ),
        ("get", "/v1/account", "who asks, and what they may do", own, {}),
        (
            "post",
            "/v1/check",
            "a text's statements and what is wrong with them",
            own,
            {"body": _json({"text": _TEXT}, "text")},
        ),
        ("post", "/v1/execute", "statements; a result for each", own, {"body": _sql("ksql")}),
        ("post", "/v1/submit", "a script, each statement once ever", own, {"body": _sql("ksql", name=_TEXT)}),
        ("get", "/v1/catalog", "sources, queries, types, topics, functions", own, {}),
        ("get", "/v1/queries/{id}", "a query's statement, progress, plan and positions", own, {}),
        (
            "post",
            "/v1/wait",
            "until a write is taken in, or queries are idle",
            own,
            {"body": _json({"token": {"type": ["string", "null"]}, "names": names, "timeout_s": {"type": "number"}})},
        ),
        ("get", "/v1/producers/{producer}", "the number of its last commit", own, {}),
        ("get", "/v1/topics", "topics with their sizes", own, {}),
        ("get", "/v1/topics/{name}", "a topic's partitions and config", own, {}),
        ("post", "/v1/topics/{name}", "make a topic of bytes", own, {"body": _json(_TOPIC)}),
        ("patch", "/v1/topics/{name}", "change its config, or add partitions", own, {"body": _json(_TOPIC)}),
        ("delete", "/v1/topics/{name}", "delete a topic that nothing stands on", own, {}),
        (
            "get",
            "/v1/topics/{name}/records",
            "records as PRINT shows them, or all as Arrow",
            (JSON, ARROW),
            {"query": place},
        ),
        ("post", "/v1/topics/{name}/records", "append one record as it is", own, {"body": _json(_RECORD)}),
        ("get", "/metrics", "Prometheus' text format", (_PLAIN,), {}),
        ("get", "/openapi.json", "this document", own, {}),
        ("get", "/subjects", "names of subjects", registry, {"query": {"subjectPrefix": _TEXT, **deleted}}),
        ("get", "/subjects/{subject}/versions", "numbers of versions", registry, {"query": deleted}),
        ("post", "/subjects/{subject}/versions", "register a schema", registry, {"body": schema}),
        ("post", "/subjects/{subject}", "find a schema's version", registry, {"body": schema}),
        ("delete", "/subjects/{subject}", "remove a subject", registry, {"query": {"permanent": flag}}),
        ("get", version, "a version", registry, {"query": {"format": _TEXT, "deleted": flag}}),
        ("delete", version, "remove a version", registry, {"query": {"permanent": flag}}),
        ("get", f"{version}/schema", "its schema alone", registry, {}),
        ("get", f"{version}/referencedby", "ids of schemas that refer to it", registry, {}),
        ("get", "/schemas", "all versions", registry, {"query": {"subjectPrefix": _TEXT, "latestOnly": flag, **deleted}}),
        ("get", "/schemas/types", "kinds of schemas", registry, {}),
        ("get", "/schemas/ids/{id}", "a schema", registry, {"query": {"format": _TEXT}}),
        ("get", "/schemas/ids/{id}/schema", "its text", registry, {}),
        ("get", "/schemas/ids/{id}/versions", "subjects and versions that have it", registry, {}),
        ("get", "/schemas/ids/{id}/subjects", "subjects that have it", registry, {}),
        ("get", "/config", "the level of compatibility", registry, {}),
        ("put", "/config", "set it", registry, {"body": _json(_LEVEL, "compatibility")}),
        ("delete", "/config", "back to BACKWARD", registry, {}),
        ("get", "/config/{subject}", "a subject's own", registry, {"query": {"defaultToGlobal": flag}}),
        ("put", "/config/{subject}", "set it", registry, {"body": _json(_LEVEL, "compatibility")}),
        ("delete", "/config/{subject}", "back to the default", registry, {}),
        (
            "post",
            "/compatibility/subjects/{subject}/versions/{version}",
            "whether a schema would be taken",
            registry,
            {"body": schema, "query": {"verbose": flag}},
        ),
        (
            "post",
            "/compatibility/subjects/{subject}/versions",
            "the same, over all versions that count",
            registry,
            {"body": schema, "query": {"verbose": flag}},
        ),
        ("get", "/mode", "whether schemas can be registered", registry, {}),
        ("put", "/mode", "READWRITE is taken, others are refused", registry, {"body": _json(_MODE, "mode")}),
    ]
    return [(method, path, _operation(path, summary, *types, **how)) for method, path, summary, types, how in listed]


_RECORDS = {
    "from": "beginning, end, last, offset:N, time:MS, or what an answer gave as next",
    "partition": "only this one",
    "key": "only records whose key PRINT shows so",
    "limit": "of records, 100 by default, 1000 at most",
    "offset": "for Arrow: where to begin in each partition",
    "reset": "for Arrow: none, earliest or latest, where a partition holds no such offset",
}


def document() -> dict[str, Any]:
    """The OpenAPI document as an object."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in operations():
        paths.setdefault(path, {})[method] = operation
    schemes = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock", "version": __version__, "description": "ksqlDB's HTTP API, and what goes beyond it."},
        "components": {"securitySchemes": schemes},
        "security": [{}, {"basic": []}, {"bearer": []}],
        "paths": paths,
    }


def text() -> str:
    """The OpenAPI document as the text of a file."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
