"""The endpoints as an OpenAPI document: ``GET /openapi.json``.

``python -m penstock.server.openapi`` prints it, for ``docs/server/openapi.json``.
"""

from __future__ import annotations

import json
from typing import Any

from .. import __version__
from .http import ARROW, DELIMITED, EVENTS, JSON, KSQL_JSON

_OBJECT: dict[str, Any] = {"type": "object"}
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
    "properties": {"@type": {"type": "string"}, "error_code": {"type": "integer"}, "message": {"type": "string"}},
}


def _body(member: str) -> dict[str, Any]:
    schema = {"type": "object", "required": [member], "properties": {member: {"type": "string"}, **_SQL_MEMBERS}}
    return {"required": True, "content": {JSON: {"schema": schema}, KSQL_JSON: {"schema": schema}}}


def _json(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"required": True, "content": {JSON: {"schema": schema}}}


def _answers(*types: str, good: str = "200") -> dict[str, Any]:
    error = {"description": "an error", "content": {JSON: {"schema": _ERROR}}}
    fine: dict[str, Any] = {"description": "the answer"}
    if types:
        fine["content"] = {type_: {} for type_ in types}
    return {good: fine, "4XX": error, "5XX": error}


def _get(
    summary: str, *types: str, parameters: tuple[str, ...] = (), asked: dict[str, str] | None = None, good: str = "200"
) -> dict[str, Any]:
    """``parameters`` are parts of the path; ``asked``: parameters behind it, and what they mean."""
    found: dict[str, Any] = {"summary": summary, "responses": _answers(*types, good=good)}
    if parameters or asked:
        text = {"schema": {"type": "string"}}
        found["parameters"] = [{"name": name, "in": "path", "required": True, **text} for name in parameters]
        found["parameters"] += [{"name": n, "in": "query", "description": d, **text} for n, d in (asked or {}).items()]
    return {"get": found}


def _post(summary: str, body: dict[str, Any], *types: str, parameters: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary, "requestBody": body, "responses": _answers(*types)}
    if parameters:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    return {"post": found}


_RECORDS = {
    "from": "beginning, end, last, offset:N, time:MS, or what an answer gave as next",
    "partition": "only this one",
    "key": "only records whose key PRINT shows so",
    "limit": "of records, 100 by default, 1000 at most",
}


def document() -> dict[str, Any]:
    """The document."""
    rows = (DELIMITED, JSON, KSQL_JSON, ARROW, EVENTS)
    lines = {"required": True, "content": {DELIMITED: {"schema": {"type": "string"}}}}
    arrow = {"required": True, "content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}
    text = {"text": {"type": "string"}, "cursor": {"type": "integer"}}
    paths = {
        "/": _get("leads to /info", good="307"),
        "/info": _get("version and status", KSQL_JSON, JSON),
        "/healthcheck": _get("whether queries run", KSQL_JSON, JSON),
        "/v1/metadata": _get("version and cluster", KSQL_JSON, JSON),
        "/v1/metadata/id": _get("cluster", KSQL_JSON, JSON),
        "/chc/live": _get("whether the process lives", JSON),
        "/chc/ready": _get("whether it answers", JSON),
        "/ksql": _post("statements; one entity for each", _body("ksql"), KSQL_JSON, JSON),
        "/ksql/terminate": _post(
            "end all", _json({"deleteTopicList": {"type": "array", "items": {"type": "string"}}}, []), KSQL_JSON
        ),
        "/query": _post("a SELECT or PRINT, rows in the old format", _body("ksql"), KSQL_JSON, JSON, ARROW, EVENTS),
        "/query-stream": _post("a SELECT or PRINT, rows in the new format", _body("sql"), *rows),
        "/close-query": _post("end a push query", _json({"queryId": {"type": "string"}}, ["queryId"])),
        "/inserts-stream": _post("insert rows, a JSON object per line after {target}", lines, DELIMITED, JSON),
        "/v1/arrow/{stream}": _post("insert an Arrow stream in one commit", arrow, JSON, parameters=("stream",)),
        "/v1/complete": _post("what could be typed at the cursor", _json(text, ["text"]), JSON),
        "/v1/check": _post("a text's statements and what is wrong with them", _body("text"), JSON),
        "/v1/account": _get("who asks, and what they may do", JSON),
        "/v1/queries/{id}": _get("a query's statement, progress, plan and positions", JSON, parameters=("id",)),
        "/v1/topics": _get("topics with their sizes", JSON),
        "/v1/topics/{name}": _get("a topic's partitions and config", JSON, parameters=("name",)),
        "/v1/topics/{name}/records": _get("records as PRINT shows them", JSON, parameters=("name",), asked=_RECORDS),
        "/v1/graph": _get("topics, sources and queries, with their places in a drawing", JSON),
        "/status": _get("commands and their outcomes", KSQL_JSON),
        "/status/{type}/{entity}/{action}": _get("a command's outcome", KSQL_JSON, parameters=("type", "entity", "action")),
        "/clusterStatus": _get("this host, its queries and lags", KSQL_JSON, JSON),
        "/is_valid_property/{name}": _get("whether requests may set it", KSQL_JSON, parameters=("name",)),
        "/metrics": _get("Prometheus' text format", "text/plain"),
        "/openapi.json": _get("this document", JSON),
    }
    schemes = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock", "version": __version__, "description": "ksqlDB's HTTP API, and what goes beyond it."},
        "components": {"securitySchemes": schemes},
        "security": [{}, {"basic": []}, {"bearer": []}],
        "paths": paths,
    }


def text() -> str:
    """The document as a file."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
