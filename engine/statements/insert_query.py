"""INSERT INTO .. SELECT: starts a query that writes to an existing stream."""

from __future__ import annotations

from ...errors import StatementError
from ...grammar import ast
from ...grammar.unparse import quote, unparse
from ..analysis.sink import SinkRequest
from ..analysis.with_clause import INSERT_INTO, WithClause
from ..catalog import QueryEntry
from ..changes import AddQuery, EndQueries
from ..results import Message
from .checking import Checked, Checking
from .new_queries import next_query_id, register_copies, sources_of
from .planning import copies, plan_query, ready


def check(checking: Checking, statement: ast.InsertSelect) -> Checked:
    """Check an INSERT INTO .. SELECT.

    Raises:
        StatementError: the query or its target breaks a rule.
    """
    text, catalog = unparse(statement), checking.catalog
    target = catalog.source(statement.target)
    request = SinkRequest(target.kind, target.name, statement.properties, insert=True)
    query = plan_query(checking, statement.query, request)
    assert query.resolved is not None
    checking.outside.check_writes(catalog, target.topic, target.name, sources_of(query.resolved), statement.span)
    query_id = _query_id(checking, statement)
    checking.outside.check_room(len(catalog.queries), checking.options.persistent_queries_max, statement.span)
    number, overrides = checking.outside.number, dict(checking.overrides)
    entry = QueryEntry(query_id, "INSERT", text, sources_of(query.resolved), target.name, number, overrides)
    planned = ready(checking, query, entry)
    checking.outside.check_copies(copies(planned.plan), query_id)
    registered, unregistered = register_copies(checking, planned)
    details = {"source": target.name, "query_id": query_id, "topic": target.topic}
    return Checked(
        AddQuery(entry),
        Message("insert into select", f"the query {query_id} inserts into {target.name}", text, details=details),
        planned,
        registered,
        unregistered,
        undo=(f"TERMINATE {quote(query_id)}", EndQueries((query_id,))),
    )


def _query_id(checking: Checking, statement: ast.InsertSelect) -> str:
    """The id of the query.

    Raises:
        StatementError: another query has the id, or a query cannot have it.
    """
    clause = WithClause(statement.properties, INSERT_INTO)
    wanted, query_id = clause.text("QUERY_ID"), next_query_id(checking, statement)
    if query_id in checking.catalog.queries:
        raise StatementError(
            f"there is a query with the id {query_id} already",
            span=clause.span("QUERY_ID"),
            suggestion="Choose another id, or TERMINATE that query first.",
        )
    if wanted is not None and not query_id.replace("_", "").isalnum():
        raise StatementError(
            f"{wanted!r} cannot be the id of a query", span=clause.span("QUERY_ID"), suggestion="Use letters, digits and _."
        )
    return query_id
