"""TERMINATE, PAUSE and RESUME."""

from __future__ import annotations

import difflib

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..catalog import Catalog, QueryEntry
from ..changes import EndQueries, PauseQueries
from ..results import Message
from .checking import Checked, Checking


def check(checking: Checking, statement: ast.ControlQuery) -> Checked:
    """Check a TERMINATE, PAUSE or RESUME.

    Raises:
        StatementError: the query is unknown or in the wrong state.
    """
    action, text = statement.action, unparse(statement)
    chosen = _chosen(checking.catalog, statement)
    if action == "RESUME":
        for entry in chosen:
            checking.outside.check_resumable(entry.id)
    ids = tuple(entry.id for entry in chosen)
    done = {"TERMINATE": "terminated", "PAUSE": "paused", "RESUME": "resumed"}[action]
    listed = ", ".join(ids) or "no query"
    answer = Message(action.lower(), f"{listed} {done}", text, details={"query_id": listed} if chosen else {})
    return Checked(EndQueries(ids) if action == "TERMINATE" else PauseQueries(ids, action == "PAUSE"), answer)


def _chosen(catalog: Catalog, statement: ast.ControlQuery) -> list[QueryEntry]:
    """The queries that the statement names.

    Raises:
        StatementError: there is no such query.
    """
    terminates = statement.action == "TERMINATE"
    if statement.query_id is None:
        return [q for q in catalog.queries.values() if q.kind != "CST" or not terminates]
    found = find_query(catalog, statement.query_id, statement.span)
    if terminates and found.kind == "CST":
        raise StatementError(
            f"{found.id} keeps the rows of the table {found.sink} and ends with it",
            span=statement.span,
            suggestion=f"DROP TABLE {found.sink};",
        )
    return [found]


def find_query(catalog: Catalog, query_id: str, span: Span) -> QueryEntry:
    """Find a persistent query by its id in any case.

    Statements write ids in upper case, but a part of an id is the name of a sink, which may have small letters.

    Raises:
        StatementError: there is none.  The message names similar ids.
    """
    queries = catalog.queries
    found = queries.get(query_id) or next((q for q in queries.values() if q.id.upper() == query_id.upper()), None)
    if found is None:
        near = [q.id for q in queries.values() if q.sink is not None and q.sink.upper() == query_id.upper()][:1]
        near = near or difflib.get_close_matches(query_id, queries, 1)
        raise StatementError(
            f"there is no persistent query {query_id}",
            span=span,
            suggestion=f"Did you mean {near[0]}?" if near else "SHOW QUERIES; lists them.",
        )
    return found
