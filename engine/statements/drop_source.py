"""DROP STREAM and DROP TABLE."""

from __future__ import annotations

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..catalog import Catalog, DataSource
from ..changes import DropSource
from ..results import Message
from .checking import Checked, Checking
from .replacement import source_of_kind


def check(checking: Checking, statement: ast.DropSource) -> Checked | Message:
    """Check a DROP.  It removes a source, ends the query that writes it and, with DELETE TOPIC, deletes its topic.

    Raises:
        StatementError: there is no such source, or it is used.
    """
    text, kind, catalog = unparse(statement), statement.kind.lower(), checking.catalog
    if statement.name not in catalog.sources and statement.if_exists:
        return Message(f"drop {kind}", f"there is no {kind} {statement.name}; nothing was changed", text, warning=True)
    source = source_of_kind(catalog, statement.kind, statement.name, statement.span)
    _check_unused(catalog, source, statement.span)
    deleted = None
    if statement.delete_topic:
        deleted = _deleted(checking, source, statement.span)
    query_id = source.query_id if source.query_id in catalog.queries else None
    details = {"source": source.name, "topic": source.topic}
    answer = Message(f"drop {kind}", f"{kind} {source.name} dropped", text, details=details)
    return Checked(DropSource(source.name, query_id, deleted), answer)


def _deleted(checking: Checking, source: DataSource, span: Span) -> tuple[str, int] | None:
    """The topic that is deleted with the source.

    Raises:
        StatementError: the topic must not be deleted.
    """
    if source.read_only:
        raise StatementError(
            f"{source.name} is read-only: its topic cannot be deleted with it",
            span=span,
            suggestion="DROP it without DELETE TOPIC.",
        )
    deleted = checking.outside.deleted(source.topic)
    others = sorted(s.name for s in checking.catalog.sources.values() if s.topic == source.topic and s.name != source.name)
    if deleted is not None and others:
        raise StatementError(
            f"the topic {source.topic} cannot be deleted: {', '.join(others)} reads it too",
            span=span,
            suggestion="DROP without DELETE TOPIC, or drop the others first.",
        )
    return deleted


def _check_unused(catalog: Catalog, source: DataSource, span: Span) -> None:
    own = source.query_id
    readers = {q for q in catalog.readers(source.name) if q != own}
    derived = sorted(catalog.queries[q].sink for q in readers if catalog.queries[q].kind != "INSERT")
    if derived:
        raise StatementError(
            f"{source.name} cannot be dropped: {', '.join(derived)} {'reads' if len(derived) == 1 else 'read'} from it",
            span=span,
            suggestion="DROP what was derived from it first.",
        )
    others = sorted(readers | {q for q in catalog.writers(source.name) if q != own})
    if others:
        raise StatementError(
            f"{source.name} cannot be dropped: the queries {', '.join(others)} read or write it",
            span=span,
            suggestion="TERMINATE them first.",
        )
