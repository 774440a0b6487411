"""The changes that statements make to the catalog, as plain data.  Checks make them, and the journal stores them.

A change says what is true after it, not which statement asked for it.  To apply it to a catalog, no topic, schema or
function is looked up, so it always has the same meaning.  `statements.carry_out` finds in it what else must be done: topics
to create or delete, queries to start or end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..storage.log.protocol import CleanupPolicy
from .catalog import Catalog, DataSource, QueryEntry
from .types import SqlType


@dataclass(frozen=True, slots=True)
class NewTopic:
    """The topic that a statement creates for its source.

    Attributes:
        retention_ms: None: records are kept for ever.
    """

    partitions: int
    replicas: int
    cleanup_policy: CleanupPolicy
    retention_ms: int | None


@dataclass(frozen=True, slots=True)
class SetSource:
    """Adds or replaces a source: CREATE, CREATE OR REPLACE, CREATE .. AS SELECT, ALTER.

    Attributes:
        query: the query that writes the source, or keeps its rows, from now on; None: this does not change.
        topic: the topic to create if it does not exist; None: the topic exists.
    """

    source: DataSource
    query: QueryEntry | None = None
    topic: NewTopic | None = None

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        catalog = catalog.with_source(self.source)
        return catalog if self.query is None else catalog.with_query(self.query)


@dataclass(frozen=True, slots=True)
class AddQuery:
    """Adds a query that writes to an existing source: INSERT INTO .. SELECT."""

    query: QueryEntry

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        return catalog.with_query(self.query)


@dataclass(frozen=True, slots=True)
class DropSource:
    """Removes a source, and the query that writes it.

    Attributes:
        query_id: the id of this query; None without one.
        deleted: the topic that is deleted with the source, and its number in the log: a later topic may have the same name.
    """

    name: str
    query_id: str | None = None
    deleted: tuple[str, int] | None = None

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        if self.query_id is not None:
            catalog = catalog.without_query(self.query_id)
        return catalog.without_source(self.name)


@dataclass(frozen=True, slots=True)
class EndQueries:
    """Removes queries: TERMINATE.  The sources that they wrote stay."""

    ids: tuple[str, ...]

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        for query_id in self.ids:
            query = catalog.queries[query_id]
            catalog = catalog.without_query(query_id)
            source = catalog.sources.get(query.sink)
            if source is not None and source.query_id == query_id:
                catalog = catalog.with_source(replace(source, query_id=None))
        return catalog


@dataclass(frozen=True, slots=True)
class PauseQueries:
    """Pauses queries, or resumes them if ``paused`` is false: PAUSE, RESUME."""

    ids: tuple[str, ...]
    paused: bool

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        for query_id in self.ids:
            catalog = catalog.with_query(replace(catalog.queries[query_id], paused=self.paused))
        return catalog


@dataclass(frozen=True, slots=True)
class SetType:
    """Gives a type a name: CREATE TYPE."""

    name: str
    type: SqlType

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        return catalog.with_type(self.name, self.type)


@dataclass(frozen=True, slots=True)
class DropType:
    """Removes the name of a type: DROP TYPE.  Columns of this type keep it."""

    name: str

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after the change."""
        return catalog.without_type(self.name)


Change = SetSource | AddQuery | DropSource | EndQueries | PauseQueries | SetType | DropType


def started(change: Change) -> QueryEntry | None:
    """The query that a change starts; it may replace an older one.  None without one."""
    match change:
        case SetSource(query=query) | AddQuery(query=query):
            return query
        case _:
            return None


def stopped(change: Change) -> tuple[str, ...]:
    """The ids of the running queries that a change ends, pauses or replaces."""
    match change:
        case PauseQueries(ids=ids, paused=True):
            return ids
    query = started(change)
    return ended(change) if query is None else (query.id,)


def ended(change: Change) -> tuple[str, ...]:
    """The ids of the queries that a change ends."""
    match change:
        case DropSource(query_id=str(query_id)):
            return (query_id,)
        case EndQueries(ids=ids):
            return ids
        case _:
            return ()
