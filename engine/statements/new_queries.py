"""What CREATE .. AS SELECT and INSERT INTO .. SELECT share: ids of queries, sources, internal topics."""

from __future__ import annotations

from ...grammar import ast
from ..analysis.resolved import ResolvedQuery
from ..analysis.with_clause import INSERT_INTO, WithClause
from ..catalog import DataSource
from ..state import Planned
from .checking import Checking
from .planning import copies


def next_query_id(checking: Checking, statement: ast.CreateAsSelect | ast.InsertSelect) -> str:
    """The id that a statement's query gets if the statement is executed next.  A query that is replaced keeps its id."""
    number = checking.outside.number
    if isinstance(statement, ast.CreateAsSelect):
        return f"{'CSAS' if statement.kind == 'STREAM' else 'CTAS'}_{statement.name}_{number}"
    wanted = WithClause(statement.properties, INSERT_INTO).text("QUERY_ID")
    return f"INSERTQUERY_{number}" if wanted is None else wanted.upper()


def sources_of(resolved: ResolvedQuery) -> tuple[str, ...]:
    """The names of the sources that a query reads, each once."""
    return tuple(dict.fromkeys(s.source.name for s in resolved.sources))


def register_copies(checking: Checking, planned: Planned) -> tuple[tuple[DataSource, ...], tuple[DataSource, ...]]:
    """Find the schemas to change for the internal topics of a query.

    If a query is replaced by one whose internal topics have other columns, the topics' old schemas are removed.

    Returns:
        the topics whose schemas must be registered, and those whose schemas must be removed first.
    """
    old = checking.planned.get(planned.query_id)
    before, wanted = ({} if old is None else copies(old.plan)), copies(planned.plan)
    gone = tuple(source for topic, source in before.items() if wanted.get(topic) != source)
    return tuple(source for topic, source in wanted.items() if before.get(topic) != source), gone
