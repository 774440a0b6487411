"""What statements change: plain data, made by checking and held by the journal.

A change says what is true afterwards, not how it was asked for: it is applied to a catalog without looking at topics,
schemas or functions, so it means the same whenever it is applied.  What it needs done beside the catalog (topics to make
or delete, queries to start or end) is read off it by `statements.carry_out`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..storage.log.protocol import CleanupPolicy
from .catalog import Catalog, DataSource, QueryEntry
from .types import SqlType


@dataclass(frozen=True, slots=True)
class NewTopic:
    """The topic that a statement makes for its source, under the source's topic name.

    Attributes:
        retention_ms: None keeps everything.
    """

    partitions: int
    replicas: int
    cleanup_policy: CleanupPolicy
    retention_ms: int | None


@dataclass(frozen=True, slots=True)
class SetSource:
    """A source is there, new or in place of one of its name: CREATE, CREATE OR REPLACE, CREATE .. AS SELECT, ALTER.

    Attributes:
        query: the query that fills it from now on, or keeps its rows; None leaves it as it is.
        topic: made, if it is not there yet; None: the topic was there.
    """

    source: DataSource
    query: QueryEntry | None = None
    topic: NewTopic | None = None

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        catalog = catalog.with_source(self.source)
        return catalog if self.query is None else catalog.with_query(self.query)


@dataclass(frozen=True, slots=True)
class AddQuery:
    """A query writes to a source that another statement made: INSERT INTO .. SELECT."""

    query: QueryEntry

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        return catalog.with_query(self.query)


@dataclass(frozen=True, slots=True)
class DropSource:
    """A source is gone, and with it the query that filled it.

    Attributes:
        query_id: of that query.
        deleted: the topic that goes with it, and that topic's number in the log: one of the same name that is made later
            is another one.
    """

    name: str
    query_id: str | None = None
    deleted: tuple[str, int] | None = None

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        if self.query_id is not None:
            catalog = catalog.without_query(self.query_id)
        return catalog.without_source(self.name)


@dataclass(frozen=True, slots=True)
class EndQueries:
    """Queries are gone; the sources that they filled stay.  TERMINATE."""

    ids: tuple[str, ...]

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        for query_id in self.ids:
            query = catalog.queries[query_id]
            catalog = catalog.without_query(query_id)
            source = catalog.sources.get(query.sink)
            if source is not None and source.query_id == query_id:
                catalog = catalog.with_source(replace(source, query_id=None))
        return catalog


@dataclass(frozen=True, slots=True)
class PauseQueries:
    """Queries stand still, or (not ``paused``) go on: PAUSE, RESUME."""

    ids: tuple[str, ...]
    paused: bool

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        for query_id in self.ids:
            catalog = catalog.with_query(replace(catalog.queries[query_id], paused=self.paused))
        return catalog


@dataclass(frozen=True, slots=True)
class SetType:
    """A type has a name: CREATE TYPE."""

    name: str
    type: SqlType

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        return catalog.with_type(self.name, self.type)


@dataclass(frozen=True, slots=True)
class DropType:
    """A type has no name any more; what was made with it keeps it.  DROP TYPE."""

    name: str

    def on(self, catalog: Catalog) -> Catalog:
        """The catalog after it."""
        return catalog.without_type(self.name)


Change = SetSource | AddQuery | DropSource | EndQueries | PauseQueries | SetType | DropType


def started(change: Change) -> QueryEntry | None:
    """The query that a change starts, or puts in the place of its predecessor."""
    match change:
        case SetSource(query=query) | AddQuery(query=query):
            return query
        case _:
            return None


def ended(change: Change) -> tuple[str, ...]:
    """Ids of the queries that a change ends."""
    match change:
        case DropSource(query_id=str(query_id)):
            return (query_id,)
        case EndQueries(ids=ids):
            return ids
        case _:
            return ()
