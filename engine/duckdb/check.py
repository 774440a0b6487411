"""Checks what a SELECT may ask DuckDB for.

DuckDB itself is locked (see `pull`): no files, no network, no extensions, no changes of settings.  But it still reveals
things about its process: settings, secrets, other databases, the machine.  So DuckDB parses the statement, and this module
checks the tree before it is bound.  The engine must know the tables, or the statement must define them (WITH).  Functions
and table functions must be in the lists of `allowed`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Span, StatementError
from ...limits import DUCKDB_ITEMS_MAX
from .allowed import FORMATTING, FUNCTIONS, MULTIPLYING, TABLE_FUNCTIONS

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Mention:
    """A table, a column or a constant that selects a field, with its place in the statement.

    Attributes:
        kind: ``table``, ``column`` (with its qualifiers) or ``field`` (the text of a constant that selects a field).
        start, end: offsets in characters.  For a table they include the alias.
    """

    kind: str
    name: str
    alias: str
    start: int
    end: int


def mentions(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Mention]:
    """Find the tables, columns and fields that a SELECT names and does not define itself.

    Args:
        connection: any connection; it only parses.

    Raises:
        StatementError: the text is not a single SELECT, or asks for what is locked.
        duckdb.Error: DuckDB cannot parse it.
    """
    statement, _ = parsed(connection, sql)
    try:
        return list(_walk(statement, frozenset(), _Text(sql), _catalog(connection)))
    except RecursionError:
        raise too_deep(sql) from None


def too_deep(sql: str) -> StatementError:
    """The error for a query whose tree is too deep for the functions that walk it."""
    return StatementError("this query is nested too deeply", text=sql, suggestion="Build the expression in steps, by WITH.")


def parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[dict[str, Any], str]:
    """Parse one SELECT: DuckDB's tree, and the JSON that the tree comes from.

    Raises:
        StatementError, duckdb.Error: see `mentions`.
    """
    found = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert found is not None
    try:
        tree = json.loads(found[0])
    except RecursionError:
        raise too_deep(sql) from None
    if tree.get("error") and tree.get("error_type") != "not implemented":
        message, at = tree["error_message"], int(tree.get("position") or -1)
        span = span_at(sql, at, at + 1) if 0 <= at < len(sql) and sql.isascii() else None
        raise StatementError(f"DuckDB cannot read this query: {message}", span=span, text=sql)
    if tree.get("error") or len(tree["statements"]) != 1:
        raise StatementError(
            "only one SELECT statement can be run here", text=sql, suggestion="Use execute() for other statements."
        )
    statement: dict[str, Any] = tree["statements"][0]
    return statement, found[0]


class _Text:
    """A statement; converts offsets in bytes to offsets in characters."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._encoded = None if sql.isascii() else sql.encode()

    def place(self, node: Mapping[str, Any]) -> tuple[int, int]:
        """The place of a node; the end of the text if the node has none."""
        start = node.get("query_location")
        if not isinstance(start, int) or not 0 <= start < (len(self._encoded or self.sql)):
            return len(self.sql), len(self.sql)
        end = start + max(1, node.get("query_location_length") or 0)
        if self._encoded is None:
            return start, end
        return len(self._encoded[:start].decode(errors="replace")), len(self._encoded[:end].decode(errors="replace"))


_catalogs: dict[str, frozenset[str]] = {}


def _catalog(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """The names of DuckDB's own tables and views, in lower case.  No query may redefine them."""
    if "names" not in _catalogs:
        rows = connection.execute("SELECT view_name FROM duckdb_views() UNION SELECT table_name FROM duckdb_tables()")
        _catalogs["names"] = frozenset(name.lower() for (name,) in rows.fetchall())
    return _catalogs["names"]


def _walk(node: Any, defined: frozenset[str], text: _Text, catalog: frozenset[str]) -> Iterator[Mention]:
    """Find the mentions in a tree.

    Args:
        defined: the names, in lower case, that WITH clauses around the tree define.
    """
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, defined, text, catalog)
        return
    if not isinstance(node, dict):
        return
    _check_node(node, text)
    if node.get("type") == "BASE_TABLE":
        if _qualified(node):
            raise _refusal(f"{_full_name(node)} cannot be reached: tables are named without a schema here", node, text)
        if node["table_name"].lower() not in defined:
            yield Mention("table", node["table_name"], node.get("alias") or "", *text.place(node))
    elif node.get("type") == "COLUMN_REF":
        yield Mention("column", ".".join(node["column_names"]), "", *text.place(node))
    elif node.get("function_name") in _PICKING or node.get("type") in ("ARRAY_EXTRACT", "STRUCT_EXTRACT"):
        for child in arguments_of(node)[1:]:
            value = constant_of(child)
            if isinstance(value, str):
                yield Mention("field", value, "", *text.place(child))
    for entry in (node.get("cte_map") or {}).get("map", ()):
        name = entry["key"].lower()
        if name in catalog:
            raise _refusal(f"{entry['key']} is a name of DuckDB's own and cannot be given to a query", node, text)
        query = entry["value"]["query_node"]
        if query.get("type") == "RECURSIVE_CTE_NODE":  # its first part does not see the name
            yield from _walk({k: v for k, v in query.items() if k != "right"}, defined, text, catalog)
            yield from _walk(query.get("right"), defined | {name}, text, catalog)
        yield from _walk(
            {k: v for k, v in entry["value"].items() if k != "query_node" or v.get("type") != "RECURSIVE_CTE_NODE"},
            defined,
            text,
            catalog,
        )
        defined |= {name}
    for key, value in node.items():
        if key == "function" and node.get("type") == "TABLE_FUNCTION":
            value = arguments_of(value)  # the function itself was checked as a table function
        if key != "cte_map":
            yield from _walk(value, defined, text, catalog)


_PICKING = frozenset({"struct_extract", "array_extract", "element_at", "list_extract"})
"""Functions that take the name of a field as a text."""


@functools.cache
def _is_allowed(name: str) -> bool:
    return name in FUNCTIONS or name.lower() in FUNCTIONS


def _check_node(node: dict[str, Any], text: _Text) -> None:
    """Check a node, but not the nodes below it.

    Raises:
        StatementError: the node is refused.
    """
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        function = node["function"]
        name = function.get("function_name", "")
        if name.lower() not in TABLE_FUNCTIONS or _qualified(function):
            raise _refusal(f"the table function {name} cannot be used here", node, text)
    elif kind == "SHOW_REF" and (node.get("query") is None or node.get("show_type") not in ("DESCRIBE", "SUMMARY")):
        raise _refusal("only a query can be described or summarized here", node, text)
    elif "function_name" in node:
        name = node["function_name"]
        if not (_is_allowed(name) or name.lower() in TABLE_FUNCTIONS) or _qualified(node):
            raise _refusal(f"the function {name} cannot be used here", node, text)
        _check_size(node, name.lower(), text)


def _check_size(node: dict[str, Any], name: str, text: _Text) -> None:
    """Check the size of a function's result, if the statement says the size.

    Raises:
        StatementError: it is too large.
    """
    children = arguments_of(node)
    if name in FORMATTING and children:
        value = constant_of(children[0])
        if not isinstance(value, str) or _LONG_NUMBER.search(value) or "*" in value or ":{" in value:
            raise _refusal(f"{name} takes a constant format with widths of four digits at most here", node, text)
    if name not in MULTIPLYING:
        return
    place = MULTIPLYING[name]
    for child in children[place:] if place >= 0 else children:
        value = constant_of(child)
        if isinstance(value, str) and name in ("lpad", "rpad"):
            continue
        if not isinstance(value, int) or abs(value) > DUCKDB_ITEMS_MAX:
            raise _refusal(f"{name} takes a constant of {DUCKDB_ITEMS_MAX:,} at most here", node, text)


_LONG_NUMBER = re.compile(r"\d{5}")


def constant_of(node: Any) -> Any:
    """The value of a constant, also with a minus sign before it; None for any other node."""
    if not isinstance(node, dict):
        return None
    if node.get("function_name") == "-" and len(arguments_of(node)) == 1:
        inner = constant_of(arguments_of(node)[0])
        return -inner if isinstance(inner, int) else None
    literal = node.get("literal")
    if not isinstance(literal, dict):
        return None
    content = literal.get("text")
    if literal.get("kind") == "INTEGER" and isinstance(content, str):
        return int(content)
    return content if literal.get("kind") == "STRING" else None


def arguments_of(node: Mapping[str, Any]) -> list[Any]:
    """The arguments of a function or of an operator."""
    given = node.get("arguments")
    if given is None:
        return list(node.get("children") or ())
    return [a.get("expression") if isinstance(a, dict) and "expression" in a else a for a in given]


def _qualified(node: dict[str, Any]) -> bool:
    names = ("schema", "catalog", "schema_name", "catalog_name")
    return any(isinstance(node.get(name), str) and node[name] for name in names)


def _full_name(node: dict[str, Any]) -> str:
    return ".".join(part for part in (node["catalog_name"], node["schema_name"], node["table_name"]) if part)


def _refusal(message: str, node: Mapping[str, Any], text: _Text) -> StatementError:
    start, end = text.place(node)
    span = span_at(text.sql, start, end) if start < len(text.sql) else None
    return StatementError(
        message, span=span, text=text.sql, suggestion="A query reaches streams, tables and its own values, nothing else."
    )


def too_large(sql: str, memory: int) -> Callable[[Mapping[str, Any]], StatementError]:
    """Make a function that gives the error for a node whose values can exceed the memory."""

    def refuse(node: Mapping[str, Any]) -> StatementError:
        text = _Text(sql)
        start, end = text.place(node)
        what = node.get("function_name") or "a recursive query"
        return StatementError(
            f"{what} may make values here that take more than {memory:,} bytes, which is penstock.duckdb.memory",
            span=span_at(sql, start, end) if start < len(sql) else None,
            text=sql,
            suggestion="Make smaller values, of fewer rows or shorter texts, or raise the property at connect().",
        )

    return refuse


def span_at(text: str, start: int, end: int) -> Span:
    """Make a span from its offsets in characters."""
    line_start = text.rfind("\n", 0, start) + 1
    return Span(start, end, text.count("\n", 0, start) + 1, start - line_start + 1)


_PLACE = re.compile(r"^LINE (\d+): (.*)\n( *)\^", re.MULTILINE)


def duckdb_span(message: str, sql: str) -> Span | None:
    """The place that a message of DuckDB marks by a caret; None if it cannot be found."""
    match = _PLACE.search(message)
    lines = sql.split("\n")
    if match is None or not 1 <= int(match[1]) <= len(lines):
        return None
    shown = lines[int(match[1]) - 1].find(match[2])  # DuckDB may have removed the blanks at the start of the line
    column = shown + len(match[3]) - len(f"LINE {match[1]}: ")
    start = sum(len(line) + 1 for line in lines[: int(match[1]) - 1]) + column
    return span_at(sql, start, start + 1) if 0 <= shown <= column else None
