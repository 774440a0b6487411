"""What a SELECT may ask DuckDB for.

DuckDB itself is locked (no files, no network, no extensions, no changes of settings; see `pull`), but it still tells about
its process: settings, secrets, other databases, the machine.  So the statement is parsed by DuckDB and its tree is checked
before it is bound: tables are those that the engine knows or the statement defines (WITH), table functions come from a
short list, and functions that look or act outside the query are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import Span, StatementError

if TYPE_CHECKING:
    import duckdb

_TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
"""They make rows of their arguments and of nothing else."""

_REFUSED_FUNCTIONS = frozenset(
    {
        "current_connection_id",
        "current_query_id",
        "current_setting",
        "current_transaction_id",
        "currval",
        "getenv",
        "getvariable",
        "in_search_path",
        "json_execute_serialized_sql",
        "nextval",
        "parse_duckdb_log_message",
        "setseed",
        "setval",
        "sleep_ms",
        "txid_current",
        "write_log",
    }
)
_REFUSED_PREFIXES = ("pg_", "inet_", "has_", "duckdb_", "pragma_")
_HARMLESS = frozenset({"pg_typeof"})


def tables_named(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The tables that one SELECT names and does not define itself.

    Args:
        connection: any; it only parses.

    Raises:
        StatementError: it is something else than one SELECT, or asks for what is locked.
        duckdb.Error: DuckDB cannot parse it.
    """
    found = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert found is not None
    tree = json.loads(found[0])
    if tree.get("error") and tree.get("error_type") != "not implemented":
        message, at = tree["error_message"], int(tree.get("position") or -1)
        span = span_at(sql, at, at + 1) if 0 <= at < len(sql) and sql.isascii() else None
        raise StatementError(f"DuckDB cannot read this query: {message}", span=span, text=sql)
    if tree.get("error") or len(tree["statements"]) != 1:
        raise StatementError(
            "only one SELECT statement can be run here", text=sql, suggestion="Use execute() for other statements."
        )
    return set(_walk(tree["statements"][0], frozenset(), sql))


def _walk(node: Any, defined: frozenset[str], sql: str) -> Iterator[str]:
    """Table names in a tree; ``defined`` are the names, in lower case, that WITH has defined around it."""
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, defined, sql)
        return
    if not isinstance(node, dict):
        return
    _check_node(node, sql)
    if node.get("type") == "BASE_TABLE":
        if _qualified(node):
            raise _refusal(f"{_full_name(node)} cannot be reached: tables are named without a schema here", node, sql)
        if node["table_name"].lower() not in defined:
            yield node["table_name"]
    for entry in (node.get("cte_map") or {}).get("map", ()):
        own = {entry["key"].lower()} if entry["value"]["query_node"]["type"] == "RECURSIVE_CTE_NODE" else set()
        yield from _walk(entry["value"], defined | own, sql)
        defined |= {entry["key"].lower()}
    for key, value in node.items():
        if key != "cte_map":
            yield from _walk(value, defined, sql)


def _check_node(node: dict[str, Any], sql: str) -> None:
    """Raises: StatementError, if the node itself (not what is below it) is refused."""
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = node["function"].get("function_name", "")
        if name.lower() not in _TABLE_FUNCTIONS or _qualified(node["function"]):
            raise _refusal(f"the table function {name} cannot be used here", node, sql)
    elif kind == "SHOW_REF" and (node.get("query") is None or node.get("show_type") not in ("DESCRIBE", "SUMMARY")):
        raise _refusal("this cannot be shown here", node, sql)
    elif "function_name" in node:
        name = node["function_name"].lower()
        locked = name in _REFUSED_FUNCTIONS or name.startswith(_REFUSED_PREFIXES)
        if (locked and name not in _HARMLESS) or _qualified(node):
            raise _refusal(f"the function {node['function_name']} cannot be used here", node, sql)


def _qualified(node: dict[str, Any]) -> bool:
    names = ("schema", "catalog", "schema_name", "catalog_name")
    return any(isinstance(node.get(name), str) and node[name] for name in names)


def _full_name(node: dict[str, Any]) -> str:
    return ".".join(part for part in (node["catalog_name"], node["schema_name"], node["table_name"]) if part)


def _refusal(message: str, node: dict[str, Any], sql: str) -> StatementError:
    encoded = sql.encode()
    at, length = node.get("query_location", len(encoded)), node.get("query_location_length", 0)
    span = None
    if at < len(encoded):
        start = len(encoded[:at].decode(errors="replace"))
        span = span_at(sql, start, start + max(1, len(encoded[at : at + length].decode(errors="replace"))))
    return StatementError(
        message, span=span, text=sql, suggestion="A query reaches streams, tables and its own values, nothing else."
    )


def span_at(text: str, start: int, end: int) -> Span:
    """A span by its offsets in characters."""
    line_start = text.rfind("\n", 0, start) + 1
    return Span(start, end, text.count("\n", 0, start) + 1, start - line_start + 1)


_PLACE = re.compile(r"^LINE (\d+): (.*)\n( *)\^", re.MULTILINE)


def duckdb_span(message: str, sql: str) -> Span | None:
    """The place that a message of DuckDB shows by a caret under the line, if it can be told."""
    match = _PLACE.search(message)
    lines = sql.split("\n")
    if match is None or not 1 <= int(match[1]) <= len(lines):
        return None
    shown = lines[int(match[1]) - 1].find(match[2])  # without the blanks that it begins with, perhaps
    column = shown + len(match[3]) - len(f"LINE {match[1]}: ")
    start = sum(len(line) + 1 for line in lines[: int(match[1]) - 1]) + column
    return span_at(sql, start, start + 1) if 0 <= shown <= column else None
